"""Resource binding, and what a client may send before it."""

from __future__ import annotations

import re

import pytest

from fakes import World
from tests.xmpp_raw import HEADER, Client, bind, plain, world

ROMEO = "romeo@example.test"
PING = "<ping xmlns='urn:xmpp:ping'/>"


def logged_in(place: World) -> Client:
    """A client that has not bound a resource yet."""
    client = Client(place)
    client.says(HEADER + plain("romeo") + HEADER)
    return client


@pytest.mark.parametrize(
    ("wanted", "name"), [("orchard", "orchard"), ("a b", "a b"), ("\u2168", "IX")]
)
def test_the_resource_that_a_client_names_is_prepared_and_bound(wanted: str, name: str) -> None:
    place = world()
    answer = logged_in(place).says(bind(wanted))
    assert f"<jid>{ROMEO}/{name}</jid>".encode() in answer
    assert place.jabber.sessions(ROMEO) == [f"{ROMEO}/{name}"]


@pytest.mark.parametrize("wanted", ["", "x" * 1024, "\u202e"])
def test_another_name_is_chosen_if_there_is_none_or_it_is_impossible(wanted: str) -> None:
    place = world()
    answer = logged_in(place).says(bind(wanted))
    found = re.search(rb"<jid>(.*)</jid>", answer)
    assert found is not None
    assert place.jabber.sessions(ROMEO) == [found[1].decode()]
    assert len(found[1]) > len(ROMEO) + 1


def test_a_bind_request_without_an_id_is_refused() -> None:
    place = world()
    answer = logged_in(place).says(bind("orchard").replace(b" id='b'", b""))
    assert b"<bad-request " in answer
    assert place.jabber.sessions(ROMEO) == []


@pytest.mark.parametrize("to", ["", " to='example.test'", f" to='{ROMEO}'"])
def test_before_binding_the_server_and_the_own_account_answer(to: str) -> None:
    answer = logged_in(world()).says(f"<iq type='get' id='1'{to}>{PING}</iq>".encode())
    assert b"type='result'" in answer and b" id='1'" in answer


@pytest.mark.parametrize(
    "stanza",
    [
        "<message to='juliet@example.test'><body>hello</body></message>",
        f"<iq type='get' id='1' to='juliet@example.test'>{PING}</iq>",
        f"<iq type='get' id='1' to='{ROMEO}/orchard'>{PING}</iq>",
        "<presence to='@'/>",
    ],
)
def test_before_binding_anything_for_others_ends_the_stream(stanza: str) -> None:
    place = world()
    client = logged_in(place)
    answer = client.says(stanza.encode())
    assert b"<not-authorized " in answer and b"bind a resource first" in answer
    assert client.core.closed
    assert place.jabber.all == []


def test_the_account_may_be_gone_when_the_resource_is_bound() -> None:
    place = world()
    client = logged_in(place)
    place.jabber.remove(ROMEO)
    assert b"the account is gone" in client.says(bind("orchard"))
    assert client.core.closed
