"""Fetching mail by IMAP: each way to log in, the traps of imaplib, and what removes which mails."""

from __future__ import annotations

import base64
import contextlib
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from comms import imap, pop3, settings
from comms.errors import CommsError, OddReply, Refused, RefusedNow, TryLater, Unknown, Unreachable
from comms.imap import Mailbox
from comms.mailbox import Entry, open_mailbox
from comms.settings import Server
from fakes.world import World
from tests.scripted import JumpingClock, Peer, RecordingHost, certificate

GREETING = b"* OK ready\r\n"
CAPABILITIES = b"IMAP4rev1 UIDPLUS MOVE"
SELECTED = (
    b"* FLAGS (\\Seen \\Deleted)\r\n* OK [PERMANENTFLAGS (\\Seen \\Deleted \\*)] Limited\r\n"
    b"* 2 EXISTS\r\n* OK [UIDVALIDITY 3] valid\r\nTAG OK [READ-WRITE] done\r\n"
)
LISTED = (
    b"* 1 FETCH (UID 7 RFC822.SIZE 40 FLAGS (\\Seen))\r\n"
    b"* 2 FETCH (UID 9 RFC822.SIZE 50 FLAGS ())\r\nTAG OK done\r\n"
)
DONE = b"TAG OK done\r\n"
BYE = (b"LOGOUT", b"* BYE\r\nTAG OK bye\r\n")
LIST = (b"UID FETCH 1:* (UID RFC822.SIZE FLAGS)", LISTED)
STORE = (rb"UID STORE 7 +FLAGS.SILENT (\Deleted comms-handled)", DONE)
EXPUNGE = (b"UID EXPUNGE 7", DONE)
SEVEN, NINE = Entry("3.7", 40, 7), Entry("3.9", 50, 9)

Step = tuple[bytes, bytes]


@pytest.fixture
def clock() -> Iterator[JumpingClock]:
    clock = JumpingClock()
    yield clock
    clock.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    return certificate(tmp_path_factory.mktemp("ca"), "localhost", "127.0.0.1")


def offering(words: bytes) -> Step:
    return (b"CAPABILITY", b"* CAPABILITY " + words + b"\r\n" + DONE)


def dialogue(*steps: Step, greeting: bytes = GREETING) -> Callable[[Peer], None]:
    """A script: a greeting, and for each command how it begins, and the answer with its tag."""

    def script(peer: Peer) -> None:
        peer.send(greeting)
        for command, answer in steps:
            line = peer.expect(b"\r\n")
            tag, _, rest = line.partition(b" ")
            assert rest.startswith(command), f"expected {command!r}, received {rest!r}"
            peer.send(answer.replace(b"TAG", tag))

    return script


def selected(
    *steps: Step, capabilities: bytes = CAPABILITIES, selecting: bytes = SELECTED
) -> Callable[[Peer], None]:
    """A script with the login done."""
    login = (b'LOGIN "alice" "secret"', DONE)
    offer = offering(capabilities)
    return dialogue(offer, login, offer, (b'SELECT "INBOX"', selecting), *steps)


def server(peer: Peer, **keys: Any) -> Server:
    given: dict[str, Any] = {
        "tls": "none",
        "user": "alice",
        "password": "secret",
        "timeout": 2.0,
    } | keys
    return Server("imap", "127.0.0.1", peer.port, **given)


def commands(peer: Peer) -> list[str]:
    """What the client has sent, without the tags."""
    lines = peer.received[0].decode("latin-1").split("\r\n")
    return [line.partition(" ")[2] for line in lines if line]


# ── logging in ───────────────────────────────────────────────────────────────

PLAIN = base64.b64encode(b"\0alice\0secret").decode()


@pytest.mark.parametrize(
    ("offered", "auth", "encrypted", "sent"),
    [
        (b"AUTH=PLAIN AUTH=CRAM-MD5", "auto", True, ["AUTHENTICATE PLAIN"]),
        (b"AUTH=CRAM-MD5", "auto", True, ["AUTHENTICATE CRAM-MD5"]),
        (b"AUTH=PLAIN AUTH=SCRAM-SHA-1", "auto", True, ["AUTHENTICATE SCRAM-SHA-1"]),
        (b"AUTH=SCRAM-SHA-1 AUTH=SCRAM-SHA-256", "auto", False, ["AUTHENTICATE SCRAM-SHA-256"]),
        (b"AUTH=PLAIN AUTH=SCRAM-SHA-1", "scram-sha-256", False, []),
        (b"", "auto", True, ['LOGIN "alice" "secret"']),
        (b"AUTH=PLAIN AUTH=CRAM-MD5", "auto", False, ["AUTHENTICATE CRAM-MD5"]),
        (b"AUTH=PLAIN", "auto", False, ['LOGIN "alice" "secret"']),
        (b"AUTH=PLAIN LOGINDISABLED", "auto", False, ["AUTHENTICATE PLAIN"]),
        (b"AUTH=PLAIN AUTH=CRAM-MD5", "plain", False, ["AUTHENTICATE PLAIN"]),
        (b"AUTH=PLAIN AUTH=CRAM-MD5", "login", True, ['LOGIN "alice" "secret"']),
        (b"AUTH=PLAIN AUTH=CRAM-MD5", "cram-md5", True, ["AUTHENTICATE CRAM-MD5"]),
        (b"LOGINDISABLED", "auto", False, []),
        (b"LOGINDISABLED", "auto", True, []),
        (b"LOGINDISABLED AUTH=PLAIN", "login", True, []),
        (b"", "plain", True, []),
        (b"AUTH=PLAIN", "cram-md5", True, []),
    ],
)
def test_the_strongest_way_to_log_in_is_taken_and_no_other(
    clock: JumpingClock,
    tls: tuple[ssl.SSLContext, Path],
    offered: bytes,
    auth: str,
    encrypted: bool,
    sent: list[str],
) -> None:
    refused = b"TAG NO [AUTHENTICATIONFAILED] no secret\r\n"

    def script(peer: Peer) -> None:
        if encrypted:
            peer.start_tls()
        dialogue(offering(b"IMAP4rev1 " + offered))(peer)
        if not sent:
            return
        tag, _, command = peer.expect(b"\r\n").partition(b" ")
        if command.startswith(b"AUTH"):
            peer.send(b"+ PDFAeD4=" if b"CRAM-MD5" in command else b"+ ")
            peer.send(b"\r\n")
            peer.expect(b"\r\n")
        peer.send(refused.replace(b"TAG", tag))

    with Peer(script, tls=tls[0]) as peer:
        keys = {"tls": "implicit", "ca_file": tls[1]} if encrypted else {}
        with pytest.raises(Refused) as refusal:
            Mailbox(server(peer, auth=auth, **keys), clock, token=lambda length: "x" * length)
    assert "secret" not in str(refusal.value)
    assert ("offers no way to log in" in str(refusal.value)) == (not sent)
    if not encrypted:
        said = [line for line in commands(peer) if line.startswith(("LOGIN", "AUTH"))]
        assert said == sent


