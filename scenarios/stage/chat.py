"""XMPP and TOC connections as beats."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from typing import Any

from scenarios.stage.beats import MESSAGE, ONLINE, REQUEST, UPKEEP, WIRE, Beat, Reader, lines

_STREAMS = "http://etherx.jabber.org/streams"
_CLIENT = "{jabber:client}"
_ROSTER = "{jabber:iq:roster}query"


class Xmpp(Reader):
    """A stream to a Jabber server."""

    def read(self, record: Any) -> Iterator[Beat]:
        stanza = parsed(record)
        name = stanza.tag.rpartition("}")[2] if stanza is not None else ""
        from_client = record.direction == "C"
        if record.verb == "close" or (stanza is None and not from_client):
            return  # the end of the stream, which the closing tells
        if name in _OPENING or stanza is None:
            yield from self._negotiates(record, stanza, name)
        elif name in ("iq", "message", "presence"):
            yield from getattr(self, f"_{name}")(record, stanza, from_client)
        elif name in ("failure", "error"):
            yield from self.opening("logs in", ONLINE)
            yield self._trouble(record, f"<{name}> {_condition(stanza)}", not from_client)
        else:
            yield self.beat(WIRE, _short(stanza), to_client=not from_client)

    def _negotiates(self, record: Any, stanza: Any, name: str) -> Iterator[Beat]:
        if record.verb == "stream":
            to = re.search(r"\bto=['\"]([^'\"]*)", lines(record)[0])
            self.steps.append(f"opens a stream to {to[1] if to else 'the server'}")
        elif name == "features":
            offers = [child.tag.rpartition("}")[2] for child in stanza]
            self.steps.append(f"the server offers {', '.join(offers) or 'nothing'}")
        elif record.direction == "C" and (user := record.fields.get("user")):
            how = record.fields.get("mechanism") or stanza.get("mechanism", "")
            self.steps.append(f"logs in as {user} by {how}")
        return iter(())

    def _iq(self, record: Any, stanza: Any, from_client: bool) -> Iterator[Beat]:
        kind = stanza.get("type")
        payload: Any = next(iter(stanza), None)
        tag = payload.tag if payload is not None else ""
        if kind == "error":
            yield from self.opening("logs in", ONLINE)
            yield self._trouble(record, f"refuses: {_condition(stanza)}", not from_client)
        elif tag.endswith("}bind"):
            if record.fields.get("jid"):
                self.steps.append(f"binds the full JID {record.fields['jid']}")
        elif tag == _ROSTER and kind == "result":
            items = [item.get("jid") for item in payload]
            self.steps.append(f"fetches the roster: {', '.join(items) or 'no contacts'}")
            yield from self._fetched()
        elif tag == _ROSTER and kind == "set" and from_client:
            yield from self.opening("logs in", ONLINE)
            who = ", ".join(item.get("jid", "") for item in payload)
            removes = any(item.get("subscription") == "remove" for item in payload)
            verb = "removes" if removes else "adds"
            yield self.beat(WIRE, f"{verb} a contact: {who}")
        elif tag == _ROSTER and kind == "set":
            states = ", ".join(_contact(item) for item in payload)
            yield self.beat(UPKEEP, f"roster push: {states}", to_client=True)
        elif kind == "result" or tag == _ROSTER or tag.endswith(("}session", "}ping")):
            if not self.steps:
                yield self.beat(UPKEEP, f"iq {kind}", to_client=not from_client)
        else:
            yield from self.opening("logs in", ONLINE)
            yield self.beat(WIRE, f"iq {kind}: {_short(payload)}", to_client=not from_client)

    def _fetched(self) -> Iterator[Beat]:
        """The roster that was fetched again, after the opening, is upkeep."""
        if len(self.steps) == 1:
            yield self.beat(UPKEEP, self.steps.pop())

    def _presence(self, record: Any, stanza: Any, from_client: bool) -> Iterator[Beat]:
        kind, to, sender = stanza.get("type", ""), stanza.get("to"), stanza.get("from", "")
        if not from_client and self._is_own(record, sender):
            if not self.steps:
                yield self.beat(UPKEEP, "own presence", to_client=True)
            return
        if from_client and not to and not kind:
            self.steps.append("is available" + _shown(stanza))
            yield self._online()
            return
        yield from self.opening("logs in", ONLINE)
        who = to if from_client else _bare(sender)
        text = _PRESENCE.get(kind, kind or "is available") + _shown(stanza)
        if from_client:
            yield self.beat(REQUEST, f"{text}{f' (to {who})' if who else ''}")
        else:
            error = kind == "error"
            text = f"{who}: {_condition(stanza) if error else text}"
            trouble = "refused" if error else ""
            yield self.beat(WIRE, text, to_client=True, trouble=trouble, about=who)

    def _online(self) -> Beat:
        """Returns the opening, which ends when the program becomes available."""
        steps, self.steps = tuple(self.steps), []
        return self.beat(ONLINE, "logs in" if len(steps) > 1 else steps[0], detail=steps)

    def _message(self, record: Any, stanza: Any, from_client: bool) -> Iterator[Beat]:
        yield from self.opening("logs in", ONLINE)
        body = stanza.findtext(f"{_CLIENT}body") or ""
        kind = stanza.get("type", "normal")
        other = stanza.get("to" if from_client else "from", "")
        mark = "" if kind in ("chat", "normal") else f" ({kind})"
        if kind == "error" and not from_client:
            yield self._trouble(record, f"message returned by {other}: {_condition(stanza)}", True)
        elif body:
            arrow = "to" if from_client else "from"
            yield self.beat(
                MESSAGE,
                f"message {arrow} {_bare(other)}{mark}: {quoted(body)}",
                to_client=not from_client,
                about="" if from_client else _bare(other),
            )
        else:
            payload = next(iter(stanza), None)
            text = _short(payload) if payload is not None else "empty"
            yield self.beat(WIRE, f"message{mark}: {text}", to_client=not from_client)

    def _is_own(self, record: Any, sender: str) -> bool:
        return bool(record.person) and _bare(sender) == record.person

    def _trouble(self, record: Any, text: str, to_client: bool) -> Beat:
        return self.beat(WIRE, text, to_client=to_client, trouble="refused")


_OPENING = {
    "handshake",
    "features", "auth", "challenge", "response", "success", "starttls", "proceed", "stream"
}  # fmt: skip
_PRESENCE = {
    "": "is available",
    "unavailable": "goes offline",
    "subscribe": "asks to see when it is online (presence subscribe)",
    "subscribed": "agrees to be seen (presence subscribed)",
    "unsubscribe": "no longer asks to see it (presence unsubscribe)",
    "unsubscribed": "does not agree to be seen (presence unsubscribed)",
}


def parsed(record: Any) -> Any:
    """Returns the element of a record with secrets masked; None if it is no whole element."""
    text = record.shown().decode("utf-8", "backslashreplace")
    text = re.sub(r"^<\?xml[^>]*\?>", "", text)
    if record.verb == "stream" or text.startswith("<stream:stream"):
        return None
    try:
        wrapped = f"<x xmlns='jabber:client' xmlns:stream='{_STREAMS}'>{text}</x>"
        return next(iter(ElementTree.fromstring(wrapped)), None)
    except ElementTree.ParseError:
        return None


def _condition(stanza: Any) -> str:
    """Returns an error's condition, and its text if there is one."""
    found = [child for child in stanza.iter() if "xmpp-s" in child.tag]
    names = [child.tag.rpartition("}")[2] for child in found]
    text = next((child.text for child in found if child.tag.endswith("}text")), None)
    condition = next((name for name in names if name != "text"), "error")
    return f"{condition}: {text}" if text else condition


