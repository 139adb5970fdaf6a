"""XEP-0133: what administrators can do, and nobody else."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import pytest

from fakes import World
from fakes.config import WorldError
from fakes.xmpp.admin.forms import ADMIN, FORMS
from fakes.xmpp.extensions.commands import COMMAND, COMMANDS
from fakes.xmpp.extensions.disco import ITEMS
from fakes.xmpp.forms import DATA
from fakes.xmpp.markup import serialize
from fakes.xmpp.stanzas import Stanza, parse_stanza
from tests.sasl2 import authenticate, logged_in, request_token, secured, token_in, with_token
from tests.xmpp_raw import HEADER, Client, bound, plain, world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
LEFT = (
    "edit-blacklist edit-whitelist edit-admin get-user-password get-user-lastlogin"
    " get-active-users-num get-idle-users-num get-active-users get-idle-users"
).split()


def place(**config: Any) -> World:
    """A world in which Romeo is an administrator."""
    return world(xmpp={"admins": [ROMEO], "on": ["registration"]}, **config)


def command(client: Client, name: str, content: str = "", **given: str) -> Stanza:
    attributes = "".join(f" {key}='{value}'" for key, value in given.items())
    inner = f"<command xmlns='{COMMANDS}' node='{ADMIN}#{name}'{attributes}>{content}</command>"
    sent = f"<iq type='set' id='c' to='example.test'>{inner}</iq>"
    return next(one for one in _stanzas(client.says(sent.encode())) if one.id == "c")


def _stanzas(raw: bytes) -> list[Stanza]:
    whole = raw.partition(b"<stream:error")[0]
    tree = ElementTree.fromstring(b"<x xmlns='jabber:client'>%b</x>" % whole)
    return [parse_stanza(serialize(one)) for one in tree]


def submitted(type: str = "submit", **values: Any) -> str:
    """The content of a form."""
    fields = ""
    for name, value in values.items():
        several = value if isinstance(value, list) else [value]
        inner = "".join(f"<value>{one}</value>" for one in several)
        var = name.replace("password_", "password-")
        fields += f"<field var='{var}'>{inner}</field>"
    return f"<x xmlns='{DATA}' type='{type}'>{fields}</x>"


def run(client: Client, name: str, **values: Any) -> Stanza:
    """Runs a command: asks for its form, and submits it."""
    first = command(client, name)
    if first.condition or not FORMS[name][1]:
        return first
    [asked] = first.element
    assert asked.get("status") == "executing", name
    return command(client, name, submitted(**values), sessionid=asked.get("sessionid") or "")


def done(answer: Stanza) -> bool:
    found = answer.element.find(COMMAND)
    return found is not None and found.get("status") == "completed"


def shown(answer: Stanza) -> dict[str, list[str]]:
    """The fields of a result, without the type of the form."""
    fields = answer.element.iter(f"{{{DATA}}}field")
    found = {one.get("var", ""): [value.text or "" for value in one] for one in fields}
    assert found.pop("FORM_TYPE") == [ADMIN]
    return found


def logs_in(where: World, name: str, password: str = "secret") -> str:
    """The condition of a failed login; "" if it succeeds."""
    answer = Client(where).says(HEADER + plain(name, password))
    failure = answer.partition(b"<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><")[2]
    return failure.partition(b"/>")[0].decode()


def online(where: World, name: str, resource: str = "here") -> Client:
    client = bound(where, name, resource)
    client.says(b"<presence/>")
    return client


def bodies(client: Client) -> list[str]:
    """The texts of the server's own messages that have come."""
    return [one.body for one in _stanzas(client.hears()) if one.sender == "example.test"]


# ── who may do anything, and how it is asked for ─────────────────────────────


def test_the_commands_are_listed_for_administrators_only() -> None:
    where = place()
    query = (
        f"<iq type='get' id='1' to='example.test'><query xmlns='{ITEMS}' node='{COMMANDS}'/></iq>"
    )
    for name, expected in (
        ("romeo", ["ping", *(f"{ADMIN}#{one}" for one in FORMS)]),
        ("juliet", ["ping"]),
    ):
        [found] = parse_stanza(bound(where, name).says(query.encode())).element
        assert [item.get("node") for item in found] == expected


