"""XEP-0077: opening, changing and closing an account. A transcript shows the main path."""

from __future__ import annotations

import pytest

from fakes import World
from fakes.xmpp.extensions import registration
from fakes.xmpp.stanzas import parse_stanza
from tests.xmpp_raw import HEADER, STARTTLS, Client, bind, bound, plain, world

QUERY = "<query xmlns='jabber:iq:register'>"


def place(**config: object) -> World:
    return world(xmpp={"on": ["registration"]}, **config)


def register(where: World, name: str, password: str = "other") -> str:
    """Asks for an account; returns the condition of the error, "" if there is none."""
    client = Client(where)
    client.says(HEADER)
    content = f"<username>{name}</username><password>{password}</password>"
    answer = client.says(f"<iq type='set' id='1'>{QUERY}{content}</query></iq>".encode())
    return parse_stanza(answer).condition


def logs_in(where: World, name: str, password: str) -> bool:
    return b"<success" in Client(where).says(HEADER + plain(name, password))


def test_who_has_registered_can_log_in() -> None:
    where = place()
    assert not logs_in(where, "nurse", "other")
    assert register(where, "Nurse") == ""
    assert logs_in(where, "nurse", "other")
    assert register(where, "nurse") == "conflict"


@pytest.mark.parametrize("name", ["", "a@b", "a/b", "a b", "&amp;", "x" * 1024])
def test_what_is_not_a_user_name_is_refused(name: str) -> None:
    assert register(place(), name) == "not-acceptable"


def test_an_account_that_was_closed_can_be_opened_again() -> None:
    where = place()
    where.jabber.remove("romeo@example.test")
    assert not logs_in(where, "romeo", "secret")
    assert register(where, "romeo", "new") == ""
    assert logs_in(where, "romeo", "new") and not logs_in(where, "romeo", "secret")


def test_the_own_password_can_be_changed() -> None:
    where = place()
    content = "<username>romeo</username><password>new</password>"
    answer = bound(where).says(f"<iq type='set' id='1'>{QUERY}{content}</query></iq>".encode())
    assert parse_stanza(answer).type == "result"
    assert logs_in(where, "romeo", "new") and not logs_in(where, "romeo", "secret")


@pytest.mark.parametrize(
    ("content", "condition"),
    [
        ("<username>juliet</username><password>x</password>", "not-allowed"),
        ("<password>x</password>", "not-allowed"),
        ("<username>romeo</username>", "bad-request"),
        ("<remove/><username>romeo</username>", "bad-request"),
    ],
)
def test_nothing_else_can_be_changed(content: str, condition: str) -> None:
    where = place()
    answer = bound(where).says(f"<iq type='set' id='1'>{QUERY}{content}</query></iq>".encode())
    assert parse_stanza(answer).condition == condition and b"<username>" not in answer
    assert logs_in(where, "romeo", "secret") and logs_in(where, "juliet", "secret")


def test_another_account_can_neither_be_read_nor_changed() -> None:
    where = place()
    for type, content in (("get", ""), ("set", "<remove/>")):
        stanza = f"<iq type='{type}' id='1' to='juliet@example.test'>{QUERY}{content}</query></iq>"
        assert parse_stanza(bound(where).says(stanza.encode())).condition == "forbidden"
    assert logs_in(where, "juliet", "secret")


def test_accounts_are_not_opened_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "MOST", 2)
    where = place()
    found = [register(where, name) for name in ("a", "b", "c")]
    assert found == ["", "", "resource-constraint"]


def test_it_is_off_unless_the_world_names_it() -> None:
    client = Client(world())
    answer = client.says(HEADER)
    assert b"iq-register" not in answer
    assert b"<not-authorized" in client.says(f"<iq type='get' id='1'>{QUERY}</query></iq>".encode())


def test_where_tls_is_required_nothing_happens_in_clear() -> None:
    where = place(tls="required")
    assert register(where, "nurse") == "policy-violation"
    client = Client(where)
    client.says(HEADER)
    client.starts_tls()
    assert STARTTLS and b"iq-register" in client.says(HEADER)
    assert bind("x")


def test_no_record_shows_the_password() -> None:
    where = place()
    register(where, "nurse", "hush-hush")
    shown = b"".join(record.shown() for record in where.records)
    assert b"hush-hush" not in shown and b"{pass nurse}" in shown
