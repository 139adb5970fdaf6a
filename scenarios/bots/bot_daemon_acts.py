"""Further acts of bot-daemon: one round, a second start, reloads, its end, and what goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from comms.state import State
from scenarios.bots.bot_daemon import scenario
from scenarios.bots.bot_daemon_desk import HELP
from scenarios.bots.bot_daemon_samples import STAFF, Application
from scenarios.play import Claim, Program, ends, equal, told

if TYPE_CHECKING:
    from fakes import World

BOT, ANN = "bot@yourco.test", "ann@yourco.test"
JABBER: dict[str, Any] = {"servers": ["xmpp"]}
STATE = "bot-daemon.sqlite3"


def office(world: World) -> tuple[Application, Any]:
    """Returns the application, and Ann, who is online."""
    app, ann = Application(world.folder, world.clock.time), world.jabber.actor(ANN)
    ann.comes()
    return app, ann


@scenario.act("bot-daemon-once", **JABBER)
def once(world: World, program: Program) -> Iterator[Claim]:
    """Cron runs a single round three times; a ticket is older than the first of them."""
    app, ann = office(world)
    app.opens("An old one")
    world.clock.advance(10)
    codes = [program(once=True)]
    world.clock.advance(10)
    app.opens("A new one")
    codes += [program(once=True), program(once=True)]
    yield equal("the exit code of every round is 0", codes, [0, 0, 0])
    bodies = [stanza.body for stanza in ann.messages]
    news = ["New tickets:\n#2 A new one (carol@customer.test)"]
    yield equal("what is new is told once, nothing else", bodies, news, shows=ann.messages)


@scenario.act("bot-daemon-second", **JABBER)
def second(world: World, program: Program) -> Iterator[Claim]:
    """A daemon runs already; then it dies, and leaves its files."""
    app, ann = office(world)
    with State(world.folder / STATE) as running:
        running.lock()
        code = program()
    yield equal("a second start on the same state is refused", code, 5, shows=ends(world))
    said = [*world.records, *world.host.notified]
    yield equal("nothing was said before that", said, [])
    world.clock.at(7, lambda: app.opens("The printer is on fire"))
    code = program()
    yield equal("the lock of a dead daemon is no lock", code, 0)
    yield equal("the next one works", len(ann.messages), 1, shows=ann.messages)


@scenario.act("bot-daemon-reload", **JABBER)
def reload(world: World, program: Program) -> Iterator[Claim]:
    """Mallory joins the staff; the file is written, SIGHUP comes, and then a file with mistakes."""
    _, ann = office(world)
    file, mallory = world.folder / "staff.toml", world.jabber.actor("mallory@yourco.test")
    mallory.comes()
    more = STAFF + 'mallory = { jabber = "mallory@yourco.test" }\n'
    world.clock.at(10, lambda: file.write_text(more, newline="\n"))
    for second in (12, 22, 42):
        world.clock.at(second, partial(mallory.says, BOT, "open"))
    world.clock.at(16, world.host.hangs_up)
    world.clock.at(30, lambda: file.write_text('ann = { icq = "1" }\n', newline="\n"))
    world.clock.at(31, world.host.hangs_up)
    world.clock.at(52, partial(ann.says, BOT, "open"))
    code = program()
    strangers = told(world, "stranger who=mallory@yourco.test")
    yield equal("before SIGHUP the old staff counts", len(strangers), 1, shows=strangers)
    bodies = [stanza.body for stanza in mallory.messages]
    yield equal("after it the new one", bodies, ["0 open"] * 2, shows=mallory.messages)
    wrong = [event.text.partition("ann: ")[2] for event in told(world, "not-reloaded")]
    wanted = ["unknown network 'icq'; write ann = { jabber = \"ann@yourco.test\" }"]
    yield equal("a mistake is named", wrong, wanted, shows=told(world, "not-reloaded"))
    yield equal("and the daemon goes on", (len(ann.messages), code), (1, 0), shows=ann.messages)
    shows = told(world, "the program reports")
    reported = ["READY=1", *["RELOADING=1", "READY=1"] * 2, "STOPPING=1"]
    yield equal("systemd learns of each reload", world.host.notified, reported, shows)


@scenario.act("bot-daemon-stopped")
def stopped(world: World, program: Program) -> Iterator[Claim]:
    """The daemon is asked to stop while it tells of fifty tickets, and is started again."""
    app, ann = office(world)
    bob = world.aim.actor("Bob")
    bob.signs_on()
    world.clock.at(10, lambda: app.opens("The printer is on fire", 50))
    codes = [program()]
    heard = [*ann.messages, *bob.heard]
    yield equal("what was begun is finished", len(heard), 2, shows=heard)
    lines = [stanza.body.splitlines() for stanza in ann.messages]
    shown = [(len(found), found[-1]) for found in lines]
    yield equal("in one message of twenty lines", shown, [(22, "and 30 more")], ann.messages)
    codes.append(program())
    yield equal("and not said again", len(ann.messages) + len(bob.heard), 2)
    yield equal("both exit codes are 0", codes, [0, 0])


@scenario.act("bot-daemon-odd", **JABBER)
def odd(world: World, program: Program) -> Iterator[Claim]:
    """Ann mistypes, asks for tickets that do not exist, and closes one twice; a stranger asks."""
    app, ann = office(world)
    mallory = world.jabber.actor("mallory@yourco.test")
    world.clock.at(1, lambda: app.opens("Is the\nshop closed?"))
    world.clock.at(8, lambda: mallory.says(BOT, "close 1"))
    questions = ("colse 1", "close 7", "close -1", f"show {'9' * 40}", "show #1", "CLOSE  1")
    for number, text in enumerate((*questions, "close 1", "help", "x" * 10_000)):
        world.clock.at(10 + 5 * number, partial(ann.says, BOT, text))
    code = program()
    answers, shown = [stanza.body for stanza in ann.messages][1:], ann.messages[1:]
    near = f"I do not understand that (did you mean 'close'?). {HELP}"
    yield equal("a mistyped word gets a suggestion", answers[:1], [near], shows=shown[:1])
    unknown = ["There is no ticket #7", *[f"I do not understand that. {HELP}"] * 2]
    yield equal("a wrong number closes nothing", answers[1:4], unknown, shows=shown[1:4])
    text = "#1 Is the shop closed? (carol@customer.test)\nPlease help."
    yield equal("a ticket is shown", answers[4:5], [text], shows=shown[4:5])
    twice = ["#1 is closed", "#1 was closed before"]
    yield equal("a ticket is closed once", answers[5:7], twice, shows=shown[5:7])
    rest = [HELP, f"I do not understand that. {HELP}"]
    yield equal("help is short, and so is the answer to a flood", answers[7:], rest, shown[7:])
    yield equal("a stranger gets no answer", len(mallory.messages), 0)
    logged = told(world, "closed ticket=")
    words = [event.text for event in logged]
    yield equal("the log has who closed what", words, ["closed ticket=1 by=ann"], shows=logged)
    yield equal("the daemon has not ended", code, 0)


@scenario.act("bot-daemon-fails", **JABBER)
def fails(world: World, program: Program) -> Iterator[Claim]:
    """A migration renames a column for a while; systemd starts the daemon again and again."""
    app, ann = office(world)
    world.clock.at(8.2, lambda: app.opens("The printer is on fire"))
    world.clock.at(8.6, lambda: app.migrates("subject", "title"))
    world.clock.at(24, lambda: app.migrates("title", "subject"))
    world.clock.at(40, partial(ann.says, BOT, "open"))
    program(supervised=True)
    exits = [event.text.partition(": ")[0] for event in ends(world)]
    wanted = ["ends with exit code 5"] * 3
    yield equal("it ends, and says why", exits, wanted, shows=ends(world))
    bodies = [stanza.body for stanza in ann.messages]
    fire = "#1 The printer is on fire (carol@customer.test)"
    news = [f"New tickets:\n{fire}", f"1 open:\n{fire}"]
    yield equal("nothing is lost or told twice", bodies, news, shows=ann.messages)
    ready = [state for state in world.host.notified if state == "READY=1"]
    yield equal("it is ready only when it has everything", len(ready), 2)
