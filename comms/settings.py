"""Settings: a TOML file, or the mapping it would give. Every error names the file, the key and the remedy.

settings = load("site.toml")
settings.server("smtp")                       # [smtp]: host, port, tls, who logs in
settings.table("apache-alert", Rules)         # [scenario.apache-alert], as a dataclass of the scenario's own
"""

from __future__ import annotations

import dataclasses
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

# protocol → tls → the port when none is given
PORTS: dict[str, dict[str, int]] = {
    "smtp": {"none": 25, "starttls": 587, "implicit": 465},
    "pop3": {"none": 110, "starttls": 110, "implicit": 995},
    "imap": {"none": 143, "starttls": 143, "implicit": 993},
    "xmpp": {"none": 5222, "starttls": 5222, "implicit": 5223},
    "toc": {"none": 9898},
}
# protocol → the ways to log in that may be named (auto: the strongest that the server offers)
AUTH: dict[str, tuple[str, ...]] = {
    "smtp": ("auto", "plain", "login", "cram-md5"),
    "pop3": ("auto", "user", "apop", "plain"),
    "imap": ("auto", "login", "plain", "cram-md5"),
    "xmpp": ("auto", "scram-sha-256", "scram-sha-1", "plain"),
    "toc": ("auto",),
}
_SERVER_KEYS: dict[str, type | tuple[type, ...]] = {
    "host": str, "port": int, "tls": str, "ca_file": str, "user": str, "password": str, "password_env": str,
    "password_file": str, "auth": str, "timeout": (int, float),
}  # fmt: skip
_OWN_KEYS: dict[str, dict[str, type]] = {"xmpp": {"jid": str}, "toc": {"screen_name": str}}


@dataclass(frozen=True)
class Server:
    """Where a server is and how to log in. `tls` never falls back; `timeout` is in seconds.

    `host` is empty only where `jid` says the domain, and DNS says the rest.
    """

    protocol: str
    host: str
    port: int
    tls: str = "starttls"
    ca_file: Path | None = None
    user: str = ""
    password: str = field(default="", repr=False)  # a secret: never in a log
    auth: str = "auto"
    timeout: float = 30.0
    jid: str = ""
    screen_name: str = ""


