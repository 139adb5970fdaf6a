"""What a stream is offered next: TLS, then a login, then binding (RFC 6120 §4.3)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import BIND, SASL, SESSION, STREAMS, TLS, element
from fakes.xmpp.sasl import mechanisms

if TYPE_CHECKING:
    from fakes.xmpp.stream import Xmpp

CHANNEL_BINDING = "urn:xmpp:sasl-cb:0"


def features(stream: Xmpp) -> Element:
    """The `<stream:features/>` of a stream as it stands."""
    found = element(f"{{{STREAMS}}}features")
    found.extend(_after_login(stream) if stream.user else _before_login(stream))
    return found


def may_start_tls(stream: Xmpp) -> bool:
    """Whether STARTTLS can be had."""
    return stream.tls is None and stream.policy.tls != "off" and stream.service.offers("STARTTLS")


def must_start_tls(stream: Xmpp) -> bool:
    """Whether nothing else can be had before it (RFC 6120 §5.3.1)."""
    return stream.tls is None and stream.policy.tls == "required"


def _before_login(stream: Xmpp) -> Iterator[Element]:
    if may_start_tls(stream):
        required = [element(f"{{{TLS}}}required")] if must_start_tls(stream) else []
        yield element(f"{{{TLS}}}starttls", {}, *required)
    if must_start_tls(stream):
        return
    names = mechanisms(stream)
    if names:
        yield element(f"{{{SASL}}}mechanisms", {}, *(element(f"{{{SASL}}}mechanism", text=name) for name in names))
    if any(name.endswith("-PLUS") for name in names) and stream.tls is not None:
        kinds = (element(f"{{{CHANNEL_BINDING}}}channel-binding", {"type": kind}) for kind in stream.tls.bindings)
        yield element(f"{{{CHANNEL_BINDING}}}sasl-channel-binding", {}, *kinds)


def _after_login(stream: Xmpp) -> Iterator[Element]:
    yield element(f"{{{BIND}}}bind")
    if stream.service.offers("session"):
        yield element(f"{{{SESSION}}}session", {}, f"{{{SESSION}}}optional")  # RFC 6121 Appendix E: does nothing
    if stream.service.offers("rosterver"):
        yield element("{urn:xmpp:features:rosterver}ver")
    if stream.service.offers("pre-approval"):
        yield element("{urn:xmpp:features:pre-approval}sub")
    for extension in stream.service.extensions:
        yield from extension.stream_features()
