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
import os
import stat
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from comms.errors import SettingsError
from comms.suggest import did_you_mean

T = TypeVar("T")
_Kind = type | tuple[type, ...]

# Protocol → tls → the default port.
PORTS: dict[str, dict[str, int]] = {
    "smtp": {"none": 25, "starttls": 587, "implicit": 465},
    "pop3": {"none": 110, "starttls": 110, "implicit": 995},
    "imap": {"none": 143, "starttls": 143, "implicit": 993},
    "xmpp": {"none": 5222, "starttls": 5222, "implicit": 5223},
    "toc": {"none": 9898},
}
# Protocol → the ways to log in that the settings may name. `auto` is the strongest on offer.
AUTH: dict[str, tuple[str, ...]] = {
    "smtp": ("auto", "plain", "login", "cram-md5"),
    "pop3": ("auto", "user", "apop", "plain"),
    "imap": ("auto", "login", "plain", "cram-md5"),
    "xmpp": ("auto", "scram-sha-256", "scram-sha-1", "plain"),
    "toc": ("auto",),
}
_SERVER_KEYS: dict[str, _Kind] = {
    "host": str,
    "port": int,
    "tls": str,
    "ca_file": str,
    "user": str,
    "password": str,
    "password_env": str,
    "password_file": str,
    "auth": str,
    "timeout": (int, float),
}
_PROTOCOL_KEYS: dict[str, dict[str, _Kind]] = {"xmpp": {"jid": str}, "toc": {"screen_name": str}}

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
        protocol_keys = _PROTOCOL_KEYS.get(protocol, {})
        keys = {**_SERVER_KEYS, **protocol_keys}
        ports = PORTS[protocol]
        for key, value in table.items():
            self._check_key(f"{protocol}.{key}", key, keys)
            example = f"port = {max(ports.values())}" if key == "port" else ""
            self._check_type(f"{protocol}.{key}", value, keys[key], example)
        # A Jabber address names its server's domain, so it can replace the host.
        if not table.get("host") and not table.get("jid"):
            raise self._error(f"{protocol}.host", 'missing key; write host = "mail.example.org"')
        tls = table.get("tls", "starttls" if "starttls" in ports else "none")
        self._check_choice(f"{protocol}.tls", tls, ports)
        auth = table.get("auth", "auto")
        self._check_choice(f"{protocol}.auth", auth, AUTH[protocol])
        port = table.get("port", ports[tls])
        if not 0 < port < 65536:
            raise self._error(
                f"{protocol}.port", f"{port} is not a port; write a number from 1 to 65535"
            )
        timeout = table.get("timeout", 30)
        if timeout <= 0:
            raise self._error(
                f"{protocol}.timeout",
                f"{timeout} is not a timeout; write a number of seconds that is more than 0",
            )
        ca_file = self.path(table["ca_file"]) if table.get("ca_file") else None
        if ca_file is not None and not ca_file.is_file():
            raise self._error(
                f"{protocol}.ca_file",
                f"{ca_file} is not a file; write the path of a certificate in PEM format",
            )
        return Server(
            protocol,
            table.get("host", ""),
            port,
            tls,
            ca_file,
            table.get("user", ""),
            self._password(protocol, table),
            auth,
            float(timeout),
            **{key: table[key] for key in protocol_keys if key in table},
        )

    def table(self, scenario: str, kind: type[T]) -> T:
        """Returns [scenario.NAME] as an instance of the dataclass `kind`. Raises SettingsError.

        The fields of the dataclass are the keys. Paths are relative to the settings file. The
        dataclass may check itself: a ValueError whose text begins with a key, as in
        `poll: must be more than 0 seconds; write poll = 30`, becomes an error of that key.
        """
        name = f"scenario.{scenario}"
        table = self.tables.get("scenario", {}).get(scenario, {})
        hints = typing.get_type_hints(kind)
        fields = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
        values: dict[str, Any] = {}
        for key, value in table.items():
            self._check_key(f"{name}.{key}", key, fields)
            values[key] = self._converted(f"{name}.{key}", value, hints[key])
        for key, item in fields.items():
            has_default = (
                item.default is not dataclasses.MISSING
                or item.default_factory is not dataclasses.MISSING
            )
            if key not in values and not has_default:
                raise self._error(
                    f"{name}.{key}", f"missing key; write {_example(key, hints[key])}"
                )
        for key, item in fields.items():
            is_path = hints[key] is Path and item.default is not dataclasses.MISSING
            if is_path and key not in values:
                values[key] = self.path(str(item.default))
        try:
            return kind(**values)
        except ValueError as error:
            key, _, text = str(error).partition(" ")
            raise self._error(f"{name}.{key.removesuffix(':')}", text) from None

    def path(self, text: str) -> Path:
        """Returns a path of the settings: a relative one starts at the folder of their file."""
        return self.folder / text

    def _converted(self, name: str, value: object, kind: Any) -> Any:
        """Returns a value of the file as the type of its field. Raises SettingsError."""
        if isinstance(kind, types.UnionType):  # X | None: TOML has no null, so it is an X
            kind = next(item for item in typing.get_args(kind) if item is not type(None))
        origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
        if origin is Path:
            self._check_type(name, value, str)
            return self.path(str(value))
        if origin is tuple:
            self._check_type(name, value, list)
            assert isinstance(value, list)
            return tuple(
                self._converted(f"{name}[{index}]", item, inner[0])
                for index, item in enumerate(value)
            )
        if origin is dict:
            self._check_type(name, value, dict)
            assert isinstance(value, dict)
            return {
                key: self._converted(f"{name}.{key}", item, inner[1]) for key, item in value.items()
            }
        self._check_type(name, value, (float, int) if origin is float else origin)
        return float(value) if origin is float else value  # type: ignore[arg-type]

    # ── passwords ────────────────────────────────────────────────────────────

    def _password(self, protocol: str, table: Mapping[str, Any]) -> str:
        keys = [key for key in ("password", "password_env", "password_file") if table.get(key)]
        if len(keys) > 1:
            raise self._error(
                f"{protocol}.{keys[1]}", f"{keys[0]} is set, too; keep only one of them"
            )
        if not keys:
            return ""
        name, value = f"{protocol}.{keys[0]}", str(table[keys[0]])
        if keys[0] == "password_env":
            if value not in os.environ:
                raise self._error(
                    name, f"{value} is not set in the environment; set it, or use password_file"
                )
            return os.environ[value]
        if keys[0] == "password_file":
            path = self.path(value)
            try:
                self._warn_if_readable_by_others(path, name)
                return path.read_text().rstrip("\r\n")
            except OSError as error:
                raise self._error(
                    name,
                    f"{path} cannot be read: {error.strerror}; write the path of a readable file",
                ) from None
        if Path(self.source).is_file():
            self._warn_if_readable_by_others(Path(self.source), name)
        return value

    def _warn_if_readable_by_others(self, path: Path, name: str) -> None:
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            self.warnings.append(f"{name}: {path} can be read by others; chmod 600 {path}")

    # ── checks ───────────────────────────────────────────────────────────────

    def _check_key(self, name: str, key: str, known: Iterable[str]) -> None:
        if key not in known:
            hint = did_you_mean(key, known)
            raise self._error(name, f"unknown key{hint}; known keys: {', '.join(known)}")

    def _check_type(self, name: str, value: object, kind: _Kind, example: str = "") -> None:
        # In Python True is an int, but in TOML it is not a number.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            first = kind[0] if isinstance(kind, tuple) else kind
            expected = _TYPES[first][0] if first in _TYPES else first.__name__
            found = json.dumps(value, ensure_ascii=False, default=str)
            example = example or _example(name.rpartition(".")[2], first)
            raise self._error(name, f"expected {expected}, found {found}; write {example}")

    def _check_choice(self, name: str, value: str, choices: Iterable[str]) -> None:
        if value not in choices:
            hint = did_you_mean(value, choices)
            *others, last = choices
            wanted = f"{', '.join(others)} or {last}" if others else last
            raise self._error(name, f"unknown value {value!r}{hint}; choose {wanted}")

    def _error(self, name: str, text: str) -> SettingsError:
        return SettingsError(f"{self.source}: {name}: {text}")


