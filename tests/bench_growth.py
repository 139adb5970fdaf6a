"""Rows of the benchmark in which nothing may grow: an action with little there, and with much.

`ours` is measured with much; the ratio is to ours with little, in the same run.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from tests.bench_clients import Xmpp, connect_among
from tests.bench_measure import OURS, Contestant, Goal, Measure, Row, asked, kept, worker

LIMIT = 1.3
CONTACTS = 10_000


def flat(name: str, little: Contestant, much: Contestant) -> Row:
    """A row whose cost must not depend on how much is there."""
    return Row(f"growth: {name}", {OURS: much, "little": little}, [Goal("little", LIMIT)], rounds=5)


def maildrop(name: str, action: str) -> Row:
    """An action on a maildrop with 1 and with 100,000 mails."""
    little, much = (asked("maildrop", count, action=action) for count in (1, 100_000))
    return flat(f"{name}, with 1 and 100,000 mails", little, much)


def longest_turn(contacts: int) -> Contestant:
    """Seconds of processor time that a roster of that size holds the server's loop at most."""

    @contextlib.contextmanager
    def contestant() -> Iterator[Measure]:
        with worker("roster", contacts) as server:
            port = int(server.ask("port"))

            def measure() -> float:
                server.ask("longest")  # forgets what was before
                with Xmpp(port, "alice", "garden") as alice:
                    query = b"<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>"
                    alice.ask(query, b"</iq>")
                    alice.ask(b"<presence/>", b"/>")
                    # Answered after all that the presence has caused on the way to the contacts.
                    alice.ask(b"<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>", b"'p'")
                return server.ask("longest")

            yield measure

    return contestant


ROWS = [
    maildrop("STAT", "stat"),
    maildrop("login and QUIT", "login"),
    maildrop("delivery", "delivery"),
    maildrop("delivery under a quota", "quota"),
    maildrop("DELE and QUIT", "delete"),
    flat(
        "a connection and QUIT, among 1 and 990 connections", connect_among(1), connect_among(990)
    ),
    flat(
        "delivery during a wait_for, after 1 and 10,000 mails",
        kept("waiting", 1),
        kept("waiting", 10_000),
    ),
    flat(
        "a look at world.records, with 100 and 100,000",
        kept("looking", "records", 100),
        kept("looking", "records", 100_000),
    ),
    flat(
        "a look at world.mail.messages, with 100 and 20,000",
        kept("looking", "messages", 100),
        kept("looking", "messages", 20_000),
    ),
    Row(
        "growth: longest turn of the loop with a roster of 10,000",
        {OURS: longest_turn(CONTACTS), "little": longest_turn(1)},
        [Goal("", 10)],
        "ms",
        1e3,
        rounds=3,
    ),
]