def test_plain_and_cram_md5_send_what_their_rfcs_say(clock: JumpingClock) -> None:
    # RFC 2195 §2
    challenge = b"PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+"
    answer = b"dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"
    for way, question, wanted, user, password in (
        ("cram-md5", b"+ " + challenge, answer, "tim", "tanstaaftanstaaf"),
        ("plain", b"+ ", base64.b64encode("\0tïm\0gehëim".encode()), "tïm", "gehëim"),
        ("plain", b"+", base64.b64encode(b"\0alice\0secret"), "alice", "secret"),
    ):

        def script(peer: Peer, question: bytes = question, wanted: bytes = wanted) -> None:
            dialogue(offering(b"IMAP4rev1 AUTH=PLAIN AUTH=CRAM-MD5"))(peer)
            tag, _, _ = peer.expect(b"\r\n").partition(b" ")
            peer.send(question + b"\r\n")
            assert peer.expect(b"\r\n") == wanted + b"\r\n"
            peer.send(tag + b" NO no\r\n")

        with Peer(script) as peer, pytest.raises(Refused, match="refused the login of"):
            Mailbox(server(peer, auth=way, user=user, password=password), clock)


def test_user_and_password_are_quoted(clock: JumpingClock) -> None:
    steps = (offering(b"IMAP4rev1"), (rb'LOGIN "a \"b\" c" "s \\ \"t\""', b"TAG NO no\r\n"))
    with Peer(dialogue(*steps)) as peer, pytest.raises(Refused):
        Mailbox(server(peer, user='a "b" c', password='s \\ "t"'), clock)


def test_a_login_beyond_ascii_is_not_sent_by_login(clock: JumpingClock) -> None:
    with Peer(dialogue(offering(b"IMAP4rev1"))) as peer, pytest.raises(Refused, match="no way"):
        Mailbox(server(peer, user="ünal"), clock)


@pytest.mark.parametrize("keys", [{"user": "a\r\nA9 X"}, {"password": "x\r\n"}, {"user": "a\0"}])
def test_a_line_break_in_a_login_cannot_add_a_command(
    clock: JumpingClock, keys: dict[str, str]
) -> None:
    with Peer(dialogue(offering(b"IMAP4rev1 AUTH=PLAIN"))) as peer:
        with pytest.raises(Refused, match="could add a command; nothing was sent"):
            Mailbox(server(peer, **keys), clock)
    assert commands(peer) == ["CAPABILITY"]


@pytest.mark.parametrize("keys", [{"folder": "a\r\nA9 DELETE b"}, {"folder": "\0"}])
def test_a_line_break_in_a_folder_cannot_add_a_command(
    clock: JumpingClock, keys: dict[str, str]
) -> None:
    steps = (offering(b"IMAP4rev1"), (b"LOGIN", DONE), offering(b"IMAP4rev1"))
    with Peer(dialogue(*steps)) as peer, pytest.raises(Refused, match="nothing was sent"):
        Mailbox(server(peer, **keys), clock)
    assert len(commands(peer)) == 3


@pytest.mark.parametrize(
    ("folder", "sent"),
    [("My Box", '"My Box"'), ('a"b\\', r'"a\"b\\"'), ("Entwürfe", '"Entw&APw-rfe"')],
)
def test_a_folder_is_quoted_in_modified_utf_7(clock: JumpingClock, folder: str, sent: str) -> None:
    steps = (offering(b"IMAP4rev1"), (b"LOGIN", DONE), offering(b"IMAP4rev1"))
    missing = (b"SELECT " + sent.encode() + b"\r\n", b"TAG NO [NONEXISTENT] unknown\r\n")
    with Peer(dialogue(*steps, missing)) as peer:
        with pytest.raises(Refused, match=r"refused the folder .*unknown"):
            Mailbox(server(peer, folder=folder), clock)


@pytest.mark.parametrize("challenge", [b"+ YQ==", b"+"])
def test_a_login_that_never_ends_is_given_up(clock: JumpingClock, challenge: bytes) -> None:
    def script(peer: Peer) -> None:
        dialogue(offering(b"IMAP4rev1 AUTH=CRAM-MD5"))(peer)
        for _ in range(imap.STEPS + 1):
            peer.expect(b"\r\n")
            peer.send(challenge + b"\r\n")

    with Peer(script) as peer, pytest.raises(Unreachable, match="one challenge after another"):
        Mailbox(server(peer), clock)


def test_a_challenge_that_is_not_base64_ends_the_session(clock: JumpingClock) -> None:
    steps = (offering(b"IMAP4rev1 AUTH=CRAM-MD5"), (b"AUTHENTICATE", b"+ x\r\n"))
    with Peer(dialogue(*steps)) as peer, pytest.raises(Unreachable, match="is not base64"):
        Mailbox(server(peer), clock)


def test_a_goodbye_without_a_text_is_named(clock: JumpingClock) -> None:
    steps = (offering(b"IMAP4rev1"), (b"LOGIN", b"* BYE\r\n"))
    with Peer(dialogue(*steps)) as peer, pytest.raises(Unreachable, match=r"BYE"):
        Mailbox(server(peer), clock)


def test_a_server_may_write_its_codes_in_small_letters(clock: JumpingClock) -> None:
    selecting = b"* 1 exists\r\n* ok [uidvalidity 7] x\r\nTAG ok [read-only]\r\n"
    listing = (b"UID FETCH", b"* 1 fetch (uid 9 rfc822.size 5 flags ())\r\nTAG ok\r\n")
    with Peer(selected(listing, BYE, selecting=selecting)) as peer:
        with Mailbox(server(peer), clock) as mailbox:
            assert [entry.id for entry in mailbox.entries()] == ["7.9"]
            assert mailbox._read_only


# ── TLS ──────────────────────────────────────────────────────────────────────


