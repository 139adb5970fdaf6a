"""What a stream offers next: TLS, then login, then binding (RFC 6120 §4.3)."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from fakes.wire import TlsFacts
from fakes.xmpp.markup import BIND, SASL, SESSION, STREAMS, TLS, element
from fakes.xmpp.sasl import mechanisms
from fakes.xmpp.service import Service

CHANNEL_BINDING = "urn:xmpp:sasl-cb:0"


def features(
    service: Service, tls: TlsFacts | None, logged_in: bool, bound: bool = False
) -> Element:
    """Builds the `<stream:features/>` of a stream; `tls` is None for a stream in clear."""
    found = element(f"{{{STREAMS}}}features")
    found.extend(_after_login(service, bound) if logged_in else _before_login(service, tls))
    return found


def may_start_tls(service: Service, tls: TlsFacts | None) -> bool:
    """Whether STARTTLS is offered."""
    return tls is None and service.policy.tls != "off" and service.offers("STARTTLS")


def must_start_tls(service: Service, tls: TlsFacts | None) -> bool:
    """Whether STARTTLS must come before anything else (RFC 6120 §5.3.1)."""
    return tls is None and service.policy.tls == "required"


def _before_login(service: Service, tls: TlsFacts | None) -> Iterator[Element]:
    required = must_start_tls(service, tls)
    if may_start_tls(service, tls):
        children = [f"{{{TLS}}}required"] if required else []
        yield element(f"{{{TLS}}}starttls", {}, *children)
    if required:
        return
    names = mechanisms(service, tls)
    if names:
        children_of_mechanisms = (element(f"{{{SASL}}}mechanism", text=name) for name in names)
        yield element(f"{{{SASL}}}mechanisms", {}, *children_of_mechanisms)
    if tls is not None and any(name.endswith("-PLUS") for name in names):
        name = f"{{{CHANNEL_BINDING}}}channel-binding"
        bindings = (element(name, {"type": type}) for type in tls.bindings)
        yield element(f"{{{CHANNEL_BINDING}}}sasl-channel-binding", {}, *bindings)
    for extension in service.extensions.active:
        yield from extension.login_features(tls)


def _after_login(service: Service, bound: bool) -> Iterator[Element]:
    if not bound:
        yield element(f"{{{BIND}}}bind")
    if not bound and service.offers("session"):
        # RFC 6121 Appendix E: establishing a session does nothing
        yield element(f"{{{SESSION}}}session", {}, f"{{{SESSION}}}optional")
    if service.offers("rosterver"):
        yield element("{urn:xmpp:features:rosterver}ver")
    if service.offers("pre-approval"):
        yield element("{urn:xmpp:features:pre-approval}sub")
    for extension in service.extensions.active:
        yield from extension.stream_features()