@dataclass(frozen=True)
class Settings:
    """What `load` gives. `warnings` are for the program to show once."""

    source: str
    folder: Path  # relative paths in the settings begin here
    tables: Mapping[str, Any]
    warnings: list[str] = field(default_factory=list, compare=False)

    def server(self, protocol: str) -> Server:
        """The server of a protocol. Raises SettingsError."""
        table = self.tables.get(protocol)
        if table is None:
            raise self._error(protocol, f"is missing; write [{protocol}] with at least host = …")
        keys = {**_SERVER_KEYS, **_OWN_KEYS.get(protocol, {})}
        for key, value in table.items():
            if key not in keys:
                raise self._error(
                    f"{protocol}.{key}",
                    f"is not known{did_you_mean(key, keys)}; known: {', '.join(keys)}",
                )
            self._check(f"{protocol}.{key}", value, keys[key])
        if not table.get("host") and not table.get(
            "jid"
        ):  # a Jabber address names its server's domain
            raise self._error(f"{protocol}.host", 'is missing; write host = "mail.example.org"')
        ports = PORTS[protocol]
        tls = table.get("tls", "starttls" if "starttls" in ports else "none")
        self._choose(f"{protocol}.tls", tls, ports)
        auth = table.get("auth", "auto")
        self._choose(f"{protocol}.auth", auth, AUTH[protocol])
        port = table.get("port", ports[tls])
        if not 0 < port < 65536:
            raise self._error(f"{protocol}.port", f"is {port}; a port is 1 to 65535")
        timeout = table.get("timeout", 30)
        if timeout <= 0:
            raise self._error(
                f"{protocol}.timeout", f"is {timeout}; a timeout is more than 0 seconds"
            )
        ca_file = self.path(table["ca_file"]) if table.get("ca_file") else None
        if ca_file is not None and not ca_file.is_file():
            raise self._error(f"{protocol}.ca_file", f"names {ca_file}, which is no file")
        own = {key: table[key] for key in _OWN_KEYS.get(protocol, {}) if key in table}
        return Server(
            protocol, table.get("host", ""), port, tls, ca_file, table.get("user", ""), self._password(protocol, table),
            auth, float(timeout), **own,
        )  # fmt: skip

    def table(self, scenario: str, kind: type[T]) -> T:
        """[scenario.NAME] as a dataclass: its fields are the keys, its defaults theirs. Raises SettingsError."""
        name = f"scenario.{scenario}"
        table = self.tables.get("scenario", {}).get(scenario, {})
        hints = typing.get_type_hints(kind)
        fields = {one.name: one for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
        given: dict[str, Any] = {}
        for key, value in table.items():
            if key not in fields:
                raise self._error(
                    f"{name}.{key}",
                    f"is not known{did_you_mean(key, fields)}; known: {', '.join(fields)}",
                )
            given[key] = self._converted(f"{name}.{key}", value, hints[key])
        for key, one in fields.items():
            missing = (
                one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING
            )
            if key not in given and missing:
                raise self._error(f"{name}.{key}", "is missing, and there is no sensible default")
        for key, one in fields.items():
            if hints[key] is Path and key not in given and one.default is not dataclasses.MISSING:
                given[key] = self.path(str(one.default))
        try:
            return kind(**given)
        except ValueError as error:  # the dataclass's own checks name the key first
            key, _, text = str(error).partition(" ")
            raise self._error(f"{name}.{key}", text) from None

    def path(self, text: str) -> Path:
        """A path of the settings: relative ones begin at the settings file's folder."""
        return self.folder / text

    def _converted(self, name: str, value: object, kind: Any) -> Any:
        if isinstance(kind, types.UnionType):
            kind = next(one for one in typing.get_args(kind) if one is not type(None))
        origin, inner = typing.get_origin(kind) or kind, typing.get_args(kind)
        if origin is Path:
            self._check(name, value, str)
            return self.path(str(value))
        if origin is tuple:
            self._check(name, value, list)
            assert isinstance(value, list)
            return tuple(
                self._converted(f"{name}[{n}]", one, inner[0]) for n, one in enumerate(value)
            )
        if origin is dict:
            self._check(name, value, dict)
            assert isinstance(value, dict)
            return {
                key: self._converted(f"{name}.{key}", one, inner[1]) for key, one in value.items()
            }
        self._check(name, value, (int, float) if origin is float else origin)
        return float(value) if origin is float else value  # type: ignore[arg-type]

    def _password(self, protocol: str, table: Mapping[str, Any]) -> str:
        given = [key for key in ("password", "password_env", "password_file") if table.get(key)]
        if len(given) > 1:
            raise self._error(
                f"{protocol}.{given[1]}", f"stands beside {given[0]}; keep one of them"
            )
        if not given:
            return ""
        value = str(table[given[0]])
        if given[0] == "password_env":
            if value not in os.environ:
                raise self._error(
                    f"{protocol}.password_env", f"names {value}, which is not in the environment"
                )
            return os.environ[value]
        if given[0] == "password_file":
            path = self.path(value)
            try:
                self._warn_if_open(path, f"{protocol}.password_file")
                return path.read_text().rstrip("\r\n")
            except OSError as error:
                raise self._error(f"{protocol}.password_file", f"cannot be read: {error}") from None
        if Path(self.source).is_file():
            self._warn_if_open(Path(self.source), f"{protocol}.password")
        return value

    def _warn_if_open(self, path: Path, key: str) -> None:
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
            self.warnings.append(f"{key}: {path} can be read by others; chmod 600 {path}")

    def _check(self, name: str, value: object, kind: type | tuple[type, ...]) -> None:
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            words = {str: "a text in quotes", int: "a number", float: "a number", list: "a list: [ … ]",
                     bool: "true or false", dict: "a table"}  # fmt: skip
            raise self._error(
                name, f"is {value!r}; it should be {words.get(kinds[0], kinds[0].__name__)}"
            )

    def _choose(self, name: str, value: str, choices: Iterable[str]) -> None:
        if value not in choices:
            raise self._error(
                name, f"is {value!r}; choose {' or '.join(choices)}{did_you_mean(value, choices)}"
            )

    def _error(self, name: str, text: str) -> SettingsError:
        return SettingsError(f"{self.source}: {name} {text}")


def load(source: str | Path | Mapping[str, Any], folder: Path | None = None) -> Settings:
    """Settings from a file, or from a mapping with the same content. Raises SettingsError."""
    if isinstance(source, Mapping):
        settings = Settings("the settings given", folder or Path(), source)
    else:
        path = Path(source)
        try:
            tables = tomllib.loads(path.read_text("utf-8"))
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise SettingsError(f"{path}: is not TOML: {error}") from None
        settings = Settings(str(path), folder or path.resolve().parent, tables)
    known = (*PORTS, "scenario")
    for name, table in settings.tables.items():
        if name not in known:
            raise settings._error(
                name, f"is not known{did_you_mean(name, known)}; known: {', '.join(known)}"
            )
        settings._check(name, table, dict)
    return settings
