"""Jabber addresses (JIDs): split into parts, prepared, and compared only in prepared form.

    jid("Juliet@Example.TEST./Balcony")  # juliet@example.test/Balcony

Addresses are prepared as RFC 6122 says, because today's clients grew up with that text. RFC 7622
differs in two places. Its localparts follow the UsernameCaseMapped profile of PRECIS, which has no
compatibility mapping: it narrows fullwidth letters, refuses ligatures and the like where RFC 6122
folds them, admits newer letters and excludes symbols and emoji. Its resourceparts follow
OpaqueString, which turns every kind of space into a plain space and keeps compatibility
characters. Escapes (XEP-0106) are left alone.

The errors raised here reach clients as the text of `jid-malformed` errors.
"""

from __future__ import annotations

import ipaddress
import re
from encodings import idna
from functools import lru_cache

from fakes.preparation import nodeprep, resourceprep

PART = 1023  # bytes of one part after preparation (RFC 6122 §2.1)


class Jid:
    """An address in its prepared form."""

    __slots__ = ("bare", "domain", "local", "resource", "text")

    def __init__(self, local: str, domain: str, resource: str) -> None:
        self.local = local
        self.domain = domain
        self.resource = resource
        self.bare = f"{local}@{domain}" if local else domain
        self.text = f"{self.bare}/{resource}" if resource else self.bare

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<{self.text}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Jid) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


@lru_cache(maxsize=8192)
def jid(text: str) -> Jid:
    """Parses and prepares an address. Raises ValueError, naming the part that is wrong."""
    # RFC 6122 §2.1: split before anything is mapped, at the first / and then at the first @
    rest, slash, resource = text.partition("/")
    local, at, domain = rest.partition("@") if "@" in rest else ("", "", rest)
    if (slash and not resource) or (at and not local):
        raise ValueError(f"{text!r} has an empty part")
    return Jid(
        _prepare_local(local) if at else "",
        prepare_domain(domain),
        _prepare_resource(resource) if slash else "",
    )


def parse_or_none(text: str) -> Jid | None:
    """Parses and prepares an address; returns None if the text is not an address."""
    try:
        return jid(text)
    except ValueError:
        return None


@lru_cache(maxsize=1024)
def prepare_domain(text: str) -> str:
    """Prepares a domainpart: lower case, no final dot, IPv6 in its shortest form in brackets.

    Raises ValueError if the text is not a domain.
    """
    if text.startswith("["):
        try:
            # Python takes a zone after a %, with any characters; RFC 6122 §2.2 knows none.
            inner = text[1:-1] if text.endswith("]") and "%" not in text else ""
            return f"[{ipaddress.IPv6Address(inner).compressed}]"
        except ValueError:
            raise ValueError(f"{text!r} is not an IPv6 address in brackets") from None
    name = text.removesuffix(".")
    if not _PLAIN_DOMAIN.fullmatch(name):
        try:
            name = ".".join(_prepare_label(label) for label in _DOTS.split(name))
        except UnicodeError as error:
            raise ValueError(f"{text!r} is not a domain: {error}") from None
    return _check_length(name, "domain")


_DOTS = re.compile("[.\u3002\uff0e\uff61]")  # the dots of IDNA (RFC 3490 §3.1)
# Most addresses are plain ASCII. These patterns recognise them, so that they need no preparation.
_PLAIN_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN_DOMAIN = re.compile(rf"(?!(?:.*\.)?xn--)(?:{_PLAIN_LABEL}\.)*{_PLAIN_LABEL}")
_PLAIN_LOCAL = re.compile(r"[a-z0-9._+-]+")
_LABEL = re.compile(
    r"[^\x00-,./:-@\[-`{-\x7f-](?:[^\x00-,./:-@\[-`{-\x7f]*[^\x00-,./:-@\[-`{-\x7f-])?"
)


def _prepare_label(label: str) -> str:
    """RFC 3490 §4: applies nameprep, and decodes a label written in ASCII (xn--…)."""
    if len(label) > PART:  # preparing takes quadratic time
        raise UnicodeError(f"a label has more than {PART:,} characters")
    prepared: str = label.lower() if label.isascii() else idna.nameprep(label)
    if prepared.startswith("xn--"):
        prepared = idna.ToUnicode(prepared)
    if not _LABEL.fullmatch(prepared) or len(idna.ToASCII(prepared)) > 63:
        raise UnicodeError(f"{label!r} is not a label of a domain name")
    return prepared


def _prepare_local(text: str) -> str:
    plain = _PLAIN_LOCAL.fullmatch(text)
    return _check_length(text if plain else nodeprep(text), "local part")


def _prepare_resource(text: str) -> str:
    plain = text.isascii() and text.isprintable()
    return _check_length(text if plain else resourceprep(text), "resource")


def _check_length(part: str, name: str) -> str:
    """Returns the part unchanged. Raises ValueError if it is empty or too long."""
    if not part:
        raise ValueError(f"the {name} is empty")
    if len(part.encode("utf-8", "surrogatepass")) > PART:
        raise ValueError(f"the {name} has more than {PART:,} octets")
    return part
