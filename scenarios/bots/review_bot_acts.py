"""Further acts of review-bot: votes that do not count, delegates, time, workflows, restarts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from scenarios.bots.review_bot import scenario
from scenarios.bots.review_bot_samples import (
    BOT,
    CHANNEL,
    MALLORY,
    ROOM,
    ann_bob_dan,
    jabber,
    opened,
)
from scenarios.play import Claim, Program, equal, told

if TYPE_CHECKING:
    from fakes import World

JABBER: dict[str, Any] = {"servers": ["xmpp"]}
REVIEW = "review r17 Mend the header"
NAMED = "#1 Mend the header (r17)"
STALE = "#1 is at r18, and that is not what you have read"
ASKED = "Say: approve 1 r17, or: reject 1 r17 WHY"


def says(world: World, who: Any, start: float, *texts: str, apart: float = 2) -> None:
    """Lets a person say one thing after the other by Jabber."""
    for number, text in enumerate(texts):
        world.clock.at(start + number * apart, partial(who.says, BOT, text))


def bodies(who: Any, *parts: str) -> list[str]:
    """What a person was told by Jabber, or of that what contains one of these."""
    texts = [stanza.body for stanza in who.messages]
    return [text for text in texts if not parts or any(part in text for part in parts)]


@scenario.act("review-refused")
def refused(world: World, program: Program) -> Iterator[Claim]:
    """Ann approves her own review, Bob votes twice, and others vote on what does not exist."""
    ann, bob, dan = ann_bob_dan(world)
    bob_jabber, carl = jabber(world, "bob", "carl")
    says(world, ann, 6, REVIEW, "approve 1 r17", "review r17 Mend the header")
    world.clock.at(14, partial(bob.says, "ReviewBot", "approve 1 r17"))
    says(world, carl, 16, "approve 1 r17", "close 1", "withdraw 1")
    says(world, dan, 22, "approve 1 r16", "approve 7 r17", "approve 1", "aprove 1 r17")
    says(world, bob_jabber, 30, "approve 1 r17", "reject 1 r17 It is wrong")
    world.clock.until(36)
    program()
    wanted = ["#1 is yours: nobody votes on their own", "That is #1 already"]
    yield equal("nobody approves their own", bodies(ann)[1:3], wanted, shows=ann.messages[1:3])
    wanted = ["Your vote on #1 is approve; say: withdraw 1"] * 2
    again = bodies(bob_jabber)
    yield equal("nor votes twice, on another network", again, wanted, shows=bob_jabber.messages)
    wanted = [
        "You are neither a peer nor a manager of #1",
        "#1 is ann's; only its author may do that",
        "You have no vote on #1",
    ]
    yield equal("who has no role has no vote", bodies(carl), wanted, shows=carl.messages)
    answers, shown = bodies(dan)[1:], dan.messages[1:]
    wanted = [f"{STALE.replace('8', '7')}; read it, then say: approve 1 r17"]
    yield equal("a vote on another version is refused", answers[:1], wanted, shows=shown[:1])
    wanted = ["There is no review #7"]
    yield equal("and one on an unknown review", answers[1:2], wanted, shows=shown[1:2])
    wanted = ["That is not complete; say: approve 1 VERSION"]
    yield equal("or without a version", answers[2:3], wanted, shows=shown[2:3])
    near = [text.partition(". ")[0] for text in answers[3:]]
    wanted = ["I do not understand that (did you mean 'approve'?)"]
    yield equal("a mistyped word gets a suggestion", near, wanted, shows=shown[3:])
    yield equal("with one vote, nothing is approved", bodies(ann, "is approved"), [])


@scenario.act("review-changed", **JABBER)
def changed(world: World, program: Program) -> Iterator[Claim]:
    """Bob and Dan approve the first version; Ann has a second one; Bob votes on the first again."""
    ann, bob, dan = jabber(world, "ann", "bob", "dan")
    says(world, ann, 6, REVIEW)
    says(world, dan, 8, "approve 1 r17")
    says(world, bob, 10, "approve 1 r17", "withdraw 1")
    says(world, ann, 14, "update 1 r18", "update 1 R18")
    says(world, bob, 18, "approve 1 r17")
    program()
    done = bodies(ann, "is approved")
    yield equal("it is approved", done, [f"{NAMED} is approved by bob and dan"], ann.messages[2:3])
    late = bodies(bob, "opens it again")
    wanted = ["#1 is approved; only a new version opens it again"]
    yield equal("then no vote is taken back", late, wanted, shows=bob.messages[2:3])
    answers, shown = bodies(ann)[3:], ann.messages[3:]
    wanted = ["#1 is at r18; votes that do not count any more: 2", "#1 is at r18 already"]
    yield equal("a new version begins without votes", answers, wanted, shows=shown)
    stale = bodies(bob)[-1:]
    wanted = [f"{STALE}; read it, then say: approve 1 r18"]
    yield equal("a vote on the older one is refused", stale, wanted, shows=bob.messages[-1:])


@scenario.act("review-withdrawn", **JABBER, scenario={"review-bot": {"peers": ["bob", "carol"]}})
def withdrawn(world: World, program: Program) -> Iterator[Claim]:
    """Bob is against it, Carol and Dan are for it; then Carol withdraws, and Bob agrees."""
    ann, bob, carol, dan = jabber(world, "ann", "bob", "carol", "dan")
    says(world, ann, 6, REVIEW)
    says(world, bob, 8, "reject 1 r17", "reject 1 r17 No test")
    says(world, carol, 12, "approve 1 r17")
    says(world, dan, 14, "approve 1 r17")
    says(world, carol, 16, "withdraw 1")
    says(world, bob, 18, "withdraw 1", "approve 1 r17")
    program()
    why, against = (*bodies(bob), "", "", "")[1:3]
    wanted = ["That is not complete, or too long; say: reject 1 VERSION WHY"]
    yield equal("who is against it says why", [why], wanted, shows=bob.messages[1:2])
    blocked = "bob must withdraw, or the version change"
    wanted = [f"Your vote on #1 is reject. {blocked}"]
    yield equal("a vote against it is noted", [against], wanted, shows=bob.messages[2:3])
    told_why = bodies(ann, "No test")
    wanted = [f"bob says reject to {NAMED}: No test. {blocked}"]
    yield equal("its author hears why", told_why, wanted, shows=ann.messages[1:2])
    two = [*bodies(carol, "Your vote"), *bodies(dan, "Your vote")]
    wanted = [f"Your vote on #1 is approve. {blocked}"] * 2
    yield equal("it outweighs two others", two, wanted, shows=[*carol.messages, *dan.messages])
    gone = bodies(carol, "no vote")
    wanted = ["You have no vote on #1 any more"]
    yield equal("a vote can be withdrawn", gone, wanted, shows=carol.messages[2:])
    done = bodies(ann, "is approved")
    wanted = [f"{NAMED} is approved by bob and dan"]
    yield equal("withdrawn votes do not count", done, wanted, shows=ann.messages[-1:])


@scenario.act("review-delegate", **JABBER)
def delegate(world: World, program: Program) -> Iterator[Claim]:
    """Dan is away, and names others before he delegates to Bob, who is a peer, and then to Carl."""
    ann, bob, carl, dan = jabber(world, "ann", "bob", "carl", "dan")
    says(world, ann, 6, REVIEW, "delegate 1 carl")
    says(world, dan, 10, "delegate 1 car", "delegate 1 carrol", "delegate 1 ann", "delegate 1 bob")
    says(world, bob, 18, "approve 1 r17")
    says(world, dan, 20, "delegate 1 CARL", "approve 1 r17")
    says(world, bob, 24, "status 1")
    says(world, carl, 26, "approve 1 r17")
    program()
    answers, shown = bodies(dan)[1:], dan.messages[1:]
    wanted = ["Which one: carl or carol? Say the whole name"]
    yield equal("a name that may be two people is asked about", answers[:1], wanted, shown[:1])
    wanted = ["I know nobody of that name (did you mean 'carol'?)"]
    yield equal("an unknown one is refused", answers[1:2], wanted, shows=shown[1:2])
    wanted = ["ann is the author of #1; choose another person"]
    yield equal("and so is the author", answers[2:3], wanted, shows=shown[2:3])
    own = ["You have no part in #1 that you could delegate"]
    yield equal("who has no part to delegate", bodies(ann)[1:2], own, shows=ann.messages[1:2])
    two = bodies(bob, "Your vote")
    wanted = ["Your vote on #1 is approve. It needs a peer or a manager"]
    yield equal("one person is not both", two, wanted, shows=bob.messages)
    wanted = ["carl decides on #1", "You are neither a peer nor a manager of #1"]
    yield equal("who has delegated has no vote", answers[4:6], wanted, shows=shown[4:6])
    status = [text.partition("\n")[2] for text in bodies(bob, "by ann: open")]
    wanted = ["bob (peer): approve\nIt needs a manager"]
    yield equal("and a delegate before has lost it", status, wanted, shows=bob.messages)
    wanted = [f"dan asks you to decide on {NAMED}. {ASKED}", "#1 is approved"]
    yield equal("the delegate decides", bodies(carl), wanted, shows=carl.messages)


@scenario.act("review-reminders", **JABBER, scenario={"review-bot": {"remind": 600}})
def reminders(world: World, program: Program) -> Iterator[Claim]:
    """Nobody looks at it for long, except Bob; then the program is away for an hour and a half."""
    ann, bob, dan = jabber(world, "ann", "bob", "dan")
    says(world, ann, 6, REVIEW)
    says(world, bob, 900, "approve 1 r17")
    world.clock.until(1300)
    program(scenario={"review-bot": {"poll": 60}})
    still = f"{NAMED} is still open"
    counts, shown = (
        (len(bodies(bob, still)), len(bodies(dan, still))),
        [*bob.messages, *dan.messages],
    )
    yield equal("those whose vote is missing are reminded", counts, (1, 2), shows=shown)
    world.clock.advance(5400)
    program(once=True)
    yield equal("after a long time once, not nine times", len(bodies(dan, still)), 3, dan.messages)
    world.clock.advance(601)
    program(once=True)
    wanted = [f"{still}. It needs a manager"]
    yield equal("after three times the author is told", bodies(ann, still), wanted, ann.messages)
    says(world, dan, world.clock.elapsed + 10, "log 1")
    world.clock.until(world.clock.elapsed + 20)
    program()
    found = [line[len("2026-01-05 00:00 ") :] for line in bodies(dan)[-1:][0].splitlines()]
    sent = ["a reminder was sent"]
    wanted = ["ann opened it at r17", *sent, "bob said approve r17", *sent * 3]
    yield equal("the log has all of it", found, wanted, shows=dan.messages[-1:])


@scenario.act("review-impostors", **JABBER, scenario={"review-bot": {"rooms": [ROOM]}})
def impostors(world: World, program: Program) -> Iterator[Claim]:
    """In a room Ann is called bob, and Mallory dan; then the real Dan votes there."""
    ann, dan = jabber(world, "ann", "dan")
    mallory = world.jabber.actor(MALLORY)
    opened(world, dan, "boss")
    ann.joins(ROOM, "bob")
    mallory.joins(ROOM, "dan")
    said = "bot: approve 1 r17"
    says(world, ann, 6, REVIEW)
    world.clock.at(10, partial(ann.says, ROOM, said, "groupchat"))
    world.clock.at(12, partial(mallory.says, ROOM, said, "groupchat"))
    world.clock.at(14, partial(mallory.says, BOT, "approve 1 r17"))
    world.clock.at(18, partial(dan.says, ROOM, said, "groupchat"))
    world.clock.until(24)
    program()
    found = [stanza.body for stanza in dan.messages if stanza.sender == f"{ROOM}/bot"]
    own = ["#1 is yours: nobody votes on their own"]
    places = told(world, f"message-sent to={ROOM}")
    yield equal("the author is known, whatever her nick", found[:1], own, shows=places[:1])
    strangers = told(world, "stranger")
    names = [event.text.partition("who=")[2] for event in strangers]
    wanted = [MALLORY, MALLORY]
    yield equal("strangers are logged, and get no answer", names, wanted, shows=strangers)
    real = ["Your vote on #1 is approve. It needs a peer"]
    yield equal("a member whose address is seen may vote", found[1:], real, shows=places[1:])


@scenario.act("review-irc", servers=["xmpp", "irc"])
def irc(world: World, program: Program) -> Iterator[Claim]:
    """On IRC Ann votes as bob, a stranger as dan, and a relay repeats Dan; then Dan logs in."""
    (ann,) = jabber(world, "ann")
    bob, dan, relay = (world.irc.person(name) for name in ("bob", "dan", "relay"))
    for person in (bob, dan, relay):
        person.joins(CHANNEL)
    said = "bot: approve 1 r17"
    says(world, ann, 6, REVIEW)
    world.clock.at(10, partial(dan.says, CHANNEL, said))
    world.clock.at(12, partial(relay.says, CHANNEL, f"<dan> {said}"))
    world.clock.at(14, partial(bob.logs_in, "ann"))
    world.clock.at(16, partial(bob.says, CHANNEL, said))
    world.clock.at(18, partial(dan.logs_in, "dan"))
    world.clock.at(20, partial(dan.says, CHANNEL, said))
    world.clock.until(24)
    program(irc={"channels": [CHANNEL]})
    strangers = [event.text for event in told(world, "stranger")]
    yield equal("a nick is nobody", strangers, ["stranger who=irc:dan"], told(world, "stranger"))
    notices = [one for one in relay.hears if one.sender == "bot"]
    texts = [one.text for one in notices]
    own = ["#1 is yours: nobody votes on their own"]
    yield equal("the author is known by her account", texts[:1], own, shows=notices[:1])
    wanted = ["Your vote on #1 is approve. It needs a peer"]
    yield equal("so is who may vote; a relay is not heard", texts[1:], wanted, shows=notices[1:])


@scenario.act("review-odd", **JABBER)
def odd(world: World, program: Program) -> Iterator[Claim]:
    """Messages with control characters, with ten thousand characters, and that correct others."""
    ann, bob = jabber(world, "ann", "bob")
    title = "Mend\u202e the\x85header\n#9 is approved"
    odd_ones = (
        f"review r17 {title}",
        f"review r18 {'x' * 10_000}",
        "x" * 10_000,
        "approve " * 1250,
    )
    says(world, ann, 6, *odd_ones, f"review {'r' * 65} A title", "update 1 r\u200318", "  ", "help")
    says(world, bob, 30, f"approve {'9' * 40} r17", "approve -1 r17", "approve \u0661 r17")
    says(world, bob, 36, "approve 1 r17 please", f"delegate 1 {'c' * 10_000}", "Approve\n#1\tR17")
    fix = "<replace xmlns='urn:xmpp:message-correct:0' id='m1'/>"
    body = "<body>reject 1 r17 No</body>"
    message = f"<message to='{BOT}' type='chat' id='m2'>{body}{fix}</message>"
    world.clock.at(50, partial(bob.sends, message))
    code = program()
    answers = bodies(ann)
    opened = ["#1 is open at r17. It needs a peer and a manager"]
    yield equal("a title is one line", answers[:1], opened, shows=ann.messages[:1])
    asked = f"ann asks for a review of #1 Mend the header #9 is approved (r17). {ASKED}"
    yield equal("and forges none", bodies(bob)[0], asked, shows=bob.messages[:1])
    long = [text.partition(";")[0].partition(". ")[0] for text in answers[1:6]]
    usage = ["A title has 1 to 200 characters", "I do not understand that"]
    wanted = [
        *usage,
        "That is not complete",
        "That is not complete",
        "That is not complete, or too long",
    ]
    yield equal("what is too long is refused", long, wanted, shows=ann.messages[1:6])
    most = max(map(len, (*answers, *bodies(bob))))
    yield equal("and not repeated", most < 300, True)
    refused = [text.partition(";")[0] for text in bodies(bob)[1:6]]
    wanted = ["That is not complete"] * 3 + ["That is not complete, or too long"] * 2
    yield equal("no number, no vote", refused, wanted, shows=bob.messages[1:6])
    last = ["Your vote on #1 is approve. It needs a manager"]
    last += ["I do not take corrections; say it in a new message"]
    yield equal(
        "white space does not matter, a correction does", bodies(bob)[6:], last, bob.messages[6:]
    )
    yield equal("the program has not ended", code, 0)


SUMMARY = "leave: from 2026-12-24, until 2026-12-31, why Skiing"
CONFIRM = "Is that right? Say yes, cancel, or why: …"


@scenario.act("workflow-bot", **JABBER)
def workflow(world: World, program: Program) -> Iterator[Claim]:
    """Ann asks for leave, answers out of order, and corrects herself; Bob cancels on the way."""
    ann, bob, dan = jabber(world, "ann", "bob", "dan")
    answers = ("Leave", "2026-12-23", "why: Skiing", "in winter", "2026-12-31", "OK")
    says(world, ann, 6, *answers, "FROM: 2026-12-24", "yes")
    says(world, bob, 7, "leave", "2026-08-01", "2026-08-02", "review the plan", "cancel", "cancel")
    says(world, bob, 22, "approve 1 1")
    says(world, dan, 24, "approve 1 1")
    program()
    heard, shown = bodies(ann), ann.messages
    first = [
        "leave 1/3: From which day? (cancel ends this)",
        "leave 2/3: Until which day?",
        "leave 2/3: Until which day?",
        "That is not a day such as 2026-12-31. leave 2/3: Until which day?",
    ]
    yield equal("each answer leads to the next question", heard[:4], first, shows=shown[:4])
    early = SUMMARY.replace("24", "23")
    wanted = [f"{early}. {CONFIRM}", f"I have all answers. {early}. {CONFIRM}"]
    yield equal("an early answer is not asked again", heard[4:6], wanted, shows=shown[4:6])
    yield equal("a correction counts", heard[6:7], [f"{SUMMARY}. {CONFIRM}"], shows=shown[6:7])
    opened = ["#1 is open at 1. It needs a peer and a manager"]
    yield equal("with yes, it is sent", heard[7:8], opened, shows=shown[7:8])
    texts = bodies(bob)
    own = ["leave 1/3: From which day? (cancel ends this)", "leave 2/3: Until which day?"]
    own += ["leave 3/3: What for?", "leave: from 2026-08-01, until 2026-08-02, why review the plan"]
    found = [text.partition(". ")[0] for text in texts[:4]]
    yield equal("each person is at a step of their own", found, own, shows=bob.messages[:4])
    over = ["leave is cancelled; nothing was sent", "There is nothing to cancel"]
    yield equal("what is cancelled has no effect", texts[4:6], over, shows=bob.messages[4:6])
    done = [f"#1 {SUMMARY} (1) is approved by bob and dan"]
    yield equal("a peer and a manager approve it", heard[-1:], done, shows=shown[-1:])


@scenario.act("workflow-restart", **JABBER, scenario={"review-bot": {"timeout": 300}})
def resumed(world: World, program: Program) -> Iterator[Claim]:
    """The program ends while Ann, Bob and Carol are asked; Ann goes on, Bob waits too long."""
    ann, bob, carol = jabber(world, "ann", "bob", "carol")
    for person in (ann, bob, carol):
        says(world, person, 6, "leave", "2026-12-24")
    world.clock.until(12)
    codes = [program()]
    says(world, ann, 60, "2026-12-31", "Skiing")  # nobody is there
    world.clock.until(100)
    world.clock.advance(88)
    says(world, carol, 210, "status", "2026-12-31", "Skiing")
    world.clock.until(220)
    codes.append(program())
    says(world, bob, 420, "2026-12-31")
    world.clock.until(430)
    codes.append(program())
    heard = bodies(ann)[2:]
    wanted = ["leave 3/3: What for?", f"{SUMMARY}. {CONFIRM}"]
    yield equal(
        "what was said meanwhile is taken, in its order", heard[:2], wanted, ann.messages[2:4]
    )
    asked = bodies(carol)[2:]
    wanted = ["leave 2/3: Until which day?", "leave 3/3: What for?", f"{SUMMARY}. {CONFIRM}"]
    yield equal("the state is that from before", asked, wanted, shows=carol.messages[2:])
    late = bodies(bob)[2:]
    over = "I have waited long enough: leave is over; nothing was sent"
    yield equal("who is silent for too long is told", late[:1], [over], shows=bob.messages[2:3])
    near = [text.partition(".")[0] for text in late[1:]]
    wanted = ["I do not understand that"]
    yield equal("a later answer is none", near, wanted, shows=bob.messages[3:])
    yield equal("every exit code is 0", codes, [0] * len(codes))


@scenario.act("review-down")
def down(world: World, program: Program) -> Iterator[Claim]:
    """Jabber is away when Bob votes by AIM; Dan votes while the program is away, and once more."""
    ann, bob, dan = ann_bob_dan(world)
    says(world, ann, 6, REVIEW)
    world.clock.at(10, lambda: world.close_port("xmpp"))
    world.clock.at(10, lambda: world.cut("xmpp"))
    world.clock.at(20, partial(bob.says, "ReviewBot", "approve 1 r17"))
    world.clock.at(60, lambda: world.open_port("xmpp"))
    world.clock.until(120)
    codes = [program()]
    yield equal("AIM does not wait for Jabber", len(bob.heard), 2, shows=bob.heard)
    wanted = [f"bob says approve to {NAMED}. It needs a manager"]
    yield equal("the author is told later", bodies(ann)[1:], wanted, shows=ann.messages[1:])
    dan.says(BOT, "approve 1 r17")
    dan.says(BOT, "approve 1 r17")
    codes.append(program(once=True))
    votes = bodies(dan)[1:]
    wanted = ["#1 is approved", "#1 is approved; only a new version opens it again"]
    yield equal("a vote that waited counts, once", votes, wanted, shows=dan.messages[1:])
    done = bodies(ann)[2:]
    yield equal(
        "everybody hears it once", done, [f"{NAMED} is approved by bob and dan"], ann.messages
    )
    yield equal("every exit code is 0", codes, [0] * len(codes))
