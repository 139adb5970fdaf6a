"""Tickets by mail: who is answered, what broken mails become, mail loops, the order of effects."""

from __future__ import annotations

import contextlib
import itertools
import re
import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine
from sqlalchemy.exc import OperationalError

from comms import settings
from comms.clock import Interrupted
from comms.errors import CommsError, SettingsError, StateError
from comms.read import read
from fakes.drills import POISON
from fakes.world import World
from scenarios import models
from scenarios.book import tickets as book
from scenarios.processing import tickets, tickets_desk
from scenarios.processing.tickets import WORLD
from scenarios.processing.tickets_quotes import without_quotation
from scenarios.processing.tickets_samples import CAROL, TICKETS, customer_mail
from tests import drills, visited_tickets
from tests.test_scenarios_mysql_by_mail import ROWS
from tests.thorough import fewer

MODULE = tickets.__name__
PASSWORD = "canary-p4ssw0rd"
REQUEST = customer_mail()


def rows(folder: Path, sql: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(folder / "tickets.sqlite3")) as db:
        return db.execute(sql).fetchall()


class Played:
    """What a run of the program has left."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.tickets = rows(world.folder, "SELECT owner, subject, text FROM ticket ORDER BY id")
        tables = {name for (name,) in rows(world.folder, "SELECT name FROM sqlite_master")}
        statuses = rows(world.folder, "SELECT status FROM answer") if "answer" in tables else []
        self.answers = [row[0] for row in statuses]
        quarantine = (world.folder / "tickets.quarantine").glob("*.eml")
        self.kept = sorted(path.read_bytes() for path in quarantine)
        answers = [mail for mail in world.mail.messages if "Ticket Created!" in mail.subject]
        self.answered = [to for mail in answers for to in mail.envelope.to]
        self.left = len(world.mail.maildrop(TICKETS).rows)
        self.records = world.records
        self.events = [event.text for event in world.events]


def play(
    *mails: bytes,
    faults: tuple[str, ...] = (),
    run: Any = tickets.run,
    restarts: int = 1,
    until: float = 100,
    sender: str | None = None,
    config: Mapping[str, Any] = WORLD,
    **table: Any,
) -> Played:
    """Delivers the mails, runs the program `restarts` times, and returns what is left."""
    with World(config, rehearsal=True, faults=faults) as world:
        for mail in mails:
            world.mail.deliver(TICKETS, mail, sender=sender)
        world.clock.until(until)
        rules = {**WORLD["scenario"]["tickets"], **table}
        given = {**world.settings, "scenario": {"tickets": rules}}
        for _ in range(restarts):
            try:
                run(world.clock, settings.load(given, world.folder), world.host)
            except CommsError:
                world.clock.until(world.clock.elapsed + until)
            except Exception as error:  # of poplib and smtplib: they end the printed listing
                assert run is book.run, error
        played = Played(world)
        world.faults.disarm()
    return played


# ── who is answered ──────────────────────────────────────────────────────────


@pytest.mark.slow  # the rows have quick tests in test_comms_replies.py and with mysql-by-mail
@pytest.mark.parametrize(("mail", "envelope", "obeyed", "answered"), ROWS)
def test_who_is_answered(mail: bytes, envelope: str, obeyed: bool, answered: bool) -> None:
    played = play(mail, sender=envelope, until=0)
    assert len(played.answers) == answered, played.events
    assert len(played.tickets) + len(played.kept) == 1 and played.left == 0, (
        "each mail is a ticket or is kept"
    )
    for one in played.world.mail.messages:
        if "Ticket Created!" in one.subject:
            assert one.envelope.sender == "" and one.message["Auto-Submitted"] == "auto-replied"


def test_the_answer_goes_to_reply_to_if_that_is_a_single_address() -> None:
    assert play(customer_mail(more="Reply-To: dave@customer.test\r\n")).answered == [
        "dave@customer.test"
    ]
    assert play(customer_mail(more="Reply-To: a@x.example, b@x.example\r\n")).answered == [CAROL]
    assert play(customer_mail(more="Reply-To: nonsense\r\n")).answered == [CAROL]
    assert play(customer_mail(more=f"Reply-To: {TICKETS}\r\n")).answered == []


@pytest.mark.parametrize("sender", ["Carol.Smith@mail.example", "gro\xdf@mail.example"])
def test_an_acknowledgement_goes_to_the_address_as_it_was_written(sender: str) -> None:
    mails = [customer_mail(subject, sender) for subject in ("One", "Two")]
    mails.append(customer_mail("Three", sender.upper()))
    config = {**WORLD, "mail": {"relay": "keep"}}
    played = play(*mails, config=config, answers=2)
    assert played.answered == [sender, sender]


def test_an_address_gets_no_more_answers_in_a_day_than_the_limit() -> None:
    played = play(*(customer_mail(f"number {number}") for number in range(15)), answers=4)
    assert len(played.tickets) == 15 and len(played.answered) == 4


def test_our_own_mail_opens_no_ticket() -> None:
    played = play(customer_mail(sender=f"Tickets <{TICKETS}>"))
    assert played.tickets == [] and played.answered == [] and len(played.kept) == 1


def test_ticket_numbers_are_removed_from_a_new_subject() -> None:
    played = play(
        customer_mail("Re: [#7] Help [#8]  [#9]"),
        customer_mail("[#9] hello"),
        customer_mail("[#9]   [#10]"),
        customer_mail("a [#9]b"),
        customer_mail("Caf\u00e9 \r\n\tcontinued"),
        customer_mail(""),
    )
    assert [subject for _, subject, _ in played.tickets] == [
        "Re: Help",
        "hello",
        "(no subject)",
        "ab",
        "Café  continued",
        "(no subject)",
    ]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Yes.\n\nOn Monday, Tickets wrote:\n> A new ticket\n> Thanks!\n", "Yes.\n"),
        ("Yes.\n\n> A new ticket\n", "Yes.\n"),
        # when in doubt, all of it
        ("I ran\n> make\n> make install\n", "I ran\n> make\n> make install\n"),
        ("It fails.\n\n>From here on it breaks.\n", "It fails.\n\n>From here on it breaks.\n"),
        *[
            (f"{line}\n> error 17\n", f"{line}\n> error 17\n")
            for line in (
                "Please call ann@x.test by 9:14, the log says:",
                "El servidor no funciona desde las 9:14, y el log escribió:",
                "On my machine it writes, since 10:30, the following:",
            )
        ],
        ("> A new ticket\nYes.\n", "> A new ticket\nYes.\n"),
        ("The steps:\n> one\nand then it breaks\n", "The steps:\n> one\nand then it breaks\n"),
        ("only this\n", "only this\n"),
        ("", ""),
        ("> only a quotation\n", "\n"),
        # an attribution of several lines
        (
            "Yes.\n\nOn Mon, Jan 5, 2026 at 9:14 AM Tickets of Your Company <t@yourco.test>\n"
            "wrote:\n\n> A new ticket\n",
            "Yes.\n",
        ),
        ("Yes.\n\nOn Mon, Jan 5, 2026\nat 9:14 AM Tickets\n<t@x.test> wrote:\n> x\n", "Yes.\n"),
        ("Ja.\n\nAm 05.01.26 um 09:14 schrieb Tickets:\n> x\n", "Ja.\n"),
        ("Oui.\n\nLe lun. 5 janv. 2026 à 09:14, T <t@x.test> a\nécrit :\n\n> x\n", "Oui.\n"),
        ("はい\n\n2026年1月5日(月) 9:14 Tickets <t@x.test>:\n> x\n", "はい\n"),
        ("Yes.\n\nTickets <t@x.test> wrote on 5 January:\n> x\n", "Yes.\n"),
        # pasted lines, and what could be a part of the reply
        ("It says:\n> error 5\n", "It says:\n> error 5\n"),
        ("Log of 2026:\n\n> error 5\n", "Log of 2026:\n\n> error 5\n"),
        ("Yes.\n\nTickets wrote:\n> A new ticket\n", "Yes.\n"),
        (
            "\u05db\u05df\n\n\u202b2026 \u202aTickets\u202c <\u202at@x.test\u202c>:\u202c\n\n> x\n",
            "\u05db\u05df\n",
        ),
        ("Yes.\nThe Log wrote:\n> x\n", "Yes.\nThe Log wrote:\n> x\n"),
        ("In the manual you wrote:\n> press it\n", "In the manual you wrote:\n> press it\n"),
        ("On page 12 the author wrote:\n> x\n", "On page 12 the author wrote:\n> x\n"),
        ("Mail ann@x.test the log:\n> x\n", "Mail ann@x.test the log:\n> x\n"),
        ("Yes.\nOn a line of mine\n\nsteps:\n> x\n", "Yes.\nOn a line of mine\n\nsteps:\n> x\n"),
    ],
)
def test_only_a_quotation_at_the_end_is_removed(text: str, left: str) -> None:
    assert without_quotation(text) == left


def same_id(subject: str, text: str, who: str = CAROL, trace: str = "") -> bytes:
    mail = f"{trace}From: {who}\r\nSubject: {subject}\r\nMessage-ID: <same@customer.test>\r\n"
    return f"{mail}\r\n{text}\r\n".encode()


def test_another_mail_with_a_known_message_id_is_a_ticket_of_its_own() -> None:
    mails = [
        same_id("one", "first"),
        same_id("two", "something else", "dave@customer.test"),
        same_id("one", "more"),
        same_id("one", "first"),
        same_id("one", "first", trace="X-Spam-Status: No\r\nX-Received: by x\r\n"),
    ]
    played = play(*mails)
    assert [(subject, text) for _, subject, text in played.tickets] == [
        ("one", "first\n"),
        ("two", "something else\n"),
        ("one", "more\n"),
    ]
    assert played.left == 0 and played.kept == []


def test_a_mail_whose_name_shows_another_address_is_a_ticket_that_is_not_answered() -> None:
    played = play(customer_mail(sender="dave@customer.test <carol@customer.test>"))
    assert [owner for owner, _, _ in played.tickets] == [CAROL] and played.answered == []


@pytest.mark.parametrize("fault", ["smtp connect refuse times 1", 'PASS reply "-ERR no" times 1'])
def test_the_password_is_in_no_output_and_no_file(fault: str) -> None:
    people = [{**one, "password": PASSWORD} for one in WORLD["person"]]
    off = {"pop3": ["APOP", "SASL"], "smtp": ["CRAM-MD5"]}
    with World({**WORLD, "person": people, "off": off}, rehearsal=True, faults=[fault]) as world:
        world.mail.deliver(TICKETS, REQUEST)
        for _ in range(2):
            world.clock.until(world.clock.elapsed + 100)
            with contextlib.suppress(CommsError):
                tickets.run(world.clock, settings.load(world.settings, world.folder), world.host)
        texts = [mail.raw for mail in world.mail.messages]
        texts += [event.text.encode() for event in world.events]
        texts += [path.read_bytes() for path in world.folder.iterdir() if path.is_file()]
        assert len(world.mail.inbox(CAROL)) == 1
    assert not [text for text in texts if PASSWORD.encode() in text]


# ── broken mail ──────────────────────────────────────────────────────────────


def nested(depth: int) -> bytes:
    mail = customer_mail(
        f"nested {depth}",
        more="MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b0\r\n",
        text="",
    ).rstrip(b"\r\n")
    inner = b"".join(
        b"\r\n\r\n--b%d\r\nContent-Type: multipart/mixed; boundary=b%d" % (level, level + 1)
        for level in range(depth)
    )
    return mail + inner + b"\r\n\r\n--b%d\r\n\r\nat the bottom\r\n" % depth


def parts(count: int) -> bytes:
    head = customer_mail(
        "parts", more="MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n", text=""
    ).rstrip(b"\r\n")
    return (
        head
        + b"\r\n\r\n"
        + b"".join(
            b"--b\r\nContent-Type: image/png\r\n\r\n%d\r\n" % number for number in range(count)
        )
        + b"--b--\r\n"
    )


def of_type(subject: str, content_type: str, text: str = "Please help.") -> bytes:
    return customer_mail(subject, text=text, more=f"Content-Type: {content_type}\r\n")


DROP = "'; DROP TABLE ticket; --"
CLIMBING = 'Content-Disposition: attachment; filename="../../etc/passwd"\r\n'
LATIN = customer_mail("latin").replace(b"Please", b"Pl\xe9ase") + b"\xff\xfe\r\n"
BROKEN = {
    "a charset that does not exist": of_type("charset", "text/plain; charset=x-none"),
    "a charset that is a cipher": of_type("rot13", "text/plain; charset=rot13"),
    "a charset with a NUL": of_type("nul", 'text/plain; charset="a\0b"'),
    "UTF-7 with half a character": of_type("utf-7", "text/plain; charset=utf-7", "+2AA-"),
    "bytes that are not in the charset": LATIN,
    "nested fifty deep": nested(50),
    "nested five hundred deep": nested(500),
    "ten thousand parts": parts(10_000),
    "no headers": b"\r\nhello\r\n",
    "no body": b"From: x@y.example\r\nSubject: none\r\nMessage-ID: <nobody@y.example>\r\n",
    "nothing": b"",
    "NULs": customer_mail("nuls", text="a\0b\0" * 100),
    "only NULs": b"\0" * 10_000,
    "ten thousand headers": customer_mail("headers", more="X-Header: x\r\n" * 10_000),
    "a line of a megabyte": customer_mail("long", text="x" * 1_000_000),
    "a subject of a megabyte": customer_mail("s" * 1_000_000),
    "a From of a megabyte": b"From: " + b"(" * 1_000_000 + b"\r\n\r\n",
    "poison": POISON,
    "invalid base64": customer_mail(
        "b64", text="=====", more="Content-Transfer-Encoding: base64\r\n"
    ),
    "an unknown encoding": customer_mail("enc", more="Content-Transfer-Encoding: x-uuencode\r\n"),
    "a boundary that never appears": of_type("b", "multipart/mixed; boundary=never"),
    "a multipart without boundary": of_type("m", "multipart/mixed"),
    "an attachment with a path": customer_mail("up", more=CLIMBING),
    "a forwarded mail": of_type("fwd", "message/rfc822", "From: a@b.c\r\n\r\nx"),
    "bare line feeds": customer_mail("lf").replace(b"\r\n", b"\n"),
    "bare carriage returns": customer_mail("cr").replace(b"\r\n", b"\r"),
    "an impossible date": customer_mail("date", more="Date: Fri, 31 Feb 99999 25:61:61 +9999\r\n"),
    "surrogates in an encoded word": customer_mail("=?utf-16?b?2AA=?= =?utf-8?b?7aCA?="),
    "SQL": customer_mail(DROP, f'"{DROP}" <sql@evil.example>', DROP),
}


QUICK = {"an attachment with a path", "invalid base64", "NULs", "poison", "SQL"}


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in BROKEN],
)
def test_a_broken_mail_is_a_ticket_or_is_kept_and_the_next_one_goes_on(name: str) -> None:
    played = play(BROKEN[name], REQUEST, until=30)
    assert played.left == 0, played.events
    assert len(played.tickets) + len(played.kept) == 2, played.events
    assert any(
        owner == CAROL and subject == "The printer is on fire"
        for owner, subject, _ in played.tickets
    )
    assert CAROL in played.answered
    assert not [text for text in played.events if "breaks the program" in text], (
        "kept for a known reason"
    )


@pytest.mark.slow
def test_all_broken_mails_and_a_large_one_together() -> None:
    big = customer_mail("big", text=("x" * 998 + "\r\n") * 30_000)
    assert len(big) > 29_000_000
    played = play(*BROKEN.values(), big, REQUEST, until=30)
    assert played.left == 0 and len(played.tickets) + len(played.kept) == len(BROKEN) + 2
    assert ("big" in {subject for _, subject, _ in played.tickets}) and CAROL in played.answered


def test_a_mail_that_is_too_large_is_a_ticket_and_stays_in_the_mailbox() -> None:
    played = play(customer_mail("big", text="x" * 5000), REQUEST, largest=3000)
    assert played.left == 1
    texts = {subject: text for _, subject, text in played.tickets}
    assert len(texts) == 2 and "it waits" not in texts["The printer is on fire"]
    assert (
        texts["big"].startswith("(too large: ") and "the mail waits in the mailbox" in texts["big"]
    )
    assert len(played.answered) == 2


def test_attachments_are_stored_with_safe_names() -> None:
    mail = customer_mail(
        more='Content-Type: text/plain; name="x"\r\n'
        'Content-Disposition: attachment; filename="../../etc/passwd"\r\n'
    )
    with World(WORLD, rehearsal=True) as world:
        world.mail.deliver(TICKETS, mail)
        tickets.run(world.clock, settings.load(world.settings, world.folder), world.host)
        assert rows(world.folder, "SELECT name, content FROM attachment") == [
            ("passwd", b"Please help.\r\n")
        ]
        (raw,) = rows(world.folder, "SELECT raw FROM letter")
        assert raw[0].endswith(mail), "every byte is kept"


def test_a_mail_that_crashes_the_program_is_kept_after_three_crashes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Crash(BaseException):
        pass

    def deadly(raw: bytes) -> Any:
        if b"POISON" in raw:
            raise Crash
        return read(raw)

    monkeypatch.setattr(tickets_desk, "read", deadly)
    with World(WORLD, rehearsal=True) as world:
        world.mail.deliver(TICKETS, customer_mail("POISON"))
        world.mail.deliver(TICKETS, REQUEST)
        loaded = settings.load(world.settings, world.folder)
        answered = []
        for _ in range(4):
            with contextlib.suppress(Crash):
                tickets.run(world.clock, loaded, world.host)
            answered.append(
                CAROL in [to for mail in world.mail.messages for to in mail.envelope.to]
            )
        assert answered == [False, False, True, True], (
            "after the first crash, the other mails are taken first"
        )
        played = Played(world)
        subjects = [subject for _, subject, _ in played.tickets]
        assert subjects == ["The printer is on fire", "(could not be read)"]
        assert len(played.kept) == 1 and played.left == 0


@pytest.mark.parametrize("sender", ["desk", "Tickets tickets@yourco.test"])
def test_a_sender_without_an_address_is_an_error_in_the_settings(sender: str) -> None:
    with World(WORLD, rehearsal=True) as world:
        given = {**world.settings, "scenario": {"tickets": {"sender": sender}}}
        with pytest.raises(
            SettingsError, match=r"scenario\.tickets\.sender: '.*' does not contain an address"
        ):
            tickets.run(world.clock, settings.load(given, world.folder), world.host)


@pytest.mark.parametrize("faults", [(), ('pop3 LIST reply "-ERR no"',), ("pop3 connect refuse",)])
def test_every_connection_to_the_database_is_closed(
    faults: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    class Watched(sqlite3.Connection):
        closed = False

        def close(self) -> None:
            self.closed = True
            super().close()

    connect = sqlite3.dbapi2.connect

    def watched(*args: Any, **options: Any) -> sqlite3.Connection:
        opened.append(connect(*args, **{**options, "factory": Watched}))
        return opened[-1]  # type: ignore[no-any-return]

    monkeypatch.setattr(sqlite3.dbapi2, "connect", watched)
    with World(WORLD, rehearsal=True, faults=faults) as world:
        world.mail.deliver(TICKETS, REQUEST)
        with contextlib.suppress(CommsError):
            tickets.run(world.clock, settings.load(world.settings, world.folder), world.host)
        assert opened and all(one.closed for one in opened)


def test_a_database_that_cannot_be_used_is_closed_too(monkeypatch: pytest.MonkeyPatch) -> None:
    engines: list[Any] = []

    def remembered(*args: Any, **options: Any) -> Any:
        engines.append(create_engine(*args, **options))
        return engines[-1]

    monkeypatch.setattr(models, "create_engine", remembered)
    with World(WORLD, rehearsal=True) as world:
        (world.folder / "tickets.sqlite3").write_bytes(b"not a database at all" * 100)
        with pytest.raises(StateError, match=r"tickets\.sqlite3: file is not a database"):
            tickets.run(world.clock, settings.load(world.settings, world.folder), world.host)
    assert [engine.pool.checkedin() for engine in engines] == [0]


def test_a_clock_that_jumps_loses_nothing_and_answers_once() -> None:
    """A day forward, a week back, and ten years forward, while an answer waits."""
    with World(WORLD, rehearsal=True) as world:
        loaded = settings.load(world.settings, world.folder)
        for number, jump in enumerate((86_400, -7 * 86_400, 10 * 365 * 86_400)):
            world.mail.deliver(TICKETS, customer_mail(f"before jump {number}"))
            world.close_port("smtp")  # so that the answer waits until a time of the wrong clock
            tickets.run(world.clock, loaded, world.host)
            world.clock.jump(jump)
            world.open_port("smtp")
            world.clock.until(world.clock.elapsed + 200)
            tickets.run(world.clock, loaded, world.host)
        played = Played(world)
    assert len(played.tickets) == 3 and played.left == 0
    assert played.answers == ["sent"] * 3 and played.answered == [CAROL] * 3


# ── mail loops ───────────────────────────────────────────────────────────────

ROBOTS = ("one@robots.test", "two@robots.test")


def wired(first: Any, second: Any, rounds: int) -> tuple[World, list[int]]:
    """Runs two programs that get each other's mail; returns the number of mails per round."""
    config = {"servers": ["smtp", "pop3"], "person": [{"address": address} for address in ROBOTS]}
    counts = []
    with World(config, rehearsal=True) as world:
        world.mail.deliver(ROBOTS[1], customer_mail("hello", ROBOTS[0]))
        for _ in range(rounds):
            for number, (run, address) in enumerate(((first, ROBOTS[0]), (second, ROBOTS[1]))):
                table = {key: {**world.settings[key], "user": address} for key in ("smtp", "pop3")}
                table["scenario"] = {"tickets": {"database": f"sqlite:///{number}.sqlite3"}}
                run(world.clock, settings.load(table, world.folder), world.host)
                world.clock.advance(30)
            counts.append(len(world.mail.messages))
    return world, counts


