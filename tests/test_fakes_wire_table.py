"""The legality table: a wrong one fails when the class is created."""

from __future__ import annotations

from typing import ClassVar

import pytest

from fakes.servers import SERVERS
from fakes.wire import Rule, Session, rule


def test_a_row_splits_its_states() -> None:
    row = rule("READY MAIL", "RFC 5321 §4.1.1.3", then="MAIL RCPT")
    assert row == Rule(frozenset({"READY", "MAIL"}), "RFC 5321 §4.1.1.3", ("MAIL", "RCPT"))


@pytest.mark.parametrize(
    "row", [rule("READY MIAL", "§1"), rule("READY", "§1", then="MIAL")], ids=["states", "then"]
)
def test_a_misspelt_state_fails_at_import_and_names_the_nearest(row: Rule) -> None:
    message = (
        r"Wrong: the rule for 'RCPT' names an unknown state 'MIAL' "
        r"\(did you mean 'MAIL'\?\); states: READY, MAIL"
    )
    with pytest.raises(TypeError, match=message):

        class Wrong(Session):
            states: ClassVar[str] = "READY MAIL"
            verbs: ClassVar[dict[str, Rule]] = {"RCPT": row}


def test_a_state_that_resembles_none_is_refused_without_a_hint() -> None:
    with pytest.raises(TypeError, match=r"names an unknown state 'XYZ'; states: READY$"):

        class Wrong(Session):
            states: ClassVar[str] = "READY"
            verbs: ClassVar[dict[str, Rule]] = {"RCPT": rule("XYZ", "§1")}


def test_a_verb_without_a_handler_fails_at_import() -> None:
    with pytest.raises(TypeError, match="Lacks: the verb 'NOOP' has no handler; define do_NOOP"):

        class Lacks(Session):
            states: ClassVar[str] = "READY"
            verbs: ClassVar[dict[str, Rule]] = {"NOOP": rule("READY", "§1")}


@pytest.mark.parametrize("server", SERVERS, ids=lambda server: server.name)
def test_every_state_of_a_protocol_is_used(server: object) -> None:
    session = server.session  # type: ignore[attr-defined]
    used = {state for row in session.verbs.values() for state in (*row.states, *row.then)}
    assert set(session.states.split()) - used <= {"PAUSED"}, "TOC's server may pause by itself"
