"""Further acts of custom-extension: the form, wrong forms, strangers, trouble."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from scenarios.jabber.custom_extension import (
    BOT,
    IS_ACTIVE,
    JEREMY,
    MALLORY,
    MICHAEL,
    MONITOR,
    MYSQL,
    RESTART,
    scenario,
)
from scenarios.jabber.custom_extension_samples import (
    COMMANDS,
    answer,
    answers,
    asks,
    command,
    form,
    note,
    session,
)
from scenarios.play import Claim, Program, equal, holds, told

if TYPE_CHECKING:
    from fakes import World

STOP = ("systemctl", "stop", "mariadb")
TOLD = ("info", "MySQL told to restart.")


def submits(world: World, person: Any, id: str, of: str, content: str, **more: str) -> None:
    """Fills in the form that answered the query `of`."""
    order = command(content, sessionid=session(person, of), **more)
    asks(world, person, id, order, "set")


@scenario.act("custom-extension-form")
def in_form(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy finds the command, gets the form, submits it, and submits it again."""
    jeremy = world.jabber.actor(JEREMY)
    items = f"<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>"
    world.clock.at(10, lambda: asks(world, jeremy, "list", items))
    world.clock.at(20, lambda: asks(world, jeremy, "form", command(), "set"))
    for at, id in ((30, "first"), (40, "again")):
        world.clock.at(
            at, partial(submits, world, jeremy, id, "form", form(action="restart", really="0"))
        )
    world.clock.at(50, lambda: asks(world, jeremy, "form2", command(), "set"))
    world.clock.at(60, lambda: submits(world, jeremy, "stop", "form2", form(action="stop")))
    world.clock.at(70, lambda: asks(world, jeremy, "form3", command(), "set"))
    sure = form(action="stop", really="1")
    world.clock.at(80, lambda: submits(world, jeremy, "sure", "form3", sure, action="complete"))
    world.clock.until(100)
    program()
    listed = [item.get("node") for item in answer(jeremy, "list").element[0]]
    yield equal("the command is listed", listed, ["mysql"], shows=answers(jeremy, "list"))
    shown = answer(jeremy, "form")
    choices = [
        value.text for value in shown.element.iterfind(".//{jabber:x:data}option/{jabber:x:data}*")
    ]
    yield equal(
        "the form has the choices", choices, ["restart", "stop"], shows=answers(jeremy, "form")
    )
    told_ = [note(jeremy, id) for id in ("first", "again")]
    wanted = [TOLD, ("error", "bad-sessionid")]
    shows = [*answers(jeremy, "first"), *answers(jeremy, "again")]
    yield equal("a form works once, and says what happened", told_, wanted, shows=shows)
    boxes = [note(jeremy, id) for id in ("stop", "sure")]
    wanted = [
        ("error", "Nothing was done: to stop, tick the box."),
        ("info", "MySQL told to stop."),
    ]
    shows = [*answers(jeremy, "stop"), *answers(jeremy, "sure")]
    yield equal("a dangerous choice needs its box", boxes, wanted, shows=shows)
    ran = world.host.ran
    yield equal("each order runs once", ran, [RESTART, STOP], shows=ran)


@scenario.act("custom-extension-again")
def again(world: World, program: Program) -> Iterator[Claim]:
    """The restart times out. Jeremy orders it again, and ticks the box when he is asked."""
    jeremy = world.jabber.actor(JEREMY)
    restart = world.host.commands[RESTART]
    restart.takes = 1000

    def mended() -> None:
        restart.takes = 2

    for at, id, really in ((10, "1", "0"), (90, "2", "0"), (100, "3", "1")):
        world.clock.at(at, partial(asks, world, jeremy, f"form{id}", command(), "set"))
        order = form(action="restart", really=really)
        world.clock.at(at + 2, partial(submits, world, jeremy, id, f"form{id}", order))
    world.clock.at(80, mended)
    world.clock.until(120)
    program()
    asked = note(jeremy, "2")
    text = (
        "Nothing was done: you ordered this 80 s ago (it is unknown); to restart again, "
        "tick the box."
    )
    yield equal("it asks first", asked, ("error", text), shows=answers(jeremy, "2"))
    yield equal("with the box it runs", note(jeremy, "3"), TOLD, shows=answers(jeremy, "3"))
    yield equal("so it ran twice", world.host.ran, [RESTART, RESTART], shows=world.host.ran)