def test_two_of_our_programs_stop_answering_each_other() -> None:
    _, counts = wired(tickets.run, tickets.run, 10)
    assert counts[-1] == counts[0] == 2, "a mail, its answer, and no answer to the answer"


@pytest.mark.slow
def test_a_program_without_rules_is_answered_only_a_few_times() -> None:
    _, counts = wired(book.run, tickets.run, 40)
    assert counts[-1] == counts[-10] < 50, "it gets no more answers, so it stops, too"


def test_two_printed_programs_answer_each_other_without_end() -> None:
    _, counts = wired(book.run, book.run, 20)
    assert all(later > earlier for earlier, later in itertools.pairwise(counts))


# ── the order of effects ─────────────────────────────────────────────────────

PLAIN = play(REQUEST, customer_mail("second", "dave@customer.test"), until=30)
CUTS = list(drills.cuts(PLAIN.records))
WITHIN = [cut for cut in CUTS if cut.endswith("hang up within")]


@pytest.mark.parametrize("fault", drills.sampled(CUTS, drills.three_of(WITHIN)))
def test_wherever_the_connection_is_cut_a_mail_is_one_ticket_with_at_most_one_answer(
    fault: str,
) -> None:
    played = play(
        REQUEST, customer_mail("second", "dave@customer.test"), faults=(fault,), until=100
    )
    assert sorted(subject for _, subject, _ in played.tickets) == [
        "The printer is on fire",
        "second",
    ]
    assert played.left == 0 and not played.kept
    assert max(Counter(played.answered).values()) == 1
    unknown = played.answers.count("unknown")
    assert (
        sorted(played.answers) == ["sent"] * (2 - unknown) + ["unknown"] * unknown and unknown <= 1
    )
    assert len(played.answered) >= 2 - unknown


