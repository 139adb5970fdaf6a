"""A maildrop under SMTP and several POP3 sessions, compared with the simplest model of one."""

from __future__ import annotations

import hashlib
import itertools

from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
)

from fakes.pop3 import Pop3
from fakes.wire import Facts, Want
from fakes.world import World
from tests.bare_core import ask, drain
from tests.thorough import fewer

ALICE = "alice@example.test"


class Maildrop(RuleBasedStateMachine):
    """Mails arrive, clients come and go, and at most one of them holds the lock of the maildrop."""

    sessions = Bundle("sessions")

    def __init__(self) -> None:
        super().__init__()
        self.world = World({"servers": ["smtp", "pop3"]}, rehearsal=True)
        self.smtp = self.world.core("smtp")
        self.smtp.opened(Facts(1))
        self.smtp.receive(b"EHLO client.example\r\n")
        self.numbers = itertools.count(2)
        self.unique_ids = itertools.count(1)
        # The model: (unique id, body) of each mail in the maildrop, …
        self.stored: list[tuple[str, bytes]] = []
        # … the session with the lock, the mails that it saw when it logged in, and the indexes of
        # those that it has marked as deleted.
        self.holder: Pop3 | None = None
        self.seen: list[tuple[str, bytes]] = []
        self.marked: set[int] = set()

    @rule(body=st.sampled_from([b"", b".", b"..\r\n.", b"hello", b"\n.\n"]))
    def a_mail_arrives(self, body: bytes) -> None:
        lines = body.split(b"\r\n")
        stuffed = b"\r\n".join(b"." + line if line.startswith(b".") else line for line in lines)
        self.smtp.receive(
            b"MAIL FROM:<c@example.org>\r\nRCPT TO:<alice@example.test>\r\nDATA\r\n"
            + b"Subject: x\r\n\r\n"
            + stuffed
            + b"\r\n.\r\n"
        )
        drain(self.smtp)
        self.stored.append((f"{next(self.unique_ids):08x}", body + b"\r\n"))

    @rule(target=sessions)
    def a_client_connects(self) -> Pop3:
        session = self.world.core("pop3")
        assert isinstance(session, Pop3)
        session.opened(Facts(next(self.numbers)))
        assert drain(session).startswith(b"+OK")
        return session

    @rule(session=sessions, way=st.sampled_from(["pass", "apop", "wrong"]))
    def a_client_logs_in(self, session: Pop3, way: str) -> None:
        if session is self.holder:
            return
        digest = hashlib.md5((session._stamp + "secret").encode()).hexdigest().encode()
        line = {
            "pass": b"USER alice\r\nPASS secret\r\n",
            "apop": b"APOP alice " + digest + b"\r\n",
            "wrong": b"USER alice\r\nPASS no\r\n",
        }[way]
        answer = ask(session, line).removeprefix(b"+OK Now the password\r\n")
        if way == "wrong":
            assert answer.startswith(b"-ERR [AUTH]")
        elif self.holder is not None:
            assert answer.startswith(b"-ERR [IN-USE]")
        else:
            assert answer.startswith(b"+OK")
            self.holder, self.seen, self.marked = session, list(self.stored), set()

    @precondition(lambda self: self.holder is not None)
    @rule(number=st.integers(0, 5))
    def the_holder_fetches(self, number: int) -> None:
        assert self.holder is not None
        answer = ask(self.holder, b"RETR %d\r\n" % number)
        top = ask(self.holder, b"TOP %d 0\r\n" % number)
        if number - 1 in self.marked or not 1 <= number <= len(self.seen):
            assert answer.startswith(b"-ERR") and top.startswith(b"-ERR")
            return
        _, _, message = answer.partition(b"\r\n")
        header, _, stuffed = message.removesuffix(b".\r\n").partition(b"\r\n\r\n")
        lines = [line.removeprefix(b".") for line in stuffed.split(b"\r\n")]
        # The bare LF before a dot is sent as CRLF: see Row.served.
        body = self.seen[number - 1][1].replace(b"\n.\n", b"\r\n.\n")
        assert b"\r\n".join(lines) == body
        assert top == b"+OK The top of it\r\n" + header + b"\r\n\r\n.\r\n"

    @precondition(lambda self: self.holder is not None)
    @rule(number=st.integers(0, 5))
    def the_holder_marks(self, number: int) -> None:
        assert self.holder is not None
        markable = 1 <= number <= len(self.seen) and number - 1 not in self.marked
        answer = ask(self.holder, b"DELE %d\r\n" % number)
        assert answer.startswith(b"+OK" if markable else b"-ERR")
        if markable:
            self.marked.add(number - 1)

    @precondition(lambda self: self.holder is not None)
    @rule()
    def the_holder_unmarks_all(self) -> None:
        assert self.holder is not None
        assert ask(self.holder, b"RSET\r\n").startswith(b"+OK")
        self.marked.clear()

    @rule(session=consumes(sessions), way=st.sampled_from(["quit", "cut", "reset", "idle"]))
    def a_client_leaves(self, session: Pop3, way: str) -> None:
        if way == "quit":
            assert ask(session, b"QUIT\r\n").startswith(b"+OK")
            if session is self.holder:
                # RFC 1939 §6: only QUIT commits deletions. New mail may have arrived meanwhile.
                removed = {self.seen[number][0] for number in self.marked}
                self.stored = [mail for mail in self.stored if mail[0] not in removed]
        elif way == "idle":
            session.timers.at("idle", self.world.clock.now(), session.close)
            session.tick()
        elif way == "cut":
            session.eof()
        else:
            session.close(Want.RESET)
        if session is self.holder:
            self.holder = None

    @invariant()
    def the_lists_are_those_of_the_model(self) -> None:
        if self.holder is None:
            return
        expected = [
            f"{index + 1} {unique_id}".encode()
            for index, (unique_id, _) in enumerate(self.seen)
            if index not in self.marked
        ]
        assert ask(self.holder, b"UIDL\r\n").split(b"\r\n")[1:-2] == expected
        count = ask(self.holder, b"STAT\r\n").split()[1]
        assert int(count) == len(expected)

    @invariant()
    def the_maildrop_is_that_of_the_model(self) -> None:
        maildrop = self.world.mail.maildrop(ALICE)
        found = [(row.unique_id, row.raw.partition(b"\r\n\r\n")[2]) for row in maildrop.rows]
        assert found == self.stored
        assert maildrop.holder is self.holder


TestMaildrop = Maildrop.TestCase
TestMaildrop.settings = fewer()
