"""What a session of IMAP costs when mails are large, many, or have many parts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from fakes.mail import Envelope, Mail
from tests.bare_core import drain
from tests.growth import FACTOR, FACTOR_MOST, factor
from tests.imap_raw import ALICE, MAIL, Raw, imap_world

pytestmark = pytest.mark.slow

FEW, FACTOR_FLAT = 12_500, 3  # eight times as many mails may cost that many times as much
FEWER = 6_250  # where each mail costs something: 50,000 are enough to see it
CHUNK = 1 << 13  # bytes that arrive at once
OF_ONE = {
    "SELECT INBOX": 20,
    "STATUS INBOX (MESSAGES UNSEEN RECENT SIZE)": 50,
    "NOOP": 100,
    "UID FETCH * (UID FLAGS)": 50,
    "FETCH 5000 (UID FLAGS)": 50,
    "UID STORE 5000 FLAGS (\\Seen)": 50,
    "UID COPY 5000 Trash": 20,
    "UID EXPUNGE 5000": 50,
}
OF_ALL = [
    "FETCH 1:* (UID FLAGS)",
    "STORE 1:* +FLAGS.SILENT (\\Seen)",
    "SEARCH UNSEEN",
    "UID MOVE 1:* INBOX",  # is told of as many removals, and can be done again
]


def folder(count: int) -> tuple[Raw, Raw]:
    """Returns two clients that have selected an INBOX with that many mails."""
    world = imap_world(imap={"bad_commands": 0})
    mail = Mail(MAIL, Envelope("", ()))
    world.mail.store.maildrop(ALICE).add((b"", MAIL, mail, ()) for _ in range(count))
    return Raw(world, 1, select="INBOX"), Raw(world, 2, select="INBOX")


def test_a_command_about_one_mail_costs_the_same_in_a_large_folder() -> None:
    clients = {count: folder(count)[0] for count in (FEW, FACTOR * FEW)}

    def prepared(command: str, count: int) -> Callable[[], object]:
        return lambda: [clients[count].ask(command) for _ in range(OF_ONE[command])]

    found = {command: factor(partial(prepared, command), FEW, FACTOR_FLAT) for command in OF_ONE}
    assert {command: cost for command, cost in found.items() if cost >= FACTOR_FLAT} == {}


def test_removing_one_mail_after_another_costs_the_same_in_a_large_folder() -> None:
    def prepared(count: int) -> Callable[[], object]:
        client, other = folder(count)

        def run() -> None:
            for at in (1, count // 2, count - 100) * 10:
                client.ask(f"STORE {at} +FLAGS.SILENT (\\Deleted)")
                client.ask("EXPUNGE")
                other.ask("NOOP")

        return run

    assert factor(prepared, FEW, FACTOR_FLAT) < FACTOR_FLAT


@pytest.mark.parametrize("command", OF_ALL)
def test_a_command_about_all_mails_costs_time_in_proportion(command: str) -> None:
    def prepared(count: int) -> Callable[[], object]:
        client, _ = folder(count)
        return lambda: client.ask(command)

    assert factor(prepared, FEWER) <= FACTOR_MOST


def append_and_fetch(client: Raw, size: int) -> list[int]:
    """Returns the sizes of the writes in which a message is sent that has come in chunks."""
    data = b"t APPEND INBOX {%d+}\r\n" % size + b"x" * size + b"\r\n"
    for at in range(0, len(data), CHUNK):
        client.session.receive(data[at : at + CHUNK])
    assert b" OK [APPENDUID " in drain(client.session)
    client.session.receive(b"t FETCH 1 BODY[]\r\n")
    return [len(write) for write in iter(client.session.take, b"")]


def test_a_large_message_costs_time_in_proportion() -> None:
    def prepared(size: int) -> Callable[[], object]:
        client, _ = folder(0)
        return lambda: append_and_fetch(client, size)

    # Not more: above that, what it costs to get memory from the system would decide.
    assert factor(prepared, 150_000) <= FACTOR_MOST


def test_a_large_message_is_sent_in_pieces() -> None:
    writes = append_and_fetch(folder(0)[0], 10_000_000)
    assert sum(writes) > 10_000_000 and max(writes) < 3_000_000


@pytest.mark.parametrize(
    "command",
    [
        "FETCH 1 BODYSTRUCTURE",
        "FETCH 1 (BODY.PEEK[125] BODY.PEEK[125.MIME])",
        "SEARCH BODY nowhere",
        f"FETCH 1 ({' '.join(f'BODY.PEEK[{part}]' for part in range(1, 126))})",
    ],
)
def test_a_mail_of_a_thousand_parts_costs_time_in_proportion(command: str) -> None:
    def prepared(parts: int) -> Callable[[], object]:
        client, _ = folder(0)
        head = b"Content-Type: multipart/mixed; boundary=b\r\n"
        body = b"".join(b"\r\n--b\r\n\r\npart %d\r\n" % number for number in range(parts))
        raw = head + body + b"\r\n--b--\r\n"
        client.ask(f"APPEND INBOX {{{len(raw)}+}}\r\n{raw.decode()}")
        return lambda: client.ask(command)

    assert factor(prepared, 125) <= FACTOR_MOST
