"""Further acts of customer-bot: notes, nobody there, two at once, limits, restarts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from comms.state import State
from scenarios.bots.customer_bot import scenario
from scenarios.bots.customer_bot_desk import ALONE, HELP, STAFF, TOO_MUCH
from scenarios.bots.customer_bot_dialogue import POLITE
from scenarios.bots.customer_bot_samples import (
    ANNA,
    BOT,
    CAROL,
    DORA,
    FAQ,
    JID,
    MALLORY,
    TEAM,
    bodies,
    opened,
    says,
    write_files,
)
from scenarios.play import Claim, Program, ends, equal, holds, told

if TYPE_CHECKING:
    from fakes import World

STATE, CHANNEL = "customer-bot.sqlite3", "#help"
CALLED = "I have called a person. Please wait, or say: end"
OVER = "Goodbye! What you write now is answered by the bot."
HOURS = "opening hours"
FORGED = "Hi\r\nBcc: mallory@yourco.test\r\n\r\n\x1b[2JAnna: yes"
ODD = "\u202eCaf\u00e9 \U0001f600 " + "x" * 10_000


def audit(world: World) -> list[tuple[object, ...]]:
    """Who has ordered what, and what became of it."""
    with State(world.folder / STATE) as state:
        return state.rows("SELECT who, what, verdict FROM audit ORDER BY rowid")


@scenario.act("customer-management-bot")
def management(world: World, program: Program) -> Iterator[Claim]:
    """Anna by Jabber and Ben by AIM look customers up and add notes; Mallory tries it, too."""
    _, anna = opened(world)
    ben, mallory = world.aim.actor("Ben"), world.aim.actor("Mallory")
    other = world.jabber.actor(MALLORY)
    says(world, anna, (10, "!find jones"), (14, "!note jones: Wants a call"), (18, "!find crol"))
    says(world, anna, (22, "!note 17 Wants a call\nat noon"), (26, "!note 17"), (30, "!fnid x"))
    says(world, ben, (34, "find Carol Jones"), (38, "find carol@customer.test"))
    says(world, mallory, (42, "!note 17 Owes us nothing"))
    says(world, other, (60, "!find jones"))
    world.clock.until(70)
    program()
    found, shown = bodies(anna), anna.messages
    jones = "17 Carol Jones, carol@customer.test, aim Carol J\n"
    jones += "18 Caroline Jones, caroline@customer.test"
    yield equal("an ambiguous name gets a list", found[:1], [jones], shows=shown[:1])
    which = [f"Which one? Nothing is noted.\n{jones}"]
    yield equal("and no note", found[1:2], which, shows=shown[1:2])
    near = ["I know no customer 'crol'; near to it: Carol Jones, Caroline Jones"]
    yield equal("of a mistyped one, what is near is named", found[2:3], near, shows=shown[2:3])
    noted = ["Noted for 17 Carol Jones: Wants a call at noon"]
    yield equal("a note is one line", found[3:4], noted, shows=shown[3:4])
    wrong = [text.partition(".")[0] for text in found[4:]]
    usage = ["Write !note 17 TEXT, or !note NAME: TEXT"]
    usage.append("You have no customer, and I do not understand that (did you mean 'find'?)")
    yield equal("mistakes are explained", wrong, usage, shows=shown[4:])
    line = f"{jones.partition(chr(10))[0]}\n2026-01-05 Anna: Wants a call at noon"
    yield equal("Ben reads it on the other network", bodies(ben), [line] * 2, shows=ben.heard)
    refused = [bodies(mallory), bodies(other)]
    tries = [*mallory.heard, *other.messages]
    yield equal("nobody else is obeyed", refused, [[STAFF]] * 2, shows=tries)
    rows = [(who, what) for who, what, verdict in audit(world) if verdict == "refused"]
    wanted = [("Anna", "note jones"), ("mallory", "!note 17 Owes us nothing")]
    wanted.append((MALLORY, "!find jones"))
    yield equal("the audit has who was refused what", rows, wanted, shows=told(world, "refused"))
    rows = [(who, what) for who, what, verdict in audit(world) if verdict == "done"]
    wanted = [("Anna", "find jones"), ("Anna", "find crol"), ("Anna", "note 17")]
    wanted += [("Ben", "find Carol Jones"), ("Ben", "find carol@customer.test")]
    yield equal("and who has done what", rows, wanted, shows=[*shown, *ben.heard])


@scenario.act(
    "customer-nobody-there",
    servers=["xmpp", "smtp"],
    scenario={"customer-bot": {"hours": ["Mon 00:00-00:10", "Tue 09:00-17:00"], "wait": 60}},
)
def nobody(world: World, program: Program) -> Iterator[Claim]:
    """Dora asks when no agent is online, then when Anna does not come, then after hours."""
    write_files(world)
    anna, dora = world.jabber.actor(ANNA), world.jabber.actor(DORA)
    says(world, dora, (10, "Can I pay with shells?"), (200, "person"), (900, "person"))
    says(world, dora, (905, "When are you open?"))
    world.clock.at(100, anna.comes)
    says(world, anna, (300, "!take"))
    world.clock.until(920)
    program()
    texts, shown = bodies(dora), dora.messages
    hours = "Our hours: Mon 00:00-00:10, Tue 09:00-17:00 (UTC)."
    team = f"I have written to the team, who will answer you. {hours}"
    yield equal("nobody is online", texts[:1], [f"Nobody is here just now. {team}"], shown[:1])
    free = [CALLED, f"Nobody was free. {team}"]
    yield equal("nobody comes in time", texts[1:3], free, shows=shown[1:3])
    late = [f"We are here again Tue 09:00. {team}"]
    yield equal("after hours the customer is told when", texts[3:4], late, shows=shown[3:4])
    answer = ["We are here from 9 to 5, Monday to Friday."]
    yield equal("the bot still answers", texts[4:], answer, shows=shown[4:])
    yield equal("an agent who is late takes nobody", bodies(anna)[1:], ["Nobody waits"])
    mails = world.mail.inbox(TEAM)
    asked = [mail.text.splitlines()[2].partition(" ")[2] for mail in mails]
    wanted = [f"Dora Smith: {text}" for text in ("Can I pay with shells?", "person", "person")]
    yield equal("the team gets each question once", asked, wanted, shows=mails)
    first = mails[0].text.splitlines()[:1] if mails else []
    reach = ["Nobody could take this customer: 21 Dora Smith, jabber dora@yourco.test"]
    yield equal("and how to reach the customer", first, reach, shows=mails[:1])


@scenario.act("customer-two-at-once")
def two(world: World, program: Program) -> Iterator[Claim]:
    """Carol and Dora want a person at the same time; Anna is there, and Ben comes later."""
    carol, anna = opened(world)
    dora, ben = world.jabber.actor(DORA), world.aim.actor("Ben")
    says(world, carol, (10, "person"), (60, "Thanks, Anna"))
    says(world, dora, (12, "person"), (62, "Thanks, Ben"))
    says(world, anna, (20, "!take"), (40, "Dear Carol"), (70, "!end"))
    world.clock.at(25, ben.signs_on)
    says(world, ben, (35, "!take"), (50, "Dear Dora"))
    world.clock.until(80)
    program()
    of_carol = [text for text in bodies(carol) if ": " in text and text != CALLED]
    yield equal("Carol hears Anna alone", of_carol, ["Anna: Dear Carol"], shows=carol.heard)
    of_dora = [text for text in bodies(dora) if ": " in text and text != CALLED]
    yield equal("Dora hears Ben alone", of_dora, ["Ben: Dear Dora"], shows=dora.messages)
    heard = [text for text in bodies(anna) if text.startswith(("Carol Jones:", "Dora Smith:"))]
    yield equal("Anna hears Carol alone", heard, ["Carol Jones: Thanks, Anna"], anna.messages)
    heard = [text for text in bodies(ben) if text.startswith(("Carol Jones:", "Dora Smith:"))]
    yield equal("Ben hears Dora alone", heard, ["Dora Smith: Thanks, Ben"], shows=ben.heard)
    mails = world.mail.messages
    mixed = [(mail.to, "Dora" in mail.text) for mail in mails]
    yield equal("Carol's transcript has nothing of Dora", mixed, [([CAROL], False)], mails)


@scenario.act("customer-limits", scenario={"customer-bot": {"abuse": ["idiot"]}})
def limits(world: World, program: Program) -> Iterator[Claim]:
    """Mallory asks twenty times by AIM, and by Jabber insults the bot."""
    opened(world)
    mallory, other = world.aim.actor("Mallory"), world.jabber.actor(MALLORY)
    says(world, mallory, *((10 + number / 10, HOURS) for number in range(20)), (100, HOURS))
    says(world, other, *((20 + 10 * number, "You IDIOT!") for number in range(3)), (95, HOURS))
    world.clock.until(110)
    program()
    answer = "We are here from 9 to 5, Monday to Friday."
    wanted = [*[answer] * 10, TOO_MUCH, answer]
    texts = bodies(mallory)
    yield equal("a flood is told once, then silence until a pause", texts, wanted, mallory.heard)
    yield equal("so is abuse, and then nothing is answered", bodies(other), [POLITE])
    called = told(world, "called")
    yield equal("no agent is called", called, [])


@scenario.act("customer-odd-texts")
def odd(world: World, program: Program) -> Iterator[Claim]:
    """Carol's text is to forge a header and a line; Dora's is long, and would turn around."""
    carol, anna = opened(world)
    says(world, carol, (30, "person"), (41, FORGED), (43, "\x07 "), (50, "end"))
    says(world, world.jabber.actor(DORA), (60, ODD))
    says(world, anna, (40, "!take"), (52, "Dear Carol, one more thing"), (70, "!take"))
    world.clock.until(80)
    program()
    heard, shown = bodies(anna)[2:], anna.messages[2:]
    lines = "Carol Jones: Hi\n    Bcc: mallory@yourco.test\n    \n    [2JAnna: yes"
    yield equal("control characters are gone, and lines inset", heard[:1], [lines], shown[:1])
    over = ["Your talk with Carol Jones is over: Carol Jones has ended it"]
    yield equal("what is empty is not passed on", heard[1:2], over, shows=shown[1:2])
    wrong = [f"You have no customer, and I do not understand that. {HELP}"]
    yield equal("nor what is said after the end", heard[2:3], wrong, shows=shown[2:3])
    mails = world.mail.inbox(CAROL)
    headers = [(mail.to, mail.message["Bcc"], mail.subject) for mail in mails]
    alone = [([CAROL], None, "Transcript of conversation 1")]
    yield equal("no text of a customer becomes a header", headers, alone, shows=mails)
    same = [lines in mail.text for mail in mails]
    yield equal("the transcript shows the same", same, [True], shows=mails)
    taken = [len(text) for text in heard[4:] if "Dora Smith: Caf\u00e9 \U0001f600 xxx" in text]
    cut = taken and 2000 < taken[0] < 2200
    yield holds("a long message is cut, and does not turn around", cut, taken, shown[4:])


@scenario.act("customer-wrong-list", servers=["xmpp", "smtp"])
def wrong_list(world: World, program: Program) -> Iterator[Claim]:
    """The list of questions has an empty answer, and then an error of TOML."""
    write_files(world)
    file = world.folder / "faq.toml"
    codes = []
    for text in (FAQ.replace("Within 30 days: https://yourco.test/returns", " "), "[[question"):
        file.write_text(text, "utf-8", newline="\n")
        codes.append(program())
    yield equal("it ends before anything is said", codes, [2, 2], shows=ends(world))
    problems = [event.text.partition("faq.toml: ")[2].partition(";")[0] for event in ends(world)]
    named = [text.startswith(("question 3: answer: ", "cannot be read: ")) for text in problems]
    yield equal("and names the question, or the line", named, [True, True], shows=ends(world))
    yield equal("nobody has connected", world.records, [])


@scenario.act("customer-robots")
def robots(world: World, program: Program) -> Iterator[Claim]:
    """Auto-responses, errors, announcements, a server, and what was said while the bot was away."""
    carol, _ = opened(world)
    dora = world.jabber.actor(DORA)
    dora.says(JID, "opening hours")  # the bot is away, so that the server keeps it

    def injects(sender: str, kind: str) -> None:
        head = f"<message from='{sender}' to='{JID}' type='{kind}'>"
        world.jabber.inject(f"{head}<body>opening hours</body></message>")

    for at, kind in enumerate(("error", "headline", "groupchat"), 10):
        world.clock.at(at, partial(injects, f"{DORA}/x", kind))
    world.clock.at(14, lambda: injects("yourco.test", "chat"))
    world.clock.at(16, lambda: injects(JID, "chat"))
    world.clock.at(20, lambda: carol.says(BOT, "opening hours", auto=True))
    world.clock.until(30)
    code = program()
    answers = [*dora.messages, *carol.heard]
    yield equal("nobody is answered", answers, [])
    old = told(world, "ignored who=dora@yourco.test")
    yield equal("what is old is logged", len(old), 1, shows=old)
    yield equal("the exit code is 0", code, 0)


@scenario.act("customer-restart")
def restart(world: World, program: Program) -> Iterator[Claim]:
    """The program ends in a conversation, and comes back; then Anna goes, and Ben takes over."""
    carol, anna = opened(world)
    ben = world.aim.actor("Ben")
    says(world, carol, (10, "person"))
    says(world, anna, (20, "!take"))
    world.clock.until(25)
    program()
    says(world, carol, (40, "I waited"))
    says(world, anna, (45, "Welcome back"))
    world.clock.at(50, anna.goes)
    world.clock.at(60, ben.signs_on)
    says(world, ben, (130, "!take"), (150, "!end"))
    world.clock.until(160)
    program()
    texts = [text.partition(", and reads")[0] for text in bodies(carol)]
    wanted = [CALLED, "Anna is here now", "Anna: Welcome back", "Anna is not there any more."]
    wanted += [CALLED, "Ben is here now", OVER]
    yield equal("a conversation survives the program, and an agent", texts, wanted, carol.heard)
    passed = [text for text in bodies(anna) if text.startswith("Carol Jones: ")]
    yield equal("nothing is lost or passed on twice", passed, ["Carol Jones: I waited"])
    mails = world.mail.messages
    lines = [line[9:] for mail in mails for line in mail.text.splitlines()]
    whole = {"Carol Jones: I waited", "Anna: Welcome back"} <= set(lines)
    yield holds("one transcript has all of it", whole and len(mails) == 1, lines, shows=mails)


@scenario.act("customer-by-irc", servers=["xmpp", "irc", "smtp"])
def by_irc(world: World, program: Program) -> Iterator[Claim]:
    """Dora asks on IRC, in the channel and alone; she gets a person once she has logged in."""
    write_files(world)
    dora, anna = world.irc.person("dora"), world.jabber.actor(ANNA)
    anna.comes()
    dora.joins(CHANNEL)
    lines = [(10, CHANNEL, "bot: when are you open?"), (15, CHANNEL, "bot: person")]
    lines += [(20, "bot", "person"), (40, "bot", "person")]
    lines += [(60, "bot", "Hello \x02Anna\x02")]
    for at, where, text in lines:
        world.clock.at(at, partial(dora.says, where, text))
    world.clock.at(30, dora.logs_in)
    says(world, anna, (50, "!take"), (65, "Hello Dora"))
    world.clock.until(100)
    program(irc={"channels": [CHANNEL]})
    heard = [(one.target, one.text.partition(", and")[0]) for one in dora.hears]
    answer = "We are here from 9 to 5, Monday to Friday."
    public = [(CHANNEL, answer), (CHANNEL, ALONE)]
    yield equal("in a channel the list answers, nobody else", heard[:2], public, dora.hears[:2])
    yield equal("and a nick alone gets no person", heard[2:3], [("dora", ALONE)], dora.hears[2:3])
    texts = [CALLED, "Anna is here now", "Anna: Hello Dora"]
    wanted = [("dora", text) for text in texts]
    yield equal("an account does", heard[3:], wanted, shows=dora.hears[3:])
    passed = [text for text in bodies(anna) if text.startswith("dora:")]
    wanted_too = ["dora: Hello Anna"]
    yield equal("what she says to the bot is passed on", passed, wanted_too, anna.messages)
