"""Data forms (XEP-0004): a form that a user fills in, what comes back, and a result.

    fields = [Field("action", "list-single", "What to do", options=("restart", "stop"))]
    element = form("MySQL", "Choose what MySQL is to do.", fields)
    values = submitted(parent, fields)          # {"action": "restart"}; raises ValueError

What a user submits is checked against the fields that were shown, as a web form would be: a client
may send anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from xml.etree.ElementTree import Element, SubElement

DATA = "jabber:x:data"
LONGEST = 1000  # characters of a value
QUOTED = 60  # characters of a wrong value that an error quotes


@dataclass(frozen=True)
class Field:
    """A field with one value. `options` are the choices of a list, `value` is its default."""

    name: str
    type: Literal["list-single", "text-single", "boolean"] = "text-single"
    label: str = ""
    options: tuple[str, ...] = ()
    value: str = ""
    required: bool = True


def form(title: str, instructions: str, fields: Iterable[Field]) -> Element:
    """Returns a form to be filled in (XEP-0004 §3.1)."""
    x = _form("form", title)
    SubElement(x, f"{{{DATA}}}instructions").text = instructions
    for field in fields:
        attributes = {"var": field.name, "type": field.type, "label": field.label or field.name}
        element = SubElement(x, f"{{{DATA}}}field", attributes)
        if field.required and field.type != "boolean":
            SubElement(element, f"{{{DATA}}}required")
        if field.value:
            SubElement(element, f"{{{DATA}}}value").text = field.value
        for option in field.options:
            choice = SubElement(element, f"{{{DATA}}}option", {"label": option})
            SubElement(choice, f"{{{DATA}}}value").text = option
    return x


def result(title: str, values: Mapping[str, str]) -> Element:
    """Returns the result of a form."""
    x = _form("result", title)
    for name, value in values.items():
        field = SubElement(x, f"{{{DATA}}}field", {"var": name})
        SubElement(field, f"{{{DATA}}}value").text = value
    return x


def submitted(parent: Element, fields: Sequence[Field]) -> dict[str, str]:
    """Returns the values of a form that was submitted, by the names of its fields.

    Fields that were not shown are ignored. A boolean is "1" or "0". Raises ValueError, whose text
    is for the user, if there is no such form or if a value cannot be right.
    """
    x = parent.find(f"{{{DATA}}}x")
    if x is None or x.get("type") != "submit":
        raise ValueError("the form was not submitted")
    given: dict[str, str] = {}
    known = {field.name: field for field in fields}
    for element in x.iterfind(f"{{{DATA}}}field"):
        name = element.get("var", "")
        if name not in known:
            continue
        values = [value.text or "" for value in element.iterfind(f"{{{DATA}}}value")]
        if name in given or len(values) > 1:
            raise ValueError(f"{name}: one value is wanted")
        given[name] = values[0] if values else ""
    return {name: _checked(field, given.get(name, field.value)) for name, field in known.items()}


def _checked(field: Field, value: str) -> str:
    """Returns the value of a field. Raises ValueError."""
    if len(value) > LONGEST:
        raise ValueError(f"{field.name}: more than {LONGEST} characters")
    if field.type == "boolean":
        word = value.strip() or "0"
        if word not in ("0", "1", "false", "true"):
            raise ValueError(f"{field.name}: neither yes nor no: {value[:QUOTED]!r}")
        return "1" if word in ("1", "true") else "0"
    if field.required and not value.strip():
        raise ValueError(f"{field.name}: a value is missing")
    if field.type == "list-single" and value and value not in field.options:
        choices = ", ".join(field.options)
        raise ValueError(f"{field.name}: {value[:QUOTED]!r} is not a choice; choose from {choices}")
    return value


def _form(type: str, title: str) -> Element:
    x = Element(f"{{{DATA}}}x", {"type": type})
    SubElement(x, f"{{{DATA}}}title").text = title
    return x
