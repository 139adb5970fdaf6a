"""Further acts of mysql-by-jabber: what is not a command, failures, confirmation, a second door."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from comms.state import State
from scenarios.jabber.mysql_by_jabber import ADMINS, BOT, RESTART, scenario
from scenarios.play import Claim, Program, equal, holds, sent, told

if TYPE_CHECKING:
    from fakes import World

JEREMY, MICHAEL = ADMINS
MALLORY = "mallory@yourco.test"
STOP = ("systemctl", "stop", "mariadb")
INBOX = "cly6ruct1yit2d@yourco.test"
TOLD = "MySQL told to restart."
# A forwarded message: anybody could have made it up.
FORWARDED = (
    "<forwarded xmlns='urn:xmpp:forward:0'>"
    f"<message from='{JEREMY}/x'><body>restart</body></message></forwarded>"
)


def heard(person: Any) -> list[str]:
    """The texts that a person got."""
    return [stanza.body for stanza in person.messages]


def refusals(world: World, sender: str) -> list[str]:
    """What the log has about a sender."""
    start = f"refused who={sender}"
    return [event.text for event in world.events if event.text.startswith(start)]


# Without the window in which a command is asked about, each of these messages would run.
@scenario.act("jabber-not-a-command", scenario={"mysql-by-jabber": {"again": 0}})
def not_a_command(world: World, program: Program) -> Iterator[Claim]:
    """The text `restart` arrives in many forms; only two of them are commands."""
    jeremy = world.jabber.actor(JEREMY)

    def to_bot(kind: str, content: str) -> None:
        for device in world.jabber.sessions(BOT):
            jeremy.sends(f"<message to='{device}' type='{kind}'>{content}</message>")

    def from_somewhere(sender: str, content: str) -> None:
        message = f"<message from='{sender}' to='{BOT}' type='chat'>{content}</message>"
        world.jabber.inject(message)

    body = "<body>restart</body>"
    jeremy.says(BOT, "restart")  # the bot is away, so the server keeps it, and marks it as old
    world.clock.at(10, lambda: jeremy.says(BOT, "restart"))
    world.clock.at(40, partial(to_bot, "headline", body))
    world.clock.at(41, partial(to_bot, "error", body))
    world.clock.at(42, partial(to_bot, "chat", ""))
    room = "<x xmlns='http://jabber.org/protocol/muc#user'/>"
    world.clock.at(50, partial(from_somewhere, f"{JEREMY}/x", body + room))
    copy = f"<received xmlns='urn:xmpp:carbons:2'>{FORWARDED}</received>"
    world.clock.at(51, partial(from_somewhere, f"{MALLORY}/x", body + copy))
    world.clock.at(52, partial(from_somewhere, "yourco.test", body))
    world.clock.at(60, lambda: jeremy.says(BOT, "RESTART"))
    world.clock.until(90)
    code = program()
    begin = world.clock.time() - world.clock.elapsed
    runs = f"runs: {' '.join(RESTART)}"
    ran = [event.at - begin for event in world.events if event.text == runs]
    yield holds(
        "a new message from an administrator is obeyed",
        {12, 60} <= {*ran},
        ran,
        shows=world.host.ran,
    )
    ignored = {*ran} <= {12, 60}
    yield holds("old, broken, announced and forwarded messages are not obeyed", ignored, ran)
    late = "You said this while I was away: restart. If it still holds, say it again."
    yield equal(
        "the bot asks about the old one", heard(jeremy), [late, TOLD, TOLD], shows=jeremy.messages
    )
    yield equal("no message ends the program", code, 0)


@scenario.act("jabber-invalid-command")
def invalid(world: World, program: Program) -> Iterator[Claim]:
    """An administrator mistypes a command, and adds to one; a stranger mistypes, too."""
    jeremy, mallory = world.jabber.actor(JEREMY), world.jabber.actor(MALLORY)
    world.clock.at(10, lambda: jeremy.says(BOT, "restrat"))
    world.clock.at(20, lambda: jeremy.says(BOT, "restart; rm -rf /"))
    world.clock.at(30, lambda: mallory.says(BOT, "restrat"))
    program()
    nearest = "Invalid command! (did you mean 'restart'?); you may say: stop, restart"
    yield equal(
        "a mistyped command gets a suggestion",
        heard(jeremy)[:1],
        [nearest],
        shows=jeremy.messages[:1],
    )
    other = "Invalid command!; you may say: stop, restart"
    yield equal(
        "text after a command makes it invalid",
        heard(jeremy)[1:],
        [other],
        shows=jeremy.messages[1:],
    )
    yield equal("nothing runs", world.host.ran, [])
    yield equal("a stranger gets no answer", heard(mallory), [])
    yield holds(
        "a stranger is logged",
        refusals(world, MALLORY),
        refusals(world, ""),
        shows=refusals(world, MALLORY),
    )


@scenario.act("jabber-confirm")
def confirm(world: World, program: Program) -> Iterator[Claim]:
    """Stopping MySQL must be confirmed: in time, by the same person, with the right word."""
    jeremy, michael = world.jabber.actor(JEREMY), world.jabber.actor(MICHAEL)

    def repeat(person: Any) -> None:
        asked = [text for text in heard(jeremy) if "send within 60 s: " in text]
        person.says(BOT, asked[-1].partition("send within 60 s: ")[2] if asked else "yes")

    world.clock.at(10, lambda: jeremy.says(BOT, "help"))
    world.clock.at(20, lambda: jeremy.says(BOT, "stop"))
    world.clock.at(25, lambda: repeat(michael))  # another person
    world.clock.at(30, lambda: jeremy.says(BOT, "stop qqqq"))  # another word
    world.clock.at(40, lambda: jeremy.says(BOT, "stop"))
    world.clock.at(110, lambda: repeat(jeremy))  # too late
    world.clock.at(120, lambda: jeremy.says(BOT, "Stop MySQL"))
    world.clock.at(125, lambda: repeat(jeremy))
    world.clock.at(130, lambda: repeat(jeremy))  # a second time
    program()
    texts = heard(jeremy)
    yield equal(
        "help lists the commands",
        texts[:1],
        ["You may say: stop, restart"],
        shows=jeremy.messages[:1],
    )
    yield equal(
        "MySQL is stopped once, after the right confirmation",
        world.host.ran,
        [STOP],
        shows=world.host.ran,
    )
    yield equal(
        "the stop is answered once",
        texts.count("MySQL told to stop."),
        1,
        shows=jeremy.messages[-1:],
    )
    answers = [text.startswith("Invalid command!") for text in heard(michael)]
    yield equal("nobody can confirm for another person", answers, [True], shows=michael.messages)


@scenario.act("jabber-order-fails", scenario={"mysql-by-jabber": {"timeout": 30}})
def fails(world: World, program: Program) -> Iterator[Claim]:
    """The restart fails, then hangs, so that it is asked about when it is ordered again.

    Then the connection is lost while it runs.
    """
    jeremy, michael = world.jabber.actor(JEREMY), world.jabber.actor(MICHAEL)
    michael.comes()
    restart = world.host.commands[RESTART]
    restart.code, restart.output = 1, "Job for mariadb.service failed.\n"

    def mended(takes: float) -> None:
        restart.code, restart.output, restart.takes = 0, "", takes

    def confirms() -> None:
        phrase = "".join(heard(jeremy)[-1:]).rpartition(" s: ")[2]
        jeremy.says(BOT, phrase or "restart")

    world.clock.at(10, lambda: jeremy.says(BOT, "restart"))
    world.clock.at(20, lambda: mended(1000))
    world.clock.at(21, lambda: jeremy.says(BOT, "restart"))
    world.clock.at(60, lambda: mended(5))
    world.clock.at(55, lambda: jeremy.says(BOT, "restart"))
    world.clock.at(61, confirms)
    world.clock.at(62, lambda: michael.says(BOT, "restart"))
    world.clock.at(64, lambda: world.cut("xmpp"))
    world.clock.until(200)
    program()
    texts = heard(jeremy)
    refused = "MySQL was not told to restart, or did not obey: "
    failed = f"{refused}exit status 1.\nJob for mariadb.service failed."
    yield equal(
        "a failure is answered with status and output",
        texts[:1],
        [failed],
        shows=jeremy.messages[:1],
    )
    hung = "restart: still running after 30 s, and ended: whether it was done is not known."
    yield equal("a command that hangs is ended", texts[1:2], [hung], shows=jeremy.messages[1:2])
    asked = ["(it is unknown); to restart again, send" in text for text in texts[2:3]]
    shows = jeremy.messages[2:3]
    yield equal("it may have been done, so it is asked about", asked, [True], shows=shows)
    yield equal(
        "an answer waits for the connection to come back",
        texts[3:],
        [TOLD],
        shows=jeremy.messages[3:],
    )
    yield equal(
        "a command that arrived meanwhile runs afterwards",
        heard(michael),
        [TOLD],
        shows=michael.messages,
    )
    yield equal("each command runs once", world.host.ran, [RESTART] * 4, shows=world.host.ran)


@scenario.act("jabber-server-away")
def server_away(world: World, program: Program) -> Iterator[Claim]:
    """The server hangs up eight times in a row; a supervisor starts the program again if it dies.

    Later Jeremy orders a restart.
    """
    jeremy = world.jabber.actor(JEREMY)
    jeremy.comes()

    def hang_up() -> None:
        world.faults.arm("xmpp connect hang up times 8")
        world.cut("xmpp")

    world.clock.at(60, hang_up)
    world.clock.at(1500, lambda: jeremy.says(BOT, "restart"))
    world.clock.until(1510)
    program(supervised=True)
    ran = world.host.ran
    yield equal("the program is there again afterwards", ran, [RESTART], shows=ran)
    tries = [record for record in world.records if record.verb == "connects"][-9:]
    gaps = [round(later.at - earlier.at) for earlier, later in pairwise(tries)]
    rarer = len(gaps) == 8 and gaps[-1] > 4 * gaps[0]
    yield holds("it asks for the server less and less often", rarer, gaps, shows=tries)
    again = [event.text for event in world.events if event.who == "supervisor"]
    yield equal("nobody has to start it again", again, [])


TWO_DOORS: dict[str, Any] = {
    "servers": ["xmpp", "smtp", "pop3"],
    "person": [
        {"address": BOT, "aliases": [INBOX], "contacts": dict.fromkeys(ADMINS, "both")},
        *({"address": address} for address in (*ADMINS, MALLORY)),
    ],
    "scenario": {"mysql-by-jabber": {"inbox": INBOX, "sender": f"MySQL <{BOT}>", "confirm": []}},
}


def orders(world: World, sender: str, subject: str) -> None:
    """Mails a command to the secret inbox."""
    number = len(world.mail.messages)
    head = f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: <{number}@phone.test>\r\n"
    world.mail.deliver(INBOX, f"{head}\r\n\r\n".encode())


@scenario.act("mysql-two-doors", book=False, **TWO_DOORS)
def two_doors(world: World, program: Program) -> Iterator[Claim]:
    """A stop arrives by mail while a restart by message is running."""
    jeremy, michael = world.jabber.actor(JEREMY), world.jabber.actor(MICHAEL)
    world.host.commands[RESTART].takes = 20
    world.clock.at(29, lambda: jeremy.says(BOT, "restart"))
    world.clock.at(29, lambda: orders(world, MALLORY, "Stop MySQL"))
    world.clock.at(40, lambda: orders(world, MICHAEL, "Stop MySQL"))
    world.clock.at(41, lambda: orders(world, MICHAEL, "halt"))
    world.clock.at(45, lambda: michael.says(BOT, "restart mysql"))
    world.clock.until(100)
    program()
    wanted = [RESTART, RESTART, STOP]
    yield equal(
        "commands run in the order of their arrival", world.host.ran, wanted, shows=world.host.ran
    )
    with State(world.folder / "mysql-by-jabber.sqlite3") as state:
        times = state.rows("SELECT begun, ended FROM ledger WHERE target = 'mysql' ORDER BY begun")
        accepted = state.rows("SELECT who FROM audit WHERE verdict = 'accepted' ORDER BY rowid")
    apart = all(str(ended) <= str(begun) for (_, ended), (begun, _) in pairwise(times))
    yield holds("commands never overlap", len(times) == 3 and apart, times, shows=world.host.ran)
    names = [str(who) for (who,) in accepted]
    wanted_names = [JEREMY, MICHAEL, MICHAEL, MICHAEL]
    yield equal("one audit has both doors", names, wanted_names, shows=world.host.ran)
    texts = [heard(person) for person in (jeremy, michael)]
    yield equal(
        "messages are answered by message",
        texts,
        [[TOLD], [TOLD]],
        shows=[*jeremy.messages, *michael.messages],
    )
    receipts = [(mail.subject, "done in" in mail.text) for mail in world.mail.inbox(MICHAEL)]
    both = [("Re: Stop MySQL", True), ("Re: halt", False)]
    yield equal("mail is answered by mail", receipts, both, shows=world.mail.inbox(MICHAEL))
    answers = [mail.subject for mail in world.mail.messages if MALLORY in mail.envelope.to]
    yield equal("a stranger's mail is not answered", answers, [])


@scenario.act("mysql-order-in-doubt", book=False, **TWO_DOORS)
def in_doubt(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy mails an order, and as nothing seems to happen, says it by message, too."""
    jeremy, michael = world.jabber.actor(JEREMY), world.jabber.actor(MICHAEL)

    def repeat(person: Any) -> None:
        asked = [text for text in heard(jeremy) if "send within 60 s: " in text]
        person.says(BOT, asked[-1].partition("send within 60 s: ")[2] if asked else "yes")

    world.clock.at(29, lambda: orders(world, JEREMY, "Restart MySQL"))
    world.clock.at(100, lambda: jeremy.says(BOT, "restart"))
    world.clock.at(110, lambda: repeat(michael))
    world.clock.at(120, lambda: michael.says(BOT, "restart"))
    world.clock.at(130, lambda: repeat(jeremy))
    world.clock.at(140, lambda: repeat(jeremy))
    world.clock.at(550, lambda: jeremy.says(BOT, "restart"))
    world.clock.until(570)
    program()
    texts = heard(jeremy)
    question = "Not run yet: you ordered this", " ago (it is done); to restart again, send within"
    yield equal(
        "the second door asks",
        [part in text for text in texts[:1] for part in question],
        [True, True],
        shows=jeremy.messages[:1],
    )
    ran = world.host.ran
    yield equal("the order runs again only if it is meant", ran, [RESTART] * 4, shows=ran)
    yield equal(
        "the word works once, and a later order is a new one",
        [text.partition("!")[0] for text in texts[1:]],
        [TOLD, "Invalid command", TOLD],
        shows=jeremy.messages[1:],
    )
    others = [text.partition("!")[0] for text in heard(michael)]
    yield equal(
        "another administrator's order is his own",
        others,
        ["Invalid command", TOLD],
        shows=michael.messages,
    )


