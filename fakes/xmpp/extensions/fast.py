"""XEP-0484 (0.2.0): FAST, a login by a token that the server has given to the client before.

A client that has logged in asks for a token. It proves later that it has the token, by one of the
mechanisms of fakes/sasl/hashed_token.py, and needs no password. A token belongs to an account, to
a client, and to one mechanism. An old token is replaced in the answer to a login with it; both are
valid until the client has used the new one. Tokens end with the password that they were given for.

TLS 1.3 has no early data here, so `count` is checked only if a client sends it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from fakes import sasl
from fakes.wire import Refuse, TlsFacts
from fakes.xmpp.addresses import jid
from fakes.xmpp.extension import Extension
from fakes.xmpp.extensions.sasl2 import client_id
from fakes.xmpp.markup import element
from fakes.xmpp.offline import timestamp
from fakes.xmpp.refusals import SaslFailure

if TYPE_CHECKING:
    from fakes.xmpp.stream import Xmpp

FAST = "urn:xmpp:fast:0"
LIFE = 21 * 86400  # seconds until a token expires, as at Prosody
ROTATION = 86400  # seconds after which a token is replaced
CLIENTS = 100  # of an account that have tokens; those of the one that came first are dropped


@dataclass
class Token:
    """A token of one client, for one mechanism."""

    secret: str
    mechanism: str
    issued: float
    password: str  # of the account when it was issued
    count: int = 0  # of the last login with it

    def is_valid(self, now: float, password: str) -> bool:
        """Whether it may be used now."""
        return now < self.issued + LIFE and password == self.password


@dataclass
class Slots:
    """The tokens of one client (§5.1): the one that it uses, and one that it has not used yet."""

    current: Token | None = None
    new: Token | None = None

    def of(self, mechanism: str) -> list[Token]:
        """Those that a login by a mechanism may use."""
        return [one for one in (self.new, self.current) if one and one.mechanism == mechanism]


class Fast(Extension):
    """The tokens of the clients."""

    name = "fast"
    section = "XEP-0484"
    stored: dict[str, dict[str, Slots]]  # account → the id of a client → its tokens

    def inline_features(self, tls: TlsFacts | None) -> Iterable[Element]:
        # §3.1: with and without channel binding, wherever there is one
        names = (element(f"{{{FAST}}}mechanism", text=name) for name in self._mechanisms(tls))
        return (element(f"{{{FAST}}}fast", {}, *names),)

    def _mechanisms(self, tls: TlsFacts | None) -> list[str]:
        """Those that bind to the TLS channel come first."""
        bindings = {"", *tls.bindings} if tls is not None else {""}
        return [
            name
            for name, binding in sasl.HASHED_TOKEN.items()
            if binding in bindings and self.service.offers(name)
        ]

    # ── a login with a token (§3.4) ──────────────────────────────────────────

    def login_mechanism(self, stream: Xmpp, request: Element) -> sasl.Mechanism | None:
        mechanism, fast = request.get("mechanism", ""), request.find(f"{{{FAST}}}fast")
        if fast is None:
            return None
        if mechanism not in self._mechanisms(stream.tls):
            raise Refuse(SaslFailure("invalid-mechanism"), "XEP-0484 §3.4")
        count = fast.get("count")
        if count is not None and not (count.isascii() and count.isdigit() and 0 < len(count) < 11):
            raise _malformed("count is not a positive number")
        if not client_id(request):
            raise _malformed("a client with a token says the id of its user agent")
        from fakes.sasl.hashed_token import hashed_token

        client = client_id(request)
        return partial(
            hashed_token,
            mechanism,
            lambda address: [one.secret for one in self._slots(address, client).of(mechanism)],
            partial(self._accept, client, None if count is None else int(count)),
        )

    def _accept(self, client: str, count: int | None, address: str, secret: str) -> None:
        """Uses a token that was proved. Raises SaslError."""
        slots, now = self._slots(address, client), self.service.runtime.now()
        account = self.service.accounts.find(jid(address))
        used = slots.new if slots.new and slots.new.secret == secret else slots.current
        assert account is not None and used is not None
        if not used.is_valid(now, account.password):
            # §4.2: the client may go on with its password
            raise sasl.Expired("the token has expired")
        if count is not None and count <= used.count:
            raise sasl.WrongCredentials("the count was used before")
        used.count = count or used.count
        if used is slots.new:
            slots.current, slots.new = used, None

    # ── what a login gets (§3.2, §3.3, §3.5, §3.6) ───────────────────────────

    def logged_in(self, stream: Xmpp, request: Element) -> Iterable[Element]:
        address, client = stream.user, client_id(request)
        fast, asked = request.find(f"{{{FAST}}}fast"), request.find(f"{{{FAST}}}request-token")
        account = self.service.accounts.find(jid(address))
        if not client or account is None or account.person is None:
            return ()
        mechanism = asked.get("mechanism", "") if asked is not None else ""
        if fast is not None:
            used = self._slots(address, client).current
            if fast.get("invalidate") in ("1", "true"):
                # The one that was not used yet, too: this client has logged out.
                self.stored[address].pop(client)
            elif used and used.issued + ROTATION <= self.service.runtime.now():
                mechanism = mechanism or used.mechanism
        if mechanism not in self._mechanisms(stream.tls):
            return ()
        now, secret = self.service.runtime.now(), self.service.runtime.token(32)
        clients = self.stored.setdefault(address, {})
        slots = clients.pop(client, None) or Slots()
        slots.new = Token(secret, mechanism, now, account.password)
        clients[client] = slots
        if len(clients) > CLIENTS:
            del clients[next(iter(clients))]
        stream.conceal(secret, f"token {address}")
        given: dict[str, str | None] = {"expiry": timestamp(now + LIFE), "token": secret}
        return (element(f"{{{FAST}}}token", given),)

    def last_token(self, address: str, mechanism: str) -> str:
        """The token that an account has got last for a mechanism; "" if there is none."""
        slots = reversed(list(self.stored.get(address, {}).values()))
        return next((one.secret for slot in slots for one in slot.of(mechanism)), "")

    def _slots(self, address: str, client: str) -> Slots:
        return self.stored.get(address, {}).get(client) or Slots()


def _malformed(text: str) -> Refuse:
    return Refuse(SaslFailure("malformed-request", text), "XEP-0484 §3.4")
