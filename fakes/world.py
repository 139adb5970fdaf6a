"""A world: people, their mail, the servers that serve them, time, and a record of the wire.

    with World() as world:              # alice, bob and ops at example.test, password "secret"
        client = smtplib.SMTP(*world.address("smtp"))

    async with World({"mail": {"domains": ["shop.test"]}}) as world: …

The mapping is what `python -m fakes --world FILE.toml` reads from a file; fakes/README.md describes
it. With `rehearsal=True`, time is simulated and each run is the same byte for byte.
"""

from __future__ import annotations

import asyncio
import copy
import os
import traceback
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from fakes import certificates
from fakes.bridge import Bridge
from fakes.clock import RealTime, Rehearsal
from fakes.config import Reader, WorldError, is_address
from fakes.descriptor import Port, Server
from fakes.drills import DRILLS
from fakes.empty import EMPTY
from fakes.faults import Drill, Fault, FaultError, Faults, Places, UnmetFault
from fakes.host import Event, Host, Tokens
from fakes.life import Life
from fakes.loops import loop_factory
from fakes.people import People, Person
from fakes.population import Population, Stored
from fakes.recording import Recording, without_ports
from fakes.servers import SERVERS
from fakes.shell import Listener, Shell
from fakes.suggest import nearest
from fakes.wire import Record, Runtime, Session, Want
from fakes.wiring import Wiring, no_listener

if TYPE_CHECKING:
    from pathlib import Path

    from fakes.arrivals import Arrivals
    from fakes.browser import Browser
    from fakes.irc import Irc
    from fakes.mail_posts import MailPosts
    from fakes.toc import Aim
    from fakes.webhook import Webhook
    from fakes.world_mail import WorldMail
    from fakes.xmpp import Jabber

__all__ = ["World", "WorldError"]

T = TypeVar("T")
SHOWN = 200  # characters of an exception's message, and of what caused it
HTTPS = 443  # the port of addresses that begin with https://

# Called with each world that starts to serve. The pytest plugin shows the wire of all of them.
on_start: list[Callable[[World], None]] = []


