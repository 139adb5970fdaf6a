"""Settings from a TOML file, or from a mapping with the same content.

    settings = load("site.toml")
    settings.server("smtp")                    # [smtp]: host, port, tls, user and so on
    settings.table("apache-alert", Rules)      # [scenario.apache-alert], as a dataclass

Every error is one line, `FILE: KEY: PROBLEM; REMEDY`:

    site.toml: smtp.prot: unknown key (did you mean 'port'?); known keys: host, port, …
    site.toml: smtp.port: expected a number, found "x"; write port = 587
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import os
import re
import stat
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from comms.conversion import (
    WrongValue,
    check_type,
    convert,
    convert_table,
    default_as_toml,
    example_as_toml,
    key_as_toml,
)
from comms.errors import SettingsError
from comms.secrecy import masked
from comms.setting_types import (
    Certificates,
    Check,
    FolderName,
    HostName,
    IrcChannel,
    JabberLogin,
    Line,
    LoginCertificate,
    Nick,
    NonEmpty,
    ScreenName,
    Timeout,
    between,
    shown,
)
from comms.suggest import did_you_mean
from comms.words import one_line

T = TypeVar("T")
INBOX = "INBOX"  # in any case of letters (RFC 3501 §5.1)
PLAIN = 5  # characters of a value that is too short for a password, such as a port
ROOM = 1 << 20  # bytes of a file of settings, or with a password
WORD = 200  # characters of a word in an error; the rest of it is not shown
_NOT_UTF8 = re.compile(r"[\ud800-\udfff]")  # in the environment (PEP 383)

# Protocol → tls → the default port.
PORTS: dict[str, dict[str, int]] = {
    "smtp": {"none": 25, "starttls": 587, "implicit": 465},
    "pop3": {"none": 110, "starttls": 110, "implicit": 995},
    "imap": {"none": 143, "starttls": 143, "implicit": 993},
    "xmpp": {"none": 5222, "starttls": 5222, "implicit": 5223},
    "toc": {"none": 9898},
    "irc": {"none": 6667, "implicit": 6697},
    "component": {"none": 5347},  # of a Jabber server, for programs that serve a domain
}
MAILBOXES = ("pop3", "imap")  # the protocols over which a program can read its mail
TOC_PASSWORD = 400  # characters; each takes two bytes of a command of at most 2,041
# Protocol → the ways to log in that the settings may name. `auto` is the strongest on offer.
AUTH: dict[str, tuple[str, ...]] = {
    "smtp": ("auto", "plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"),
    "pop3": ("auto", "user", "apop", "plain"),
    "imap": ("auto", "plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"),
    "xmpp": ("auto", "scram-sha-256", "scram-sha-1", "plain"),
    "toc": ("auto",),
    "irc": ("auto", "scram-sha-256", "plain", "external"),
    "component": ("auto",),
}
_SERVER_KEYS: dict[str, Any] = {
    "host": HostName,
    "port": int,
    "tls": str,
    "ca_file": Certificates,
    "user": Line,
    "password": str,
    "password_env": NonEmpty[str],
    "password_file": NonEmpty[str],
    "auth": str,
    "timeout": Timeout,
}
_PROTOCOL_KEYS: dict[str, dict[str, Any]] = {
    "imap": {"folder": FolderName, "trash": FolderName},
    "xmpp": {"jid": JabberLogin},
    "toc": {"screen_name": ScreenName},
    "irc": {
        "nick": Nick,
        "server_password": str,
        "channels": tuple[IrcChannel, ...],
        "certificate": LoginCertificate,
    },
    "component": {"domain": HostName},
}


@dataclass(frozen=True)
class Server:
    """Where a server is and how to log in. `timeout` is in seconds.

    `tls` says what must be used: nothing falls back to clear text. `host` is only empty if `jid`
    names a domain, for which DNS knows the host.
    """

    protocol: str
    host: str
    port: int
    tls: str = "starttls"
    ca_file: Path | None = None
    user: str = ""
    password: str = field(default="", repr=False)  # left out of repr, and so out of logs
    auth: str = "auto"
    timeout: float = 30.0
    jid: str = ""
    screen_name: str = ""
    folder: str = INBOX  # of IMAP: where mail is read,
    trash: str = ""  # and where it is moved to; "" removes it
    nick: str = ""  # of IRC
    server_password: str = field(default="", repr=False)
    channels: tuple[str, ...] = ()  # to be in; a key follows after a space
    certificate: Path | None = None  # with its key, for a login by `external`
    domain: str = ""  # that a component serves

    @property
    def account(self) -> str:
        """What distinguishes this mailbox from others in what a program remembers of its mails."""
        folder = "" if self.folder.upper() == INBOX else f"/{self.folder}"
        return f"{self.user}@{self.host}{folder}"

    def masked(self, text: str) -> str:
        """Returns a text about this server without any form of the password."""
        return masked(text, self.password, self.server_password)


@dataclass(frozen=True)
class Settings:
    """What `load` returns. `warn` is called with each warning, when it arises."""

    source: str
    folder: Path  # relative paths in the settings start here
    tables: Mapping[str, Any] = field(repr=False)
    warn: Callable[[str], None] = field(default=lambda text: None, compare=False, repr=False)

    def server(self, protocol: str) -> Server:
        """Returns the server of a protocol, from the table of that name. Raises SettingsError."""
        table = self.tables.get(protocol)
        if table is None:
            raise self._error(
                protocol, f'missing table; write [{protocol}] with host = "mail.example.org"'
            )
        with self._naming_the_file(_secrets(protocol, table)):
            values = convert_table(protocol, table, _server_types(protocol), self.folder)
        # A Jabber address names its server's domain, so it can replace the host.
        if "host" not in values and "jid" not in values:
            raise self._error(f"{protocol}.host", 'missing key; write host = "mail.example.org"')
        ports = PORTS[protocol]
        # The best that the protocol has; what a client need not negotiate comes second.
        default = next(way for way in ("starttls", "implicit", "none") if way in ports)
        tls = values.setdefault("tls", default)
        values.setdefault("host", "")
        values.setdefault("port", ports[tls])
        values["password"] = self._password(protocol, values)
        values.pop("password_env", None)
        values.pop("password_file", None)
        if values.get("server_password"):
            self._warn_if_others_can_read_it(f"{protocol}.server_password")
        server = Server(protocol, **values)
        self._check_login(server)
        return server

    def mailbox(self, scenario: str, chosen: str | None = None) -> Server:
        """Returns the server whose mailbox a program reads: [pop3] or [imap]. Raises SettingsError.

        `chosen` is the program's setting `mailbox`; without it, there must be only one of them.
        """
        there = [name for name in MAILBOXES if name in self.tables]
        if not chosen and len(there) > 1:
            raise self._error(
                f"scenario.{scenario}.mailbox",
                'missing key, and there are both [pop3] and [imap]; write mailbox = "imap", '
                'or "pop3"',
            )
        return self.server(chosen or next(iter(there), MAILBOXES[0]))

    def table(self, scenario: str, kind: type[T]) -> T:
        """Returns [scenario.NAME] as an instance of the dataclass `kind`. Raises SettingsError.

        The fields of the dataclass are the keys, and their annotations say which values are
        correct (comms/setting_types.py). Paths are relative to the settings file. What depends on
        several keys the dataclass may check itself: a ValueError whose text begins with a key, as
        in `push: needs the command disk; write push = 0`, becomes an error of that key.
        """
        name = f"scenario.{scenario}"
        table = self.tables.get("scenario", {}).get(scenario, {})
        kinds = _kinds(kind)  # type: ignore[arg-type]
        fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
        defaults = {key: default_as_toml(item) for key, item in fields.items()}
        with self._naming_the_file():
            values = convert_table(name, table, kinds, self.folder, defaults)
            for key, item in fields.items():
                if key in values:
                    continue
                if item.default is item.default_factory is dataclasses.MISSING:
                    remedy = f"write {key} = {example_as_toml(kinds[key])}"
                    raise WrongValue(f"{name}.{key}", f"missing key; {remedy}")
                if isinstance(item.default, Path):
                    # A default path is relative to the settings file, too, and must be usable.
                    remedy = f"write {key} = {defaults[key]}"
                    place = f"{name}.{key}"
                    text = str(item.default)
                    values[key] = convert(place, text, kinds[key], remedy, self.folder)
        try:
            return kind(**values)
        except ValueError as error:
            key, _, text = str(error).partition(" ")
            raise self._error(f"{name}.{key.removesuffix(':')}", text) from None

    def path(self, text: str) -> Path:
        """Returns a path of the settings: a relative one starts at the folder of their file."""
        return self.folder / text

    # ── passwords ────────────────────────────────────────────────────────────

    def _password(self, protocol: str, values: Mapping[str, Any]) -> str:
        keys = [key for key in ("password", "password_env", "password_file") if values.get(key)]
        if len(keys) > 1:
            raise self._error(
                f"{protocol}.{keys[1]}", f"{keys[0]} is set, too; keep only one of them"
            )
        if not keys:
            return ""
        name, value = f"{protocol}.{keys[0]}", str(values[keys[0]])
        if keys[0] == "password_env":
            if value not in os.environ:
                raise self._error(
                    name,
                    "the environment has no variable of this name; set it, or use password_file",
                )
            value = os.environ[value]
            if _NOT_UTF8.search(value):
                raise self._error(
                    name, "the variable is not in UTF-8; set it in UTF-8, or use password_file"
                )
        elif keys[0] == "password_file":
            path = self.path(value)
            try:
                value = _text(path).rstrip("\r\n")
                self._warn_if_readable_by_others(path, name)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "not a text file in UTF-8"
                # A name without a file may be the password itself, in the wrong line.
                place = path if os.path.exists(path) else "the file"
                raise self._error(
                    name, f"{place} cannot be read: {reason}; write the path of a readable file"
                ) from None
        else:
            self._warn_if_others_can_read_it(name)
        # The password itself must not be shown.
        if any(ord(character) < 32 or character == "\x7f" for character in value):
            raise self._error(
                name, "the password contains a control character; write it on one line"
            )
        return value

    def _warn_if_others_can_read_it(self, name: str) -> None:
        """Warns about a password that is in the settings themselves, if they are a file."""
        if Path(self.source).is_file():
            self._warn_if_readable_by_others(Path(self.source), name)

    def _warn_if_readable_by_others(self, path: Path, name: str) -> None:
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            self.warn(f"{name}: {path} can be read by others; chmod 600 {path}")

    # ── checks ───────────────────────────────────────────────────────────────

    def _check_login(self, server: Server) -> None:
        """Checks what a network wants of an account. Raises SettingsError."""
        if server.trash.upper() == server.folder.upper():
            raise self._error(
                "imap.trash", 'mail would be moved to where it is; write trash = "Trash"'
            )
        if server.protocol == "xmpp" and not server.jid:
            text = server.user if "@" in server.user else f"{server.user}@{server.host}"
            with self._naming_the_file():
                convert(
                    "xmpp.jid", text, JabberLogin, f"write jid = {example_as_toml(JabberLogin)}"
                )
        if server.protocol == "irc":
            self._check_irc(server)
        if server.protocol == "component":
            if not server.domain:
                raise self._error(
                    "component.domain", 'missing key; write domain = "aim.example.org"'
                )
            if not server.password:
                remedy = 'write password_file = "password"'
                raise self._error("component.password", f"missing key; {remedy}")
        if server.protocol == "toc":
            remedy = f"write screen_name = {example_as_toml(ScreenName)}"
            if not server.screen_name and not server.user.strip():
                raise self._error("toc.screen_name", f"missing key; {remedy}")
            with self._naming_the_file():
                convert("toc.user", server.screen_name or server.user, ScreenName, remedy)
            if not server.password:
                raise self._error("toc.password", 'missing key; write password_file = "password"')
            if any(ord(character) > 255 for character in server.password):
                raise self._error(
                    "toc.password",
                    "it contains characters beyond Latin-1, which TOC cannot transmit; "
                    "choose another password",
                )
            if len(server.password) > TOC_PASSWORD:
                raise self._error(
                    "toc.password",
                    f"it has more than {TOC_PASSWORD} characters; choose another password",
                )

    def _check_irc(self, server: Server) -> None:
        if not server.nick:
            raise self._error("irc.nick", f"missing key; write nick = {example_as_toml(Nick)}")
        if any(ord(character) < 32 for character in server.server_password):
            raise self._error(
                "irc.server_password",
                "the password contains a control character; write it on one line",
            )
        if server.auth == "external" and server.certificate is None:
            raise self._error(
                "irc.certificate",
                'missing key, and auth is external; write certificate = "bot.pem", '
                "a file with the certificate and its key",
            )
        if server.auth == "external" and server.tls == "none":
            raise self._error(
                "irc.auth", 'external shows a certificate, which needs TLS; write tls = "implicit"'
            )

    @contextlib.contextmanager
    def _naming_the_file(self, secrets: Collection[str] = ()) -> Iterator[None]:
        """Turns a WrongValue into a SettingsError, without the secrets."""
        try:
            yield
        except WrongValue as error:
            text = error.text
            for secret in secrets:
                text = text.replace(f"found {secret};", "found another value;")
            # A mask for a short one would hide the rest of the error.
            long = [secret for secret in secrets if len(secret) > PLAIN]
            raise self._error(error.name, masked(text, *long)) from None

    def _error(self, name: str, text: str) -> SettingsError:
        # Keys and values may be long or contain line breaks, but an error is one line to read.
        text = _PASSWORD_IN_A_URL.sub(r"\1…@", text)
        line = re.sub(rf"(\S{{{WORD}}})[^\s;]+", r"\1…", f"{name}: {text}")
        return SettingsError(one_line(f"{self.source}: {line}"))


# What has no end within 255 characters counts as a password, too: a search for the end from each
# place where one may begin would take quadratic time.
_PASSWORD_IN_A_URL = re.compile(r"(:/{1,2}[^\s/:@]{0,99}:)[^\s@]{1,255}+(?:@|(?=[^\s@]))")


def load(
    source: str | Path | Mapping[str, Any],
    folder: Path | None = None,
    warn: Callable[[str], None] = lambda text: None,
) -> Settings:
    """Returns the settings in a TOML file or in a mapping. Raises SettingsError.

    Relative paths start at `folder`. The default is the folder of the file, or for a mapping the
    current one. `warn` is called with each warning, such as one about a password that other users
    of the machine can read.
    """
    if isinstance(source, Mapping):
        settings = Settings("settings", folder or Path(), source, warn)
    else:
        path = Path(source)
        settings = Settings(str(path), folder or path.resolve().parent, _tables(path), warn)
    known = (*PORTS, "scenario")
    for name, table in settings.tables.items():
        if name not in known:
            hint = did_you_mean(name, known)
            text = f"unknown table{hint}; known tables: {', '.join(known)}"
            raise settings._error(key_as_toml(name), text)
        with settings._naming_the_file(_secrets(name, table)):
            check_type(name, table, dict, f"write [{name}]")
    return settings


def _tables(path: Path) -> dict[str, Any]:
    """Returns what is in a TOML file. Raises SettingsError."""
    import tomllib  # most tests of a program pass a mapping

    try:
        # With or without the mark of UTF-8, which some editors write.
        return tomllib.loads(_text(path))
    except OSError as error:
        problem = f"cannot be read: {error.strerror}; write the path of a readable file"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = f"line {line}: not UTF-8; save the file as UTF-8"
    except RecursionError:
        problem = "not a TOML file: too many brackets inside each other; remove some"
    # A number of more than 4,300 digits is a ValueError of Python's own.
    except ValueError as error:
        problem = f"not a TOML file: {error}; correct this place"
    raise SettingsError(one_line(f"{path}: {problem}"))


def _text(path: Path) -> str:
    """Returns what is in a text file. Raises OSError, and UnicodeDecodeError."""
    with path.open("rb") as file:
        raw = file.read(ROOM + 1)
    if len(raw) > ROOM:  # such as a device without an end
        raise OSError(errno.EFBIG, f"more than {ROOM} bytes")
    # In any case of line ends, as text files have them.
    return raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def _secrets(protocol: str, table: object) -> list[str]:
    """Returns what no error about a server's table may show.

    That is the value of every key for passwords, whatever its type is, and what a user may have
    written into the wrong line: a long value where a number or one of a few words belongs.
    """
    if not isinstance(table, Mapping):
        return _shown_forms(table) if len(str(table)) > PLAIN else []
    # A word of another protocol is a mistake, but no password.
    choices = {word for words in (*PORTS.values(), *AUTH.values()) for word in words}
    found = []
    for key, value in table.items():
        misplaced = key in ("port", "timeout", "tls", "auth") and not (
            len(str(value)) <= PLAIN or str(value) in choices or did_you_mean(str(value), choices)
        )
        if key.startswith(("password", "server_password")) or misplaced:
            found += _shown_forms(value)
    return found


def _shown_forms(value: object) -> list[str]:
    """Returns a value as errors may show it: as a whole, cut, and each text inside of it."""
    if isinstance(value, Mapping):
        inner = [*value.keys(), *value.values()]
    else:
        inner = [*value] if isinstance(value, list | tuple) else []
    forms = [form for item in inner for form in _shown_forms(item)]
    plain = value if isinstance(value, str) else ""
    return [shown(value), repr(value)[1:-1], plain, *forms] if value != "" else forms


@functools.cache  # to evaluate the annotations took a seventh of the time of reading a table
def _kinds(kind: type) -> dict[str, Any]:
    """Returns the types of the fields of a dataclass."""
    return typing.get_type_hints(kind, include_extras=True)


def _server_types(protocol: str) -> dict[str, Any]:
    """Returns the keys of a server's table, and the type of each."""
    ports = PORTS[protocol]
    port = Check(between(1, 65535).problem, str(max(ports.values())))
    return {
        **_SERVER_KEYS,
        "port": Annotated[int, port],
        "tls": Literal[tuple(ports)],
        "auth": Literal[AUTH[protocol]],
        **_PROTOCOL_KEYS.get(protocol, {}),
    }
