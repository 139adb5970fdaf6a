"""RFC 6120 §10.4, XEP-0220 (1.1.1), XEP-0178 (1.2): stanzas for other servers.

Names are not resolved: the policy, or a test, says where the server of each domain listens. There
is one link for each pair of domains, ours and another. Its stanzas wait until the other server
believes us, and come back as errors if it never does.
"""

from __future__ import annotations

import dataclasses
import re
from collections import deque
from collections.abc import Callable, Mapping
from xml.etree.ElementTree import Element

from fakes.faults import Faults
from fakes.wire import Destination
from fakes.xmpp import dialback
from fakes.xmpp.addresses import Jid, jid, prepare_domain
from fakes.xmpp.extension import Extension
from fakes.xmpp.service import Service
from fakes.xmpp.stanzas import Stanza, StanzaError

WAITING = 1000  # stanzas of one link that wait
LINKS = 1000  # pairs of domains
LABELS = 127  # of a domain (RFC 1035 §2.3.4)
REPLY_TIME = 30.0  # seconds that dialback may take

Verified = Callable[[str], None]  # called with valid, invalid, or the condition of an error


class ServerToServer(Extension):
    """The links of one server."""

    name = "server-to-server"
    section = "XEP-0220"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.addresses: dict[str, tuple[str, int]] = {}  # by domain
        # Servers of the same world, which make the records of the streams between us.
        self.neighbours: set[str] = set()
        self.denied = {prepare_domain(domain) for domain in service.policy.denied}
        self._links: dict[tuple[str, str], Link] = {}
        self._secret = ""
        policy = service.policy
        others = {"peers": policy.peers, "neighbours": policy.neighbours, "denied": policy.denied}
        for key, domains in others.items():
            for domain in map(prepare_domain, domains):
                if domain in service.domains:
                    raise ValueError(
                        f"{key}: {domain} is served by the server itself; leave it out, or write "
                        "domains without it"
                    )
        for domain, address in policy.peers.items():
            host, _, port = address.rpartition(":")
            if not host or not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
                raise ValueError(f"peers: {address!r} is not HOST:PORT; write 127.0.0.1:5269")
            self.addresses[prepare_domain(domain)] = (host, int(port))

    @property
    def secret(self) -> str:
        """From which the keys of dialback are made."""
        self._secret = self._secret or self.service.runtime.token(40)
        return self._secret

    def serves(self, domain: str) -> bool:
        """Whether a domain is one of ours, or a subdomain that is served here."""
        return self.service.is_here(Jid("", domain, ""))

    def denies(self, domain: str) -> bool:
        """Whether nothing is exchanged with a domain: it, or one above it, is denied."""
        return any(one in self.denied for one in _with_parents(domain))

    def address_of(self, domain: str) -> tuple[str, int] | None:
        """Where the server of a domain listens; a subdomain is where the domain above it is."""
        for one in _with_parents(domain):
            if one in self.addresses:
                return self.addresses[one]
        return None

    def meet(self, addresses: Mapping[str, tuple[str, int]], recorded: bool = False) -> None:
        """Says where the servers of other domains listen.

        The streams to a server of the same world are not recorded, because that server does it.
        """
        others = {name: where for name, where in addresses.items() if not self.serves(name)}
        self.addresses.update(others)
        if not recorded:
            self.neighbours.update(others)

    # ── what is sent ─────────────────────────────────────────────────────────

    def sends_away(self, stanza: Stanza, to: Jid) -> bool:
        sender = jid(stanza.sender or "")
        if self.denies(to.domain):
            raise StanzaError("not-allowed", f"nothing is exchanged with {to.domain}")
        link = self._link(sender.domain, to.domain)
        if link is None:
            return False
        link.send(stanza)
        return True

    def verify(self, own: str, other: str, id: str, key: str, done: Verified) -> None:
        """Asks the server of another domain whether a key that we were given is its own.

        XEP-0220 §2.1.2. A domain that we do not know is a stranger: its key is not even verified.
        """
        try:
            link = self._link(own, other)
        except StanzaError as error:
            done(error.condition)
            return
        if link is None:
            done("remote-server-not-found")
        else:
            link.verify(id, key, done)

    def _link(self, own: str, other: str) -> Link | None:
        """The link of a pair of domains; None if it is not known where the other is."""
        found = self._links.get((own, other))
        if found is None:
            address = self.address_of(other)
            if address is None:
                return None
            if len(self._links) >= LINKS:
                raise StanzaError("resource-constraint", f"{LINKS} links to other servers")
            found = self._links[own, other] = Link(self, own, other, address)
        return found

    def drop(self, link: Link) -> None:
        """Removes a link that is lost."""
        if self._links.get((link.own, link.other)) is link:
            del self._links[link.own, link.other]


