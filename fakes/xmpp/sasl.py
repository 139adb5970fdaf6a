"""Logging in to a stream: SASL in XMPP's dress (RFC 6120 §6) around the exchanges of fakes/sasl.py."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from fakes import sasl
from fakes.wire import Refuse
from fakes.xmpp.addresses import jid
from fakes.xmpp.refusals import SaslFailure

if TYPE_CHECKING:
    from fakes.xmpp.sessions import Account
    from fakes.xmpp.stream import Xmpp

# In the order of preference in which they are offered (RFC 6120 §6.3.3: the client follows its own).
OFFERED = (
    "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1", "PLAIN", "DIGEST-MD5", "ANONYMOUS",
)  # fmt: skip
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")


def mechanisms(stream: Xmpp) -> list[str]:
    """What can be used on this stream now (RFC 6120 §6.3.4). PLAIN in clear is our deviation from §13.8.3: loopback."""
    bound = stream.tls is not None and bool(stream.tls.bindings)
    return [
        name
        for name in OFFERED
        if stream.service.offers(name)
        and (bound or not name.endswith("-PLUS"))
        and (stream.policy.anonymous or name != "ANONYMOUS")
    ]


def exchange(stream: Xmpp, mechanism: str) -> sasl.Exchange:
    """A fresh exchange for a login to the stream's domain."""
    domain = stream.domain
    context = sasl.Context(
        _Accounts(stream),
        nonce=lambda: stream.runtime.token(24),
        host=domain,
        service="xmpp",
        bindings=stream.tls.bindings if stream.tls is not None else {},
        plus=any(name.endswith("-PLUS") for name in mechanisms(stream)),
        identity=_bare,
        anonymous=lambda: stream.service.anonymous(domain),
    )
    return sasl.Exchange(mechanism, context)


def decoded(text: bytes) -> bytes:
    """What base64 stands for; `=` is an answer without content (RFC 6120 §6.4.2). Raises Refuse."""
    if text == b"=":
        return b""
    if not _BASE64.fullmatch(text):
        raise Refuse(SaslFailure("incorrect-encoding", "this is not base64, or not without blanks"), "RFC 6120 §6.5.5")
    return base64.b64decode(text)


def encoded(data: bytes) -> str:
    """Base64, `=` for nothing (RFC 6120 §6.4.6)."""
    return base64.b64encode(data).decode() or "="


def failure(error: sasl.SaslError) -> SaslFailure:
    """The failure that a client is told (RFC 6120 §6.5)."""
    if isinstance(error, sasl.Malformed):
        return SaslFailure("malformed-request", error.reason)
    if isinstance(error, sasl.ForeignIdentity):
        return SaslFailure("invalid-authzid")
    return SaslFailure("not-authorized")  # §6.5.10: the same for an unknown name


def _bare(authzid: str) -> str:
    """RFC 6120 §6.3.8: an authorization identity is a bare address."""
    try:
        address = jid(authzid)
    except ValueError:
        return ""
    return address.bare if address.local and not address.resource else ""


class _Accounts:
    """The accounts that may log in on one stream: a login is a local part (RFC 6120 §6.3.7), or the whole address."""

    def __init__(self, stream: Xmpp) -> None:
        self._stream = stream

    def find(self, login: str) -> Account | None:
        """The account with this login; none that is anonymous."""
        try:
            address = jid(login if "@" in login else f"{login}@{self._stream.domain}")
        except ValueError:
            return None
        account = self._stream.service.account(address)
        if account is None or account.person is None or address.resource or address.domain != self._stream.domain:
            return None
        return account
