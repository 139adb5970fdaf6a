"""A world: people, their mail, the servers that serve them, time, and a record of all that crossed the wire.

    with World() as world:                    # real time; alice, bob and ops at example.test, password "secret"
        client = smtplib.SMTP(*world.address("smtp"))

    async with World({"mail": {"domains": ["shop.test"]}}) as world: …

The same mapping is the world file of `python -m fakes --world FILE.toml`. `rehearsal=True` gives simulated time, and a
run that is the same octet for octet each time.
"""

from __future__ import annotations

import asyncio
import difflib
import re
import shutil
import ssl
import tempfile
import threading
import types
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from fakes import certificates
from fakes.bridge import Bridge
from fakes.clock import RealTime, Rehearsal
from fakes.faults import EVERYWHERE, Fault, Faults, UnmetFault, from_mapping
from fakes.host import Command, Event, Host, Tokens
from fakes.mailstore import Mailstore
from fakes.people import People, Person
from fakes.pop3 import Policy as Pop3Policy
from fakes.pop3 import Pop3
from fakes.server import Listener, Shell
from fakes.smtp import Policy, Smtp
from fakes.toc import Account, Aim, Toc
from fakes.toc import Policy as TocPolicy
from fakes.toc.lists import is_name
from fakes.wire import Kit, Record, Session, Want
from fakes.xmpp import SWITCHES, Jabber, Xmpp

T = TypeVar("T")
PASSWORD = "secret"
DEFAULT_SCREEN_NAMES = ("alice", "bob", "ops")
DEFAULT_PEOPLE = ("alice@example.test", "bob@example.test", "ops@example.test")
_PORT = re.compile(r"\b(?:127\.0\.0\.1|localhost):(\d+)\b")
STOP = 5.0  # real seconds that a world takes to stop before it complains

# The world file: table → key → what it holds.
_TABLES: dict[str, dict[str, type | tuple[type, ...]]] = {
    "person": {"address": str, "password": str, "aliases": list, "quota": int, "login_delay": int,
               "contacts": dict},
    "mail": {
        "domains": list, "catch_all": list, "unknown": str, "relay": str, "login": str, "size": int,
        "recipients": int, "shuns_http": bool, "login_delay": int,
    },
    "host": {"name": str, "processes": list, "services": list, "commands": list},
    "aim": {"screen_name": str, "password": str, "buddies": dict, "profile": str},
    "toc": {
        "init_done": (int, float), "one_init_done": bool, "sequence": bool, "command": int, "unavailable": bool,
        "rate_limit": bool, "keep_alive": (int, float), "one_frame_a_write": bool,
    },
    "xmpp": {"domains": list, **{name: kind for name, (kind, _) in SWITCHES.items()}},
    "off": {"smtp": list, "pop3": list, "xmpp": list},
    "fault": {},
    "scenario": {},
}  # fmt: skip
_SCALARS: dict[str, type] = {"tls": str, "program": str, "servers": list}
_CHOICES = {
    "tls": ("off", "optional", "required"),
    "unknown": ("reject", "bounce"),
    "relay": ("keep", "refuse", "login"),
    "login": ("optional", "required"),
    **{name: words for name, (_, words) in SWITCHES.items() if words},
}
# The listeners of each server: name → whether it is inside TLS from the first octet.
LISTENERS: dict[str, dict[str, bool]] = {
    "smtp": {"smtp": False, "submission": False, "smtps": True},
    "pop3": {"pop3": False, "pop3s": True},
    "toc": {"toc": False},
    "xmpp": {"xmpp": False, "xmpps": True},
}
CORES: dict[str, type[Session]] = {"smtp": Smtp, "pop3": Pop3, "toc": Toc, "xmpp": Xmpp}


class WorldError(ValueError):
    """A world file, or mapping, that cannot be used; the text names the key and the remedy."""


