"""XEP-0077 (2.4): accounts are opened before login, change their password, and are closed.

Anybody can open accounts here, so the extension is optional: the world file must name it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar
from xml.etree.ElementTree import Element

from fakes.wire import TlsFacts, Unit, rule
from fakes.xmpp.addresses import parse_or_none
from fakes.xmpp.extension import Extension, Verb
from fakes.xmpp.features import must_start_tls
from fakes.xmpp.markup import element
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.stanzas import Stanza, StanzaError

if TYPE_CHECKING:
    from fakes.xmpp.stream import Xmpp

REGISTER = "jabber:iq:register"
QUERY = f"{{{REGISTER}}}query"
FEATURE = "{http://jabber.org/features/iq-register}register"
INSTRUCTIONS = "Choose a user name and a password."
MOST = 1000  # accounts that are opened here


class Registration(Extension):
    """The accounts that were opened on a stream."""

    name = "registration"
    section = "XEP-0077"
    optional = True
    verbs: ClassVar[dict[str, Verb]] = {
        "register": Verb(QUERY, rule("OPEN LOGIN BOUND", "XEP-0077 §3"), in_iq=True)
    }
    _opened = 0

    def answers(self) -> Answers:
        return {("account", QUERY): self._answer, ("domain", QUERY): self._answer}

    def domain_features(self) -> Iterable[str]:
        return (REGISTER,)

    def login_features(self, tls: TlsFacts | None) -> Iterable[Element]:
        return (element(FEATURE),)

    # ── before login ─────────────────────────────────────────────────────────

    def handle(self, stream: Xmpp, unit: Unit) -> None:
        stanza: Stanza = unit.content
        if stream.user:
            stream.do_iq(unit)
            return
        if must_start_tls(self.service, stream.tls):
            raise _refusal("policy-violation", "start TLS first")
        query = stanza.element[0]
        if stanza.type == "get":
            fields = (element(f"{{{REGISTER}}}{name}") for name in ("username", "password"))
            text = element(f"{{{REGISTER}}}instructions", text=INSTRUCTIONS)
            stream.send_stanza(stanza.result(element(QUERY, {}, text, *fields)), "XEP-0077 §3.1")
            return
        name, password = _text(query, "username"), _text(query, "password")
        address = parse_or_none(f"{name}@{stream.domain}") if name else None
        if address is None or not address.local or address.resource or not password:
            raise _refusal("not-acceptable", "a user name and a password are needed")
        if self._opened >= MOST:
            raise _refusal("resource-constraint", f"{MOST} accounts are opened at most")
        if not self.service.accounts.open(address, password):
            raise _refusal("conflict", "this user name is taken")
        self._opened += 1
        stream.send_stanza(stanza.result(), "XEP-0077 §3.1")

    # ── after login ──────────────────────────────────────────────────────────

    def _answer(self, request: Request) -> Iterable[Element]:
        resource, query = request.resource, request.payload
        to_domain = request.account is None
        if resource is None or resource.account.person is None:
            raise _refusal("forbidden")
        if not to_domain and not request.own:
            raise _refusal("forbidden")
        account = resource.account
        if request.stanza.type == "get":
            registered = element(f"{{{REGISTER}}}registered")
            name = element(f"{{{REGISTER}}}username", text=account.jid.local)
            return [element(QUERY, {}, registered, name)]
        if query.find(f"{{{REGISTER}}}remove") is not None:
            if len(query) != 1:
                raise _refusal("bad-request", "only <remove/> (XEP-0077 section 3.2)")
            request.after.append(lambda: self.service.remove(account))
            return ()
        name_sent, password = _text(query, "username"), _text(query, "password")
        named = parse_or_none(f"{name_sent}@{account.jid.domain}") if name_sent else None
        if named != account.jid:
            raise _refusal("not-allowed", "only the own password (XEP-0077 section 3.3)")
        if not password:
            raise _refusal("bad-request", "a password is needed")
        assert account.person is not None
        account.person.password = password
        return ()


def _text(query: Element, name: str) -> str:
    return query.findtext(f"{{{REGISTER}}}{name}") or ""


def _refusal(condition: str, text: str = "") -> StanzaError:
    """An error that does not repeat the request, because a password may be in it."""
    return StanzaError(condition, text, repeats=False)
