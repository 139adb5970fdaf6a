"""Further acts of tickets: failures, threads, templates, and what agents do on the pages."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from scenarios.play import Claim, Program, equal, holds, told
from scenarios.processing.tickets import scenario, ticket
from scenarios.processing.tickets_samples import (
    CAROL,
    DAVE,
    TICKETS,
    Agent,
    close_tickets,
    customer_mail,
    made_for,
    message_id,
    numbered,
    stored_responses,
    stored_tickets,
)

if TYPE_CHECKING:
    from fakes import World

SUBJECT = "The printer is on fire"
# A delivery report that anybody could write.
FORGED = (
    "From: MAILER-DAEMON@mx.example\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    "Reporting-MTA: dns; mx.example\r\n\r\n"
    "Final-Recipient: rfc822; {who}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
    "--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
    "Message-ID: {message_id}\r\nSubject: x\r\n\r\n--b--\r\n"
)
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
    yield equal(
        "Carol's mail makes one ticket", owners.count(CAROL), 1, shows=made_for(world, CAROL)
    )
    answers = world.mail.inbox(CAROL)
    yield equal("Carol gets one answer", len(answers), 1, shows=answers)
    yield equal(
        "Dave's mail, which came later, makes one, too",
        owners.count(DAVE),
        1,
        shows=made_for(world, DAVE),
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
    yield equal("Carol's mail makes one ticket", carols, 1, shows=made_for(world, CAROL))
    longs = found.count((DAVE, "A long line"))
    yield equal("a mail with a long line makes one, too", longs, 1, shows=made_for(world, DAVE)[:1])
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
    refers = f"References: {message_id(first)}\r\n"
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
        shows=[*made_for(world, EVE), *made_for(world, MALLORY)],
    )
    yield equal(
        "a reply is not acknowledged",
        len(world.mail.inbox(CAROL)),
        1,
        shows=world.mail.inbox(CAROL),
    )


@scenario.act("ticket-ack-template", book=False)
def template(world: World, program: Program) -> Iterator[Claim]:
    """The acknowledgement is made from a file, in Carol's language; then it asks for too much."""
    folder = world.folder / "acks"
    folder.mkdir()
    for name, text in (
        ("ticket-created.txt", "Subject: Got it\n\nDear {{ owner }},\nwe call it {{ subject }}.\n"),
        ("ticket-created.de.txt", "Subject: Angekommen\n\nHallo {{ owner }}!\n"),
    ):
        (folder / name).write_text(text, "utf-8", newline="\n")
    ours = {"tickets": {"templates": str(folder)}}
    german = customer_mail("Zwei", more="Content-Language: de-AT\r\n")
    world.mail.deliver(TICKETS, customer_mail("One"))
    world.clock.at(70, lambda: world.mail.deliver(TICKETS, german))
    world.clock.until(170)
    program(scenario=ours)
    unknown = "Subject: Got it\n\nYour priority is {{ priority }}.\n"
    (folder / "ticket-created.txt").write_text(unknown, "utf-8", newline="\n")
    world.mail.deliver(TICKETS, customer_mail("Three"))
    world.clock.until(270)
    program(scenario=ours)
    answers = world.mail.inbox(CAROL)
    texts = [(mail.subject, mail.text.replace("\r\n", "\n")) for mail in answers]
    filled = [("Got it", f"Dear {CAROL},\nwe call it One.\n")]
    yield equal("the template is filled in", texts[:1], filled, shows=answers[:1])
    translated = [("Angekommen", f"Hallo {CAROL}!\n")]
    yield equal("it is in the mail's language", texts[1:2], translated, shows=answers[1:2])
    starts = [text.partition("\n")[0] for _, text in texts[2:]]
    yield equal(
        "a template that cannot be filled in is replaced by the plain text",
        starts,
        ["A new ticket has been created for you."],
        shows=answers[2:],
    )
    tickets = stored_tickets(world.folder)
    subjects = [ticket.subject for ticket in tickets if ticket.owner == CAROL]
    yield equal(
        "all tickets are kept", subjects, ["One", "Zwei", "Three"], shows=made_for(world, CAROL)
    )


REPLIES = {"listen": "127.0.0.1:8026", "reply_to": "tickets+*@yourco.test"}
PAGES: dict[str, Any] = {"scenario": {"tickets": REPLIES}}


def answer_to(world: World, text: str, **more: str) -> None:
    """Carol answers the last mail that she got, by its Reply-To."""
    for mail in world.mail.inbox(CAROL)[-1:]:
        to, cc = str(mail.message["Reply-To"]), more.get("cc", "")
        head = f"From: {more.get('sender', CAROL)}\r\nTo: {to}\r\n"
        head += f"Cc: {cc}\r\n" if cc else ""
        head += f"Subject: {more.get('subject', 'Re:')}\r\nMessage-ID: <{len(text)}@carol.test>\r\n"
        raw = f"{head}\r\n{text}\r\n"
        world.mail.deliver(to, raw.encode())


