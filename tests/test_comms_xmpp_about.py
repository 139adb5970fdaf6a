"""What the client answers about itself."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import pytest

from comms.xmpp import about
from fakes.version import VERSION


def asked(name: str, tag: str = "query", **attributes: str) -> Element:
    found = about.answers(lambda: 1767571200.9, lambda: ["urn:own"])[name]
    answer = found(Element(f"{{{name}}}{tag}", attributes))
    assert answer is not None
    return answer


def test_the_features_are_those_that_are_answered_and_those_of_the_program() -> None:
    answer = asked(about.INFO)
    identity = answer.find(f"{{{about.INFO}}}identity")
    assert identity is not None and identity.get("category") == "client"
    features = [found.get("var") for found in answer.iterfind(f"{{{about.INFO}}}feature")]
    assert features == sorted(set(features), key=str), "each once, and in order"
    assert {about.INFO, about.VERSION, about.TIME, "urn:own", "urn:xmpp:receipts"} <= set(features)


def test_there_is_nothing_below_the_client() -> None:
    assert len(asked(about.ITEMS)) == 0
    for name in (about.INFO, about.ITEMS):
        with pytest.raises(LookupError):
            asked(name, node="commands")


def test_the_version_is_that_of_this_software_and_the_system_stays_unknown() -> None:
    answer = asked(about.VERSION)
    assert {child.tag.rpartition("}")[2]: child.text for child in answer} == {
        "name": "comms",
        "version": about.NUMBER,
    }
    assert VERSION.startswith(about.NUMBER)


def test_the_time_is_in_utc() -> None:
    answer = asked(about.TIME, "time")
    assert [child.text for child in answer] == ["+00:00", "2026-01-05T00:00:00Z"]
