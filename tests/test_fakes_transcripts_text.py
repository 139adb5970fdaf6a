"""The grammar of transcripts: what is read, and how a mistake is reported."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.transcripts.text import Step, TranscriptError, load, parse, split

EXAMPLE = """SMTP: two clients (RFC 5321)
given: tls = "off"
given: off.smtp = ["SIZE"]
fault: NOOP nth 2 stall
talks: bob pop3
talks: web http at toc

# A comment, and an empty line before it.
alice C: NOOP
alice S: 250 *
bob C| US
clock: 300
alice C: (leaves)
alice C| (leaves)
then: inbox alice@example.test 1
alice S: 250 1
aiosmtpd: 250 (ours 501)
"""


def test_a_transcript_is_read_into_steps() -> None:
    found = parse(EXAMPLE)
    assert (found.title, found.protocol) == ("SMTP: two clients (RFC 5321)", "smtp")
    assert found.given == {"tls": "off", "off": {"smtp": ["SIZE"]}}
    assert found.faults == ["NOOP nth 2 stall"]
    assert found.steps == [
        Step(9, "C", "NOOP", "alice"),
        Step(10, "S", "250 *", "alice"),
        Step(11, "C", "US", "bob", whole=False),
        Step(12, "clock", "300"),
        Step(13, "C", "(leaves)", "alice"),
        Step(14, "C", "(leaves)", "alice", whole=False),
        Step(15, "then", "inbox alice@example.test 1"),
        Step(16, "S", "250 1", "alice"),
        Step(17, "aiosmtpd", "250 (ours 501)"),
    ]
    assert [step.event for step in found.steps[4:6]] == ["leaves", ""], "a fragment is data"


def test_each_client_talks_the_protocol_of_the_title_or_another_one() -> None:
    found = parse(EXAMPLE)
    clients = ("alice", "bob", "web")
    assert [found.protocol_of(name) for name in clients] == ["smtp", "pop3", "http"]
    assert [found.listener_of(name) for name in clients] == ["smtp", "pop3", "toc"]
    assert found.config()["servers"] == ["smtp", "pop3", "toc"]


def test_a_line_that_begins_with_a_space_continues_the_line_before_it() -> None:
    text = "XMPP: x\nC: <iq id='1'\n   type='get'>\n  <query/>\n  </iq>\n"
    (step,) = parse(text).steps
    assert step.text == "<iq id='1' type='get'><query/></iq>", "no space before a tag"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("two clients\n", "t.txt:1: the title is 'two clients'; write PROTOCOL: what is shown"),
        ("SMTP: x\nX: what\n", "t.txt:2: 'X: what' is not a step; write C: …, S: …, or one of"),
        ("SMTP: x\nthn: mail 1\n", r"t.txt:2: .* is not a step \(did you mean 'then'\?\)"),
        ("SMTP: x\n\n  more\n", "t.txt:3: nothing to continue; a line that begins with a space"),
        ("SMTP: x\nthen: mail 1\n more\n", "t.txt:3: nothing to continue"),
        ("SMTP: x\nS: *\n", r"t.txt:2: a line of \* alone matches anything"),
        ("SMTP: x\ntalks: web\n", "t.txt:2: talks: 'web' names no protocol"),
        ("SMTP: x\nclock: soon\n", "t.txt:2: clock: 'soon' is not a number of seconds"),
        ("SMTP: x\ngiven: [\n", "t.txt:2: the given: lines are not TOML"),
        ("SMTP: x\ngiven: a = 1\n\ngiven: b = x\n", "t.txt:4: the given: lines are not TOML"),
        ("SMTP: x\ngiven: a = 1\ngiven: a = 2\n", "t.txt:3: the given: lines are not TOML"),
        ("SMTP: x\nC: (closes)\n", r"t.txt:2: \(closes\) is an event of the other side; write S:"),
        ("SMTP: x\nS: (tls)\n", r"t.txt:2: \(tls\) is an event of the other side; write C: \(tls"),
    ],
)
def test_a_mistake_is_reported_with_file_line_and_remedy(text: str, message: str) -> None:
    with pytest.raises(TranscriptError, match=message):
        parse(text, "t.txt")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TranscriptError, match=r"smtp-x\.txt: cannot be read: No such file"):
        load(tmp_path / "smtp-x.txt")
    (tmp_path / "latin1.txt").write_bytes(b"SMTP: caf\xe9\n")
    with pytest.raises(TranscriptError, match=r"latin1\.txt: is not UTF-8"):
        load(tmp_path / "latin1.txt")


def test_the_last_field_of_a_form_takes_the_rest() -> None:
    assert split("romeo juliet good night", "FROM TO TEXT") == ["romeo", "juliet", "good night"]
    assert split("romeo", "ADDRESS …") == ["romeo", ""]
    for text in ("", "romeo", " juliet x"):
        with pytest.raises(ValueError, match="expected FROM TO TEXT"):
            split(text, "FROM TO TEXT")