@pytest.mark.parametrize("name", FORMS)
def test_nobody_else_can_run_a_command(name: str) -> None:
    where = place()
    juliet = bound(where, "juliet")
    assert command(juliet, name).condition == "forbidden"
    id = command(bound(where), name).element[0].get("sessionid") or ""
    assert command(juliet, name, submitted(), sessionid=id).condition == "forbidden"


def test_without_administrators_and_switched_off_there_are_no_commands() -> None:
    for where in (world(), place(off={"xmpp": ["administration"]})):
        assert command(bound(where), "announce").condition == "item-not-found"


@pytest.mark.parametrize("name", LEFT)
def test_what_is_left_does_not_exist(name: str) -> None:
    assert command(bound(place()), name).condition == "item-not-found"


def test_a_form_names_its_fields() -> None:
    [asked] = command(bound(place()), "change-user-password").element
    assert serialize(asked[1]) == (
        "<x xmlns='jabber:x:data' type='form'><title>Changing a User Password</title>"
        "<instructions>Fill out this form.</instructions>"
        f"<field var='FORM_TYPE' type='hidden'><value>{ADMIN}</value></field>"
        "<field var='accountjid' type='jid-single' label='The Jabber ID of the account'>"
        "<required/></field><field var='password' type='text-private'"
        " label='The password for this account'><required/></field></x>"
    )


