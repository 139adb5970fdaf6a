"""Extensions that are a service at a subdomain: what reaches them, and what discovery shows."""

from __future__ import annotations

import inspect
import socket
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from fakes import World
from fakes.xmpp import Jabber, Policy, Xmpp
from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.extension import Extension, Information
from fakes.xmpp.extensions import EXTENSIONS
from fakes.xmpp.markup import element
from fakes.xmpp.pubsub.nodes import Item
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError
from tests.xmpp_raw import HEADER, Client, bound, login, world

ECHO = "urn:example:echo"
INFO = "http://jabber.org/protocol/disco#info"
ITEMS = "http://jabber.org/protocol/disco#items"


class Echo(Extension):
    """Returns every message to its sender, counts them, and refuses those without a body."""

    name = "echo"
    subdomain = "echo"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._count = 0

    def answers(self) -> Answers:
        return {("service", f"{{{ECHO}}}count"): self._answer_count}

    def information(self, to: Jid) -> Information | None:
        return Information("component", "echo", "Echo", (ECHO,)) if to.local != "ghost" else None

    def receive(self, stanza: Stanza, to: Jid) -> bool:
        if stanza.kind != "message" or stanza.type == "error":
            return False
        if not stanza.body:
            raise StanzaError("not-acceptable")
        self._count += 1
        self.service.router.route(stanza.replace(to=stanza.sender, sender=stanza.to))
        return True

    def _answer_count(self, request: Request) -> Iterable[Element]:
        return [element(f"{{{ECHO}}}count", text=str(self._count))]


def jabber(place: World, **options: Any) -> Jabber:
    """The Jabber of a world, with the service Echo."""
    options = {"domains": ["example.test"], "extensions": (*EXTENSIONS, Echo), **options}
    return Jabber(place.runtime, place.people, **options)


def romeo(**options: Any) -> Client:
    place = world()
    return bound(place, jabber=jabber(place, **options))


def get(to: str, payload: str) -> bytes:
    return f"<iq type='get' id='1' to='{to}'>{payload}</iq>".encode()


