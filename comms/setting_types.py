"""The types that settings may have: numbers of seconds, addresses, command lines, files.

    @dataclass(frozen=True)
    class Rules:
        admins: NonEmpty[tuple[MailAddress, ...]]
        poll: Seconds = 30
        state: StateFile = Path("watch.sqlite3")

Each is an ordinary type with a `Check`, which `settings.table` applies to what the file says. A
program can define its own in the same way: `Annotated[int, Check(problem, "8080")]`.
"""

from __future__ import annotations

import functools
import importlib.util
import ipaddress
import json
import os
import re
import ssl
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from comms import addresses
from comms.compose import Message

T = TypeVar("T")

YEARS = 10**9  # seconds, about 31 years: the operating system cannot wait much longer
DAY = 86400  # seconds
SCREEN_NAME = 100  # characters; AIM's own have 16, but addresses were screen names, too
LOCAL_PART = 64  # characters of an address before the @ (RFC 5321 §4.5.3.1.1)
PATTERN = 30  # characters that a program puts there for a star
SHOWN = 60  # characters of a wrong value that an error quotes
NAME = 253  # characters of the longest host name, which DNS writes as 255 bytes
# What no line of a protocol, command line or file name can contain.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Check:
    """A condition on a value.

    `problem` returns what is wrong with a value of the right type, or "". `example` is a correct
    value in TOML; without one, the example is that of the type.
    """

    problem: Callable[[Any], str]
    example: str = ""


def shown(value: object) -> str:
    """Returns the beginning of a wrong value, as an error quotes it."""
    if isinstance(value, float):
        return f"{value:g}"
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:  # Python refuses to print a whole number of more than 4,300 digits
        return "a very long number"
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


# ── numbers ──────────────────────────────────────────────────────────────────


def _more_than_0(most: int) -> Callable[[float], str]:
    def problem(value: float) -> str:
        if not value > 0:  # also true for NaN, which fails every comparison
            return f"expected more than 0 seconds, found {shown(value)}"
        return _at_most(most, value)

    return problem


def _at_least_0(value: float) -> str:
    if not value >= 0:
        return f"expected 0 seconds or more, found {shown(value)}"
    return _at_most(YEARS, value)


def _at_most(most: int, value: float) -> str:
    return "" if value <= most else f"expected at most {most} seconds, found {shown(value)}"


def between(least: int, most: int) -> Check:
    """Returns the check that a whole number is in a range, both ends included."""

    def problem(value: int) -> str:
        if least <= value <= most:
            return ""
        return f"expected a number from {least} to {most}, found {shown(value)}"

    return Check(problem, str(least))


def _no_rate(value: float) -> str:
    return "" if 0 <= value <= 10**6 else f"expected 0 to 1000000 per second, found {shown(value)}"


Rate = Annotated[float, Check(_no_rate, "10")]  # per second; 0 for no limit
Seconds = Annotated[float, Check(_more_than_0(YEARS), "30")]
SecondsOrZero = Annotated[float, Check(_at_least_0, "30")]
Timeout = Annotated[float, Check(_more_than_0(DAY), "30")]  # of a connection
Count = Annotated[int, between(1, 10**12)]
CountOrZero = Annotated[int, between(0, 10**12)]


# ── texts ────────────────────────────────────────────────────────────────────


def _empty(value: Any) -> str:
    content = value.strip() if isinstance(value, str) else value
    return "" if content else "is empty"


def _word(value: str) -> str:
    if not value:
        return "is empty"
    return f"{shown(value)} contains a NUL character" if "\0" in value else ""


def _line(value: str) -> str:
    return f"{shown(value)} contains a control character" if _CONTROL.search(value) else ""


