"""Logging in to a Jabber server by SASL (RFC 6120 §6).

Nothing falls back: either the settings name the mechanism, or the strongest one that the server
offers is used. If it fails, no second one is tried.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from comms import sasl
from comms.errors import CommsError, Refused, TryLater
from comms.host import Host
from comms.xmpp.addresses import Jid
from comms.xmpp.stanzas import PASSING
from comms.xmpp.stream import split_tag

if TYPE_CHECKING:
    from comms.settings import Server

SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
STEPS = 5  # no mechanism has more; a server that goes on asking is stopped


class Login:
    """One login of `account` at the server called `name`.

    `write` sends bytes, `receive` returns the next element, which must have one of the given tags.
    """

    def __init__(
        self,
        name: str,
        server: Server,
        account: Jid,
        host: Host,
        *,
        write: Callable[[bytes], None],
        receive: Callable[..., Element],
    ) -> None:
        self._name, self._server, self._account, self._host = name, server, account, host
        self._write, self._receive = write, receive

    def run(self, features: Element, encrypted: bool) -> None:
        """Logs in. Raises Refused, or TryLater if the server says that the failure is temporary."""
        mechanism = self._mechanism(features, encrypted)
        user, password = self._user(), self._server.password
        nonce = self._host.token(24) if mechanism in sasl.SCRAM else ""
        responder = sasl.responder(mechanism, user, password, nonce)
        self._send("auth", responder(b""), f" mechanism='{mechanism}'")
        for _ in range(STEPS):
            reply = self._receive(
                f"{{{SASL}}}challenge", f"{{{SASL}}}success", f"{{{SASL}}}failure"
            )
            name = split_tag(reply)[1]
            if name == "failure":
                raise self._failure(reply, mechanism)
            content = self._decoded((reply.text or "").strip())
            if name == "challenge":
                self._send("response", responder(content))
                continue
            if isinstance(responder, sasl.Scram):
                # RFC 6120 §6.3.10: the server's proof may come with the success.
                if content and not responder.proven:
                    responder(content)
                responder.require_proof(self._name)
            return
        raise Refused(f"{self._name} sends one challenge after another in the login by {mechanism}")

    def _mechanism(self, features: Element, encrypted: bool) -> str:
        listed = features.iterfind(f"{{{SASL}}}mechanisms/{{{SASL}}}mechanism")
        offered = [(mechanism.text or "").strip() for mechanism in listed]
        auth = self._server.auth
        wanted = [*sasl.SCRAM, "PLAIN"] if auth == "auto" else [auth.upper()]
        mechanism = next((name for name in wanted if name in offered), None)
        starttls = features.find("{urn:ietf:params:xml:ns:xmpp-tls}starttls") is not None
        if mechanism is None and not offered and not encrypted and starttls:
            raise Refused(f'{self._name} lets nobody log in without TLS; write tls = "starttls"')
        if mechanism == "PLAIN" and auth == "auto" and not encrypted:
            raise Refused(
                f"{self._name} only takes the password in clear text; nothing is sent; "
                'write tls = "starttls" to encrypt it, or auth = "plain" to allow it'
            )
        if mechanism is None:
            raise Refused(
                f"{self._name} offers no way to log in that the settings allow "
                f"(offered: {' '.join(offered)[:200] or 'none'}; auth = {auth!r})"
            )
        return mechanism

    def _user(self) -> str:
        """Returns the name to log in with (RFC 6120 §6.3.7).

        It is the local part of the account, unless the settings name a user of another domain.
        """
        user = self._server.user
        local, _, domain = user.partition("@")
        if not user or domain.lower() == self._account.domain:
            return self._account.local
        return user if domain else local

    def _send(self, name: str, content: bytes, attributes: str = "") -> None:
        text = base64.b64encode(content).decode()
        if not text and name == "auth":
            text = "="  # RFC 6120 §6.4.2: an empty initial response, as opposed to none
        self._write(f"<{name} xmlns='{SASL}'{attributes}>{text}</{name}>".encode())

    def _decoded(self, text: str) -> bytes:
        try:
            return b"" if text == "=" else base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise Refused(
                f"{self._name} sends a challenge that is not base64 (RFC 6120 §6.3.5)"
            ) from None

    def _failure(self, failure: Element, mechanism: str) -> CommsError:
        names = [split_tag(child)[1] for child in failure]
        condition = next((name for name in names if name != "text"), "not-authorized")
        text = (failure.findtext(f"{{{SASL}}}text") or "").strip()[:200]
        # Some servers answer with the condition of a stanza while their accounts are out of reach.
        passes = condition in PASSING or condition in ("temporary-auth-failure", "aborted")
        kind = TryLater if passes else Refused
        login = f"the login of {self._account.bare} by {mechanism}"
        text = self._server.masked(text)
        return kind(f"{self._name} refused {login}: {condition}" + (f" ({text})" if text else ""))
