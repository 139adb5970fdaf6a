"""Requests: who may answer, and what an answer, an error or none at all means."""

from __future__ import annotations

from xml.etree.ElementTree import Element

import pytest

from comms.errors import Refused, TryLater, Unknown, Unreachable
from comms.xmpp import Jid, stanzas
from comms.xmpp.questions import Question, Questions
from comms.xmpp.stanzas import IQ

OWN = Jid.parse("bot@example.test/desk")


def query(to: str = "") -> Element:
    return stanzas.iq("get", Element("{urn:xmpp:ping}ping"), Jid.parse(to) if to else None)


def answer(id: str, kind: str = "result") -> Element:
    return Element(IQ, {"type": kind, "id": id})


def asked(to: str, sender: str | None, id: str = "q1") -> Question:
    """A question to `to`, and an answer from `sender`."""
    questions = Questions()
    with questions.ask(query(to), "q1", OWN) as question:
        questions.answered(answer(id), None if sender is None else Jid.parse(sender))
    return question


@pytest.mark.parametrize(
    ("to", "sender"),
    [
        ("", None),
        ("", "bot@example.test"),
        ("", "bot@example.test/desk"),
        ("", "example.test"),
        ("bot@example.test", None),
        ("bot@example.test", "bot@example.test"),
        ("them@example.test", "them@example.test"),
        ("them@example.test/desk", "them@example.test/desk"),
        ("example.test", "example.test"),
    ],
)
def test_the_address_that_was_asked_may_answer(to: str, sender: str | None) -> None:
    assert asked(to, sender).answer is not None


@pytest.mark.parametrize(
    ("to", "sender"),
    [
        ("", "them@example.test"),
        ("", "bot@example.test/other"),
        ("bot@example.test", "example.test"),
        ("them@example.test", None),
        ("them@example.test", "them@example.test/desk"),
        ("them@example.test", "bot@example.test"),
        ("them@example.test/desk", "them@example.test"),
        ("example.test", "evil.example"),
    ],
)
def test_nobody_else_may_answer(to: str, sender: str | None) -> None:
    assert asked(to, sender).answer is None


def test_an_answer_to_another_request_is_ignored() -> None:
    assert asked("them@example.test", "them@example.test", id="q2").answer is None


def test_an_answer_that_comes_too_late_is_ignored() -> None:
    questions = Questions()
    with questions.ask(query(), "q1", OWN) as question:
        pass
    questions.answered(answer("q1"), None)
    assert question.answer is None


def test_a_result_is_returned() -> None:
    question = asked("", None)
    assert question.result(30, None) is question.answer


def test_an_error_is_raised_as_the_condition_says() -> None:
    questions = Questions()
    for kind, expected in (("cancel", Refused), ("wait", TryLater)):
        with questions.ask(query("them@example.test"), "q1", OWN) as question:
            refusal = stanzas.error(question.query, "service-unavailable", kind)
            questions.answered(refusal, Jid.parse("them@example.test"))
        about = r"the query to them@example\.test about urn:xmpp:ping: service-unavailable"
        with pytest.raises(expected, match=about):
            question.result(30, None)


def test_no_answer_means_later_or_unknown() -> None:
    with Questions().ask(query(), "q1", OWN) as question:
        pass
    with pytest.raises(TryLater, match="no answer within 30 s"):
        question.result(30, None)
    with pytest.raises(Unknown, match="lost before the answer came: the server hung up"):
        question.result(30, Unreachable("the server hung up"))


def test_a_query_to_no_address_is_a_value_error_and_leaves_nothing_open() -> None:
    questions = Questions()
    bad = query()
    bad.set("to", "a b@")
    with pytest.raises(ValueError), questions.ask(bad, "q1", OWN):
        pass
    assert questions._open == {}