@pytest.mark.slow
def test_the_printed_listing_makes_tickets_and_answers_again_and_again() -> None:
    made: Counter[int] = Counter()
    for fault in drills.cuts(play(REQUEST, run=book.run, until=30).records):
        made[len(play(REQUEST, faults=(fault,), run=book.run, restarts=3).tickets)] += 1
    assert max(made) > 1
    silent = play(
        REQUEST, faults=('smtp DATA reply "451 4.3.0 later"',), run=book.run, restarts=8, until=0
    )
    assert len(silent.tickets) == 8, "an answer that cannot be sent makes a ticket at every poll"
    assert (
        len(
            play(
                REQUEST, faults=('smtp DATA reply "451 4.3.0 later"',), restarts=8, until=0
            ).tickets
        )
        == 1
    )


def settled(world: World, folder: Path) -> tuple[int, int, list[str]]:
    """(tickets, answers, their status) after the program ran on undisturbed."""
    assert world.mail.inbox(TICKETS) == []
    found = rows(folder, "SELECT id FROM ticket")
    status = [row[0] for row in rows(folder, "SELECT status FROM answer")]
    return len(found), len(world.mail.inbox(CAROL)), status


def holds(found: tuple[int, int, list[str]]) -> None:
    made, answers, status = found
    assert made == 1
    assert (answers == 1 and status in (["sent"], ["unknown"])) or (
        answers == 0 and status == ["unknown"]
    )


