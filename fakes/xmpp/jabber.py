"""The test's side of a world's Jabber: its state as values, waits, and actors.

world.jabber.wait_for(lambda stanza: stanza.body == "hello")  # exactly one such stanza
world.jabber.roster("alice@example.test")["bob@example.test"].subscription
ops = world.jabber.actor("ops@example.test")
world.clock.at(60, lambda: ops.says("bot@example.test", "restart"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast
from xml.etree.ElementTree import Element

from fakes.arrivals import Arrivals, keywords
from fakes.bridge import Bridge
from fakes.people import People
from fakes.suggest import nearest
from fakes.wire import Runtime, Want
from fakes.xmpp.addresses import jid, prepare_domain
from fakes.xmpp.archiving.finding import archive_of
from fakes.xmpp.extension import Extension
from fakes.xmpp.extensions import EXTENSIONS
from fakes.xmpp.markup import CLIENT, check_text, element, local_name, namespace
from fakes.xmpp.policy import Policy
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError, build_stanza, parse_stanza
from fakes.xmpp.subscriptions import PENDING_IN

if TYPE_CHECKING:
    from fakes.xmpp.extensions.server_to_server import ServerToServer
    from fakes.xmpp.extensions.upload import SharedFile
    from fakes.xmpp.muc.hall import Hall
    from fakes.xmpp.pubsub.hosting import Hosting
    from fakes.xmpp.pubsub.nodes import Item

ROOMS = "http://jabber.org/protocol/muc"
TELL = Callable[[str, str], None]


@dataclass(frozen=True)
class Contact:
    """An item of a roster.

    `ask`: the account has asked the contact and waits for an answer. `asking`: the contact has
    asked, and the account has not answered yet.
    """

    jid: str
    name: str = ""
    groups: tuple[str, ...] = ()
    subscription: str = "none"
    ask: bool = False
    asking: bool = False
    approved: bool = False


@dataclass(frozen=True)
class Availability:
    """What an available resource shows: `show` is "", away, chat, dnd or xa."""

    show: str = ""
    status: str = ""
    priority: int = 0


@dataclass(frozen=True)
class RoomUser:
    """Who is in a chat room under one nick: `role` is such as moderator, `affiliation` as owner."""

    address: str
    role: str
    affiliation: str


@dataclass(frozen=True)
class ChatRoom:
    """A chat room. `users` are by nick, in order of arrival.

    `affiliations` are by bare address, also of those who are not there. `messages` are those that
    the room shows to who enters, and `locked` says that its owner has not configured it yet.
    """

    address: str
    name: str
    subject: str
    users: dict[str, RoomUser]
    affiliations: dict[str, str]
    messages: tuple[Stanza, ...]
    locked: bool


def _addresses(address: str | None) -> list[str]:
    """An address, and the same one without its resource."""
    return [address, address.partition("/")[0]] if address else []


# The keywords of `wait_for` and the other waits.
CRITERIA = keywords(
    {
        "to": lambda stanza: _addresses(stanza.to),
        "sender": lambda stanza: _addresses(stanza.sender),
    },
    lambda stanza: stanza.body,
)


class Jabber(Arrivals[Stanza]):
    """All Jabber of a world. Its state belongs to the world's loop; the methods here marshal calls.

    `all`, `wait_for` and the other waits are about the stanzas that clients and actors send, in
    order, as the server stamps them. Without a predicate only messages count: `assert_none()`
    means that there is no message. The keywords `to` and `sender` are an address, with or without
    the resource, or a glob, and `text` is a part of the body.

    `tell(who, text)` is called with what the actors do. `extensions` are those of the server; a
    test may add its own. `web(name)` returns the address of the web server, under that name if it
    needs one; without it, there are no extensions that are served there. `on_drop(text)` is called
    when something is dropped because too much is kept.

    Raises ValueError for a domain that is not one, and for contacts that contradict each other.
    """

    def __init__(
        self,
        runtime: Runtime,
        people: People,
        *,
        policy: Policy | None = None,
        domains: Iterable[str] = (),
        possible_domains: Iterable[str] = (),
        bridge: Bridge | None = None,
        tell: TELL = lambda who, text: None,
        extensions: Iterable[type[Extension]] = EXTENSIONS,
        web: Callable[[str], str] | None = None,
        on_drop: Callable[[str], None] = lambda text: None,
    ) -> None:
        served = list(domains)
        if not served:
            of_people = (person.address.rpartition("@")[2] for person in people)
            served = _jabber_domains([*possible_domains, *of_people])
        self.service = Service(runtime, people, served, policy, extensions, web, on_drop)
        super().__init__(
            bridge or Bridge(),
            "stanza",
            counts=_is_message,
            counted_noun="message",
            criteria=CRITERIA,
        )
        self.service.dispatcher.on_client_stanza = self.add_arrival
        self._report = tell
        self._actors: dict[str, Actor] = {}  # by full address

    # ── what there is ────────────────────────────────────────────────────────

    @property
    def messages(self) -> Sequence[Stanza]:
        """The messages that were sent so far, in order."""
        return self.all_that_count

    @property
    def accounts(self) -> list[str]:
        """The bare addresses of all accounts."""
        return self._bridge.call(
            lambda: [account.address for account in self.service.accounts.all()]
        )

    def roster(self, address: str) -> dict[str, Contact]:
        """The roster of an account, by bare address.

        It includes contacts whose request is not answered yet, which clients do not see. Raises
        LookupError if there is no such account.
        """

        def read() -> dict[str, Contact]:
            return {
                item.jid: Contact(
                    jid=item.jid,
                    name=item.name,
                    groups=item.groups,
                    subscription=item.subscription,
                    ask=item.ask,
                    asking=item.state in PENDING_IN,
                    approved=item.approved,
                )
                for item in self._account(address).roster.items.values()
            }

        return self._bridge.call(read)

    def sessions(self, address: str) -> list[str]:
        """The full addresses with which an account is connected. Raises LookupError."""
        return self._bridge.call(
            lambda: [resource.jid.text for resource in self._account(address).resources.values()]
        )

    def presence(self, address: str) -> dict[str, Availability]:
        """What each available resource of an account shows, by its name. Raises LookupError."""

        def read() -> dict[str, Availability]:
            return {
                resource.jid.resource: Availability(
                    resource.presence.child_text("show"),
                    resource.presence.child_text("status"),
                    resource.priority,
                )
                for resource in self._account(address).available()
                if resource.presence is not None
            }

        return self._bridge.call(read)

    def offline(self, address: str) -> list[Stanza]:
        """The messages stored for an account, oldest first. Raises LookupError."""
        return self._bridge.call(lambda: list(self._account(address).offline))

    def archive(self, address: str) -> list[Stanza]:
        """The messages in the archive of an account or a room, oldest first (XEP-0313).

        What was retracted is a tombstone. Raises LookupError if there is no such address, or the
        server has no archives.
        """

        def read() -> list[Stanza]:
            archive, at = archive_of(self.service), jid(address)
            if archive is None:
                raise LookupError("the server has no archives; remove archive from its off")
            room = archive.room_at(at)
            if room is not None:
                return archive.of_room(room).stanzas()
            return archive.messages(self._account(address)).stanzas()

        return self._bridge.call(read)

    @property
    def rooms(self) -> list[str]:
        """The addresses of all chat rooms, in the order in which they were opened (XEP-0045)."""
        return self._bridge.call(lambda: list(self._hall.all_rooms()))

    def room(self, address: str) -> ChatRoom:
        """A chat room as it is now. Raises LookupError if there is none with this address."""

        def read() -> ChatRoom:
            rooms = self._hall.all_rooms()
            room = rooms.get(jid(address).bare)
            if room is None:
                known = ", ".join(rooms) or "none"
                raise LookupError(
                    f"no room {address}{nearest(address, rooms)}; the rooms are: {known}"
                )
            users = {
                nick: RoomUser(one.bare, one.role, room.affiliation(one.bare))
                for nick, one in room.occupants.items()
            }
            kept, subject = room.kept, room.kept.subject
            return ChatRoom(
                room.address,
                room.config.name,
                subject[1].subject if subject is not None else "",
                users,
                dict(kept.affiliations),
                tuple(message for _, message in kept.history),
                room.locked,
            )

        return self._bridge.call(read)

    @property
    def _hall(self) -> Hall:
        return cast("Hall", self.service.extensions.named("rooms"))

    def nodes(self, address: str) -> dict[str, list[Item]]:
        """What is published at an account or at `pubsub.DOMAIN`: items, by the name of the node.

        The oldest item comes first (XEP-0060, XEP-0163). Raises LookupError for another address.
        """

        def read() -> dict[str, list[Item]]:
            where = jid(address)
            at = self.service.extensions.service_at(where.domain)
            if at is None or at.name != "pubsub" or where.local:
                self._account(address)
                at = self.service.extensions.named("pep")
            hosting = cast("Hosting", at)
            store = hosting.store(where.bare)
            for node in store.nodes.values():
                hosting.expire(store, node)
            return {node.name: list(node.items.values()) for node in store.nodes.values()}

        return self._bridge.call(read)

    @property
    def uploads(self) -> list[SharedFile]:
        """The files that were uploaded and are kept, oldest first (XEP-0363)."""

        def read() -> list[SharedFile]:
            stored = self.service.extensions.stored().get("upload", {})
            return list(stored.values())

        return self._bridge.call(read)

    # ── what a test does ─────────────────────────────────────────────────────

    def actor(self, address: str, resource: str = "play") -> Actor:
        """An actor: a user who acts without a client. Always the same for the same address.

        Raises LookupError if there is no such account.
        """
        self._bridge.call(lambda: self._account(address))
        bare = jid(address).bare
        key = f"{bare}/{resource}"
        return self._actors.setdefault(key, Actor(self, bare, resource))

    def befriend(self, user: str, contact: str, subscription: str = "both") -> None:
        """Puts two accounts into each other's rosters, without asking or telling them.

        `subscription` is none, to, from or both, as the user sees it. Raises ValueError.
        """
        self._bridge.call(lambda: self.service.accounts.befriend(user, contact, subscription))

    def inject(self, stanza: Stanza | str) -> None:
        """Sends a stanza from any address, which may be at another domain.

        Raises ValueError if it is not exactly one stanza, has no sender or no recipient, or has a
        character that XML cannot hold. Nothing else is checked.
        """
        injected = _stanza(stanza)
        if not injected.sender or not injected.to:
            raise ValueError(f"{injected}: no sender or no recipient; give it both a from and a to")
        sender, _ = jid(injected.sender), jid(injected.to)

        def route() -> None:
            if not self.service.is_here(sender):
                # What is sent back to that domain is accepted, and discarded.
                self.service.dispatcher.other_domains.add(sender.domain)
            self.add_arrival(injected)
            self.service.router.route(injected)

        self._bridge.call(route)

    def end(self, address: str = "", condition: str = "conflict", text: str = "") -> int:
        """Ends sessions with a stream error; returns how many.

        The address is bare or full; "" means all sessions. Raises LookupError, and ValueError for a
        character that XML cannot hold.
        """
        check_text(condition)
        check_text(text)

        def end() -> int:
            sessions = self._sessions(address)
            for resource in sessions:
                self.service.unbind(resource)
                resource.outlet.end(condition, text)
            return len(sessions)

        return self._bridge.call(end)

    def cut(self, address: str = "", want: Want = Want.CLOSE) -> int:
        """Cuts the connections of sessions, by FIN or RST; returns how many.

        The address is bare or full; "" means all sessions. Raises LookupError.
        """

        def cut() -> int:
            sessions = self._sessions(address)
            for resource in sessions:
                resource.outlet.cut(want)
            return len(sessions)

        return self._bridge.call(cut)

    @property
    def links(self) -> ServerToServer:
        """Where other servers are, and which of them are denied."""
        return cast("ServerToServer", self.service.extensions.named("server-to-server"))

    def close(self) -> None:
        """Makes sessions end silently from now on.

        Called on the loop's thread when the world ends.
        """
        self.service.close()

    def conflict(self, address: str) -> int:
        """Ends sessions as if another one took the resource (RFC 6120 §4.9.3.3)."""
        return self.end(address, "conflict")

    def shutdown(self) -> int:
        """Ends all sessions as if the server went down (RFC 6120 §4.9.3.20)."""
        return self.end("", "system-shutdown")

    def remove(self, address: str) -> None:
        """Deletes an account; from then on it is `gone` (RFC 6120 §8.3.3.5). Raises LookupError."""
        self._bridge.call(lambda: self.service.remove(self._account(address)))

    def _account(self, address: str) -> Account:
        account = self.service.accounts.find(jid(address))
        if account is None:
            known = ", ".join(account.address for account in self.service.accounts.all())
            raise LookupError(f"no account with the address {address}; the accounts are: {known}")
        return account

    def _sessions(self, address: str) -> list[Resource]:
        accounts = [self._account(address)] if address else self.service.accounts.all()
        name = jid(address).resource if address else ""
        return [
            resource
            for account in accounts
            for resource in account.resources.values()
            if name in ("", resource.jid.resource)
        ]


class Actor(Arrivals[Stanza]):
    """A user who acts in a test, with a session but without a connection.

    An actor comes online with its first action. `all`, `wait_for`, `arrival` and `assert_none` are
    about the stanzas that its session receives.

    Each action raises ValueError for a character that XML cannot hold (XML 1.0 §2.2), before
    anything has happened.
    """

    def __init__(self, jabber: Jabber, address: str, resource: str) -> None:
        super().__init__(
            jabber._bridge,
            "stanza",
            counts=_is_message,
            counted_noun="message",
            criteria=CRITERIA,
        )
        self.jabber = jabber
        self.address = address
        self.resource = resource
        self._session: Resource | None = None

    @property
    def messages(self) -> Sequence[Stanza]:
        """The messages among the stanzas received."""
        return self.all_that_count

    def comes(self, show: str = "", status: str = "", priority: int = 0) -> None:
        """Comes online, or changes what it shows: `show` is "", away, chat, dnd or xa."""
        texts = {"show": show, "status": status, "priority": str(priority) if priority else ""}
        children = [
            element(f"{{{CLIENT}}}{name}", text=text) for name, text in texts.items() if text
        ]
        report = f"shows {show}" if show else "comes online"
        self._send(build_stanza("presence", children=children), report)

    def goes(self, status: str = "") -> None:
        """Goes offline. Does nothing if it is offline."""
        children = [element(f"{{{CLIENT}}}status", text=status)] if status else []
        presence = build_stanza("presence", type="unavailable", children=children)

        def go() -> None:
            if self._session is not None:
                service = self.jabber.service
                service.dispatcher.from_client(self._session, presence)
                service.unbind(self._session)
                self._session = None

        self.jabber._report(self.address, "goes offline")
        self.jabber._bridge.call(go)

    def says(self, to: str, text: str, type: str = "chat") -> None:
        """Sends a message to an address; to a room, its type is groupchat."""
        body = element(f"{{{CLIENT}}}body", text=text)
        message = build_stanza("message", to=to, type=type, children=[body])
        self._come_online()
        self._send(message, f"says to {to}: {text}")

    def joins(self, room: str, nick: str, password: str = "") -> None:
        """Enters a chat room under a nick (XEP-0045 §7.2). A new one is locked (§10.1.2)."""
        inside = [element(f"{{{ROOMS}}}password", text=password)] if password else []
        x = element(f"{{{ROOMS}}}x", {}, *inside)
        presence = build_stanza("presence", to=f"{room}/{nick}", children=[x])
        self._come_online()
        self._send(presence, f"enters {room} as {nick}")

    def asks(self, address: str) -> None:
        """Asks to see the presence of an address."""
        self._send_presence(address, "subscribe", f"asks to see {address}")

    def accepts(self, address: str) -> None:
        """Lets an address see the actor's presence: accepts its request, or approves the next."""
        self._send_presence(address, "subscribed", f"accepts {address}")

    def refuses(self, address: str) -> None:
        """Refuses the request of an address, or no longer lets it see the actor's presence."""
        self._send_presence(address, "unsubscribed", f"refuses {address}")

    def drops(self, address: str) -> None:
        """No longer wants to see the presence of an address."""
        self._send_presence(address, "unsubscribe", f"drops {address}")

    def sends(self, stanza: Stanza | str) -> None:
        """Sends any stanza. The server sets its sender, as it does for a client.

        The actor is connected by this, but not online. Raises ValueError if the text is not exactly
        one stanza.
        """
        parsed = _stanza(stanza)
        self._send(parsed, f"sends {_worded(parsed)}")

    # ── the outlet of its session ────────────────────────────────────────────

    def deliver(self, stanza: Stanza) -> None:
        """Keeps a stanza, and answers a request, as RFC 6120 §8.2.3 requires of every client."""
        self.add_arrival(stanza)
        if stanza.kind == "iq" and stanza.type in ("get", "set") and self._session is not None:
            # Requests of the server are roster pushes and the like.
            from_server = stanza.sender in (None, self.address)
            error = StanzaError("service-unavailable")
            answer = stanza.result() if from_server else stanza.error(error)
            self.jabber.service.dispatcher.from_client(self._session, answer)

    def end(self, condition: str, text: str = "") -> None:
        """Called when the server ends the session."""
        self._session = None

    def cut(self, want: Want) -> None:
        """Called when the connection is cut."""
        session, self._session = self._session, None
        if session is not None:
            self.jabber.service.disconnected(session)

    def _send_presence(self, to: str, type: str, report: str) -> None:
        presence = build_stanza("presence", to=to, type=type)
        self._come_online()
        self._send(presence, report)

    def _come_online(self) -> None:
        if self._session is None or self._session.presence is None:
            self.comes()

    def _send(self, stanza: Stanza, report: str) -> None:
        """Reports the action, and sends a stanza, from a new session if there is none."""

        def send() -> None:
            service = self.jabber.service
            if self._session is None:
                account = self.jabber._account(self.address)
                self._session = service.bind(account, self.resource, self)
            service.dispatcher.from_client(self._session, stanza)

        self.jabber._report(self.address, report)
        self.jabber._bridge.call(send)


