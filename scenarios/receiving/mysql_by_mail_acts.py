"""Further acts of mysql-by-mail: lookalikes of commands, forged senders, receipts, bounces."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from comms.state import State
from scenarios.play import Claim, Program, equal, holds, told
from scenarios.receiving.mysql_by_mail import scenario
from scenarios.receiving.mysql_by_mail_samples import ADMINS, INBOX, RESTART, SENDER, request

if TYPE_CHECKING:
    from fakes import World
    from fakes.host import Event
    from fakes.mail import Mail

JEREMY = "Jeremy <jeremy@yourco.test>"
EVE = "eve@evil.example"
QUOTED = f"> From: {JEREMY}\r\n> Subject: Restart MySQL\r\n"
# A delivery report that anybody could write.
FORGED = (
    "From: MAILER-DAEMON@mx.example\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: message/delivery-status\r\n\r\n"
    "Reporting-MTA: dns; mx.example\r\n\r\n"
    "Final-Recipient: rfc822; {who}\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
    "--b\r\nContent-Type: text/rfc822-headers\r\n\r\n"
    "Message-ID: {message_id}\r\nSubject: Restart MySQL\r\n\r\n--b--\r\n"
)
LOOKALIKE = '"Jeremy <jeremy@yourco.test>" <eve@evil.example>'

# What arrives in the secret inbox, and whether it is a command. A search through the raw text is
# wrong about ten of the twelve.
MAILS: dict[str, tuple[bytes, bool]] = {
    "a phone's bare From": (request(), True),
    "a From with a name": (request(sender=JEREMY), True),
    "a From in capitals": (request(sender="JEREMY@YOURCO.TEST"), True),
    "another case": (request("rEsTaRt mysql", JEREMY), True),
    "an encoded subject": (request("=?utf-8?B?UmVzdGFydCBNeVNRTA==?=", JEREMY), True),
    "a folded subject": (request("Restart\r\n MySQL", JEREMY), True),
    "the command inside a sentence": (request("Please never Restart MySQL again", JEREMY), False),
    "a subject about a command": (request("Undelivered: Restart MySQL", JEREMY), False),
    "a stranger who quotes the headers": (request("hello", EVE, body=QUOTED), False),
    "a stranger with the command and a quotation": (request(sender=EVE, body=QUOTED), False),
    "a name that looks like an address": (request(sender=LOOKALIKE), False),
    "two From fields": (request(sender=JEREMY, more=f"From: {EVE}\r\n"), False),
}


def restarts(world: World) -> list[float]:
    """When MySQL was restarted, in seconds since the start."""
    began = world.clock.now() - world.clock.elapsed
    return [event.at - began for event in restarted(world)]


def restarted(world: World) -> list[Event]:
    """The restarts of MySQL, as evidence."""
    runs = f"runs: {' '.join(RESTART)}"
    return [event for event in world.events if event.text == runs]


def refusals(world: World) -> list[str]:
    """Why mails were refused, oldest first; none if the program keeps no audit."""
    with State(world.folder / "mysql-by-mail.sqlite3") as state:
        if not state.rows("SELECT name FROM sqlite_master WHERE name = 'audit'"):
            return []
        rows = state.rows("SELECT detail FROM audit WHERE verdict = 'refused' ORDER BY rowid")
    return [str(row[0]) for row in rows]


def sent(world: World) -> list[tuple[list[str], str]]:
    """(recipients, subject) of the mails that the program sent."""
    mails = [mail for mail in world.mail.messages if mail.envelope.sender == SENDER]
    return [(mail.envelope.to, mail.subject) for mail in mails]


@scenario.act("mysql-by-mail-regex")
def regex(world: World, program: Program) -> Iterator[Claim]:
    """Twelve mails arrive two minutes apart; six are commands, six only look like one."""
    for number, (mail, _) in enumerate(MAILS.values()):
        world.clock.at(120 * number + 15, partial(world.mail.deliver, INBOX, mail))
    world.clock.until(120 * len(MAILS))
    program()
    runs = dict(zip((int(at - 15) // 120 for at in restarts(world)), restarted(world), strict=True))
    for number, (name, (_, is_command)) in enumerate(MAILS.items()):
        claim = f"obeyed: {name}" if is_command else f"not obeyed: {name}"
        yield equal(claim, number in runs, is_command, shows=runs.get(number, ()))


@scenario.act("mysql-cut-before-quit")
def cut_before_quit(world: World, program: Program) -> Iterator[Claim]:
    """Three sessions are cut before QUIT; a supervisor starts the program again if it dies."""
    world.faults.arm("pop3 QUIT lost unstored times 3")
    world.mail.deliver(INBOX, request(sender=JEREMY))
    world.clock.until(150)
    program(supervised=True)
    yield equal("MySQL is restarted once", world.host.ran, [RESTART], shows=restarted(world))
    yield equal("the maildrop is empty", world.mail.inbox(SENDER), [])


@scenario.act("forged-sender-refused", scenario={"mysql-by-mail": {"owner": "michael@yourco.test"}})
def forged(world: World, program: Program) -> Iterator[Claim]:
    """The right sender writes to the wrong inbox, and wrong senders write to the right one."""
    passed = "Authentication-Results: mail.yourco.test; dmarc=pass header.from=yourco.test\r\n"
    traces = f"Delivered-To: {INBOX}\r\nX-Original-To: {INBOX}\r\n"
    for to, mail in (
        (SENDER, request(sender=JEREMY)),
        (SENDER, request(sender=JEREMY, more=traces)),
        (INBOX, request(sender="Jeremy <jeremy@evil.example>")),
        (INBOX, request(sender="jeremy@evil.example", more=passed)),
        (INBOX, request(sender="Jeremy <jeremy@yourc0.test>")),
        (INBOX, request(sender="Jeremy <jeremy@yourco.test.evil.example>")),
        (INBOX, request(sender="Jeremy <jeremy+restart@yourco.test>")),
    ):
        world.mail.deliver(to, mail)
    world.clock.until(150)
    program()
    yield equal("nothing runs", world.host.ran, [])
    reasons = {reason: refusals(world).count(reason) for reason in ("wrong inbox", "a stranger")}
    logged = reasons["wrong inbox"] >= 2 and reasons["a stranger"] >= 5
    yield holds("each refusal is logged", logged, reasons, shows=told(world, "refused"))
    kept = sorted(path.name for path in (world.folder / "mysql-by-mail.refused").glob("*.eml"))
    yield holds("each refused mail is kept", len(kept) >= 7, kept, shows=told(world, "refused"))
    alarm = (["michael@yourco.test"], "Commands were refused on db1.yourco.test")
    yield equal(
        "the owner is notified once",
        sent(world).count(alarm),
        1,
        shows=world.mail.inbox("michael@yourco.test"),
    )
    others = [mail for mail in sent(world) if mail != alarm]
    yield equal("nobody else gets an answer", others, [])
    text = "".join(mail.text for mail in world.mail.inbox("michael@yourco.test"))
    yield holds(
        "the alarm does not contain the secret inbox",
        INBOX not in text,
        text,
        shows=world.mail.inbox("michael@yourco.test"),
    )


@scenario.act(
    "command-receipt", scenario={"mysql-by-mail": {"status": ["systemctl", "status", "mariadb"]}}
)
def receipt(world: World, program: Program) -> Iterator[Claim]:
    """The mail server is down during a restart; later a command fails, and one is mistyped."""
    failing = world.host.commands["systemctl", "status", "mariadb"]
    failing.code, failing.output = 3, "mariadb.service: inactive (dead)\n"
    restart = request(sender=JEREMY, message_id="one@phone.test")
    world.close_port("smtp")
    world.clock.at(10, lambda: world.mail.deliver(INBOX, restart))
    world.clock.at(200, lambda: world.open_port("smtp"))
    world.clock.at(400, lambda: world.mail.deliver(INBOX, request("status mysql", JEREMY)))
    world.clock.at(500, lambda: world.mail.deliver(INBOX, request("Restart MySQ", JEREMY)))
    world.clock.until(700)
    program()
    yield equal("MySQL is restarted once", world.host.ran.count(RESTART), 1, shows=restarted(world))
    mails = world.mail.inbox(ADMINS[0])
    texts = [mail.text.replace("\r\n", "\n") for mail in mails]
    yield equal("each command gets one receipt", len(mails), 3, shows=mails)
    began = world.clock.now() - world.clock.elapsed
    waits = [mail.at - began - at for mail, at in zip(mails, restarts(world), strict=False)][:1]
    waited = waits != [] and waits[0] > 60
    yield holds("the first receipt waits for the mail server", waited, waits, shows=mails[:1])
    threads = [(mail.message["In-Reply-To"], mail.message["References"]) for mail in mails[:1]]
    yield equal(
        "the receipt is in the thread", threads, [("<one@phone.test>",) * 2], shows=mails[:1]
    )
    marks = [str(mail.message["Auto-Submitted"]) for mail in mails]
    yield equal("receipts are marked as automatic", marks, ["auto-replied"] * 3, shows=mails)
    done = "> restart mysql\ndb1.yourco.test: done in 2.0 s\n\n| mariadb: restart\n"
    yield equal(
        "a receipt has command, host, duration and output", texts[:1], [done], shows=mails[:1]
    )
    failed = (
        "> status mysql\n"
        "db1.yourco.test: failed with exit status 3 after 2.0 s\n\n"
        "| mariadb.service: inactive (dead)\n"
    )
    yield equal("a failure is reported as a failure", texts[1:2], [failed], shows=mails[1:2])
    helped = any("did you mean 'restart mysql'?" in text for text in texts[2:])
    yield holds(
        "a mistyped command is answered with a suggestion", helped, texts[2:], shows=mails[2:]
    )


@scenario.act(
    "bounce-loop-guard",
    person=[
        {"address": SENDER, "aliases": [INBOX]},
        {"address": ADMINS[0], "quota": 0},
        {"address": ADMINS[1]},
    ],
    mail={"unknown": "bounce"},
)
def bounces(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy's mailbox is full, so his receipt bounces; other automatic mail arrives, too."""
    bounce = request(
        "Undelivered Mail Returned to Sender",
        "MAILER-DAEMON@mx.example",
        body=f"From: {JEREMY}\r\nSubject: Restart MySQL",
    )
    automatic = "Auto-Submitted: auto-replied\r\n"
    forged = FORGED.format(message_id="<guessed@db1.yourco.test>", who="michael@yourco.test")
    for at, mail, envelope in (
        (10, request(sender=JEREMY), None),
        (100, bounce, ""),
        (130, request("Re: Restart MySQL", JEREMY, automatic), None),
        (160, request(sender=JEREMY, more=automatic), None),
        (190, forged.encode(), ""),
    ):
        world.clock.at(at, partial(world.mail.deliver, INBOX, mail, sender=envelope))
    world.clock.until(400)
    program()
    yield equal("MySQL is restarted once", len(world.host.ran), 1, shows=restarted(world))
    recipients = [to for to, _ in sent(world)]
    yield equal(
        "one receipt is sent",
        recipients.count([ADMINS[0]]),
        1,
        shows=[mail for mail in world.mail.messages if mail.envelope.to == [ADMINS[0]]],
    )
    yield holds("no program is answered", len(recipients) < 2, recipients)
    returned = [
        mail
        for mail in world.mail.messages
        if re.search("^Undelivered Mail", mail.subject) and not mail.envelope.sender
    ]
    yield equal(
        "the bounce of the receipt arrives, and another one", len(returned), 2, shows=returned
    )
    marked = [event.text.split()[1] for event in told(world, "unreachable")]
    yield equal(
        "Jeremy is marked as unreachable, Michael is not",
        marked,
        ["who=jeremy@yourco.test"],
        shows=told(world, "unreachable"),
    )


