"""The four kinds of refusal. They differ in what can go on afterwards.

- A stanza error (stanzas.py): one request failed, the stream stays open (RFC 6120 §8.3).
- A SASL failure: the client may try again on the same stream (§6.5).
- A TLS failure: nothing was negotiated, the stream ends (§5.4.2.2).
- A stream error: the stream ends (§4.9).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias
from xml.etree.ElementTree import Element

from fakes.wire import Refuse
from fakes.xmpp.markup import LANG, SASL, STREAM_ERRORS, STREAMS, TLS, element
from fakes.xmpp.stanzas import CONDITIONS, StanzaError

# RFC 6120 §4.9.3, in its order. A fault may name any of them.
STREAM_CONDITIONS = frozenset(
    "bad-format bad-namespace-prefix conflict connection-timeout host-gone host-unknown "
    "improper-addressing internal-server-error invalid-from invalid-namespace invalid-xml "
    "not-authorized not-well-formed policy-violation remote-connection-failed reset "
    "resource-constraint restricted-xml see-other-host system-shutdown undefined-condition "
    "unsupported-encoding unsupported-feature unsupported-stanza-type unsupported-version".split()
)
# RFC 6120 §6.5
SASL_CONDITIONS = frozenset(
    "aborted account-disabled credentials-expired encryption-required incorrect-encoding "
    "invalid-authzid invalid-mechanism malformed-request mechanism-too-weak not-authorized "
    "temporary-auth-failure".split()
)
TOO_BIG = "{urn:xmpp:errors}stanza-too-big"
STANZA_VERBS = ("message", "presence", "iq", "bind", "session")


@dataclass(frozen=True)
class StreamError:
    """Ends the stream, and tells the client why."""

    condition: str
    text: str = ""
    extra: Element | str = ""  # an element, or its name, that is more exact than the condition

    def element(self) -> Element:
        """Builds the `<stream:error/>` element."""
        error = element(f"{{{STREAMS}}}error")
        return _describe(error, STREAM_ERRORS, self.condition, self.text, self.extra)


@dataclass(frozen=True)
class SaslFailure:
    """Fails this login; the client may try another."""

    condition: str
    text: str = ""

    def element(self) -> Element:
        """Builds the `<failure/>` element."""
        return _describe(element(f"{{{SASL}}}failure"), SASL, self.condition, self.text)


@dataclass(frozen=True)
class TlsFailure:
    """Refuses STARTTLS and ends the stream."""

    def element(self) -> Element:
        """Builds the `<failure/>` element."""
        return element(f"{{{TLS}}}failure")


Refusal: TypeAlias = StanzaError | SaslFailure | TlsFailure | StreamError


def wrong_state(verb: str, state: str) -> Refuse:
    """The refusal of a verb in a state of the stream where it is not legal."""
    if verb == "starttls":
        return Refuse(TlsFailure(), "RFC 6120 §5.4.2.2")
    if verb in ("bind", "session") and state in ("LOGIN", "BOUND"):
        return Refuse(StanzaError("not-allowed", "once, and in its turn"), "RFC 6120 §7")
    if verb in ("response", "abort") and state == "OPEN":
        return Refuse(SaslFailure("malformed-request", "nothing was asked"), "RFC 6120 §6.5.8")
    if verb in STANZA_VERBS:
        return Refuse(StreamError("not-authorized", "log in first"), "RFC 6120 §4.9.3.12")
    error = StreamError("policy-violation", f"{verb} is out of turn")
    return Refuse(error, "RFC 6120 §4.9.3.14")


def named_in_fault(text: str, verb: str) -> Refusal | None:
    """The refusal that the text of a `reply` fault names; None if it names none.

    The text is a condition, with words after it. `verb` decides the kind of the refusal:
    `conflict later` answers a stanza with an error, `stream:conflict later` ends the stream.
    """
    condition, _, words = text.partition(" ")
    if verb in STANZA_VERBS and condition in CONDITIONS:
        return StanzaError(condition, words)
    if verb in ("auth", "response", "abort") and condition in SASL_CONDITIONS:
        return SaslFailure(condition, words)
    stream_condition = condition.removeprefix("stream:")
    if stream_condition in STREAM_CONDITIONS:
        return StreamError(stream_condition, words)
    return None


def _describe(
    whole: Element, space: str, condition: str, text: str, extra: Element | str = ""
) -> Element:
    whole.append(element(f"{{{space}}}{condition}"))
    if text:
        whole.append(element(f"{{{space}}}text", {LANG: "en"}, text=text))
    if isinstance(extra, Element):
        whole.append(extra)
    elif extra:
        whole.append(element(extra))
    return whole
