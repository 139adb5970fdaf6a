"""What a transcript may write about mail after `then:`."""

from __future__ import annotations

from fakes.transcripts.mail import WORDS
from fakes.world import World
from tests.smtp_raw import send_mail

ALICE = "alice@example.test"


def test_a_world_without_mail() -> None:
    mail = World(rehearsal=True).mail
    assert WORDS["mail"](mail, "0") == "0"
    assert WORDS["inbox"](mail, f"{ALICE} 0") == f"{ALICE} 0"
    assert WORDS["content"](mail, "") == WORDS["envelope"](mail, "") == "(no mail)"


def test_each_word_answers_as_the_transcript_writes_it() -> None:
    world = World(rehearsal=True)
    send_mail(
        world,
        "MAIL FROM:<carol@example.org>",
        f"RCPT TO:<{ALICE}>",
        "RCPT TO:<bob@example.test>",
        body=b"Subject: \xff\r\n\r\nhi\r\n",
    )
    assert WORDS["mail"](world.mail, "") == "1"
    assert WORDS["inbox"](world.mail, f"{ALICE} 7") == f"{ALICE} 1", "what is, not what is expected"
    assert (
        WORDS["envelope"](world.mail, "") == f"<carol@example.org> -> <{ALICE}>, <bob@example.test>"
    )
    assert WORDS["content"](world.mail, "") == r"Subject: \xff\r\n\r\nhi\r\n"
