"""XEP-0050: commands in one step and in several, and who may go on with them."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import pytest

from fakes import World
from fakes.xmpp.extensions import commands
from fakes.xmpp.extensions.commands import COMMAND, COMMANDS, Command, Commands, Step
from fakes.xmpp.forms import Field, Form, build
from fakes.xmpp.stanzas import Stanza, parse_stanza
from tests.xmpp_raw import Client, bound, world

NAME = "<x xmlns='jabber:x:data' type='submit'><field var='name'><value>R</value></field></x>"


def greet(stage: int, form: Form | None) -> Step:
    """Asks for a name, then for a word, and greets."""
    if stage == 0 or form is None:
        return Step(build("", [Field("name")]), done=False)
    if stage == 1:
        return Step(build("", [Field("word", values=(form.text("name"),))]), done=False)
    return Step(note=f"Hello, {form.text('name')}")


def place() -> World:
    found = world()
    extension = found.jabber.service.extensions.named("commands")
    assert isinstance(extension, Commands)
    extension.added["greet"] = Command("Greet", greet)
    return found


def run(client: Client, node: str, content: str = "", type: str = "set", **given: str) -> Stanza:
    attributes = "".join(f" {name}='{value}'" for name, value in given.items())
    command = f"<command xmlns='{COMMANDS}' node='{node}'{attributes}>{content}</command>"
    return parse_stanza(
        client.says(f"<iq type='{type}' id='1' to='example.test'>{command}</iq>".encode())
    )


def answer(stanza: Stanza) -> Element:
    [command] = stanza.element.findall(COMMAND)
    return command


def exact(stanza: Stanza) -> list[str]:
    """The conditions of an error, the exact one last."""
    error = stanza.child("error")
    assert error is not None
    return [child.tag.rpartition("}")[2] for child in error]


def test_the_commands_are_listed_and_described() -> None:
    client = bound(place())
    items = "<query xmlns='http://jabber.org/protocol/disco#items' node='%s'/>"
    found = client.says(f"<iq type='get' id='1' to='example.test'>{items % COMMANDS}</iq>".encode())
    assert [(item.get("node"), item.get("name")) for item in parse_stanza(found).element[0]] == [
        ("ping", "Ping"),
        ("greet", "Greet"),
    ]
    info = "<query xmlns='http://jabber.org/protocol/disco#info' node='%s'/>"
    for node, type in ((COMMANDS, "command-list"), ("greet", "command-node")):
        found = client.says(f"<iq type='get' id='1' to='example.test'>{info % node}</iq>".encode())
        assert parse_stanza(found).element[0][0].attrib["type"] == type
    unknown = f"<iq type='get' id='1' to='example.test'>{info % 'x'}</iq>".encode()
    assert parse_stanza(client.says(unknown)).condition == "item-not-found"


def test_a_command_of_one_step_answers_at_once() -> None:
    command = answer(run(bound(place()), "ping"))
    assert command.get("status") == "completed"
    assert (command[0].text or "").startswith("Pong: ")


def test_a_command_of_several_steps_goes_forward_and_back() -> None:
    client = bound(place())
    first = answer(run(client, "greet"))
    id = first.get("sessionid") or ""
    assert first.get("status") == "executing"
    second = answer(run(client, "greet", NAME, sessionid=id, action="next"))
    assert second.get("status") == "executing" and second.get("sessionid") == id
    back = answer(run(client, "greet", sessionid=id, action="prev"))
    assert [field.get("var") for field in back.iter("{jabber:x:data}field")] == ["name"]
    run(client, "greet", NAME, sessionid=id, action="next")
    last = answer(run(client, "greet", NAME, sessionid=id, action="complete"))
    assert (last.get("status"), last[0].text) == ("completed", "Hello, R")
    assert exact(run(client, "greet", NAME, sessionid=id))[-1] == "bad-sessionid"


def test_a_command_that_is_cancelled_is_over() -> None:
    client = bound(place())
    id = answer(run(client, "greet")).get("sessionid") or ""
    assert answer(run(client, "greet", sessionid=id, action="cancel")).get("status") == "canceled"
    assert exact(run(client, "greet", sessionid=id, action="next"))[-1] == "bad-sessionid"


def test_nobody_goes_on_with_the_command_of_another_user() -> None:
    where = place()
    romeo = bound(where)
    id = answer(run(romeo, "greet")).get("sessionid") or ""
    for action in ("next", "cancel"):
        thief = run(bound(where, "juliet"), "greet", NAME, sessionid=id, action=action)
        assert exact(thief)[-1] == "bad-sessionid"
    assert answer(run(romeo, "greet", NAME, sessionid=id, action="next")).get("status")


@pytest.mark.parametrize(
    ("node", "given", "conditions"),
    [
        ("x", {}, ["item-not-found", "text"]),
        ("greet", {"action": "dance"}, ["bad-request", "malformed-action"]),
        ("greet", {"action": "prev"}, ["bad-request", "bad-action"]),
        ("greet", {"action": "cancel"}, ["bad-request", "bad-action"]),
        ("greet", {"sessionid": "x"}, ["bad-request", "bad-sessionid"]),
    ],
)
def test_what_cannot_be_done_is_refused(
    node: str, given: dict[str, str], conditions: list[str]
) -> None:
    client = bound(place())
    assert exact(run(client, node, **given)) == conditions
    assert exact(run(client, "ping", type="get")) == ["bad-request"]


def test_commands_that_are_never_finished_are_abandoned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "OPEN", 2)
    client = bound(place())
    ids = [answer(run(client, "greet")).get("sessionid") or "" for _ in range(3)]
    assert exact(run(client, "greet", NAME, sessionid=ids[0]))[-1] == "bad-sessionid"
    assert answer(run(client, "greet", NAME, sessionid=ids[1])).get("status") == "executing"