class Link:
    """The way from one of our domains to another server's."""

    def __init__(
        self, links: ServerToServer, own: str, other: str, address: tuple[str, int]
    ) -> None:
        from fakes.xmpp.outgoing import Outgoing  # of no use to a world without links

        self._links, self.own, self.other = links, own, other
        self._waiting: deque[Stanza] = deque()
        # By the id of the stream on which a key was given: the key, and whom to tell.
        self._questions: dict[str, tuple[str, Verified]] = {}
        self._asked = False  # our key is sent
        self._believed = False  # stanzas may be sent
        self._failure = "remote-server-timeout"  # what waiting stanzas come back with
        service = links.service
        # Faults strike at what servers send to this one, and each stream has one record.
        near = not links.neighbours.isdisjoint(_with_parents(other))
        recorded = None if near else service.runtime.record
        runtime = dataclasses.replace(service.runtime, faults=Faults(), record=recorded)
        self.stream: Outgoing = Outgoing(runtime, service, self)
        connect = service.runtime.connect
        if connect is None:
            raise StanzaError("remote-server-timeout", "without sockets there are no servers")
        # An impostor, which a test plays, has no certificate of the domain that it speaks for.
        names = (own,) if links.serves(own) else service.domains
        if not connect(self.stream, Destination(address, other, names)):
            raise StanzaError("remote-server-timeout", f"{other} cannot be reached")

    def send(self, stanza: Stanza) -> None:
        """Sends a stanza, now or when the other server believes us. Raises StanzaError."""
        if self._believed:
            self.stream.send_stanza(stanza)
            return
        if len(self._waiting) >= WAITING:
            raise StanzaError("resource-constraint", f"{WAITING} stanzas wait for {self.other}")
        self._waiting.append(stanza)
        self._ask()

    def verify(self, id: str, key: str, done: Verified) -> None:
        """Asks whether a key is the other server's."""
        if id in self._questions:
            done("resource-constraint")
            return
        self._questions[id] = (key, done)
        if self.stream.state == "READY":
            self._question(id)

    # ── what its stream reports ──────────────────────────────────────────────

    def ready(self) -> None:
        """The other server's features are known, and TLS is established if it is to be."""
        if self.stream.certified:
            self._accept()
        for id in list(self._questions):
            self._question(id)
        self._ask()

    def _ask(self) -> None:
        """Sends our key, if there is something to send and nobody has asked yet."""
        if self.stream.state != "READY" or self._asked or not self._waiting:
            return
        self._asked = True
        key = dialback.key(self._links.secret, self.other, self.own, self.stream.id)
        self.stream.send(dialback.request("result", self.own, self.other, key), "XEP-0220 §2.1.1")
        self._limit()

    def _question(self, id: str) -> None:
        text = self._questions[id][0]
        sent = dialback.request("verify", self.own, self.other, text, id)
        self.stream.send(sent, "XEP-0220 §2.1.2")
        self._limit()

    def _limit(self) -> None:
        due = self.stream.runtime.now() + REPLY_TIME
        self.stream.timers.at("dialback", due, self.stream.finish)

    def _answered_all(self) -> None:
        if not self._questions and self._believed >= self._asked:
            self.stream.timers.cancel("dialback")

    def answered(self, result: Element) -> None:
        """The other server says whether it believes us."""
        # XEP-0220 §3.1: an answer to what was not asked on this stream is not one
        if not self._asked or self._believed or not self._is_about_us(result):
            return
        outcome = result.get("type")
        if outcome == dialback.VALID:
            self._accept()
        else:
            if outcome == dialback.INVALID:
                self._failure = "internal-server-error"  # XEP-0220 §2.1.1
            self.stream.finish()

    def verified(self, answer: Element) -> None:
        """The server of the other domain says whether a key is its own."""
        id = answer.get("id", "")
        if id not in self._questions or not self._is_about_us(answer):
            return
        _, done = self._questions.pop(id)
        outcome = answer.get("type", "")
        known = outcome in (dialback.VALID, dialback.INVALID)
        done(outcome if known else "remote-server-timeout")
        self._answered_all()

    def _is_about_us(self, answer: Element) -> bool:
        return answer.get("from") == self.other and answer.get("to") == self.own

    def _accept(self) -> None:
        self._asked = self._believed = True
        self._answered_all()
        while self._waiting:
            self.stream.send_stanza(self._waiting.popleft())

    def lost(self, stream: object) -> None:
        """The connection is over: what waits comes back as errors (RFC 6120 §10.4.3)."""
        self._links.drop(self)
        service = self._links.service
        questions, self._questions = self._questions, {}
        for _, done in questions.values():
            done("remote-server-timeout")
        error = StanzaError(self._failure)
        while self._waiting and not service.closed:
            stanza = self._waiting.popleft()
            if stanza.may_be_answered and self._links.serves(self.own):
                service.router.route(stanza.error(error))


def _with_parents(domain: str) -> list[str]:
    """A domain, and all above it: a.b.c, b.c, c."""
    labels = domain.split(".")
    first = max(1, len(labels) - LABELS)
    return [domain, *(".".join(labels[at:]) for at in range(first, len(labels)))]