OWNER = "owner@yourco.test"


GONE = "550 5.1.1 no such mailbox"
# The program looks for mail every three hours, so that the acts are short.
RETURNED: dict[str, Any] = {
    "person": [
        {"address": SENDER, "aliases": [INBOX]},
        *({"address": address} for address in (*ADMINS, OWNER)),
    ],
    "scenario": {
        "mysql-by-mail": {"returns": "mysql+*@yourco.test", "owner": OWNER, "poll": 10800}
    },
}


class Quarters:
    """What happens to the receipts of one administrator; times are in quarters of a day."""

    def __init__(self, world: World, admin: str) -> None:
        self._world, self._admin = world, admin

    def at(self, time: float, cue: Callable[[], object]) -> None:
        """Lets something happen."""
        self._world.clock.at(time * 21600, cue)

    def asks(self, time: float) -> None:
        """The administrator asks for a restart, which is answered by a receipt."""
        mail = request(sender=self._admin, message_id=f"{time}@phone.test")
        self.at(time, lambda: self._world.mail.deliver(INBOX, mail))

    def receipt(self) -> Mail:
        """The last receipt."""
        return self._world.mail.inbox(self._admin)[-1]

    def reports(self, time: float, action: str, status: str, text: str) -> None:
        """A server reports on the last receipt."""
        bounce = partial(self._world.mail.bounce, action=action, status=status, text=text)
        self.at(time, lambda: bounce(self.receipt()))

    def forges(self, time: float, path: Callable[[str], str]) -> None:
        """A stranger reports on the last receipt, to a return path that has been changed."""

        def forge() -> None:
            receipt = self.receipt()
            report = FORGED.format(message_id=receipt.message["Message-ID"], who=self._admin)
            self._world.mail.deliver(path(receipt.envelope.sender), report.encode(), sender="")

        self.at(time, forge)