@pytest.mark.parametrize(
    ("name", "values", "condition"),
    [
        ("add-user", {"accountjid": ROMEO, "password": "x"}, "conflict"),
        ("add-user", {"accountjid": "a@far.test", "password": "x"}, "not-allowed"),
        ("add-user", {"accountjid": "a@example.test/x", "password": "x"}, "bad-request"),
        ("add-user", {"accountjid": "@", "password": "x"}, "bad-request"),
        ("add-user", {"accountjid": "a@example.test"}, "bad-request"),
        (
            "add-user",
            {"accountjid": "a@example.test", "password": "x", "password_verify": "y"},
            "bad-request",
        ),
        ("change-user-password", {"accountjid": "x@x.test", "password": "x"}, "item-not-found"),
        ("change-user-password", {"accountjid": JULIET, "password": ""}, "bad-request"),
        ("delete-user", {"accountjids": [JULIET, "x@example.test"]}, "item-not-found"),
        ("delete-user", {"accountjids": []}, "bad-request"),
        ("delete-user", {}, "bad-request"),
        ("disable-user", {"accountjids": [JULIET, "\xe9@far.test"]}, "item-not-found"),
        ("end-user-session", {"accountjids": f"{JULIET}/nowhere"}, "item-not-found"),
        ("get-user-roster", {"accountjids": "x"}, "item-not-found"),
        ("user-stats", {"accountjid": "example.test"}, "item-not-found"),
        ("get-online-users-list", {"max_items": "7"}, "bad-request"),
        ("announce", {"announcement": ""}, "bad-request"),
        ("shutdown", {"delay": "-1"}, "bad-request"),
        ("set-motd", {"type": "cancel", "motd": "x"}, "bad-request"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused_as_a_whole(
    name: str, values: dict[str, Any], condition: str
) -> None:
    where = place()
    answer = run(bound(where), name, **values)
    assert answer.condition == condition
    assert b"<field" not in answer.content, "there may be a password in the form"
    assert where.jabber.accounts == [ROMEO, JULIET] and logs_in(where, "juliet") == ""


def test_a_form_that_was_refused_can_be_submitted_again() -> None:
    where = place()
    client = bound(where)
    id = command(client, "delete-user").element[0].get("sessionid") or ""
    assert command(client, "delete-user", submitted(), sessionid=id).condition == "bad-request"
    again = command(client, "delete-user", submitted(accountjids=JULIET), sessionid=id)
    assert done(again) and where.jabber.accounts == [ROMEO]


# ── what the commands do ─────────────────────────────────────────────────────


def test_a_user_is_added_and_gets_another_password() -> None:
    where = place()
    romeo = bound(where)
    new = {"accountjid": "Nurse@example.test", "password": "one", "password_verify": "one"}
    assert done(run(romeo, "add-user", **new))
    assert logs_in(where, "nurse", "one") == ""
    changed = {"accountjid": "nurse@example.test", "password": "two"}
    assert done(run(romeo, "change-user-password", **changed))
    assert logs_in(where, "nurse", "one") == "not-authorized"
    assert logs_in(where, "nurse", "two") == ""


def test_no_record_shows_a_password() -> None:
    where = place()
    where_new = {"accountjid": "nurse@example.test", "password": "hush-hush"}
    run(bound(where), "add-user", **where_new, password_verify="hush-hush")
    raw = b"".join(record.shown() for record in where.records)
    assert b"hush-hush" not in raw and raw.count(b"{pass}") == 2


def test_a_user_is_deleted_with_their_sessions() -> None:
    where = place()
    juliet = online(where, "juliet")
    assert done(run(bound(where), "delete-user", accountjids=JULIET))
    assert b"<not-authorized" in juliet.hears() and where.jabber.accounts == [ROMEO]
    assert logs_in(where, "juliet") == "not-authorized"


def test_a_disabled_user_keeps_everything_but_cannot_log_in() -> None:
    where = place()
    where.jabber.befriend(JULIET, ROMEO)
    juliet, romeo = online(where, "juliet"), bound(where)
    assert done(run(romeo, "disable-user", accountjids=[JULIET, JULIET]))
    assert b"the account is disabled" in juliet.hears()
    assert logs_in(where, "juliet") == "account-disabled"
    assert logs_in(where, "juliet", "wrong") == "not-authorized"
    assert shown(run(romeo, "get-disabled-users-list")) == {"disableduserjids": [JULIET]}
    other = place()
    other.restore(where.stored)
    assert logs_in(other, "juliet") == "account-disabled", "also after a restart"
    assert done(run(romeo, "reenable-user", accountjids=JULIET))
    assert logs_in(where, "juliet") == "" and where.jabber.roster(JULIET)


def test_a_disabled_user_cannot_log_in_by_a_token_either() -> None:
    where = world(xmpp={"admins": [JULIET]}, tls="optional")
    token = token_in(logged_in(where, request_token())[1])
    assert token and done(run(bound(where, "juliet"), "disable-user", accountjids=ROMEO))
    for attempt in (with_token(token), authenticate()):
        answer = secured(where).says(attempt)
        assert answer.startswith(b"<failure xmlns='urn:xmpp:sasl:2'><account-disabled"), answer


def test_sessions_are_ended_one_or_all() -> None:
    where = place()
    clients = {name: online(where, "juliet", name) for name in ("one", "two", "three")}
    romeo = bound(where)
    assert done(run(romeo, "end-user-session", accountjids=f"{JULIET}/two"))
    assert b"<policy-violation" in clients["two"].hears()
    assert where.jabber.sessions(JULIET) == [f"{JULIET}/one", f"{JULIET}/three"]
    assert done(run(romeo, "end-user-session", accountjids=JULIET))
    assert where.jabber.sessions(JULIET) == [] and logs_in(where, "juliet") == ""
    assert done(run(romeo, "end-user-session", accountjids=ROMEO)), "answered before the end"


def test_rosters_and_statistics_are_shown() -> None:
    where = place()
    where.jabber.befriend(JULIET, ROMEO)
    online(where, "juliet", "balcony")
    romeo = bound(where)
    answer = run(romeo, "get-user-roster", accountjids=JULIET)
    assert shown(answer) == {"accountjids": [JULIET]}
    [query] = answer.element.iter("{jabber:iq:roster}query")
    assert serialize(query) == (
        f"<query xmlns='jabber:iq:roster'><item jid='{ROMEO}' subscription='both'/></query>"
    )
    found = shown(run(romeo, "user-stats", accountjid=JULIET))
    assert found == {"rostersize": ["1"], "onlineresources": ["balcony"]}


def test_users_are_counted_and_listed() -> None:
    where = place()
    romeo = bound(where)
    run(romeo, "disable-user", accountjids=JULIET)
    found = {
        kind: shown(run(romeo, f"get-{kind}-users-num"))[f"{kind}usersnum"]
        for kind in ("registered", "disabled", "online")
    }
    assert found == {"registered": ["2"], "disabled": ["1"], "online": ["1"]}
    for kind, people in (("registered", [ROMEO, JULIET]), ("online", [ROMEO])):
        answer = run(romeo, f"get-{kind}-users-list", max_items="25")
        assert shown(answer) == {f"{kind}userjids": people}


# ── messages ─────────────────────────────────────────────────────────────────


def test_an_announcement_reaches_those_who_are_online() -> None:
    where = place()
    romeo, juliet = bound(where), online(where, "juliet")
    assert done(run(romeo, "announce", announcement=["one", "two"]))
    [message] = _stanzas(juliet.hears())
    assert (message.type, message.sender, message.body) == ("headline", "example.test", "one\ntwo")
    assert romeo.hears() == b"", "not those without presence"


def test_the_message_of_the_day_is_told_to_everybody_once() -> None:
    where = place()
    romeo, juliet = bound(where), online(where, "juliet")
    assert done(run(romeo, "set-motd", motd="today"))
    assert bodies(juliet) == ["today"]
    [asked] = command(romeo, "edit-motd").element
    assert [one.text for one in asked.iter(f"{{{DATA}}}value")] == [ADMIN, "today"]
    other = place()
    other.restore(where.stored)
    for again in (where, other):
        assert bodies(_comes(again, "juliet", "again")) == []
        assert bodies(_comes(again, "romeo", "new")) == ["today"]
        assert bodies(_comes(again, "romeo", "newer")) == []
    assert done(run(romeo, "edit-motd", motd="tomorrow")) and bodies(juliet) == ["tomorrow"]
    assert done(run(romeo, "delete-motd"))
    third = place()
    third.restore(where.stored)
    assert bodies(_comes(third, "romeo", "last")) == []


def _comes(where: World, name: str, resource: str) -> Client:
    client = bound(where, name, resource)
    client.core.receive(b"<presence/>")
    return client


def test_the_welcome_message_is_for_those_who_are_new() -> None:
    where = place()
    romeo = bound(where)
    for name in ("a", "b"):
        run(romeo, "add-user", accountjid=f"{name}@example.test", password="secret")
    assert done(run(romeo, "set-welcome", welcome="hello"))
    assert bodies(_comes(where, "a", "one")) == ["hello"]
    assert bodies(_comes(where, "a", "two")) == bodies(_comes(where, "juliet", "x")) == []
    assert done(run(romeo, "delete-welcome"))
    assert bodies(_comes(where, "b", "one")) == []


# ── the server ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["shutdown", "restart"])
def test_the_server_goes_down_at_once_or_later(name: str) -> None:
    where = place()
    romeo, juliet = bound(where), online(where, "juliet")
    assert done(run(romeo, name, delay="60", announcement="soon"))
    assert bodies(juliet) == ["soon"]
    where.clock.advance(59)
    assert juliet.hears() == b""
    where.clock.advance(1)
    for client in (romeo, juliet):
        assert b"<system-shutdown" in client.hears()
    romeo = bound(where)
    assert done(run(romeo, name)) and where.jabber.sessions(ROMEO) == []


@pytest.mark.parametrize("address", ["romeo", "romeo@example.test/x", "a b@example.test"])
def test_an_administrator_has_a_bare_address(address: str) -> None:
    with pytest.raises(WorldError, match=r"admins: .* is not a bare address; write admins = \["):
        world(xmpp={"admins": [address]})
