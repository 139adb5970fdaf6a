"""What the clients of custom-extension ask, and the answers that they get."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from fakes import World

BOT = "bot@yourco.test"
COMMANDS = "http://jabber.org/protocol/commands"
FEATURE = "{http://jabber.org/protocol/disco#info}feature"
DATA = "jabber:x:data"


def asks(world: World, person: Any, id: str, content: str, type: str = "get") -> None:
    """Sends a query to each device of the program."""
    for device in world.jabber.sessions(BOT):
        person.sends(f"<iq to='{device}' type='{type}' id='{id}'>{content}</iq>")


class Silence:
    """What stands for an answer that has not come, as when the connection was lost."""

    condition = ""
    element = ElementTree.fromstring("<iq><nothing/></iq>")


def answer(person: Any, id: str) -> Any:
    """The first answer to a query."""
    found = answers(person, id)
    return found[0] if found else Silence()


def answers(person: Any, id: str) -> list[Any]:
    """The answers to a query."""
    return [stanza for stanza in person.all if stanza.kind == "iq" and stanza.id == id]


def command(content: str = "", node: str = "mysql", **attributes: str) -> str:
    """An order over a form, or the request for the form."""
    more = "".join(f" {name}='{value}'" for name, value in attributes.items())
    return f"<command xmlns='{COMMANDS}' node='{node}'{more}>{content}</command>"


def form(**values: str) -> str:
    """A form that was filled in."""
    fields = "".join(
        f"<field var='{name}'><value>{value}</value></field>" for name, value in values.items()
    )
    return f"<x xmlns='{DATA}' type='submit'>{fields}</x>"


def session(person: Any, id: str) -> str:
    """The id of the form that answered a query; "" if none did."""
    return next((found.element[0].get("sessionid", "") for found in answers(person, id)), "")


def note(person: Any, id: str) -> tuple[str, str]:
    """The type and the text of the note in an answer, or ("error", the exact condition)."""
    found = answer(person, id)
    text = found.element.find(f"{{{COMMANDS}}}command/{{{COMMANDS}}}note")
    if text is not None:
        return text.get("type", ""), text.text or ""
    error = found.element.find("{jabber:client}error")
    names = [one.tag.rpartition("}")[2] for one in (() if error is None else error)]
    return "error", next((name for name in reversed(names) if name != "text"), "no answer")