def test_capabilities_in_clear_text_are_forgotten_in_tls(
    clock: JumpingClock, tls: tuple[ssl.SSLContext, Path]
) -> None:
    def script(peer: Peer) -> None:
        dialogue(offering(b"IMAP4rev1 STARTTLS LOGINDISABLED"), (b"STARTTLS", DONE))(peer)
        peer.start_tls()
        steps = [offering(b"IMAP4rev1"), (b"LOGIN", DONE), offering(b"IMAP4rev1")]
        dialogue(*steps, (b"SELECT", SELECTED), BYE, greeting=b"")(peer)

    with Peer(script, tls=tls[0]) as peer:
        Mailbox(server(peer, tls="starttls", ca_file=tls[1]), clock).close()


def test_without_starttls_nothing_is_sent_in_clear_text(clock: JumpingClock) -> None:
    with Peer(dialogue(offering(b"IMAP4rev1 AUTH=PLAIN"))) as peer:
        with pytest.raises(Refused, match="does not offer STARTTLS"):
            Mailbox(server(peer, tls="starttls"), clock)
    assert commands(peer) == ["CAPABILITY"]


@pytest.mark.parametrize("answer", [b"TAG NO not now\r\n", b"TAG BAD what\r\n"])
def test_a_refused_starttls_ends_the_session(clock: JumpingClock, answer: bytes) -> None:
    steps = (offering(b"IMAP4rev1 STARTTLS"), (b"STARTTLS", answer))
    with Peer(dialogue(*steps)) as peer, pytest.raises(Refused, match="refused STARTTLS"):
        Mailbox(server(peer, tls="starttls"), clock)
    assert len(commands(peer)) == 2


def test_bytes_after_the_answer_to_starttls_are_an_attack(clock: JumpingClock) -> None:
    injected = DONE + b"* CAPABILITY IMAP4rev1\r\nA2 OK done\r\n"
    steps = (offering(b"IMAP4rev1 STARTTLS"), (b"STARTTLS", injected))
    with Peer(dialogue(*steps)) as peer, pytest.raises(Unreachable, match="injection attack"):
        Mailbox(server(peer, tls="starttls"), clock)
    assert len(commands(peer)) == 2


def test_preauth_cannot_make_us_skip_tls(clock: JumpingClock) -> None:
    with Peer(dialogue(greeting=b"* PREAUTH hello\r\n")) as peer:
        with pytest.raises(Refused, match="TLS cannot be started"):
            Mailbox(server(peer, tls="starttls"), clock)
    assert commands(peer) == []
    steps = (offering(CAPABILITIES), (b"SELECT", SELECTED), BYE)
    with Peer(dialogue(*steps, greeting=b"* PREAUTH hello\r\n")) as peer:
        Mailbox(server(peer), clock).close()


# ── greetings, answers, refusals ─────────────────────────────────────────────


@pytest.mark.parametrize(
    ("greeting", "kind", "text"),
    [
        (b"* BYE too many connections\r\n", TryLater, "too many connections"),
        (b"* NO go away\r\n", Unreachable, "go away"),
        (b"220 smtp.test ESMTP\r\n", Unreachable, "sent no IMAP greeting"),
        (b"+OK pop3\r\n", Unreachable, "sent no IMAP greeting"),
        (b"\r\n", Unreachable, "sent no IMAP greeting"),
        (b"", Unreachable, "the connection ended"),
        (b"* OK " + b"x" * 200_000, Unreachable, "more than"),
        (b"* OK a\nb\r\n", Unreachable, "line break"),
    ],
)
def test_a_greeting_that_is_none_is_an_error(
    clock: JumpingClock, greeting: bytes, kind: type[CommsError], text: str
) -> None:
    with Peer(dialogue(greeting=greeting)) as peer, pytest.raises(kind, match=text) as error:
        Mailbox(server(peer), clock)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"* BYE Connection is closed. 13\r\n", Unreachable),
        (b"", Unreachable),
        (b"TAG NO [UNAVAILABLE] later\r\n", TryLater),
        (b"TAG BAD what\r\n", RefusedNow),
        (b"* CAPABILITY IMAP4rev2 LOGINDISABLED\r\nTAG OK done\r\n", Refused),
    ],
)
def test_what_fails_after_the_greeting_is_not_said_of_the_greeting(
    clock: JumpingClock, answer: bytes, kind: type[CommsError]
) -> None:
    with Peer(dialogue((b"CAPABILITY", answer))) as peer, pytest.raises(CommsError) as error:
        Mailbox(server(peer), clock)
    assert type(error.value) is kind
    assert "greeting" not in str(error.value)


NESTED = b"(" * 2000 + b")" * 2000


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"TAG NO [UNAVAILABLE] later\r\n", TryLater),
        (b"TAG NO [INUSE] later\r\n", TryLater),
        (b"TAG no [limit] later\r\n", TryLater),
        (b"TAG NO [SERVERBUG] Internal error occurred\r\n", TryLater),
        (b"TAG NO broken\r\n", RefusedNow),
        (b"TAG BAD what\r\n", RefusedNow),
        (b"TAG NO [NOPERM] never\r\n", Refused),
        (b"TAG NO\r\n", RefusedNow),
        (b"* BYE shutting down\r\n", Unreachable),
        (b"what\r\n", Unreachable),
        (b"B7 OK done\r\n", Unreachable),
        (b"* 1 FETCH (UID 1\r\nTAG OK done\r\n", Unreachable),
        (b"* 1 FETCH (UID x RFC822.SIZE 5)\r\nTAG OK done\r\n", OddReply),
        (b"* 1 FETCH (UID 0 RFC822.SIZE 5)\r\nTAG OK done\r\n", OddReply),
        (b"* 1 FETCH (UID 1 RFC822.SIZE -5)\r\nTAG OK done\r\n", OddReply),
        (b"* 1 FETCH (UID 1 RFC822.SIZE (5))\r\nTAG OK done\r\n", OddReply),
        (b"* 1 FETCH (UID 1 FLAGS %b)\r\nTAG OK done\r\n" % NESTED, Unreachable),
        (b"* 1 FETCH (UID 1 RFC822.SIZE %b)\r\nTAG OK done\r\n" % NESTED, Unreachable),
        (b"* 1 FETCH (UID " + b"9" * 5000 + b" RFC822.SIZE 5)\r\nTAG OK done\r\n", OddReply),
        (b"* OK [UIDVALIDITY 4] new\r\nTAG OK done\r\n", Unreachable),
        (b"* OK [UIDVALIDITY x] new\r\nTAG OK done\r\n", OddReply),
    ],
)
def test_refusals_nonsense_and_goodbyes_are_different_errors(
    clock: JumpingClock, answer: bytes, kind: type[CommsError]
) -> None:
    in_step = kind in (TryLater, Refused, RefusedNow)
    steps = [(LIST[0], answer), *([BYE] if in_step else [])]
    with Peer(selected(*steps)) as peer:
        with pytest.raises(kind) as error, Mailbox(server(peer), clock) as mailbox:
            mailbox.entries()
        assert type(error.value) is kind
    assert (commands(peer)[-1] == "LOGOUT") == in_step


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"TAG BAD User is authenticated but not connected.\r\n", RefusedNow),  # Exchange, if busy
        (b"TAG NO System Error\r\n", RefusedNow),
        (
            b"TAG NO [SERVERBUG] Internal error occurred\r\n",
            TryLater,
        ),  # Dovecot, if its disk is full
        (b"TAG NO [NOPERM] never\r\n", Refused),
    ],
)
def test_an_inbox_that_cannot_be_opened_may_be_there_later(
    clock: JumpingClock, answer: bytes, kind: type[CommsError]
) -> None:
    with Peer(selected(selecting=answer)) as peer, pytest.raises(CommsError) as error:
        Mailbox(server(peer), clock)
    assert type(error.value) is kind


