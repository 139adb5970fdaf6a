"""What users of aim-gateway send to it."""

from __future__ import annotations

from typing import Any

GATE = "aim.yourco.test"
REGISTER = "jabber:iq:register"


def asks(person: Any, id: str, content: str, type: str = "get", to: str = GATE) -> None:
    """Sends a query to the gateway."""
    person.sends(f"<iq to='{to}' type='{type}' id='{id}'>{content}</iq>")


def registers(person: Any, name: str, password: str, id: str = "register") -> None:
    """Registers a screen name."""
    fields = f"<username>{name}</username><password>{password}</password>"
    asks(person, id, f"<query xmlns='{REGISTER}'>{fields}</query>", "set")


def unregisters(person: Any, id: str = "remove") -> None:
    """Ends the registration."""
    asks(person, id, f"<query xmlns='{REGISTER}'><remove/></query>", "set")


def answers(person: Any, id: str) -> list[Any]:
    """The answers to a query."""
    return [stanza for stanza in person.all if stanza.kind == "iq" and stanza.id == id]


def conditions(person: Any, id: str) -> list[str]:
    """The conditions of the answers to a query; "" for a result."""
    return [stanza.condition for stanza in answers(person, id)]
