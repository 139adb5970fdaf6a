"""Further acts of build-notify: many at once, subscriptions, comings and goings, odd results."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from scenarios.bots.build_notify import scenario
from scenarios.bots.build_notify_samples import BOT, append, arrived, finishes, line
from scenarios.play import Claim, Program, equal, holds, told

if TYPE_CHECKING:
    from fakes import World

DAVE = "dave@yourco.test"


def heads(person: Any) -> list[str]:
    """The first line of each message to a user of Jabber."""
    return [stanza.body.partition("\n")[0] for stanza in person.messages]


def mailed(world: World) -> list[str]:
    """Who was mailed, and the subject, in no order: a mail that is sent again comes later."""
    mails = world.mail.messages
    return sorted(f"{mail.envelope.to[0].partition('@')[0]}: {mail.subject}" for mail in mails)


@scenario.act("build-fifty-at-once")
def fifty(world: World, program: Program) -> Iterator[Claim]:
    """A library breaks fifty branches within ten seconds; one of them is mended at once."""
    ann, bob = arrived(world)
    for number in range(50):
        name = f"feature-{number}"
        world.clock.at(20 + number // 5, partial(append, world, line(number, "failed", name)))
    world.clock.at(31, partial(append, world, line(99, "passed", "feature-7")))
    world.clock.at(80, lambda: ann.says(BOT, "status"))
    world.clock.until(200)
    program()
    head = "51 builds: 50 failed, 1 works again"
    lines = ann.messages[0].body.splitlines() if ann.messages else []
    yield equal("one message is about all of them", heads(ann)[:1], [head], ann.messages[:1])
    more = ["and 31 more; say status"]
    yield equal("it names twenty, and counts the rest", lines[-1:], more, ann.messages[:1])
    first = ["site feature-0: build 0 failed"]
    yield equal("in the order of the builds", lines[1:2], first, shows=ann.messages[:1])
    yield equal("Bob gets one, too", len(bob.heard), 1, shows=bob.heard)
    yield equal("Dave gets one mail", mailed(world), [f"dave: {head}"], world.mail.messages)
    yield equal("status lists what is broken", heads(ann)[1:], ["49 broken"], ann.messages[1:])


@scenario.act("build-subscribe")
def subscribe(world: World, program: Program) -> Iterator[Claim]:
    """Bob does not want to hear of app any more, and later of nothing else; Mallory tries, too."""
    ann, bob = arrived(world)
    mallory = world.jabber.actor("mallory@yourco.test")
    for at, text in enumerate(
        ("unsubscribe App", "unsubscribe ap", "unsubscribe site ann", "subscriptions", "?")
    ):
        world.clock.at(10 + at, partial(bob.says, "BuildBot", text))
    world.clock.at(16, lambda: mallory.says(BOT, "unsubscribe site"))
    world.clock.at(20, finishes(world, 1, "failed", project="app"))
    world.clock.at(20, finishes(world, 2, "failed"))
    world.clock.at(60, lambda: bob.says("BuildBot", "subscribe app"))
    world.clock.at(61, lambda: bob.says("BuildBot", "unsubscribe site"))
    world.clock.until(65)
    code = program()
    world.clock.at(70, finishes(world, 3, "passed", project="app"))
    world.clock.at(70, finishes(world, 4, "passed"))
    world.clock.until(120)
    program()
    texts = [im.text.partition("<br>")[0] for im in bob.heard]
    unknown = "There is no project ap (did you mean 'app'?). Projects: site, app"
    wanted = ["You hear of app no more", unknown]
    yield equal("a project can be left; a wrong name gets a hint", texts[:2], wanted, bob.heard[:2])
    nobody = "There is no project site ann"
    foreign = texts[2:3] and texts[2].startswith(nobody)
    yield holds("nobody can be unsubscribed by another one", foreign, texts[2:3], bob.heard[2:3])
    yield equal("subscriptions are listed", texts[3:4], ["You hear of: site"], bob.heard[3:4])
    news = [text for text in texts if "build " in text]
    fixed = "app main: build 3 works again"
    yield equal("Bob hears of his projects", news, ["site main: build 2 failed", fixed], bob.heard)
    all_of_it = ["2 builds: 2 failed", "2 builds: 2 works again"]
    yield equal("Ann hears of all", heads(ann), all_of_it, shows=ann.messages)
    strangers = told(world, "stranger")
    found = (len(strangers), len(mallory.messages))
    yield equal("a stranger is logged, and gets no answer", found, (1, 0), shows=strangers)
    yield equal("the exit code is 0", code, 0)


@scenario.act("build-comes-and-goes")
def presence(world: World, program: Program) -> Iterator[Claim]:
    """Ann leaves, Dave comes; Bob is away from his desk, but online."""
    ann, bob = arrived(world)
    dave = world.jabber.actor(DAVE)
    world.clock.at(20, finishes(world, 1, "failed"))
    world.clock.at(40, ann.goes)
    world.clock.at(40, dave.comes)
    world.clock.at(41, lambda: bob.goes_away("Lunch"))
    world.clock.at(70, finishes(world, 2, "passed"))
    world.clock.at(90, ann.comes)
    world.clock.at(95, bob.signs_off)
    world.clock.until(240)
    program()
    broken, fixed = "site main: build 1 failed", "site main: build 2 works again"
    mails = [f"ann: {broken}", f"bob: {fixed}"]
    yield equal("who has left before is mailed", mailed(world), mails, shows=world.mail.messages)
    yield equal("who has come is told", heads(dave), [broken, fixed], shows=dave.messages)
    yield equal("who has come back, too", heads(ann), [fixed], shows=ann.messages)
    yield equal("who is away is online", len(bob.heard), 1, shows=bob.heard)


@scenario.act("build-still-told", scenario={"build-notify": {"remind": 3600, "poll": 30}})
def still(world: World, program: Program) -> Iterator[Claim]:
    """The build fails every ten minutes for two hours; the rule is to be told every hour."""
    ann, _ = arrived(world)
    for number in range(12):
        world.clock.at(600 * number + 5, finishes(world, number, "failed"))
    world.clock.until(7500)
    program()
    since = "site main: still broken since build 0,"
    wanted = ["site main: build 0 failed", f"{since} 7 failed", f"{since} 12 failed"]
    yield equal("once, and then by the rule", heads(ann), wanted, shows=ann.messages)


@scenario.act("build-odd-results")
def odd(world: World, program: Program) -> Iterator[Claim]:
    """Torn lines, unknown projects, a log of 10 MB, control characters, and a new file."""
    ann, _ = arrived(world)
    half = line(2, "failed")
    with (world.folder / "huge.log").open("wb") as file:
        file.truncate(10_000_000)
        file.seek(0, 2)
        file.write(b"\nx" + b"y" * 10_000 + b"\nthe \x07end\x1b[2J\n")
    evil = "x\r\nBcc: everybody@x.test\x1b[2J\u202e" + "z" * 10_000
    for at, text in (
        (10, 'not JSON\n[]\n{"branch": "main"}\n' + "{" * 5000 + "\n"),
        (20, half[:30]),
        (60, half[30:]),
        (100, line(3, "failed", project="siet")),
        (140, line(4, "failed", evil, log="huge.log", commits=[])),
        (180, line(5, "failed", "deep", log="../../etc/passwd", commits=[{}] * 9)),
    ):
        world.clock.at(at, partial(append, world, text))
    world.clock.at(220, lambda: (world.folder / "builds.jsonl").write_bytes(b""))
    world.clock.at(230, partial(append, world, line(6, "passed", project="")))
    world.clock.until(280)
    program()
    skipped = told(world, "line-skipped")
    yield equal("each line that is not a build is logged once", len(skipped), 4, shows=skipped)
    unknown = told(world, "unknown-project")
    yield equal("so is an unknown project", len(unknown), 1, shows=unknown)
    bodies = [stanza.body for stanza in ann.messages]
    second = ["site main: build 2 failed"]
    yield equal("a line is read when it is whole", heads(ann)[:1], second, ann.messages[:1])
    name = "".join(bodies[1:2])
    safe = not {*"\r\x07\x1b\u202e"} & {*name} and "site x  Bcc: everybody@x.test" in name
    yield holds("no control character is passed on", safe, name[:60], shows=ann.messages[1:2])
    end = name.splitlines()[-1:] == ["    the \\x07end"] and len(name) < 1000
    yield holds("of a huge log, the end is told", end, name[-60:], shows=ann.messages[1:2])
    unread = bodies[2:3] and "and 4 more commits\nThe log cannot be read" in bodies[2]
    yield holds("a log outside of the folder is not read", unread, bodies[2:3], ann.messages[2:3])
    last = ["site main: build 6 works again"]
    yield equal("a file that begins again is read", heads(ann)[3:], last, shows=ann.messages[3:])
    subjects = [len(mail.subject) for mail in world.mail.messages]
    fields = {name.casefold() for mail in world.mail.messages for name in mail.message}
    found = (max(subjects, default=0) < 300, "bcc" in fields)
    yield equal("no mail has a header from a build", found, (True, False), world.mail.messages)


@scenario.act("build-server-away")
def away(world: World, program: Program) -> Iterator[Claim]:
    """The Jabber server is away while a build breaks, and the mail server when it is mended."""
    ann, bob = arrived(world)
    world.clock.at(10, lambda: world.close_port("xmpp"))
    world.clock.at(10, lambda: world.cut("xmpp"))
    world.clock.at(20, finishes(world, 1, "failed"))
    world.clock.at(60, lambda: world.open_port("xmpp"))
    world.clock.at(61, ann.comes)
    world.clock.at(200, lambda: world.close_port("smtp"))
    world.clock.at(210, finishes(world, 2, "passed"))
    world.clock.at(400, lambda: world.open_port("smtp"))
    world.clock.until(600)
    code = program()
    broken, fixed = "site main: build 1 failed", "site main: build 2 works again"
    mails = [f"ann: {broken}", f"dave: {broken}", f"dave: {fixed}"]
    yield equal("who cannot be seen is mailed", mailed(world), mails, shows=world.mail.messages)
    yield equal("and is not told again later", heads(ann), [fixed], shows=ann.messages)
    yield equal("the other network did not wait", len(bob.heard), 2, shows=bob.heard)
    yield equal("the exit code is 0", code, 0)


@scenario.act("build-in-doubt")
def doubt(world: World, program: Program) -> Iterator[Claim]:
    """The connection is lost just when Bob is told; he asks what he may have missed."""
    _, bob = arrived(world)
    # With a probability, a message that another fault has taken does not count.
    world.faults.arm("toc toc_send_im hang up before probability 1 times 1")
    world.clock.at(20, finishes(world, 1, "failed"))
    world.clock.at(120, lambda: bob.says("BuildBot", "status"))
    world.clock.until(130)
    program()
    lost = told(world, "notice-unknown")
    yield equal("it is logged that the outcome is unknown", len(lost), 1, shows=lost)
    mails = [line for line in mailed(world) if line.startswith("bob")]
    yield equal("it is not told again, and not mailed", (len(bob.heard), mails), (1, []))
    texts = [im.text.split("<br>") for im in bob.heard]
    perhaps = "Perhaps you have not got this: site main: build 1 failed"
    wanted = [["1 broken", "site main since build 1", perhaps]]
    yield equal("status lists it", texts, wanted, shows=bob.heard)


@scenario.act("build-told-after-restart")
def restart(world: World, program: Program) -> Iterator[Claim]:
    """The program ends before it has told of a build, and later while others finish."""
    ann, bob = arrived(world)
    world.clock.at(20, finishes(world, 1, "failed"))
    world.clock.until(30)
    codes = [program()]
    world.clock.until(60)
    codes.append(program())
    finishes(world, 2, "passed")()
    finishes(world, 3, "failed", branch="menu")()
    world.clock.until(300)
    codes.append(program())
    wanted = ["site main: build 1 failed", "2 builds: 1 failed, 1 works again"]
    yield equal("nothing is lost, and nothing told twice", heads(ann), wanted, ann.messages)
    yield equal("Bob hears as much", len(bob.heard), 2, shows=bob.heard)
    mails = sorted(f"dave: {head}" for head in wanted)
    yield equal("Dave is mailed as much", mailed(world), mails, shows=world.mail.messages)
    yield equal("every exit code is 0", codes, [0, 0, 0])