def test_another_folder_that_cannot_be_opened_is_refused(clock: JumpingClock) -> None:
    steps = (offering(b"IMAP4rev1"), (b"LOGIN", DONE), offering(b"IMAP4rev1"))
    with Peer(dialogue(*steps, (b"SELECT", b"TAG NO unknown\r\n"))) as peer:
        with pytest.raises(Refused) as error:
            Mailbox(server(peer, folder="Work"), clock)
    assert type(error.value) is Refused


@pytest.mark.parametrize("begin", range(90, 96))
def test_the_mask_comes_before_the_cut(clock: JumpingClock, begin: int) -> None:
    odd = b"x" * begin + b" \0 secret"
    steps = (offering(b"IMAP4rev1"), (b"LOGIN", odd + b"\r\nTAG OK\r\n"))
    with Peer(dialogue(*steps)) as peer, pytest.raises(Unreachable) as error:
        Mailbox(server(peer), clock)
    assert "xxx" in str(error.value) and "sec" not in str(error.value)


def test_the_password_is_masked_in_what_a_server_repeats(clock: JumpingClock) -> None:
    steps = (offering(b"IMAP4rev1"), (b"LOGIN", b'TAG BAD LOGIN "alice" "secret" unknown\r\n'))
    with Peer(dialogue(*steps)) as peer, pytest.raises(Refused) as refusal:
        Mailbox(server(peer), clock)
    assert "secret" not in str(refusal.value) and "alice" in str(refusal.value)


def test_alerts_are_shown_and_nothing_else_is_done_about_them(clock: JumpingClock) -> None:
    alerts = b"".join(b"* OK [ALERT] %d secret\x1b[31m\r\n" % n for n in range(20))
    greeting = b"* OK [ALERT] Maintenance at noon {5}\r\n"
    login = (b"LOGIN", b"TAG OK [alert] Quota is nearly full\r\n")
    offer = offering(CAPABILITIES)
    steps = (offer, login, offer, (b"SELECT", alerts + SELECTED), BYE)
    shown: list[str] = []
    with Peer(dialogue(*steps, greeting=greeting)) as peer:
        Mailbox(server(peer), clock, shown.append).close()
    assert shown[:2] == ["Maintenance at noon {5}", "Quota is nearly full"]
    assert shown[2] == "0 … [31m"
    assert len(shown) == imap.ALERTS and not any("\x1b" in text for text in shown)


def test_a_text_that_ends_like_a_literal_is_a_text(clock: JumpingClock) -> None:
    listed = b"* OK {5}\r\n* NO really {999999999999}\r\n" + LISTED
    with Peer(selected((LIST[0], listed), BYE)) as peer:
        with Mailbox(server(peer), clock) as mailbox:
            assert mailbox.entries() == [SEVEN, NINE]


def test_words_may_be_in_any_case_and_a_status_without_text(clock: JumpingClock) -> None:
    listed = LISTED.replace(b"FETCH", b"fetch").replace(b"OK done", b"ok")
    steps = ((LIST[0], listed), (b"UID SEARCH", b"* search 7\r\nTAG OK\r\n"), BYE)
    with Peer(selected(*steps)) as peer, Mailbox(server(peer), clock) as mailbox:
        assert (len(mailbox.entries()), mailbox.unseen()) == (2, 1)


def test_the_commands_are_the_same_each_time(clock: JumpingClock) -> None:
    sent = []
    for _ in range(2):
        with Peer(selected(LIST, BYE)) as peer, Mailbox(server(peer), clock) as mailbox:
            mailbox.entries()
        sent.append(peer.received)
    assert sent[0] == sent[1] and sent[0][0].startswith(b"A0 CAPABILITY\r\nA1 LOGIN")


@pytest.mark.parametrize("chunk", [1, 7])
def test_answers_may_come_in_any_pieces(clock: JumpingClock, chunk: int) -> None:
    content = (b"UID FETCH 7 (", b"* 1 FETCH (BODY[] {5}\r\na\r\n)b UID 7)\r\nTAG OK done\r\n")
    with Peer(selected(LIST, content, BYE), chunk=chunk) as peer:
        with Mailbox(server(peer), clock) as mailbox:
            assert mailbox.fetch(mailbox.entries()[0]) == b"a\r\n)b"


# ── listing and fetching ─────────────────────────────────────────────────────


