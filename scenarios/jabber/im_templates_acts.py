"""Further acts of im-templates: mistakes in the file, people who are not there, servers down."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from scenarios.jabber.im_templates import CAROL, DIETER, EXAMPLES, scenario
from scenarios.play import Claim, Program, ends, equal, holds, told

if TYPE_CHECKING:
    from fakes import World

HEAD = f'[[message]]\nto = "xmpp:{CAROL}"\ntemplate = "shipped"\nname = "Carol"\norder = 7\n'
GOOD = HEAD + 'parcel = "P-77"\n'


def file(world: World, text: str) -> Mapping[str, Any]:
    """Writes a file of messages beside the templates, and returns the settings that name both."""
    path, folder = world.folder / "messages.toml", world.folder / "templates"
    path.write_text(text, "utf-8", newline="\n")
    shutil.copytree(EXAMPLES, folder, dirs_exist_ok=True)
    return {"im-templates": {"messages": str(path), "templates": str(folder)}}


def came(person: Any) -> int:
    """How many messages a person got."""
    return len(person.messages)


@scenario.act("im-templates-mistakes")
def mistakes(world: World, program: Program) -> Iterator[Claim]:
    """The file has one right message, and one with a mistake after it."""
    carol = world.jabber.actor(CAROL)
    carol.comes()
    wrong = {
        "a value is missing": HEAD,
        "no such template": GOOD.replace("shipped", "shiped"),
        "no such messenger": GOOD.replace("xmpp:", "icq:"),
        "no address": GOOD.replace(CAROL, "carol at home"),
        "no messenger": GOOD.replace("xmpp:", ""),
        "not TOML": "[[message]\n",
        "a template elsewhere": GOOD.replace("shipped", "../../secret"),
    }
    codes = [program(scenario=file(world, GOOD + text)) for text in wrong.values()]
    yield equal("each mistake is an error", codes, [2] * len(wrong), shows=ends(world))
    yield equal("nothing is sent, not even what is right", came(carol), 0)
    reasons = [event.text for event in ends(world)]
    first = "'parcel' is undefined" in reasons[0] or "parcel" in reasons[0]
    yield holds("the error names what is missing", first, reasons[:1], shows=ends(world)[:1])
    code = program(scenario=file(world, GOOD))
    yield equal("corrected, it is sent", (code, came(carol)), (0, 1), shows=carol.messages)


@scenario.act("im-templates-not-there")
def not_there(world: World, program: Program) -> Iterator[Claim]:
    """One address does not exist, and Dieter is not online; Carol gets hers."""
    carol = world.jabber.actor(CAROL)
    carol.comes()
    gone = GOOD.replace(CAROL, "nobody@customer.test")
    aim = GOOD.replace(f"xmpp:{CAROL}", f"aim:{DIETER}")
    rows = file(world, gone + aim + GOOD + GOOD)
    codes = [program(scenario=rows), program(scenario=rows)]
    failed = [event.text for event in told(world, "message-failed")]
    names = [text.split("to=")[1].split(" ")[0] for text in failed[:2]]
    wanted = ["xmpp:nobody@customer.test", f"aim:{DIETER}"]
    yield equal("what cannot arrive is reported", names, wanted, shows=failed[:2])
    yield equal("the exit code is 4", codes, [4, 4])
    once = came(carol)
    yield equal("the others get theirs, the same message once", once, 1, shows=carol.messages)


@scenario.act("im-templates-messenger-down")
def messenger_down(world: World, program: Program) -> Iterator[Claim]:
    """Jabber cannot be reached, so that Dieter is told and Carol is not; later she is."""
    carol, dieter = world.jabber.actor(CAROL), world.aim.actor(DIETER)
    carol.comes()
    dieter.signs_on()
    world.close_port("xmpp")
    first = program()
    before = (first, came(carol), len(dieter.heard))
    yield equal("the other messenger is used: exit code 4", before, (4, 0, 1), shows=dieter.heard)
    world.open_port("xmpp")
    after = (program(), came(carol), len(dieter.heard))
    yield equal("the next run sends the rest", after, (0, 1, 1), shows=carol.messages)


@scenario.act("im-templates-test")
def test(world: World, program: Program) -> Iterator[Claim]:
    """On a test, the program says what it would send; then it sends."""
    carol, dieter = world.jabber.actor(CAROL), world.aim.actor(DIETER)
    carol.comes()
    dieter.signs_on()
    code = program(scenario={"im-templates": {"deliver": "test"}})
    said = [line.partition(": ")[0] for line in world.said]
    wanted = [f"would send to xmpp:{CAROL}", f"would send to aim:{DIETER}"]
    yield equal("each message is shown", said, wanted, shows=world.said)
    none = (code, came(carol), len(dieter.heard))
    yield equal("none is sent", none, (0, 0, 0))
    yield equal("a test does not count as sent", (program(), came(carol)), (0, 1), carol.messages)
