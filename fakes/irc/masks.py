"""The secrets in what clients send, and what a transcript writes in their place.

`PASS {irc-password server}`, `OPER root {irc-oper root}`, `NS IDENTIFY {irc-account alice}`; with
`wrong` after the name, the secret is a wrong one. A response of SASL is labelled as everywhere.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TYPE_CHECKING

from fakes import sasl
from fakes.irc.lines import decode
from fakes.wire import Secret

if TYPE_CHECKING:
    from fakes.irc.network import Irc

# What comes before a password. Everything after it, up to the next space or the end, is hidden.
# Spaces are never given back (`++`): many of them, and no password, would take quadratic time.
_TAGS_AND_SOURCE = rb"(?:@\S*\s++)?(?::\S*\s++)?\s*+"
# Services of any network, and what some networks take as commands: `IDENTIFY password`.
_TO_SERVICE = (
    rb"(?:PRIVMSG|NOTICE|SQUERY)\s++:?"
    rb"(?=\S*?(?<![^\s:,])(?:[a-z]*Serv(?![^\s@,])|[QX]@))\S++\s++:?"  # one of the receivers
)
_SERVICE = rb"(?:(?:%b|(?:NS|[a-z]*SERV)\s++:?)\s*+)?" % _TO_SERVICE
_PASS = re.compile(rb"%b(PASS)\s++:?" % _TAGS_AND_SOURCE, re.I)
_OPER = re.compile(rb"%b(OPER)\s++(\S+)\s++:?" % _TAGS_AND_SOURCE, re.I)
_BEFORE = _TAGS_AND_SOURCE + _SERVICE
_IDENTIFY = re.compile(
    rb"%b(IDENTIFY|ID|LOGIN|AUTH)\s++:?(?:(\S+)\s++:?(?=\S))?(?=\S)" % _BEFORE, re.I
)
_GHOST = re.compile(
    rb"%b(GHOST|RECOVER|REGAIN|RELEASE|DROP|GROUP)\s++:?(\S+)\s++:?(?=\S)" % _BEFORE, re.I
)
_REGISTER = re.compile(rb"%b(REGISTER|SET\s++PASS\w*+|SETPASS)\s++:?(?=\S)" % _BEFORE, re.I)
_AUTHENTICATE = re.compile(rb"%b(AUTHENTICATE)\s++:?" % _TAGS_AND_SOURCE, re.I)
FRAGMENT = "unfinished"


def secrets_in(
    raw: bytes, network: Irc, exchange: sasl.Exchange | None, nick: str
) -> tuple[Secret, ...]:
    """Returns the secret spans of a line. `nick` is who sends it."""
    end = len(raw.rstrip(b"\r\n"))
    if (match := _AUTHENTICATE.match(raw)) and exchange is not None:
        return _response(raw, match.end(), end, network, exchange)
    if match := _PASS.match(raw):
        right = decode(raw[match.end() : end]) == network.policy.password
        return _labelled(match.end(), end, "irc-password server", right)
    if match := _OPER.match(raw):
        name, given = decode(match[2]), decode(raw[match.end() : end])
        return _labelled(match.end(), end, f"irc-oper {name}", network.is_oper(name, given))
    if match := _IDENTIFY.match(raw) or _GHOST.match(raw):
        name, given = decode(match[2] or nick.encode()), decode(raw[match.end() : end])
        person = network.people.find(name)
        right = person is not None and person.password == given
        return _labelled(match.end(), end, f"irc-account {name or '-'}", right)
    if match := _REGISTER.match(raw):  # NickServ here knows neither, so that nothing is right
        return _labelled(match.end(), end, f"irc-account {nick or '-'}", False)
    return ()


def secrets_in_fragment(raw: bytes) -> tuple[Secret, ...]:
    """Returns the secret spans of a line that never became complete."""
    for pattern in (_AUTHENTICATE, _PASS, _OPER, _IDENTIFY, _GHOST, _REGISTER):
        match = pattern.match(raw)
        if match and match.end() < len(raw):
            return (Secret(match.end(), len(raw), FRAGMENT),)
    return ()


def _labelled(start: int, end: int, label: str, right: bool) -> tuple[Secret, ...]:
    text = re.sub(r"[^!-z|~]", "?", label.partition(" ")[2]) or "?"
    kind = label.partition(" ")[0]
    return (Secret(start, end, f"{kind} {text}{'' if right else ' wrong'}"),) if start < end else ()


def _response(
    raw: bytes, start: int, end: int, network: Irc, exchange: sasl.Exchange
) -> tuple[Secret, ...]:
    encoded = raw[start:end]
    if encoded in (b"+", b"*", b""):
        return ()
    try:
        response = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return (Secret(start, end, "not base64"),)
    name, challenge = exchange.name, exchange.challenge
    label = sasl.label(exchange.mechanism, response, network.people, name, challenge)
    return (Secret(start, end, label),)


def unmasked(network: Irc, label: str) -> bytes:
    """Returns what a label stands for. Raises ValueError for an account that does not exist."""
    kind, _, rest = label.partition(" ")
    name, _, wrong = rest.partition(" ")
    if wrong:
        return b"wrong"
    if kind == "irc-password":
        return network.policy.password.encode()
    if kind == "irc-oper":
        return network.oper_password(name).encode()
    person = network.people.find(name)
    if person is None:
        raise ValueError(f"unknown account {name!r}; write a name of this world")
    return person.password.encode()


SECRETS = dict.fromkeys(("irc-password", "irc-oper", "irc-account"), unmasked)