class World:
    """People, servers, time, and the record of what happened. Use it as a context manager.

    `with` serves on a thread of the world's, `async with` on the test's own loop. `config` is the
    world file's mapping, all of it optional, and `source` names it in errors. `ports` maps
    listeners' names to port numbers (0: any); then no others open. `watch` is called with each
    record and event instead of keeping them in `recording`. With `records=False`, no record is made
    of what crosses the wire, which is 15 % of what an SMTP mail costs, and only events are watched
    or kept. `servers` are the names of its servers, or the available servers. `loop` is asyncio or
    uvloop (see fakes/loops.py); with `async with`, the one that runs. In `ca_folder`, the authority
    of the certificates is kept for the next world.

    A world keeps everything that happens. A mail costs its size and about 3.5 KiB, a fetch of it
    its size and 1 KiB, a Jabber message 1.3 KiB. With `watch`, a mail that is stored costs 1.2 KiB
    more than its size. A world that runs for months also limits what it keeps ([keep] in the world
    file; fakes/keep.py).

    On leaving, exceptions raised inside a fake are raised, and a fault that nothing has met is an
    UnmetFault. Raises WorldError and FaultError for a configuration that cannot be used.

    Its attributes `people`, `mail`, `faults`, `runtime` and `rehearsal` are documented by their
    classes.

    A key of `config` may also be a keyword: `World(tls="off")`.

    The keys of `config` are those of the world file, which fakes/README.md explains:

    tls, program, servers, off, scenario
    host: name, processes, services, commands
    mail: domains, catch_all, trap, accept_any, post_to, login, relay, unknown, size, recipients,
        bad_logins, lenient, greylist, bare_addresses, raw_utf8, bare_lf, auth_535,
        data_without_recipients, ehlo, hang_up_on_http, scram, login_delay, withhold_utf8,
        seen_by_retr, bad_commands_before_login, several_sessions, capa_without_logins,
        extra_arguments, ignore_initial_response, wrong_login_text, wrong_login_delay, auth_code,
        auth_lists
    xmpp: domains, conflict, wrong_from, unknown_recipient, subscribe_unknown, iq_without_id,
        several_resources, unknown_recipient_headline, missing_resource, missing_resource_headline,
        roster_pushes, acknowledge_requests, delay_presence, strict_iq, plus_on_tls13,
        sasl2_in_clear, anonymous, stanza_ids, peers, peer_ca, neighbours, denied, stanza,
        resources, offline, archive, archive_bytes, archive_page, attempts, upload, upload_quota,
        upload_kept, web_url, upload_authorization, node_creators, components, admins,
        contact_addresses, external_services, on
    keep: arrivals, mail, maildrops, greylist
    person: address, password, aliases, quota, login_delay, contacts, folders
    aim: screen_name, password, buddies, profile
    fault: where, protocol, arg, user, nth, times, refuse, reply, hang_up, reset, after, stall,
        delay, split, bandwidth, lost, off, certificate, probability, seed, above, per, optional
    imap: size, bad_commands, preauth, literal_minus, lenient_utf8, lenient_syntax, bare_lf,
        bad_commands_before_login, ignore_initial_response, starttls_pipelined, empty_enabled,
        examine_permits, rename_inbox, store_answers, removed_mails, unknown_literals, fewer_codes,
        broken_types, wrong_login_delay, scram
    toc: init_done, reject_second_init_done, sequence, command, unavailable, rate_limit, keep_alive,
        one_frame_per_write
    irc: name, password, oper, casemapping, motd, locked, cut, utf8only, notices, cookie, sasl_once,
        nickserv, flood, registration, ping, pong
    webhook: hosts
    manners: smtp, pop3, imap, xmpp
    """

    people: People
    mail: WorldMail
    faults: Faults
    runtime: Runtime
    rehearsal: bool

    def __init__(
        self,
        config: Mapping[str, Any] | None = None,
        *,
        faults: Iterable[Fault | str] | Fault = (),
        rehearsal: bool = False,
        token: Callable[[int], str] | None = None,
        host: str | Mapping[str, Any] = "127.0.0.1",
        ports: Mapping[str, int] | None = None,
        watch: Callable[[Record | Event], None] | None = None,
        records: bool = True,
        servers: Iterable[Server | str] = SERVERS,
        source: str = "world",
        loop: str | None = None,
        ca_folder: Path | str | None = None,
        **keys: Any,
    ) -> None:
        if not isinstance(config, Mapping | None):
            raise WorldError(
                f'{source}: expected a mapping, found {config!r}; write {{"tls": "off"}} or '
                'tls="off", or of a file tomllib.loads(path.read_text("utf-8"))'
            )
        given = servers if isinstance(servers, str) else tuple(servers)
        if not given or any(isinstance(one, str) for one in given):
            keys["servers"], given = given, SERVERS
        every = cast("tuple[Server, ...]", given)
        if not isinstance(host, str):  # the table [host], not an interface
            keys["host"], host = host, "127.0.0.1"
        # Keywords that are not arguments are in `keys`; one of them may be a misspelt argument.
        arguments = (World.__init__.__kwdefaults__ or ()) if keys else ()
        self.config = Reader(every, source, arguments).read({**(config or {}), **keys})
        self._check_tls(source)
        self.rehearsal = rehearsal
        try:
            new_loop = loop_factory(loop, rehearsal=rehearsal)
        except ValueError as error:
            raise WorldError(f"{source}: {error}") from None
        self._source = source
        self._time: Rehearsal | RealTime = Rehearsal() if rehearsal else RealTime()
        self._bridge = Bridge()
        self._interface = host
        self._wiring = Wiring(every, self.config, ports or EMPTY, self.tls)
        self._recording = Recording(watch, every)
        now, tokens = self._time.now, token or Tokens("server")
        self.faults = _Faults(self, now)
        self.runtime = Runtime(now, tokens, self.faults, self._recording.taker(records))
        xmpp, irc = self.servers.get("xmpp"), self.servers.get("irc")
        # Both are further ports of that server.
        if xmpp is None and not self.servers.keys().isdisjoint(("component", "xmpp-server")):
            xmpp = next((one for one in every if one.name == "xmpp"), None)
        self._population = Population(
            self.config,
            self.runtime,
            self._bridge,
            tell=self.tell,
            jabber_policy=self._wiring.policy(xmpp) if xmpp else None,
            irc_policy=self._wiring.policy(irc) if irc else None,
            served=self.servers,
            web=self._web_url if self._jabber_has_web() else None,
            source=source,
        )
        self.people, self.mail = self._population.people, self._population.mail
        if "smtp" not in self.servers:
            self.mail.unserved = str(self._wiring.no_server("smtp"))
        self._posts = self._mail_posts(source)
        self._shell = Shell(self.runtime, self._bridge, self._authority, virtual=rehearsal)
        if watch is not None:  # who watches may go on for months, and must not learn it at the end
            self._shell.on_failure = self._failed
        self._life = Life(self._shell, new_loop, loop)
        self._signs: certificates.Authority | None = None
        self._folder: Path | None = None
        self._ca_folder: Path | None = None
        if ca_folder is not None:
            from pathlib import Path

            self._ca_folder = Path(ca_folder)
        self._browsers = 0  # that people have
        self._web_aliases: tuple[str, ...] = ()  # of the web server, in a rehearsal
        if isinstance(self._time, Rehearsal):
            self._time.attach(self._shell, self._bridge)
        self._check_accounts(source)
        try:
            self.faults.arm(*self.config.fault)
        except FaultError as error:
            raise WorldError(f"{source}: fault: {error}") from None
        self.faults.arm(*([faults] if isinstance(faults, str | Fault) else faults))

    def __repr__(self) -> str:
        where = ", ".join(f"{name} {port}" for name, (_, port) in self.listeners.items())
        return f"<World {where or ', '.join(self.servers)}>"

    if not TYPE_CHECKING:  # else a misspelt attribute would be one for type checkers, too

        def __getattr__(self, name: str) -> Any:
            if name in {server.name for server in SERVERS}:
                raise AttributeError(f'a World has no {name!r}; write world.address("{name}")')
            return object.__getattribute__(self, name)

    # ── wiring ───────────────────────────────────────────────────────────────

    @property
    def aim(self) -> Aim:
        """All of AIM: accounts, who is online, IMs, and users who act without a client.

        Raises WorldError if this world has no such server, and no AIM accounts of its own.
        """
        if not self.config.aim:
            self._check_server("toc")
        return self._population.aim

    @property
    def irc(self) -> Irc:
        """All of IRC: users, channels, messages, and people who act without a client.

        Raises WorldError if this world has no such server.
        """
        self._check_server("irc")
        return self._population.irc

    @property
    def jabber(self) -> Jabber:
        """All of Jabber: its state, the stanzas that were sent, and users who act in a test.

        Raises WorldError if this world has no such server.
        """
        if not {"component", "xmpp-server"} & self.servers.keys():  # further ports of that server
            self._check_server("xmpp")
        return self._population.jabber

    @property
    def webhook(self) -> Webhook:
        """What was posted to the web server, and what it answers.

        Raises WorldError if this world has no such server.
        """
        self._check_server("webhook")
        return self._population.webhook

    @cached_property
    def host(self) -> Host:
        """The machine that the program under test runs on."""
        return self._population.new_host(self._add_event, self._time.advance, self._leads_here)

    @property
    def arrivals(self) -> list[Arrivals[Any]]:
        """The records of what has arrived, of mail and of what else this world has used so far."""
        return self._bridge.call(self._population.arrivals)

    def add_person(self, address: str, password: str = "secret", **account: Any) -> Person:
        """Opens an account for mail and Jabber; `account` are further fields of Person.

        Raises ValueError if the address has one already, or is none, and for a wrong field.
        """
        if not is_address(address):
            raise ValueError(f'{address!r} is not an address; write "alice@example.test"')
        given = {name: value for name, value in account.items() if value is not None}
        table = {"address": address, "password": password, **given}
        [person] = Reader((), "add_person").read({"person": [table]}).person
        self._bridge.call(lambda: self.people.add(person))
        for contact, subscription in person.contacts.items():
            self._population.jabber.befriend(address, contact, subscription)
        return person

    @property
    def servers(self) -> Mapping[str, Server]:
        """The servers of this world, by name."""
        return self._wiring.servers

    def _check_server(self, name: str) -> None:
        if name not in self.servers and name not in self._wiring.within_reach:
            raise self._wiring.no_server(name)

    def _check_tls(self, source: str) -> None:
        """Raises WorldError if TLS is demanded and certificates cannot be made here."""
        if self.config.tls in ("optional", "required") and not certificates.available():
            raise WorldError(
                f"{source}: tls: {self.config.tls!r} is not possible here; {certificates.REMEDY}, "
                'or write tls = "off"'
            )

    def _check_accounts(self, source: str) -> None:
        """Raises WorldError for a name that is of no account. For `program`, AIM has some, too."""
        addresses = [person.address for person in self.people]

        def unknown(key: str, name: str, accounts: Collection[str]) -> WorldError:
            return WorldError(
                f"{source}: {key}: unknown account {name!r}{nearest(name, accounts)}; "
                f"choose from {', '.join(accounts)}"
            )

        name = self.config.program
        if (
            name
            and self.people.find(name) is None
            and self._population.aim.known.find(name) is None
        ):
            screen_names = [account.screen_name for account in self._population.aim.known]
            raise unknown("program", name, [*addresses, *screen_names])
        tables = self.config.switches
        preauth = tables.get("imap", {}).get("preauth")
        if preauth and self.people.find(preauth) is None:
            raise unknown("imap.preauth", preauth, addresses)
        local_parts = dict.fromkeys(address.partition("@")[0] for address in addresses)
        for name in tables.get("irc", {}).get("locked", ()):
            if name not in local_parts:
                raise unknown("irc.locked", name, local_parts)

    def _mail_posts(self, source: str) -> MailPosts | None:
        """Returns what posts each mail that arrives, if anything does. Raises WorldError."""
        url = self.config.mail.post_to
        if not url:
            return None
        from fakes.mail_posts import MailPosts

        try:
            if self.rehearsal:
                raise ValueError("not in a rehearsal, whose program is told by world.host")
            posts = MailPosts(url, self._warn)
        except ValueError as error:
            raise WorldError(f"{source}: mail.post_to: {error}") from None
        self.mail.on_arrival = posts.add
        return posts

    def _warn(self, text: str) -> None:
        self._recording.add(Event(self._time.now(), "world", text, "warning"))

    def _failed(self, error: Exception, session: Session | None) -> None:
        """Tells who watches what was raised in a fake, in one line without secrets."""
        last = traceback.extract_tb(error.__traceback__)[-1]
        unit = session.current if session is not None else None
        # The message of an exception may repeat what the client sent.
        said = "" if unit is not None and unit.secrets else " ".join(str(error).split())[:SHOWN]
        text = f"a fake raised {type(error).__name__}{said and f': {said}'}"
        text += f" ({os.path.basename(last.filename)}:{last.lineno})"
        if session is not None:
            text += f" in {session!r}"
        if unit is not None:
            text += f" while it handled {unit.verb}: {unit.shown()[:SHOWN]!r}"
        self._warn(f"{text}; its client was cut off" if session is not None else text)

    def store(self, server: Server) -> Any:
        """Returns what the cores of a server share: `mail`, `aim`, `jabber`, or None."""
        return getattr(self, server.store) if server.store else None

    def _core(self, server: Server, port: Port) -> Callable[[], Session]:
        policy, store = self._wiring.policy(server, port), self.store(server)
        return server.factory(self.runtime, store, policy)

    def core(self, listener: str) -> Session:
        """Returns a core without a socket; the caller is its shell (see transcripts/player.py)."""
        return self._core(*self._wiring.find(listener))()

    # ── where things are ─────────────────────────────────────────────────────

    def address(self, listener: str) -> tuple[str, int]:
        """Returns where a server listens: `smtplib.SMTP(*world.address("smtp"))`.

        The first port of each server is open from the start. Each other one, such as smtps or
        imaps, opens when it is first asked for. Raises WorldError if this world has no such
        listener.
        """
        if listener not in self._shell.listeners:
            if not self._life.running:
                raise no_listener(listener, {})
            server, port = self._wiring.may_open(listener)

            def open_once() -> None:  # another thread may have asked at the same time
                if listener not in self._shell.listeners:
                    self._listen(server, port, 0)

            self._bridge.call(open_once)
        return self._shell.listeners[listener].address

    @property
    def listeners(self) -> dict[str, tuple[str, int]]:
        """Every listener's address, by name."""
        return {name: listener.address for name, listener in self._shell.listeners.items()}

    @property
    def folder(self) -> Path:
        """A folder for the program's state, removed with the world."""
        if self._folder is None:
            import tempfile
            from pathlib import Path

            self._folder = Path(tempfile.mkdtemp(prefix="world-"))
        return self._folder

    @property
    def program(self) -> Person:
        """The account of the program under test: the world's `program`, else the first person."""
        return self.people.find(self.config.program) or next(iter(self.people))

    @property
    def settings(self) -> dict[str, Any]:
        """What a settings file for this world would hold, for the account of the program."""
        settings: dict[str, Any] = {"scenario": copy.deepcopy(self.config.scenario)}
        timeout = 30 if self.rehearsal else 2  # seconds; in real time a test should fail soon
        for server in self.servers.values():
            if server.login is None:
                continue
            host, port = self.address(server.ports[0].name)
            login = server.login(self.store(server), self.program, self.config.program)
            table = {"host": host, "port": port, "tls": "none", **login, "timeout": timeout}
            if self.tls != "off" and server.secure:
                # The certificate names localhost, so that clients can verify it.
                table |= {"tls": "starttls", "ca_file": str(self.ca_file), "host": "localhost"}
            settings[server.name] = table
        return settings

    @property
    def web_names(self) -> tuple[str, ...]:
        """The names of the world's web server; none if there is no such server."""
        server = self.servers.get("webhook")
        names: tuple[str, ...] = self._wiring.policy(server).hosts if server is not None else ()
        return names

    def _leads_here(self, name: str, port: int) -> tuple[str, int] | None:
        """Where a name and port of the world's web server lead; None for other names."""
        if name not in (*self.web_names, *self._web_aliases):
            return None
        return self.address("webhook-tls" if port == HTTPS else "webhook")

    def _jabber_has_web(self) -> bool:
        """Whether Jabber has a web server: in a world that has both, or may open it."""
        return "xmpp" in self.servers and "webhook" in self._wiring.within_reach

    def _web_url(self, name: str) -> str:
        """Returns the address of the web server, which opens if it is not open yet.

        In a rehearsal that is a name that leads there, because port numbers differ from run to run.
        Called on the loop's thread.
        """
        secure = self.tls != "off" and self._wiring.opens("webhook-tls")
        scheme, port = ("https", "webhook-tls") if secure else ("http", "webhook")
        if self.rehearsal:
            self._web_aliases = tuple(dict.fromkeys((*self._web_aliases, name)))
            return f"{scheme}://{name}"
        host, number = self.address(port)
        host = "localhost" if secure else f"[{host}]" if ":" in host else host
        return f"{scheme}://{host}:{number}"

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
        folder = self._ca_folder or self.folder
        if self._ca_folder is None and (folder / "ca.pem").exists():
            return folder / "ca.pem"
        return self._bridge.call(self._authority).write(folder)

    def _authority(self) -> certificates.Authority:
        """What signs the certificates of this world. Asked for on the loop's thread only."""
        if self._signs is None:
            self._signs = self._new_authority()
        return self._signs

    def _new_authority(self) -> certificates.Authority:
        domains = [*self.mail.store.domains]
        if "xmpp" in self.servers:
            domains += self.jabber.service.domains
        names = [self.mail.store.host, *domains, *self.web_names]
        authority = certificates.Authority(names, self._ca_folder)
        if "xmpp-server" in self.servers:
            policy = self.jabber.service.policy
            if policy.neighbours:
                authority.trust(authority.pem.decode())
            if policy.peer_ca:
                from pathlib import Path

                try:
                    authority.trust(certificates.authorities(Path(policy.peer_ca)))
                except ValueError as error:
                    raise WorldError(f"{self._source}: xmpp: peer_ca: {error}") from None
        return authority

    @property
    def clock(self) -> Rehearsal:
        """The rehearsal's clock, with its cues. Raises WorldError in real time."""
        if not isinstance(self._time, Rehearsal):
            raise WorldError("this world runs on real time; for cues, use World(rehearsal=True)")
        return self._time

    # ── what happened ────────────────────────────────────────────────────────

    @property
    def recording(self) -> Sequence[Record | Event]:
        """Everything that happened so far, on the wire and off it, in order."""
        return self._recording.entries

    @property
    def records(self) -> Sequence[Record]:
        """Everything that crossed the wire so far, in order."""
        return self._bridge.call(lambda: self._recording.records)

    @property
    def events(self) -> Sequence[Event]:
        """What happened off the wire: cues, and what the program printed and logged."""
        return self._bridge.call(lambda: self._recording.events)

    @property
    def said(self) -> Sequence[str]:
        """The lines that the program printed so far, in order."""
        return self._bridge.call(lambda: self._recording.said)

    def tell(self, who: str, text: str, level: str = "info") -> None:
        """Adds an event to the recording."""
        self._add_event(Event(self._time.now(), who, text, level))

    def browser(self, person: str) -> Browser:
        """Returns the web browser of a person; each one has its own address of the network."""
        from fakes.browser import Browser

        def record(text: str) -> None:
            self._add_event(Event(self._time.now(), person, text, target="program"))

        self._browsers += 1
        address = f"198.51.100.{self._browsers}"  # a network that is for examples only
        return Browser(address, lambda: self.host.site, record)

    def _add_event(self, event: Event) -> None:
        # In a rehearsal, what the program has written before this event is handled first:
        # otherwise the two would race.
        if isinstance(self._time, Rehearsal) and not self._bridge.here:
            self._time.settle()
        names = {one.port: name for name, one in self._shell.listeners.items()}
        self._recording.add(without_ports(event, self.mail.store.host, names))

    # ── what a test does to a world ──────────────────────────────────────────

    def call(self, function: Callable[[], T]) -> T:
        """Calls a function on the loop's thread, where the state of cores may be touched."""
        return self._bridge.call(function)

    @property
    def stored(self) -> Stored:
        """What the servers store for their users, for `restore` of another world.

        That is what outlives connections: mail, rosters and requests, messages that wait, AIM
        accounts with their buddies. It is a copy. Who is online, and what has happened, is not in
        it.
        """
        return self._bridge.call(self._population.stored)

    def restore(self, stored: Stored) -> None:
        """Takes over what another world with the same accounts has stored."""
        self._bridge.call(lambda: self._population.restore(stored))

    def close_port(self, listener: str) -> None:
        """Closes a port, to play an outage; established connections stay."""
        self.address(listener)
        self._bridge.call(lambda: self._shell.close_port(listener))

    def open_port(self, listener: str) -> None:
        """Opens a port again, with the same number. Does nothing if it is open."""
        self.address(listener)

        def open_again() -> None:
            # A fault that refuses connections closes and opens the port, too.
            if self._shell.listeners[listener].socket is None:
                self._shell.listen(self._shell.listeners[listener])

        self._bridge.call(open_again)

    def skip(self, seconds: float) -> None:
        """In real time, sets the servers' clock ahead: what waits for that time happens at once.

        Raises WorldError in a rehearsal, whose clock has cues.
        """
        if not isinstance(self._time, RealTime):
            raise WorldError("skip: a rehearsal has a clock of its own; use world.clock.advance")
        if not 0 <= seconds < 1e9:
            raise WorldError(f"skip: {seconds} is not possible; write a number of seconds")
        time = self._time

        def skip() -> None:
            time.skip(seconds)
            self._shell.clock_was_set()

        self._bridge.call(skip)

    def cut(self, protocol: str = "", want: Want = Want.CLOSE) -> int:
        """Ends every connection (of one protocol) at once, and returns how many there were.

        Raises WorldError if this world does not know the protocol.
        """
        if protocol and protocol not in self.faults.vocabulary:
            raise WorldError(
                f"cut: unknown protocol {protocol!r}{nearest(protocol, self.faults.vocabulary)}; "
                f"this world has: {', '.join(self.faults.vocabulary)}"
            )

        def cut() -> int:
            connections = list(self._shell.connections)
            hit = [one for one in connections if protocol in ("", one.session.protocol)]
            for connection in hit:
                connection.cut(want)
            return len(hit)

        return self._bridge.call(cut)

    def serve(self, name: str, core: Callable[[], Session], port: int = 0) -> tuple[str, int]:
        """Opens a port for cores of another kind, and returns its address. Raises OSError."""
        listener = Listener(name, core, self._interface, port, protocol=core().protocol)
        self._bridge.call(lambda: self._shell.listen(listener))
        return listener.address

    def run_timers(self) -> None:
        """Runs the services' timers that are due, in a world without a loop."""
        self.runtime.timers.run()

    # ── life ─────────────────────────────────────────────────────────────────

    def __enter__(self) -> World:
        self._check_not_running()
        self._life.start(self._open)
        self._started()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        try:
            if self._posts is not None:
                self._posts.close()
            self._life.stop(self._population.close)
        finally:
            self._remove_folder()
        self._finish(error)

    async def __aenter__(self) -> World:
        self._check_not_running()
        try:
            self._life.check_loop()
        except ValueError as error:
            raise WorldError(f"world: {error}") from None
        await self._life.start_here(self._open)
        self._started()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        try:
            if self._posts is not None:
                # Not here: the program that is called may be on this loop.
                await asyncio.to_thread(self._posts.close)
            await self._life.stop_here(self._population.close)
        finally:
            self._remove_folder()
        self._finish(error)

    @property
    def running(self) -> bool:
        """Whether its servers run."""
        return self._life.running

    def _check_not_running(self) -> None:
        if self.running:  # the fixtures do
            raise WorldError("this world is running; use it without a further `with`")

    def _started(self) -> None:
        for notify in on_start:
            notify(self)

    def _finish(self, error: BaseException | None) -> None:
        """Adds the fakes' exceptions to the error of a test that failed: they may be the cause."""
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
            all = self._shell.failures
            kept = f"; these are the first {len(errors)}" if all > len(errors) else ""
            raise ExceptionGroup(f"the fakes raised {all} exceptions{kept}", errors)
        unmet = self.faults.unmet()
        if unmet:
            raise UnmetFault(
                f"armed and never met: {'; '.join(map(str, unmet))}\n"
                "Either nothing reached that place (see the transcript), or the fault's arg, user "
                "or nth does not match what did; world.faults.disarm() removes all faults."
            )

    def _open(self) -> None:
        for server, port, number in self._wiring.listeners():
            self._listen(server, port, number)

    def _listen(self, server: Server, port: Port, number: int) -> None:
        core = self._core(server, port)
        listener = Listener(port.name, core, self._interface, number, port.tls, server.name)
        if server.verifies:
            listener.names = self.jabber.service.domains
            self.runtime.connect = self._shell.connect
        self._shell.listen(listener)
        if server.verifies:
            self._open_neighbours(server)
        if not self.rehearsal and self.faults.may_refuse(server.name):
            self._refuse(server.name)

    def _open_neighbours(self, server: Server) -> None:
        """Opens a port for each neighbour, and tells all servers of this world where they are."""
        stores = {**self._population.neighbours}
        for domain, jabber in stores.items():
            core = server.factory(self.runtime, jabber, jabber.service.policy)
            name = f"{server.name} {domain}"
            listener = Listener(name, core, self._interface, protocol=server.name)
            listener.names = jabber.service.domains
            self._shell.listen(listener)
        addresses = {
            name: listener.address
            for listener in self._shell.listeners.values()
            for name in listener.names
        }
        for jabber in (self.jabber, *stores.values()):
            jabber.links.meet(addresses)

    def neighbour(self, domain: str) -> Jabber:
        """Another XMPP server of this world, as `xmpp.neighbours` names it. Raises LookupError."""
        found = self._population.neighbours
        if domain not in found:
            known = ", ".join(found) or "none"
            raise LookupError(
                f"no neighbour {domain!r}{nearest(domain, found)}; there are: {known}"
            )
        return found[domain]

    def link(self, other: World) -> None:
        """Lets the XMPP servers of two worlds find and verify each other."""
        for here, there in ((self, other), (other, self)):
            domains, address = there.jabber.service.domains, there.address("xmpp-server")
            here.jabber.links.meet(dict.fromkeys(domains, address), recorded=True)
            if "off" not in (here.tls, there.tls):
                here._authority().trust(there._authority().pem.decode())

    def _refuse(self, protocol: str) -> None:
        self.faults.refuses(protocol)
        for port in self.servers[protocol].ports:
            if port.name in self._shell.listeners:
                self._shell.close_port(port.name)

    def _remove_folder(self) -> None:
        if self._folder is not None:
            import shutil

            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


