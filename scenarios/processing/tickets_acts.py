"""Further acts of tickets: responses, and the acknowledgement from a template."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from scenarios.play import Claim, Program, equal, holds, told
from scenarios.processing.tickets import scenario, ticket
from scenarios.processing.tickets_samples import (
    CAROL,
    DAVE,
    TICKETS,
    close_tickets,
    customer_mail,
    opened,
    stored_responses,
    stored_tickets,
)

if TYPE_CHECKING:
    from fakes import World

EVE, MALLORY = "eve@evil.example", "mallory@evil.example"
REPLY = (
    "Water did not help.\r\n\r\n"
    "On Monday, Tickets wrote:\r\n> A new ticket has been created for you.\r\n> Ticket: #1"
)


@scenario.act("ticket-answer-fails")
def answer_fails(world: World, program: Program) -> Iterator[Claim]:
    """The mail server is down when Carol writes; then comes a mail without a sender, then Dave's.

    A supervisor starts the program again if it dies.
    """
    world.close_port("smtp")
    world.clock.at(10, lambda: world.mail.deliver(TICKETS, customer_mail()))
    world.clock.at(100, lambda: world.open_port("smtp"))
    world.clock.at(130, lambda: world.mail.deliver(TICKETS, b"Subject: Hello\r\n\r\n?\r\n"))
    dave = customer_mail("The printer smokes", f"Dave <{DAVE}>")
    world.clock.at(140, lambda: world.mail.deliver(TICKETS, dave))
    world.clock.until(250)
    program(supervised=True)
    owners = [ticket.owner for ticket in stored_tickets(world.folder)]
    yield equal("Carol's mail makes one ticket", owners.count(CAROL), 1, shows=opened(world, CAROL))
    answers = world.mail.inbox(CAROL)
    yield equal("Carol gets one answer", len(answers), 1, shows=answers)
    yield equal(
        "Dave's mail, which came later, makes one, too",
        owners.count(DAVE),
        1,
        shows=opened(world, DAVE),
    )


@scenario.act("ticket-session-broken")
def session_broken(world: World, program: Program) -> Iterator[Claim]:
    """A mail has a line of 3,000 characters; later the server takes 45 s to answer.

    A supervisor starts the program again if it dies.
    """
    long = customer_mail("A long line", f"Dave <{DAVE}>", "x" * 3000)
    world.mail.deliver(TICKETS, customer_mail())
    world.mail.deliver(TICKETS, long)
    world.clock.at(100, lambda: world.faults.arm("pop3 RETR delay 45 times 1"))
    again = customer_mail("Another", f"Dave <{DAVE}>")
    world.clock.at(101, lambda: world.mail.deliver(TICKETS, again))
    world.clock.until(250)
    program(supervised=True)
    found = [(ticket.owner, ticket.subject) for ticket in stored_tickets(world.folder)]
    carols = found.count((CAROL, "The printer is on fire"))
    yield equal("Carol's mail makes one ticket", carols, 1, shows=opened(world, CAROL))
    longs = found.count((DAVE, "A long line"))
    yield equal("a mail with a long line makes one, too", longs, 1, shows=opened(world, DAVE)[:1])
    broken = [record.session for record in world.records if "delay" in str(record.fault)]
    verbs = [record.verb for record in world.records if record.session in broken]
    ends = verbs[verbs.index("RETR") + 1 :] if "RETR" in verbs else verbs
    yield holds("a session that is out of step ends without QUIT", "QUIT" not in ends, ends)


@scenario.act("ticket-reply-thread")
def threads(world: World, program: Program) -> Iterator[Claim]:
    """Carol replies, the ticket is closed, she writes again; two strangers try to join."""

    def carol_replies() -> None:
        for answer in world.mail.inbox(CAROL)[:1]:
            more = f"In-Reply-To: {answer.message['Message-ID']}\r\n"
            reply = customer_mail(f"Re: {answer.subject}", text=REPLY, more=more)
            world.mail.deliver(TICKETS, reply)

    first = customer_mail()
    message_id = first.split(b"Message-ID: ")[1].split(b"\r\n")[0].decode()
    refers = f"References: {message_id}\r\n"
    eve = customer_mail("Re: [#1]", f"Eve <{EVE}>", "Let me in.")
    mallory = customer_mail("Hello", f"Mallory <{MALLORY}>", more=refers)
    deliver = partial(partial, world.mail.deliver, TICKETS)
    world.clock.at(10, deliver(first))
    world.clock.at(100, carol_replies)
    world.clock.at(200, lambda: close_tickets(world.folder))
    world.clock.at(210, deliver(customer_mail("Still burning", more=refers)))
    world.clock.at(310, deliver(eve))
    world.clock.at(320, deliver(mallory))
    world.clock.until(500)
    program()
    tickets, responses = stored_tickets(world.folder), stored_responses(world.folder)
    carols = [ticket for ticket in tickets if ticket.owner == CAROL]
    number = carols[0].id if carols else 0
    found = [(response.ticket, response.new_text) for response in responses]
    wanted = [(number, "Water did not help.\n"), (number, "Please help.\n")]
    replies = told(world, "response ")
    yield equal("Carol's replies are responses to her ticket", found, wanted, shows=replies)
    whole = [response.text for response in responses[:1]]
    quoted = "> Ticket: #1" in str(whole)
    yield holds("a reply is kept with what it quotes", quoted, whole, shows=replies[:1])
    closed = [ticket.closed for ticket in carols]
    yield equal("her reply opens the ticket again", closed, [0], shows=replies[1:])
    strangers = [ticket.owner for ticket in tickets if ticket.owner.endswith("@evil.example")]
    yield equal(
        "strangers get tickets of their own",
        strangers,
        [EVE, MALLORY],
        shows=[*opened(world, EVE), *opened(world, MALLORY)],
    )
    yield equal(
        "a reply is not acknowledged",
        len(world.mail.inbox(CAROL)),
        1,
        shows=world.mail.inbox(CAROL),
    )


@scenario.act("ticket-ack-template", book=False, scenario={"tickets": {"template": "ack.txt"}})
def template(world: World, program: Program) -> Iterator[Claim]:
    """The acknowledgement is made from a file; then the file asks for an unknown value."""
    file = world.folder / "ack.txt"
    file.write_text("Dear $owner,\nwe call it $subject.\n", "utf-8", newline="\n")
    world.clock.at(10, lambda: world.mail.deliver(TICKETS, customer_mail("One")))
    unknown = "Dear $owner, your priority is $priority.\n"
    world.clock.at(200, lambda: file.write_text(unknown, "utf-8", newline="\n"))
    world.clock.at(210, lambda: world.mail.deliver(TICKETS, customer_mail("Two")))
    world.clock.until(400)
    program()
    answers = world.mail.inbox(CAROL)
    texts = [mail.text.replace("\r\n", "\n") for mail in answers]
    filled = [f"Dear {CAROL},\nwe call it One.\n"]
    yield equal("the template is filled in", texts[:1], filled, shows=answers[:1])
    starts = [text.partition("\n")[0] for text in texts[1:]]
    plain = ["A new ticket has been created for you."]
    yield equal(
        "a template that cannot be filled in is replaced by the plain text",
        starts,
        plain,
        shows=answers[1:],
    )
    tickets = stored_tickets(world.folder)
    subjects = [ticket.subject for ticket in tickets if ticket.owner == CAROL]
    yield equal("both tickets are kept", subjects, ["One", "Two"], shows=opened(world, CAROL))


@scenario.act("ticket-by-imap", book=False, servers=["smtp", "pop3", "imap"])
def over_imap(world: World, program: Program) -> Iterator[Claim]:
    """The same mail as in ticket-by-mail, but the program reads it over IMAP."""
    yield from ticket(world, partial(program, scenario={"tickets": {"mailbox": "imap"}}))
    spoken = {record.protocol for record in world.records} - {"smtp"}
    yield equal("nothing is read over POP3", spoken, {"imap"})