def warned(world: World) -> list[Mail]:
    """The mails that tell the owner of receipts that do not arrive."""
    return [mail for mail in world.mail.inbox(OWNER) if "Receipts" in mail.subject]


@scenario.act("receipt-returned", book=False, **RETURNED)
def returned(world: World, program: Program) -> Iterator[Claim]:
    """A receipt is delayed, and comes back; the next one finds the mailbox full."""
    jeremy = Quarters(world, ADMINS[0])
    jeremy.asks(0.5)
    jeremy.reports(1.5, "delayed", "4.4.1", "connection timed out")
    jeremy.reports(2.5, "failed", "5.1.1", GONE)
    jeremy.asks(3.5)
    jeremy.reports(4.5, "failed", "4.2.2", "452 4.2.2 mailbox full")
    world.clock.until(6 * 21600)
    program()
    receipts = world.mail.inbox(ADMINS[0])
    paths = [mail.envelope.sender for mail in receipts]
    own = len({*paths}) == len(paths) == 2 and all(path.startswith("mysql+b") for path in paths)
    yield holds("each receipt has a return path for itself", own, paths, shows=receipts)
    delayed = told(world, "mail-delayed")
    yield holds("a delay is logged", delayed, delayed, shows=delayed)
    marked = told(world, "unreachable")
    yield equal(
        "Jeremy is unreachable as soon as a receipt has come back",
        [event.text.split()[1:3] for event in marked],
        [[f"who={ADMINS[0]}", "kind=hard"]],
        shows=marked,
    )
    full = [event for event in told(world, "mail-returned") if "kind=soft" in event.text]
    yield holds("a full mailbox is told apart", full, full, shows=full)
    subjects = [mail.subject for mail in warned(world)]
    wanted = [f"Receipts do not reach {ADMINS[0]}"]
    yield equal("the owner is told once", subjects, wanted, shows=warned(world))
    yield equal("each request is obeyed once", len(world.host.ran), 2, shows=restarted(world))
    yield equal("the maildrop is empty", world.mail.inbox(SENDER), [])