@scenario.act("custom-extension-wrong-forms")
def wrong_forms(world: World, program: Program) -> Iterator[Claim]:
    """Forms arrive that do not fit the one that was shown, or are huge."""
    jeremy = world.jabber.actor(JEREMY)
    wrong: dict[str, str] = {
        "other": form(action="drop database", really="0"),
        "none": "",
        "empty": form(),
        "twice": form(action="restart").replace("<value>", "<value>stop</value><value>"),
        "box": form(action="restart", really="perhaps"),
        "cancelled": "<x xmlns='jabber:x:data' type='cancel'/>",
        "long": form(action="x" * 5000),
    }
    world.clock.at(10, lambda: asks(world, jeremy, "form", command(), "set"))
    for number, (id, content) in enumerate(wrong.items(), 11):
        world.clock.at(number, partial(submits, world, jeremy, id, "form", content))
    world.clock.until(30)
    code = program()
    found = {id: note(jeremy, id)[1] for id in wrong}
    shows = [found for id in wrong for found in answers(jeremy, id)]
    wanted = dict.fromkeys(wrong, "bad-payload")
    yield equal("what does not fit the form is refused", found, wanted, shows=shows)
    yield equal("nothing runs, and the program goes on", (world.host.ran, code), ([], 0))


@scenario.act("custom-extension-sessions")
def sessions(world: World, program: Program) -> Iterator[Claim]:
    """Forms arrive that nobody was shown, of another user, cancelled, or too old."""
    jeremy, michael = world.jabber.actor(JEREMY), world.jabber.actor(MICHAEL)
    restart = form(action="restart", really="0")

    def steals() -> None:
        stolen = command(restart, sessionid=session(jeremy, "form"))
        asks(world, michael, "stolen", stolen, "set")

    world.clock.at(10, lambda: asks(world, jeremy, "form", command(), "set"))
    guess = command(restart, sessionid="guess")
    world.clock.at(30, lambda: asks(world, jeremy, "guess", guess, "set"))
    world.clock.at(31, steals)
    world.clock.at(35, lambda: submits(world, jeremy, "cancel", "form", "", action="cancel"))
    world.clock.at(36, lambda: submits(world, jeremy, "late", "form", restart))
    world.clock.at(40, lambda: asks(world, jeremy, "old", command(), "set"))
    world.clock.at(700, lambda: submits(world, jeremy, "expired", "old", restart))
    world.clock.until(720)
    code = program()
    wanted = {"guess": "bad-sessionid", "late": "bad-sessionid", "expired": "session-expired"}
    found = {id: note(jeremy, id)[1] for id in wanted}
    shows = [found for id in wanted for found in answers(jeremy, id)]
    yield equal("each error says what is wrong", found, wanted, shows=shows)
    stolen, shows = note(michael, "stolen"), answers(michael, "stolen")
    wrong = ("error", "bad-sessionid")
    yield equal("another administrator cannot submit it", stolen, wrong, shows=shows)
    status = answer(jeremy, "cancel").element[0].get("status")
    yield equal("a form can be cancelled", status, "canceled", shows=answers(jeremy, "cancel"))
    yield equal("nothing runs, and the program goes on", (world.host.ran, code), ([], 0))


@scenario.act("custom-extension-wrong-orders")
def wrong_orders(world: World, program: Program) -> Iterator[Claim]:
    """Orders arrive that are no step of the form, or for another command."""
    jeremy = world.jabber.actor(JEREMY)
    world.clock.at(10, lambda: asks(world, jeremy, "form", command(), "set"))
    world.clock.at(32, lambda: asks(world, jeremy, "action", command(action="drop"), "set"))
    world.clock.at(33, lambda: asks(world, jeremy, "back", command(action="prev"), "set"))
    world.clock.at(34, lambda: submits(world, jeremy, "prev", "form", "", action="prev"))
    world.clock.at(37, lambda: asks(world, jeremy, "node", command(node="postgres"), "set"))
    world.clock.at(38, lambda: asks(world, jeremy, "get", command(), "get"))
    world.clock.until(60)
    code = program()
    wanted = {
        "action": "malformed-action",
        "back": "bad-action",
        "prev": "bad-action",
        "node": "item-not-found",
        "get": "bad-request",
    }
    found = {id: note(jeremy, id)[1] for id in wanted}
    shows = [found for id in wanted for found in answers(jeremy, id)]
    yield equal("each error says what is wrong", found, wanted, shows=shows)
    yield equal("nothing runs, and the program goes on", (world.host.ran, code), ([], 0))


