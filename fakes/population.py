"""The people of a world, the stores that its servers share, and the machine, from a Config.

Mail is in every world. Jabber, AIM and the machine are made when they are first needed, so that a
world without them does not pay for them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from fakes.arrivals import Arrivals
from fakes.bridge import Bridge
from fakes.config import Config, WorldError
from fakes.host import Command, Event, Host
from fakes.mailstore import Mailstore
from fakes.people import People, Person
from fakes.wire import Runtime
from fakes.world_mail import WorldMail

if TYPE_CHECKING:
    from fakes.irc import Irc
    from fakes.irc import Policy as IrcPolicy
    from fakes.toc import Aim
    from fakes.webhook import Webhook
    from fakes.xmpp import Jabber, Policy

DEFAULT_PEOPLE = ("alice@example.test", "bob@example.test", "ops@example.test")
DEFAULT_SCREEN_NAMES = ("alice", "bob", "ops")


class _Store(Protocol):
    """A part of a world that stores something for its users."""

    def stored(self) -> Any:
        """Returns a copy of all that outlives connections."""

    def restore(self, stored: Any) -> None:
        """Takes over what `stored` of another world has returned."""


# What a world stores for its users: store → what it has returned.
Stored = Mapping[str, Any]


class Population:
    """Everything in a world that is neither a server nor time.

    `tell(who, what, level)` adds to the recording. `served` are the names of the world's servers;
    `web` says where the web server is; None if there is none. Raises WorldError, with `source` as
    the file's name, for accounts and domains that cannot be used.
    """

    def __init__(
        self,
        config: Config,
        runtime: Runtime,
        bridge: Bridge,
        *,
        tell: Callable[..., None],
        jabber_policy: Policy | None = None,
        irc_policy: IrcPolicy | None = None,
        served: Collection[str] = (),
        web: Callable[[str], str] | None = None,
        source: str,
    ) -> None:
        self._config, self._runtime, self._bridge, self._tell = config, runtime, bridge, tell
        self._jabber_policy, self._irc_policy, self._source = jabber_policy, irc_policy, source
        self._web = web
        try:
            self.people = People(config.person or (Person(name) for name in DEFAULT_PEOPLE))
        except ValueError as error:
            raise self._wrong("person", error) from None
        domains = config.mail.domains or _domains(self.people)
        accept_any = config.mail.accept_any
        if "logins" in accept_any:
            self.people.any_login = domains[0]
        store = Mailstore(
            self.people,
            domains=domains,
            catch_all=("*",) if "recipients" in accept_any else config.mail.catch_all,
            trap=config.mail.trap,
            now=runtime.now,
            keep=config.keep,
            on_drop=self._on_drop,
        )
        self.mail = WorldMail(store, bridge, self._tell)
        self._limit(self.mail)
        # A mistake in the configuration is reported now, whatever the world serves.
        if "toc" in served or config.aim:
            _ = self.aim
        contacts = any(person.contacts for person in self.people)
        if "xmpp" in served or config.xmpp.domains or contacts:
            _ = self.jabber

    @cached_property
    def aim(self) -> Aim:
        """All of AIM."""
        from fakes.toc import Aim
        from fakes.toc.presence import account_from

        try:
            accounts = [
                account_from(one.screen_name, one.password, one.buddies, one.profile)
                for one in self._config.aim
            ]
            accounts = accounts or [account_from(one, "secret", {}) for one in DEFAULT_SCREEN_NAMES]
            aim = Aim(accounts, now=self._runtime.now, bridge=self._bridge, tell=self._tell)
        except ValueError as error:
            raise self._wrong("aim", error) from None
        self._limit(aim)
        return aim

    @cached_property
    def irc(self) -> Irc:
        """All of IRC."""
        from fakes.irc import Irc

        irc = Irc(
            self._runtime,
            self.people,
            self._irc_policy,
            domain=self.mail.store.domains[0],
            bridge=self._bridge,
            tell=self._tell,
        )
        self._limit(irc)
        return irc

    @cached_property
    def jabber(self) -> Jabber:
        """All of Jabber."""
        from fakes.xmpp import Jabber

        try:
            jabber = Jabber(
                self._runtime,
                self.people,
                policy=self._jabber_policy,
                domains=self._config.xmpp.domains,
                possible_domains=self.mail.store.domains,
                bridge=self._bridge,
                tell=self._tell,
                web=self._web,
                on_drop=self._on_drop,
            )
        except ValueError as error:
            raise self._wrong("xmpp", error) from None
        self._limit(jabber)
        return jabber

    @cached_property
    def neighbours(self) -> dict[str, Jabber]:
        """Further XMPP servers of this world, by their domains."""
        policy = self._jabber_policy
        return {domain: self._neighbour(domain) for domain in policy.neighbours} if policy else {}

    def _neighbour(self, domain: str) -> Jabber:
        from fakes.xmpp import Jabber

        try:
            jabber = Jabber(
                self._runtime,
                self.people,
                policy=self._jabber_policy and self._jabber_policy.of_neighbour(),
                domains=[domain],
                bridge=self._bridge,
                tell=self._tell,
            )
        except ValueError as error:
            raise self._wrong("xmpp.neighbours", error) from None
        self._limit(jabber)
        return jabber

    @cached_property
    def webhook(self) -> Webhook:
        """All requests to the web server."""
        from fakes.webhook import Webhook

        webhook = Webhook(self._runtime.now, self._bridge)
        if self._web is not None:
            webhook.sites.append(self.jabber.service.serve)
        self._limit(webhook)
        return webhook

    def new_host(
        self,
        record: Callable[[Event], None],
        spend: Callable[[float], None],
        leads_here: Callable[[str, int], tuple[str, int] | None],
    ) -> Host:
        """Returns the machine that the program under test runs on. See Host for the parameters."""
        table, now = self._config.host, self._runtime.now
        name = table.name or f"host.{self.mail.store.domains[0]}"
        host = Host(name, now, record, spend, leads_here)
        for name in table.processes:
            host.add(name)
        for name in table.services:
            host.service(name)
        for command in table.commands:
            host.commands[command.run] = Command(command.takes, command.output, command.code)
        return host

    def arrivals(self) -> list[Arrivals[Any]]:
        """Returns the records of what has arrived, without parts that nobody has used."""
        used = [name for name in ("aim", "irc", "jabber", "webhook") if name in self.__dict__]
        return [self.mail, *(getattr(self, name) for name in used)]

    def stored(self) -> Stored:
        """Returns a copy of what the servers store for their users. See World.stored."""
        return {name: store.stored() for name, store in self._stores(self.__dict__).items()}

    def restore(self, stored: Stored) -> None:
        """Takes over what another population has stored."""
        for name, store in self._stores(stored).items():
            store.restore(stored[name])

    def _stores(self, needed: Container[str]) -> dict[str, _Store]:
        """Returns what stores something for users, people first; Jabber and AIM if needed."""
        stores: dict[str, _Store] = {"people": self.people, "mail": self.mail.store}
        if "jabber" in needed:
            stores["jabber"] = self.jabber.service
        if "aim" in needed:
            stores["aim"] = self.aim
        return stores

    def close(self) -> None:
        """Makes sessions end silently from now on. Called on the loop's thread at the end."""
        if "jabber" in self.__dict__:
            self.jabber.close()
            for neighbour in self.neighbours.values():
                neighbour.close()
        if "irc" in self.__dict__:
            self.irc.close()

    def _limit(self, arrivals: Arrivals[Any]) -> None:
        """Applies the limit of what is kept."""
        if self._config.keep.arrivals is not None:
            arrivals.remember(self._config.keep.arrivals, self._on_drop)

    def _on_drop(self, text: str) -> None:
        self._tell("world", text, "warning")

    def _wrong(self, key: str, error: ValueError) -> WorldError:
        text = str(error)
        if "; " not in text:  # of a part of a name, which clients read, too
            text += '; write names as in "bob@example.test"'
        return WorldError(f"{self._source}: {key}: {text}")


def _domains(people: Iterable[Person]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(person.address.rpartition("@")[2] for person in people))
