"""Jabber addresses: split, prepared, compared only in their prepared form.

    jid("Juliet@Example.TEST./Balcony")  # juliet@example.test/Balcony

Prepared as RFC 6122 says, the text that today's clients grew up with. RFC 7622 differs in this: its localparts are the
UsernameCaseMapped profile of PRECIS, which has no compatibility mapping (fullwidth letters are narrowed, ligatures and the
like are refused where 6122 folds them), lets newer letters in and keeps symbols and emoji out; its resourceparts are
OpaqueString, which turns other blanks into a blank and keeps compatibility characters. Escapes (XEP-0106) are left alone.
"""

from __future__ import annotations

import ipaddress
import re
from encodings import idna
from functools import lru_cache

from fakes.preparation import nodeprep, resourceprep

PART = 1023  # octets of a part after preparation (RFC 6122 §2.1)


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
    """The address that a text means. Raises ValueError, saying which part is wrong."""
    # RFC 6122 §2.1: split before anything is mapped, at the first / and then at the first @
    rest, slash, resource = text.partition("/")
    local, at, domain = rest.partition("@") if "@" in rest else ("", "", rest)
    if (slash and not resource) or (at and not local):
        raise ValueError(f"{text!r} has an empty part")
    return Jid(_local(local) if at else "", domain_of(domain), _resource(resource) if slash else "")


@lru_cache(maxsize=1024)
def domain_of(text: str) -> str:
    """A domainpart, prepared: lower case, no final dot, IPv6 in brackets as it is written shortest. Raises ValueError."""
    if text.startswith("["):
        try:
            return f"[{ipaddress.IPv6Address(text[1:-1] if text.endswith(']') else '').compressed}]"
        except ValueError:
            raise ValueError(f"{text!r} is no IPv6 address in brackets") from None
    name = text.removesuffix(".")
    if not _PLAIN_DOMAIN.fullmatch(name):
        try:
            name = ".".join(_label(label) for label in re.split("[.\u3002\uff0e\uff61]", name))
        except UnicodeError as error:
            raise ValueError(f"{text!r} is no domain: {error}") from None
    return _measured(name, "domain")


_PLAIN_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN_DOMAIN = re.compile(rf"(?!(?:.*\.)?xn--)(?:{_PLAIN_LABEL}\.)*{_PLAIN_LABEL}")
_PLAIN_LOCAL = re.compile(r"[a-z0-9._+-]{1,1023}")
_LABEL = re.compile(r"[^\x00-,./:-@\[-`{-\x7f-](?:[^\x00-,./:-@\[-`{-\x7f]*[^\x00-,./:-@\[-`{-\x7f-])?")


def _label(label: str) -> str:
    """RFC 3490 §4: nameprep, and what is written in ASCII (xn--…) comes back as what it means."""
    prepared: str = idna.nameprep(label)
    if prepared.startswith("xn--"):
        prepared = idna.ToUnicode(prepared)
    if not _LABEL.fullmatch(prepared) or len(idna.ToASCII(prepared)) > 63:
        raise UnicodeError(f"{label!r} is no label of a domain name")
    return prepared


def _local(text: str) -> str:
    return text if _PLAIN_LOCAL.fullmatch(text) else _measured(nodeprep(text), "local part")


def _resource(text: str) -> str:
    plain = text.isascii() and text.isprintable()
    return _measured(text if plain else resourceprep(text), "resource")


def _measured(part: str, name: str) -> str:
    if not part:
        raise ValueError(f"the {name} is empty")
    if len(part.encode("utf-8", "surrogatepass")) > PART:
        raise ValueError(f"the {name} has more than {PART:,} octets")
    return part
