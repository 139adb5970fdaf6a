"""The trap: mail for any address is appended to a text file, unharmed, and goes nowhere else."""

from __future__ import annotations

import poplib
import smtplib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from fakes.mail import Envelope, Mail, Recipient
from fakes.trap import TrapFile, trapped
from fakes.world import World

TRAP = {
    "servers": ["smtp", "pop3"],
    "mail": {"trap": True},
    "person": [{"address": "trap@example.test", "password": "trap"}, {"address": "b@example.test"}],
}
BODY = "Subject: Order 1\r\n\r\nThank you!\r\n"


def mail(raw: bytes, sender: str = "a@x.test", *to: str) -> Mail:
    return Mail(raw, Envelope(sender, tuple(map(Recipient, to or ("b@y.test",)))), 1767600000.0)


def test_a_message_is_appended_between_markers(tmp_path: Path) -> None:
    path = tmp_path / "trap.txt"
    path.write_bytes(b"Notes of somebody else.\n")
    file = TrapFile(path)
    file.append(mail(BODY.encode(), "shop@x.test", "ann@y.test", "bob@z.test"))
    file.append(mail(b"no line end", ""))
    assert path.read_text() == (
        "Notes of somebody else.\n"
        "* Message begins 2026-01-05 08:00:00 from <shop@x.test> to <ann@y.test> <bob@z.test>\n"
        "Subject: Order 1\n\nThank you!\n* Message ends\n\n"
        "* Message begins 2026-01-05 08:00:00 from <> to <b@y.test>\n"
        "no line end\n* Message ends\n\n"
    )
    first, second = trapped(str(path))
    assert (first.raw.decode(), first.envelope.to) == (BODY, ["ann@y.test", "bob@z.test"])
    assert (second.envelope.sender, second.at) == ("", 1767600000.0)


LINES = st.sampled_from(
    [
        b"* Message ends",
        b"* Message begins 2026-01-05 08:00:00 from <a@x> to <b@y>",
        b"text",
        b"\xff",
    ]
)


@pytest.mark.slow
@given(
    st.lists(st.builds(lambda mark, line: mark + line, st.sampled_from([b"", b">", b">>"]), LINES))
)
@example([])
def test_no_message_can_pretend_to_be_another_one(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("trap") / "trap.txt"
    raw = b"".join(line + b"\r\n" for line in lines)
    file = TrapFile(path)
    sender = '"q> to <"@x.test'
    for _ in range(2):
        file.append(mail(raw, sender, '"* \\" >"@y.test', "b@y.test"))
    assert [one.raw for one in trapped(path)] == [raw] * 2
    envelope = trapped(path)[0].envelope
    assert envelope.sender == sender and envelope.to == ['"* \\" >"@y.test', "b@y.test"]


def test_a_half_message_is_not_read_as_one(tmp_path: Path) -> None:
    path = tmp_path / "trap.txt"
    TrapFile(path).append(mail(b"whole\r\n"))
    half = path.read_bytes()
    path.write_bytes(half + half[:-20])
    assert [one.raw for one in trapped(path)] == [b"whole\r\n"]


def test_mail_for_any_address_is_in_the_file_and_in_the_first_maildrop(tmp_path: Path) -> None:
    path = tmp_path / "trap.txt"
    with World({**TRAP, "tls": "off"}) as world:
        world.mail.append_to(str(path))
        with smtplib.SMTP(*world.address("smtp"), local_hostname="x") as client:
            for to in (["ann@gmail.com", "b@example.test"], ["unknown@example.test"]):
                assert client.sendmail("shop@x.test", to, BODY) == {}
        maildrop = poplib.POP3(*world.address("pop3"))
        maildrop.user("trap")
        maildrop.pass_("trap")
        assert maildrop.stat()[0] == 2
        assert b"Thank you!" in maildrop.retr(2)[1]
        maildrop.quit()
        other = poplib.POP3(*world.address("pop3"))
        other.user("b@example.test")
        other.pass_("secret")
        assert other.stat()[0] == 0
        other.quit()
        assert world.mail.relayed == []
    assert [one.envelope.to for one in trapped(path)] == [
        ["ann@gmail.com", "b@example.test"],
        ["unknown@example.test"],
    ]


def test_a_mail_that_cannot_be_written_is_refused_for_now_and_not_kept() -> None:
    with World({**TRAP, "tls": "off"}) as world:
        world.mail.append_to(Path("/dev/full"))
        with smtplib.SMTP(*world.address("smtp"), local_hostname="x") as client:
            with pytest.raises(
                smtplib.SMTPDataError, match="Insufficient system storage"
            ) as caught:
                client.sendmail("shop@x.test", ["ann@gmail.com"], BODY)
            assert caught.value.smtp_code == 452
        assert len(world.mail.inbox("trap@example.test")) == 0


def test_an_application_gets_the_right_errors() -> None:
    with World({**TRAP, "tls": "off"}) as world:
        with smtplib.SMTP(*world.address("smtp"), local_hostname="x") as client:
            client.ehlo()
            assert client.docmd("SEND", "it")[0] == 500
            assert client.docmd("DATA")[0] == 503
            assert client.mail("shop@x.test")[0] == 250
            assert client.docmd("DATA")[0] == 503
            assert client.docmd("RCPT", "TO:ann@gmail.com")[0] == 501
            assert client.docmd("DATA")[0] == 554
        assert world.mail.messages == []


def test_a_file_that_cannot_be_written_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        World(TRAP).mail.append_to(tmp_path / "missing" / "trap.txt")
