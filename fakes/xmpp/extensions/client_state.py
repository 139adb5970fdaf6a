"""XEP-0352 (1.0.0): a client says that nobody looks at it; then what is unimportant waits.

Presence waits, the last of each sender; chat states alone are dropped. Anything else is sent at
once, after the presence that waits, so that the order stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar
from xml.etree.ElementTree import Element

from fakes.wire import Unit, rule
from fakes.xmpp.extension import Extension, Verb
from fakes.xmpp.markup import element, namespace
from fakes.xmpp.sessions import Resource
from fakes.xmpp.stanzas import Stanza

if TYPE_CHECKING:
    from fakes.xmpp.stream import Xmpp

CSI = "urn:xmpp:csi:0"
CHAT_STATES = "http://jabber.org/protocol/chatstates"
HELD = 1000  # senders whose presence waits


class _Gate:
    """What waits for one session."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._held: dict[str, Stanza] = {}  # by sender, in the order of the last one

    def passes(self, stanza: Stanza) -> bool:
        """Whether a stanza must be sent now."""
        if stanza.kind == "presence" and stanza.type in (None, "unavailable"):
            sender = stanza.sender or ""
            self._held.pop(sender, None)
            self._held[sender] = stanza
            if len(self._held) > HELD:
                self.flush()
            return False
        spaces = {namespace(name) for name in stanza.child_names}
        if stanza.kind == "message" and spaces == {CHAT_STATES}:
            return False
        self.flush()
        return True

    def flush(self) -> None:
        """Sends what waits."""
        held, self._held = self._held, {}
        for stanza in held.values():
            self._resource.outlet.deliver(stanza)


class ClientState(Extension):
    """The gates of the sessions that are inactive."""

    name = "client-state"
    section = "XEP-0352"
    verbs: ClassVar[dict[str, Verb]] = {
        "active": Verb(f"{{{CSI}}}active", rule("BOUND", "XEP-0352 §4.2")),
        "inactive": Verb(f"{{{CSI}}}inactive", rule("BOUND", "XEP-0352 §4.2")),
    }

    def stream_features(self) -> Iterable[Element]:
        return (element(f"{{{CSI}}}csi"),)

    def handle(self, stream: Xmpp, unit: Unit) -> None:
        assert stream.resource is not None
        self._activate(stream.resource)
        if unit.verb == "inactive":
            self._hold(stream.resource)

    def bind_features(self) -> Iterable[str]:
        return (CSI,)

    def bound(self, stream: Xmpp, request: Element) -> Iterable[Element]:
        if stream.resource is not None and request.find(f"{{{CSI}}}inactive") is not None:
            self._hold(stream.resource)
        return ()

    def keeps_session(self, resource: Resource) -> bool:
        # XEP-0352 §5.2: a session that is resumed is active, and nothing is lost meanwhile.
        self._activate(resource)
        return False

    def _hold(self, resource: Resource) -> None:
        gate = resource.extension_data[self.name] = _Gate(resource)
        resource.gate = gate.passes

    def _activate(self, resource: Resource) -> None:
        gate = resource.extension_data.pop(self.name, None)
        if isinstance(gate, _Gate):
            resource.gate = None
            gate.flush()
