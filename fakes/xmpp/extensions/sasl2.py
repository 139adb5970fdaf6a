"""XEP-0388 (1.0.4): SASL2, a login that also does what else a client needs at its beginning.

`<authenticate/>` is the request. Its children say what is to happen if the login succeeds: other
extensions offer that in `<inline/>`, do it, and say in `<success/>` what came of it. The stream
goes on without another header.

Everything about the login itself is in xmpp/sasl.py, and the same as with the SASL of RFC 6120. The
server has no tasks, so that no login needs a second step.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar
from xml.etree.ElementTree import Element

from fakes import sasl
from fakes.wire import Refuse, TlsFacts
from fakes.xmpp.extension import Extension
from fakes.xmpp.features import features
from fakes.xmpp.markup import CLIENT, LANG, SASL, element, namespace
from fakes.xmpp.pieces import Piece
from fakes.xmpp.refusals import SaslFailure, StreamError
from fakes.xmpp.sasl import Profile, Step, element_content, encode, mechanisms

if TYPE_CHECKING:
    from fakes.xmpp.stream import Xmpp

SASL2 = "urn:xmpp:sasl:2"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.I)
_INITIAL = re.compile(rb"<(?:[\w.-]++:)?initial-response\b[^>]*+>")


class _Profile(Profile):
    """How SASL2 is written on a stream."""

    space = SASL2
    verbs: ClassVar[Mapping[str, str]] = {
        f"{{{SASL2}}}authenticate": "auth",
        f"{{{SASL2}}}response": "response",
        f"{{{SASL2}}}abort": "abort",
    }
    strict = True

    def read(self, verb: str, piece: Piece) -> Step:
        tree = piece.tree(CLIENT)
        if verb != "auth":
            span = (piece.tag_end, element_content(piece)[1])
            return Step(self, "", _content(tree), span)
        initial = tree.find(f"{{{SASL2}}}initial-response")
        begin = _INITIAL.search(piece.raw)
        end = piece.raw.rfind(b"<", 0, max(piece.raw.rfind(b"initial-response"), 0))
        span = (begin.end(), max(begin.end(), end)) if begin is not None else (0, 0)
        content = None if initial is None else _content(initial)
        return Step(self, tree.get("mechanism", ""), content, span, tree)

    def start(self, stream: Xmpp, step: Step) -> bytes | None:
        request, service = step.element, stream.service
        assert request is not None
        if stream.tls is None and not service.policy.sasl2_in_clear:
            raise Refuse(SaslFailure("encryption-required"), "XEP-0388 §3")
        if stream.claimed and not stream.claimed.endswith(f"@{stream.domain}"):
            text = "the header names an address of another domain"
            raise Refuse(StreamError("invalid-from", text), "XEP-0388 §2.1")
        id = client_id(request)
        if id and not _UUID.fullmatch(id):
            text = "the id of a user agent is a UUID of version 4"
            raise Refuse(SaslFailure("malformed-request", text), "XEP-0388 §2.3")
        own = [one.login_mechanism(stream, request) for one in service.extensions.active]
        return stream.login.start(
            step.mechanism, step.content, stream.domain, stream.tls, next(filter(None, own), None)
        )

    def challenge(self, data: bytes) -> Element:
        return element(f"{{{SASL2}}}challenge", text=encode(data) if data else "")

    def failure(self, failure: SaslFailure) -> Element:
        # XEP-0388 §2.6.2: the conditions are those of the other version
        failed = element(f"{{{SASL2}}}failure", {}, f"{{{SASL}}}{failure.condition}")
        if failure.text:
            failed.append(element(f"{{{SASL2}}}text", {LANG: "en"}, text=failure.text))
        return failed

    def succeed(self, stream: Xmpp, exchange: sasl.Exchange) -> None:
        service, request = stream.service, stream.login.begun.element
        assert request is not None
        if stream.claimed not in ("", exchange.user):
            service.logged_out(exchange.user)
            text = "the header names another address"
            raise Refuse(SaslFailure("invalid-authzid", text), "XEP-0388 §2.3")
        stream.note(user=exchange.user, mechanism=exchange.mechanism)
        stream.logged_in(exchange.user, "LOGIN")
        extensions = service.extensions.active
        answers = [one for extension in extensions for one in extension.logged_in(stream, request)]
        success = element(f"{{{SASL2}}}success")
        if exchange.data is not None:
            data = encode(exchange.data) if exchange.data else ""
            success.append(element(f"{{{SASL2}}}additional-data", text=data))
        resource = stream.resource
        name = resource.jid.text if resource is not None else exchange.user
        success.append(element(f"{{{SASL2}}}authorization-identifier", text=name))
        success.extend(answers)
        stream.send_element(success, "XEP-0388 §2.6.1")
        # What has been switched on is not offered again. Inside a resumed session nothing is
        # (XEP-0198 §9.2).
        done = {namespace(child.tag) for answer in answers for child in answer}
        if not any(answer.tag == "{urn:xmpp:sm:3}resumed" for answer in answers):
            offered = features(service, stream.tls, True, bound=resource is not None)
            for feature in list(offered):
                if namespace(feature.tag) in done:
                    offered.remove(feature)
            stream.send_element(offered, "XEP-0388 §2.6.1")
        for extension in extensions:
            extension.success_sent(stream)


class Sasl2(Extension):
    """Offers SASL2, with the mechanisms of the SASL of RFC 6120."""

    name = "sasl2"
    section = "XEP-0388"
    profile = _Profile()

    def login_features(self, tls: TlsFacts | None) -> Iterable[Element]:
        names = mechanisms(self.service, tls)
        # §3: inside TLS only; §2.1: not without a mechanism
        if not names or (tls is None and not self.service.policy.sasl2_in_clear):
            return ()
        active = self.service.extensions.active
        inline = [one for extension in active for one in extension.inline_features(tls)]
        children = [element(f"{{{SASL2}}}mechanism", text=name) for name in names]
        if inline:
            children.append(element(f"{{{SASL2}}}inline", {}, *inline))
        return (element(f"{{{SASL2}}}authentication", {}, *children),)


def client_id(request: Element) -> str:
    """The id of the client's installation, "" if it has not said any (XEP-0388 §2.3)."""
    agent = request.find(f"{{{SASL2}}}user-agent")
    return agent.get("id", "") if agent is not None else ""


def _content(response: Element) -> bytes:
    """The base64 of a response, without the white space that it may contain (XEP-0388 §2.2)."""
    text = "".join((response.text or "").split())
    # An empty response is an empty element here. `=`, as in RFC 6120, is not base64.
    return text.encode() if text != "=" else b"=="
