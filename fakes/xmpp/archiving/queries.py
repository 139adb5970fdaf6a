"""What is asked of an archive, and the answers to it (XEP-0313 §4, §5)."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, parse_or_none
from fakes.xmpp.archiving.messages import Archived, Messages
from fakes.xmpp.archiving.preferences import MAM
from fakes.xmpp.forms import Field, Form, build
from fakes.xmpp.markup import CLIENT, DELAY, element, escape
from fakes.xmpp.offline import timestamp
from fakes.xmpp.paging import Asked, cut_counted
from fakes.xmpp.requests import Request
from fakes.xmpp.stanzas import Stanza, StanzaError, Written, build_stanza

QUERY, METADATA, PREFERENCES = (f"{{{MAM}}}{name}" for name in ("query", "metadata", "prefs"))
FORWARD = "urn:xmpp:forward:0"
VALIDATE = "{http://jabber.org/protocol/xdata-validate}"
FIELDS = {
    "with": "jid-single",
    "start": "text-single",
    "end": "text-single",
    "before-id": "text-single",
    "after-id": "text-single",
    "ids": "list-multi",
}
GROUPCHAT = "include-groupchat"  # accounts only, whose archives have no such messages
# A DateTime of XEP-0082 (XEP-0313 §4.1.2)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(frozen=True)
class Query:
    """The fields of a query; those that are None filter nothing."""

    address: Jid | None = None
    start: float | None = None  # seconds since the epoch
    end: float | None = None
    after: str | None = None
    before: str | None = None
    ids: tuple[str, ...] | None = None

    @classmethod
    def read(cls, payload: Element, *, of_account: bool) -> Query:
        """Reads the form of a query. Raises StanzaError."""
        if payload.get("node") is not None:
            raise StanzaError("feature-not-implemented", "there are no archives of nodes here")
        form = Form.read(payload)
        if form is None:
            return cls()
        if form.type != "submit" or form.text("FORM_TYPE") != MAM:
            raise StanzaError("bad-request", f"the form is a submitted one of {MAM}")
        known = {"FORM_TYPE", *FIELDS, *([GROUPCHAT] if of_account else [])}
        unknown = next((name for name in form.values if name not in known), None)
        if unknown is not None:
            raise StanzaError("feature-not-implemented", f"there is no field {unknown}")
        form.flag(GROUPCHAT)
        given = {name: form.text(name) for name in FIELDS if form.values.get(name)}
        address = parse_or_none(given["with"]) if "with" in given else None
        if "with" in given and address is None:
            raise StanzaError("jid-malformed", "the field with is an address")
        return cls(
            address,
            _time(given.get("start")),
            _time(given.get("end")),
            given.get("after-id"),
            given.get("before-id"),
            tuple(form.values["ids"]) if "ids" in given else None,
        )


def form(*, of_account: bool) -> Element:
    """Builds the form with the fields that queries may have (§4.1.5)."""
    fields = [Field(name, kind) for name, kind in FIELDS.items()]
    if of_account:
        fields.append(Field(GROUPCHAT, "boolean"))
    built = build(MAM, fields)
    ids = next(one for one in built if one.get("var") == "ids")
    ids.append(element(f"{VALIDATE}validate", {"datatype": "xs:string"}, f"{VALIDATE}open"))
    return element(QUERY, {}, built)


def metadata(request: Request, archive: Messages) -> Element:
    """Answers what an archive has: its first and its last message (§5). Raises StanzaError."""
    if request.stanza.type != "get":
        raise StanzaError("bad-request", "metadata cannot be set")
    return described(archive)


def described(archive: Messages) -> Element:
    """Builds the description of an archive, whose ids must have been prepared."""
    built = element(METADATA)
    for name, number in (("start", archive.end - len(archive)), ("end", archive.end - 1)):
        if len(archive):
            shown = {"id": archive.id_of(number), "timestamp": timestamp(archive[number].at)}
            built.append(element(f"{{{MAM}}}{name}", {**shown}))
    return built


def answer(
    archive: Messages,
    request: Request,
    query: Query,
    most: int,
    *,
    send: Callable[[Stanza], None],
    token: Callable[[int], str],
    show: Callable[[Archived], Stanza] = lambda message: message.stanza,
) -> Element:
    """Sends the page that was asked for; returns the end of the answer (§4.2, §4.3).

    A page has `most` messages at most. `show` returns a message as the asker may see it. Raises
    StanzaError for an unknown id.
    """
    payload, asked = request.payload, Asked.read(request.payload)
    try:
        low, high = archive.between(query.start, query.end)
        # §4.1.3: an id that is not here is an error.
        if query.after is not None:
            low = max(low, archive.number_of(query.after) + 1)
        if query.before is not None:
            high = min(high, archive.number_of(query.before))
        numbers, start, stop = archive.select(low, high, query.address, query.ids)
    except KeyError:
        raise StanzaError("item-not-found", "there is no message with this id") from None

    def place(id: str) -> tuple[int, int]:
        number = archive.number_of(id)
        before, upto = bisect_left(numbers, number), bisect_right(numbers, number)
        return min(max(before, start), stop) - start, min(max(upto, start), stop) - start

    page = cut_counted(asked, stop - start, most, place)
    found = [numbers[start + one] for one in range(page.start, page.stop)]
    ids = [archive.id_of(number) for number in found]
    results = list(zip(ids, found, strict=True))
    if payload.find(f"{{{MAM}}}flip-page") is not None:
        results.reverse()
    for id, number in results:
        message = archive[number]
        result = _result(id, payload.get("queryid"), message.at, show(message))
        send(
            build_stanza(
                "message",
                sender=request.to.bare,
                to=request.stanza.sender,
                id=token(16),
                children=[result],
            )
        )
    complete = {"complete": "true" if page.complete else None}
    return element(f"{{{MAM}}}fin", {**complete}, page.element(ids))


def _result(id: str, query: str | None, at: float, stanza: Stanza) -> Written:
    """Writes a message of an archive as a result (XEP-0297, XEP-0313 §4.2)."""
    copy = stanza.to_bytes().decode().replace("<message", f"<message xmlns='{CLIENT}'", 1)
    query_id = "" if query is None else f" queryid='{escape(query)}'"
    xml = (
        f"<result xmlns='{MAM}'{query_id} id='{escape(id)}'><forwarded xmlns='{FORWARD}'>"
        f"<delay xmlns='{DELAY}' stamp='{timestamp(at)}'/>{copy}</forwarded></result>"
    )
    return Written(f"{{{MAM}}}result", xml)


def _time(text: str | None) -> float | None:
    """Reads a time of XEP-0082. Raises StanzaError."""
    if text is None:
        return None
    try:
        if not _TIME.fullmatch(text):
            raise ValueError(text)
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise StanzaError("bad-request", "a time is written as 2010-07-10T23:08:25Z") from None
