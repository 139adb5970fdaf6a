"""A scenario's program on fake servers that run in real time, as on real servers.

    python -m scenarios live mysql-by-mail

The servers and accounts are those of the scenario's WORLD. A mail program or a chat client can log
in beside the program. Commands are only reported, because the machine is the user's own.
"""

from __future__ import annotations

import json
import re
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from comms.clock import RealClock
from comms.host import Outcome, RealHost
from fakes.arrivals import counted
from fakes.certificates import REMEDY, available
from fakes.config import WorldError
from fakes.people import Person
from fakes.world import World
from scenarios import screen
from scenarios.catalogue import Page
from scenarios.errors import PageError, unwritable
from scenarios.live import run_live
from scenarios.play import Act, merged
from scenarios.rehearsal import Performance


class CautiousHost(RealHost):
    """The user's machine, on which no command is run, and where the world's names are known."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def addresses(self, name: str, port: int) -> list[tuple[str, int]]:
        """Returns where a name leads: to a server of the world, or as the system says."""
        try:
            return self._world.host.addresses(name, port)
        except OSError:
            return super().addresses(name, port)

    def run(self, command: Sequence[str], timeout: float, input: bytes = b"") -> Outcome:
        """Reports the command, and that it succeeded."""
        self.log("not-run", command=" ".join(command), because="this is a trial on fake servers")
        return Outcome(0)


def live(page: Page, folder: Path | None) -> int:
    """Runs the program on fake servers until it ends, or until SIGTERM or SIGINT.

    Its settings and its state stay in `folder`. Without one, nothing stays: they name servers that
    are gone by then.
    """
    if folder is None:
        with tempfile.TemporaryDirectory(prefix=f"{page.name}-") as name:
            return live(page, Path(name))
    act = page.acts()[0]
    try:
        with World(_in_real_time(act), source="WORLD") as world:
            trial = page.trial()
            file = _write(world, folder, trial(world) if trial else {})
            for line in (*_warnings(), *_addresses(world)):
                screen.show(line)
            screen.show(f"settings: {file}")
            code = run_live(page, file, once=False, host=CautiousHost(world))
            world.faults.disarm()
            screen.show(f"{page.name} has ended with exit code {code}, and so have the servers.")
            return code
    except WorldError as error:
        raise PageError(act.file, f"act {act.name}: {error}") from None


def keep(performance: Performance) -> None:
    """Serves what an act has left to its people, until SIGTERM or SIGINT."""
    with left(performance) as world:
        # Before anybody is told: who reads that the servers are up may end them at once.
        clock = RealClock()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: clock.stop())
        name = performance.act.name
        screen.show(f"\nThe servers of act {name} are up, with what it left, until Ctrl-C.")
        for line in _addresses(world):
            screen.show(line)
        screen.show(
            "In a mail program or chat client, choose the address, the port and an account."
        )
        clock.wait(None, None)
        clock.close()


@contextmanager
def left(performance: Performance) -> Iterator[World]:
    """Yields a world in real time in which everybody has what an act has left to them."""
    # The faults of the act have struck already.
    config = {**_in_real_time(performance.act), "fault": ()}
    with World(config, source="WORLD") as world:
        world.restore(performance.stored)
        yield world


def _in_real_time(act: Act) -> dict[str, Any]:
    """Returns the configuration of an act's world, with TLS if it is possible here."""
    return {"tls": "optional" if available() else "off", **act.world}


def _write(world: World, folder: Path, more: Mapping[str, Any]) -> Path:
    """Writes the settings file; the program keeps its state beside it. Raises UsageError."""
    settings = merged(world.settings, more)
    # A person may look at the servers for longer than a test does.
    for table in settings.values():
        if "timeout" in table:
            table["timeout"] = 30
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "site.toml"
        file.touch(mode=0o600)
        file.chmod(0o600)  # there are passwords in it
        file.write_text("\n".join(toml(settings)) + "\n", "utf-8", newline="\n")
    except OSError as error:
        raise unwritable(folder, error) from None
    return file


def _warnings() -> Iterator[str]:
    """Yields what a user should know before anything else."""
    yield "Commands such as systemctl are logged, and not run."
    if not available():
        yield f"no TLS: {REMEDY}"


def _addresses(world: World) -> Iterator[str]:
    """Yields where the servers are, and who can log in. Passwords of a WORLD are no secrets."""
    for name, (host, port) in world.listeners.items():
        yield f"{name}: {host} port {port}"
    if world.tls != "off":
        yield f"certificates: signed by {world.ca_file}"
    if {"smtp", "pop3", "xmpp"} & world.listeners.keys():
        for person in world.people:
            also = f", also {', '.join(person.aliases)}" if person.aliases else ""
            login = f"{person.address}, password {person.password}"
            yield f"account: {login}{also}{_has(world, person)}"
    if "toc" in world.listeners:
        for account in world.aim.known:
            yield f"account: {account.screen_name}, password {account.password}"
    if "irc" in world.listeners:
        for person in world.people:
            name = person.address.partition("@")[0]
            yield f"account: {name} on IRC, password {person.password}"
    for name in world.web_names:
        yield f"web server: http://{name}/ (only for the program)"


def _has(world: World, person: Person) -> str:
    """Returns what a user who logs in will find, such as " (2 mails, 1 contact)"."""
    found = {"mail": len(world.mail.inbox(person.address))}
    if "xmpp" in world.listeners and person.address.lower() in world.jabber.accounts:
        contacts = world.jabber.roster(person.address).values()
        found["request"] = sum(contact.asking for contact in contacts)
        found["contact"] = len(contacts) - found["request"]
        found["waiting message"] = len(world.jabber.offline(person.address))
    counts = [counted(number, what) for what, number in found.items() if number]
    return f" ({', '.join(counts)})" if counts else ""


def toml(table: Mapping[str, Any], name: str = "") -> Iterator[str]:
    """Yields the lines of a table of settings."""
    tables = {key: value for key, value in table.items() if isinstance(value, Mapping)}
    values = {key: value for key, value in table.items() if key not in tables}
    if name and (values or not tables):
        yield f"[{name}]"
    for key, value in values.items():
        # Strings, numbers, booleans and lists of them are written in TOML as in JSON.
        yield f"{_key(key)} = {json.dumps(value)}"
    for key, inner in tables.items():
        yield from toml(inner, f"{name}.{_key(key)}" if name else _key(key))


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else json.dumps(name)
