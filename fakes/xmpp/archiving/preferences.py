"""XEP-0441: which conversations an account wants in its archive."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import jid, parse_or_none
from fakes.xmpp.markup import element
from fakes.xmpp.sessions import Account
from fakes.xmpp.stanzas import StanzaError

MAM = "urn:xmpp:mam:2"
DEFAULTS = ("always", "never", "roster")
MOST = 1000  # addresses on each list


@dataclass(frozen=True)
class Preferences:
    """Addresses that are always archived, those that never are, and what holds for all others."""

    default: str = "always"
    always: tuple[str, ...] = ()
    never: tuple[str, ...] = ()

    @classmethod
    def read(cls, given: Element) -> Preferences:
        """Reads a `<prefs/>`. Raises StanzaError."""
        default = given.get("default", "")
        if default not in DEFAULTS:
            raise StanzaError("bad-request", f"the default is one of {', '.join(DEFAULTS)}")
        return cls(default, _addresses(given, "always"), _addresses(given, "never"))

    def element(self) -> Element:
        """Builds the `<prefs/>` (§2.1)."""
        lists = (
            element(f"{{{MAM}}}{name}", {}, *(element(f"{{{MAM}}}jid", text=one) for one in listed))
            for name, listed in (("always", self.always), ("never", self.never))
        )
        return element(f"{{{MAM}}}prefs", {"default": self.default}, *lists)

    def allow(self, account: Account, address: str) -> bool:
        """Whether a message to or from an address is archived (§2.3)."""
        other = jid(address)
        for listed, wanted in ((self.never, False), (self.always, True)):
            if other.text in listed or other.bare in listed:
                return wanted
        if self.default == "roster":
            return other.bare in account.roster.items
        return self.default == "always"


def _addresses(given: Element, name: str) -> tuple[str, ...]:
    found = [one.text or "" for one in given.iterfind(f"{{{MAM}}}{name}/{{{MAM}}}jid")]
    if len(found) > MOST:
        raise StanzaError("resource-constraint", f"a list has {MOST} addresses at most")
    parsed = [parse_or_none(text) for text in found]
    if None in parsed:
        raise StanzaError("jid-malformed", f"{found[parsed.index(None)]!r} is not an address")
    return tuple(dict.fromkeys(one.text for one in parsed if one is not None))
