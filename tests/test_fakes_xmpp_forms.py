"""Data forms: how they are written, and what is not accepted (XEP-0004)."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from fakes.xmpp import forms
from fakes.xmpp.forms import Field, Form, boolean, build
from fakes.xmpp.markup import element, serialize
from fakes.xmpp.stanzas import StanzaError


def read(content: str, type: str = "submit") -> Form:
    x = f"<q><x xmlns='jabber:x:data' type='{type}'>{content}</x></q>"
    form = Form.read(ElementTree.fromstring(x))
    assert form is not None
    return form


def field(name: str, *values: str) -> str:
    return f"<field var='{name}'>{''.join(f'<value>{value}</value>' for value in values)}</field>"


def test_a_form_has_its_type_titles_values_and_options() -> None:
    color = Field("color", "list-single", "Color", ("red",), ("red", "blue"))
    x = build("urn:x", [color, boolean("big", "Big?", True)], title="Choose")
    assert serialize(x) == (
        "<x xmlns='jabber:x:data' type='form'><title>Choose</title>"
        "<field var='FORM_TYPE' type='hidden'><value>urn:x</value></field>"
        "<field var='color' type='list-single' label='Color'><value>red</value>"
        "<option><value>red</value></option><option><value>blue</value></option></field>"
        "<field var='big' type='boolean' label='Big?'><value>1</value></field></x>"
    )
    result = serialize(build("", [color], type="result"))
    assert "option" not in result and "list-single" not in result


def test_a_submitted_form_is_read_by_field() -> None:
    form = read(field("a", "1", "2") + field("b") + field("ok", "true"))
    assert form.values == {"a": ["1", "2"], "b": [], "ok": ["true"]}
    assert (form.text("a"), form.text("b", "x"), form.text("c", "y")) == ("1", "x", "y")
    assert form.flag("ok") and form.flag("missing", True) and not form.flag("missing")
    assert form.choice("a", ("1", "2"), "2") == "1"
    assert Form.read(element("{urn:x}q")) is None


def test_what_is_not_a_value_of_the_field_is_refused() -> None:
    form = read(field("ok", "perhaps") + field("color", "green"))
    with pytest.raises(StanzaError, match="not-acceptable"):
        form.flag("ok")
    with pytest.raises(StanzaError, match="not-acceptable"):
        form.choice("color", ("red", "blue"), "red")


def test_a_form_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "FIELDS", 3)
    assert len(read("".join(field(str(n)) for n in range(3))).values) == 3
    for content in ("".join(field(str(n)) for n in range(4)), field("a", *"1234")):
        with pytest.raises(StanzaError, match="not-acceptable"):
            read(content)