class _Faults(Faults):
    """The faults of a world, which plays drills, and closes and opens ports."""

    __slots__ = ("_world",)

    def __init__(self, world: World, now: Callable[[], float]) -> None:
        super().__init__(catalogue=DRILLS, now=now)
        self._world = world

    @property
    def vocabulary(self) -> Mapping[str, Places]:
        return self._world._wiring.vocabulary()

    @property
    def protocols(self) -> Collection[str]:
        return self._world._wiring.names

    def stage(self, drill: Drill, met: Callable[[], None]) -> None:
        drill.play(self._world, met)

    def on_armed(self, fault: Fault) -> None:
        """In real time, a `refuse` fault closes the ports when it is armed."""
        world = self._world
        if not fault.refuse or world.rehearsal:
            return
        if fault.nth or fault.times:
            raise FaultError(
                f"{fault}: in real time, attempts at a closed port cannot be counted; leave out "
                "nth and times, and use world.close_port and world.open_port"
            )
        if world.listeners:
            world.call(lambda: world._refuse(fault.protocol))

    def on_disarmed(self, fault: Fault) -> None:
        """In real time, the ports of a `refuse` fault open again."""
        world = self._world
        if fault.refuse and not world.rehearsal and not self.may_refuse(fault.protocol):
            for port in world.servers[fault.protocol].ports:
                if port.name in world.listeners:
                    world.open_port(port.name)
