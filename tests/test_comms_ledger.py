"""The ledger: a request is recognised when it comes again, and no command runs twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from comms.ledger import Ledger, keys, message_id_key
from comms.read import read
from comms.state import State

# ── by which keys a mail is recognised ───────────────────────────────────────


def test_fields_that_servers_add_do_not_make_another_mail() -> None:
    mail = read(b"Received: x\r\nMessage-ID: <1@x.y>\r\nSubject: a\r\n\r\nb")
    again = read(b"Received: y\r\nStatus: RO\r\nMessage-ID: <1@x.y>\r\nSubject: a\r\n\r\nb")
    assert keys(mail, "box", "7") == keys(again, "box", "7")


@pytest.mark.parametrize(
    "trace",
    [
        "Received: y\r\nX-Received: z\r\n",
        "Return-Path: <x@y.z>\r\nDelivered-To: us@us.test\r\n",
        "ARC-Seal: i=1\r\nAuthentication-Results: mx; spf=pass\r\nDKIM-Signature: v=1\r\n",
        "X-Spam-Status: No\r\nX-Virus-Scanned: yes\r\nX-MS-Exchange-Organization-SCL: 1\r\n",
        "Content-Length: 9\r\nLines: 1\r\nX-UIDL: 7\r\nX-Mozilla-Status: 0001\r\n",
    ],
)
def test_no_field_that_a_server_may_add_makes_another_mail(trace: str) -> None:
    mail = "Message-ID: <1@x.y>\r\nFrom: a@x.y\r\nSubject: a\r\n{}\r\nb\r\n"
    assert keys(read(mail.format("").encode())) == keys(
        read(f"{trace}{mail.format(trace)}".encode())
    )


def test_a_mail_that_a_server_has_encoded_again_is_the_same() -> None:
    head = b"Message-ID: <1@x.y>\r\nSubject: a\r\n b\r\nContent-Type: text/plain; charset=utf-8\r\n"
    plain = head + "\r\nGr\u00fc\u00dfe\r\n".encode()
    encoded = head.replace(b"a\r\n b", b"a b")
    encoded += b"Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=BC=C3=9Fe\r\n\r\n"
    assert keys(read(plain)) == keys(read(encoded))


@pytest.mark.parametrize(
    "other",
    [
        "From: a@x.y\r\nSubject: a\r\n\r\nc\r\n",
        "From: a@x.y\r\nSubject: b\r\n\r\nb\r\n",
        "From: b@x.y\r\nSubject: a\r\n\r\nb\r\n",
        "From: a@x.y\r\nSubject: a\r\nDate: Mon, 05 Jan 2026 00:00:00 +0000\r\n\r\nb\r\n",
        "From: a@x.y\r\nSubject: a\r\nIn-Reply-To: <9@x.y>\r\n\r\nb\r\n",
        'From: a@x.y\r\nSubject: a\r\nContent-Disposition: attachment; filename="f"\r\n\r\nb\r\n',
    ],
)
def test_another_mail_with_a_known_message_id_has_other_keys(other: str) -> None:
    mail = read(b"Message-ID: <1@x.y>\r\nFrom: a@x.y\r\nSubject: a\r\n\r\nb\r\n")
    another = read(f"Message-ID: <1@x.y>\r\n{other}".encode())
    assert not {*keys(mail, "box", "7")} & {*keys(another, "box", "7")}
    assert message_id_key(mail) == message_id_key(another) == "message-id:<1@x.y>"


def test_a_unique_id_counts_only_with_the_same_mailbox_and_text() -> None:
    mail = read(b"Message-ID: <1@x.y>\r\n\r\nb")
    other_text = read(b"Message-ID: <1@x.y>\r\n\r\nc")
    uid, message_id = keys(mail, "box", "7")
    assert message_id.startswith("message-id:<1@x.y>:")
    assert keys(other_text, "box", "7")[0] != uid, "some servers use ids again"
    assert keys(mail, "other", "7")[0] != uid
    assert keys(mail) == (message_id,)


def test_a_mail_without_message_id_has_no_key_of_it() -> None:
    assert message_id_key(read(b"Subject: a\r\n\r\n")) == ""


def test_without_message_id_a_dated_mail_is_recognised_by_its_text() -> None:
    dated = b"Date: Mon, 05 Jan 2026 00:00:00 +0000\r\n\r\nb"
    assert keys(read(b"Received: x\r\n" + dated)) == keys(read(b"Received: y\r\n" + dated))


def test_without_message_id_and_date_each_delivery_is_another_mail() -> None:
    assert keys(read(b"Received: x\r\n\r\nb")) != keys(read(b"Received: y\r\n\r\nb"))


# ── the course of a command ──────────────────────────────────────────────────


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State(tmp_path / "s.sqlite3") as state:
        yield state


def intend(state: State, *known_by: str, target: str = "mysql") -> int | None:
    ledger = Ledger(state)
    with state.transaction() as db:
        return ledger.intend(db, known_by, target, "restart", {"who": "jeremy"}, 1.0)


def test_an_intent_is_stored_with_its_facts(state: State) -> None:
    ledger = Ledger(state)
    id = intend(state, "a")
    [entry] = ledger.entries("intended")
    assert (entry.id, entry.target, entry.what, entry.intended) == (id, "mysql", "restart", 1.0)
    assert entry.facts == {"who": "jeremy"} and ledger.find("a") == entry


def test_a_request_that_came_before_is_recognised_by_any_of_its_keys(state: State) -> None:
    ledger = Ledger(state)
    id = intend(state, "a", "b")
    assert id is not None
    with state.transaction() as db:
        ledger.add_key(db, id, "c")
    for known_by in (["a"], ["x", "b"], ["c"]):
        assert intend(state, *known_by) is None
    assert intend(state, "x") is not None, "refused requests leave no keys"


def test_only_one_process_may_begin_an_intent(state: State, tmp_path: Path) -> None:
    id = intend(state, "a")
    assert id is not None
    with State(tmp_path / "s.sqlite3") as other:
        mine, theirs = Ledger(state), Ledger(other)
        assert mine.begin(id, 2.0)
        assert not theirs.begin(id, 3.0) and not mine.begin(id, 3.0)
        with state.transaction() as db:
            mine.end(db, id, "done", {"code": 0}, 4.0)
        assert not theirs.begin(id, 5.0), "what is done is not begun again"
        [entry] = theirs.entries("done")
        assert entry.outcome == {"code": 0}


def test_commands_on_the_same_target_run_one_after_the_other(state: State) -> None:
    ledger = Ledger(state)
    first, second = intend(state, "a"), intend(state, "b")
    other = intend(state, "c", target="apache")
    assert first is not None and second is not None and other is not None
    assert ledger.begin(first, 2.0)
    assert not ledger.begin(second, 2.0)
    assert ledger.begin(other, 2.0)
    with state.transaction() as db:
        ledger.end(db, first, "done", {}, 3.0)
    assert ledger.begin(second, 4.0)


def test_a_command_that_was_running_when_the_program_died_stays_begun(tmp_path: Path) -> None:
    with State(tmp_path / "s.sqlite3") as before:
        id = intend(before, "a")
        assert id is not None and Ledger(before).begin(id, 2.0)
    with State(tmp_path / "s.sqlite3") as after:
        ledger = Ledger(after)
        assert [entry.id for entry in ledger.entries("begun")] == [id]
        assert not ledger.begin(id, 3.0) and intend(after, "a") is None


def test_an_outcome_and_what_belongs_to_it_commit_together(state: State) -> None:
    ledger = Ledger(state)
    id = intend(state, "a")
    assert id is not None and ledger.begin(id, 2.0)
    with contextlib.suppress(ZeroDivisionError), state.transaction() as db:
        ledger.end(db, id, "done", {}, 3.0)
        raise ZeroDivisionError
    assert [entry.id for entry in ledger.entries("begun")] == [id]


def test_attempts_are_counted_and_forgotten(state: State) -> None:
    ledger = Ledger(state)
    ledger.begin_attempt("a")
    ledger.begin_attempt("a")
    assert (ledger.attempts("a"), ledger.attempts("b")) == (2, 0)
    ledger.end_attempt("a")
    assert ledger.attempts("a") == 0
