"""How a server is set up: open choices of the standards, limits, and which features are on."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from fakes.wire import Runtime

# Features that can be switched off by name, besides TLS, the mechanisms and the extensions.
FEATURES = frozenset({"session", "rosterver", "pre-approval", "offline"})


@dataclass(frozen=True)
class ContactAddresses:
    """Where to reach those who run the server, as URIs (XEP-0157)."""

    abuse: tuple[str, ...] = ()
    admin: tuple[str, ...] = ()
    feedback: tuple[str, ...] = ()
    sales: tuple[str, ...] = ()
    security: tuple[str, ...] = ()
    status: tuple[str, ...] = ()
    support: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExternalService:
    """A service outside of XMPP (XEP-0215).

    Its login is `username` and `password`, or is made for each user from the `secret` that the
    service shares with the server, and holds for `lifetime` seconds. If it is `restricted`, clients
    have to ask for the login.
    """

    host: str
    type: str
    port: int = 0  # 0: not said
    transport: str = ""
    name: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)
    lifetime: float = 86400.0
    restricted: bool = False


@dataclass(frozen=True)
class Policy:
    """How this server behaves where the standards leave a choice, and its limits.

    In each `Literal`, the default is the word that comes first. `off` names the features that the
    server does not have.
    """

    # STARTTLS: not offered, offered, or required before anything else.
    tls: Literal["off", "optional", "required"] = "off"
    # The resource is in use: end the old session, refuse the new one, or rename the new one.
    conflict: Literal["replace", "refuse", "rename"] = "replace"
    # A client sends a `from` that is not its own: correct it, or end the stream with invalid-from.
    wrong_from: Literal["override", "error"] = "override"
    # A message for an unknown user. With "silent" nobody can find out who has an account.
    unknown_recipient: Literal["error", "silent"] = "error"
    # A subscription request for an unknown user.
    subscribe_unknown: Literal["silent", "error"] = "silent"
    # A roster get without an id: reject it but still send roster pushes, or reject it only.
    iq_without_id: Literal["push", "refuse"] = "push"
    # A normal message for an account with several resources: to the most available, or to all.
    several_resources: Literal["most", "all"] = "most"
    # A headline for an unknown user.
    unknown_recipient_headline: Literal["silent", "error"] = "silent"
    # A normal or groupchat message for a resource that is not connected. With "other", a normal one
    # goes where it would go without the resource.
    missing_resource: Literal["error", "silent", "other"] = "error"
    # A headline for a resource that is not connected.
    missing_resource_headline: Literal["silent", "error"] = "silent"
    # Roster pushes: to the resources that have asked for the roster, or to all.
    roster_pushes: Literal["interested", "all"] = "interested"
    # Acknowledge a subscription request with unavailable presence, before it is answered.
    acknowledge_requests: bool = False
    # Say of presence that is shown later when it was sent (XEP-0203).
    delay_presence: bool = False
    # Refuse an iq to a resource whose presence the sender may not see.
    strict_iq: bool = False
    # Offer SCRAM-*-PLUS inside TLS 1.3, too. Most clients bind by tls-unique only, which TLS 1.3
    # does not have: they use plain SCRAM and say that they could have bound, which counts as an
    # attack wherever PLUS is on offer (RFC 5802 §6).
    plus_on_tls13: bool = False
    # Offer SASL2 without TLS, too, which XEP-0388 §3 forbids.
    sasl2_in_clear: bool = False
    # Offer the mechanism ANONYMOUS.
    anonymous: bool = False
    # Give each message for an account an id of the account's own (XEP-0359).
    stanza_ids: bool = False
    # Other servers: where each domain's server listens, as HOST:PORT.
    peers: dict[str, str] = field(default_factory=dict)
    # A file with certificates of authorities, by which other servers are verified.
    peer_ca: str = ""
    # Domains for which the world has further servers, each a server to itself.
    neighbours: tuple[str, ...] = ()
    # Domains of other servers with which nothing is exchanged.
    denied: tuple[str, ...] = ()
    stanza: int = 1 << 18  # bytes of one stanza
    resources: int = 100  # sessions per account
    offline: int = 100  # stored messages per account
    archive: int = 10_000  # messages of each archive; beyond that the oldest tenth is dropped
    archive_bytes: int = 1 << 26  # the same, by the size of their content
    archive_page: int = 100  # messages of one answer of an archive
    attempts: int = 4  # failed logins per stream
    upload: int = 10 << 20  # bytes of one uploaded file
    upload_quota: int = 100 << 20  # bytes that an account uploads within a day
    upload_kept: int = 256 << 20  # bytes of all files; then the oldest are dropped
    # Where clients reach the web server, if not where it listens: https://files.example.test
    web_url: str = ""
    # An upload must repeat the Authorization that came with its slot.
    upload_authorization: bool = False
    # Who may create nodes at the service for publish-subscribe: everybody, or `admins` only.
    node_creators: Literal["everybody", "admins"] = "everybody"
    # The domains of components, and the secret of each (XEP-0114).
    components: dict[str, str] = field(default_factory=dict, repr=False, hash=False)
    # Bare addresses of those who may run the commands of service administration (XEP-0133).
    admins: tuple[str, ...] = ()
    # Where to reach those who run the server, by what for.
    contact_addresses: ContactAddresses = ContactAddresses()
    # Services outside of XMPP that clients learn about.
    external_services: tuple[ExternalService, ...] = ()
    # Optional extensions that the server has.
    on: tuple[str, ...] = ()
    off: frozenset[str] = frozenset()

    def of_neighbour(self) -> Policy:
        """The same for a neighbour, without what is about this server's own peers."""
        return replace(self, peers={}, neighbours=(), denied=())


class Environment:
    """What every part of the server needs: the runtime, the policy, and which features are on."""

    def __init__(self, runtime: Runtime, policy: Policy) -> None:
        self.runtime = runtime
        self.policy = policy
        self.optional: set[str] = set()  # names that the policy must switch on

    def offers(self, name: str) -> bool:
        """Whether a feature, mechanism or extension is on: not switched off by policy or fault."""
        return self.allows(name) and not self.lacks(name)

    def allows(self, name: str) -> bool:
        """Whether the policy has it on. That never changes."""
        policy = self.policy
        return name not in policy.off and (name not in self.optional or name in policy.on)

    def lacks(self, name: str) -> bool:
        """Whether a fault has switched it off. A fault may be armed at any time."""
        faults = self.runtime.faults
        return bool(faults.armed) and faults.lacks("xmpp", name)
