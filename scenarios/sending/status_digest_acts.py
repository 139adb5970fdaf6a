"""Further acts of status-digest: nothing changes, hosts are silent or odd, cron starts it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.play import Claim, Program, equal, holds, told
from scenarios.sending.status_digest import scenario
from scenarios.sending.status_digest_samples import HOSTS, TEAM, answers, sections

if TYPE_CHECKING:
    from fakes import World

HOUR = 3600


def all_up(world: World) -> None:
    """Every host answers that it is up."""
    for name in HOSTS:
        answers(world, name, "state: up\n")


@scenario.act("status-nothing-changed")
def nothing_changed(world: World, program: Program) -> Iterator[Claim]:
    """Nothing changes for five hours; only_changes keeps the program quiet."""
    all_up(world)
    world.clock.at(4.5 * HOUR, lambda: answers(world, "web1", "state: down\n"))
    world.clock.until(5.5 * HOUR)
    program(scenario={"status-digest": {"only_changes": True}})
    mails = world.mail.messages
    hours = [round((mail.at - mails[0].at) / HOUR) for mail in mails]
    yield equal("without a change there is no mail", hours, [0, 5], shows=mails)
    found = [sections(mail)[0] for mail in mails]
    wanted = ["web1 state: up -> down"]
    yield equal(
        "the change after it is compared with the last state", found[1:], [wanted], shows=mails[1:]
    )
    ran = world.host.ran
    yield equal("the hosts are asked every hour", len(ran), 6 * len(HOSTS), shows=ran)


@scenario.act("status-silent-hosts")
def silent_hosts(world: World, program: Program) -> Iterator[Claim]:
    """Hosts are silent in three ways, and answer again; a fourth cannot be asked at all."""
    all_up(world)
    fourth = {"hosts": {"mail1": ["no-command"]}}

    def silence() -> None:
        answers(world, "web1", takes=60)
        answers(world, "web2", "ssh: no route to host\n", code=255)
        answers(world, "db1", "\n")

    world.clock.at(0.5 * HOUR, silence)
    world.clock.at(1.5 * HOUR, lambda: all_up(world))
    world.clock.until(2.5 * HOUR)
    code = program(scenario={"status-digest": fourth})
    mails = world.mail.messages
    found = [sections(mail) for mail in mails]
    heard = "last heard 2026-01-05 00:00 UTC"
    mail1 = "mail1: unknown (it did not answer; never heard)"
    silent = [
        f"db1: unknown (exit status 0; {heard})",
        f"web1: unknown (it did not answer; {heard})",
        f"web2: unknown (ssh: no route to host; {heard})",
    ]
    yield equal(
        "each silent host is unknown, and says since when",
        found[1:2],
        [(silent, [mail1])],
        shows=mails[1:2],
    )
    again = [f"{name}: answers again" for name in sorted(HOSTS)]
    same = [f"{name} state: up" for name in sorted(HOSTS)]
    back = (again, [*same[:1], mail1, *same[1:]])
    yield equal(
        "it is compared with what it said before the silence", found[2:], [back], shows=mails[2:]
    )
    yield equal("the exit code is 1 while a host is silent", code, 1)


@scenario.act("status-odd-answers")
def odd_answers(world: World, program: Program) -> Iterator[Claim]:
    """Hosts answer with odd lines, in another order, and leave lines out."""
    answers(world, "web1", "b: 2\na: 1\nold: 3\n")
    answers(
        world, "web2", "load\n: \x1b[31mred\r\nBcc: everybody@x.test\r\n\r\n.\r\nlong: " + "x" * 999
    )
    answers(world, "db1", "a: 1\n" * 1000)
    world.clock.at(0.5 * HOUR, lambda: answers(world, "web1", "a: 1\nb: 2\nnew: 3\n"))
    world.clock.until(1.5 * HOUR)
    program()
    mails = world.mail.messages
    changed = [sections(mail)[0] for mail in mails]
    wanted = ["web1 new: 3 (new)", "web1 old: 3 -> (gone)"]
    yield equal(
        "another order is no change, a missing line is one", changed[1:], [wanted], shows=mails[1:]
    )
    to = [mail.envelope.to for mail in mails]
    names = {name.casefold() for mail in mails for name in mail.message}
    yield equal("no answer adds a header", (to, "bcc" in names), ([[TEAM]] * 2, False), shows=mails)
    text = "".join(mail.text for mail in mails)
    yield holds("nothing in an answer commands a terminal", "\x1b" not in text, text, shows=mails)


@scenario.act("status-by-cron")
def by_cron(world: World, program: Program) -> Iterator[Claim]:
    """Cron starts the program five times; the mail server is down at first, and a disk fills."""
    all_up(world)
    world.close_port("smtp")
    codes = [program(once=True)]
    world.open_port("smtp")
    for state in ("up", "full", "full"):
        answers(world, "db1", f"state: {state}\n")
        world.clock.advance(900)
        codes.append(program(once=True, scenario={"status-digest": {"only_changes": True}}))
    world.clock.advance(900)
    program(once=True, scenario={"status-digest": {"only_changes": True}})
    yield equal(
        "the exit code is 0 if every host answers", codes, [0] * 4, shows=told(world, "digest-")
    )
    mails = world.mail.messages
    subjects = sorted(mail.subject for mail in mails)
    wanted = ["Status: 1 changed", "Status: 3 changed"]
    yield equal(
        "each change is in one digest, though the program restarts", subjects, wanted, shows=mails
    )
    dates = {mail.message["Date"] for mail in mails if "3 changed" in mail.subject}
    date = {"Mon, 05 Jan 2026 00:00:01 +0000"}
    yield equal("a digest that waits keeps the time of its answers", dates, date, shows=mails)