@scenario.act("ticket-web-view", book=False, **PAGES)
def web_view(world: World, program: Program) -> Iterator[Claim]:
    """Agnes, an agent, reads Carol's ticket in her browser, answers it, and closes it."""
    agnes, eve = Agent(world, "Agnes"), Agent(world, "Eve")
    script = "<script>alert(1)</script>"
    first = customer_mail(f"{script} fire", text=script)
    world.mail.deliver(TICKETS, first)
    listed = agnes.opens(260, "/tickets?q=fire")
    shown = agnes.opens(270, "/tickets/@1")
    missing = agnes.opens(271, "/tickets/7")
    foreign = eve.posts(280, "/tickets/@1/answer", {"text": "Pay here.", "form": "a" * 20})
    agnes.fills_in(290, "/tickets/@1", "answer", text="Water helps.")
    world.clock.at(330, lambda: answer_to(world, "It did. Thanks!"))
    last = agnes.opens(370, "/tickets/@1")
    agnes.fills_in(380, "/tickets/@1", "close")
    world.clock.until(400)
    program()
    found = [f"{script} fire" in page.text for page in listed + shown]
    logged = told(world, "GET /tickets")
    seen = bool(found) and all(found)
    yield holds("list and ticket show what Carol wrote", seen, found, shows=logged)
    html = [page.html for page in listed + shown]
    inert = bool(html) and not any("<script>" in one for one in html)
    yield holds("no script of hers is part of a page", inert, html)
    codes = [page.status for page in missing + foreign]
    refused = told(world, "GET /tickets/7") + [
        event for event in world.events if "/answer: 400" in event.text
    ]
    yield equal(
        "an unknown ticket and a foreign form are refused", codes, [404, 400], shows=refused
    )
    answers = [mail for mail in world.mail.inbox(CAROL) if "Water helps." in mail.text]
    threads = [mail.message["In-Reply-To"] for mail in answers]
    ids = [message_id(first)]
    yield equal("Carol gets the answer in her thread", threads, ids, shows=answers)
    both = ["It did. Thanks!" in page.text for page in last]
    seen = bool(both) and all(both)
    yield holds("her next mail is in the ticket", seen, both, shows=told(world, "response "))
    closed = [one.closed for one in stored_tickets(world.folder) if one.owner == CAROL]
    yield equal("the ticket is closed", closed, [1], shows=told(world, "agent "))


@scenario.act("ticket-reply-token", book=False, **PAGES)
def reply_token(world: World, program: Program) -> Iterator[Claim]:
    """Carol writes from home and lets Dave take part; Mallory guesses at the token."""
    agnes = Agent(world, "Agnes")
    world.mail.deliver(TICKETS, customer_mail())
    elsewhere = {"sender": "carol@home.example", "subject": "from home", "cc": DAVE}
    world.clock.at(260, lambda: answer_to(world, "I am at home now.", **elsewhere))
    guessed = customer_mail("Hello", f"Mallory <{MALLORY}>")
    wrong = TICKETS.replace("@", f"+1-{'a' * 20}@")
    world.clock.at(270, lambda: world.mail.deliver(wrong, guessed))
    agnes.fills_in(310, "/tickets/@1", "answer", text="We come to you.")

    def dave_writes() -> None:
        subject = numbered(world, "Re: [#@1]")
        mail = customer_mail(subject, f"Dave <{DAVE}>", "I let them in.")
        world.mail.deliver(TICKETS, mail)

    world.clock.at(360, dave_writes)
    world.clock.until(450)
    program()
    people = (CAROL, DAVE, MALLORY, "carol@home.example")
    owners = [one.owner for one in stored_tickets(world.folder) if one.owner in people]
    made = made_for(world, MALLORY)
    yield equal(
        "only who knows the token writes to the ticket", owners, [CAROL, MALLORY], shows=made
    )
    texts = [response.text for response in stored_responses(world.folder)]
    wanted = ["I am at home now.\n", "I let them in.\n"]
    yield equal(
        "her mail from elsewhere is a response, and so is Dave's, who takes part by her Cc",
        texts,
        wanted,
        shows=told(world, "response "),
    )
    answers = [mail for mail in world.mail.messages if "We come to you." in mail.text]
    to = sorted(mail.envelope.to[0] for mail in answers)
    wanted = [CAROL, "carol@home.example", DAVE]
    yield equal("all who take part get the answer", to, wanted, shows=answers)


