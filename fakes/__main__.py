"""The command `python -m fakes`: real servers on real ports, until SIGTERM, SIGINT or SIGHUP.

When everything listens, one line of JSON on stdout says where. What crosses the wire goes to
stderr, with secrets masked.
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import gc
import io
import json
import os
import re
import signal
import socket
import sys
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from fakes import certificates
from fakes.config import WorldError, text_of
from fakes.control import Control, is_local
from fakes.descriptor import Port
from fakes.faults import FaultError
from fakes.host import Event
from fakes.keep import FOR_MONTHS
from fakes.people import Person
from fakes.servers import SERVERS
from fakes.suggest import nearest
from fakes.transcripts.recorder import wire_lines
from fakes.wire import Record
from fakes.world import World

PORTS: tuple[Port, ...] = tuple(port for server in SERVERS for port in server.ports)
_ALSO = {"xmpp-server": ("--xmpp-s2s",), "component": ("--xmpp-component",)}  # as others say
USAGE = 2  # exit code
ASKED_FOR = 1000  # mails, stanzas and IMs each that the control API can be asked for
_OF_A_BYTE = b"abcdefghijklmnopqrstuvwxyz234567" * 8  # the character of a token for each byte


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves until it is stopped, and returns the exit code."""
    _open_standard_files()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # what its encoding lacks is escaped
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(arguments)
    try:
        if options.control is None and options.control_token_env is not None:
            raise WorldError("--control-token-env: there is no control API; add --control PORT")
        watch = _Watch(options.quiet)
        with _world(options, watch) as world:
            if options.trap is not None:
                _trap(world, options.trap)
            for folder in options.preload:
                _preload(world, folder)
            if options.control is not None:
                watch.control = Control(world, _control_token(options))
                world.serve("control", watch.control.session, options.control)
            return _serve(world, options)
    except (WorldError, FaultError) as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.strerror or error}; {_remedy(error)}", file=sys.stderr)
    return USAGE


