"""Fetching mail by POP3: each way to log in, odd servers, and when marked mails are removed."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms import settings
from comms.clock import RealClock
from comms.errors import CommsError, Refused, RefusedNow, TryLater, Unknown, Unreachable
from comms.mailbox import Entry
from comms.pop3 import Mailbox
from fakes.wire import Want
from fakes.world import World

ALICE = "alice@example.test"
MAIL = b"Subject: one\r\n\r\n.\r\n..dots\r\nlast\r\n"


@contextlib.contextmanager
def rehearsal(mails: int = 2, faults: tuple[str, ...] = (), **config: Any) -> Iterator[World]:
    with World({"servers": ["pop3"], **config}, rehearsal=True, faults=faults) as world:
        for _ in range(mails):
            world.mail.deliver(ALICE, MAIL)
        yield world


def server(world: World, **keys: Any) -> settings.Server:
    loaded = settings.load({"pop3": {**world.settings["pop3"], **keys}}, world.folder)
    return loaded.server("pop3")


def opened(world: World, **keys: Any) -> Mailbox:
    return Mailbox(server(world, **keys), world.clock)


def commands(world: World) -> list[str]:
    return [record.raw.decode().rstrip() for record in world.records if record.direction == "C"]


def logins(world: World) -> list[str]:
    words = [line.split()[0] for line in commands(world)]
    return [word for word in words if word in ("APOP", "AUTH", "USER", "PASS")]


# ── logging in ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("auth", "tls", "used"),
    [
        ("auto", "off", ["APOP"]),
        ("auto", "optional", ["AUTH"]),
        ("user", "off", ["USER", "PASS"]),
        ("apop", "off", ["APOP"]),
        ("apop", "optional", ["APOP"]),
        ("plain", "off", ["AUTH"]),
        ("plain", "required", ["AUTH"]),
    ],
)
def test_each_way_to_log_in_works(auth: str, tls: str, used: list[str]) -> None:
    with rehearsal(tls=tls) as world, opened(world, auth=auth) as mailbox:
        assert len(mailbox.entries()) == 2
        assert logins(world) == used
        assert ("STLS" in commands(world)) == (tls != "off")


@pytest.mark.parametrize("auth", ["auto", "user", "apop", "plain"])
def test_after_a_wrong_password_no_other_way_is_tried(auth: str) -> None:
    with rehearsal() as world:
        with pytest.raises(Refused, match="Authentication failed") as refusal:
            opened(world, auth=auth, password="wrong-and-long")
        assert "wrong-and-long" not in str(refusal.value)
        assert len([word for word in logins(world) if word != "USER"]) == 1


def test_the_apop_digest_is_that_of_rfc_1939() -> None:
    greeting = 'pop3 connect reply "+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>"'
    with rehearsal(faults=(greeting,)) as world:
        with pytest.raises(Refused):  # the server expects the digest of its real timestamp
            opened(world, auth="apop", user="mrose", password="tanstaaf")
        assert "APOP mrose c4c9334bac560ecc979e58001b3e22fb" in commands(world)  # §7


def test_without_a_timestamp_apop_is_not_replaced_by_anything() -> None:
    with rehearsal(off={"pop3": ["APOP"]}) as world:
        with pytest.raises(Refused, match="no timestamp"):
            opened(world, auth="apop")
        assert not any("secret" in line or "PASS" in line for line in commands(world))
        opened(world, auth="auto").close()


@pytest.mark.parametrize(
    "timestamp", ["<\xe9@mail.test>", "<1\x7f2@mail.test>", "<1\t2@mail.test>"]
)
def test_a_timestamp_that_is_not_printable_ascii_is_none(timestamp: str) -> None:
    # With others, a false server can find out the beginning of the password (CVE-2007-1558).
    with rehearsal(faults=(f'pop3 connect reply "+OK {timestamp}"',)) as world:
        with pytest.raises(Refused, match="no timestamp"):
            opened(world, auth="apop")
        assert logins(world) == []


def test_an_old_server_without_capa_uidl_top_and_sasl_can_be_used() -> None:
    with (
        rehearsal(off={"pop3": ["CAPA", "UIDL", "TOP", "SASL", "APOP", "UTF8"]}) as world,
        opened(world) as mailbox,
    ):
        first, second = mailbox.entries()
        assert (first.id, second.number) == ("", 2)
        assert mailbox.fetch(first).endswith(MAIL)
        with pytest.raises(Refused):
            mailbox.header(first)
        mailbox.delete(second)
    assert len(world.mail.messages) == 2


def test_a_long_plain_response_follows_an_empty_challenge() -> None:
    password = "p" * 200
    with (
        rehearsal(person=[{"address": ALICE, "password": password}]) as world,
        opened(world, auth="plain") as mailbox,
    ):
        assert mailbox.count()[0] == 2
        assert "AUTH PLAIN" in commands(world)


def test_without_stls_nothing_is_sent_in_clear_text() -> None:
    with rehearsal() as world, pytest.raises(Refused, match="does not offer STLS"):
        opened(world, tls="starttls")
    with rehearsal(tls="optional", faults=("STLS off",)) as world:
        with pytest.raises(Refused, match="does not offer STLS"):
            opened(world)
        assert logins(world) == []


@pytest.mark.parametrize("flaw", ["expired", "other-name", "self-signed"])
def test_an_invalid_certificate_is_refused_before_the_login(flaw: str) -> None:
    with rehearsal(tls="optional", faults=(f"pop3 tls certificate {flaw}",)) as world:
        with pytest.raises(Refused, match="certificate is not trusted"):
            opened(world)
        assert logins(world) == []


def test_implicit_tls_works() -> None:
    with World({"servers": ["pop3"], "tls": "optional"}, ports={"pop3s": 0}) as world:
        table = {
            "host": "localhost",
            "port": world.address("pop3s")[1],
            "tls": "implicit",
            "ca_file": str(world.ca_file),
            "user": "alice",
            "password": "secret",
        }
        clock = RealClock()
        with Mailbox(settings.load({"pop3": table}).server("pop3"), clock) as mailbox:
            assert mailbox.entries() == []
        clock.close()


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("alice\r\nDELE 1", "secret"),
        ("alice", "x\r\nDELE 1"),
        ("alice\n", "secret"),
        ("alice", "\0"),
    ],
)
def test_a_line_break_cannot_add_a_command(user: str, password: str) -> None:
    with rehearsal() as world:
        # Settings from a file cannot hold such a login, but a program can make one itself.
        login = replace(server(world, auth="user"), user=user, password=password)
        with pytest.raises(Refused, match="could add a command; nothing was sent"):
            Mailbox(login, world.clock)
        assert not [line for line in commands(world) if line.startswith("DELE")]


@pytest.mark.parametrize("place", ["pop3 connect", "PASS", "STAT"])
@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("-ERR [IN-USE] another session", TryLater),
        ("-ERR [LOGIN-DELAY] wait", TryLater),
        ("-ERR [SYS/TEMP] x", TryLater),
        ("-ERR [SYS/PERM] x", Refused),
        ("-ERR [AUTH] x", Refused),
        ("-ERR no", Refused),
        ("what", Unreachable),
        (" ", Unreachable),
    ],
)
def test_temporary_and_permanent_refusals_and_nonsense_are_different_errors(
    place: str, reply: str, kind: type[CommsError]
) -> None:
    with rehearsal(faults=(f'{place} reply "{reply}"',)) as world:
        with pytest.raises(kind), opened(world, auth="user") as mailbox:
            mailbox.count()
        assert world.mail.maildrop(ALICE).holder is None or kind is not Unreachable


# ── fetching ─────────────────────────────────────────────────────────────────


@given(
    st.lists(
        st.sampled_from(
            [b".", b"..", b"\r\n", b"\n", b"\r", b"x" * 3000, b"\0", b"\xff", b".\n", b"\n.\n"]
        ),
        max_size=12,
    )
)
def test_any_mail_is_fetched_as_it_is_stored(pieces: list[bytes]) -> None:
    with rehearsal(mails=0) as world:
        world.mail.deliver(ALICE, b"Subject: x\r\n\r\n" + b"".join(pieces))
        world.mail.deliver(ALICE, MAIL)
        with opened(world) as mailbox:
            first, second = mailbox.entries()
            # The fake sends a bare LF before a dot, or at the end, as CRLF: see Row.served.
            raw = re.sub(rb"(?<!\r)\n(?=\.|\Z)", b"\r\n", world.mail.inbox(ALICE)[0].raw)
            assert mailbox.fetch(first) == raw + (b"" if raw.endswith(b"\r\n") else b"\r\n")
            assert len(mailbox.fetch(first)) == first.size
            assert mailbox.fetch(second).endswith(MAIL), "the session is still in step"


def test_a_mail_with_utf_8_in_its_header_can_be_fetched() -> None:
    with rehearsal(mails=0) as world:
        world.mail.deliver(ALICE, "Subject: Grüße\r\n\r\n".encode())
        with opened(world) as mailbox:
            assert "Grüße".encode() in mailbox.fetch(mailbox.entries()[0])


def test_a_message_over_the_limit_is_not_fetched() -> None:
    with rehearsal() as world, opened(world) as mailbox:
        with pytest.raises(Refused, match="the limit is 10"):
            mailbox.fetch(mailbox.entries()[0], limit=10)
        assert not [line for line in commands(world) if line.startswith("RETR")]
        assert mailbox.count()[0] == 2


@contextlib.contextmanager
def scripted(*replies: bytes) -> Iterator[tuple[Mailbox, list[bytes]]]:
    """A mailbox, after a login by USER and PASS, at a server that sends `replies` to any commands.

    Yields the mailbox and the commands that the server has received.
    """
    received: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(b"+OK\r\n")
                    for reply in (b"-ERR\r\n", b"+OK\r\n", b"+OK\r\n", *replies):
                        line = connection.recv(4096)
                        if not line:
                            return
                        received.append(line)
                        connection.sendall(reply)
                    connection.recv(4096)

        thread = threading.Thread(target=serve)
        thread.start()
        clock = RealClock()
        table = {
            "host": "127.0.0.1",
            "port": listener.getsockname()[1],
            "tls": "none",
            "user": "a",
            "password": "b",
            "timeout": 0.3,
        }
        mailbox = Mailbox(settings.load({"pop3": table}).server("pop3"), clock)
        try:
            yield mailbox, received
        finally:
            mailbox.close()
            clock.close()
            listener.close()
            thread.join(5)


@pytest.mark.parametrize(
    ("auth", "begin"),
    [*(("user", begin) for begin in range(84, 89)), *(("plain", begin) for begin in range(69, 74))],
)
def test_no_part_of_the_password_is_in_an_error(auth: str, begin: int) -> None:
    said = "PASS secret" if auth == "user" else "AUTH PLAIN AGFsaWNlAHNlY3JldA=="
    faults = (f'pop3 {said.split()[0]} reply "500 {"x" * begin} {said}"',)
    with rehearsal(faults=faults, tls="off") as world, pytest.raises(Unreachable) as error:
        opened(world, auth=auth)
    assert "xxx" in str(error.value)
    assert "sec" not in str(error.value) and "AHNl" not in str(error.value)


@pytest.mark.parametrize(
    "reply",
    [
        b"+OK\r\n1 x\r\n.\r\n",
        b"+OK\r\n1\r\n.\r\n",
        b"+OK\r\nx 1\r\n.\r\n",
        b"+OK\r\n1 -5\r\n.\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"\xff\r\n",
    ],
)
def test_a_malformed_list_ends_the_session_without_quit(reply: bytes) -> None:
    with scripted(reply, b"+OK\r\n1 a\r\n.\r\n", b"+OK\r\n") as (mailbox, received):
        with pytest.raises(Unreachable):
            mailbox.entries()
        with pytest.raises(Unreachable, match="session is over"):
            mailbox.count()
    assert b"QUIT\r\n" not in received


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"+OK\r\n" + b"x" * 500_000, "has more than"),
        (b"+OK " + b"x" * 20_000, "has more than"),
        (b"+OK\r\nhalf a mess", "no answer within"),
        (b"", "no answer within"),
    ],
)
def test_a_server_that_sends_far_too_much_or_nothing_is_left_without_quit(
    reply: bytes, error: str
) -> None:
    with scripted(reply) as (mailbox, received):
        with pytest.raises(Unreachable, match=error):
            mailbox.fetch(Entry("a", 10, 1))
    assert b"QUIT\r\n" not in received


@pytest.mark.parametrize(
    ("lines", "ids"),
    [
        (b"1 abc\r\n2 def\r\n", ["abc", "def"]),
        (b"1  abc\r\n 2 def \r\n", ["abc", "def"]),
        (b"1 \r\n2 def\r\n", ["", "def"]),
        (b"1\r\n2 def extra\r\n", ["", "def"]),
        (b"2 def\r\n", ["", "def"]),
        (b"what\r\n\r\n9 x\r\n2 def\r\n", ["", "def"]),
        (b"1 same\r\n2 same\r\n", ["", ""]),
        (b"1 \x1b[31m\r\n2 " + b"x" * 300 + b"\r\n", ["", ""]),
        (b"99999999999999999999 x\r\n1 abc\r\n2 \xff\r\n", ["abc", ""]),
    ],
)
def test_odd_lines_of_uidl_leave_a_mail_without_an_id(lines: bytes, ids: list[str]) -> None:
    sizes = b"+OK\r\n1 40\r\n2 50\r\n.\r\n"
    with scripted(sizes, b"+OK\r\n" + lines + b".\r\n", b"+OK\r\n") as (mailbox, _):
        assert [entry.id for entry in mailbox.entries()] == ids


@pytest.mark.parametrize(
    "reply", [b"+OK 2 90", b"+OK  2 90", b"+OK 2  90 ", b"+OK\t2 90 octets", b"+ok 2 90"]
)
def test_spaces_in_the_reply_to_stat_do_not_matter(reply: bytes) -> None:
    with scripted(reply + b"\r\n", b"+OK\r\n") as (mailbox, _):
        assert mailbox.count() == (2, 90)


def test_utf8_that_is_offered_and_then_refused_does_not_prevent_the_login() -> None:
    with rehearsal(faults=('UTF8 reply "-ERR no"',)) as world, opened(world) as mailbox:
        assert "UTF8" in commands(world) and len(mailbox.entries()) == 2


@pytest.mark.parametrize("auth", ["auto", "apop"])
def test_a_refusal_of_apop_names_the_other_way_to_log_in(auth: str) -> None:
    with rehearsal(faults=('APOP reply "-ERR unknown command"',)) as world:
        with pytest.raises(Refused, match=r'unknown command; .* write auth = "user"'):
            opened(world, auth=auth)
        assert logins(world) == ["APOP"], "the password is not sent without being asked to"


# ── deleting ─────────────────────────────────────────────────────────────────


def left(world: World) -> int:
    return len(world.mail.inbox(ALICE))


def test_marked_mails_are_removed_at_the_end_of_the_block() -> None:
    with rehearsal() as world:
        with opened(world) as mailbox:
            first, _ = mailbox.entries()
            mailbox.delete(first)
            assert left(world) == 2
        assert left(world) == 1


def test_marks_can_be_removed() -> None:
    with rehearsal() as world:
        with opened(world) as mailbox:
            for entry in mailbox.entries():
                mailbox.delete(entry)
            mailbox.undelete()
        assert left(world) == 2


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_an_exception_in_a_session_that_is_in_step_removes_the_marked_mails(
    error: type[BaseException],
) -> None:
    with rehearsal() as world:
        with pytest.raises(error), opened(world) as mailbox:
            mailbox.delete(mailbox.entries()[0])
            raise error
        assert left(world) == 1 and commands(world)[-1] == "QUIT"


def test_a_refusal_leaves_the_session_in_step() -> None:
    with rehearsal() as world:
        with pytest.raises(Refused), opened(world) as mailbox:
            mailbox.delete(mailbox.entries()[0])
            mailbox.delete(mailbox.entries()[0])
            mailbox.delete(Entry("", 1, 99))
        assert left(world) == 0


@pytest.mark.parametrize(
    "fault", ["RETR after 20", "RETR stall", "RETR hang up", "RETR reset", 'RETR reply "what"']
)
def test_a_session_out_of_step_removes_nothing_and_sends_no_quit(fault: str) -> None:
    with rehearsal(faults=(fault,)) as world:
        with pytest.raises(Unreachable), opened(world) as mailbox:
            first, second = mailbox.entries()
            mailbox.delete(first)
            mailbox.fetch(second)
        assert left(world) == 2 and "QUIT" not in commands(world)


def test_an_interruption_in_the_middle_of_a_reply_removes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with rehearsal() as world:
        with pytest.raises(KeyboardInterrupt), opened(world) as mailbox:
            first, second = mailbox.entries()
            mailbox.delete(first)

            def interrupted(size: int) -> bytes:
                raise KeyboardInterrupt

            monkeypatch.setattr(mailbox._link, "recv", interrupted)
            mailbox.fetch(second)
        assert left(world) == 2


@pytest.mark.parametrize(
    ("fault", "kind", "remaining"),
    [
        ("pop3 QUIT lost stored", Unknown, 1),
        ("pop3 QUIT lost unstored", Unknown, 2),
        ("pop3 QUIT hang up before", Unknown, 2),
        ('pop3 QUIT reply "-ERR [SYS/TEMP] not all removed"', TryLater, 2),
        ('pop3 QUIT reply "-ERR no"', Refused, 2),
    ],
)
def test_a_failed_quit_is_unknown_or_refused_if_mails_were_marked(
    fault: str, kind: type[CommsError], remaining: int
) -> None:
    with rehearsal(faults=(fault,)) as world:
        with pytest.raises(kind), opened(world) as mailbox:
            mailbox.delete(mailbox.entries()[0])
        assert left(world) == remaining
    with rehearsal(faults=(fault,)) as world, opened(world) as mailbox:
        mailbox.entries()  # without marks, nothing is in doubt


def test_an_error_while_closing_does_not_hide_the_first_error() -> None:
    with rehearsal(faults=("pop3 QUIT lost stored",)) as world:
        with pytest.raises(ZeroDivisionError) as error, opened(world) as mailbox:
            mailbox.delete(mailbox.entries()[0])
            raise ZeroDivisionError
        assert "closing the mailbox" in str(error.value.__notes__)


def test_a_failed_login_closes_its_socket_and_takes_no_simulated_time() -> None:
    with rehearsal() as world:
        for _ in range(20):
            with pytest.raises(Refused):
                opened(world, password="wrong")
        world.clock.settle()
        assert world.clock.elapsed == 0
        assert world.cut("pop3", Want.CLOSE) == 0, "every connection is closed"


@pytest.mark.parametrize(
    ("place", "reply", "kind"),
    [
        ("connect", "-ERR too many connections", RefusedNow),
        ("connect", "-ERR [SYS/PERM] closed", Refused),
        ("STAT", "-ERR", RefusedNow),
        ("LIST", "-ERR busy", RefusedNow),
        ("LIST", "-ERR [SYS/TEMP] busy", TryLater),
        ("LIST", "-ERR [SYS/PERM] damaged", Refused),
        ("APOP", "-ERR wrong", Refused),
    ],
)
def test_a_refusal_of_what_a_server_must_do_may_pass(
    place: str, reply: str, kind: type[CommsError]
) -> None:
    with rehearsal(faults=(f'pop3 {place} reply "{reply}"',)) as world:
        with pytest.raises(kind) as refusal, opened(world) as mailbox:
            mailbox.count()
            mailbox.entries()
        assert type(refusal.value) is kind
