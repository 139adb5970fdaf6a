"""Settings from a TOML file, or from a mapping with the same content.

    settings = load("site.toml")
    settings.server("smtp")                    # [smtp]: host, port, tls, user and so on
    settings.table("apache-alert", Rules)      # [scenario.apache-alert], as a dataclass

Every error is one line, `FILE: KEY: PROBLEM; REMEDY`:

    site.toml: smtp.prot: unknown key (did you mean 'port'?); known keys: host, port, …
    site.toml: smtp.port: expected a number, found "x"; write port = 587
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import re
import stat
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from comms.errors import SettingsError
from comms.setting_types import (
    Certificates,
    Check,
    HostName,
    JabberLogin,
    Line,
    NonEmpty,
    ScreenName,
    Timeout,
    between,
    shown,
)
from comms.suggest import did_you_mean
from comms.words import one_line

T = TypeVar("T")
WORD = 200  # characters of a word in an error; the rest of it is not shown

# Protocol → tls → the default port.
PORTS: dict[str, dict[str, int]] = {
    "smtp": {"none": 25, "starttls": 587, "implicit": 465},
    "pop3": {"none": 110, "starttls": 110, "implicit": 995},
    "xmpp": {"none": 5222, "starttls": 5222, "implicit": 5223},
    "toc": {"none": 9898},
}
# Protocol → the ways to log in that the settings may name. `auto` is the strongest on offer.
AUTH: dict[str, tuple[str, ...]] = {
    "smtp": ("auto", "plain", "login", "cram-md5"),
    "pop3": ("auto", "user", "apop", "plain"),
    "xmpp": ("auto", "scram-sha-256", "scram-sha-1", "plain"),
    "toc": ("auto",),
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
    "xmpp": {"jid": JabberLogin},
    "toc": {"screen_name": ScreenName},
}

# Type → how an error names it, and an example.
_TYPES: dict[type, tuple[str, str]] = {
    str: ("a text in quotes", '"text"'),
    int: ("a number", "1"),
    float: ("a number", "1.5"),
    bool: ("true or false", "true"),
    list: ("a list", '["text"]'),
    dict: ("a table", '{ name = "text" }'),
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


@dataclass(frozen=True)
class Settings:
    """What `load` returns. A program should show each of `warnings` once."""

    source: str
    folder: Path  # relative paths in the settings start here
    tables: Mapping[str, Any]
    warnings: list[str] = field(default_factory=list, compare=False)

    def server(self, protocol: str) -> Server:
        """Returns the server of a protocol, from the table of that name. Raises SettingsError."""
        table = self.tables.get(protocol)
        if table is None:
            raise self._error(
                protocol, f'missing table; write [{protocol}] with host = "mail.example.org"'
            )
        types_by_key = _server_types(protocol)
        values = {
            key: self._value(f"{protocol}.{_quoted(key)}", key, value, types_by_key)
            for key, value in table.items()
        }
        # A Jabber address names its server's domain, so it can replace the host.
        if "host" not in values and "jid" not in values:
            raise self._error(f"{protocol}.host", 'missing key; write host = "mail.example.org"')
        ports = PORTS[protocol]
        tls = values.setdefault("tls", "starttls" if "starttls" in ports else "none")
        values.setdefault("host", "")
        values.setdefault("port", ports[tls])
        values["password"] = self._password(protocol, values)
        values.pop("password_env", None)
        values.pop("password_file", None)
        server = Server(protocol, **values)
        self._check_login(server)
        return server

    def table(self, scenario: str, kind: type[T]) -> T:
        """Returns [scenario.NAME] as an instance of the dataclass `kind`. Raises SettingsError.

        The fields of the dataclass are the keys, and their annotations say which values are
        correct (comms/setting_types.py). Paths are relative to the settings file. What depends on
        several keys the dataclass may check itself: a ValueError whose text begins with a key, as
        in `push: needs the command disk; write push = 0`, becomes an error of that key.
        """
        name = f"scenario.{scenario}"
        table = self.tables.get("scenario", {}).get(scenario, {})
        self._check_type(name, table, dict, f"write [{name}]")
        hints = typing.get_type_hints(kind, include_extras=True)
        fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
        examples = {key: _default(item) for key, item in fields.items()}
        values = {
            key: self._value(f"{name}.{_quoted(key)}", key, value, hints, examples)
            for key, value in table.items()
        }
        for key, item in fields.items():
            has_default = (
                item.default is not dataclasses.MISSING
                or item.default_factory is not dataclasses.MISSING
            )
            if key not in values and not has_default:
                raise self._error(
                    f"{name}.{key}", f"missing key; write {key} = {_example(hints[key])}"
                )
        for key, item in fields.items():
            if isinstance(item.default, Path) and key not in values:
                text = str(item.default)
                values[key] = self._value(f"{name}.{key}", key, text, hints, examples)
        try:
            return kind(**values)
        except ValueError as error:
            key, _, text = str(error).partition(" ")
            raise self._error(f"{name}.{key.removesuffix(':')}", text) from None

    def path(self, text: str) -> Path:
        """Returns a path of the settings: a relative one starts at the folder of their file."""
        return self.folder / text

    # ── values ───────────────────────────────────────────────────────────────

    def _value(
        self,
        name: str,
        key: str,
        value: object,
        types_by_key: Mapping[str, Any],
        examples: Mapping[str, str] | None = None,
    ) -> Any:
        """Returns the value of a key as its type. Raises SettingsError."""
        if key not in types_by_key:
            hint = did_you_mean(key, types_by_key)
            known = ", ".join(types_by_key)
            raise self._error(name, f"unknown key{hint}; known keys: {known}")
        example = (examples or {}).get(key) or _example(types_by_key[key])
        return self._converted(name, value, types_by_key[key], f"write {key} = {example}")

    def _converted(self, name: str, value: object, kind: Any, remedy: str) -> Any:
        """Returns a value of the file as the type of its field. Raises SettingsError."""
        kind, checks = _unwrapped(kind)
        result = self._typed(name, value, kind, remedy)
        for check in checks:
            if problem := check.problem(result):
                raise self._error(name, f"{problem}; {remedy}")
        return result

    def _typed(self, name: str, value: object, kind: Any, remedy: str) -> Any:
        origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
        if origin is Path:
            self._check_type(name, value, str, remedy)
            if not value or "\0" in str(value):
                raise self._error(name, f"{shown(value)} is not a path; {remedy}")
            return self.path(str(value))
        if origin is Literal:
            self._check_type(name, value, str, remedy)
            self._check_choice(name, str(value), inner)
            return value
        if origin is tuple:
            self._check_type(name, value, list, remedy)
            assert isinstance(value, list)
            return tuple(
                self._converted(f"{name}[{index}]", item, inner[0], remedy)
                for index, item in enumerate(value)
            )
        if origin is dict:
            self._check_type(name, value, dict, remedy)
            assert isinstance(value, dict)
            result = {}
            for key, item in value.items():
                place = f"{name}.{_quoted(key)}"
                checked = self._converted(place, key, inner[0], remedy)
                result[checked] = self._converted(place, item, inner[1], remedy)
            return result
        self._check_type(name, value, origin, remedy)
        if origin is not float:
            return value
        try:
            return float(value)  # type: ignore[arg-type]
        except OverflowError:  # a whole number of more than 308 digits
            return math.inf

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
                    name, f"{value} is not set in the environment; set it, or use password_file"
                )
            value = os.environ[value]
        elif keys[0] == "password_file":
            path = self.path(value)
            try:
                value = path.read_text("utf-8").rstrip("\r\n")
                self._warn_if_readable_by_others(path, name)
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or "not a text file in UTF-8"
                raise self._error(
                    name, f"{path} cannot be read: {reason}; write the path of a readable file"
                ) from None
        elif Path(self.source).is_file():
            self._warn_if_readable_by_others(Path(self.source), name)
        # The password itself must not be shown.
        if any(ord(character) < 32 or character == "\x7f" for character in value):
            raise self._error(
                name, "the password contains a control character; write it on one line"
            )
        return value

    def _warn_if_readable_by_others(self, path: Path, name: str) -> None:
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            self.warnings.append(f"{name}: {path} can be read by others; chmod 600 {path}")

    # ── checks ───────────────────────────────────────────────────────────────

    def _check_login(self, server: Server) -> None:
        """Checks what a chat network wants of an account. Raises SettingsError."""
        if server.protocol == "xmpp" and not server.jid:
            text = server.user if "@" in server.user else f"{server.user}@{server.host}"
            self._converted("xmpp.jid", text, JabberLogin, f"write jid = {_example(JabberLogin)}")
        if server.protocol == "toc":
            if not server.screen_name and not server.user.strip():
                remedy = f"write screen_name = {_example(ScreenName)}"
                raise self._error("toc.screen_name", f"missing key; {remedy}")
            if not server.password:
                raise self._error("toc.password", 'missing key; write password_file = "password"')
            if any(ord(character) > 255 for character in server.password):
                raise self._error(
                    "toc.password",
                    "it contains characters beyond Latin-1, which TOC cannot transmit; "
                    "choose another password",
                )

    def _check_type(self, name: str, value: object, kind: type, remedy: str) -> None:
        allowed = (float, int) if kind is float else kind
        # In Python True is an int, but in TOML it is not a number.
        if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
            expected = _TYPES[kind][0] if kind in _TYPES else kind.__name__
            if kind is int and isinstance(value, float):
                expected = "a whole number"
            raise self._error(name, f"expected {expected}, found {shown(value)}; {remedy}")

    def _check_choice(self, name: str, value: str, choices: Iterable[str]) -> None:
        if value not in choices:
            hint = did_you_mean(value, choices)
            *others, last = (choice or '""' for choice in choices)
            wanted = f"{', '.join(others)} or {last}" if others else last
            raise self._error(name, f"unknown value {value!r}{hint}; choose {wanted}")

    def _error(self, name: str, text: str) -> SettingsError:
        # Keys and values may be long or contain line breaks, but an error is one line to read.
        line = re.sub(rf"(\S{{{WORD}}})[^\s;]+", r"\1…", f"{name}: {text}")
        return SettingsError(one_line(f"{self.source}: {line}"))


def load(source: str | Path | Mapping[str, Any], folder: Path | None = None) -> Settings:
    """Returns the settings in a TOML file or in a mapping. Raises SettingsError.

    Relative paths start at `folder`. The default is the folder of the file, or for a mapping the
    current one.
    """
    if isinstance(source, Mapping):
        settings = Settings("settings", folder or Path(), source)
    else:
        path = Path(source)
        settings = Settings(str(path), folder or path.resolve().parent, _tables(path))
    known = (*PORTS, "scenario")
    for name, table in settings.tables.items():
        place = _quoted(name)
        if name not in known:
            hint = did_you_mean(name, known)
            raise settings._error(place, f"unknown table{hint}; known tables: {', '.join(known)}")
        settings._check_type(place, table, dict, f"write [{name}]")
    return settings


def _tables(path: Path) -> dict[str, Any]:
    """Returns what is in a TOML file. Raises SettingsError."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
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