class World:
    """People, servers, time, and the record. Use it as a context manager; `async with` serves on the test's own loop.

    `config` is the world file's mapping, all of it optional; `watch` is shown what happens instead of `recording`;
    `ports` names the only listeners that open, and where (0: anywhere). On leaving, an exception in a fake is raised, and
    so is a fault that was armed and never met. Raises WorldError and FaultError at once for what cannot be.
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
    ) -> None:
        self.config = _checked(config or {})
        self.rehearsal = rehearsal
        self.recording: list[Record | Event] = []
        self._note = watch or self.recording.append  # watched, it is not kept: a server may run for months
        self._time: Rehearsal | RealTime = Rehearsal() if rehearsal else RealTime()
        self._bridge = Bridge()
        people = self.config.get("person") or [{"address": address} for address in DEFAULT_PEOPLE]
        self.people = People(_person(table) for table in people)
        mail = self.config.get("mail", {})
        domains = list(mail.get("domains") or dict.fromkeys(p.address.rpartition("@")[2] for p in self.people))
        self.mail = Mailstore(
            self.people, domains=domains, catch_all=mail.get("catch_all", ()), now=self._time.now, bridge=self._bridge
        )
        screen_names = self.config.get("aim") or [{"screen_name": name} for name in DEFAULT_SCREEN_NAMES]
        try:
            self.aim = Aim(map(_account, screen_names), now=self._time.now, bridge=self._bridge, tell=self.tell)
        except ValueError as error:
            raise WorldError(f"aim: {error}") from None
        machine = self.config.get("host", {})
        self.host = Host(machine.get("name", f"host.{domains[0]}"), self._time.now, self._tell, self._time.advance)
        for name in machine.get("processes", ()):
            self.host.add(name)
        for name in machine.get("services", ()):
            self.host.service(name)
        for table in machine.get("commands", ()):
            self.host.commands[tuple(table.get("run", ()))] = _command(table)
        self._servers = [
            server for server in self.config.get("servers", CORES) if not ports or set(ports) & set(LISTENERS[server])
        ]
        heirs = [heir for server in self._servers for heir in CORES[server].heirs]
        vocabulary = {heir.protocol: heir.vocabulary() - EVERYWHERE for heir in heirs}
        vocabulary |= {server: CORES[server].vocabulary() for server in self._servers}
        self.faults = Faults(vocabulary=vocabulary)
        self.kit = Kit(self._time.now, token or Tokens("server"), self.faults, self._note)
        self.jabber = self._jabber()
        self._shell = Shell(self.kit, self._bridge, self._context, virtual=rehearsal)
        self._shell.on_shut = self.jabber.close
        self._authority: certificates.Authority | None = None
        self._making = threading.Lock()
        self._folder: Path | None = None
        self._host, self._ports = host, dict(ports or {})
        self._thread: threading.Thread | None = None
        if isinstance(self._time, Rehearsal):
            self._time.attach(self._shell, self._bridge)
        self.faults.stage = lambda drill, met: drill.play(self, met)
        self.faults.arm(*(from_mapping(table) for table in self.config.get("fault", ())), *faults)

    # ── where things are ─────────────────────────────────────────────────────────────────────────────────────────

    def address(self, listener: str) -> tuple[str, int]:
        """Where a server listens: `smtplib.SMTP(*world.address("smtp"))`."""
        return self._shell.listeners[listener].address

    @property
    def listeners(self) -> dict[str, tuple[str, int]]:
        """Every port of this world."""
        return {name: listener.address for name, listener in self._shell.listeners.items()}

    @property
    def folder(self) -> Path:
        """A folder for the program's state, gone with the world."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="world-"))
        return self._folder

    @property
    def program(self) -> Person:
        """The account that the program has: the world's `program`, else the first person's."""
        return self.people.find(str(self.config.get("program", ""))) or next(iter(self.people))

    @property
    def settings(self) -> dict[str, Any]:
        """What a settings file for this world would hold, for the account `program` (else the first person's)."""
        program = self.program
        table = {"user": program.address, "password": program.password, "timeout": 30 if self.rehearsal else 2}
        settings: dict[str, Any] = {"scenario": dict(self.config.get("scenario", {}))}
        for server in self._servers:
            host, port = self.address(server)
            if server == "toc":
                settings["toc"] = {
                    "host": host,
                    "port": port,
                    "tls": "none",
                    **self._screen_name(),
                    "timeout": table["timeout"],
                }
                continue
            settings[server] = {"host": host, "port": port, "tls": "none", **table}
            if server == "xmpp":
                settings[server]["jid"] = settings[server].pop("user")
            if self.tls != "off":
                settings[server] |= {"tls": "starttls", "ca_file": str(self.ca_file), "host": "localhost"}
        return settings

    def _screen_name(self) -> dict[str, str]:
        """The AIM account that the program uses: the one that `program` names, else the first."""
        account = self.aim.known.find(str(self.config.get("program", ""))) or next(iter(self.aim.known))
        return {"screen_name": account.screen_name, "password": account.password}

    @property
    def tls(self) -> str:
        """off, optional or required. A rehearsal has none unless its config says so: what is installed changes nothing."""
        default = "optional" if certificates.available() and not self.rehearsal else "off"
        return str(self.config.get("tls", default))

    @property
    def ca_file(self) -> Path:
        """The file with the certificate of this world's authority. Raises WorldError when trustme is missing."""
        path = self.folder / "ca.pem"
        return path if path.exists() else self._certificates().write(self.folder)

    @property
    def clock(self) -> Rehearsal:
        """The rehearsal's clock: the program's, and the play's with its cues. Raises WorldError on real time."""
        if not isinstance(self._time, Rehearsal):
            raise WorldError("this world runs on real time; cues need World(rehearsal=True)")
        return self._time

    # ── what happened ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def records(self) -> list[Record]:
        """Everything that crossed the wire so far, in order."""
        return self._bridge.call(lambda: [one for one in self.recording if isinstance(one, Record)])

    @property
    def events(self) -> list[Event]:
        """What happened off the wire: cues, what the program said and logged."""
        return self._bridge.call(lambda: [one for one in self.recording if isinstance(one, Event)])

    @property
    def said(self) -> list[str]:
        """The lines that the program printed, in order."""
        return [event.text for event in self.events if event.level == "say"]

    # ── what a test does to it ───────────────────────────────────────────────────────────────────────────────────

    def call(self, do: Callable[[], T]) -> T:
        """Does something on the loop's thread, where the state of cores may be touched; gives its result."""
        return self._bridge.call(do)

    def tell(self, who: str, text: str, level: str = "info") -> None:
        """Puts an event into the recording."""
        self._tell(Event(self._time.now(), who, text, level))

    def _tell(self, event: Event) -> None:
        """Keeps an event; in place of our ports, which differ from run to run, stand their names.

        In a rehearsal what the program wrote before it said this is handled first: else the two would race.
        """
        if isinstance(self._time, Rehearsal) and not self._bridge.here:
            self._time.settle()
        names = {str(listener.port): name for name, listener in self._shell.listeners.items()}
        text = _PORT.sub(lambda match: f"{self.mail.host}:{names.get(match[1], match[1])}", event.text)
        self._note(replace(event, text=text))

    def silence(self, listener: str) -> None:
        """Closes a port, to play an outage; what is connected stays connected."""
        self._bridge.call(lambda: self._shell.silence(listener))

    def reopen(self, listener: str) -> None:
        """Opens a port again, the same one."""
        self._bridge.run(self._shell.listen(self._shell.listeners[listener]))

    def cut(self, protocol: str = "", want: Want = Want.CLOSE) -> int:
        """Ends every connection (of one protocol) at once; says how many."""

        def cut() -> int:
            hit = [one for one in self._shell.connections if protocol in ("", one.session.protocol)]
            for connection in hit:
                connection.cut(want)
            return len(hit)

        return self._bridge.call(cut)

    def serve(self, name: str, core: Callable[[], Session]) -> tuple[str, int]:
        """Opens a port for cores of another kind, a protocol of one's own; says where."""
        listener = Listener(name, core, self._host, protocol=core().protocol)
        self._bridge.run(self._shell.listen(listener))
        return listener.address

    def core(self, listener: str) -> Session:
        """A core of this world without a socket: the caller is its shell (see transcript.py)."""
        return self._core(listener)()

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def __enter__(self) -> World:
        loop = self._shell.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="world", daemon=True)
        try:
            if _on_a_loop():  # an async test that wants a world of its own thread
                self._thread.start()
                self._bridge.attach(loop, self._thread.ident or 0)
                self._bridge.run(self._open())
            else:  # each hand-over between threads costs more than opening a port: open first, then start
                loop.run_until_complete(self._open())
                self._thread.start()
                self._bridge.attach(loop, self._thread.ident or 0)
        except BaseException:
            self._stop_thread()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        try:
            self._stop_thread()
        finally:
            self._tidy()
        if error is None:
            self.complain()

    async def __aenter__(self) -> World:
        self._shell.loop = asyncio.get_running_loop()
        self._bridge.attach(self._shell.loop, threading.get_ident())
        await self._open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        try:
            await asyncio.wait_for(self._shell.shut(), STOP)
        except TimeoutError:
            raise RuntimeError(f"the world did not stop within {STOP:g} s, held by {self._shell.holder}") from error
        finally:
            self._tidy()
        if error is None:
            self.complain()

    def complain(self) -> None:
        """Raises the first exception of a fake, or UnmetFault for a fault that was armed and never met."""
        if self._shell.errors:
            raise self._shell.errors[0]
        unmet = self.faults.unmet()
        if unmet:
            raise UnmetFault(
                "armed and never met: " + "; ".join(map(str, unmet)) + "\nEither nothing reached that place "
                "(look at the transcript), or its arg, user or nth fits nothing that did; world.faults.disarm() forgets it."
            )

    async def _open(self) -> None:
        for server in self._servers:
            for name, implicit in LISTENERS[server].items():
                if self._ports and name not in self._ports:
                    continue
                if (implicit and self.tls == "off") or (not self._ports and name != server):
                    continue
                await self._shell.listen(
                    Listener(name, self._core(name), self._host, self._ports.get(name, 0), implicit, server)
                )
            if self.faults.may_refuse(server) and not self.rehearsal:
                self.faults.refuses(server)
                for name in LISTENERS[server]:
                    if name in self._shell.listeners:
                        self._shell.silence(name)

    def _core(self, listener: str) -> Callable[[], Session]:
        server = next(server for server, names in LISTENERS.items() if listener in names)
        return _CORES[server](self, listener)

    def _smtp(self, listener: str) -> Callable[[], Session]:
        mail = self.config.get("mail", {})
        policy = Policy(
            tls=self.tls,
            login="required" if listener == "submission" else mail.get("login", "optional"),
            off=frozenset(self.config.get("off", {}).get("smtp", ())),
            **{key: mail[key] for key in ("relay", "unknown", "size", "recipients", "shuns_http") if key in mail},
        )
        return lambda: Smtp(self.kit, self.mail, policy)

    def _pop3(self, listener: str) -> Callable[[], Session]:
        policy = Pop3Policy(
            tls=self.tls,
            login_delay=self.config.get("mail", {}).get("login_delay", 0),
            off=frozenset(self.config.get("off", {}).get("pop3", ())),
        )
        return lambda: Pop3(self.kit, self.mail, policy)

    def _toc(self, listener: str) -> Callable[[], Session]:
        policy = TocPolicy(**self.config.get("toc", {}))
        return lambda: Toc(self.kit, self.aim, policy)

    def _jabber(self) -> Jabber:
        off = self.config.get("off", {}).get("xmpp", ())
        try:
            return Jabber(
                self.kit, self.people, config=self.config.get("xmpp"), domains=self.mail.domains, tls=self.tls, off=off,
                bridge=self._bridge, tell=self.tell,
            )  # fmt: skip
        except ValueError as error:
            raise WorldError(f"xmpp: {error}") from None

    def _xmpp(self, listener: str) -> Callable[[], Session]:
        return lambda: Xmpp(self.kit, self.jabber.service)

    def _stop_thread(self) -> None:
        """Closes everything and ends the loop's thread. Raises RuntimeError, naming who holds it, when it does not end."""
        loop, thread = self._shell.loop, self._thread
        assert thread is not None

        async def end() -> None:
            await self._shell.shut()
            loop.stop()

        if thread.is_alive():
            loop.call_soon_threadsafe(lambda: loop.create_task(end()))
            thread.join(STOP)
            if thread.is_alive():
                raise RuntimeError(f"the world did not stop within {STOP:g} s, held by {self._shell.holder}")
        loop.close()

    def _tidy(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _certificates(self) -> certificates.Authority:
        if not certificates.available():
            raise WorldError(certificates.REMEDY)
        with self._making:  # asked for by the loop and by a test at once, it must be the same
            if self._authority is None:
                self._authority = certificates.Authority(
                    list(dict.fromkeys([self.mail.host, *self.mail.domains, *self.jabber.service.domains]))
                )
            return self._authority

    def _context(self, flaw: str) -> ssl.SSLContext:
        return self._certificates().context(flaw)


def _on_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _command(table: Mapping[str, Any]) -> Command:
    known: dict[str, type | tuple[type, ...]] = {"run": list, "output": str, "takes": (int, float), "code": int}
    if not table.get("run"):
        raise WorldError('a command of the host needs its words: run = ["df", "-k"]')
    for key, value in table.items():
        if key not in known:
            raise WorldError(f"host.commands has no key {key!r}{_nearest(key, known)}; it has: {', '.join(known)}")
        _check(f"host.commands.{key}", value, known[key])
    return Command(**{key: value for key, value in table.items() if key != "run"})


def _person(table: Mapping[str, Any]) -> Person:
    if "@" not in str(table.get("address", "")):
        raise WorldError(f"a person needs an address like alice@example.test, not {table.get('address')!r}")
    return Person(
        table["address"],
        table.get("password", PASSWORD),
        tuple(table.get("aliases", ())),
        table.get("quota"),
        table.get("login_delay"),
        dict(table.get("contacts", {})),
    )


def _account(table: Mapping[str, Any]) -> Account:
    """An AIM account. Raises WorldError."""
    name = table.get("screen_name", "")
    try:
        fits = is_name(name) and bool(name.encode("latin-1"))
    except UnicodeEncodeError:
        fits = False
    if not fits:
        raise WorldError(f"aim.screen_name is a name like OpsBot: Latin-1, no colon, at most 48 characters; not {name!r}")
    account = Account(name, table.get("password", PASSWORD), profile=table.get("profile", ""))
    for group, buddies in table.get("buddies", {}).items():
        if not isinstance(buddies, list) or not all(isinstance(buddy, str) and is_name(buddy) for buddy in buddies):
            raise WorldError(f'aim.buddies of {name} holds groups: {{ Admins = ["SysAdmin"] }}, not {group} = {buddies!r}')
        account.lists.groups[group] = {}
        for buddy in buddies:
            account.lists.add_buddy(group, buddy)
    if account.lists.full:
        raise WorldError(f"aim.buddies of {name}: more than fit one message of TOC (8,185 octets)")
    return account


def _checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping, if every key is known and holds what it should. Raises WorldError."""
    known = [*_TABLES, *_SCALARS]
    for name, value in config.items():
        if name in _SCALARS:
            _check(name, value, _SCALARS[name])
        elif name not in _TABLES:
            raise WorldError(f"a world has no {name!r}{_nearest(name, known)}; it has: {', '.join(known)}")
        elif name in ("person", "aim", "fault"):
            if not isinstance(value, list) or not all(isinstance(table, Mapping) for table in value):
                raise WorldError(f"{name} is a list of tables: write [[{name}]]")
            for table in value:
                _check_table(name, table)
        elif not isinstance(value, Mapping):
            raise WorldError(f"{name} is a table: write [{name}]")
        else:
            _check_table(name, value)
    for server in config.get("servers", ()):
        if server not in CORES:
            raise WorldError(f"servers: there is no {server!r}{_nearest(server, CORES)}; there is: {', '.join(CORES)}")
    for server, names in config.get("off", {}).items():
        for capability in names:
            if capability not in CORES[server].capabilities:
                every = sorted(CORES[server].capabilities)
                raise WorldError(
                    f"off.{server}: there is no capability {capability!r}{_nearest(capability, every)}; "
                    f"there is: {', '.join(every)}"
                )
    return dict(config)


def _check_table(name: str, table: Mapping[str, Any]) -> None:
    keys = _TABLES[name]
    for key, value in table.items():
        if not keys:
            return
        if key not in keys:
            raise WorldError(f"{name} has no key {key!r}{_nearest(key, keys)}; it has: {', '.join(keys)}")
        _check(f"{name}.{key}", value, keys[key])


def _check(name: str, value: object, kind: type | tuple[type, ...]) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        wanted = kind.__name__ if isinstance(kind, type) else " or ".join(one.__name__ for one in kind)
        raise WorldError(f"{name} is a {wanted}, not {value!r}")
    choices = _CHOICES.get(name.rpartition(".")[2])
    if choices and value not in choices:
        raise WorldError(f"{name} is {' or '.join(choices)}, not {value!r}")


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


# How each server's cores are made: (world, listener) → the maker of one core a connection.
_CORES: dict[str, Callable[[World, str], Callable[[], Session]]] = {
    "smtp": World._smtp,
    "pop3": World._pop3,
    "toc": World._toc,
    "xmpp": World._xmpp,
}
