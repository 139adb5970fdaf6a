"""The further acts of tickets: replies find their ticket, the acknowledgement comes from a template."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.play import Claim, Program, equal, holds
from scenarios.processing.tickets import CAROL, TICKETS, rows, scenario, writes

if TYPE_CHECKING:
    from fakes import World

QUOTING = "Water did not help.\r\n\r\nOn Monday, Tickets wrote:\r\n> A new ticket has been created for you.\r\n> Ticket: #1"


def close_all(world: World) -> None:
    """What an agent would do."""
    with contextlib.closing(sqlite3.connect(world.folder / "tickets.sqlite3")) as db, db:
        db.execute("UPDATE ticket SET closed = 1")


@scenario.act("ticket-reply-thread")
def threads(world: World, program: Program) -> Iterator[Claim]:
    """Carol answers our answer, the ticket closes, she writes again; strangers try to get in."""

    def carol_answers() -> None:
        for answer in world.mail.inbox(CAROL)[:1]:
            more = f"In-Reply-To: {answer.message['Message-ID']}\r\n"
            world.mail.deliver(TICKETS, writes(f"Re: {answer.subject}", text=QUOTING, more=more))

    original = writes()
    own_id = "References: " + original.split(b"Message-ID: ")[1].split(b"\r\n")[0].decode() + "\r\n"
    world.clock.at(10, lambda: world.mail.deliver(TICKETS, original))
    world.clock.at(100, carol_answers)
    world.clock.at(200, lambda: close_all(world))
    world.clock.at(210, lambda: world.mail.deliver(TICKETS, writes("Still burning", more=own_id)))
    world.clock.at(
        310,
        lambda: world.mail.deliver(
            TICKETS, writes("Re: [#1]", "Eve <eve@evil.example>", "Let me in.")
        ),
    )
    world.clock.at(
        320,
        lambda: world.mail.deliver(
            TICKETS, writes("Hello", "Mallory <mallory@evil.example>", more=own_id)
        ),
    )
    world.clock.until(500)
    program()
    tickets = rows(world, "SELECT id, owner, closed FROM ticket ORDER BY id")
    tables = [name for (name,) in rows(world, "SELECT name FROM sqlite_master")]
    found = (
        rows(world, "SELECT ticket_id, said FROM response ORDER BY id")
        if "response" in tables
        else []
    )
    carols = next((row[0] for row in tickets if row[1] == CAROL), None)
    said = [(carols, "Water did not help.\n"), (carols, "Please help.\n")]
    yield equal("Carol's replies are responses of her ticket", found, said)
    whole = rows(world, "SELECT text FROM response WHERE id = 1") if found else []
    yield holds("the whole of a reply is kept", "> Ticket: #1" in str(whole), whole)
    yield holds("her reply has opened it again", (carols, CAROL, 0) in tickets, tickets)
    strangers = [row[1] for row in tickets if row[1].endswith("@evil.example")]
    yield holds(
        "who guesses a number, or quotes a mail that is not theirs, gets a ticket of their own",
        strangers == ["eve@evil.example", "mallory@evil.example"],
        tickets,
    )
    yield holds(
        "a reply is not acknowledged", len(world.mail.inbox(CAROL)) == 1, world.mail.inbox(CAROL)
    )


@scenario.act("ticket-ack-template", book=False, scenario={"tickets": {"template": "ack.txt"}})
def template(world: World, program: Program) -> Iterator[Claim]:
    """The acknowledgement is filled in from a file; then the file asks for what there is not."""
    file = world.folder / "ack.txt"
    file.write_text("Dear $owner,\nwe call it $subject.\n", "utf-8")
    world.clock.at(10, lambda: world.mail.deliver(TICKETS, writes("One")))
    world.clock.at(
        200, lambda: file.write_text("Dear $owner, your priority is $priority.\n", "utf-8")
    )
    world.clock.at(210, lambda: world.mail.deliver(TICKETS, writes("Two")))
    world.clock.until(400)
    program()
    texts = [mail.text.replace("\r\n", "\n") for mail in world.mail.inbox(CAROL)]
    yield holds(
        "the template is filled in", texts[:1] == [f"Dear {CAROL},\nwe call it One.\n"], texts
    )
    plain = len(texts) == 2 and texts[1].startswith("A new ticket has been created for you.")
    yield holds("with a variable missing the plain text goes out", plain, texts)
    subjects = rows(world, f"SELECT subject FROM ticket WHERE owner = '{CAROL}' ORDER BY id")
    yield equal("both tickets are kept", subjects, [("One",), ("Two",)])