@scenario.act("receipt-arrives-again", book=False, **RETURNED)
def arrives_again(world: World, program: Program) -> Iterator[Claim]:
    """After five days without a report, Jeremy is reachable; then a receipt comes back again."""
    jeremy = Quarters(world, ADMINS[0])
    jeremy.asks(0.5)
    jeremy.reports(1.5, "failed", "5.1.1", GONE)
    jeremy.asks(2.5)  # this receipt arrives
    jeremy.asks(23.5)
    jeremy.reports(24.5, "failed", "5.0.0", GONE)
    world.clock.until(26 * 21600)
    program()
    ended = told(world, "reachable")
    yield equal("it has ended after five days without a report", len(ended), 1, shows=ended)
    subjects = [mail.subject for mail in warned(world)]
    wanted = [f"Receipts do not reach {ADMINS[0]}"] * 2
    yield equal("the owner is told once each time", subjects, wanted, shows=warned(world))
    yield equal("each request is obeyed once", len(world.host.ran), 3, shows=restarted(world))
    yield equal("the maildrop is empty", world.mail.inbox(SENDER), [])


@scenario.act("receipt-report-forged", book=False, **RETURNED)
def report_forged(world: World, program: Program) -> Iterator[Claim]:
    """A stranger reports that Michael's receipt came back, without the token of its return path."""
    michael = Quarters(world, ADMINS[1])
    michael.asks(0.5)
    michael.forges(1.5, lambda path: SENDER)
    michael.forges(2.5, lambda path: path.replace("+b", "+b1", 1))
    michael.forges(3.5, lambda path: path.replace("@", "0@"))
    world.clock.until(5 * 21600)
    program()
    refused = [event for event in told(world, "refused") if "mx.example" in event.text]
    # One of them may have arrived twice.
    yield holds("each report is refused", len(refused) >= 3, refused, shows=refused)
    yield equal("nobody is unreachable", told(world, "unreachable"), [])
    yield equal("the owner is told of nothing", warned(world), [])
    yield equal("the request is obeyed once", len(world.host.ran), 1, shows=restarted(world))
    yield equal("the maildrop is empty", world.mail.inbox(SENDER), [])


