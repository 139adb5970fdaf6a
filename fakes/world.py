"""A world: people, their mail, the servers that serve them, time, and a record of the wire.

    with World() as world:              # alice, bob and ops at example.test, password "secret"
        client = smtplib.SMTP(*world.address("smtp"))

    async with World({"mail": {"domains": ["shop.test"]}}) as world: …

The mapping is what `python -m fakes --world FILE.toml` reads from a file; fakes/README.md describes
it. With `rehearsal=True`, time is simulated and each run is the same byte for byte.
"""

from __future__ import annotations

import os
import re
import shutil
import ssl
import sys
import tempfile
import threading
import traceback
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from fakes import certificates
from fakes.bridge import Bridge
from fakes.clock import RealTime, Rehearsal
from fakes.config import Reader, WorldError
from fakes.descriptor import Port, Server
from fakes.drills import DRILLS
from fakes.faults import EVERYWHERE, Fault, FaultError, Faults, UnmetFault
from fakes.host import Event, Tokens
from fakes.life import Life
from fakes.people import Person
from fakes.population import populate
from fakes.servers import SERVERS, protocols
from fakes.shell import Listener, Shell
from fakes.suggest import nearest
from fakes.transcripts.recorder import wire_lines
from fakes.wire import Record, Runtime, Session, Want

__all__ = ["World", "WorldError"]

T = TypeVar("T")
_PORT = re.compile(r"\b(?:127\.0\.0\.1|localhost):(\d+)\b")


