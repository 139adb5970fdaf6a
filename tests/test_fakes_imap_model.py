"""One account under SMTP, POP3 and two sessions of IMAP, compared with the simplest model of it.

The model is a list of mails for each folder, and for each session of IMAP the list of mails as it
was when the session was last told.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fakes.wire import Session
from tests.bare_core import ask
from tests.imap_raw import ALICE, Raw, imap_world
from tests.thorough import fewer

FOLDERS = ("INBOX", "Trash")
FLAGS = ("\\Seen", "\\Deleted", "Work")
SESSIONS = st.sampled_from([0, 1])
NUMBERS = st.integers(1, 4)
FETCHED = re.compile(r"\* (\d+) FETCH \(UID (\d+) FLAGS \((.*)\)\)")


@dataclass(eq=False)
class Stored:
    """A mail of the model, in one folder."""

    uid: int
    flags: set[str] = field(default_factory=set)


@dataclass
class Selected:
    """What the model knows of a session: its folder, and the mails as it knows them."""

    folder: str = ""
    known: list[Stored] = field(default_factory=list)


class Account(RuleBasedStateMachine):
    """Mails come and go through each door, and each session is told the right things."""

    def __init__(self) -> None:
        super().__init__()
        self.world = imap_world(imap={"bad_commands": 0})
        self.smtp = self.world.core("smtp")
        self.smtp.receive(b"HELO client.example\r\n")
        self.clients = [Raw(self.world, number) for number in (1, 2)]
        self.next_uid = dict.fromkeys(FOLDERS, 1)
        # The model.
        self.stored: dict[str, list[Stored]] = {name: [] for name in FOLDERS}
        self.sessions = [Selected(), Selected()]
        self.recent: dict[tuple[str, int], int] = {}  # folder and uid → the session that was told
        self.pop3: Session | None = None
        self.pop3_saw: list[Stored] = []
        self.pop3_marked: set[int] = set()
        self.connections = itertools.count(3)

    @initialize()
    def both_sessions_log_in(self) -> None:
        for number, client in enumerate(self.clients):
            client.ask("LOGIN alice secret")
            self.select(number, "INBOX")

    # ── the model ────────────────────────────────────────────────────────────

    def arrive(self, folder: str, flags: set[str] | None = None) -> Stored:
        mail = Stored(self.next_uid[folder], set(flags or ()))
        self.next_uid[folder] += 1
        self.stored[folder].append(mail)
        return mail

    def told(self, number: int) -> None:
        """A session has been told everything."""
        session = self.sessions[number]
        session.known = list(self.stored[session.folder])

    def mail(self, number: int, at: int) -> Stored | None:
        """The mail with a message number in a session, None if there is none."""
        known = self.sessions[number].known
        return known[at - 1] if at <= len(known) else None

    def is_there(self, number: int, mail: Stored) -> bool:
        return any(mail is one for one in self.stored[self.sessions[number].folder])

    def follow(self, number: int, lines: list[str]) -> None:
        """Applies what a session is told to what it knew, and compares it with the model."""
        session = self.sessions[number]
        uids = [mail.uid for mail in session.known]
        count = len(uids)
        for line in lines:
            if match := re.fullmatch(r"\* (\d+) EXPUNGE", line):
                assert 1 <= int(match[1]) <= count, line
                count -= 1
                if int(match[1]) <= len(uids):
                    del uids[int(match[1]) - 1]
            elif match := re.fullmatch(r"\* (\d+) EXISTS", line):
                assert int(match[1]) >= count, line
                count = int(match[1])
        stored = [mail.uid for mail in self.stored[session.folder]]
        assert count == len(stored)
        assert stored[: len(uids)] == uids
        self.told(number)

    # ── what sessions of IMAP do ─────────────────────────────────────────────

    @rule(number=SESSIONS, folder=st.sampled_from(FOLDERS))
    def select(self, number: int, folder: str) -> None:
        lines = self.clients[number].lines(f"SELECT {folder}")
        self.sessions[number].folder = folder
        self.told(number)
        known = self.sessions[number].known
        assert f"* {len(known)} EXISTS" in lines and lines[-1] == "t OK"
        unseen = next((at for at, one in enumerate(known, 1) if "\\Seen" not in one.flags), 0)
        assert (f"* OK [UNSEEN {unseen}] The first one" in lines) == bool(unseen)

    @rule(number=SESSIONS)
    def look(self, number: int) -> None:
        lines = self.clients[number].lines("NOOP")
        assert lines[-1] == "t OK"
        self.follow(number, lines)

    @rule(number=SESSIONS)
    def idle(self, number: int) -> None:
        client = self.clients[number]
        lines = client.ask("IDLE").split("\r\n")
        assert lines[0] == "+ idling"
        self.follow(number, lines)
        assert client.send(b"DONE\r\n") == b"t OK Waited\r\n"

    @rule(number=SESSIONS)
    def fetch_what_is_known(self, number: int) -> None:
        session = self.sessions[number]
        if not session.known:
            return
        lines = self.clients[number].lines("FETCH 1:* (UID FLAGS)")
        found = [match for line in lines if (match := FETCHED.fullmatch(line))]
        assert [(int(match[1]), int(match[2])) for match in found] == [
            (at, mail.uid) for at, mail in enumerate(session.known, 1)
        ]
        for mail, match in zip(session.known, found, strict=True):
            flags = {*match[3].split()}
            if self.is_there(number, mail):
                assert flags - {"\\Recent"} == mail.flags
            if "\\Recent" in flags:
                owner = self.recent.setdefault((session.folder, mail.uid), number)
                assert owner == number, "a mail is recent in one session only"
        assert not any("EXPUNGE" in line.split()[2:3] for line in lines), "RFC 3501 §7.4.1"
        if all(self.is_there(number, mail) for mail in session.known):
            self.told(number)  # nothing was removed, so that arrivals may be told

    @rule(
        number=SESSIONS,
        at=NUMBERS,
        flags=st.sets(st.sampled_from(FLAGS), min_size=1),
        mode=st.sampled_from(["", "+", "-"]),
    )
    def store(self, number: int, at: int, flags: set[str], mode: str) -> None:
        mail = self.mail(number, at)
        words = " ".join(sorted(flags))
        lines = self.clients[number].lines(f"STORE {at} {mode}FLAGS.SILENT ({words})")
        assert lines[-1] == ("t OK" if mail is not None else "t BAD")
        if mail is not None and self.is_there(number, mail):
            kept = mail.flags - flags if mode == "-" else mail.flags | flags
            mail.flags = set(flags) if not mode else kept
        if all(self.is_there(number, one) for one in self.sessions[number].known):
            self.told(number)

    @rule(number=SESSIONS)
    def expunge(self, number: int) -> None:
        folder = self.sessions[number].folder
        self.stored[folder] = [
            mail for mail in self.stored[folder] if "\\Deleted" not in mail.flags
        ]
        lines = self.clients[number].lines("EXPUNGE")
        assert lines[-1] == "t OK"
        self.follow(number, lines)

    @rule(number=SESSIONS, at=NUMBERS, move=st.booleans(), to=st.sampled_from(FOLDERS))
    def copy_or_move(self, number: int, at: int, move: bool, to: str) -> None:
        mail = self.mail(number, at)
        if mail is None:
            return
        verb = "UID MOVE" if move else "UID COPY"
        lines = self.clients[number].lines(f"{verb} {mail.uid} {to}")
        assert lines[-1] == "t OK"
        if self.is_there(number, mail):
            self.arrive(to, mail.flags)
            if move:
                self.stored[self.sessions[number].folder].remove(mail)
        self.follow(number, lines)

    @rule(number=SESSIONS, flags=st.sets(st.sampled_from(FLAGS)))
    def append(self, number: int, flags: set[str]) -> None:
        words = " ".join(sorted(flags))
        lines = self.clients[number].lines(f"APPEND Trash ({words}) {{2+}}\r\nhi")
        assert lines[-1] == "t OK"
        self.arrive("Trash", flags)
        self.follow(number, lines)

    # ── the other doors ──────────────────────────────────────────────────────

    @rule()
    def a_mail_is_sent(self) -> None:
        answer = ask(
            self.smtp,
            b"MAIL FROM:<c@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
            b"Subject: x\r\n\r\nhi\r\n.\r\n",
        )
        assert answer.count(b"250") == 3
        self.arrive("INBOX")

    @precondition(lambda self: self.pop3 is None)
    @rule()
    def pop3_logs_in(self) -> None:
        self.pop3 = self.world.core("pop3")
        assert ask(self.pop3, b"USER alice\r\nPASS secret\r\n").endswith(b"in the maildrop\r\n")
        self.pop3_saw, self.pop3_marked = list(self.stored["INBOX"]), set()

    @precondition(lambda self: self.pop3 is not None)
    @rule()
    def another_session_of_pop3_is_refused(self) -> None:
        answer = ask(self.world.core("pop3"), b"USER alice\r\nPASS secret\r\n")
        assert b"-ERR [IN-USE]" in answer

    @precondition(lambda self: self.pop3 is not None)
    @rule(at=NUMBERS)
    def pop3_reads_and_marks(self, at: int) -> None:
        assert self.pop3 is not None
        if at > len(self.pop3_saw) or at in self.pop3_marked:
            return
        there = any(self.pop3_saw[at - 1] is one for one in self.stored["INBOX"])
        assert ask(self.pop3, b"RETR %d\r\n" % at).startswith(b"+OK" if there else b"-ERR")
        assert ask(self.pop3, b"DELE %d\r\n" % at).startswith(b"+OK")
        self.pop3_marked.add(at)

    @precondition(lambda self: self.pop3 is not None)
    @rule(quits=st.booleans())
    def pop3_leaves(self, quits: bool) -> None:
        assert self.pop3 is not None
        if quits:
            assert ask(self.pop3, b"QUIT\r\n") == b"+OK Bye\r\n"
            gone = [self.pop3_saw[at - 1] for at in self.pop3_marked]
            self.stored["INBOX"] = [
                mail for mail in self.stored["INBOX"] if not any(mail is one for one in gone)
            ]
        else:
            self.pop3.eof()
        self.pop3 = None

    @rule(number=SESSIONS)
    def a_session_is_lost_and_comes_back(self, number: int) -> None:
        self.clients[number].session.eof()
        self.clients[number] = Raw(self.world, next(self.connections))
        self.clients[number].ask("LOGIN alice secret")
        self.select(number, "INBOX")

    # ── what always holds ────────────────────────────────────────────────────

    @invariant()
    def the_folders_are_those_of_the_model(self) -> None:
        for name in FOLDERS:
            found = self.world.mail.folder(ALICE, name)
            assert {uid: set(flags) for uid, flags in found.flags.items()} == {
                mail.uid: mail.flags for mail in self.stored[name]
            }

    @invariant()
    def nothing_is_told_unasked(self) -> None:
        assert all(client.news() == [] for client in self.clients)

    def teardown(self) -> None:
        for client in self.clients:
            client.session.eof()
        followed = self.world.mail.store.folders(ALICE).maildrops
        assert not any(folder.followers for folder in followed)


class AccountAtLength(Account):
    """The same, for longer."""


TestAccount = Account.TestCase
TestAccount.settings = settings(stateful_step_count=10, max_examples=3)
TestAccountAtLength = pytest.mark.slow(AccountAtLength.TestCase)
TestAccountAtLength.settings = fewer(steps=30)
