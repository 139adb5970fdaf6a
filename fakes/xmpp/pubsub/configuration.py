"""How a node is set up, and the form in which its owner sees that (XEP-0060 §16.4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from typing import Any
from xml.etree.ElementTree import Element

from fakes.xmpp.forms import Field, Form, boolean, build
from fakes.xmpp.markup import ascii_text
from fakes.xmpp.offline import timestamp
from fakes.xmpp.pubsub.names import (
    NODE_CONFIG,
    PUBLISH_OPTIONS,
    SUBSCRIBE_OPTIONS,
    refusal,
)
from fakes.xmpp.stanzas import StanzaError

ITEMS = 1000  # items of one node
PAYLOAD = 1 << 18  # bytes of one payload
FOREVER = 10**9  # seconds
_LAST = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()  # the last one that is written
_PREFIX = "pubsub#"


def _option(default: Any, label: str, *choices: str, most: int = 0) -> Any:
    """A field of the form: text, a boolean, a number up to `most`, a choice, or several texts."""
    return field(default=default, metadata={"label": label, "choices": choices, "most": most})


@dataclass(frozen=True)
class Config:
    """The configuration of a node. Each attribute is the field `pubsub#NAME` of the form.

    Numbers are at most the server's own maximum, which clients may call `max`. An `item_expire` of
    a billion seconds means that items do not expire.
    """

    title: str = _option("", "Name of the node")
    description: str = _option("", "Description of the node")
    type: str = _option("", "Namespace of the payloads")
    access_model: str = _option(
        "open", "Who may subscribe and retrieve items",
        "authorize", "open", "presence", "roster", "whitelist",
    )  # fmt: skip
    roster_groups_allowed: tuple[str, ...] = _option((), "Roster groups that may subscribe")
    publish_model: str = _option(
        "publishers", "Who may publish", "publishers", "subscribers", "open"
    )
    subscribe: bool = _option(True, "Allow subscriptions")
    persist_items: bool = _option(True, "Keep items")
    max_items: int = _option(ITEMS, "Most items to keep", most=ITEMS)
    item_expire: int = _option(FOREVER, "Seconds for which an item is kept", most=FOREVER)
    publish_node_full: str = _option(
        "retract-oldest", "What happens when the node is full",
        "retract-oldest", "discard-oldest", "reject",
    )  # fmt: skip
    max_payload_size: int = _option(PAYLOAD, "Most bytes of a payload", most=PAYLOAD)
    deliver_notifications: bool = _option(True, "Notify subscribers")
    deliver_payloads: bool = _option(True, "Deliver payloads with notifications")
    notification_type: str = _option(
        "headline", "Type of the messages that notify", "normal", "headline"
    )
    itemreply: str = _option(
        "none", "Whether items name their publisher", "owner", "publisher", "none"
    )
    send_last_published_item: str = _option(
        "on_sub_and_presence", "When the last item is sent",
        "never", "on_sub", "on_sub_and_presence",
    )  # fmt: skip
    notify_config: bool = _option(False, "Notify of a new configuration")
    notify_delete: bool = _option(True, "Notify of the deletion of the node")
    notify_retract: bool = _option(False, "Notify of removed items, even if it is not asked for")
    notify_sub: bool = _option(False, "Notify owners of new subscriptions")

    def values(self, name: str) -> tuple[str, ...]:
        """The values that a form shows for an attribute."""
        value = getattr(self, name)
        if isinstance(value, tuple):
            return value
        if isinstance(value, bool):
            return ("1" if value else "0",)
        return (str(value),)

    def form(self, groups: Sequence[str] = (), type: str = "form") -> Element:
        """The form to be filled in; `groups` are those of the owner's roster."""
        return build(NODE_CONFIG, [self._field(one, groups) for one in fields(self)], type=type)

    def _field(self, one: Any, groups: Sequence[str]) -> Field:
        options = one.metadata["choices"] or (groups if one.name == "roster_groups_allowed" else ())
        kinds: dict[type[object], str] = {bool: "boolean", tuple: "list-multi"}
        kind = kinds.get(type_of(one), "text-single")
        kind = "list-single" if one.metadata["choices"] else kind
        label, values = one.metadata["label"], self.values(one.name)
        return Field(_PREFIX + one.name, kind, label, () if values == ("",) else values, options)

    def changed(self, form: Form) -> Config:
        """The configuration with what was submitted; unknown fields are ignored.

        Raises StanzaError for a value that cannot be.
        """
        changes = {
            one.name: _read(form, one) for one in fields(self) if _PREFIX + one.name in form.values
        }
        if form.text(f"{_PREFIX}node_type", "leaf") != "leaf":
            raise refusal("feature-not-implemented", "unsupported", feature="collections")
        return replace(self, **changes)


