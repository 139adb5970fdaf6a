"""Further acts of im-menu: wrong keys, silence, programs and impostors, an operator who is away."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from scenarios.jabber.im_menu import ANNA, BOT, CARL, DORA, scenario
from scenarios.play import Claim, Program, ends, equal, holds, told

if TYPE_CHECKING:
    from fakes import World

MAIN = "Welcome to YourCo.\n1 Orders\n2 Opening hours\n0 A person"
WRONG = f"That is not a choice. Please send one of: 1, 2, 0\n\n{MAIN}"
MOMENT = "One moment please: a person will write to you."


def heard(person: Any) -> list[str]:
    """The texts that a person got."""
    return [stanza.body for stanza in person.messages]


def says(world: World, person: Any, lines: Iterable[tuple[float, str]]) -> None:
    """A person says these texts at these times."""
    for at, text in lines:
        world.clock.at(at, partial(person.says, BOT, text))


@scenario.act("im-menu-wrong-keys")
def wrong_keys(world: World, program: Program) -> Iterator[Claim]:
    """Carl presses wrong keys three times in a row; Dora only twice; Carl writes to Anna."""
    carl, dora, anna = (world.jabber.actor(address) for address in (CARL, DORA, ANNA))
    for person in (carl, dora, anna):
        person.comes()
    says(world, carl, [(10, "hello"), (11, "7"), (12, "12"), (13, "x" * 5000), (20, "1")])
    says(world, dora, [(10, "hi"), (11, "7"), (12, "!"), (13, "1"), (14, "8"), (15, "2")])
    world.clock.at(30, lambda: anna.says(CARL, "How can I help?"))
    world.clock.at(31, lambda: anna.says(BOT, "2"))
    says(world, carl, [(700, "hello again")])
    world.clock.until(720)
    program()
    of_carl = heard(carl)
    yield equal(
        "the third wrong key in a row leads to the operator",
        of_carl[:4],
        [MAIN, WRONG, WRONG, MOMENT],
        shows=carl.messages[:4],
    )
    got = [text.partition(" (")[0] for text in heard(anna)]
    wanted = [f"{CARL} wants to talk to you", f"{DORA} wants to talk to you"]
    yield equal("the operator is told who it is", got, wanted, shows=anna.messages)
    longest = max(len(text) for text in heard(anna))
    yield holds("what was said is cut", longest < 400, longest, shows=anna.messages[:1])
    yield equal(
        "with the operator, the menu is silent, and later there again",
        of_carl[4:],
        ["How can I help?", MAIN],
        shows=carl.messages[5:],
    )
    orders = heard(dora)[3:5]
    begin = ["1 Where is my order", "That is not a choice."]
    fits = [text.startswith(start) for text, start in zip(orders, begin, strict=False)]
    yield equal("a right key starts the count again", fits, [True, True], shows=dora.messages[3:5])


@scenario.act("im-menu-silent")
def silent(world: World, program: Program) -> Iterator[Claim]:
    """Carl says hello and nothing more; Dora answers when she is asked again."""
    carl, dora = world.jabber.actor(CARL), world.jabber.actor(DORA)
    carl.comes()
    dora.comes()
    says(world, carl, [(10, "hello"), (400, "1")])
    says(world, dora, [(10, "hello"), (11, "1"), (140, "1"), (141, "9")])
    world.clock.until(420)
    program()
    again = f"Are you still there?\n\n{MAIN}"
    bye = "You have said nothing, so this call is over. Goodbye!"
    yield equal(
        "a silent customer is asked once, and the call is over",
        heard(carl)[:3],
        [MAIN, again, bye],
        shows=carl.messages[:3],
    )
    yield equal("who writes later begins again", heard(carl)[3:], [MAIN], shows=carl.messages[3:])
    texts = heard(dora)
    asked = [text.partition("\n")[0] for text in texts[2:5]]
    wanted = ["Are you still there?", "It is on its way.", "Welcome to YourCo."]
    yield equal("an answer goes on where the call was", asked, wanted, shows=dora.messages[2:5])


@scenario.act("im-menu-impostors")
def impostors(world: World, program: Program) -> Iterator[Claim]:
    """A room, a server, an old message and a program write; one nick is that of the operator."""
    carl, dora, anna = (world.jabber.actor(address) for address in (CARL, DORA, ANNA))
    dora.says(BOT, "hello")  # the menu is away, so that the server keeps it
    room = "<x xmlns='http://jabber.org/protocol/muc#user'/>"

    def injects(sender: str, content: str, type: str = "chat") -> None:
        head = f"<message from='{sender}' to='{BOT}' type='{type}'>"
        world.jabber.inject(f"{head}<body>1</body>{content}</message>")

    nick = f"help@conference.yourco.test/{ANNA}"
    world.clock.at(10, lambda: injects(nick, room))
    world.clock.at(11, lambda: injects(f"{ANNA}/x", room))
    world.clock.at(12, lambda: injects("yourco.test", ""))
    for at, type in enumerate(("headline", "error", "groupchat"), 13):
        world.clock.at(at, partial(injects, f"{CARL}/x", "", type))
    # A program that answers everything with a word of its own.
    carl.comes()
    anna.comes()
    for at in range(20, 60):
        world.clock.at(at, lambda: carl.says(BOT, "I am away."))
    world.clock.until(80)
    code = program()
    rooms = told(world, "message-ignored sender=help@conference")
    yield holds("a private message in a room is ignored", len(rooms) == 1, rooms, shows=rooms)
    yield equal("what is old is not answered", heard(dora), [])
    yield equal(
        "a program is answered four times, and then no more",
        heard(carl),
        [MAIN, WRONG, WRONG, MOMENT],
        shows=carl.messages,
    )
    yield equal("the operator is told once, not more", len(heard(anna)), 1, shows=anna.messages)
    yield equal("the program exits with 0", code, 0, shows=ends(world))


@scenario.act("im-menu-no-operator", scenario={"im-menu": {"operator": "gone@yourco.test"}})
def no_operator(world: World, program: Program) -> Iterator[Claim]:
    """There is no such operator; then the connection is lost, and Carl calls again."""
    carl = world.jabber.actor(CARL)
    carl.comes()
    says(world, carl, [(10, "hello"), (11, "0"), (20, "hello"), (21, "2"), (200, "2")])
    world.clock.at(60, lambda: world.cut("xmpp"))
    world.clock.until(210)
    program()
    texts = heard(carl)
    sorry = "I am sorry, nobody can be reached now. Please try again later."
    yield equal("the customer is told so", texts[1:3], [MOMENT, sorry], shows=carl.messages[1:3])
    yield equal("and may call again", texts[3:4], [MAIN], shows=carl.messages[3:4])
    hours = "We are here from 9 to 5, Monday to Friday."
    last = texts[-1].partition("\n")[0]
    shows = carl.messages[-1:]
    yield equal("after a lost connection the call goes on", last, hours, shows=shows)
