"""XEP-0157 (1.1.1): where to reach those who run the server, as `contact_addresses` says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element

from fakes.xmpp.extension import Extension
from fakes.xmpp.forms import Field, build
from fakes.xmpp.service import Service

FORM = "http://jabber.org/network/serverinfo"
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"]+")


class ContactAddresses(Extension):
    """The form in disco#info of the domain; without addresses there is none.

    Raises ValueError for an address that is not a URI (XEP-0157 §3).
    """

    name = "contact-addresses"
    section = "XEP-0157"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        given: dict[str, tuple[str, ...]] = vars(service.policy.contact_addresses)
        self._fields = [
            Field(f"{role}-addresses", values=addresses)
            for role, addresses in sorted(given.items())
            if addresses
        ]
        for field in self._fields:
            for address in field.values:
                if not _URI.fullmatch(address):
                    raise ValueError(
                        f"contact_addresses: {address!r} is not a URI; "
                        "write mailto:, xmpp: or https:// before the address"
                    )

    def domain_forms(self) -> Iterable[Element]:
        return [build(FORM, self._fields, type="result")] if self._fields else ()