@scenario.act("custom-extension-strangers")
def strangers(world: World, program: Program) -> Iterator[Claim]:
    """Mallory asks for everything, sends unknown queries and errors, and hides in a room."""
    mallory, monitor = world.jabber.actor(MALLORY), world.jabber.actor(MONITOR)
    question, unknown = f"<mysql xmlns='{MYSQL}'/>", "<x xmlns='urn:unknown'/>"
    items = f"<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>"

    def from_room() -> None:
        # Jeremy's name as a nick: it is the room that sends, and no administrator.
        sender = "ops@conference.yourco.test/jeremy@yourco.test"
        for device in world.jabber.sessions(BOT):
            order = command()
            iq = f"<iq from='{sender}' to='{device}' type='set' id='room'>{order}</iq>"
            world.jabber.inject(iq)

    world.clock.at(10, lambda: asks(world, mallory, "state", question))
    world.clock.at(11, lambda: asks(world, mallory, "list", items))
    world.clock.at(12, lambda: asks(world, mallory, "form", command(), "set"))
    world.clock.at(13, lambda: asks(world, mallory, "unknown", unknown))
    world.clock.at(14, lambda: asks(world, mallory, "set", question, "set"))
    world.clock.at(15, lambda: asks(world, monitor, "order", command(), "set"))
    world.clock.at(20, from_room)
    # What answers nothing must not be answered: two such programs would never end.
    for at, (id, type, content) in enumerate(
        (("r", "result", unknown), ("e", "error", "<error type='cancel'/>")), 30
    ):
        world.clock.at(at, partial(asks, world, mallory, id, content, type))
    world.clock.until(60)
    program()
    ids = ("state", "list", "form", "unknown", "set")
    found = [answer(mallory, id).condition for id in ids]
    unavailable, missing = "service-unavailable", "item-not-found"
    shows = [found for id in ids for found in answers(mallory, id)]
    wanted = [unavailable, "", missing, unavailable, unavailable]
    yield equal("a stranger finds nothing, and gets an error", found, wanted, shows=shows)
    listed = list(answer(mallory, "list").element[0])
    yield equal("no command is listed", listed, [], shows=answers(mallory, "list"))
    refused = answer(monitor, "order").condition
    shows = answers(monitor, "order")
    yield equal("a monitor may look, and not order", refused, missing, shows=shows)
    looped = [answers(mallory, id) for id in ("r", "e")]
    yield equal("results and errors are not answered", looped, [[], []])
    yield equal("nothing runs", world.host.ran, [])
    logged = told(world, f"query-refused who={MALLORY}") + told(world, "command-refused")
    whos = [event.text.partition("who=")[2].partition("/")[0] for event in logged]
    room = "ops@conference.yourco.test"
    wanted_ = [MALLORY, MALLORY, MALLORY, MONITOR, room]
    yield equal("all of them are logged", whos, wanted_, shows=logged)


@scenario.act("custom-extension-trouble", scenario={"custom-extension": {"timeout": 20}})
def trouble(world: World, program: Program) -> Iterator[Claim]:
    """The restart fails, then hangs; the state cannot be found out; the connection is lost."""
    jeremy = world.jabber.actor(JEREMY)
    restart = world.host.commands[RESTART]
    restart.code, restart.output = 1, "Job for mariadb.service failed.\n"

    def hangs() -> None:
        restart.code, restart.takes = 0, 1000

    def mended() -> None:
        restart.takes = 2
        del world.host.commands[IS_ACTIVE]

    for at, id, really in ((10, "1", "0"), (30, "2", "1"), (100, "3", "1")):
        order = form(action="restart", really=really)
        world.clock.at(at, partial(asks, world, jeremy, f"form{id}", command(), "set"))
        world.clock.at(at + 5, partial(submits, world, jeremy, id, f"form{id}", order))
    world.clock.at(20, hangs)
    world.clock.at(60, mended)
    question = f"<mysql xmlns='{MYSQL}'/>"
    world.clock.at(65, lambda: asks(world, jeremy, "state", question))
    world.clock.at(70, lambda: world.cut("xmpp"))
    world.clock.until(130)
    program()
    failed, hung = note(jeremy, "1"), note(jeremy, "2")
    start = "MySQL was not told to restart, or did not obey: "
    wanted = ("error", f"{start}exit status 1.\nJob for mariadb.service failed.")
    yield equal("a failure is shown as one", failed, wanted, shows=answers(jeremy, "1"))
    ended = hung[0] == "error" and "whether it was done is not known" in hung[1]
    yield holds("an order that hangs is ended", ended, hung, shows=answers(jeremy, "2"))
    state = answer(jeremy, "state").element[0].get("state")
    shows = answers(jeremy, "state")
    yield equal("a state that cannot be found out is unknown", state, "unknown", shows=shows)
    third, shows = note(jeremy, "3"), answers(jeremy, "3")
    yield equal("after a lost connection it obeys again", third, TOLD, shows=shows)
