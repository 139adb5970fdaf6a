"""XEP-0078 (2.5, obsolete): the login of old clients, by an IQ that binds the resource, too.

The XEP is obsolete, so the extension is optional: the world file must name it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar
from xml.etree.ElementTree import Element

from fakes.wire import Refuse, TlsFacts, Unit, rule
from fakes.xmpp.addresses import parse_or_none
from fakes.xmpp.extension import Extension, Verb
from fakes.xmpp.features import must_start_tls
from fakes.xmpp.markup import element
from fakes.xmpp.refusals import StreamError
from fakes.xmpp.stanzas import Stanza, StanzaError

if TYPE_CHECKING:
    from fakes.xmpp.stream import Xmpp

AUTH = "jabber:iq:auth"
QUERY = f"{{{AUTH}}}query"
FEATURE = "{http://jabber.org/features/iq-auth}auth"


class LegacyLogin(Extension):
    """Logs in with the password, or with the SHA-1 of the id of the stream and the password."""

    name = "legacy-login"
    section = "XEP-0078"
    optional = True
    verbs: ClassVar[dict[str, Verb]] = {
        "legacy-login": Verb(
            QUERY,
            rule("OPEN LOGIN BOUND", "XEP-0078 §3", then="OPEN LOGIN BOUND"),
            in_iq=True,
        )
    }

    def login_features(self, tls: TlsFacts | None) -> Iterable[Element]:
        return (element(FEATURE),)

    def handle(self, stream: Xmpp, unit: Unit) -> None:
        stanza: Stanza = unit.content
        if stream.user:
            raise _refusal("not-allowed", "already logged in")
        if must_start_tls(self.service, stream.tls):
            raise _refusal("policy-violation", "start TLS first")
        if stream.sasl_failed:
            error = StreamError("policy-violation", "SASL has failed on this stream")
            raise Refuse(error, "XEP-0078 §3.1")
        query = stanza.element[0]
        if stanza.type == "get":
            # XEP-0078 §3.1: the same fields for every user name, so that nobody can probe
            names = ("username", "password", "digest", "resource")
            fields = (element(f"{{{AUTH}}}{name}") for name in names)
            stream.send_stanza(stanza.result(element(QUERY, {}, *fields)), "XEP-0078 §3.1")
            return
        sent = {child.tag.rpartition("}")[2]: child.text or "" for child in query}
        if not sent.get("username") or not sent.get("resource"):
            raise _refusal("not-acceptable", "a user name and a resource are needed")
        address = parse_or_none(f"{sent['username']}@{stream.domain}")
        account = self.service.accounts.find(address) if address is not None else None
        right = account is not None and _is_right(account.password, stream.id, sent)
        if account is None or not right or not self.service.extensions.admit(account):
            if not stream.login_failed():
                raise Refuse(StreamError("policy-violation", "too many failed logins"))
            raise _refusal("not-authorized")
        wanted = parse_or_none(f"{account.address}/{sent['resource']}")
        resource = self.service.bind(account, wanted.resource if wanted else "", stream)
        stream.user = account.address
        stream.note(user=account.address, mechanism="legacy")
        stream.attach(resource)
        stream.send_stanza(stanza.result(), "XEP-0078 §3.1")


def _is_right(password: str, stream_id: str, sent: dict[str, str]) -> bool:
    if not password:
        return False  # an anonymous account
    if "password" in sent:
        return hmac.compare_digest(password.encode(), sent["password"].encode())
    digest = hashlib.sha1((stream_id + password).encode()).hexdigest()
    return hmac.compare_digest(digest.encode(), sent.get("digest", "").lower().encode())


def _refusal(condition: str, text: str = "") -> StanzaError:
    """An error that does not repeat the request, because a password may be in it."""
    return StanzaError(condition, text, repeats=False)
