"""A mail for people: its envelope beside its header, and its parts as text, so that it is inert."""

from __future__ import annotations

import email
import email.policy
from collections.abc import Iterator
from email.message import Message
from email.parser import BytesHeaderParser
from email.utils import getaddresses
from typing import Any

from scenarios.stage.markup import Content, Markup, tag

SHOWN = ("from", "to", "cc", "bcc", "reply-to", "subject", "date", "auto-submitted")


def render(raw: bytes, envelope: Any) -> Markup:
    """Returns a mail as HTML. What differs between envelope and header is marked."""
    # The newer policies parse a field again each time that it is asked for.
    mail = email.message_from_bytes(raw, policy=email.policy.compat32)
    fields = [(name, _value(name, value)) for name, value in mail.raw_items()]
    named = {name: _addresses(fields, *name) for name in (("from",), ("to", "cc", "bcc"))}
    sender, to = envelope.sender, list(envelope.to)
    top = [(name, value) for name, value in fields if name.lower() in SHOWN]
    rest = [(name, value) for name, value in fields if name.lower() not in SHOWN]
    header = [_field(name, _marked(name, value, sender, to)) for name, value in top]
    from_ = tag("b", sender) if sender else tag("em", "the null sender, <>")
    outside = [
        _field("MAIL FROM", from_, sender.lower() not in named["from",]),
        *(_field("RCPT TO", one, one.lower() not in named["to", "cc", "bcc"]) for one in to),
    ]
    further = tag("dl", [_field(name, value) for name, value in rest])
    return tag(
        "div",
        tag("div", tag("h4", "Envelope"), tag("dl", outside), class_="outside"),
        tag("div", tag("h4", "Header"), tag("dl", header), _fold("further fields", further)),
        tag("div", [_part(part) for part in _leaves(mail)], class_="body"),
        _fold("source", tag("pre", raw.decode("utf-8", "backslashreplace"))),
        class_="mail",
    )


def subject(raw: bytes) -> str:
    """Returns the decoded subject."""
    fields = BytesHeaderParser(policy=email.policy.compat32).parsebytes(raw).raw_items()
    values = [_value(name, value) for name, value in fields if name.lower() == "subject"]
    return (values and values[0]) or "(no subject)"


def _value(name: str, raw: str) -> str:
    """Returns a field, decoded if it can be."""
    try:
        decoded: object = email.policy.default.header_fetch_parse(name, raw)
    except Exception:  # it raises errors of many kinds for some mails
        decoded = raw
    text = " ".join(str(decoded).split())
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _addresses(fields: list[tuple[str, str]], *names: str) -> set[str]:
    values = [value for name, value in fields if name.lower() in names]
    return {address.lower() for _, address in getaddresses(values)}


def _marked(name: str, value: str, sender: str, to: list[str]) -> Content:
    """A field of the header, marked if it names nobody of the envelope."""
    kind = name.lower()
    if kind not in ("from", "to", "cc", "bcc"):
        return value
    envelope = {sender.lower()} if kind == "from" else {one.lower() for one in to}
    found = {address.lower() for _, address in getaddresses([value])}
    return value if found <= envelope else _other(value, "not in the envelope")


def _field(name: str, value: Content, differs: bool = False) -> Markup:
    shown = _other(value, "not in the header") if differs else value
    return Markup(tag("dt", name) + tag("dd", shown))


def _other(value: Content, why: str) -> Markup:
    return tag("span", value, tag("small", f" ≠ {why}"), class_="differs")


def _leaves(mail: Message[Any, Any]) -> Iterator[Message[Any, Any]]:
    return (part for part in mail.walk() if not part.is_multipart())


def _part(part: Message[Any, Any]) -> Markup:
    kind = part.get_content_type()
    content = part.get_payload(decode=True)
    raw = content if isinstance(content, bytes) else b""
    if part.get_content_maintype() != "text":
        return tag("p", f"{part.get_filename() or 'a part'}: {kind}, {len(raw):,} bytes")
    try:
        text = raw.decode(part.get_content_charset() or "utf-8", "backslashreplace")
    except LookupError:  # an unknown charset
        text = raw.decode("latin-1")
    what = (
        "HTML, shown as its source, so that nothing in it is obeyed" if kind == "text/html" else ""
    )
    return Markup(
        tag("p", what, class_="kind") * bool(what)
        + tag("pre", text if text.strip() else "(no text)")
    )


def _fold(title: str, content: Markup) -> Markup:
    return tag("details", tag("summary", title), content)
