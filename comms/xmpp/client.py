"""A blocking Jabber client, modelled on Ruby's Jabber::Simple. There are no threads.

    with Client(settings.server("xmpp"), clock, host) as jabber:
        jabber.deliver("them@example.test", "Hello!")   # asks for authorisation and waits for it

        for _ in clock.every(3):                        # polling …
            for message in jabber.received_messages():
                jabber.send(message.reply("Hello yourself."))

        @jabber.on_message                              # … or callbacks, which `wait` calls
        def greet_back(message):
            jabber.send(message.reply("Hello yourself."))

        jabber.wait()                                   # until the program is asked to stop

The program only gets messages that it may act on (`stanzas.reason_to_ignore`); the others are
logged. When the connection is lost, the client reconnects after a jittered exponential back-off. It
never sends a stanza twice, except with `resume` one that the server has not received.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any, TypeVar
from xml.etree.ElementTree import Element

from comms.clock import Clock
from comms.errors import CommsError, Refused, TryLater
from comms.host import Host
from comms.xmpp import stanzas
from comms.xmpp.addresses import Jid
from comms.xmpp.connection import Connection
from comms.xmpp.dispatch import Dispatcher
from comms.xmpp.inbox import Inbox, take
from comms.xmpp.questions import Questions
from comms.xmpp.resumption import Resumption
from comms.xmpp.roster import Contact, Roster, roster_set
from comms.xmpp.session import Session
from comms.xmpp.stanzas import ROSTER, Message, Presence

if TYPE_CHECKING:
    from comms.settings import Server
    from comms.xmpp.outbox import Outbox
    from comms.xmpp.rooms import Room

_Handler = TypeVar("_Handler", bound=Callable[..., Any])


class Client:
    """An account that is online.

    `accept_subscriptions` says whose requests to see our presence are granted at once: nobody's
    (False), everybody's (True), or those of the given addresses. The others wait in
    `subscription_requests`. With `delayed`, the program also gets messages that were stored while
    it was offline. With `resume`, a session goes on after the connection was lost, and what was
    sent arrives exactly once; of what cannot arrive any more, the program learns by
    `returned_messages`, with the error `unacknowledged` (XEP-0198). With `confirms`, which implies
    `resume`, the server keeps each message until the program calls `confirm`: if the program is
    killed before that, the server delivers the message again, or returns it as an error.

    Raises Unreachable, TryLater or Refused if the first attempt to connect fails. The many methods
    are the program's whole vocabulary; what they do is in `Connection` and `Dispatcher`.
    """

    def __init__(
        self,
        server: Server,
        clock: Clock,
        host: Host,
        *,
        accept_subscriptions: bool | Collection[str] = False,
        delayed: bool = False,
        resume: bool = False,
        confirms: bool = False,
    ) -> None:
        self.server = server
        self.roster = Roster()
        self._clock, self._host = clock, host
        self._inbox = Inbox(host)
        self._status = stanzas.presence()
        questions, resumption = Questions(), Resumption(confirms)
        self._resumption = resumption
        self._dispatcher = Dispatcher(
            self.roster,
            self._inbox,
            questions,
            clock,
            host,
            own=lambda: self.jid,
            send=self.send,
            delayed=delayed,
            since=lambda: resumption.since,
        )
        self._connection = Connection(
            server,
            clock,
            host,
            self._inbox,
            questions,
            greet=self._greet,
            handle=self._dispatcher.handle,
            lost=self._lost,
            unacknowledged=self._dispatcher.unacknowledged,
            resumption=resumption if resume or confirms else None,
        )
        # A filter gets every stanza and returns it, changed or not, or None to drop it.
        self.incoming = self._connection.incoming
        self.outgoing = self._connection.outgoing
        self.accept_subscriptions = accept_subscriptions
        self._connection.connect()

    # ── being online ─────────────────────────────────────────────────────────

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.disconnect()

    @property
    def jid(self) -> Jid:
        """Our full address; without a resource while we are offline."""
        return self._connection.jid

    @property
    def connected(self) -> bool:
        """Whether we are online, as far as is known."""
        return self._connection.session is not None

    def disconnect(self) -> None:
        """Goes offline, for good or until `reconnect`.

        What was sent is on the wire. What arrives in the meantime can still be taken.
        """
        self._connection.disconnect()

    def reconnect(self) -> None:
        """Connects again without waiting. Raises Unreachable, TryLater or Refused."""
        self.disconnect()
        self._connection.connect()

    @property
    def accept_subscriptions(self) -> bool | Collection[str]:
        """Whose requests to see us are granted at once. Setting it may raise ValueError."""
        accepted = self._dispatcher.accepted
        return accepted if isinstance(accepted, bool) else [str(jid) for jid in sorted(accepted)]

    @accept_subscriptions.setter
    def accept_subscriptions(self, who: bool | Collection[str]) -> None:
        self._dispatcher.accepted = (
            who if isinstance(who, bool) else frozenset(Jid.parse(address).bare for address in who)
        )

    def status(self, show: str = "", text: str = "", priority: int = 0) -> None:
        """Sets how we can be reached, now and after each reconnection.

        `show` is away, chat, dnd or xa, or empty for plainly available. Raises ValueError if the
        text is too long.
        """
        status = stanzas.presence(show=show, text=text, priority=priority)
        stanzas.checked_bytes(status)  # before it is kept: it would break each reconnection
        self._status = status
        if self.connected:
            self.send(self._status)

    def wait(self, until: float | None = None) -> None:
        """Calls the handlers for what arrives, until the time, or until the program is stopped.

        `until` is a time of the clock: `wait(clock.time() + 60)`. (`wait` of TOC and IRC takes a
        number of seconds.) Reconnects when the connection is lost. Raises Refused if that would be
        pointless.
        """
        self._connection.attend(lambda: False, until)

    # ── sending ──────────────────────────────────────────────────────────────

    def deliver(
        self,
        to: str | Jid,
        text: str,
        wait: float = 60.0,
        later: Outbox | None = None,
        kind: str = "chat",
    ) -> bool:
        """Sends a message to a contact who has authorised us to see their presence.

        Any other user is asked first, and has `wait` seconds to agree. With `later`, nothing waits:
        the message is stored there and goes out when they have agreed. Returns True if the message
        has been sent, False if it has been stored. Characters that XML cannot represent, such as
        control characters, are sent as U+FFFD.

        Raises TryLater if the authorisation does not come in time, Refused if it is refused or if
        the address is unknown, Unreachable, Unknown if the message may have been sent, and
        ValueError for an impossible address or text.
        """
        address = Jid.of(to)
        element = stanzas.message(address, text, kind)
        element.set("id", self._connection.next_id())
        stanzas.checked_bytes(element)
        # The roster may have changed since the last look, and with it who has authorised us.
        self._connection.look(())
        if later is not None and not (self.connected and self.subscribed_to(address)):
            later.put(str(address), text, self._clock.time(), kind)
            if self.connected:
                self.request_subscription(address)
            return False
        if not self.subscribed_to(address):
            self._await_authorisation(address, wait)
        self.send(element)
        return True

    def send(self, element: Element) -> None:
        """Sends a stanza as it is, but with U+FFFD for characters that XML cannot represent.

        Raises Unreachable if we are offline, Unknown if the connection is lost with it, and
        ValueError for an invalid name of an element or attribute, and for more bytes than every
        server accepts (RFC 6120 §13.12). Nothing is sent then, and we stay online.
        With `resume`, waits while too much is not acknowledged; raises Unreachable if that does not
        change, and TryLater if too many messages wait to be taken before the acknowledgements.
        """
        self._connection.send(element)

    def request(self, query: Element, timeout: float | None = None) -> Element:
        """Sends a query (`stanzas.iq`) and returns the result.

        Only the address that was asked can answer (RFC 6120 §8.1.2.1). Raises Refused or TryLater
        for an answer of type error, TryLater if there is none in time, Unknown if the connection is
        lost before it comes.
        """
        return self._connection.request(query, timeout or self.server.timeout)

    # ── chat rooms ───────────────────────────────────────────────────────────

    def join(self, room: str | Jid, nick: str, password: str = "", wait: float = 30.0) -> Room:
        """Enters a chat room (XEP-0045). After a reconnection, the client enters it again.

        Raises Refused or TryLater if the room does not let us in, TryLater if it does not answer,
        Unreachable, and ValueError for an impossible address or nick.
        """
        from comms.xmpp.rooms import Room  # most programs enter none

        address = Jid.of(room).bare
        Jid.parse(f"{address}/{nick}")  # raises ValueError
        joined = Room(address, nick, self.send, self._host)
        joined.password = password
        self._dispatcher.joined[address] = joined
        try:
            joined.enter()
            self._connection.attend(
                lambda: joined.joined or joined.refusal is not None,
                self._clock.time() + wait,
                for_answer=True,
            )
            if not joined.joined:
                raise joined.refusal or TryLater(f"{address} has not answered {self._late(wait)}")
        except BaseException:
            del self._dispatcher.joined[address]
            raise
        return joined

    def leave(self, room: Room) -> None:
        """Leaves a chat room, for good."""
        self._dispatcher.joined.pop(room.jid, None)
        room.leave()

    # ── the contact list ─────────────────────────────────────────────────────

    def subscribed_to(self, who: str | Jid) -> bool:
        """Returns whether they have authorised us (our own account always has)."""
        address = Jid.of(who).bare
        contact = self.roster.get(address)
        return address == self.jid.bare or (contact is not None and contact.subscribed)

    def add(self, who: str | Jid, name: str = "", groups: Collection[str] = ()) -> None:
        """Adds a user to the contact list and asks for their authorisation.

        Raises ValueError, Refused, TryLater, Unreachable.
        """
        address = Jid.of(who).bare
        self.request(stanzas.iq("set", roster_set(address, name, tuple(groups))))
        self.request_subscription(address)

    def request_subscription(self, who: Jid) -> None:
        """Asks for authorisation, unless it was given, or asked for and not answered yet."""
        contact = self.roster.get(who.bare, Contact(who.bare))
        if not contact.subscribed and not contact.pending:
            self.send(stanzas.presence(who.bare, "subscribe"))

    def remove(self, who: str | Jid) -> None:
        """Removes a user from the contact list. Neither side sees the other any more.

        Raises Refused if they are not on it.
        """
        self.request(stanzas.iq("set", roster_set(Jid.of(who).bare, remove=True)))

    def accept(self, who: str | Jid) -> None:
        """Lets a user see our presence.

        A user who has not asked yet may see it as soon as they do, if the server supports
        pre-approval (RFC 6121 §3.4).
        """
        self._answer_request(who, "subscribed")

    def deny(self, who: str | Jid) -> None:
        """Refuses a user's request to see our presence, or ends the permission to see it."""
        self._answer_request(who, "unsubscribed")

    # ── what has arrived, by polling ─────────────────────────────────────────

    def received_messages(self) -> list[Message]:
        """Returns the messages since the last call that may be acted on, oldest first."""
        self._connection.look(self._inbox.messages)
        self._resumption.taken()
        return list(self._inbox.take_messages())

    def confirm(self) -> None:
        """Says that every message that was taken is stored, or needs nothing any more.

        The server may forget them then. This matters to a client with `confirms` only.
        """
        self._connection.confirm()

    @property
    def returned(self) -> dict[str, Message]:
        """The last messages of ours that have come back, by id. An outbox looks for its own."""
        return self._dispatcher.returned

    def returned_messages(self) -> list[Message]:
        """Returns the messages of ours that have come back since the last call (`error` says why).

        `id` is that of the message that was sent, `sender` who has returned it.
        """
        self._connection.look(self._inbox.errors)
        return list(self._inbox.take_errors())

    def presence_updates(self) -> list[Presence]:
        """Returns the contacts whose presence has changed since the last call, each once."""
        self._connection.look(self._inbox.presence)
        return list(self._inbox.take_presence())

    def new_subscriptions(self) -> list[Presence]:
        """Returns who has authorised us since the last call."""
        self._connection.look(self._inbox.subscriptions)
        return list(take(self._inbox.subscriptions))

    def subscription_requests(self) -> list[Presence]:
        """Returns who has asked to see us since the last call (`text` is what they wrote).

        Answer each with `accept` or `deny`.
        """
        self._connection.look(self._inbox.requests)
        return list(take(self._inbox.requests))

    # ── what has arrived, by callback ────────────────────────────────────────

    def on_message(self, handler: _Handler) -> _Handler:
        """Decorator: `wait` calls this with each message, which `received_messages` then lacks."""
        return self._inbox.on("message", handler)

    def on_error(self, handler: _Handler) -> _Handler:
        """Decorator: `wait` calls this with each message of ours that has come back.

        Its `error` is the condition, such as `item-not-found` or `remote-server-not-found`.
        """
        return self._inbox.on("error", handler)

    def on_presence(self, handler: _Handler) -> _Handler:
        """Decorator: `wait` calls this with each presence update."""
        return self._inbox.on("presence", handler)

    def on_new_subscription(self, handler: _Handler) -> _Handler:
        """Decorator: `wait` calls this with the presence of each contact that authorises us."""
        return self._inbox.on("new-subscription", handler)

    def on_subscription_request(self, handler: _Handler) -> _Handler:
        """Decorator: `wait` calls this with each request to see us."""
        return self._inbox.on("subscription-request", handler)

    def on_query(self, namespace: str, handler: Callable[[Element], Element | None]) -> None:
        """Registers a function that answers every query (IQ get or set) of a namespace.

        It returns the content of the result (or None), or a whole answer such as
        `stanzas.error(query, "forbidden", "auth")`. It is called while polling, too.
        """
        self._dispatcher.queries[namespace] = handler

    def on_node(self, handler: Callable[[Element], Element | None]) -> None:
        """Registers a function that answers disco (XEP-0030) at nodes of ours.

        It gets the query and returns the content of the result, None for a node that it does not
        know.
        """
        self._dispatcher.nodes.append(handler)

    def is_room(self, who: Jid) -> bool:
        """Returns whether an address belongs to a chat room, so that it stands for many users."""
        return who.bare in self._dispatcher.rooms or who.bare in self._dispatcher.joined

    # ── inside ───────────────────────────────────────────────────────────────

    def _greet(self, session: Session) -> None:
        """Fetches the contact list and sends our presence, at the beginning of each session."""
        query = Element(f"{{{ROSTER}}}query")
        if session.features.find("{urn:xmpp:features:rosterver}ver") is not None:  # RFC 6121 §2.6
            query.set("ver", self.roster.version or "")
        else:
            self.roster.version = None
        try:
            self.roster.load(self.request(stanzas.iq("get", query)).find(query.tag))
        except Refused as error:  # RFC 6121 §2.1.4: a server without rosters
            self._host.log("jabber-no-roster", "warning", trouble=str(error))
        self._dispatcher.log_left_out()
        self.send(self._status)
        for room in self._dispatcher.joined.values():
            room.enter()

    def _lost(self) -> None:
        """Marks every contact as unavailable: without a session, nobody's presence is known."""
        for room in self._dispatcher.joined.values():
            room.lost()
        for bare in self.roster.forget_presence():
            self._inbox.presence[bare] = Presence(bare, "unavailable")

    def _await_authorisation(self, address: Jid, wait: float) -> None:
        bare = address.bare
        refusals: dict[Jid, CommsError | None] = self._dispatcher.refusals
        refusals[bare] = None
        try:
            if bare not in self.roster:
                self.request(stanzas.iq("set", roster_set(bare)))
            self.request_subscription(bare)

            def done() -> bool:
                return self.subscribed_to(bare) or refusals[bare] is not None

            self._connection.attend(done, self._clock.time() + wait, for_answer=True)
            refusal = refusals[bare]
        finally:
            del refusals[bare]
        if not self.subscribed_to(bare):
            raise refusal or TryLater(
                f"{bare} has not authorised us {self._late(wait)}; nothing was sent"
            )

    def _late(self, wait: float) -> str:
        stopped = "before the program was asked to stop"
        return stopped if self._clock.stopping() else f"within {wait:g} s"

    def _answer_request(self, who: str | Jid, kind: str) -> None:
        address = Jid.of(who).bare
        self._inbox.requests.pop(address, None)
        self.send(stanzas.presence(address, kind))