OTHER = "jeremy@mail.test"
ONE_PERSON = {
    **TWO_DOORS,
    "person": [*TWO_DOORS["person"], {"address": OTHER}],
    "scenario": {
        "mysql-by-jabber": {**TWO_DOORS["scenario"]["mysql-by-jabber"], "mail": {JEREMY: OTHER}}
    },
}


@scenario.act("mysql-one-person", book=False, **ONE_PERSON)
def one_person(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy's mail comes from another address than his Jabber account; he orders by both."""
    jeremy = world.jabber.actor(JEREMY)
    world.clock.at(29, lambda: orders(world, OTHER, "Restart MySQL"))
    world.clock.at(40, lambda: orders(world, JEREMY, "Stop MySQL"))
    world.clock.at(100, lambda: jeremy.says(BOT, "restart"))
    world.clock.at(120, lambda: jeremy.says(BOT, "stop"))
    world.clock.at(140, lambda: orders(world, OTHER, "Stop MySQL"))
    world.clock.until(200)
    program()
    ran = world.host.ran
    yield equal("each order runs once", ran, [RESTART, STOP], shows=ran)
    texts = heard(jeremy)
    asked = ["Not run yet: you ordered this" in text for text in texts]
    yield equal("by message he is asked", asked, [True, False], shows=jeremy.messages)
    receipts = world.mail.inbox(OTHER)
    asked = ["not run yet: you ordered this" in mail.text for mail in receipts]
    yield equal("and by mail", asked, [False, True], shows=receipts)
    refused = [event for event in told(world, "refused") if "a stranger" in event.text]
    yield holds("his Jabber account is no mail address", len(refused) >= 1, refused, shows=refused)
    with State(world.folder / "mysql-by-jabber.sqlite3") as state:
        rows = state.rows("SELECT DISTINCT who FROM audit WHERE verdict = 'accepted'")
    people, orders_of_one = [str(who) for (who,) in rows], told(world, "command what=")
    yield equal("the ledger has one person", people, [JEREMY], shows=orders_of_one)


@scenario.act(
    "mysql-two-doors-imap", book=False, **(TWO_DOORS | {"servers": ["xmpp", "smtp", "imap"]})
)
def two_doors_imap(world: World, program: Program) -> Iterator[Claim]:
    """The same two doors, but the mail is read over IMAP."""
    jeremy = world.jabber.actor(JEREMY)
    world.clock.at(29, lambda: jeremy.says(BOT, "restart"))
    world.clock.at(40, lambda: orders(world, MICHAEL, "Stop MySQL"))
    world.clock.until(100)
    program()
    ran = world.host.ran
    yield equal("each door's command runs", ran, [RESTART, STOP], shows=ran)
    yield equal("a message is answered", heard(jeremy), [TOLD], shows=[*jeremy.messages])
    receipts = world.mail.inbox(MICHAEL)
    subjects = [mail.subject for mail in receipts]
    yield equal("a mail is answered", subjects, ["Re: Stop MySQL"], shows=receipts)
    yield equal("the mailbox is empty", world.mail.inbox(BOT), [], shows=sent(world, "UID_EXPUNGE"))
