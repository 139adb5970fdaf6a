"""What each stanza that arrives does: to the roster, to the inbox, to the requests that wait."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from comms.callbacks import call
from comms.clock import Clock
from comms.errors import CommsError, Refused
from comms.host import Host
from comms.xmpp import about, payloads, stanzas
from comms.xmpp.addresses import Jid
from comms.xmpp.inbox import Inbox
from comms.xmpp.questions import Questions
from comms.xmpp.roster import Roster
from comms.xmpp.stanzas import IQ, MESSAGE, PRESENCE, ROOM_USER, ROSTER, Message
from comms.xmpp.stream import split_tag

if TYPE_CHECKING:
    from comms.xmpp.rooms import Room

_REQUEST = f"{{{stanzas.RECEIPTS}}}request"

RETURNED = 1000  # messages that have come back and are remembered
ROOMS = 1000  # rooms that are remembered as such

QueryHandler = Callable[[Element], Element | None]


class Dispatcher:
    """Handles the stanzas of one account.

    `own` returns our full address, `send` writes an answer. With `delayed`, messages that were
    stored before they arrived are handed out, too. `since` returns when a session that goes on
    after a cut has begun: what was sent to it later only waited for the connection.
    """

    def __init__(
        self,
        roster: Roster,
        inbox: Inbox,
        questions: Questions,
        clock: Clock,
        host: Host,
        *,
        own: Callable[[], Jid],
        send: Callable[[Element], None],
        delayed: bool,
        since: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self.accepted: bool | frozenset[Jid] = False  # whose requests to see us are granted at once
        self.refusals: dict[Jid, CommsError | None] = {}  # whose authorisation is awaited → refusal
        self.rooms: dict[Jid, None] = {}  # chat rooms seen; a dict keeps the order of arrival
        self.joined: dict[Jid, Room] = {}  # the rooms that the program has entered
        self.queries: dict[str, QueryHandler] = {}  # namespace → the program's handler
        self.nodes: list[QueryHandler] = []  # the program's answers to disco at nodes
        self.returned: dict[str, Message] = {}  # id → a message of ours that has come back
        self._about = about.answers(clock.time, lambda: self.queries)
        self._roster, self._inbox, self._questions = roster, inbox, questions
        self._clock, self._host = clock, host
        self._own, self._send, self._delayed, self._since = own, send, delayed, since

    def handle(self, element: Element, size: int) -> None:
        """Handles one stanza, which arrived in `size` bytes.

        Never raises for what a stranger may have written into it.
        """
        try:
            if element.tag == MESSAGE:
                self._message(element, size)
            elif element.tag == PRESENCE:
                self._presence(element)
            elif element.tag == IQ:
                self._iq(element)
        except ValueError as error:
            self._host.log("stanza-ignored", "warning", trouble=str(error))
        except CommsError:
            # An answer could not be sent. The connection has logged why.
            pass

    def _message(self, element: Element, size: int) -> None:
        now = self._clock.time()
        message = stanzas.read_message(element, now)
        if message.delayed and message.at >= self._since():
            message = replace(message, delayed=False, at=min(message.at, now))
        room = self._room_of(message.sender)
        if message.kind == "error":
            if room is not None:
                room.on_error(message)
            sender = str(message.sender or "")
            self._host.log("message-returned", "warning", by=sender, trouble=message.error)
            self._returned(message)
            return
        if room is not None and message.kind == "groupchat":
            room.on_message(message)
            return
        reason = stanzas.reason_to_ignore(message, self._own(), self.rooms, self._delayed)
        if reason:
            if message.text.strip() or message.unreadable:
                sender = str(message.sender or "")
                self._host.log("message-ignored", "warning", sender=sender, trouble=reason)
            return
        if message.unreadable:
            found, sender = payloads.names(element), str(message.sender or "")
            self._host.log("message-unreadable", "warning", sender=sender, payload=found)
        self._inbox.put(message, size)
        if message.id and element.find(_REQUEST) is not None:
            self._acknowledge(message)

    def _room_of(self, sender: Jid | None) -> Room | None:
        return self.joined.get(sender.bare) if self.joined and sender is not None else None

    def unacknowledged(self, element: Element) -> None:
        """Reports a stanza of ours of which the server has never said that it has arrived."""
        if element.tag != MESSAGE or element.get("type") == "error":
            return
        self._host.log("message-unacknowledged", "warning", to=element.get("to", ""))
        returned = Element(MESSAGE, {"type": "error", "id": element.get("id", "")})
        returned.set("from", element.get("to", ""))
        try:
            message = stanzas.read_message(returned, self._clock.time())
        except ValueError:
            return
        self._returned(replace(message, error="unacknowledged"))

    def _returned(self, message: Message) -> None:
        """Keeps a message that has come back, for the program, and for an outbox that sent it."""
        self._inbox.put_error(message)
        if message.id and message.sender is not None:
            if len(self.returned) >= RETURNED:
                del self.returned[next(iter(self.returned))]
            self.returned[message.id] = message

    def _acknowledge(self, message: Message) -> None:
        # XEP-0184 §8: a receipt shows that we are online, so it is for those who may see that.
        assert message.sender is not None
        contact = self._roster.get(message.sender.bare)
        if contact is not None and contact.sees_us:
            self._send(stanzas.receipt(message))

    def _presence(self, element: Element) -> None:
        presence = stanzas.read_presence(element)
        sender = presence.sender
        if sender is None:
            return
        room = self._room_of(sender)
        if room is not None:
            room.on_presence(element, sender)
        if element.find(f"{{{ROOM_USER}}}x") is not None:
            if len(self.rooms) >= ROOMS:
                del self.rooms[next(iter(self.rooms))]
            self.rooms[sender.bare] = None
        elif presence.kind == "subscribe":
            if self._accepts(sender.bare):
                self._send(stanzas.presence(sender.bare, "subscribed"))
            else:
                self._inbox.put_presence(self._inbox.requests, presence)
        elif presence.kind == "subscribed":
            self._inbox.put_presence(self._inbox.subscriptions, presence)
        elif presence.kind == "unsubscribe":
            self._inbox.requests.pop(sender.bare, None)
        elif presence.kind in ("unsubscribed", "error") and sender.bare in self.refusals:
            self.refusals[sender.bare] = (
                stanzas.as_exception(element, f"{sender.bare} cannot be asked")
                if presence.kind == "error"
                else Refused(f"{sender.bare} has refused to let us see their presence")
            )
        elif presence.kind in ("", "unavailable") and self._roster.update_presence(presence):
            self._inbox.presence[sender.bare] = self._roster.presence(sender.bare)
            self.log_left_out()

    def log_left_out(self) -> None:
        """Logs what the contact list could not take."""
        if left_out := self._roster.left_out():
            self._host.log("contacts-left-out", "warning", trouble=" ".join(left_out))

    def _accepts(self, bare: Jid) -> bool:
        if isinstance(self.accepted, bool):
            return self.accepted
        return bare in self.accepted

    def _iq(self, element: Element) -> None:
        kind = element.get("type")
        sender = Jid.parse(element.get("from", "")) if element.get("from") else None
        if kind in ("result", "error"):
            self._questions.answered(element, sender)
            return
        namespace = split_tag(element[0])[0] if len(element) == 1 else ""
        if kind not in ("get", "set") or not namespace:
            self._send(stanzas.error(element, "bad-request", "modify"))
        elif namespace == ROSTER:
            self._roster_push(element, sender)
        elif namespace in self.queries:
            self._reply(element, self._answer(element, self.queries[namespace]))
        elif namespace in self._about and kind == "get":
            try:
                self._reply(element, stanzas.result(element, self._described(element, namespace)))
            except LookupError:
                self._send(stanzas.error(element, "item-not-found"))
        else:
            self._send(stanzas.error(element, "service-unavailable"))

    def _described(self, query: Element, namespace: str) -> Element | None:
        """Returns what we say about ourselves. Raises LookupError if there is no such node."""
        if query[0].get("node"):
            answers = (call(self._host, node, query)[1] for node in self.nodes)
            found: Element | None = next(filter(lambda one: one is not None, answers), None)
            if found is not None:
                return found
        return self._about[namespace](query[0])

    def _reply(self, query: Element, answer: Element) -> None:
        """Sends an answer; if it is too long to be sent, an error. Without one, they would wait."""
        try:
            self._send(answer)
        except ValueError as error:
            self._host.log("answer-too-long", "warning", to=query.get("from"), trouble=str(error))
            self._send(stanzas.error(query, "resource-constraint", "wait"))

    def _roster_push(self, element: Element, sender: Jid | None) -> None:
        # RFC 6121 §2.1.6: only our own account may change our contact list. Anybody else could
        # put themselves on it and pass for a contact who has authorised us.
        if sender not in (None, self._own().bare) or element.get("type") != "set":
            reason = "it is not from our own account"
            self._host.log("push-ignored", "warning", sender=str(sender), trouble=reason)
            self._send(stanzas.error(element, "service-unavailable"))
            return
        contact = self._roster.apply(element[0])
        self.log_left_out()
        if contact is not None and contact.subscription == "remove":
            self._inbox.forget(contact.jid)
        self._send(stanzas.result(element))

    def _answer(self, query: Element, handler: QueryHandler) -> Element:
        content: Element | None
        done, content = call(self._host, handler, query)
        if not done:
            return stanzas.error(query, "internal-server-error")
        if content is not None and content.tag == IQ:
            return content  # a whole answer, not only the content of one
        return stanzas.result(query, content)