def load(source: str | Path | Mapping[str, Any], folder: Path | None = None) -> Settings:
    """Returns the settings in a TOML file or in a mapping. Raises SettingsError.

    Relative paths start at `folder`. The default is the folder of the file, or for a mapping the
    current one.
    """
    if isinstance(source, Mapping):
        settings = Settings("settings", folder or Path(), source)
    else:
        path = Path(source)
        try:
            tables = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: not a TOML file: {error}") from None
        settings = Settings(str(path), folder or path.resolve().parent, tables)
    known = (*PORTS, "scenario")
    for name, table in settings.tables.items():
        if name not in known:
            hint = did_you_mean(name, known)
            raise settings._error(name, f"unknown table{hint}; known tables: {', '.join(known)}")
        settings._check_type(name, table, dict, f"[{name}]")
    return settings


def _example(key: str, kind: Any) -> str:
    """Returns a line of TOML that sets `key` (`poll`, or `admins[0]`) to a value of this type."""
    origin = typing.get_origin(kind) or kind
    toml_type = {tuple: list, Path: str}.get(origin, origin)
    value = _TYPES[toml_type][1] if toml_type in _TYPES else "…"
    name, is_item, _ = key.partition("[")
    return f"{name} = [{value}]" if is_item else f"{name} = {value}"