def test_what_a_server_sends_unasked_is_not_taken_for_the_answer(clock: JumpingClock) -> None:
    listed = (
        b"* 3 EXISTS\r\n* 1 RECENT\r\n* 2 FETCH (UID 9 RFC822.SIZE 50 FLAGS ())\r\n"
        b"* 5 FETCH (FLAGS (\\Deleted))\r\n* 1 EXPUNGE\r\n* FLAGS (\\Seen)\r\n"
        b"* 1 FETCH (UID 11 FLAGS (\\Seen))\r\n* SEARCH 1 2 3\r\n* LIST () NIL {3}\r\nabc\r\n"
        b"* 1 FETCH (FLAGS (\\Seen) ENVELOPE ({1}\r\nx NIL) RFC822.SIZE 40 UID 7)\r\n"
        b"* 9 FETCH (UID 9 FLAGS (\\Seen))\r\nTAG OK done\r\n"
    )
    content = (
        b"* 2 FETCH (UID 9 BODY[] {5}\r\nwrong)\r\n* 1 FETCH (FLAGS (\\Seen))\r\n"
        b"* 1 FETCH (UID 7 BODY[HEADER] {5}\r\nwrong)\r\n"
        b"* 1 FETCH (UID 7 BODY[] {5}\r\nright)\r\n* 1 FETCH (UID 7 FLAGS (\\Seen))\r\n"
        b"* 4 EXISTS\r\nTAG OK done\r\n"
    )
    steps = ((LIST[0], listed), (b"UID FETCH 7 (UID BODY.PEEK[])\r\n", content), BYE)
    with Peer(selected(*steps)) as peer, Mailbox(server(peer), clock) as mailbox:
        assert mailbox.entries() == [SEVEN, NINE]
        assert mailbox.fetch(SEVEN) == b"right"


def test_mails_that_others_have_marked_are_not_listed_and_our_own_are(
    clock: JumpingClock,
) -> None:
    listed = (
        b"* 1 FETCH (UID 7 RFC822.SIZE 1 FLAGS (\\deleted \\Seen))\r\n"
        b"* 2 FETCH (UID 9 RFC822.SIZE 1 FLAGS (\\Deleted Comms-Handled))\r\n"
        b"* 3 FETCH (UID 12 RFC822.SIZE 1 FLAGS (Comms-Handled))\r\nTAG OK done\r\n"
    )
    steps = ((LIST[0], listed), (LIST[0], listed), BYE)
    with Peer(selected(*steps)) as peer, Mailbox(server(peer), clock) as mailbox:
        assert [entry.id for entry in mailbox.entries()] == ["3.9", "3.12"]
        assert mailbox.count() == (2, 2)


def test_a_server_without_lasting_uids_has_entries_without_ids(clock: JumpingClock) -> None:
    with Peer(selected(LIST, BYE, selecting=b"* 2 EXISTS\r\nTAG OK done\r\n")) as peer:
        with Mailbox(server(peer), clock) as mailbox:
            assert [(entry.id, entry.number) for entry in mailbox.entries()] == [("", 7), ("", 9)]


def test_an_entry_from_before_a_change_of_uidvalidity_is_gone(clock: JumpingClock) -> None:
    old = Entry("2.7", 40, 7)
    with Peer(selected(BYE)) as peer, Mailbox(server(peer), clock) as mailbox:
        for use in (mailbox.fetch, mailbox.header, mailbox.delete):
            with pytest.raises(Refused, match="numbered its mails again"):
                use(old)


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (b"{4}\r\na\r\nb", b"a\r\nb"),
        (b'"a b"', b"a b"),
        (b'""', b""),
        (b"{0}\r\n", b""),
        (b"~{3}\r\na\0b", b"a\0b"),
        (b"{7}\r\n{5}\r\n)\r", b"{5}\r\n)\r"),
    ],
)
def test_a_mail_is_returned_however_it_is_written(
    clock: JumpingClock, value: bytes, content: bytes
) -> None:
    answer = b"* 1 FETCH (UID 7 BODY[HEADER] " + value + b" FLAGS (\\Seen))\r\n" + DONE
    steps = ((b"UID FETCH 7 (UID BODY.PEEK[HEADER])", answer), BYE)
    with Peer(selected(*steps)) as peer, Mailbox(server(peer), clock) as mailbox:
        assert mailbox.header(SEVEN) == content


@pytest.mark.parametrize("answer", [DONE, b"* 1 FETCH (UID 7 BODY[] NIL)\r\n" + DONE])
def test_a_mail_that_is_gone_is_refused(clock: JumpingClock, answer: bytes) -> None:
    with Peer(selected((b"UID FETCH 7", answer), BYE)) as peer:
        with Mailbox(server(peer), clock) as mailbox, pytest.raises(Refused, match="is gone"):
            mailbox.fetch(SEVEN)


def test_a_mail_over_the_limit_is_not_fetched(clock: JumpingClock) -> None:
    with Peer(selected(BYE)) as peer, Mailbox(server(peer), clock) as mailbox:
        with pytest.raises(Refused, match="has 40 bytes, the limit is 10"):
            mailbox.fetch(SEVEN, limit=10)


@pytest.mark.parametrize("size", [b"10000000000", b"999999999999", b"9" * 5000, b"200000"])
def test_a_literal_is_refused_when_it_is_announced(clock: JumpingClock, size: bytes) -> None:
    answer = b"* 1 FETCH (UID 7 BODY[] {" + size + b"}\r\n"
    with Peer(selected((b"UID FETCH", answer))) as peer:
        with pytest.raises(Unreachable, match="is announced, the limit is"):
            with Mailbox(server(peer), clock) as mailbox:
                mailbox.fetch(SEVEN)
    assert "LOGOUT" not in commands(peer)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"* 1 FETCH (UID 7 BODY[] {5}\r\nhal", "the connection ended"),
        (b"", "the connection ended"),
        (b"* 1 FETCH (UID 7 BODY[] {5}\r\nhello", "the connection ended"),
        (b"* OK x\r\n" * 40_000, "more than"),
        (b"x" * 300_000, "more than"),
    ],
)
def test_a_server_that_sends_too_little_or_too_much_is_left(
    clock: JumpingClock, answer: bytes, error: str
) -> None:
    with Peer(selected((b"UID FETCH", answer))) as peer:
        with pytest.raises(Unreachable, match=error), Mailbox(server(peer), clock) as mailbox:
            mailbox.delete(NINE)
            mailbox.fetch(SEVEN)
    assert "LOGOUT" not in commands(peer) and not any("STORE" in line for line in commands(peer))


def test_a_server_that_falls_silent_is_left_when_its_time_is_over(clock: JumpingClock) -> None:
    def script(peer: Peer) -> None:
        selected((b"UID FETCH", b"* 1 FETCH (UID 7 BODY[] {5}\r\nhal"))(peer)
        peer.read_to_end()

    with Peer(script) as peer, pytest.raises(Unreachable, match=r"no answer within 2 s|too slow"):
        with Mailbox(server(peer), clock) as mailbox:
            mailbox.fetch(SEVEN)


