"""XEP-0004 (2.13.2): data forms, as they are written and as they are read.

An unknown field of a submitted form is kept, and what uses the form decides about it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import element
from fakes.xmpp.stanzas import StanzaError

DATA = "jabber:x:data"
X = f"{{{DATA}}}x"
FIELDS = 1000  # fields of one form, and values of one field


@dataclass(frozen=True)
class Field:
    """A field of a form: `options` are its choices."""

    name: str
    type: str = "text-single"
    label: str = ""
    values: Sequence[str] = ()
    options: Sequence[str] = ()
    required: bool = False

    def element(self, type: str = "form") -> Element:
        """Builds the field; in a result its type and its options are left out."""
        children = [element(f"{{{DATA}}}value", text=value) for value in self.values]
        attributes: dict[str, str | None] = {"var": self.name}
        if type == "form" or self.type == "hidden":
            attributes["type"] = self.type
        if type == "form":
            if self.required:
                children.insert(0, element(f"{{{DATA}}}required"))
            choices = (element(f"{{{DATA}}}value", text=option) for option in self.options)
            children += [element(f"{{{DATA}}}option", {}, choice) for choice in choices]
        attributes["label"] = self.label or None
        return element(f"{{{DATA}}}field", attributes, *children)


def boolean(name: str, label: str, value: bool) -> Field:
    """A field that is true or false."""
    return Field(name, "boolean", label, ("1" if value else "0",))


def build(
    form_type: str,
    fields: Iterable[Field],
    *,
    type: str = "form",
    title: str = "",
    instructions: str = "",
) -> Element:
    """Builds a form; its hidden first field names what it is for (XEP-0068)."""
    x = element(X, {"type": type})
    if title:
        x.append(element(f"{{{DATA}}}title", text=title))
    if instructions:
        x.append(element(f"{{{DATA}}}instructions", text=instructions))
    if form_type:
        x.append(Field("FORM_TYPE", "hidden", values=(form_type,)).element(type))
    x.extend(field.element(type) for field in fields)
    return x


@dataclass(frozen=True)
class Form:
    """A form that was submitted or cancelled: the values of each field."""

    type: str
    values: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, parent: Element) -> Form | None:
        """Reads the form in an element; None if there is none. Raises StanzaError."""
        x = parent.find(X)
        if x is None:
            return None
        fields = x.findall(f"{{{DATA}}}field")
        if len(fields) > FIELDS or any(len(one) > FIELDS for one in fields):
            raise StanzaError("not-acceptable", f"a form has {FIELDS} fields at most")
        values = {
            one.get("var", ""): [value.text or "" for value in one.findall(f"{{{DATA}}}value")]
            for one in fields
        }
        return cls(x.get("type", "submit"), values)

    def text(self, name: str, default: str = "") -> str:
        """The first value of a field; the default if it was not submitted."""
        values = self.values.get(name)
        return values[0] if values else default

    def flag(self, name: str, default: bool = False) -> bool:
        """The value of a boolean field. Raises StanzaError for what is not one."""
        value = self.text(name, "1" if default else "0").strip()
        if value not in ("0", "1", "true", "false"):
            raise StanzaError("not-acceptable", f"{name} is 0 or 1")
        return value in ("1", "true")

    def choice(self, name: str, choices: Sequence[str], default: str) -> str:
        """The value of a field with these choices. Raises StanzaError for another one."""
        value = self.text(name, default)
        if value not in choices:
            raise StanzaError("not-acceptable", f"{name} is one of {', '.join(choices)}")
        return value
