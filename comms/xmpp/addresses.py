"""Jabber addresses, `local@domain/resource`, prepared so that equal ones are equal (RFC 6122 §2).

RFC 7622 is newer; servers of today still prepare by the older text. Where they differ: 7622 lowers case where 6122
folds it (ß stays ß, here it becomes ss), and lets letters be what Unicode has added since 3.2.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from encodings import idna
from functools import lru_cache

from comms.preparation import nodeprep, resourceprep

LONGEST = 1023  # octets of each part (RFC 6122 §2.1)


@dataclass(frozen=True, order=True)
class Jid:
    """An address. `local` is empty for a server, `resource` for an account as a whole."""

    local: str
    domain: str
    resource: str = ""

    @classmethod
    def parse(cls, text: str) -> Jid:
        """The address in a text. Raises ValueError naming what is wrong with it."""
        return _parsed(text)

    @classmethod
    def of(cls, address: str | Jid) -> Jid:
        """Returns `address`, parsed if it is text. Raises ValueError naming what is wrong with it."""
        return cls.parse(address) if isinstance(address, str) else address

    @property
    def bare(self) -> Jid:
        """The account, without the resource."""
        return replace(self, resource="") if self.resource else self

    @property
    def is_account(self) -> bool:
        """Whether it belongs to an account, not to a server."""
        return bool(self.local)

    def __str__(self) -> str:
        return (
            (self.local and self.local + "@")
            + self.domain
            + (self.resource and "/" + self.resource)
        )


@lru_cache(maxsize=1024)
def _parsed(text: str) -> Jid:
    # RFC 6122 §2.1: first the resource is split off, then the local part, both before any mapping
    rest, slash, resource = text.partition("/")
    local, at, domain = rest.partition("@") if "@" in rest else ("", "", rest)
    if (slash and not resource) or (at and not local):
        raise ValueError(f"{text!r} is not a Jabber address: a part of it is empty")
    try:
        jid = Jid(nodeprep(local), _domain(domain), resourceprep(resource))
    except ValueError as error:
        raise ValueError(f"{text!r} is not a Jabber address: {error}") from None
    for part, was in ((jid.local, local), (jid.domain, domain), (jid.resource, resource)):
        if len(part.encode()) > LONGEST:
            raise ValueError(
                f"{text[:40]!r}… is not a Jabber address: a part is longer than {LONGEST} octets"
            )
        if was and not part:
            raise ValueError(f"{text!r} is not a Jabber address: a part of it is empty")
    return jid


def _domain(text: str) -> str:
    """A host's name in Unicode and lower case, without the root's dot, or an IP address. Raises ValueError."""
    if text.startswith("["):
        return f"[{ipaddress.IPv6Address(text[1:-1] if text.endswith(']') else text)}]"
    labels = []
    for label in re.split(
        "[.\u3002\uff0e\uff61]", text.removesuffix(".")
    ):  # RFC 3490 §3.1: these are dots too
        try:
            plain = idna.ToASCII(label)
            labels.append(idna.ToUnicode(plain).lower())
        except UnicodeError:
            plain = b""
        if not re.fullmatch(rb"[A-Za-z0-9_-]+", plain):
            raise ValueError(f"{text!r} is no host's name")
    return ".".join(labels)


def ascii_domain(domain: str) -> str:
    """The domain as DNS and certificates know it."""
    return domain.strip("[]") if domain.startswith("[") else domain.encode("idna").decode()