def _unwrapped(kind: Any) -> tuple[Any, list[Check]]:
    """Returns the type inside of Annotated and of `X | None`, and its checks."""
    if typing.get_origin(kind) in (types.UnionType, typing.Union):
        # TOML has no null, so a value that the file has is an X.
        kind = next(item for item in typing.get_args(kind) if item is not type(None))
    if typing.get_origin(kind) is not Annotated:
        return kind, []
    inner, *extras = typing.get_args(kind)
    return inner, [extra for extra in extras if isinstance(extra, Check)]


def _example(kind: Any) -> str:
    """Returns a correct value of this type, as TOML."""
    kind, checks = _unwrapped(kind)
    if example := next((check.example for check in checks if check.example), ""):
        return example
    origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin is Literal:
        return f'"{next(choice for choice in inner if choice)}"'
    if origin is tuple:
        return f"[{_example(inner[0])}]"
    if origin is dict:
        key = _example(inner[0])
        return f"{{ {'name' if key == _TYPES[str][1] else key} = {_example(inner[1])} }}"
    return _TYPES.get(origin, _TYPES[str])[1]


def _default(item: dataclasses.Field[Any]) -> str:
    """Returns the default of a field as TOML; "" if it has none, or an empty one."""
    value = item.default
    if item.default_factory is not dataclasses.MISSING:
        value = item.default_factory()
    if value in (dataclasses.MISSING, None, "", (), {}):
        return ""
    return _toml(value)


def _toml(value: Any) -> str:
    """Returns a value as TOML, for an error that shows a correct line."""
    if isinstance(value, dict):
        pairs = (f"{_quoted(key)} = {_toml(item)}" for key, item in value.items())
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return json.dumps(str(value) if isinstance(value, Path) else value, ensure_ascii=False)


def _quoted(key: str) -> str:
    """Returns a key as TOML: in quotes, unless it consists of letters, digits, - and _."""
    bare = key.isascii() and key.replace("-", "").replace("_", "").isalnum()
    return key if bare else json.dumps(key, ensure_ascii=False)
