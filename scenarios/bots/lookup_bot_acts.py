"""Further acts of lookup-bot: names that are not there, slow sources, tables that change."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from scenarios.bots.lookup_bot import scenario
from scenarios.bots.lookup_bot_samples import HOSTS, PHONES
from scenarios.play import Claim, Program, equal, told

if TYPE_CHECKING:
    from fakes import World

AIM: dict[str, Any] = {"servers": ["toc"]}


def asks(world: World, *questions: str, apart: float = 15) -> Any:
    """Lets Ann ask one question after the other, and returns her."""
    (world.folder / "phones.tsv").write_text(PHONES, newline="\n")
    (world.folder / "hosts.tsv").write_text(HOSTS, newline="\n")
    ann = world.aim.actor("Ann")
    for number, text in enumerate(questions):
        world.clock.at(10 + number * apart, partial(ann.says, "LookupBot", text))
    world.clock.until(10 + len(questions) * apart)
    return ann


@scenario.act("lookup-nearest", **AIM)
def nearest(world: World, program: Program) -> Iterator[Claim]:
    """Ann mistypes names, asks for what is in no table, and asks how to ask."""
    ann = asks(world, "phone jermey", "web", "phone db1", "nobody", "help")
    program()
    texts = [im.text for im in ann.heard]
    near = ["I do not know jermey; near to it: phone jeremy, phone jerry"]
    yield equal("what comes near is suggested", texts[:1], near, shows=ann.heard[:1])
    both = ["I do not know web; near to it: host web2, host web1"]
    yield equal("from every table, if none was named", texts[1:2], both, shows=ann.heard[1:2])
    unknown = ["I do not know db1", "I do not know nobody"]
    yield equal("nothing is made up", texts[2:4], unknown, shows=ann.heard[2:4])
    usage = ["Ask me for a name, or for one of these and a name: phone, host, dns"]
    yield equal("help says how to ask", texts[4:], usage, shows=ann.heard[4:])


@scenario.act("lookup-slow", **AIM)
def slow(world: World, program: Program) -> Iterator[Claim]:
    """A source hangs, then fails; and Ann asks more than one may."""
    command = world.host.commands["dns-lookup",]
    command.takes = 3600
    ann = asks(world, "dns www", "phone jeremy", "dns $(reboot)")
    world.clock.at(20, lambda: setattr(command, "takes", 0.1))
    world.clock.at(35, lambda: setattr(command, "code", 1))
    for number in range(10):
        world.clock.at(45 + number / 10, partial(ann.says, "LookupBot", "phone jerry"))
    program()
    texts = [im.text for im in ann.heard]
    limit = ["dns has not answered within 5 s; ask again later"]
    yield equal("a source that hangs has a time limit", texts[:1], limit, shows=ann.heard[:1])
    phone = [text.partition(" (")[0] for text in texts[1:2]]
    yield equal("the next question is answered", phone, ["phone jeremy: 4711"], ann.heard[1:2])
    failed = ["dns does not know $(reboot)"]
    yield equal("a source that fails knows nothing", texts[2:3], failed, shows=ann.heard[2:3])
    ran = world.host.ran
    yield equal("a question is not a part of a command", ran, [("dns-lookup",)] * 2, shows=ran)
    yield equal("a flood gets no more than five answers a minute", len(texts), 5, shows=ann.heard)


@scenario.act("lookup-changed", **AIM)
def changed(world: World, program: Program) -> Iterator[Claim]:
    """A table gets another value while the bot runs; then it is gone."""
    ann = asks(world, *["phone jeremy"] * 3)
    file = world.folder / "phones.tsv"
    text = PHONES.replace("4711", "5000")
    world.clock.at(20, lambda: file.write_text(text, newline="\n"))
    world.clock.at(35, file.unlink)
    code = program()
    texts = [im.text.partition(" (")[0] for im in ann.heard]
    wanted = ["phone jeremy: 4711", "phone jeremy: 5000"]
    yield equal("a change counts at once", texts[:2], wanted, shows=ann.heard[:2])
    gone = ["phone: I cannot read this table just now"]
    yield equal("a table that is gone is admitted", texts[2:], gone, shows=ann.heard[2:])
    logged = told(world, "table-unreadable table=phone")
    yield equal("and logged", len(logged), 1, shows=logged)
    yield equal("the program has not ended", code, 0)
