"""The names of publish–subscribe, and its errors (XEP-0060 §11)."""

from __future__ import annotations

from fakes.xmpp.markup import element
from fakes.xmpp.stanzas import StanzaError

PUBSUB = "http://jabber.org/protocol/pubsub"
OWNER = f"{PUBSUB}#owner"
EVENT = f"{PUBSUB}#event"
ERRORS = f"{PUBSUB}#errors"
NODE_CONFIG = f"{PUBSUB}#node_config"
PUBLISH_OPTIONS = f"{PUBSUB}#publish-options"
SUBSCRIBE_OPTIONS = f"{PUBSUB}#subscribe_options"
AUTHORIZATION = f"{PUBSUB}#subscribe_authorization"
METADATA = f"{PUBSUB}#meta-data"


def refusal(
    condition: str, specific: str = "", text: str = "", *, feature: str = "", type: str = ""
) -> StanzaError:
    """Builds an error with a condition of publish–subscribe in it, which `specific` names."""
    if not specific:
        return StanzaError(condition, text, type=type)
    extra = element(f"{{{ERRORS}}}{specific}", {"feature": feature or None})
    return StanzaError(condition, text, extra, type=type)


def unsupported(feature: str, text: str = "") -> StanzaError:
    """Builds the error that says that a feature is not there."""
    return refusal("feature-not-implemented", "unsupported", text, feature=feature)