ADDRESSES = ["echo.example.test", "wall@echo.example.test", "wall@echo.example.test/north"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_message_for_any_address_of_the_subdomain_reaches_the_service(address: str) -> None:
    answer = romeo().says(f"<message to='{address}'><body>hello</body></message>".encode())
    assert (
        answer
        == (
            f"<message from='{address}' to='romeo@example.test/here'><body>hello</body></message>"
        ).encode()
    )


def answer_on_socket(address: tuple[str, int]) -> bytes:
    """Logs in, writes to the service, and returns everything that comes until the answer."""
    with socket.create_connection(address, 5) as link:
        link.sendall(login("romeo"))
        link.sendall(b"<message to='wall@echo.example.test'><body>hello</body></message>")
        received = b""
        while b"</message>" not in received:
            received += link.recv(65536)
    return received


def test_the_service_answers_on_the_sockets_of_a_world() -> None:
    with World({"servers": ["xmpp"], "person": [{"address": "romeo@example.test"}]}) as place:
        service = jabber(place).service
        address = place.serve("with echo", lambda: Xmpp(place.runtime, service))
        answer = answer_on_socket(address)
    assert b"<message from='wall@echo.example.test' to='romeo@example.test/here'>" in answer


def test_the_example_in_the_documentation_works() -> None:
    lines = inspect.getdoc(Extension)
    assert lines is not None
    examples = [line for line in lines.split("\n") if line.startswith("    ") or not line]
    with World({"servers": ["xmpp"], "person": [{"address": "romeo@example.test"}]}) as place:
        names = {**globals(), "world": place}
        exec(textwrap.dedent("\n".join(examples)), names)  # the text that a reader copies
        answer = answer_on_socket(names["address"])
    assert b"<message from='wall@echo.example.test' to='romeo@example.test/here'>" in answer


class Log(Extension):
    """A service that only notes what reaches it, and answers a query of its own."""

    name = "log"
    subdomain = "log"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.received: list[tuple[str, str | None, str]] = []

    def answers(self) -> Answers:
        return {("service", f"{{{INFO}}}query"): lambda request: [element(f"{{{INFO}}}own")]}

    def items(self, to: Jid) -> Iterable[dict[str, str | None]]:
        return [{"jid": "a@log.example.test", "name": "A"}]

    def receive(self, stanza: Stanza, to: Jid) -> bool:
        self.received.append((stanza.kind, stanza.type, to.text))
        return True


def logged() -> tuple[Client, Log]:
    """A client of a server that also has the service Log."""
    client = romeo(extensions=(*EXTENSIONS, Echo, Log))
    found = client.core.service.extensions.service_at("log.example.test")
    assert isinstance(found, Log)
    return client, found


@pytest.mark.parametrize(
    ("kind", "type"),
    [
        ("presence", None),
        ("presence", "subscribe"),
        ("presence", "unavailable"),
        ("iq", "get"),
        ("iq", "set"),
        ("iq", "result"),
        ("iq", "error"),
        ("message", None),
        ("message", "groupchat"),
        ("message", "error"),
    ],
)
def test_every_stanza_without_an_answer_reaches_the_service(kind: str, type: str | None) -> None:
    client, service = logged()
    attributes = f" type='{type}'" if type else ""
    stanza = f"<{kind} id='1' to='a@log.example.test/b'{attributes}><x xmlns='urn:x'/></{kind}>"
    client.says(stanza.encode())
    # What a subscription goes to is the bare address (RFC 6121 §3.1.2).
    address = "a@log.example.test" if type == "subscribe" else "a@log.example.test/b"
    assert service.received == [(kind, type, address)]


def test_an_answer_of_a_service_precedes_that_of_every_service() -> None:
    client, _ = logged()
    query = f"<query xmlns='{INFO}'/>"
    assert b"<own " in client.says(get("log.example.test", query))
    assert b"<own " not in client.says(get("echo.example.test", query))


def test_discovery_lists_the_items_of_a_service() -> None:
    client, _ = logged()
    items = client.says(get("log.example.test", f"<query xmlns='{ITEMS}'/>"))
    assert b"<item jid='a@log.example.test' name='A'/>" in items
    assert b"<item" not in client.says(get("echo.example.test", f"<query xmlns='{ITEMS}'/>"))


def test_an_error_raised_by_the_service_comes_from_the_address_that_was_meant() -> None:
    answer = romeo().says(b"<message to='wall@echo.example.test' id='1'/>")
    assert b"<message from='wall@echo.example.test' to='romeo@example.test/here' id='1'" in answer
    assert b"<not-acceptable " in answer


def test_an_iq_reaches_the_answer_that_the_service_registers() -> None:
    client = romeo()
    client.says(b"<message to='echo.example.test'><body>hello</body></message>")
    answer = client.says(get("echo.example.test", f"<count xmlns='{ECHO}'/>"))
    assert f"<count xmlns='{ECHO}'>1</count>".encode() in answer
    # At the domain itself nothing of the kind is answered.
    answer = client.says(get("example.test", f"<count xmlns='{ECHO}'/>"))
    assert b"<service-unavailable " in answer


@pytest.mark.parametrize("type", ["get", "set"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_an_iq_that_nothing_answers_is_refused(address: str, type: str) -> None:
    ping = f"<iq type='{type}' id='1' to='{address}'><ping xmlns='urn:xmpp:ping'/></iq>".encode()
    assert b"<service-unavailable " in romeo().says(ping)


@pytest.mark.parametrize(
    "stanza",
    [
        "<presence to='echo.example.test'/>",
        "<presence to='echo.example.test' type='subscribe'/>",
        "<iq type='result' id='1' to='echo.example.test'/>",
        "<message type='error' to='echo.example.test'><error/></message>",
    ],
)
def test_what_asks_for_no_answer_and_is_not_accepted_is_dropped(stanza: str) -> None:
    answer = romeo().says(stanza.encode())
    assert b"type='error'" not in answer


def test_discovery_lists_the_service_and_shows_its_identity_and_features() -> None:
    client = romeo()
    items = client.says(get("example.test", f"<query xmlns='{ITEMS}'/>"))
    assert b"<item jid='echo.example.test'/>" in items
    info = client.says(get("echo.example.test", f"<query xmlns='{INFO}'/>"))
    assert b"<identity category='component' type='echo' name='Echo'/>" in info
    assert f"<feature var='{ECHO}'/>".encode() in info
    assert f"<feature var='{INFO}'/>".encode() in info
    assert b"type='result'" in client.says(get("echo.example.test", f"<query xmlns='{ITEMS}'/>"))
    for query in (INFO, ITEMS):
        answer = client.says(get("ghost@echo.example.test", f"<query xmlns='{query}'/>"))
        assert b"<item-not-found " in answer


def test_a_service_that_is_switched_off_is_like_an_unknown_subdomain() -> None:
    client = romeo(policy=Policy(off=frozenset({"echo"})))
    for address in ADDRESSES:
        unknown = address.replace("echo.", "unknown.")
        stanza = "<message to='%s' id='1'><body>hello</body></message>"
        answer = client.says((stanza % address).encode())
        assert b"<remote-server-not-found " in answer
        assert answer.replace(b"echo.", b"unknown.") == client.says((stanza % unknown).encode())
    listed = client.says(get("example.test", f"<query xmlns='{ITEMS}'/>"))
    assert b"<item" in listed and b"echo" not in listed


def test_nobody_can_log_in_at_the_subdomain() -> None:
    place = world()
    client = Client(place, jabber=jabber(place))
    header = HEADER.replace(b"to='example.test'", b"to='echo.example.test'")
    assert b"<host-unknown " in client.says(header)


def test_two_services_at_one_subdomain_are_an_error() -> None:
    class Second(Echo):
        name = "second"

    place = world()
    with pytest.raises(ValueError, match=r"second: echo\.example\.test is already served by echo"):
        Jabber(place.runtime, place.people, extensions=(Echo, Second))


def test_a_domain_of_the_server_itself_is_not_taken_by_a_service() -> None:
    place = world()
    domains = ["example.test", "echo.example.test"]
    client = bound(place, jabber=jabber(place, domains=domains))
    answer = client.says(b"<message to='echo.example.test'><body>hello</body></message>")
    assert b"<service-unavailable " in answer
    # It is served for the other domain, echo.example.test itself.
    answer = client.says(b"<message to='echo.echo.example.test'><body>hello</body></message>")
    assert b"<body>hello</body>" in answer and b"type='error'" not in answer


class Later(Echo):
    """Returns a message a minute later, when its sender may have left."""

    def receive(self, stanza: Stanza, to: Jid) -> bool:
        timers, now = self.service.runtime.timers, self.service.runtime.now()
        answer = stanza.replace(to=stanza.sender, sender=stanza.to)
        timers.at(f"later {stanza.id}", now + 60, lambda: self.service.router.route(answer))
        return True


def test_a_timer_of_a_service_outlives_the_connection_that_set_it() -> None:
    place = world()
    client = bound(place, jabber=jabber(place, extensions=(Later,)))
    service = client.core.service
    client.says(b"<message to='echo.example.test' type='chat' id='1'><body>hello</body></message>")
    client.core.eof()
    assert client.core.closed
    place.clock.skip(59)
    place.run_timers()
    romeo = service.accounts.find(jid("romeo@example.test"))
    assert romeo is not None and romeo.offline == []
    place.clock.skip(1)
    place.run_timers()
    assert [stanza.body for stanza in romeo.offline] == ["hello"], "kept until romeo is back"


def test_a_service_without_hooks_of_its_own_refuses_messages_and_shows_a_plain_identity() -> None:
    class Silent(Extension):
        name = "silent"
        subdomain = "silent"

    place = world()
    client = bound(
        place, jabber=Jabber(place.runtime, place.people, extensions=(*EXTENSIONS, Silent))
    )
    answer = client.says(b"<message to='a@silent.example.test'><body>hello</body></message>")
    assert b"<service-unavailable " in answer
    info = client.says(get("silent.example.test", f"<query xmlns='{INFO}'/>"))
    assert b"<identity category='component' type='generic' name='silent'/>" in info
    info = client.says(get("a@silent.example.test", f"<query xmlns='{INFO}'/>"))
    assert b"<item-not-found " in info


# ── what extensions hear ─────────────────────────────────────────────────────


class Listener(Extension):
    """Keeps what it hears of presence, rosters, answers and nodes."""

    name = "listener"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.heard: list[str] = []

    def presence_sent(
        self, resource: Resource, stanza: Stanza, to: Jid | None, first: bool
    ) -> None:
        self.heard.append(f"sent {stanza.type} {to} {first}")

    def presence_received(self, account: Account, stanza: Stanza) -> None:
        self.heard.append(f"{account.jid.local} received {stanza.type}")

    def roster_changed(self, account: Account, contact: str) -> None:
        self.heard.append(f"{account.jid.local} changed {contact}")

    def result_received(self, account: Account, stanza: Stanza) -> None:
        self.heard.append(f"{account.jid.local} result {stanza.id}")

    def item_published(self, account: Account, node: str, item: Item) -> None:
        self.heard.append(f"{account.jid.local} published {node} {item.id}")

    def items_removed(self, account: Account, node: str, items: Sequence[Item]) -> None:
        self.heard.append(f"{account.jid.local} removed {node} {' '.join(one.id for one in items)}")


def test_an_extension_hears_of_presence_rosters_answers_and_nodes() -> None:
    place = world()
    there = Jabber(place.runtime, place.people, extensions=(*EXTENSIONS, Listener))
    client = bound(place, jabber=there)
    listener = there.service.extensions.named("listener")
    assert isinstance(listener, Listener)

    def hears(text: str) -> list[str]:
        client.says(text.encode())
        heard, listener.heard = listener.heard, []
        return heard

    assert hears("<presence/>") == ["sent None None True"]
    assert hears("<presence><show>away</show></presence>") == ["sent None None False"]
    assert hears("<presence type='subscribe' to='juliet@example.test'/>") == [
        "romeo changed juliet@example.test",
        "sent subscribe juliet@example.test False",
        "juliet received subscribe",
    ]
    assert hears("<iq type='result' id='x'/>") == ["romeo result x"]
    pubsub = "<pubsub xmlns='http://jabber.org/protocol/pubsub'>"
    for id in "12":
        item = f"<item id='{id}'><x xmlns='urn:x'/></item>"
        publish = f"<publish node='n'>{item}</publish></pubsub>"
        heard = hears(f"<iq type='set' id='p'>{pubsub}{publish}</iq>")
    assert heard == ["romeo published n 2", "romeo removed n 1"]
    owner = pubsub.replace("pubsub'", "pubsub#owner'")
    deleted = hears(f"<iq type='set' id='p'>{owner}<delete node='n'/></pubsub></iq>")
    assert deleted == ["romeo removed n 2"]
    assert hears("<presence type='unavailable'/>") == ["sent unavailable None False"]
