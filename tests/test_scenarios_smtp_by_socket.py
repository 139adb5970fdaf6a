"""smtp-by-socket: replies in any pieces, commands byte for byte, and no lie about the outcome."""

from __future__ import annotations

import contextlib
import io
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from comms import settings
from comms.clock import RealClock
from comms.errors import CommsError, Refused, TryLater, Unreachable
from comms.host import RealHost
from fakes.wire import Record
from fakes.world import World
from scenarios import catalogue, rehearsal
from scenarios.play import merged
from scenarios.sending.smtp_by_socket import FRIEND, STUDENT, TEACHER, WORLD, run
from scenarios.sending.smtp_by_socket_dialogue import Dialogue, Reply
from tests.drills import cuts, sampled, three_of

PAGE = catalogue.named("smtp-by-socket")
ACT = PAGE.acts()[0]


@contextlib.contextmanager
def said(answers: bytes) -> Iterator[tuple[Dialogue, socket.socket]]:
    """A dialogue on a plain socket, whose server has sent this and closed its side."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(answers)
        theirs.shutdown(socket.SHUT_WR)
        yield Dialogue(ours), theirs


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        (b"250 OK\r\n", Reply(250, ("OK",))),
        (b"250-one\r\n250-two\r\n250 three\r\n", Reply(250, ("one", "two", "three"))),
        (b"250\r\n", Reply(250, ("",))),
        (b"250-\r\n250 \r\n", Reply(250, ("", ""))),
        (b"250 caf\xe9\r\n", Reply(250, ("caf\N{REPLACEMENT CHARACTER}",))),
        (b"250 only LF\n", Reply(250, ("only LF",))),
    ],
)
def test_a_reply_is_read_to_its_last_line(answer: bytes, reply: Reply) -> None:
    with said(answer + b"221 next\r\n") as (dialogue, _):
        assert dialogue.ask("NOOP") == reply
        assert dialogue.ask("NOOP").code == 221


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        (b"450 4.2.0 busy\r\n", TryLater, "NOOP: 450 4.2.0 busy"),
        (b"550-no\r\n550 never\r\n", Refused, "NOOP: 550 no / never"),
        (b"354 go on\r\n", TryLater, "NOOP: 354 go on"),
        (b"HTTP/1.1 400 Bad Request\r\n", ConnectionError, "this is not SMTP: 'HTTP/1.1"),
        (b"150 too low\r\n", ConnectionError, "this is not SMTP"),
        (b"250-begun\r\n", ConnectionError, "the server closed the connection"),
        (b"250 no line end", ConnectionError, "the server closed the connection"),
        (b"", ConnectionError, "the server closed the connection"),
    ],
)
def test_a_reply_of_another_class_is_an_error_that_names_the_step(
    answer: bytes, error: type[Exception], text: str
) -> None:
    with said(answer) as (dialogue, _), pytest.raises(error) as caught:
        dialogue.ask("NOOP")
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("mail", "sent"),
    [
        (b"a\r\n.\r\nb\r\n", b"a\r\n..\r\nb\r\n.\r\n"),
        (b".\r\n..\r\n...\r\n", b"..\r\n...\r\n....\r\n.\r\n"),
        (b"a.b\r\nc.\r\n", b"a.b\r\nc.\r\n.\r\n"),
    ],
)
def test_only_dots_at_the_beginning_of_a_line_are_doubled(mail: bytes, sent: bytes) -> None:
    with said(b"250 OK\r\n") as (dialogue, server):
        dialogue.send_mail(mail)
        assert server.recv(1000) == sent


def test_mail_and_recipients_may_go_in_one_write() -> None:
    with said(b"250 a\r\n250 b\r\n550 c\r\n") as (dialogue, server):
        with pytest.raises(Refused, match="three: 550 c"):
            dialogue.ask("one", "two", "three")
        assert server.recv(1000) == b"one\r\ntwo\r\nthree\r\n"


# ── the program in real time, and inside TLS ─────────────────────────────────


def outcome(world: World, **smtp: Any) -> tuple[int, str]:
    """Runs the program on real time. Returns its exit code, and what it printed or raised."""
    tables = merged(world.settings, {"smtp": smtp})
    output = io.StringIO()
    with contextlib.closing(RealClock()) as clock:
        try:
            return run(clock, settings.load(tables), RealHost(output, output)), output.getvalue()
        except CommsError as error:
            return error.exit_code, str(error)


@pytest.mark.parametrize("listener", ["smtp", "smtps"])
def test_it_sends_inside_tls(listener: str) -> None:
    with World({**WORLD, "tls": "required" if listener == "smtp" else "optional"}) as world:
        changes = {"port": world.address(listener)[1]}
        tls = "starttls" if listener == "smtp" else "implicit"
        code, printed = outcome(world, tls=tls, **changes)
        assert (code, "sent: 250" in printed) == (0, True)
        envelope = world.mail.wait_for().envelope
        assert (envelope.sender, envelope.to) == (STUDENT, [TEACHER, FRIEND])
        assert envelope.protocol == "ESMTPS"


def test_without_starttls_it_says_goodbye_in_clear_text_and_sends_nothing() -> None:
    with World({**WORLD, "tls": "off"}) as world:
        code, error = outcome(world, tls="starttls")
        assert (code, "does not offer STARTTLS" in error) == (4, True)
        verbs = [record.verb for record in world.records if record.direction == "C"]
        assert verbs == ["EHLO", "QUIT"]


def test_a_certificate_that_is_not_trusted_ends_it() -> None:
    with World({**WORLD, "tls": "optional"}, faults=["tls certificate self-signed"]) as world:
        code, error = outcome(world)
        assert (code, "not trusted" in error) == (4, True)
        assert world.mail.messages == []


def test_what_follows_the_answer_to_starttls_is_never_read() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"220 a\r\n250-b\r\n250 STARTTLS\r\n220 go\r\n250 injected\r\n")
        dialogue = Dialogue(ours)
        for command in ("", "EHLO x", "STARTTLS"):
            dialogue.ask(command)
        assert dialogue.unread == b"250 injected\r\n"


def test_a_server_that_is_silent_or_away_is_reported() -> None:
    with World({**WORLD, "tls": "off"}, faults=["MAIL stall"]) as world:
        code, error = outcome(world, timeout=0.05)
        assert (code, error) == (3, f"MAIL FROM:<{STUDENT}>: no answer within 0.05 s")
        world.close_port("smtp")
        assert outcome(world)[0] == Unreachable.exit_code


# ── drills ───────────────────────────────────────────────────────────────────


def recorded() -> list[Record]:
    """What crosses the wire in the first act."""
    recording = rehearsal.rehearse(PAGE, ACT).recording
    return [item for item in recording if isinstance(item, Record)]


FOUND = list(cuts(recorded()))
CUTS = sampled(FOUND, three_of(FOUND))


@pytest.mark.parametrize("fault", CUTS)
def test_wherever_the_connection_is_lost_the_outcome_is_reported_as_it_is(fault: str) -> None:
    performance = rehearsal.rehearse(PAGE, ACT, [fault])
    text = " ".join(event["text"] for event in performance.events)
    assert performance.unmet == []
    arrived = len(performance.mails) == 1
    assert performance.tracebacks == []
    if "sent: 250" in text:
        assert arrived
    elif "exit code 5" not in text:
        assert not arrived
        assert "exit code 3" in text
