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
from pathlib import Path
from typing import Any

from comms.clock import RealClock
from comms.host import Outcome, RealHost
from fakes.certificates import available
from fakes.config import WorldError
from fakes.world import World
from scenarios import screen
from scenarios.catalogue import Page
from scenarios.errors import PageError, UsageError
from scenarios.live import run_live
from scenarios.rehearsal import Performance


class CautiousHost(RealHost):
    """The user's machine, on which no command is run."""

    def run(self, command: Sequence[str], timeout: float, input: bytes = b"") -> Outcome:
        """Reports the command, and that it succeeded."""
        self.log("not-run", command=" ".join(command), because="this is a trial on fake servers")
        return Outcome(0)


def live(page: Page, folder: Path | None) -> int:
    """Runs the program on fake servers until it ends, or until SIGTERM or SIGINT."""
    act = page.acts()[0]
    config = {"tls": "optional" if available() else "off", **act.world}
    try:
        with World(config, source="WORLD") as world:
            file = _write(page, world, folder)
            for line in _addresses(world):
                screen.show(line)
            screen.show(f"settings: {file}")
            code = run_live(page, file, once=False, host=CautiousHost())
            world.faults.disarm()
            return code
    except WorldError as error:
        raise PageError(act.file, f"act {act.name}: {error}") from None


def keep(page: Page, performance: Performance) -> None:
    """Serves what an act has left in the maildrops, until SIGTERM or SIGINT."""
    act = performance.act
    config = {"tls": "optional" if available() else "off", **act.world}
    with World(config, source="WORLD") as world:
        for address, mails in performance.maildrops.items():
            for mail in mails:
                world.mail.deliver(address, mail.raw, sender=mail.envelope.sender)
        # Before anybody is told: who reads that the servers are up may end them at once.
        clock = RealClock()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: clock.stop())
        screen.show(f"\nThe servers of act {act.name} are up, with its mail, until Ctrl-C.")
        for line in _addresses(world):
            screen.show(line)
        screen.show(
            "In a mail program or chat client, choose the address, the port and an account."
        )
        clock.wait(None, None)
        clock.close()
        world.faults.disarm()


def _write(page: Page, world: World, folder: Path | None) -> Path:
    """Writes the settings file; the program keeps its state beside it. Raises UsageError."""
    settings = world.settings
    # A person may look at the servers for longer than a test does.
    for table in settings.values():
        if "timeout" in table:
            table["timeout"] = 30
    try:
        place = folder or Path(tempfile.mkdtemp(prefix=f"{page.name}-"))
        place.mkdir(parents=True, exist_ok=True)
        file = place / "site.toml"
        file.touch(mode=0o600)
        file.chmod(0o600)  # there are passwords in it
        file.write_text("\n".join(toml(settings)) + "\n", "utf-8", newline="\n")
    except OSError as error:
        raise UsageError(
            f"--out: {folder} cannot be written: {error.strerror}; name another folder"
        ) from None
    return file


def _addresses(world: World) -> Iterator[str]:
    """Yields where the servers are, and who can log in. Passwords of a WORLD are no secrets."""
    for name, (host, port) in world.listeners.items():
        yield f"{name}: {host} port {port}"
    if {"smtp", "pop3", "xmpp"} & world.listeners.keys():
        for person in world.people:
            also = f", also {', '.join(person.aliases)}" if person.aliases else ""
            yield f"account: {person.address}, password {person.password}{also}"
    if "toc" in world.listeners:
        for account in world.aim.known:
            yield f"account: {account.screen_name}, password {account.password}"


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
