"""Ad-hoc commands of a client; the acts of custom-extension play the rest."""

from __future__ import annotations

from typing import Any

import pytest

from comms.settings import load
from comms.xmpp import Client, Jid
from comms.xmpp import adhoc as module
from comms.xmpp.adhoc import AdHoc, Offer
from comms.xmpp.forms import Field
from fakes.world import World
from scenarios.jabber.custom_extension_samples import command, form
from tests.xmpp_raw import bound

BOT, ALICE = "bot@example.test", "alice@example.test"
NAME = Field("name")


class Place:
    """A client that offers commands, and a user who runs them."""

    def __init__(self, world: World) -> None:
        self.world, self.ran = world, list[tuple[str, dict[str, str]]]()
        server = load(world.settings, world.folder).server("xmpp")
        self.client = Client(server, world.clock, world.host)
        self.adhoc = AdHoc(self.client, world.clock, world.host)
        for node, fields in (("ping", ()), ("greet", (NAME,))):
            self.adhoc.offer(Offer(node, node.title(), self.run, self.allowed, fields))
        self.alice = world.jabber.actor(ALICE)
        self.number = 0

    def run(self, who: Jid, values: dict[str, str], id: str) -> tuple[bool, str]:
        self.ran.append((str(who.bare), values))
        return values.get("name") != "nobody", "done"

    def allowed(self, who: Jid) -> bool:
        return str(who.bare) == ALICE

    def asks(self, content: str, type: str = "set") -> Any:
        """Sends a query, and returns the answer."""
        self.number += 1
        id = str(self.number)
        self.alice.sends(f"<iq to='{self.client.jid}' type='{type}' id='{id}'>{content}</iq>")
        self.client.wait(self.world.clock.time() + 1)
        [found] = [one for one in self.alice.all if one.kind == "iq" and one.id == id]
        return found


@pytest.fixture
def place() -> Any:
    people = [{"address": BOT}, {"address": ALICE}]
    config = {"servers": ["xmpp"], "program": BOT, "person": people}
    with World(config, rehearsal=True) as world:
        found = Place(world)
        with found.client:
            yield found


def test_a_command_without_a_form_runs_at_once(place: Place) -> None:
    answer = place.asks(command(node="ping")).element[0]
    assert answer.get("status") == "completed" and answer[0].get("type") == "info"
    assert place.ran == [(ALICE, {})]


def test_a_result_that_is_not_good_is_noted_as_an_error(place: Place) -> None:
    id = place.asks(command(node="greet")).element[0].get("sessionid")
    answer = place.asks(command(form(name="nobody"), node="greet", sessionid=id))
    assert answer.element[0][0].get("type") == "error"


def test_disco_describes_the_list_and_each_command(place: Place) -> None:
    for node, kind in ((module.COMMANDS, "command-list"), ("greet", "command-node")):
        query = f"<query xmlns='http://jabber.org/protocol/disco#info' node='{node}'/>"
        assert place.asks(query, "get").element[0][0].get("type") == kind
    query = "<query xmlns='http://jabber.org/protocol/disco#info' node='other'/>"
    assert place.asks(query, "get").condition == "item-not-found"
    query = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
    features = [one.get("var") for one in place.asks(query, "get").element[0]]
    assert module.COMMANDS in features


def test_of_many_forms_the_oldest_is_abandoned(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "OPEN", 2)
    ids = [place.asks(command(node="greet")).element[0].get("sessionid") for _ in range(3)]
    texts = [place.asks(command(form(name="x"), node="greet", sessionid=id)).content for id in ids]
    assert [b"bad-sessionid" in text for text in texts] == [True, False, False]


def test_the_session_of_one_command_is_none_of_another(place: Place) -> None:
    id = place.asks(command(node="greet")).element[0].get("sessionid")
    answer = place.asks(command(form(name="x"), node="ping", sessionid=id))
    assert b"bad-sessionid" in answer.content and place.ran == []


def test_a_form_as_long_as_a_server_takes_is_refused_and_the_next_is_not(place: Place) -> None:
    id = place.asks(command(node="greet")).element[0].get("sessionid")
    answer = place.asks(command(form(name="x" * 200_000), node="greet", sessionid=id))
    # It would repeat the form, and that is more than every server takes.
    assert b"bad-payload" in answer.content and place.ran == []
    assert place.asks(command(node="ping")).element[0].get("status") == "completed"


def test_a_form_of_a_megabyte_ends_the_stream_of_its_sender_only(place: Place) -> None:
    sender = bound(place.world, "alice")
    to = f"to='{place.client.jid}'"
    huge = command(form(name="x" * (1 << 20)), node="greet", sessionid="1")
    assert b"stanza-too-big" in sender.says(f"<iq {to} type='set' id='1'>{huge}</iq>".encode())
    assert place.asks(command(node="ping")).element[0].get("status") == "completed"