def _jabber_domains(domains: Iterable[str]) -> list[str]:
    """The domains that can be part of a Jabber address; some mail domains cannot."""
    found = []
    for domain in domains:
        try:
            found.append(prepare_domain(domain))
        except ValueError:
            continue
    return found or ["localhost"]


def _stanza(given: Stanza | str) -> Stanza:
    """Returns what a test sends as a stanza. Raises ValueError for what is not one."""
    if isinstance(given, str):
        return parse_stanza(given)
    # It may have been built field by field, without `build_stanza`.
    for text in (given.type, given.to, given.sender, given.id, given.lang):
        check_text(text or "")
    check_text(given.content.decode("utf-8", "surrogatepass"))
    return given


def _worded(stanza: Stanza) -> str:
    """Returns a stanza as a person would read it: with a bare address, and without a password."""
    to = stanza.to and f"to {stanza.to.partition('/')[0]}"
    head = " ".join(filter(None, (stanza.kind, stanza.type, to)))
    return ": ".join(filter(None, (head, ", ".join(map(_worded_child, stanza.element)))))


def _worded_child(child: Element) -> str:
    space = namespace(child.tag)
    where = "" if space == CLIENT else f" ({space})"
    attributes = "".join(f" {local_name(name)}={value!r}" for name, value in child.items())
    texts = [
        "{password}" if local_name(inner.tag) == "password" else inner.text.strip()
        for inner in child.iter()
        if inner.text and inner.text.strip()
    ]
    words = f' "{" ".join(texts)}"' if texts else ""
    return f"<{local_name(child.tag)}>{words}{where}{attributes}"


def _is_message(stanza: Stanza) -> bool:
    return stanza.kind == "message"
