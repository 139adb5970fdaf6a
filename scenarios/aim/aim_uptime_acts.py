"""Further acts of aim-uptime: strangers, failing commands, long answers, warnings by cron."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from comms.toc.markup import Html
from scenarios.aim.aim_uptime import scenario
from scenarios.aim.aim_uptime_samples import DISK, MANY_DISKS, MANY_DISKS_FULL
from scenarios.play import Claim, Program, equal, holds, sent

if TYPE_CHECKING:
    from fakes import World


def plain(heard: Sequence[Any]) -> list[str]:
    """The texts of messages, without markup."""
    return [Html(im.text).text for im in heard]


def rows(text: str) -> list[list[str]]:
    """The words of each line: runs of spaces are not kept in HTML."""
    return [line.split() for line in text.splitlines()]


@scenario.act("aim-uptime-silence")
def silence(world: World, program: Program) -> Iterator[Claim]:
    """A stranger asks, and an administrator's client answers by itself."""
    admin, stranger = world.aim.actor("SysAdmin"), world.aim.actor("Stranger")
    world.clock.at(60, lambda: stranger.says("Web1Bot", "uptime"))
    world.clock.at(120, lambda: admin.says("Web1Bot", "I am away from my desk", auto=True))
    program()
    yield equal("a stranger gets no answer", plain(stranger.heard), [])
    warnings = [event.text for event in world.events if event.level == "warning"]
    yield equal("a stranger is logged", warnings, ["not-answered who=Stranger"], shows=warnings)
    yield equal("an auto-response is not answered", plain(admin.heard), [])


@scenario.act("aim-uptime-trouble")
def trouble(world: World, program: Program) -> Iterator[Claim]:
    """`uptime` hangs and `df` fails."""
    admin = world.aim.actor("SysAdmin")
    world.host.commands["uptime",].takes = 3600
    world.host.commands["df", "-k"].code = 1
    world.host.commands["df", "-k"].output = "df: /mnt: Transport endpoint is not connected\n"
    world.clock.at(60, lambda: admin.says("Web1Bot", "how are you?"))
    world.clock.at(120, lambda: admin.says("Web1Bot", "disk"))
    program()
    answers = plain(admin.heard)
    first = "".join(answers[:1])
    hung = "uptime: still running after 10 s" in first
    yield holds("the answer reports a command that hangs", hung, answers, shows=admin.heard[:1])
    failed = "disk: exit status 1" in first
    yield holds("the answer reports a command that fails", failed, answers, shows=admin.heard[:1])
    at = [im.at for im in admin.heard]
    next_one = len(at) == 2 and at[1] - at[0] < 60
    yield holds("the next question is answered", next_one, at, shows=admin.heard)


@scenario.act("aim-uptime-long-answer")
def long_answer(world: World, program: Program) -> Iterator[Claim]:
    """The table of disks is longer than a message, and one name in it looks like a tag."""
    admin = world.aim.actor("SysAdmin")
    table = MANY_DISKS + "<none>                 0        0         0   0% /proc & such\n"
    world.host.commands["df", "-k"].output = table
    world.clock.at(60, lambda: admin.says("Web1Bot", "disk"))
    world.clock.at(120, lambda: admin.says("Web1Bot", "disk"))
    program()
    texts = plain(admin.heard)
    first = "\n".join(texts[: len(texts) // 2])
    yield equal("every line arrives", rows(first), rows(table), shows=admin.heard)
    shown = "<none>" in first and "/proc & such" in first
    yield holds("a name that looks like a tag is shown", shown, first[-100:], shows=admin.heard)
    longest = max((len(one.raw) for one in world.records if one.direction == "C"), default=0)
    yield holds(
        "every message fits the server's limit",
        longest <= 2048,
        longest,
        shows=sent(world, "toc_send_im"),
    )
    connects = [record.verb for record in world.records if record.verb == "connects"]
    once = len(connects) == 1 and len(texts) >= 4
    yield holds(
        "the server does not hang up",
        once,
        (connects, len(texts)),
        shows=[record for record in world.records if record.verb == "connects"],
    )


@scenario.act("server-info-push", book=False)
def pushed(world: World, program: Program) -> Iterator[Claim]:
    """Cron checks every five minutes; a disk fills up while one administrator is offline."""
    admin, other = world.aim.actor("SysAdmin"), world.aim.actor("Stranger")
    admin.signs_on()
    disk = world.host.commands["df", "-k"]
    rules = {"push": 90, "admins": ["SysAdmin", "Stranger"]}

    def check(**more: Any) -> int:
        code = program(once=True, scenario={"aim-uptime": {**rules, **more}})
        world.clock.wait(None, world.clock.time() + 300)
        return code

    check()
    yield equal("nothing is sent while there is room", plain(admin.heard), [])
    disk.output = MANY_DISKS_FULL
    check()
    sent = [im.text for im in admin.heard]
    warned = "<b>web1.yourco.test: /var nearly full</b><br>" in "".join(sent[:1])
    yield holds("a full disk is reported", warned, sent[:1], shows=admin.heard[:1])
    table = [row for text in plain(admin.heard) for row in rows(text)][1:]
    yield equal(
        "the table arrives in several messages", table, rows(MANY_DISKS_FULL), shows=admin.heard
    )
    check()
    yield equal("a full disk is reported once", len(admin.heard), len(sent), shows=admin.heard)
    missed = [event.text for event in world.events if event.text.startswith("not-told who=Str")]
    logged = not other.heard and len(missed) == 2
    yield holds("an administrator who is offline is logged", logged, missed, shows=missed)
    other.signs_on()
    check()
    yield equal("and is notified later", [im.text for im in other.heard], sent, shows=other.heard)
    disk.output = DISK
    check()
    later = plain([*admin.heard[len(sent) :], *other.heard[len(sent) :]])
    news = [text.splitlines()[0] for text in later]
    yield equal(
        "both hear that there is room again",
        news,
        ["web1.yourco.test: room again"] * 2,
        shows=[*admin.heard[len(sent) :], *other.heard[len(sent) :]],
    )
    disk.code = 1
    codes = [check()]
    disk.code = 0
    codes += [check(), check(push=40, html=False)]
    yield equal("the exit code is 5 for unknown, 0 for room, 1 for none", codes, [5, 0, 1])
    last = [im.text for im in admin.heard][-1]
    headline = "web1.yourco.test: /, /var nearly full<br>"
    yield holds(
        "the warning can be plain text", last.startswith(headline), last, shows=admin.heard[-1:]
    )