def _host_name(value: str) -> str:
    try:
        ipaddress.ip_address(value)
        return ""
    except ValueError:
        pass
    try:
        # Encoded again, because that is what checks the labels of a name in ASCII.
        encoded = addresses.ascii_domain(value).encode("idna").decode("ascii")
    except UnicodeError:
        encoded = ""
    valid = len(encoded) <= NAME and re.fullmatch(r"[A-Za-z0-9._-]+", encoded)
    return "" if valid else f"{shown(value)} is not a host name or an IP address"


def _host_and_port(value: str) -> str:
    host, _, port = value.rpartition(":")
    if _host_name(host.strip("[]")) or not re.fullmatch(r"-?[0-9]+", port):
        return f"expected HOST:PORT, found {shown(value)}"
    in_range = len(port) <= 5 and 0 < int(port) < 65536
    return "" if in_range else f"expected a port from 1 to 65535, found {shown(value)}"


NonEmpty = Annotated[T, Check(_empty)]  # a text with more than spaces, a list or a table
Line = Annotated[str, Check(_line)]
MailProtocol = Literal["pop3", "imap"] | None  # of a mailbox; None for the one with a table
FolderName = Annotated[str, Check(_empty, '"Work"'), Check(_line)]  # of a mailbox
HostName = Annotated[str, Check(_host_name, '"mail.example.org"')]
HostAndPort = Annotated[str, Check(_host_and_port, '"127.0.0.1:80"')]
Word = Annotated[str, Check(_word)]
CommandLine = tuple[Word, ...]  # a program and its arguments; empty for no command


# ── addresses ────────────────────────────────────────────────────────────────


def _mail_address(value: str) -> str:
    if not addresses.is_address(value):
        return f"{shown(value)} is not a bare mail address"
    return _not_written(value)


@functools.lru_cache(256)  # the same few addresses in each table, and a mail costs 0.3 ms
def _not_written(value: str) -> str:
    """Returns why no mail can be written to or from an address, or "".

    An error in the first mail would come too late.
    """
    try:
        Message(value, [value]).to_bytes()
    except ValueError as error:
        return str(error).removeprefix("to: ").removeprefix("sender: ")
    return ""


def _named_address(value: str) -> str:
    try:
        addresses.parse_one(value)
    except ValueError as error:
        return str(error)
    return _not_written(value)


def _jabber_address(value: str) -> str:
    # Imported here, because comms.xmpp imports the settings.
    from comms.xmpp.addresses import Jid

    try:
        Jid.parse(value)
    except ValueError as error:
        return str(error)
    return ""


def _jabber_login(value: str) -> str:
    from comms.xmpp.addresses import Jid

    problem = _jabber_address(value)
    if problem or Jid.parse(value).is_account:
        return problem
    return f"{shown(value)} is a server, not an account"


def _jabber_account(value: str) -> str:
    from comms.xmpp.addresses import Jid

    problem = _jabber_login(value)
    if problem or not Jid.parse(value).resource:
        return problem
    return f"{shown(value)} is one connection of an account, not the account"


def _longer_than_a_screen_name(value: str) -> str:
    if len(value) <= SCREEN_NAME:
        return ""
    return f"a screen name has at most {SCREEN_NAME} characters, found {shown(value)}"


def _no_address_pattern(value: str) -> str:
    # With as much for the star as programs put there: a number, a sign and a token.
    filled = value.replace("*", "1" * PATTERN) if value.count("*") == 1 else ""
    if "*" not in value.partition("@")[0] or not addresses.is_address(filled):
        return f"{shown(value)} is not an address with one * before the @"
    if len(filled.rpartition("@")[0]) > LOCAL_PART:
        return f"{shown(value)} is too long with a number and a token in it"
    return _not_written(filled)


MailAddress = Annotated[str, Check(_mail_address, '"you@example.org"')]
AddressPattern = Annotated[str, Check(_no_address_pattern, '"robot+*@example.org"')]
NamedAddress = Annotated[str, Check(_named_address, '"Your Name <you@example.org>"')]
JabberAddress = Annotated[str, Check(_jabber_address, '"you@example.org"')]
JabberAccount = Annotated[str, Check(_jabber_account, '"you@example.org"')]  # no resource
JabberLogin = Annotated[str, Check(_jabber_login, '"bot@example.org"')]  # with or without one
ScreenName = Annotated[
    str, Check(_empty, '"YourScreenName"'), Check(_line), Check(_longer_than_a_screen_name)
]