@pytest.mark.parametrize(
    ("answer", "unseen"),
    [(b"* SEARCH 7 9 11\r\n", 3), (b"* SEARCH\r\n", 0), (b"", 0), (b"* SEARCH 7\r\n" * 2, 2)],
)
def test_unread_mails_are_counted(clock: JumpingClock, answer: bytes, unseen: int) -> None:
    steps = ((b"UID SEARCH UNSEEN UNDELETED", answer + DONE), BYE)
    with Peer(selected(*steps)) as peer, Mailbox(server(peer), clock) as mailbox:
        assert mailbox.unseen() == unseen


@pytest.mark.parametrize("found", [b"x", b"0", b"-1", b"4294967296", b"9" * 5000, b"{1}\r\n1"])
def test_an_odd_number_in_a_search_is_refused(clock: JumpingClock, found: bytes) -> None:
    with Peer(selected((b"UID SEARCH", b"* SEARCH 7 " + found + b"\r\n" + DONE))) as peer:
        with pytest.raises(OddReply), Mailbox(server(peer), clock) as mailbox:
            mailbox.unseen()


# ── deleting ─────────────────────────────────────────────────────────────────


def removing(
    clock: JumpingClock, *steps: Step, uids: tuple[int, ...] = (7,), **keys: Any
) -> list[str]:
    """Deletes mails, and returns what was sent after the mailbox was opened."""
    script = {name: keys.pop(name) for name in ("capabilities", "selecting") if name in keys}
    with Peer(selected(*steps, **script)) as peer:
        with Mailbox(server(peer, **keys), clock) as mailbox:
            for uid in uids:
                mailbox.delete(Entry(f"3.{uid}", 1, uid))
            assert len(commands(peer)) == 4, "nothing is sent before the end of the block"
    return commands(peer)[4:]


def test_the_end_of_the_block_removes_our_mails_and_no_others(clock: JumpingClock) -> None:
    news = b"* 3 FETCH (UID 12 FLAGS (\\Deleted))\r\n* 1 EXPUNGE\r\nTAG OK done\r\n"
    store = (rb"UID STORE 7:9,12 +FLAGS.SILENT (\Deleted comms-handled)", news)
    sent = removing(clock, store, (b"UID EXPUNGE 7:9,12\r\n", news), BYE, uids=(9, 7, 8, 12))
    assert len(sent) == 3


@pytest.mark.parametrize(
    "flags", [b"(\\Deleted \\Seen)", b"()", b"(\\Deleted)] x [\\*", b"(\\Seen comms)"]
)
def test_a_server_that_takes_no_new_keywords_gets_none(clock: JumpingClock, flags: bytes) -> None:
    selecting = SELECTED.replace(b"(\\Seen \\Deleted \\*)", flags)
    store = (b"UID STORE 7 +FLAGS.SILENT (\\Deleted)\r\n", DONE)
    removing(clock, store, EXPUNGE, BYE, selecting=selecting)


OLD = b"IMAP4rev1"
OTHERS = (b"UID SEARCH DELETED", b"* SEARCH 7 11\r\nTAG OK done\r\n")
ONLY_OURS = (b"UID SEARCH DELETED", b"* SEARCH 7\r\nTAG OK done\r\n")


def test_without_uid_expunge_others_marks_keep_ours_from_being_removed(
    clock: JumpingClock,
) -> None:
    removing(clock, STORE, ONLY_OURS, (b"EXPUNGE\r\n", DONE), BYE, capabilities=OLD)
    with pytest.raises(RefusedNow, match=r"1 other messages are marked .* ours stay marked"):
        removing(clock, STORE, OTHERS, BYE, capabilities=OLD)


def test_mails_are_moved_to_the_trash_if_there_is_one(clock: JumpingClock) -> None:
    move = (b'UID MOVE 7 "Papier&AOk-"\r\n', b"* OK [COPYUID 5 7 1]\r\n* 1 EXPUNGE\r\n" + DONE)
    removing(clock, move, BYE, trash="Papieré")
    copy = (b'UID COPY 7 "Trash"\r\n', DONE)
    removing(clock, copy, STORE, EXPUNGE, BYE, trash="Trash", capabilities=b"IMAP4rev1 UIDPLUS")
    for missing in (
        (b"UID MOVE", b"TAG NO [TRYCREATE] Trash does not exist\r\n"),
        (b"UID MOVE", b"TAG NO [OVERQUOTA] full\r\n"),
    ):
        with pytest.raises(Refused):
            removing(clock, missing, BYE, trash="Trash")


def test_of_a_folder_that_can_only_be_read_nothing_is_removed(clock: JumpingClock) -> None:
    selecting = SELECTED.replace(b"READ-WRITE", b"READ-ONLY")
    with Peer(selected(LIST, BYE, selecting=selecting)) as peer:
        with pytest.raises(RefusedNow, match="INBOX can only be read"):
            with Mailbox(server(peer), clock) as mailbox:
                mailbox.delete(mailbox.entries()[0])


def test_noted_mails_can_be_kept_after_all(clock: JumpingClock) -> None:
    with Peer(selected(BYE)) as peer, Mailbox(server(peer), clock) as mailbox:
        mailbox.delete(SEVEN)
        mailbox.undelete()


def test_a_commit_removes_at_once_and_the_session_goes_on(clock: JumpingClock) -> None:
    with Peer(selected(STORE, EXPUNGE, LIST, BYE)) as peer:
        with Mailbox(server(peer), clock) as mailbox:
            mailbox.delete(SEVEN)
            mailbox.commit()
            assert len(mailbox.entries()) == 2
            mailbox.commit()


HANG_UP = b"* BYE\r\n"


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        (((STORE[0], HANG_UP),), Unknown),
        (((STORE[0], b""),), Unknown),
        (((STORE[0], b"what\r\n"),), Unknown),
        ((STORE, (EXPUNGE[0], HANG_UP)), Unknown),
        ((STORE, (EXPUNGE[0], b"* 1 EXPUNGE\r\n")), Unknown),
        ((STORE, (EXPUNGE[0], b"")), Unknown),
        (((STORE[0], b"TAG NO [UNAVAILABLE] x\r\n"), BYE), TryLater),
        (((STORE[0], b"TAG NO x\r\n"), BYE), RefusedNow),
        ((STORE, (EXPUNGE[0], b"TAG NO [NOPERM] x\r\n"), BYE), Refused),
        ((STORE, (EXPUNGE[0], b"TAG BAD x\r\n"), BYE), RefusedNow),
    ],
)
def test_a_removal_whose_last_answer_is_missing_is_unknown(
    clock: JumpingClock, steps: tuple[Step, ...], kind: type[CommsError]
) -> None:
    with pytest.raises(kind) as error:
        removing(clock, *steps)
    assert type(error.value) is kind


