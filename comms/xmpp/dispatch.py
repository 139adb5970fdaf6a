"""What each stanza that arrives does: to the roster, to the inbox, to the requests that wait."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree.ElementTree import Element

from comms.callbacks import call
from comms.clock import Clock
from comms.errors import CommsError, Refused
from comms.host import Host
from comms.xmpp import stanzas
from comms.xmpp.addresses import Jid
from comms.xmpp.inbox import Inbox
from comms.xmpp.questions import Questions
from comms.xmpp.roster import Roster
from comms.xmpp.stanzas import IQ, MESSAGE, PRESENCE, ROOM_USER, ROSTER
from comms.xmpp.stream import split_tag, to_bytes

ROOMS = 1000  # rooms that are remembered as such

QueryHandler = Callable[[Element], Element | None]


class Dispatcher:
    """Handles the stanzas of one account.

    `own` returns our full address, `send` writes an answer. With `delayed`, messages that were
    stored before they arrived are handed out, too.
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
    ) -> None:
        self.accepted: bool | frozenset[Jid] = False  # whose requests to see us are granted at once
        self.refusals: dict[Jid, CommsError | None] = {}  # whose authorisation is awaited → refusal
        self.rooms: dict[Jid, None] = {}  # chat rooms seen; a dict keeps the order of arrival
        self.queries: dict[str, QueryHandler] = {}  # namespace → the program's handler
        self._roster, self._inbox, self._questions = roster, inbox, questions
        self._clock, self._host = clock, host
        self._own, self._send, self._delayed = own, send, delayed

    def handle(self, element: Element) -> None:
        """Handles one stanza. Never raises for what a stranger may have written into it."""
        handlers = {MESSAGE: self._message, PRESENCE: self._presence, IQ: self._iq}
        handle = handlers.get(element.tag)
        if handle is None:
            return
        try:
            handle(element)
        except ValueError as error:
            self._host.log("stanza-ignored", "warning", trouble=str(error))
        except CommsError:
            # An answer could not be sent. The connection has logged why.
            pass

    def _message(self, element: Element) -> None:
        message = stanzas.read_message(element, self._clock.time())
        if message.kind == "error":
            condition = stanzas.condition(element)
            self._host.log("message-returned", "warning", by=str(message.sender), trouble=condition)
            return
        reason = stanzas.reason_to_ignore(message, self._own(), self.rooms, self._delayed)
        if not reason:
            self._inbox.put(message, len(to_bytes(element)))
        elif message.text.strip():
            sender = str(message.sender or "")
            self._host.log("message-ignored", "warning", sender=sender, trouble=reason)

    def _presence(self, element: Element) -> None:
        presence = stanzas.read_presence(element)
        sender = presence.sender
        if sender is None:
            return
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
            self._send(self._answer(element, self.queries[namespace]))
        elif namespace == stanzas.PING and kind == "get":
            self._send(stanzas.result(element))
        else:
            self._send(stanzas.error(element, "service-unavailable"))

    def _roster_push(self, element: Element, sender: Jid | None) -> None:
        # RFC 6121 §2.1.6: only our own account may change our contact list. Anybody else could
        # put themselves on it and pass for a contact who has authorised us.
        if sender not in (None, self._own().bare) or element.get("type") != "set":
            reason = "it is not from our own account"
            self._host.log("push-ignored", "warning", sender=str(sender), trouble=reason)
            self._send(stanzas.error(element, "service-unavailable"))
            return
        contact = self._roster.apply(element[0])
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