@scenario.act("ticket-merge-split", book=False, **PAGES)
def merge_split(world: World, program: Program) -> Iterator[Claim]:
    """Carol writes twice about one fire, and Agnes merges the tickets; then about an invoice."""
    agnes = Agent(world, "Agnes")
    world.mail.deliver(TICKETS, customer_mail("Fire"))
    smoke = customer_mail("Smoke", text="It smokes, too.")
    world.clock.at(170, lambda: world.mail.deliver(TICKETS, smoke))
    agnes.fills_in(340, "/tickets/@2", "merge", into="#@1")
    # She answers #2, which is in #1 now.
    world.clock.at(350, lambda: answer_to(world, "Where is my invoice?"))
    agnes.fills_in(450, "/tickets/@1", "split")
    world.clock.until(470)
    program()
    carols = [one for one in stored_tickets(world.folder) if one.owner == CAROL]
    rows = [(one.subject, one.closed) for one in carols]
    wanted = [("Fire", 0), ("Smoke", 1), ("Fire", 0)]
    done = told(world, "agent ")
    yield equal("two are one ticket, and the question is another one", rows, wanted, shows=done)
    subjects = {one.id: one.subject for one in carols}
    texts = [(subjects.get(one.ticket), one.text) for one in stored_responses(world.folder)]
    merged = [("Fire", "It smokes, too.\n")]
    yield equal("the merged mail is a response", texts, merged, shows=done[:1])


@scenario.act("ticket-reopens", book=False, scenario={"tickets": {"reopen": 1}})
def reopens(world: World, program: Program) -> Iterator[Claim]:
    """A ticket is closed. Carol writes within a day; it is closed again, and she writes later."""
    first = customer_mail()
    refers = f"References: {message_id(first)}\r\n"
    world.mail.deliver(TICKETS, first)
    world.clock.at(2500, lambda: close_tickets(world.folder))
    world.clock.at(2510, lambda: world.mail.deliver(TICKETS, customer_mail("Soon", more=refers)))
    world.clock.at(4500, lambda: close_tickets(world.folder))
    late = customer_mail("Late", more=refers)
    world.clock.at(100_000, lambda: world.mail.deliver(TICKETS, late))
    world.clock.until(100_100)
    program(scenario={"tickets": {"poll": 1000}})
    carols = [one for one in stored_tickets(world.folder) if one.owner == CAROL]
    rows = [(one.subject, one.closed) for one in carols]
    soon = stored_responses(world.folder)
    yield equal("within a day it opens again", len(soon), 1, shows=told(world, "response "))
    made = made_for(world, CAROL)
    yield equal("later, another ticket is made", rows, [(SUBJECT, 1), ("Late", 0)], shows=made)


@scenario.act("ticket-by-imap", book=False, servers=["smtp", "pop3", "imap"])
def over_imap(world: World, program: Program) -> Iterator[Claim]:
    """The same mail as in ticket-by-mail, but the program reads it over IMAP."""
    yield from ticket(world, partial(program, scenario={"tickets": {"mailbox": "imap"}}))
    spoken = {record.protocol for record in world.records} - {"smtp"}
    yield equal("nothing is read over POP3", spoken, {"imap"})


GONE = "550 5.1.1 no such mailbox"


@scenario.act("ticket-answer-returned", book=False, **PAGES)
def answer_returned(world: World, program: Program) -> Iterator[Claim]:
    """Carol's mailbox is removed before she reads the last answer; Mallory forges two reports."""
    agnes = Agent(world, "Agnes")
    world.mail.deliver(TICKETS, customer_mail())

    def reports(action: str, text: str) -> None:
        for mail in world.mail.inbox(CAROL)[-1:]:
            world.mail.bounce(mail, action=action, status="", text=text)

    def forges(change: str) -> None:
        for mail in world.mail.inbox(CAROL)[-1:]:
            wrong = {"no token": TICKETS, "another": mail.envelope.sender.replace("+b", "+b1")}
            forged = FORGED.format(message_id=mail.message["Message-ID"], who=CAROL)
            world.mail.deliver(wrong[change], forged.encode(), sender="")

    agnes.fills_in(260, "/tickets/@1", "answer", text="Water helps.")
    world.clock.at(290, lambda: reports("delayed", "timed out"))
    world.clock.at(320, lambda: forges("no token"))
    world.clock.at(330, lambda: forges("another"))
    before = agnes.opens(400, "/tickets/@1")
    agnes.fills_in(410, "/tickets/@1", "answer", text="Does it burn still?", close="1")
    world.clock.at(450, lambda: reports("failed", GONE))
    after = agnes.opens(520, "/tickets/@1")
    world.clock.until(530)
    program()
    answers = [mail for mail in world.mail.inbox(CAROL) if not mail.message["Auto-Submitted"]]
    paths = {mail.envelope.sender for mail in answers}
    own = len(paths) == 2 and all(path.startswith("tickets+b") for path in paths)
    yield holds("each answer has a return path for itself", own, paths, shows=answers)
    texts = [page.text.count("came back") for page in before]
    kept = [event for event in told(world, "kept ") if "sender is null" in event.text]
    yield equal("a delay and forged reports change nothing", texts, [0], shows=kept)
    yield holds("forged reports are kept", len(kept) >= 2, kept, shows=kept)
    shown = [GONE in page.text for page in after]
    back = told(world, "answer-returned ")
    yield equal("Agnes sees that her answer came back", shown, [True], shows=back)
    closed = [one.closed for one in stored_tickets(world.folder) if one.owner == CAROL]
    yield equal("the ticket is open again", closed, [0], shows=told(world, "response "))