@pytest.mark.parametrize("answer", [b"", b"* BYE\r\n", b"what\r\n", b"TAG BAD x\r\n"])
def test_nothing_is_in_doubt_once_the_mails_are_removed(clock: JumpingClock, answer: bytes) -> None:
    removing(clock, STORE, EXPUNGE, (b"LOGOUT", answer))


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_an_exception_in_a_session_that_is_in_step_removes_the_noted_mails(
    clock: JumpingClock, error: type[BaseException]
) -> None:
    with Peer(selected(STORE, EXPUNGE, BYE)) as peer:
        with pytest.raises(error), Mailbox(server(peer), clock) as mailbox:
            mailbox.delete(SEVEN)
            raise error


def test_an_interruption_in_the_middle_of_an_answer_removes_nothing(
    clock: JumpingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Peer(selected((b"UID FETCH", b"* 1 FETCH"))) as peer:
        with pytest.raises(KeyboardInterrupt), Mailbox(server(peer), clock) as mailbox:
            mailbox.delete(SEVEN)

            def interrupted(size: int) -> bytes:
                raise KeyboardInterrupt

            monkeypatch.setattr(mailbox._link, "recv", interrupted)
            mailbox.fetch(NINE)
    assert commands(peer)[-1].startswith("UID FETCH")


def test_an_error_while_closing_does_not_hide_the_first_error(clock: JumpingClock) -> None:
    with Peer(selected((STORE[0], HANG_UP))) as peer:
        with pytest.raises(ZeroDivisionError) as error, Mailbox(server(peer), clock) as mailbox:
            mailbox.delete(SEVEN)
            raise ZeroDivisionError
    assert "closing the mailbox" in str(error.value.__notes__)


def test_a_session_that_is_over_says_so(clock: JumpingClock) -> None:
    with Peer(selected(BYE)) as peer:
        mailbox = Mailbox(server(peer), clock)
        mailbox.close()
        mailbox.close()
        for use in (mailbox.entries, mailbox.count, lambda: mailbox.delete(SEVEN)):
            with pytest.raises(Unreachable, match="session is over"):
                use()


# ── either protocol ──────────────────────────────────────────────────────────


def test_the_protocol_of_the_server_decides_what_is_opened(clock: JumpingClock) -> None:
    host = RecordingHost()
    greeting = b"* OK [ALERT] Maintenance at noon\r\n"
    offer = offering(CAPABILITIES)
    steps = (offer, (b"LOGIN", DONE), offer, (b"SELECT", SELECTED), BYE)
    with Peer(dialogue(*steps, greeting=greeting)) as peer:
        with open_mailbox(server(peer), clock, host) as mailbox:
            assert isinstance(mailbox, imap.Mailbox)
    assert host.lines == ["mailbox-alert text=Maintenance at noon"]

    def pop(peer: Peer) -> None:
        peer.send(b"+OK\r\n")
        for answer in (b"-ERR", b"+OK", b"+OK", b"+OK"):
            peer.expect(b"\r\n")
            peer.send(answer + b"\r\n")

    with Peer(pop) as peer:
        server_ = Server("pop3", "127.0.0.1", peer.port, tls="none", user="a", timeout=2.0)
        with open_mailbox(server_, clock, host) as mailbox:
            assert isinstance(mailbox, pop3.Mailbox)


# ── with the fake server ─────────────────────────────────────────────────────

ALICE = "alice@example.test"
MAIL = b"Subject: one\r\n\r\nhello\r\n"


@contextlib.contextmanager
def rehearsal(faults: tuple[str, ...] = (), **config: Any) -> Iterator[World]:
    with World({"servers": ["imap"], **config}, rehearsal=True, faults=faults) as world:
        for _ in range(2):
            world.mail.deliver(ALICE, MAIL)
        yield world


def opened(world: World, **keys: Any) -> Mailbox:
    table = {**world.settings["imap"], **keys}
    server_ = settings.load({"imap": table}, world.folder).server("imap")
    return Mailbox(server_, world.clock, token=world.host.token)


def verbs(world: World) -> list[str]:
    return [record.verb for record in world.records if record.direction == "C"]


AUTH = ["auto", "plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"]


@pytest.mark.parametrize("auth", AUTH)
@pytest.mark.parametrize("encrypted", ["off", "optional", "required"])
def test_each_way_to_log_in_works(auth: str, encrypted: str) -> None:
    world_ = rehearsal(tls=encrypted, mail={"scram": True})
    with world_ as world, opened(world, auth=auth) as mailbox:
        first, second = mailbox.entries()
        assert mailbox.fetch(first).endswith(MAIL) and len(mailbox.fetch(first)) == first.size
        assert mailbox.header(second).endswith(b"Subject: one\r\n\r\n")
        assert ("STARTTLS" in verbs(world)) == (encrypted != "off")
        assert ("LOGIN" in verbs(world)) == (auth == "login")


def test_auto_is_scram_and_the_server_has_to_prove_that_it_knows_the_password() -> None:
    with rehearsal(mail={"scram": True}) as world, opened(world):
        [login] = [record for record in world.records if record.verb == "AUTHENTICATE"]
        assert login.fields["mechanism"] == "SCRAM-SHA-256"
    # It accepts whatever the client sends. Its last word, the proof, is missing.
    faults = ('imap AUTHENTICATE reply "OK Welcome"',)
    with rehearsal(faults, mail={"scram": True}) as world:
        with pytest.raises(Refused, match="never proved that it knows the password"):
            opened(world)
        assert "SELECT" not in verbs(world)


@pytest.mark.parametrize("flaw", ["expired", "other-name", "self-signed"])
def test_an_invalid_certificate_is_refused_before_the_login(flaw: str) -> None:
    with rehearsal((f"imap tls certificate {flaw}",), tls="optional") as world:
        with pytest.raises(Refused, match="certificate is not trusted"):
            opened(world)
        assert not {"LOGIN", "AUTHENTICATE"} & {*verbs(world)}


def test_a_mail_that_is_larger_than_the_buffers_of_the_sockets_is_fetched() -> None:
    # The server makes the rest of its answer when this has been read, and the clock waits for both.
    raw = MAIL + b"x" * 6_000_000
    with rehearsal() as world:
        world.mail.deliver(ALICE, raw)
        with opened(world) as mailbox:
            assert mailbox.fetch(mailbox.entries()[-1]).endswith(raw)


def test_a_mail_that_is_fetched_stays_unread() -> None:
    with rehearsal() as world:
        with opened(world) as mailbox:
            first, second = mailbox.entries()
            mailbox.header(first)
            mailbox.fetch(second)
            assert mailbox.unseen() == 2
        assert [*world.mail.folder(ALICE).flags.values()] == [[], []]


@pytest.mark.parametrize("off", [[], ["UIDPLUS"], ["UIDPLUS", "MOVE", "CRAM-MD5", "SASL-IR"]])
def test_only_our_mails_are_removed_at_any_server(off: list[str]) -> None:
    with rehearsal(off={"imap": off}) as world:
        folder = world.mail.folder(ALICE)
        with opened(world) as mailbox:
            mailbox.delete(mailbox.entries()[0])
            assert len(folder) == 2
        assert [*folder.flags] == [2]
        folder.flag(2, "\\Deleted")
        world.mail.deliver(ALICE, MAIL)
        with contextlib.suppress(RefusedNow), opened(world) as mailbox:
            assert [entry.number for entry in mailbox.entries()] == [3]
            mailbox.delete(mailbox.entries()[0])
        assert "\\Deleted" in folder.flags[2], "it is another's"
        assert (3 in folder.flags) == bool(off)


def test_a_mail_that_stays_marked_is_copied_to_the_trash_once() -> None:
    with rehearsal(off={"imap": ["UIDPLUS", "MOVE"]}) as world:
        folder = world.mail.folder(ALICE)

        def remove_all() -> None:
            with opened(world, trash="Trash") as mailbox:
                for entry in mailbox.entries():
                    mailbox.delete(entry)

        folder.flag(2, "\\Deleted")
        for _ in range(2):
            with pytest.raises(RefusedNow, match="ours stay marked"):
                remove_all()
        folder.remove(2)
        remove_all()
        assert (len(folder), len(world.mail.folder(ALICE, "Trash"))) == (0, 1)


# ── waiting for mail ─────────────────────────────────────────────────────────


def test_a_wait_ends_when_mail_arrives_and_not_when_mail_goes() -> None:
    with rehearsal() as world, opened(world) as mailbox:
        folder = world.mail.folder(ALICE)
        world.clock.until(4000)
        world.clock.at(5, lambda: folder.remove(1))
        world.clock.at(7, lambda: folder.flag(2, "\\Seen"))
        world.clock.at(10, lambda: world.mail.deliver(ALICE, MAIL))
        assert mailbox.wait(60) and world.clock.elapsed == 10
        assert [entry.number for entry in mailbox.entries()] == [2, 3]
        folder.deliver(MAIL)
        assert mailbox.wait(60) and world.clock.elapsed == 10, "it had come before the wait"
        assert not mailbox.wait(60) and world.clock.elapsed == 70
        assert len(mailbox.entries()) == 3, "the session goes on"


def test_a_long_wait_is_renewed_before_the_server_takes_it_for_inactivity() -> None:
    with rehearsal() as world, opened(world) as mailbox:
        world.clock.until(10_000)
        for minutes in (28, 56, 84):
            assert not mailbox.wait(10_000)
            assert world.clock.elapsed == minutes * 60
        assert verbs(world)[-6:] == ["IDLE", "DONE"] * 3


def test_a_wait_ends_with_the_play_and_with_the_session() -> None:
    with rehearsal() as world, opened(world) as mailbox:
        world.clock.until(30)
        assert not mailbox.wait(60) and world.clock.elapsed == 30
    with rehearsal(("imap-bye-in-idle",)) as world, opened(world) as mailbox:
        world.clock.until(300)
        with pytest.raises(Unreachable, match="not available any more"):
            mailbox.wait(60)
        assert world.clock.elapsed == 45


LOSSES = ["IDLE hang up before", "IDLE after 3", "IDLE hang up after", "DONE hang up before"]


@pytest.mark.parametrize("fault", [*LOSSES, "DONE after 3"])
def test_a_wait_whose_link_is_lost_is_an_error(fault: str) -> None:
    with rehearsal((f"imap {fault}",)) as world, opened(world) as mailbox:
        world.clock.until(100)
        with pytest.raises(Unreachable):
            mailbox.wait(60)


IDLES = b"IMAP4rev1 IDLE"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"TAG NO not now\r\n", Refused),
        (b"TAG NO [UNAVAILABLE] later\r\n", TryLater),
        (b"TAG OK that was quick\r\n", Unreachable),
        (b"+ idling\r\nTAG OK that was quick\r\n", Unreachable),
        (b"* BYE gone\r\n", Unreachable),
        (b"+ idling\r\n* BYE gone\r\n", Unreachable),
        (b"+ idling\r\n* 3", Unreachable),
    ],
)
def test_a_server_that_does_not_wait_is_an_error(
    clock: JumpingClock, answer: bytes, error: type[CommsError]
) -> None:
    with Peer(selected((b"IDLE", answer), capabilities=IDLES)) as peer:
        mailbox = Mailbox(server(peer), clock)
        assert mailbox.can_wait
        with pytest.raises(error):
            mailbox.wait(60)
        mailbox._link.abort()


def test_only_a_larger_number_of_mails_is_news(clock: JumpingClock) -> None:
    repeated = b"* 2 EXISTS\r\n+ idling\r\n* OK Still here\r\n* 2 EXISTS\r\n* x EXISTS\r\n"
    gone = b"* 1 EXPUNGE\r\n* 1 EXISTS\r\n"
    done = (b"", b"A4 OK waited\r\n")  # DONE, which has no tag
    script = selected((b"IDLE", repeated + gone), done, BYE, capabilities=IDLES)
    with Peer(script) as peer, Mailbox(server(peer), clock) as mailbox:
        began = clock.monotonic()
        assert not mailbox.wait(60) and clock.monotonic() - began > 59


def test_a_wait_ends_although_the_server_never_stops_telling(clock: JumpingClock) -> None:
    told = b"+ idling\r\n" + b"* OK Still here\r\n" * 10_000
    done = (b"", b"A4 OK waited\r\n")  # DONE, which has no tag
    script = selected((b"IDLE", told), done, BYE, capabilities=IDLES)
    with Peer(script) as peer, Mailbox(server(peer), clock) as mailbox:
        clock.stop()
        assert not mailbox.wait(60)