@scenario.act("mysql-by-imap", book=False, servers=["smtp", "imap"])
def over_imap(world: World, program: Program) -> Iterator[Claim]:
    """Over IMAP, people use the same mailbox; and a session is cut before the mail is removed."""
    world.faults.arm("imap UID EXPUNGE lost unstored times 1")
    inbox = world.mail.folder(SENDER)
    world.mail.deliver(INBOX, request(sender=JEREMY, message_id="one@phone.test"))
    # A person has marked this one as deleted, and so taken the request back.
    world.mail.deliver(INBOX, request("stop mysql", JEREMY, message_id="two@phone.test"))
    taken_back = inbox.mails[-1].uid
    inbox.flag(taken_back, "\\Deleted")
    world.clock.until(150)
    program()
    yield equal("MySQL is restarted once", world.host.ran, [RESTART], shows=restarted(world))
    receipts = world.mail.inbox(ADMINS[0])
    yield equal(
        "Jeremy gets one receipt",
        [mail.subject for mail in receipts],
        ["Re: Restart MySQL"],
        shows=receipts,
    )
    left = {mail.uid: mail.flags for mail in inbox}
    yield equal(
        "the program removes its own mails and nothing else",
        left,
        {taken_back: ["\\Deleted"]},
        shows=told(world, "mailbox"),
    )


@scenario.act(
    "mysql-by-imap-at-once",
    book=False,
    servers=["smtp", "imap"],
    scenario={"mysql-by-mail": {"again": 0}},  # each of these requests is meant
)
def at_once(world: World, program: Program) -> Iterator[Claim]:
    """Over IMAP the server tells when mail arrives, until it ends the session at 00:45."""
    world.faults.arm("imap-bye-in-idle")
    arrivals = (40, 50, 100)
    for number, seconds in enumerate(arrivals):
        mail = request(sender=JEREMY, message_id=f"{number}@phone.test")
        world.clock.at(seconds, partial(world.mail.deliver, INBOX, mail))
    world.clock.until(150)
    program()
    yield equal("each request is obeyed once", world.host.ran, [RESTART] * 3, restarted(world))
    late = [at - arrival for at, arrival in zip(restarts(world), arrivals, strict=False)]
    prompt = [seconds < 1 for seconds in late]
    yield equal(
        "it is obeyed at once, unless the connection that waits was lost",
        prompt,
        [True, False, True],
        restarted(world),
    )
    lost = told(world, "doorbell")
    yield equal("the lost connection is logged", len(lost), 1, shows=lost)