def _open_standard_files() -> None:
    """Opens stdin, stdout and stderr if they are closed.

    Otherwise a socket would get one of their numbers, and be taken for it.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


class _Parser(argparse.ArgumentParser):
    """Reports a wrong option in one line, without what follows it: that may be a password."""

    def error(self, message: str) -> NoReturn:
        known = [option for action in self._actions for option in action.option_strings]
        hint = ""
        if wrong := re.match(r"unrecognized arguments: (--[^\s=]+)?", message):
            message = wrong[0] if wrong[1] else "an argument belongs to no option"
            hint = nearest(wrong[1] or "", known)
        message = re.sub(r"(?s)(ambiguous option: [^\s=]+)=.*(?= could match )", r"\1", message)
        self.exit(USAGE, f"error: {message}{hint}; {self.prog} --help lists the options\n")


def _remedy(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "stop the other server, or use port 0"
    if error.errno == errno.EACCES:
        return "use a port above 1023, or port 0"
    return "name another address with --host"


def _port(text: str) -> int:
    """A port number, for argparse."""
    if not (text.isascii() and text.isdecimal()) or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; write a number from 0 to 65535")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m fakes",
        description=(__doc__ or "").splitlines()[0],
        epilog="Without a port option, every server starts on its default port. With any, only the "
        "named ones start. Port 0 is any free port.",
    )
    add = parser.add_argument
    for port in PORTS:
        names = (f"--{port.name}", *_ALSO.get(port.name, ()))
        add(*names, metavar="PORT", type=_port, help=f"default {port.number}")
    add("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    add("--domain", metavar="NAME", action="append", default=[], help="a domain of these servers")
    add("--user", metavar="NAME@DOMAIN:PASSWORD", action="append", default=[], help="an account")
    add(
        "--aim",
        metavar="'SCREEN NAME:PASSWORD'",
        action="append",
        default=[],
        help="an AIM account",
    )
    add("--irc-name", metavar="NAME", help="the name of the IRC server")
    add("--irc-password", metavar="PASSWORD", help="what IRC clients must send by PASS")
    add(
        "--irc-oper",
        metavar="NAME:PASSWORD",
        action="append",
        default=[],
        help="an operator of the IRC network",
    )
    add(
        "--accept-any",
        choices=["logins", "recipients", "both"],
        help="take any login to the mail servers, mail for any address, or both",
    )
    add(
        "--component-host",
        metavar="DOMAIN:SECRET",
        action="append",
        default=[],
        help="a domain that a component may serve (XEP-0114)",
    )
    add("--world", metavar="FILE.toml", type=Path, help="a file with all this and more")
    add(
        "--tls",
        choices=["off", "optional", "required"],
        help="STARTTLS and STLS (default optional)",
    )
    add(
        "--fault", metavar="TEXT", action="append", default=[], help="a fault, such as 'RCPT reset'"
    )
    add(
        "--trap",
        metavar="FILE",
        type=Path,
        help="take mail for any address, append it to this text file, and serve it over POP3 and "
        "IMAP to the first account (default trap@example.test, password trap)",
    )
    add(
        "--post-to",
        metavar="URL",
        help="post each mail that arrives, as JSON, to a program on this machine",
    )
    add(
        "--control",
        metavar="PORT",
        type=_port,
        help="serve the control API by HTTP (fakes/README.md), for tests in other languages",
    )
    add(
        "--control-token-env",
        metavar="NAME",
        help="the environment variable with the token that the control API asks for",
    )
    add(
        "--preload",
        metavar="FOLDER",
        type=Path,
        action="append",
        default=[],
        help="deliver FOLDER/ADDRESS/*.eml before anything is served",
    )
    add(
        "--ca-dir",
        metavar="FOLDER",
        type=Path,
        help="keep the authority of the certificates here, so that clients can go on trusting it",
    )
    add(
        "--settings",
        metavar="FILE",
        type=Path,
        help="write the settings of a program that uses these servers, such as a scenario's",
    )
    add("--port-file", metavar="FILE", type=Path, help="a file to write the JSON line to as well")
    add("--quiet", action="store_true", help="do not show the wire on stderr")
    return parser


class _Watch:
    """What is done with each record and event as it happens."""

    def __init__(self, quiet: bool) -> None:
        self._show = _show_warning if quiet else _show
        self.control: Control | None = None

    def __call__(self, one: Record | Event) -> None:
        try:
            self._show(one)
        except OSError:  # nobody reads stderr any more, or its disk is full: the servers go on
            with open(os.devnull, "wb") as nothing:
                os.dup2(nothing.fileno(), 2)
        if self.control is not None:
            self.control.watch(one)


def _control_token(options: argparse.Namespace) -> str:
    """Returns the token of the control API, "" without one. Raises WorldError."""
    name = options.control_token_env
    if name is None:
        if not is_local(options.host):
            raise WorldError(
                f"--control: everybody who can reach {options.host} could use it; name the "
                "environment variable with a token: --control-token-env NAME"
            )
        return ""
    token = os.environ.get(name, "")
    if not token:
        raise WorldError(
            "--control-token-env: the environment has no variable of this name; set it to a long "
            "random text"
        )
    return token


def _world(options: argparse.Namespace, watch: _Watch) -> World:
    """Returns the world that the options describe. Raises WorldError and FaultError."""
    config = _read(options.world) if options.world is not None else {}
    for text in options.user:
        address, colon, password = text.partition(":")
        if not colon or not address:
            # The text is not repeated, because it may be the password. So with the other options.
            raise WorldError(
                "--user: not a name and a password; write NAME@DOMAIN:PASSWORD, or NAME:PASSWORD"
            )
        if "@" not in address:
            address = f"{address}@{_first_domain(options, config)}"
        _append(config, "person", {"address": address, "password": password})
    for text in options.aim:
        name, colon, password = text.partition(":")
        if not colon:
            raise WorldError("--aim: not a name and a password; write 'SCREEN NAME:PASSWORD'")
        _append(config, "aim", {"screen_name": name, "password": password})
    _set_irc(options, config)
    _set_components(options, config)
    mail = config.get("mail", {})
    if isinstance(mail, dict):  # else the world reports the mistake
        domains = {"domains": options.domain} if options.domain else {}
        trap = {"trap": True} if options.trap is not None else {}
        both = ["logins", "recipients"]
        named_ones = both if options.accept_any == "both" else [options.accept_any]
        accept_any = {"accept_any": named_ones} if options.accept_any else {}
        post_to = {"post_to": options.post_to} if options.post_to is not None else {}
        config["mail"] = {**mail, **domains, **trap, **accept_any, **post_to}
    if options.trap is not None and "person" not in config:
        _append(config, "person", {"address": "trap@example.test", "password": "trap"})
    named = {
        port.name: number
        for port in PORTS
        if (number := getattr(options, port.name.replace("-", "_"))) is not None
    }
    keep = config.get("keep", {})
    if isinstance(keep, dict):
        kept = dataclasses.asdict(FOR_MONTHS)
        if options.control is not None:
            kept["arrivals"] = ASKED_FOR
        config["keep"] = {**kept, **keep}
    config["tls"] = options.tls or config.get("tls", "optional")
    if not certificates.available() and config["tls"] in ("optional", "required"):
        _without_tls(options, config["tls"], named)
        config["tls"] = "off"
    has_tls = config["tls"] != "off"
    ports = named or {port.name: port.number for port in PORTS if has_tls or not port.tls}
    world = World(
        config,
        faults=options.fault,
        host=options.host,
        ports=ports,
        token=_token,
        watch=watch,
        records=not options.quiet or options.control is not None,
        source=str(options.world or "world"),
        ca_folder=options.ca_dir.absolute() if options.ca_dir is not None else None,
    )
    for server in SERVERS:
        for port in server.ports:
            if port.name in named and server.name not in world.servers:
                wanted = json.dumps([*config["servers"], server.name])
                raise WorldError(
                    f"{options.world}: servers: {server.name} is missing for --{port.name}; "
                    f"write servers = {wanted}, or leave the option out"
                )
    return world


def _first_domain(options: argparse.Namespace, config: dict[str, Any]) -> str:
    """The domain of accounts that are named without one."""
    mail = config.get("mail", {})
    domains = [*options.domain, *(mail.get("domains", ()) if isinstance(mail, dict) else ())]
    people = config.get("person", [])
    for person in people if isinstance(people, list) else ():
        if isinstance(person, dict) and "@" in str(person.get("address", "")):
            domains.append(str(person["address"]).rpartition("@")[2])
    return str(domains[0]) if domains else "example.test"


def _set_irc(options: argparse.Namespace, config: dict[str, Any]) -> None:
    """Adds the options of the IRC server to its table. Raises WorldError."""
    for text in options.irc_oper:
        if not text.partition(":")[2]:
            raise WorldError("--irc-oper: not a name and a password; write NAME:PASSWORD")
    given = {
        "name": options.irc_name,
        "password": options.irc_password,
        "oper": options.irc_oper,
    }
    table = config.get("irc", {})
    if isinstance(table, dict) and any(given.values()):  # else the world reports the mistake
        config["irc"] = {**table, **{key: value for key, value in given.items() if value}}


def _set_components(options: argparse.Namespace, config: dict[str, Any]) -> None:
    """Adds the domains of components to the table of the XMPP server. Raises WorldError."""
    given = {}
    for text in options.component_host:
        domain, _, secret = text.partition(":")
        if not domain or not secret:
            raise WorldError("--component-host: not a domain and a secret; write DOMAIN:SECRET")
        given[domain] = secret
    table = config.get("xmpp", {})
    known = table.get("components", {}) if isinstance(table, dict) else None
    if given and isinstance(known, dict):  # else the world reports the mistake
        config["xmpp"] = {**table, "components": {**known, **given}}


def _trap(world: World, path: Path) -> None:
    """Appends mail to a file. Raises WorldError."""
    try:
        world.mail.append_to(path)
    except OSError as error:
        raise WorldError(
            f"--trap: {path}: {error.strerror}; name a file in a folder that exists and can be "
            "written"
        ) from None


def _preload(world: World, folder: Path) -> None:
    """Delivers the mails in a folder, in the order of their names. Raises WorldError."""
    try:
        next(folder.iterdir(), None)  # raises if there is no such folder
        mails = [(path, path.read_bytes()) for path in sorted(folder.glob("*/*.eml"))]
    except OSError as error:
        raise WorldError(
            f"--preload: {error.filename}: {error.strerror}; name mails that can be read"
        ) from None
    if not mails:
        raise WorldError(
            f"--preload: {folder}: no mails; put them into folders that are named after accounts: "
            f"{folder}/alice@example.test/first.eml"
        )
    for path, raw in mails:
        # Lines end in LF in files, and in CRLF in mails (RFC 5322 §2.1).
        message = raw if b"\r\n" in raw else raw.replace(b"\n", b"\r\n")
        try:
            world.mail.deliver(path.parent.name, message)
        except LookupError as error:
            raise WorldError(f"--preload: {path}: {error}") from None


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(text_of(path))
    except OSError as error:
        raise WorldError(
            f"{path}: cannot be read: {error.strerror}; write the path of a readable file"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WorldError(f"{path}: is not TOML: {error}; correct this place") from None


def _append(config: dict[str, Any], name: str, table: dict[str, str]) -> None:
    """Adds an account to those of the world file, whose own mistakes are reported later."""
    accounts = config.get(name, [])
    config[name] = [*accounts, table] if isinstance(accounts, list) else accounts


def _without_tls(options: argparse.Namespace, tls: str, named: dict[str, int]) -> None:
    """Says once that there is no TLS. Raises WorldError if the user demands it."""
    inside = [port.name for port in PORTS if port.tls and port.name in named]
    if tls == "required":
        where = "--tls required" if options.tls else f'{options.world}: tls = "required"'
        raise WorldError(f"{where}: {certificates.REMEDY}")
    if inside:
        raise WorldError(f"--{inside[0]}: {certificates.REMEDY}")
    print(f"no TLS: {certificates.REMEDY}", file=sys.stderr)


def _token(length: int) -> str:
    # Five bits a character. Ten calls of secrets.choice would cost as much as a command.
    return os.urandom(length).translate(_OF_A_BYTE).decode()


def _show(one: Record | Event) -> None:
    _show_warning(one)
    for line in wire_lines(one):
        print(line, file=sys.stderr)


def _show_warning(one: Record | Event) -> None:
    """Shows that something was dropped, which `--quiet` must not hide."""
    if isinstance(one, Event) and one.level == "warning":
        print(one.text, file=sys.stderr)


def _serve(world: World, options: argparse.Namespace) -> int:
    where = {name: list(address) for name, address in world.listeners.items()}
    ca = str(world.ca_file) if world.tls != "off" else None
    line = json.dumps({"ready": True, **where, "ca": ca})
    # What was made so far lives as long as the process. To look for garbage in it again and again
    # took a tenth of the processor time of a connection that brings one mail.
    gc.freeze()
    # Before anybody is told: who reads that the servers are up may end them at once.
    with _stop_signals() as stop:
        if options.settings is not None:
            _write("--settings", options.settings, _as_toml(world.settings), 0o600)
        if options.port_file is not None:
            _write("--port-file", options.port_file, line + "\n")
        try:
            print(line, flush=True)
            if sys.stdout is not None and sys.stdout.isatty():
                print(_explained(world), flush=True)
        except OSError as error:
            raise WorldError(
                f"stdout: cannot be written: {error.strerror}; write the line to a file with "
                "--port-file, and stdout to /dev/null"
            ) from None
        stop.recv(1)
    world.faults.disarm()  # whether a fault was met is a question for tests
    return 0


def _write(option: str, path: Path, text: str, mode: int = 0o666) -> None:
    """Writes a file, which has these permissions if it is new. Raises WorldError."""
    try:
        path.touch(mode)
        path.write_text(text, "utf-8", newline="\n")
    except OSError as error:
        raise WorldError(
            f"{option}: {path}: {error.strerror}; name a file in a folder that exists and can be "
            "written"
        ) from None


def _as_toml(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """Returns tables of texts, numbers and lists as a settings file."""
    tables = []
    for name, table in settings.items():
        lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in table.items()]
        tables += ["\n".join([f"[{name}]", *lines, ""])] if lines else []
    return "\n".join(tables)


def _explained(world: World) -> str:
    """Returns what a person at a terminal needs to know."""
    width = max(map(len, world.listeners), default=0)
    lines = [f"  {name:{width}}  {host} {port}" for name, (host, port) in world.listeners.items()]
    lines.append("")
    usual = Person("").password  # any other is not shown
    for person in world.people:
        known = f" (password {usual})" if person.password == usual else ""
        lines.append(f"  {person.address}{known}")
    if "smtp" in world.listeners:
        host, port = world.listeners["smtp"]
        to = next(iter(world.people)).address
        command = (
            f"curl smtp://{host}:{port} --mail-from you@example.org --mail-rcpt {to} --crlf -T -"
        )
        lines += ["", f"  Try: printf 'Subject: hi\\n\\nhello\\n' | {command}"]
    if "control" in world.listeners:
        host, port = world.listeners["control"]
        lines.append(f"  Look: http://{host}:{port}/")
    return "\n".join([*lines, "", "  Ctrl-C ends it.", ""])


@contextmanager
def _stop_signals() -> Iterator[socket.socket]:
    """Yields a socket that has a byte to read as soon as a signal to stop has come.

    An Event set by a handler is not enough: a handler waits for the main thread, which waits for
    the Event if the system delivered the signal to another thread; and a handler that interrupts
    the main thread just before it waits needs the lock that this thread holds.
    """
    reading, writing = socket.socketpair()
    with reading, writing:
        writing.setblocking(False)
        before = signal.set_wakeup_fd(writing.fileno())
        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: None)  # set_wakeup_fd does the work
            # Its terminal is closed. nohup ignores that, and Windows does not have it.
            hangup = getattr(signal, "SIGHUP", None)
            if hangup is not None and signal.getsignal(hangup) == signal.SIG_DFL:
                signal.signal(hangup, lambda *_: None)
            yield reading
        finally:
            signal.set_wakeup_fd(before)


if __name__ == "__main__":
    raise SystemExit(main())
