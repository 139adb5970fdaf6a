"""XEP-0386 (1.1.0): Bind 2, the binding of a resource inside a login, with what belongs to it.

The server makes the name of the resource: the client's tag and random characters. What a session
is to begin with, such as copies of messages, is switched on before anything can arrive.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from fakes.wire import TlsFacts
from fakes.xmpp.addresses import jid, parse_or_none
from fakes.xmpp.archiving.finding import archive_of
from fakes.xmpp.extension import Extension
from fakes.xmpp.extensions.sasl2 import client_id
from fakes.xmpp.markup import element
from fakes.xmpp.sessions import Account
from fakes.xmpp.stanzas import StanzaError

if TYPE_CHECKING:
    from fakes.xmpp.stream import Xmpp

BIND2 = "urn:xmpp:bind:0"


class Bind2(Extension):
    """Binds resources in the logins of SASL2."""

    name = "bind2"
    section = "XEP-0386"

    def inline_features(self, tls: TlsFacts | None) -> Iterable[Element]:
        active = self.service.extensions.active
        names = (name for extension in active for name in extension.bind_features())
        listed = [element(f"{{{BIND2}}}feature", {"var": name}) for name in names]
        inside = [element(f"{{{BIND2}}}inline", {}, *listed)] if listed else []
        return (element(f"{{{BIND2}}}bind", {}, *inside),)

    def logged_in(self, stream: Xmpp, request: Element) -> Iterable[Element]:
        asked = request.find(f"{{{BIND2}}}bind")
        account = self.service.accounts.find(jid(stream.user))
        # §3.2: a session that is resumed has a resource already
        if asked is None or account is None or stream.resource is not None:
            return ()
        wanted = parse_or_none(f"{stream.user}/{self._name(asked)}")
        name = wanted.resource if wanted is not None else ""
        try:
            resource = self.service.bind(account, name, stream)
        except StanzaError:
            # The XEP has no answer for this. The features that follow offer the other way to bind,
            # whose answer is the error.
            return ()
        stream.attach(resource)
        self._end_earlier(account, stream, client_id(request))
        archive = archive_of(self.service)
        if archive is not None:
            # §3.2: the client reads in the archive what waits, except what is not archived
            account.offline = [
                one for one in account.offline if not archive.wants(account, one, one.sender or "")
            ]
        active = self.service.extensions.active
        answers = [one for extension in active for one in extension.bound(stream, asked)]
        return (element(f"{{{BIND2}}}bound", {}, *answers),)

    def _name(self, asked: Element) -> str:
        """§3.2.1: the client's tag, and what makes it unique."""
        tag = asked.findtext(f"{{{BIND2}}}tag") or ""
        unique = self.service.runtime.token(12)
        return f"{tag}/{unique}" if tag else unique

    def _end_earlier(self, account: Account, stream: Xmpp, client: str) -> None:
        """§3.2: a client that comes again has lost its earlier sessions."""
        assert stream.resource is not None
        stream.resource.extension_data[self.name] = client
        for other in list(account.resources.values()):
            same = client and other.extension_data.get(self.name) == client
            if same and other is not stream.resource:
                self.service.unbind(other)
                other.outlet.end("conflict", "the same client has a new session")