def killed(
    at: int, folder: Path, config: Mapping[str, Any] = WORLD
) -> tuple[int | None, list[str]]:
    """Kills the program at this step and starts it again, twice.

    Returns the number of steps (None if it was killed), and the status of each answer.
    """
    folder.mkdir()
    with World({**config, "tls": "off"}) as world:
        world.mail.deliver(TICKETS, REQUEST)
        steps = drills.killed(at, MODULE, world.settings, folder)
        drills.start_again(MODULE, world.settings, folder)
        found = settled(world, folder)
        holds(found)
    return steps, found[2]


@pytest.mark.slow
def test_killed_at_any_step_a_mail_is_one_ticket_with_at_most_one_answer(tmp_path: Path) -> None:
    seen: Counter[str] = Counter()

    def kill(at: int) -> int | None:
        steps, status = killed(at, tmp_path / str(at))
        seen[str(status)] += 1
        return steps

    assert drills.each_step(kill, whole=True) > 40
    assert seen["['sent']"] > seen["['unknown']"] > 0


def killed_while_answering(at: int, folder: Path) -> int | None:
    """Kills the program at a step of the round in which an agent's answer is taken and sent."""
    folder.mkdir()
    table = {"listen": "127.0.0.1:8026", **WORLD["scenario"]["tickets"]}
    config = {**WORLD, "tls": "off", "scenario": {"tickets": table}}
    with World(config) as world:
        world.mail.deliver(TICKETS, REQUEST)
        drills.start_again(MODULE, {**world.settings, "scenario": WORLD["scenario"]}, folder, 1)
        steps = drills.killed(at, visited_tickets.__name__, world.settings, folder)
        drills.start_again(visited_tickets.__name__, world.settings, folder, 1)
        found = rows(folder, "SELECT status FROM answer WHERE agent != ''")
        answers = [mail for mail in world.mail.inbox(CAROL) if visited_tickets.ANSWER in mail.text]
        assert found in ([("sent",)], [("unknown",)]), "one answer, whoever sends the form again"
        assert len(answers) == 1 or (not answers and found == [("unknown",)])
        assert len(rows(folder, "SELECT id FROM ticket")) == 1
    return steps


