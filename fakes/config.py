"""The world file, or the same as a mapping: read into dataclasses and checked against them.

Which keys a table has, what they hold and which words they accept is written in one place: the
fields and annotations of the dataclasses, here and in the protocols' policies. Every mistake is a
WorldError with one line: where, what is wrong, what to write instead.
"""

from __future__ import annotations

import dataclasses
import errno
import math
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, NewType, TypeVar

from fakes.descriptor import Server
from fakes.empty import EMPTY
from fakes.faults import Fault, FaultError
from fakes.keep import EVERYTHING, Keep
from fakes.people import Person
from fakes.suggest import nearest

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
ROOM = 1 << 24  # bytes of a world file, or of one that it names
_NOTHING: frozenset[str] = frozenset()
# Limits that 0 does not switch off.
_MAIL_LIMITS = ("mail.size", "mail.recipients", "mail.bad_logins")
# Logins to a mail server in which the password never crosses the wire.
_CHALLENGES = frozenset({"APOP", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"})
_LIMITS = (*_MAIL_LIMITS, "xmpp.stanza", "xmpp.resources", "xmpp.attempts", "toc.command")
Signed = NewType("Signed", int)  # a number that may be negative; all others may not


def _type_hints(kind: Any) -> Mapping[str, Any]:
    return _evaluated(kind)


@cache  # evaluating annotations took a quarter of the time in which a World was made
def _evaluated(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)


class WorldError(ValueError):
    """A world file, or mapping, that cannot be used; the text names the key and the remedy.

    It is one line: what a key or a value has that cannot be printed is escaped.
    """

    def __str__(self) -> str:
        text = super().__str__()
        if text.isprintable():
            return text
        return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


@dataclass(frozen=True)
class MailTable:
    """[mail]: the domains of the mail server. The policies of SMTP and POP3 add their switches."""

    domains: tuple[str, ...] = ()
    catch_all: tuple[str, ...] = ()
    trap: bool = False  # mail for any address reaches the first account, and no other
    accept_any: tuple[Literal["logins", "recipients"], ...] = ()  # "recipients": catch_all = ["*"]
    post_to: str = ""  # a URL of this machine to which each mail that arrives is posted as JSON


@dataclass(frozen=True)
class JabberTable:
    """[xmpp]: the domains of the XMPP server. Its policy adds its switches."""

    domains: tuple[str, ...] = ()


@dataclass(frozen=True)
class AimTable:
    """[[aim]]: an AIM account. `buddies` maps a group to screen names."""

    screen_name: str
    password: str = "secret"
    buddies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    profile: str = ""


@dataclass(frozen=True)
class CommandTable:
    """[[host.commands]]: a command of the host. `takes` is in seconds of the world's clock."""

    run: tuple[str, ...]
    output: str = ""
    takes: float = 0.0
    code: Signed = Signed(0)  # negative for a signal


@dataclass(frozen=True)
class HostTable:
    """[host]: the machine that the program under test runs on."""

    name: str = ""
    processes: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    commands: tuple[CommandTable, ...] = ()


@dataclass(slots=True)
class Config:
    """A world file that has been read. Everything in it is optional."""

    tls: Literal["off", "optional", "required"] | None = None
    program: str = ""  # the account of the program under test
    servers: tuple[str, ...] | None = None
    person: tuple[Person, ...] = ()
    aim: tuple[AimTable, ...] = ()
    host: HostTable = HostTable()
    mail: MailTable = MailTable()
    xmpp: JabberTable = JabberTable()
    keep: Keep = EVERYTHING
    manners: Mapping[str, str] = EMPTY  # server → whose manners it has
    fault: tuple[str | Fault, ...] = ()  # a text, or a table with the fields of a fault
    off: Mapping[str, tuple[str, ...]] = EMPTY  # server → capabilities
    scenario: Mapping[str, Any] = EMPTY  # not checked: for the program
    switches: Mapping[str, dict[str, Any]] = EMPTY  # table → of policies

    def policy(self, server: Server) -> dict[str, Any]:
        """Returns the values that the file has for a server's policy.

        What the table [mail] says counts for IMAP, too, unless the table [imap] says otherwise.
        """
        off = self.off.get(server.name)
        names = frozenset(off) if off else _NOTHING  # shared, because an empty set takes 216 bytes
        if "logins" in self.mail.accept_any and server.store == "mail":
            names |= _CHALLENGES  # their answers say nothing without the password
        tables = (server.store, server.table)
        switches = {
            key: value for name in tables for key, value in self.switches.get(name, {}).items()
        }
        manners = server.manners[self.manners[server.name]] if server.name in self.manners else {}
        if "off" in manners:
            names |= manners["off"]
        return {**manners, **switches, "off": names}


class Reader:
    """Reads one world file.

    `source` names it in errors. `arguments` may be meant by a key that is unknown, too.
    """

    def __init__(
        self, servers: Sequence[Server], source: str = "world", arguments: Iterable[str] = ()
    ) -> None:
        self._servers = servers
        self.source = source
        self._arguments = arguments

    def read(self, config: Mapping[str, Any]) -> Config:
        """Returns the configuration. Raises WorldError."""
        hints = _type_hints(Config)
        tables = {server.table for server in self._servers if server.table}
        known = list(dict.fromkeys([*(name for name in hints if name != "switches"), *tables]))
        found = Config()
        for name, value in config.items():
            if name not in known:
                raise self._unknown_key("", name, dict.fromkeys([*known, *self._arguments]))
            if name == "scenario":
                found.scenario = dict(self._table(name, value))
            elif name == "off":
                found.off = self._off(value)
            elif name == "manners":
                found.manners = self._manners(value)
            elif name in tables:
                self._read_switches(found, name, value, hints.get(name))
            else:
                setattr(found, name, self._value(name, value, hints[name]))
                if name in ("person", "aim") and not value:
                    remedy = f"write a table [[{name}]], or leave {name} out for the usual ones"
                    raise self.error(name, "empty", remedy=remedy)
        self._check_values(found)
        for server in found.servers or ():
            names = [one.name for one in self._servers]
            if server not in names:
                raise self.error(
                    "servers", f"unknown server {server!r}{nearest(server, names)}", names
                )
        return found

    def error(
        self, key: str, problem: str, choices: Iterable[str] = (), remedy: str = ""
    ) -> WorldError:
        """Returns an error in the one form that all have."""
        choose = list(choices)
        if choose:
            remedy = f"choose from {', '.join(choose)}"
        return WorldError(f"{self.source}: {key}: {problem}; {remedy}")

    def _check_values(self, found: Config) -> None:
        """Raises WorldError for a value of the right type that makes no sense."""
        for person in found.person:
            named = (("address", [person.address]), ("aliases", person.aliases))
            for key, addresses in named:
                for address in addresses:
                    if not is_address(address):
                        raise self._senseless(f"person.{key}", address, "an address")
            for contact in person.contacts:  # which may be a domain, such as that of a gateway
                if not is_address(contact) and not _DOMAIN.fullmatch(contact):
                    raise self._senseless("person.contacts", contact, "an address")
            if person.folders is not None:
                self._check_folders(person.folders)
        for key, domains in _domains(found):
            for domain in domains:
                if not _DOMAIN.fullmatch(domain):
                    raise self._senseless(key, domain, "a domain")
        for text in found.switches.get("irc", {}).get("oper", ()):
            if not _OPER.fullmatch(text):
                # The text is not repeated, because it may be the password.
                raise self.error(
                    "irc.oper", "not a name and a password", remedy='write oper = ["root:toor"]'
                )
        for table, key in (("mail", "wrong_login_text"), ("irc", "motd"), ("irc", "password")):
            text, name = found.switches.get(table, {}).get(key, ""), f"{table}.{key}"
            lines = text.split("\n") if key == "motd" else [text]
            if any(_NOT_IN_A_LINE.search(line) for line in lines):
                problem = f"{_shown(name, text)} has a control character"
                raise self.error(name, problem, remedy="write one line of text")
        xmpp = found.switches.get("xmpp", {})
        url = xmpp.get("web_url", "")
        if url and not _WEB_URL.fullmatch(url):
            raise self._senseless("xmpp.web_url", url, "a web address")
        for service in xmpp.get("external_services", ()):
            if not _HOST.fullmatch(service.host):
                raise self._senseless("xmpp.external_services.host", service.host, "a host")
            if service.port > 65535:
                raise self._senseless("xmpp.external_services.port", service.port, "a port")
        for command in found.host.commands:
            if not command.run:
                raise self.error(
                    "host.commands.run", "empty", remedy=f"write run = {_EXAMPLES['run']}"
                )

    def _senseless(self, key: str, value: object, wanted: str) -> WorldError:
        name = key.rpartition(".")[2]
        example = _EXAMPLES.get(key) or _EXAMPLES[name]
        return self.error(key, f"{value!r} is not {wanted}", remedy=f"write {name} = {example}")

    def _check_folders(self, names: tuple[str, ...]) -> None:
        from fakes.folders import FolderError, Folders
        from fakes.maildrop import Maildrop

        try:
            Folders(Maildrop(""), names)
        except FolderError as error:
            raise self.error(
                "person.folders", error.text, remedy='write folders = ["Work", "Work/Bills"]'
            ) from None

    # ── tables ───────────────────────────────────────────────────────────────

    def _read_switches(self, found: Config, name: str, value: object, kind: Any) -> None:
        """Reads a table that holds fields of its own and the switches of one or more policies."""
        table = self._table(name, value)
        own = _type_hints(kind) if kind else {}
        switches: dict[str, Any] = {}
        for server in self._servers:
            if server.table == name and server.policy is not None:
                hints = _type_hints(server.policy)
                switches |= {switch: hints[switch] for switch in server.switches}
        values: dict[str, Any] = {}
        for key, item in table.items():
            if key not in own and key not in switches:
                raise self._unknown_key(name, key, [*own, *switches])
            values[key] = self._value(f"{name}.{key}", item, {**switches, **own}[key])
        of_policies = {key: item for key, item in values.items() if key in switches}
        found.switches = {**found.switches, name: of_policies}
        if kind:
            setattr(found, name, kind(**{key: values[key] for key in own if key in values}))

    def _off(self, value: object) -> dict[str, tuple[str, ...]]:
        servers = {server.name: server for server in self._servers}
        found = {}
        for name, names in self._table("off", value).items():
            if name not in servers:
                raise self._unknown_key("off", name, servers)
            found[name] = self._value(f"off.{name}", names, tuple[str, ...])
            capabilities = sorted(servers[name].session.capabilities)
            if found[name] and not capabilities:
                raise self.error(
                    f"off.{name}", f"{name} has no capabilities", remedy="leave the key out"
                )
            for capability in found[name]:
                if capability not in capabilities:
                    hint = nearest(capability, capabilities)
                    raise self.error(
                        f"off.{name}", f"unknown capability {capability!r}{hint}", capabilities
                    )
        return found

    def _manners(self, value: object) -> dict[str, str]:
        known = {server.name: server for server in self._servers if server.manners}
        found = {}
        for name, choice in self._table("manners", value).items():
            if name not in known:
                raise self._unknown_key("manners", name, known)
            found[name] = self._choice(f"manners.{name}", choice, list(known[name].manners))
        return found

    def _table(self, name: str, value: object, header: str = "") -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            remedy = f"write {header or f'[{name}]'}"
            raise self.error(name, f"expected a table, found {_shown(name, value)}", remedy=remedy)
        return value

    def _record(self, name: str, value: object, kind: type[T], header: str = "") -> T:
        """Returns a table as a dataclass; `header` is how the table is written in the file."""
        table = self._table(name, value, header)
        hints = _type_hints(kind)
        fields = {one.name: one for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
        values = {}
        for key, item in table.items():
            if key not in fields:
                raise self._unknown_key(name, key, fields)
            values[key] = self._value(f"{name}.{key}", item, hints[key])
        for key, one in fields.items():
            missing = one.default is dataclasses.MISSING
            if missing and one.default_factory is dataclasses.MISSING and key not in values:
                raise self.error(
                    f"{name}.{key}", "missing", remedy=f"write {key} = {_EXAMPLES.get(key, '…')}"
                )
        try:
            return kind(**values)
        except FaultError as error:
            raise WorldError(f"{self.source}: {name}: {error}") from None

    # ── values ───────────────────────────────────────────────────────────────

    def _value(self, name: str, value: Any, kind: Any, in_list: bool = False) -> Any:
        """Returns a value as the annotation wants it. Raises WorldError."""
        origin, inner = typing.get_origin(kind), typing.get_args(kind)
        if origin in (types.UnionType, typing.Union):
            kinds = [one for one in inner if one is not type(None)]
            wanted = str if str in kinds and isinstance(value, str) else kinds[-1]
            return self._value(name, value, wanted, in_list)
        if origin is Literal:
            return self._choice(name, value, [choice for choice in inner if choice])
        if origin is tuple:
            strings_only = inner[0] is str
            if not isinstance(value, list | tuple) or (
                strings_only and not all(isinstance(item, str) for item in value)
            ):
                raise self._wrong_type(name, value, _list_form(name, inner[0]))
            return tuple(self._value(name, item, inner[0], in_list=True) for item in value)
        if origin in (dict, Mapping):
            table = self._table(name, value)
            return {
                key: self._value(f"{name}.{key}", item, inner[1]) for key, item in table.items()
            }
        if dataclasses.is_dataclass(kind):
            assert isinstance(kind, type)
            return self._record(name, value, kind, f"[[{name}]]" if in_list else "")
        accepted: Any = {float: (int, float), Signed: int}.get(kind, kind)
        # bool is a subclass of int, but `size = true` is a mistake.
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            raise self._wrong_type(name, value, _FORMS[kind])
        if kind in (int, float) and not 0 <= value < math.inf:  # nan is in no range
            raise self.error(name, f"{value} is not possible", remedy="write 0 or more")
        if name in _LIMITS and not value:
            raise self.error(
                name, "0 would refuse everything", remedy="write 1 or more, or leave it out"
            )
        return float(value) if kind is float else value

    def _choice(self, name: str, value: object, choices: list[str]) -> str:
        if value not in choices:
            hint = nearest(value, choices) if isinstance(value, str) else ""
            raise self.error(name, f"unknown value {value!r}{hint}", choices)
        return str(value)

    def _wrong_type(self, name: str, value: object, form: tuple[str, str]) -> WorldError:
        wanted, example = form
        key = name.rpartition(".")[2]
        remedy = f"write {example}" if example.startswith("[[") else f"write {key} = {example}"
        return self.error(name, f"expected {wanted}, found {_shown(name, value)}", remedy=remedy)

    def _unknown_key(self, table: str, key: str, known: Iterable[str]) -> WorldError:
        names = list(known)
        where = f"{table}.{key}" if table else key
        known_keys = f"known keys: {', '.join(names)}"
        return self.error(where, f"unknown key{nearest(key, names)}", remedy=known_keys)


_FORMS: dict[Any, tuple[str, str]] = {
    str: ("a string", '"text"'),
    int: ("a whole number", "10"),
    Signed: ("a whole number", "10"),
    float: ("a number of seconds", "1.5"),
    bool: ("true or false", "true"),
}
# Wider than any protocol's own syntax: a world may hold addresses that only one of them can use.
_ADDRESS = re.compile(r'(?:"[^"\x00-\x1f\x7f]+"|[^\s<>@"\x00-\x1f\x7f]+)@[^\s<>@\x00-\x1f\x7f]+')
_SURROGATE = re.compile(r"[\ud800-\udfff]")  # of a byte that is not UTF-8
_DOMAIN = re.compile(r"[^\s<>@,;:/\x00-\x1f\x7f]+|\[[^\s<>@,;/\x00-\x1f\x7f]+\]")
_HOST = re.compile(r"\S+")
_OPER = re.compile(r"[^\s:]+:[^\r\n\x00]+")
_SECRET = re.compile(r"\b(?:password|secret|oper|components)\b")
_NOT_IN_A_LINE = re.compile(r"[\r\n\x00]")
_WEB_URL = re.compile(r"https?://[^\s/]+(?:/\S*)?")
_EXAMPLES = {
    "address": '"alice@example.test"',
    "aliases": '["sales@example.test"]',
    "contacts": '{ "bob@example.test" = "both" }',
    "domains": '["example.test"]',
    "catch_all": '["hooks.test"]',
    "neighbours": '["partner.test"]',
    "denied": '["evil.test"]',
    "peers": '{ "far.test" = "127.0.0.1:5269" }',
    "components": '{ "aim.example.test" = "secret" }',
    "hosts": '["hooks.example.test"]',
    "irc.name": '"irc.example.test"',
    "host.name": '"db1.example.test"',
    "web_url": '"https://files.example.test"',
    "port": "3478",
    "screen_name": '"OpsBot"',
    "where": '"RCPT"',
    "host": '"turn.example.test"',
    "type": '"turn"',
    "run": '["df", "-k"]',
}


def text_of(path: Path, encoding: str = "utf-8") -> str:
    """Returns what is in a file that a world names. Raises OSError, and UnicodeDecodeError."""
    with path.open("rb") as file:
        raw = file.read(ROOM + 1)
    if len(raw) > ROOM:  # such as a device without an end
        raise OSError(errno.EFBIG, f"more than {ROOM} bytes")
    return raw.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")


def is_address(text: str) -> bool:
    """Whether a text can be the address of an account."""
    return _ADDRESS.fullmatch(text) is not None and not _SURROGATE.search(text)


def _shown(name: str, value: object) -> str:
    """Returns a value of the wrong type, or what kind of value it is, if it may hold a password."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
        return "a list of tables"
    may_be_account = name in ("person", "aim") and not isinstance(value, int | float)
    return "another value" if value and (may_be_account or _SECRET.search(name)) else repr(value)


def _domains(found: Config) -> Iterator[tuple[str, Iterable[str]]]:
    """Yields each key whose values are domains, and the values."""
    yield "mail.domains", found.mail.domains
    yield "mail.catch_all", (domain for domain in found.mail.catch_all if domain != "*")
    yield "xmpp.domains", found.xmpp.domains
    for key in ("neighbours", "denied", "peers", "components"):
        yield f"xmpp.{key}", found.switches.get("xmpp", {}).get(key, ())
    yield "webhook.hosts", found.switches.get("webhook", {}).get("hosts", ())
    names = {"irc.name": found.switches.get("irc", {}).get("name"), "host.name": found.host.name}
    for key, name in names.items():
        yield key, [name] if name else ()


def _list_form(name: str, inner: Any) -> tuple[str, str]:
    if dataclasses.is_dataclass(inner):
        return "a list of tables", f"[[{name}]]"
    one, two, *_ = typing.get_args(inner) or ("one", "two")
    return "a list of strings", f'["{one}", "{two}"]'