def _contact(item: Any) -> str:
    state = item.get("subscription", "none")
    return f"{item.get('jid')} {state}{', asked' if item.get('ask') else ''}"


def _short(element: Any) -> str:
    """Returns an element as a person would read it: its name and its texts."""
    if element is None:
        return ""
    name, _, local = element.tag.rpartition("}")
    words = [text.strip() for text in element.itertext() if text.strip()]
    namespace = name.strip("{").removeprefix("jabber:client")
    where = f" ({namespace})" if namespace else ""
    return f"<{local}>{where}{' ' + quoted(' '.join(words)) if words else ''}"


def _shown(stanza: Any) -> str:
    words = [stanza.findtext(f"{_CLIENT}{name}") for name in ("show", "status")]
    found = ", ".join(word for word in words if word)
    return f": {found}" if found else ""


def _bare(jid: str) -> str:
    return jid.partition("/")[0]


def quoted(text: str) -> str:
    return f'"{text}"'


_COMMANDS = {"toc_add_buddy": "adds buddies", "toc_set_away": "is away", "toc_set_idle": "is idle"}


class Toc(Reader):
    """A connection to an AIM server. Frames are shown without their header."""

    def read(self, record: Any) -> Iterator[Beat]:
        text = " ".join(lines(record))
        if record.direction == "C":
            yield from self._command(record, text)
        else:
            yield from self._answer(record, text)

    def _command(self, record: Any, text: str) -> Iterator[Beat]:
        verb = record.verb
        if verb in ("FLAPON", "SIGNON"):
            return
        if "signon" in verb:
            self.steps.append(f"signs on as {text.split()[3]}")
        elif verb == "toc_init_done":
            self.steps.append("is online")
            yield from self._signed_on()
        elif verb in ("toc_send_im", "toc2_send_im"):
            yield from self.opening("signs on", ONLINE)
            to, body = text.split(" ", 2)[1:]
            body, _, mark = body.rpartition('"')
            body = unmarked(body.removeprefix('"').replace("\\", ""))
            auto = " (auto-response)" if "auto" in mark else ""
            yield self.beat(MESSAGE, f"message to {to}{auto}: {quoted(body)}")
        elif verb in ("toc_get_status", "toc_noop"):
            if not self.steps:
                yield self.beat(UPKEEP, "checks that the connection is alive")
        else:
            yield from self.opening("signs on", ONLINE)
            words = _COMMANDS.get(verb)
            yield self.beat(WIRE, f"{words}: {text.partition(' ')[2]}" if words else text)

    def _answer(self, record: Any, text: str) -> Iterator[Beat]:
        name, _, rest = text.partition(":")
        if name in ("SIGN_ON", "NICK", "CONFIG", "CONFIG2") or not record.shown().strip(b"\0\1"):
            if name.startswith("SIGN_ON"):
                self.steps.append("the server accepts the password")
        elif name.startswith("IM_IN"):
            yield from self.opening("signs on", ONLINE)
            sender, auto, *more = rest.split(":", 3 if name == "IM_IN2" else 2)
            body = unmarked(more[-1])
            mark = " (auto-response)" if auto == "T" else ""
            text = f"message from {sender}{mark}: {quoted(body)}"
            yield self.beat(MESSAGE, text, to_client=True, about=sender)
        elif name == "ERROR":
            yield from self.opening("signs on", ONLINE)
            yield self.beat(WIRE, text, to_client=True, trouble="refused")
        elif name.startswith("UPDATE_BUDDY"):
            fields = rest.split(":")
            if fields[0] == record.person:
                if not self.steps:
                    yield self.beat(UPKEEP, "own status", to_client=True)
            else:
                yield from self.opening("signs on", ONLINE)
                yield self.beat(WIRE, _buddy(fields), to_client=True, about=fields[0])
        else:
            yield from self.opening("signs on", ONLINE)
            yield self.beat(WIRE, text, to_client=True)

    def _signed_on(self) -> Iterator[Beat]:
        steps, self.steps = tuple(self.steps), []
        yield self.beat(ONLINE, "signs on", detail=steps)


def _buddy(fields: list[str]) -> str:
    """Returns an UPDATE_BUDDY message as words (TOC 1.0: name:online:warning:since:idle:class)."""
    name, online, _, _, idle, kind = (*fields, "", "", "", "", "", "")[:6]
    if online != "T":
        return f"{name} goes offline"
    state = (
        "is away" if "U" in kind else f"is idle for {idle} minutes" if idle != "0" else "is online"
    )
    return f"{name} {state}"


def unmarked(text: str) -> str:
    """Returns the text of an instant message without its HTML tags."""
    return re.sub(r"<[^<>]*>", " ", text.replace("<br>", "\n")).strip()