@pytest.mark.slow
def test_killed_at_any_step_an_agent_answers_once(tmp_path: Path) -> None:
    assert drills.each_step(lambda at: killed_while_answering(at, tmp_path / str(at))) > 20


@pytest.mark.slow
def test_on_a_full_disk_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    codes: Counter[int] = Counter()
    for room in drills.rooms(400_000):
        folder = tmp_path / str(room)
        folder.mkdir()
        with World({**WORLD, "tls": "off"}) as world:
            world.mail.deliver(TICKETS, REQUEST)
            code = drills.on_full_disk(room, MODULE, world.settings, folder)
            codes[code] += 1
            drills.start_again(MODULE, world.settings, folder)
            holds(settled(world, folder))
        if code == 0:
            break
    assert codes[StateError.exit_code] > 5 and codes[0] == 1


@pytest.mark.parametrize("at", drills.first_middle_last(range(1, 25), int))
def test_a_commit_that_fails_loses_nothing(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    commits = itertools.count(1)

    class Failing(sqlite3.Connection):
        def commit(self) -> None:
            if self.in_transaction and next(commits) == at:
                raise sqlite3.OperationalError("database or disk is full")
            super().commit()

    connect = sqlite3.dbapi2.connect
    monkeypatch.setattr(
        sqlite3.dbapi2, "connect", lambda *a, **o: connect(*a, **{**o, "factory": Failing})
    )
    with World(WORLD, rehearsal=True) as world:
        world.mail.deliver(TICKETS, REQUEST)
        loaded = settings.load(world.settings, world.folder)
        for _ in range(3):
            with contextlib.suppress(StateError):
                tickets.run(world.clock, loaded, world.host)
            world.clock.advance(100)
        monkeypatch.undo()
        holds(settled(world, world.folder))


@pytest.mark.slow
def test_of_four_instances_at_once_on_sqlite_one_works(tmp_path: Path) -> None:
    with World({**WORLD, "tls": "off"}) as world:
        for number in range(5):
            world.mail.deliver(TICKETS, customer_mail(f"number {number}"))
        for _ in range(4):
            codes = drills.together(4, MODULE, world.settings, tmp_path)
            assert set(codes) <= {0, 3, 4, StateError.exit_code}, codes
        assert world.mail.inbox(TICKETS) == []
        subjects = [row[0] for row in rows(tmp_path, "SELECT subject FROM ticket ORDER BY subject")]
        assert subjects == [f"number {number}" for number in range(5)]
        answers = Counter(
            re.sub(r" \[#\d+\]", "", mail.subject) for mail in world.mail.inbox(CAROL)
        )
        assert max(answers.values()) == 1 and len(answers) == 5


@pytest.mark.slow
@fewer()
@given(
    st.lists(
        st.sampled_from(
            [
                b"From: a@b.c\r\n",
                b"Subject: x\r\n",
                b"Message-ID: <1@b.c>\r\n",
                b"\r\n",
                b"\n",
                b"\0",
                b"\xff",
                b"Content-Type: text/html\r\n",
                b"=?utf-8?q?=0D?=",
                b"In-Reply-To: <1@b.c>\r\n",
                b"[#1]",
                b"Content-Type: multipart/mixed; boundary=x\r\n",
                b"--x\r\n",
                b"References: <",
            ]
        ),
        max_size=15,
    )
)
def test_any_mail_is_a_ticket_or_a_response_or_is_kept(pieces: list[bytes]) -> None:
    with World(WORLD, rehearsal=True) as world:
        world.mail.deliver(TICKETS, b"".join(pieces), sender="a@b.c")
        tickets.run(world.clock, settings.load(world.settings, world.folder), world.host)
        played = Played(world)
        assert len(played.tickets) + len(played.kept) == 1 and played.left == 0
        assert not [text for text in played.events if "breaks the program" in text]


# ── what is not the fault of a mail ──────────────────────────────────────────


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        OSError(5, "Input/output error"),
        PermissionError(13, "Permission denied"),
        BrokenPipeError(),
        TimeoutError(),
    ],
)
def test_an_error_of_the_machine_is_not_the_fault_of_a_mail(
    monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def failing(raw: bytes) -> Any:
        raise error

    with World(WORLD, rehearsal=True) as world:
        world.mail.deliver(TICKETS, REQUEST)
        loaded = settings.load(world.settings, world.folder)
        with monkeypatch.context() as patched:
            patched.setattr(tickets_desk, "read", failing)
            for _ in range(6):
                with pytest.raises(StateError) as caught:
                    tickets.run(world.clock, loaded, world.host)
                assert caught.value.exit_code == 5
        assert len(world.mail.maildrop(TICKETS).rows) == 1
        tickets.run(world.clock, loaded, world.host)
        played = Played(world)
        assert len(played.tickets) == 1 and not played.kept and played.answered == [CAROL]


class TooLong(Exception):
    """What psycopg raises for a value that is too long for an index of PostgreSQL."""

    sqlstate = "54000"


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError(),
        MemoryError(),
        RecursionError(),
        UnicodeError("x"),
        Interrupted("x"),
        OperationalError("INSERT", {}, TooLong()),
    ],
)
def test_a_mail_that_cannot_be_read_is_a_ticket_that_says_so(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def failing(raw: bytes) -> Any:
        if b"POISON" in raw:
            raise error
        return read(raw)

    monkeypatch.setattr(tickets_desk, "read", failing)
    played = play(customer_mail("POISON"), REQUEST)
    assert [(owner, subject) for owner, subject, _ in played.tickets] == [
        (CAROL, "(could not be read)"),
        (CAROL, "The printer is on fire"),
    ]
    assert "kept as" in played.tickets[0][2] and len(played.kept) == 1 and played.left == 0
    assert played.answered == [CAROL], "a program may have written what cannot be read"


@pytest.mark.parametrize("fault", ["RETR after 50", "RETR hang up", "DELE hang up"])
def test_a_network_that_fails_often_is_not_the_fault_of_a_mail(fault: str) -> None:
    played = play(REQUEST, faults=(f"{fault} times 5",), until=400)
    assert len(played.tickets) == 1 and not played.kept and played.left == 0


def overwrite(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + b"x" * 50_000)


def text(path: Path) -> None:
    path.write_text("not a database")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def scramble(path: Path) -> None:
    raw = path.read_bytes()
    path.write_bytes(raw[:4096] + bytes(len(raw) - 4096))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def other_tables(path: Path) -> None:
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as db:
        for table in ("ticket", "letter", "seen", "answer", "try"):
            db.execute(f"CREATE TABLE {table} (x INTEGER)")


@pytest.mark.parametrize("spoil", [overwrite, text, cut, scramble, folder, other_tables])
def test_a_damaged_database_is_an_error_of_the_state(spoil: Any) -> None:
    with World(WORLD, rehearsal=True) as world:
        world.mail.deliver(TICKETS, REQUEST)
        loaded = settings.load(world.settings, world.folder)
        tickets.run(world.clock, loaded, world.host)
        spoil(world.folder / "tickets.sqlite3")
        world.mail.deliver(TICKETS, customer_mail("another"))
        with pytest.raises(StateError) as caught:
            tickets.run(world.clock, loaded, world.host)
        assert caught.value.exit_code == 5 and str(caught.value).startswith("sqlite:///")


@pytest.mark.parametrize(
    "address", ["a@" + "ü" * 80 + ".test", "a@ü..test", '"a\\b"@b.test', "a@xn--.test"]
)
def test_an_address_that_cannot_be_answered_has_a_ticket_anyway(address: str) -> None:
    mail = customer_mail("Hello", f"<{address}>")
    played = play(mail)
    assert len(played.tickets) + len(played.kept) == 1 and played.left == 0
    assert not [event for event in played.events if "breaks the program" in event]
