"""Extensions: how they plug into the service, whose set of them is in extension_set.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from xml.etree.ElementTree import Element

from fakes.wire import Rule, TlsFacts, Unit
from fakes.xmpp.addresses import Jid
from fakes.xmpp.requests import Answers
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError

if TYPE_CHECKING:
    from fakes import sasl
    from fakes.http import Request as HttpRequest
    from fakes.http import Response
    from fakes.xmpp.extensions.commands import Command
    from fakes.xmpp.pubsub.nodes import Item
    from fakes.xmpp.room import Occupant, Room
    from fakes.xmpp.sasl import Profile
    from fakes.xmpp.service import Service
    from fakes.xmpp.stream import Xmpp


@dataclass(frozen=True)
class Verb:
    """A row of the legality table of streams that an extension adds.

    `tag` is the name of an element of the first level, or with `in_iq` of the payload of an IQ get
    or set.
    """

    tag: str
    rule: Rule
    in_iq: bool = False


@dataclass(frozen=True)
class Information:
    """What disco#info says about an address (XEP-0030 §3): its identity and its features."""

    category: str
    type: str
    name: str = ""
    features: tuple[str, ...] = ()
    forms: tuple[Element, ...] = ()  # of more about it (XEP-0128)


class Extension:
    """The base class of extensions. A subclass has a `name` and overrides the hooks that it needs.

    An extension may also be a service at a subdomain, as chat rooms are. If `subdomain` is set, the
    extension serves `SUBDOMAIN.DOMAIN` for each domain of the server, except one that the server
    itself serves:

    - disco#items of the domain lists it, and disco#info at the subdomain returns `information`.
    - An IQ get or set for the subdomain, or for any address `local@SUBDOMAIN.DOMAIN/resource`, goes
      to the answer that the extension registers in the scope `service`.
    - All other stanzas for these addresses go to `receive`, and so do the IQs without an answer.
    - The extension sends stanzas with `self.service.router.route`.

    For example, a service that returns every message to its sender:

        class Echo(Extension):
            name = "echo"
            subdomain = "echo"

            def receive(self, stanza: Stanza, to: Jid) -> bool:
                if stanza.kind != "message" or stanza.type == "error":
                    return False
                self.service.router.route(stanza.replace(to=stanza.sender, sender=to.text))
                return True

    A test adds it to those of a server, and serves that server at a port of its world:

        jabber = Jabber(world.runtime, world.people, extensions=(*EXTENSIONS, Echo))
        address = world.serve("with echo", lambda: Xmpp(world.runtime, jabber.service))

    To clients, an extension that is switched off by its name does not exist, and neither does its
    subdomain.
    """

    name: ClassVar[str] = ""
    section: ClassVar[str] = ""  # the document that specifies it
    subdomain: ClassVar[str] = ""
    optional: ClassVar[bool] = False  # off, unless the policy names it in `on`
    verbs: ClassVar[Mapping[str, Verb]] = {}  # what `handle` handles; all names must differ
    profile: ClassVar[Profile | None] = None  # a version of SASL that it adds to streams
    # The payloads of results that transcripts must not show whole: to the local name of the element
    # that is secret. Those named `password` are anyway.
    secrets: ClassVar[Mapping[str, str]] = {}
    hooks: tuple[str, ...] = ()  # those of `HOOKS` that it overrides
    # How the paths begin that it serves on the web server. With any, it exists only where there is
    # a web server, whose address is `service.web_url(name)`.
    paths: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        base = Extension
        cls.hooks = tuple(one for one in HOOKS if getattr(cls, one) is not getattr(base, one))

    def __init__(self, service: Service) -> None:
        self.service = service
        self.stored: dict[str, Any] = {}  # what outlives sessions, by the address of the account

    # ── what it answers and announces ────────────────────────────────────────

    def answers(self) -> Answers:
        """Maps (scope, `{namespace}name` of the payload) to what answers such an IQ get or set.

        The scope is `domain`, `account` or `service`. An extension without a subdomain answers in
        the scope `service` at every subdomain; one with a subdomain at its own.
        """
        return {}

    def domain_features(self) -> Iterable[str]:
        """The features that disco#info of the domain lists."""
        return ()

    def account_features(self) -> Iterable[str]:
        """The features that disco#info of an account lists."""
        return ()

    def account_identities(self) -> Iterable[tuple[str, str]]:
        """The categories and types that an account has besides `account`."""
        return ()

    def account_node(self, account: Account, node: str, asker: Jid) -> Information | None:
        """What disco#info of an account returns at a node; None if the node is not known here."""
        return None

    def account_items(
        self, account: Account, node: str | None, asker: Jid
    ) -> Iterable[dict[str, str | None]] | None:
        """What disco#items of an account lists for an asker, who may be a stranger.

        None if the node is not known here, or there is nothing that the asker may see.
        """
        return None

    def domain_forms(self) -> Iterable[Element]:
        """The forms in disco#info of the domain (XEP-0128)."""
        return ()

    def info_node(self) -> str:
        """Another node at which disco#info of the domain answers the same; "" if there is none."""
        return ""

    def node_information(self, node: str) -> Information | None:
        """What disco#info of the domain returns at a node; None if the node is not known here."""
        return None

    def node_items(self, node: str, asker: Jid, to: Jid) -> Iterable[dict[str, str | None]] | None:
        """What disco#items of the domain lists at a node; None if the node is not known here.

        `asker` is who asks, and `to` is the domain.
        """
        return None

    def commands(self) -> Mapping[str, Command]:
        """The ad-hoc commands of the domain that it has, by their nodes (XEP-0050)."""
        return {}

    def service_information(self, node: str, asker: Jid, to: Jid) -> Information | None:
        """What disco#info of its service returns at a node; None for nothing. Raises StanzaError.

        `asker` is who asks, and `to` is the address of the service that is asked.
        """
        raise StanzaError("item-not-found", f"there is no node {node}")

    def service_items(
        self, node: str | None, asker: Jid, to: Jid
    ) -> Iterable[dict[str, str | None]] | None:
        """What disco#items of its service lists for an asker; None if the node does not exist.

        By default that is the same for all, and there are no nodes.
        """
        return self.items(to) if node is None else None

    def login_features(self, tls: TlsFacts | None) -> Iterable[Element]:
        """The elements that a stream offers before login; `tls` is None for one in clear."""
        return ()

    def stream_features(self) -> Iterable[Element]:
        """The elements that a stream offers after login."""
        return ()

    # ── what it adds to a login that does several things at once (XEP-0388) ──

    def inline_features(self, tls: TlsFacts | None) -> Iterable[Element]:
        """What a client may ask for in its request for a login (XEP-0388 §2.1)."""
        return ()

    def login_mechanism(self, stream: Xmpp, request: Element) -> sasl.Mechanism | None:
        """The mechanism that a request for a login is about; None if it is not one of its own.

        Raises Refuse.
        """
        return None

    def logged_in(self, stream: Xmpp, request: Element) -> Iterable[Element]:
        """Called when a login has succeeded, with its request; returns what the success says.

        Raises Refuse.
        """
        return ()

    def success_sent(self, stream: Xmpp) -> None:
        """Called after the success was sent."""

    def bind_features(self) -> Iterable[str]:
        """What a client may switch on while it binds a resource: features (XEP-0386 §3.1)."""
        return ()

    def bound(self, stream: Xmpp, request: Element) -> Iterable[Element]:
        """Called when a resource is bound in a login; returns what `<bound/>` says."""
        return ()

    # ── what it does on a stream ─────────────────────────────────────────────

    def handle(self, stream: Xmpp, unit: Unit) -> None:
        """Handles a unit of a verb in `verbs`. Raises Refuse and StanzaError."""
        raise NotImplementedError(self.name)

    def admits(self, account: Account) -> bool:
        """Called for every login that has proved its account; False refuses it."""
        return True

    def keeps_session(self, resource: Resource) -> bool:
        """Called when a connection is lost. True keeps its session, which must get an outlet."""
        return False

    def session_ends(self, resource: Resource) -> None:
        """Called after a session has ended, for whatever reason."""

    # ── what it controls ─────────────────────────────────────────────────────

    def check_outgoing(self, resource: Resource, stanza: Stanza, to: Jid | None) -> None:
        """Called for every stanza that a client sends. Raises StanzaError to refuse it."""

    def accepts_incoming(self, account: Account, stanza: Stanza) -> bool:
        """Called for every stanza for an account; False drops it silently. Raises StanzaError."""
        return True

    def withholds_presence(self, account: Account, contact: Jid) -> bool:
        """Whether the account's presence must not reach the contact."""
        return False

    def stamp_message(self, account: Account, stanza: Stanza) -> Stanza:
        """Called for every message for an account; returns it, changed or not."""
        return stanza

    def message_sent(self, resource: Resource, stanza: Stanza) -> None:
        """Called with every message that a client has sent, and that was not refused here."""

    def message_delivered(
        self, account: Account, stanza: Stanza, resources: Sequence[Resource]
    ) -> None:
        """Called with every message that was delivered to resources of an account."""

    def message_refused(self, account: Account, stanza: Stanza) -> None:
        """Called with a message that was stamped for an account, and is then refused."""

    def room_features(self) -> Iterable[str]:
        """The features that disco#info of a room, and of the service for rooms, lists."""
        return ()

    def features_of_rooms(self) -> Iterable[str]:
        """The features that disco#info of a room lists, but not that of the service for rooms."""
        return ()

    def said_in_room(self, room: Room, occupant: Occupant, message: Stanza, id: str) -> None:
        """Called with every message for all in a room, as the room sends it. Raises StanzaError.

        `id` is the one that the room has given it (XEP-0359).
        """

    def presence_sent(
        self, resource: Resource, stanza: Stanza, to: Jid | None, first: bool
    ) -> None:
        """Called with every presence that a client has sent, after it was handled.

        `first` is whether it has made the resource available.
        """

    def presence_received(self, account: Account, stanza: Stanza) -> None:
        """Called with every presence for an account, after it was handled."""

    def roster_changed(self, account: Account, contact: str) -> None:
        """Called with every change of an item of a roster, or of its removal, after it."""

    def result_received(self, account: Account, stanza: Stanza) -> None:
        """Called with every IQ result or error for the bare address of an account.

        It answers what an extension has asked in the name of the account, or a roster push.
        """

    def stamp_presence(self, resource: Resource, stanza: Stanza) -> Stanza:
        """Called for every available presence of a client; returns it, changed or not."""
        return stanza

    def element_stored(self, account: Account, stored: Element) -> None:
        """Called with every element that a client stores in private XML (XEP-0049)."""

    def card_stored(self, account: Account, card: Element) -> None:
        """Called with every vCard that a client stores (XEP-0054)."""

    def card_shown(self, account: Account, card: Element | None, asker: Jid) -> Element | None:
        """Called for every vCard that is shown, None if there is none; returns what is shown.

        The card must not be changed.
        """
        return card

    def item_published(self, account: Account, node: str, item: Item) -> None:
        """Called with every item that is published at a node of an account (XEP-0163)."""

    def items_removed(self, account: Account, node: str, items: Sequence[Item]) -> None:
        """Called with the items that are removed from a node of an account, for any reason."""

    def sends_away(self, stanza: Stanza, to: Jid) -> bool:
        """Called for every stanza for a domain that is not served here; True if it was taken.

        Raises StanzaError.
        """
        return False

    def forget(self, account: Account) -> None:
        """Called when an account is deleted, to delete what is stored for it."""
        self.stored.pop(account.address, None)

    def serve(self, request: HttpRequest) -> Response | None:
        """Answers a request to the web server for one of `paths`; None leaves it to others."""
        raise NotImplementedError(self.name)

    # ── what it serves at its subdomain ──────────────────────────────────────

    def domains(self) -> Iterable[str]:
        """Other domains that it serves now in the same way, wherever they are."""
        return ()

    def information(self, to: Jid) -> Information | None:
        """What disco#info returns for an address of the subdomain; None if it does not exist."""
        return None if to.local else Information("component", "generic", self.name)

    def items(self, to: Jid) -> Iterable[dict[str, str | None]]:
        """What disco#items lists for an address of the subdomain, as attributes of each item."""
        return ()

    def forwards_requests(self, to: Jid) -> bool:
        """Whether even an IQ that could be answered here goes to `receive`."""
        return False

    def receive(self, stanza: Stanza, to: Jid) -> bool:
        """Handles a stanza for an address of the subdomain; returns False if it is not accepted.

        A message, or an IQ get or set, that is not accepted is answered with service-unavailable.
        Anything else that is not accepted is dropped. Raises StanzaError to answer with another
        error.
        """
        return False


# The hooks that stanzas and sessions pass. Only the extensions that override one are called.
HOOKS = (
    "admits",
    "keeps_session",
    "session_ends",
    "check_outgoing",
    "accepts_incoming",
    "withholds_presence",
    "stamp_message",
    "message_sent",
    "message_delivered",
    "message_refused",
    "domains",
    "said_in_room",
    "presence_sent",
    "presence_received",
    "roster_changed",
    "result_received",
    "stamp_presence",
    "element_stored",
    "card_stored",
    "card_shown",
    "item_published",
    "items_removed",
    "sends_away",
)
