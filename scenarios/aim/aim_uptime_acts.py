"""Further acts of aim-uptime: who is not answered, what goes wrong on the host, long answers, and the warning by cron."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from comms.toc.markup import Html
from scenarios.aim.aim_uptime import DISK, scenario
from scenarios.play import Claim, Program, equal, holds

if TYPE_CHECKING:
    from fakes import World

ROW = "/dev/mapper/volume-{0:<4} 103081248 41233920  56588064  43% /srv/volume-{0}\n"
MANY_DISKS = DISK + "".join(
    f"/dev/mapper/volume-{n:<4} 103081248 41233920  56588064  43% /srv/volume-{n}\n"
    for n in range(40)
)


@scenario.act("aim-uptime-silence")
def silence(world: World, program: Program) -> Iterator[Claim]:
    """A stranger asks, and an administrator's client answers by itself: neither gets a word."""
    admin, stranger = world.aim.actor("SysAdmin"), world.aim.actor("Stranger")
    world.clock.at(60, lambda: stranger.says("Web1Bot", "uptime"))
    world.clock.at(120, lambda: admin.says("Web1Bot", "I am away from my desk", auto=True))
    program()
    yield holds("a stranger learns nothing", not stranger.heard, [im.text for im in stranger.heard])
    warnings = [event.text for event in world.events if event.level == "warning"]
    yield equal("and leaves a trace", warnings, ["not-answered who=Stranger"])
    yield holds(
        "an auto-response is not answered", not admin.heard, [im.text for im in admin.heard]
    )


@scenario.act("aim-uptime-trouble")
def trouble(world: World, program: Program) -> Iterator[Claim]:
    """`uptime` hangs and `df` fails: the answer says so, and the bot goes on."""
    admin = world.aim.actor("SysAdmin")
    world.host.commands["uptime",].takes = 3600
    world.host.commands["df", "-k"].code = 1
    world.host.commands["df", "-k"].output = "df: /mnt: Transport endpoint is not connected\n"
    world.clock.at(60, lambda: admin.says("Web1Bot", "how are you?"))
    world.clock.at(120, lambda: admin.says("Web1Bot", "disk"))
    program()
    answers = [Html(im.text).text for im in admin.heard]
    at = [im.at for im in admin.heard]
    yield holds(
        "a command that hangs is said",
        answers[:1] != [] and "uptime: still running after 10 s" in answers[0],
        answers,
    )
    yield holds(
        "a command that fails is said",
        answers[:1] != [] and "disk: exit status 1" in answers[0],
        answers,
    )
    yield holds("the next question is answered", len(answers) == 2 and at[1] - at[0] < 60, answers)


@scenario.act("aim-uptime-long-answer")
def long_answer(world: World, program: Program) -> Iterator[Claim]:
    """The disks fill more than an IM, and one of them is named as if it were a tag."""
    admin = world.aim.actor("SysAdmin")
    world.host.commands["df", "-k"].output = (
        MANY_DISKS + "<none>                 0        0         0   0% /proc & such\n"
    )
    world.clock.at(60, lambda: admin.says("Web1Bot", "disk"))
    world.clock.at(120, lambda: admin.says("Web1Bot", "disk"))
    program()
    texts = [Html(im.text).text for im in admin.heard]
    kept = "\n".join([*texts[: len(texts) // 2]])
    lines = [line.split() for line in kept.splitlines()]
    wanted = [line.split() for line in world.host.commands["df", "-k"].output.splitlines()]
    yield holds(
        "every line arrives, whole",
        bool(lines) and lines == wanted[-len(lines) :] and len(lines) > 40,
        len(lines),
    )
    yield holds(
        "what looks like a tag is shown", "<none>" in kept and "/proc & such" in kept, kept[-100:]
    )
    longest = max(
        (len(record.raw) for record in world.records if record.direction == "C"), default=0
    )
    yield holds("no command is longer than the server takes", longest <= 2048, longest)
    connects = [record.verb for record in world.records if record.verb == "connects"]
    yield holds("the server does not hang up", len(connects) == 1 and len(texts) >= 4, connects)


@scenario.act("server-info-push", book=False)
def pushed(world: World, program: Program) -> Iterator[Claim]:
    """Cron looks every five minutes; a disk fills up while one administrator is away, and is cleared again."""
    admin, other = world.aim.actor("SysAdmin"), world.aim.actor("Stranger")
    admin.signs_on()
    disk = world.host.commands["df", "-k"]
    rules = {"aim-uptime": {"push": 90, "admins": ["SysAdmin", "Stranger"]}}

    def look() -> None:
        program(once=True, scenario=rules)
        world.clock.wait(None, world.clock.time() + 300)

    look()
    yield holds(
        "nothing is said while there is room", not admin.heard, [im.text for im in admin.heard]
    )
    disk.output = MANY_DISKS.replace("43% /var", "95% /var")
    look()
    texts = [im.text for im in admin.heard]
    yield holds(
        "a full disk is told",
        texts[:1] != [] and "<b>web1.yourco.test: /var nearly full</b><br>" in texts[0],
        texts[:1],
    )
    yield holds(
        "with the whole table, in several IMs parted between lines",
        len(texts) > 1 and told_lines(texts),
        len(texts),
    )
    look()
    yield equal("it is told once", len(admin.heard), len(texts))
    yield holds(
        "one who is not there leaves a trace", not other.heard and traces(world) == 2, traces(world)
    )
    other.signs_on()
    look()
    yield equal("and is told when there", [im.text for im in other.heard], texts)
    disk.output = DISK
    look()
    news = [
        Html(im.text).text.splitlines()[0]
        for im in (*admin.heard[len(texts) :], *other.heard[len(texts) :])
    ]
    yield equal("both hear that there is room again", news, ["web1.yourco.test: room again"] * 2)
    disk.code = 1
    codes = [program(once=True, scenario=rules)]
    disk.code = 0
    codes.append(program(once=True, scenario=rules))
    codes.append(
        program(
            once=True, scenario={"aim-uptime": {**rules["aim-uptime"], "push": 40, "html": False}}
        )
    )
    yield equal("cron can tell by the exit code: unknown, room, no room", codes, [5, 0, 1])
    plain = [im.text for im in admin.heard][-1]
    yield holds(
        "the warning can be plain text",
        plain.startswith("web1.yourco.test: /, /var nearly full<br>"),
        plain,
    )


def told_lines(texts: list[str]) -> bool:
    """Whether the table's lines all came, none cut."""
    lines = [line.split() for text in texts for line in Html(text).text.splitlines()]
    return lines[1:] == [
        line.split() for line in MANY_DISKS.replace("43% /var", "95% /var").splitlines()
    ]


def traces(world: World) -> int:
    """How often somebody could not be told."""
    return sum(event.text.startswith("not-told who=Stranger") for event in world.events)