def type_of(one: Any) -> type:
    """The type of a field of `Config`."""
    return type(one.default)


def _read(form: Form, one: Any) -> Any:
    """The value that a form has for a field of `Config`. Raises StanzaError."""
    name, kind = _PREFIX + one.name, type_of(one)
    if kind is bool:
        return form.flag(name)
    if kind is tuple:
        return tuple(form.values[name])
    if kind is int:
        return _number(name, form.text(name).strip(), one.metadata["most"])
    if one.metadata["choices"]:
        return form.choice(name, one.metadata["choices"], "")
    return form.text(name)


def _number(name: str, text: str, most: int) -> int:
    if text == "max":
        return most
    digits = text.isascii() and text.isdigit() and len(text) < 12
    if not digits or not 0 < int(text) <= most:
        raise StanzaError("not-acceptable", f"{name} is a number from 1 to {most}, or max")
    return int(text)


@dataclass(frozen=True)
class Options:
    """The options of a subscription (§6.3): `expires` is in seconds since the epoch."""

    deliver: bool = True
    expires: float | None = None

    def form(self, type: str = "form") -> Element:
        """The form to be filled in, or with what was filled in."""
        until = (timestamp(self.expires),) if self.expires is not None else ()
        return build(
            SUBSCRIBE_OPTIONS,
            [
                boolean(f"{_PREFIX}deliver", "Enable delivery?", self.deliver),
                Field(f"{_PREFIX}expire", "text-single", "When the subscription ends", until),
            ],
            type=type,
        )

    def changed(self, inner: Element) -> Options:
        """The options with what was submitted in an element. Raises StanzaError (§6.3.6.2)."""
        form = Form.read(inner)
        if form is None or form.type not in ("submit", "cancel"):
            raise refusal("bad-request", "invalid-options", "options are submitted in a form")
        if form.type == "cancel":
            return self
        text = form.text(f"{_PREFIX}expire").strip()
        try:
            deliver = form.flag(f"{_PREFIX}deliver", self.deliver)
            ends = datetime.fromisoformat(text) if text else None
        except (StanzaError, ValueError):
            raise refusal("bad-request", "invalid-options") from None
        if ends is not None and ends.tzinfo is None:
            raise refusal("bad-request", "invalid-options", "a time has a time zone")
        if ends is None:
            return replace(self, deliver=deliver)
        return Options(deliver, min(max(0.0, ends.timestamp()), _LAST))


def read_options(options: Element | None) -> Form | None:
    """The form with the options of a publish request (§7.1.5); None if it has none.

    Raises StanzaError.
    """
    if options is None:
        return None
    form = Form.read(options)
    if form is None or form.text("FORM_TYPE") != PUBLISH_OPTIONS:
        text = f"publish-options hold a form of the type {PUBLISH_OPTIONS}"
        raise refusal("bad-request", "invalid-options", text)
    known = {"FORM_TYPE", *(_PREFIX + one.name for one in fields(Config))}
    for name in form.values:
        if name not in known:
            text = f"there is no option {ascii_text(name)}"
            raise refusal("conflict", "precondition-not-met", text)
    return form


def check_preconditions(config: Config, form: Form | None) -> None:
    """Raises StanzaError if an existing node differs from the options of a publish request."""
    if form is None:
        return
    wanted = config.changed(form)
    for one in fields(config):
        if set(wanted.values(one.name)) != set(config.values(one.name)):
            text = f"{_PREFIX}{one.name} is {' '.join(config.values(one.name))}"
            raise refusal("conflict", "precondition-not-met", ascii_text(text))