class World:
    """People, servers, time, and the record of what happened. Use it as a context manager.

    `with` serves on a thread of the world's, `async with` on the test's own loop. `config` is the
    world file's mapping, all of it optional, and `source` names it in errors. `ports` names the
    only listeners that open, and their port numbers (0: any). `watch` is called with each record
    and event, which are then not kept in `recording`: a server may run for months. `servers` are
    the protocols that there are.

    On leaving, exceptions raised inside a fake are raised, and a fault that nothing has met is an
    UnmetFault. Raises WorldError and FaultError for a configuration that cannot be used.
    """

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        faults: Iterable[Fault | str] = (),
        rehearsal: bool = False,
        token: Callable[[int], str] | None = None,
        host: str = "127.0.0.1",
        ports: Mapping[str, int] | None = None,
        watch: Callable[[Record | Event], None] | None = None,
        servers: Iterable[Server] = SERVERS,
        source: str = "world",
    ) -> None:
        every = tuple(servers)
        self.config = Reader(every, source).read(config or {})
        self.rehearsal = rehearsal
        self.recording: list[Record | Event] = []
        self._watch = watch or self.recording.append
        self._debug = bool(os.environ.get("FAKES_DEBUG"))
        self._time: Rehearsal | RealTime = Rehearsal() if rehearsal else RealTime()
        self._bridge = Bridge()
        self._interface, self._ports = host, dict(ports or {})
        self.servers = self._chosen(every)
        self.faults = Faults(self._vocabulary(), protocols(every), DRILLS)
        self.faults.stage = lambda drill, met: drill.play(self, met)
        self.runtime = Runtime(self._time.now, token or Tokens("server"), self.faults, self._note)
        cast = populate(
            self.config,
            self.runtime,
            self._bridge,
            tell=self.tell,
            add_event=self._add_event,
            spend=self._time.advance,
            jabber_policy=self._policy(self.servers["xmpp"]) if "xmpp" in self.servers else None,
            source=source,
        )
        self.people, self.mail, self.aim = cast.people, cast.mail, cast.aim
        self.jabber, self.host = cast.jabber, cast.host
        self._shell = Shell(self.runtime, self._bridge, self._context, virtual=rehearsal)
        self._shell.on_stop = self.jabber.close
        self._life = Life(self._shell, self._bridge, self._open)
        self._authority: certificates.Authority | None = None
        self._making = threading.Lock()
        self._folder: Path | None = None
        if isinstance(self._time, Rehearsal):
            self._time.attach(self._shell, self._bridge)
        self._check_program(source)
        try:
            self.faults.arm(*self.config.fault)
        except FaultError as error:
            raise WorldError(f"{source}: fault: {error}") from None
        self.faults.arm(*faults)

    def __repr__(self) -> str:
        where = ", ".join(f"{name} {port}" for name, (_, port) in self.listeners.items())
        return f"<World {where or ', '.join(self.servers)}>"

    # ── wiring ───────────────────────────────────────────────────────────────

    def _chosen(self, every: tuple[Server, ...]) -> dict[str, Server]:
        """Returns the servers that the configuration and the ports ask for, by name."""
        names = self.config.servers
        chosen = [server for server in every if names is None or server.name in names]
        if self._ports:
            wanted = set(self._ports)
            chosen = [one for one in chosen if wanted & {port.name for port in one.ports}]
        if names is not None:  # in the order in which they are named
            chosen.sort(key=lambda server: names.index(server.name))
        return {server.name: server for server in chosen}

    def _check_program(self, source: str) -> None:
        """Raises WorldError if `program` names no account. An AIM screen name is one, too."""
        name = self.config.program
        if name and self.people.find(name) is None and self.aim.known.find(name) is None:
            accounts = [person.address for person in self.people]
            accounts += [account.screen_name for account in self.aim.known]
            raise WorldError(
                f"{source}: program: unknown account {name!r}{nearest(name, accounts)}; "
                f"choose from {', '.join(accounts)}"
            )

    def _vocabulary(self) -> dict[str, frozenset[str]]:
        """Returns the places that faults may name, for each protocol of this world."""
        upgrades = [core for server in self.servers.values() for core in server.session.upgrades_to]
        found = {core.protocol: core.vocabulary() - EVERYWHERE for core in upgrades}
        found |= {name: server.session.vocabulary() for name, server in self.servers.items()}
        return found

    def store(self, server: Server) -> Any:
        """Returns what the cores of a server share: `mail`, `aim`, `jabber`, or None."""
        return getattr(self, server.store) if server.store else None

    def _policy(self, server: Server, port: Port | None = None) -> Any:
        overrides = port.policy if port is not None else {}
        settings = {**self.config.policy(server), "tls": self.tls, **overrides}
        return server.configured(settings)

    def _core(self, server: Server, port: Port) -> Callable[[], Session]:
        policy, store = self._policy(server, port), self.store(server)
        return lambda: server.core(self.runtime, store, policy)

    def core(self, listener: str) -> Session:
        """Returns a core without a socket; the caller is its shell (see transcripts/player.py)."""
        for server in self.servers.values():
            for port in server.ports:
                if port.name == listener:
                    return self._core(server, port)()
        raise self._no_listener(listener)

    # ── where things are ─────────────────────────────────────────────────────

    def address(self, listener: str) -> tuple[str, int]:
        """Returns where a server listens: `smtplib.SMTP(*world.address("smtp"))`.

        Raises WorldError if this world has no such listener.
        """
        if listener not in self._shell.listeners:
            raise self._no_listener(listener)
        return self._shell.listeners[listener].address

    def _no_listener(self, name: str) -> WorldError:
        known = list(self._shell.listeners)
        return WorldError(
            f"this world has no listener {name!r}{nearest(name, known)}; "
            f"it has: {', '.join(known) or 'none (it is not running)'}"
        )

    @property
    def listeners(self) -> dict[str, tuple[str, int]]:
        """Every listener's address, by name."""
        return {name: listener.address for name, listener in self._shell.listeners.items()}

    @property
    def folder(self) -> Path:
        """A folder for the program's state, removed with the world."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="world-"))
        return self._folder

    @property
    def program(self) -> Person:
        """The account of the program under test: the world's `program`, else the first person."""
        return self.people.find(self.config.program) or next(iter(self.people))

    @property
    def settings(self) -> dict[str, Any]:
        """What a settings file for this world would hold, for the account of the program."""
        settings: dict[str, Any] = {"scenario": dict(self.config.scenario)}
        timeout = 30 if self.rehearsal else 2  # real time is not to be waited for
        for server in self.servers.values():
            host, port = self.address(server.ports[0].name)
            login = server.login(self.store(server), self.program, self.config.program)
            table = {"host": host, "port": port, "tls": "none", **login, "timeout": timeout}
            if self.tls != "off" and server.secure:
                # The certificate names localhost, so that clients can verify it.
                table |= {"tls": "starttls", "ca_file": str(self.ca_file), "host": "localhost"}
            settings[server.name] = table
        return settings

    @property
    def tls(self) -> str:
        """off, optional or required.

        In a rehearsal it is off unless the configuration says otherwise, so that what is installed
        does not change the run.
        """
        default = "optional" if certificates.available() and not self.rehearsal else "off"
        return self.config.tls or default

    @property
    def ca_file(self) -> Path:
        """The file with the certificate of this world's authority.

        Raises WorldError if trustme is not installed.
        """
        path = self.folder / "ca.pem"
        return path if path.exists() else self._certificates().write(self.folder)

    @property
    def clock(self) -> Rehearsal:
        """The rehearsal's clock, with its cues. Raises WorldError in real time."""
        if not isinstance(self._time, Rehearsal):
            raise WorldError("this world runs on real time; for cues, use World(rehearsal=True)")
        return self._time

    # ── what happened ────────────────────────────────────────────────────────

    @property
    def records(self) -> list[Record]:
        """Everything that crossed the wire so far, in order."""
        return self._bridge.call(lambda: [one for one in self.recording if isinstance(one, Record)])

    @property
    def events(self) -> list[Event]:
        """What happened off the wire: cues, and what the program printed and logged."""
        return self._bridge.call(lambda: [one for one in self.recording if isinstance(one, Event)])

    @property
    def said(self) -> list[str]:
        """The lines that the program printed so far, in order."""
        return [event.text for event in self.events if event.level == "say"]

    def tell(self, who: str, text: str, level: str = "info") -> None:
        """Adds an event to the recording."""
        self._add_event(Event(self._time.now(), who, text, level))

    def _add_event(self, event: Event) -> None:
        """Adds an event, with the names of our ports instead of their numbers.

        Port numbers differ from run to run, and a rehearsal must not. In a rehearsal, what the
        program has written before this event is handled first: otherwise the two would race.
        """
        if isinstance(self._time, Rehearsal) and not self._bridge.here:
            self._time.settle()
        names = {str(one.port): name for name, one in self._shell.listeners.items()}
        text = _PORT.sub(
            lambda match: f"{self.mail.store.host}:{names.get(match[1], match[1])}", event.text
        )
        self._note(replace(event, text=text))

    def _note(self, one: Record | Event) -> None:
        if self._debug:
            for line in wire_lines(one, self.servers.values()):
                print(line, file=sys.stderr)
        self._watch(one)

    # ── what a test does to a world ──────────────────────────────────────────

    def call(self, function: Callable[[], T]) -> T:
        """Calls a function on the loop's thread, where the state of cores may be touched."""
        return self._bridge.call(function)

    def close_port(self, listener: str) -> None:
        """Closes a port, to play an outage; established connections stay."""
        self.address(listener)
        self._bridge.call(lambda: self._shell.close_port(listener))

    def open_port(self, listener: str) -> None:
        """Opens a port again, with the same number."""
        self.address(listener)
        self._bridge.call(lambda: self._shell.listen(self._shell.listeners[listener]))

    def cut(self, protocol: str = "", want: Want = Want.CLOSE) -> int:
        """Ends every connection (of one protocol) at once, and returns how many there were."""

        def cut() -> int:
            connections = list(self._shell.connections)
            hit = [one for one in connections if protocol in ("", one.session.protocol)]
            for connection in hit:
                connection.cut(want)
            return len(hit)

        return self._bridge.call(cut)

    def serve(self, name: str, core: Callable[[], Session]) -> tuple[str, int]:
        """Opens a port for cores of another kind, and returns its address."""
        listener = Listener(name, core, self._interface, protocol=core().protocol)
        self._bridge.call(lambda: self._shell.listen(listener))
        return listener.address

    def run_timers(self) -> None:
        """Runs the services' timers that are due, in a world without a loop."""
        self.runtime.timers.run()

    # ── life ─────────────────────────────────────────────────────────────────

    def __enter__(self) -> World:
        self._life.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        try:
            self._life.stop()
        finally:
            self._remove_folder()
        self._finish(error)

    async def __aenter__(self) -> World:
        self._life.start_here()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        try:
            await self._life.stop_here()
        finally:
            self._remove_folder()
        self._finish(error)

    def _finish(self, error: BaseException | None) -> None:
        """A test that failed is told what broke in the fakes: that is often the reason."""
        if error is None:
            self.check()
            return
        for own in self._shell.errors:
            text = "".join(traceback.format_exception(own)).rstrip()
            error.add_note(f"a fake raised an exception, which may be the cause:\n{text}")

    def check(self) -> None:
        """Raises what was raised inside fakes, or UnmetFault for a fault that was not met."""
        errors = self._shell.errors
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise ExceptionGroup(f"the fakes raised {len(errors)} exceptions", errors)
        unmet = self.faults.unmet()
        if unmet:
            raise UnmetFault(
                f"armed and never met: {'; '.join(map(str, unmet))}\n"
                "Either nothing reached that place (see the transcript), or the fault's arg, user "
                "or nth does not match what did; world.faults.disarm() removes all faults."
            )

    def _open(self) -> None:
        for server in self.servers.values():
            for port in server.ports:
                if self._opens(server, port):
                    number = self._ports.get(port.name, 0)
                    core = self._core(server, port)
                    self._shell.listen(
                        Listener(port.name, core, self._interface, number, port.tls, server.name)
                    )
            if self.faults.may_refuse(server.name) and not self.rehearsal:
                # In real time nothing tells us of the next attempt, so the port is closed at once.
                self.faults.refuses(server.name)
                for port in server.ports:
                    if port.name in self._shell.listeners:
                        self._shell.close_port(port.name)

    def _opens(self, server: Server, port: Port) -> bool:
        if port.tls and self.tls == "off":
            return False
        if self._ports:
            return port.name in self._ports
        return port is server.ports[0]

    def _remove_folder(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _certificates(self) -> certificates.Authority:
        if not certificates.available():
            raise WorldError(certificates.REMEDY)
        with self._making:  # the loop and a test may ask at once, and must get the same authority
            if self._authority is None:
                names = [
                    self.mail.store.host,
                    *self.mail.store.domains,
                    *self.jabber.service.domains,
                ]
                self._authority = certificates.Authority(list(dict.fromkeys(names)))
            return self._authority

    def _context(self, flaw: str) -> ssl.SSLContext:
        return self._certificates().context(flaw)
