"""The people of a world, the stores that its servers share, and the machine, from a Config."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fakes.bridge import Bridge
from fakes.config import Config, WorldError
from fakes.host import Command, Event, Host
from fakes.mailstore import Mailstore
from fakes.people import People, Person
from fakes.toc import Aim
from fakes.toc.presence import account_from
from fakes.wire import Runtime
from fakes.world_mail import WorldMail
from fakes.xmpp import Jabber, Policy

DEFAULT_PEOPLE = ("alice@example.test", "bob@example.test", "ops@example.test")
DEFAULT_SCREEN_NAMES = ("alice", "bob", "ops")


@dataclass(frozen=True)
class Population:
    """Everything in a world that is neither a server nor time."""

    people: People
    mail: WorldMail
    aim: Aim
    jabber: Jabber
    host: Host


def populate(
    config: Config,
    runtime: Runtime,
    bridge: Bridge,
    *,
    tell: Callable[[str, str], None],
    add_event: Callable[[Event], None],
    spend: Callable[[float], None],
    jabber_policy: Policy | None,
    source: str,
) -> Population:
    """Creates the population of a world. Raises WorldError, with `source` as the file's name.

    `tell(who, what)` and `add_event` add to the recording; `spend` lets time pass on the machine.
    """

    def wrong(key: str, error: ValueError) -> WorldError:
        return WorldError(f"{source}: {key}: {error}")

    try:
        people = People(config.person or (Person(address) for address in DEFAULT_PEOPLE))
    except ValueError as error:
        raise wrong("person", error) from None
    domains = config.mail.domains or _domains(people)
    store = Mailstore(people, domains=domains, catch_all=config.mail.catch_all, now=runtime.now)
    try:
        aim = _aim(config, runtime, bridge, tell)
    except ValueError as error:
        raise wrong("aim", error) from None
    try:
        jabber = Jabber(
            runtime,
            people,
            policy=jabber_policy,
            domains=config.xmpp.domains,
            possible_domains=store.domains,
            bridge=bridge,
            tell=tell,
        )
    except ValueError as error:
        raise wrong("xmpp", error) from None
    host = _host(config, domains[0], runtime.now, add_event, spend)
    return Population(people, WorldMail(store, bridge), aim, jabber, host)


def _domains(people: Iterable[Person]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(person.address.rpartition("@")[2] for person in people))


def _aim(config: Config, runtime: Runtime, bridge: Bridge, tell: Callable[[str, str], None]) -> Aim:
    if config.aim:
        accounts = [
            account_from(one.screen_name, one.password, one.buddies, one.profile)
            for one in config.aim
        ]
    else:
        accounts = [account_from(name, "secret", {}) for name in DEFAULT_SCREEN_NAMES]
    return Aim(accounts, now=runtime.now, bridge=bridge, tell=tell)


def _host(
    config: Config,
    domain: str,
    now: Callable[[], float],
    add_event: Callable[[Event], None],
    spend: Callable[[float], None],
) -> Host:
    table = config.host
    host = Host(table.name or f"host.{domain}", now, add_event, spend)
    for name in table.processes:
        host.add(name)
    for name in table.services:
        host.service(name)
    for command in table.commands:
        host.commands[command.run] = Command(command.takes, command.output, command.code)
    return host
