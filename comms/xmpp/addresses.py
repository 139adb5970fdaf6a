"""Jabber addresses, `local@domain/resource`, prepared so that equal ones compare as equal.

They follow RFC 6122 §2. RFC 7622 is newer, but today's servers still use the older rules. The two
differ in that RFC 7622 lower-cases letters where RFC 6122 folds them (ß becomes ss here), and in
that it allows the letters which Unicode has added since version 3.2.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache

LONGEST = 1023  # bytes of each part (RFC 6122 §2.1)


@dataclass(frozen=True, order=True)
class Jid:
    """An address. A server has no `local`, an account as a whole no `resource`."""

    local: str
    domain: str
    resource: str = ""

    @classmethod
    def parse(cls, text: str) -> Jid:
        """Returns the address in a text. Raises ValueError with the reason."""
        return _parsed(text)

    @classmethod
    def of(cls, address: str | Jid) -> Jid:
        """Returns `address`, parsed if it is text. Raises ValueError with the reason."""
        return cls.parse(address) if isinstance(address, str) else address

    @property
    def bare(self) -> Jid:
        """The account, without the resource."""
        return _account(self.local, self.domain) if self.resource else self

    @property
    def is_account(self) -> bool:
        """Whether it belongs to an account, not to a server."""
        return bool(self.local)

    def __str__(self) -> str:
        local = f"{self.local}@" if self.local else ""
        resource = f"/{self.resource}" if self.resource else ""
        return local + self.domain + resource


@lru_cache(maxsize=1024)
def _account(local: str, domain: str) -> Jid:
    return Jid(local, domain)


# Most addresses need no preparation. A contact list of many thousands would take seconds with it.
_PREPARED = re.compile(
    r"(?:([a-z0-9._+-]{1,1023})@)?(?!.*xn--)([a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63}){0,14})"
)


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Jid:
    if simple := _PREPARED.fullmatch(text):
        return Jid(simple[1] or "", simple[2])
    # Its tables are imported when the first address needs them.
    from comms.preparation import nodeprep, resourceprep

    # RFC 6122 §2.1: the resource is split off first, then the local part, both before any mapping.
    # A mapping could produce an @ or a slash that was not there.
    rest, slash, resource = text.partition("/")
    local, at, domain = rest.partition("@") if "@" in rest else ("", "", rest)
    if (slash and not resource) or (at and not local):
        raise ValueError(f"{text!r} is not a Jabber address: a part of it is empty")
    try:
        jid = Jid(nodeprep(local), _domain(domain), resourceprep(resource))
    except ValueError as error:
        raise ValueError(f"{text!r} is not a Jabber address: {error}") from None
    for prepared, given in ((jid.local, local), (jid.domain, domain), (jid.resource, resource)):
        if len(prepared.encode()) > LONGEST:
            raise ValueError(
                f"{text[:40]!r}… is not a Jabber address: a part is longer than {LONGEST} bytes"
            )
        if given and not prepared:
            raise ValueError(f"{text!r} is not a Jabber address: a part of it is empty")
    return jid


def _domain(text: str) -> str:
    """Returns a host name in Unicode and lower case, or an IP address. Raises ValueError."""
    if text.startswith("["):
        # Python takes a zone after a %, with any characters; RFC 6122 §2.2 knows none.
        if not text.endswith("]") or "%" in text:
            raise ValueError("an IPv6 address is written in brackets and without a zone")
        return f"[{ipaddress.IPv6Address(text[1:-1])}]"
    from encodings import idna

    labels = []
    # RFC 3490 §3.1: the ideographic full stops are dots, too.
    for label in re.split("[.\u3002\uff0e\uff61]", text.removesuffix(".")):
        try:
            _check_label(label)
            plain = idna.ToASCII(label)
            labels.append(idna.ToUnicode(plain).lower())
        except UnicodeError:
            plain = b""
        if not re.fullmatch(rb"[A-Za-z0-9_-]+", plain):
            raise ValueError(f"{text!r} is not a host name")
    return ".".join(labels)


def _check_label(label: str) -> None:
    """Raises UnicodeError if it is too long: Python takes quadratic time to prepare a label."""
    if len(label) > LONGEST:
        raise UnicodeError(f"a label is longer than {LONGEST} characters")


def ascii_domain(domain: str) -> str:
    """Returns the domain in the form that DNS and certificates use. Raises UnicodeError."""
    if domain.startswith("["):
        return domain.strip("[]")
    _check_label(max(domain.split("."), key=len))
    return domain.encode("idna").decode()