def _no_nick(value: str) -> str:
    if re.fullmatch(r"[A-Za-z\[\]\\`_^{|}][A-Za-z0-9\[\]\\`_^{|}-]*", value):
        return ""
    return f"{shown(value)} is not a nick: it begins with a letter, and has no spaces"


def _no_channel(value: str) -> str:
    if re.fullmatch(r"[#&+!][^\s,\x00-\x1f]*(?: [^\s,:\x00-\x1f][^\s,\x00-\x1f]*)?", value):
        return ""
    # A key is a secret.
    return f"{shown(value.partition(' ')[0])} is not a channel, or a channel, a space and its key"


Nick = Annotated[str, Check(_no_nick, '"bot"')]  # of IRC
IrcChannel = Annotated[str, Check(_no_channel, '"#ops"')]


# ── the web ──────────────────────────────────────────────────────────────────


def _web_address(value: str) -> str:
    from comms.http import Url  # imported here, because few programs need it

    try:
        Url.parse(value)
    except ValueError as error:
        return f"{shown(value)} is not a web address: {error}"
    return ""


def _network(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError as error:
        return f"{shown(value)} is not a network: {error}"
    return ""


WebAddress = Annotated[str, Check(_web_address, '"https://hooks.example.org/in"')]
Network = Annotated[str, Check(_network, '"10.1.0.0/16"')]


# ── files ────────────────────────────────────────────────────────────────────


def _folder(path: Path) -> str:
    return f"{path} is a folder, not a file" if os.path.isdir(path) else ""


def _no_folder(path: Path) -> str:
    return "" if os.path.isdir(path) else f"the folder {shown(path.name)} does not exist"


def _no_place(path: Path) -> str:
    if os.path.isdir(path.parent):
        return ""
    problem = "is not a folder" if os.path.exists(path.parent) else "does not exist"
    return f"the folder {path.parent} {problem}"


def _unreadable(path: Path) -> str:
    try:
        with path.open("rb"):
            return ""
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"


def _device(path: Path) -> str:
    """A device such as /dev/zero may have no end."""
    try:
        is_device = stat.S_ISCHR(os.stat(path).st_mode)
    except OSError:
        return ""
    return f"{path} is a device, not a file" if is_device else ""


def _no_certificates(path: Path) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        return f"{path} does not contain a certificate in PEM format"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return ""


def _no_login_certificate(path: Path) -> str:
    try:
        # Without a password, OpenSSL would ask for it on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(path, password=lambda: "")
    except (ssl.SSLError, ValueError):
        return f"{path} does not contain a certificate and its key, without a password, as PEM"
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    return ""


def _no_module(name: str) -> str:
    try:
        if re.fullmatch(r"\w+(?:\.\w+)*", name) and importlib.util.find_spec(name) is not None:
            return ""
    except (ImportError, ValueError):  # a package before the dot does not exist, or is a module
        pass
    return f"unknown module {shown(name)}"


FilePath = Annotated[Path, Check(_folder, '"file"'), Check(_device)]  # need not exist
Folder = Annotated[Path, Check(_no_folder, '"folder"')]
StateFile = Annotated[Path, Check(_folder, '"state.sqlite3"'), Check(_no_place)]
ReadableFile = Annotated[Path, Check(_unreadable, '"file"'), Check(_device)]
Certificates = Annotated[Path, Check(_no_certificates, '"ca.pem"')]
LoginCertificate = Annotated[Path, Check(_no_login_certificate, '"bot.pem"')]  # with its key
Module = Annotated[
    str, Check(_no_module, '"json"')
]  # of Python; packages before a dot are imported
