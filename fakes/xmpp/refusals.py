"""The four ways to refuse, told apart by what survives.

A stanza error (stanzas.py): this one request failed, the stream lives (RFC 6120 §8.3). A SASL failure: try again on the
same stream (§6.5). A TLS failure: nothing was agreed, the stream ends (§5.4.2.2). A stream error: the stream ends (§4.9).
"""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import LANG, SASL, STREAM_ERRORS, STREAMS, TLS, element

# RFC 6120 §4.9.3, in its order. What a server of clients alone never says is not among them.
STREAM_CONDITIONS = frozenset(
    "bad-format bad-namespace-prefix conflict connection-timeout host-gone host-unknown improper-addressing "
    "internal-server-error invalid-from invalid-namespace invalid-xml not-authorized not-well-formed policy-violation "
    "remote-connection-failed reset resource-constraint restricted-xml see-other-host system-shutdown "
    "undefined-condition unsupported-encoding unsupported-feature unsupported-stanza-type unsupported-version".split()
)
# RFC 6120 §6.5
SASL_CONDITIONS = frozenset(
    "aborted account-disabled credentials-expired encryption-required incorrect-encoding invalid-authzid "
    "invalid-mechanism malformed-request mechanism-too-weak not-authorized temporary-auth-failure".split()
)
TOO_BIG = "{urn:xmpp:errors}stanza-too-big"


@dataclass(frozen=True)
class StreamError:
    """The stream ends, and this says why."""

    condition: str
    text: str = ""
    extra: str = ""  # the name of an element that says it more exactly

    def element(self) -> Element:
        """The `<stream:error/>`."""
        return _described(element(f"{{{STREAMS}}}error"), STREAM_ERRORS, self.condition, self.text, self.extra)


@dataclass(frozen=True)
class SaslFailure:
    """This login failed; another may be tried."""

    condition: str
    text: str = ""

    def element(self) -> Element:
        """The `<failure/>`."""
        return _described(element(f"{{{SASL}}}failure"), SASL, self.condition, self.text)


@dataclass(frozen=True)
class TlsFailure:
    """STARTTLS cannot be had; the stream ends."""

    def element(self) -> Element:
        """The `<failure/>`."""
        return element(f"{{{TLS}}}failure")


def _described(whole: Element, space: str, condition: str, text: str, extra: str = "") -> Element:
    whole.append(element(f"{{{space}}}{condition}"))
    if text:
        whole.append(element(f"{{{space}}}text", {LANG: "en"}, text=text))
    if extra:
        whole.append(element(extra))
    return whole
