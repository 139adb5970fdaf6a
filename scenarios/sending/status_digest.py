"""Update a team about the state of its hosts: one mail for all of them, what changed first.

Section 6.1 · SMTP · try: make scenario NAME=status-digest

For each host a command prints lines like `disk: 81%`. The digest lists them in a stable order, so
that two digests can be compared by eye: first what differs from the digest before, then the rest. A
host that does not answer is listed as unknown, with what it said last kept for the comparison. The
state and the mail are stored together, so that no change is lost or announced in two digests.

[scenario.status-digest]
hosts = { web1 = ["check-host", "web1"] }    # required: a command for each, without a shell
team = ["team@yourco.test"]          # required
sender = "Status <status@yourco.test>"
every = 86400                        # seconds between two digests; with --once, cron decides
timeout = 10                         # seconds in which a host must answer
only_changes = false                 # true: no mail if nothing has changed
state = "status-digest.sqlite3"

Fault: smtp connect refuse times 2 -> all hold
Fault: smtp . lost unstored nth 1 -> all hold
Fault: smtp-450-then-ok -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.outbox import Outbox
from comms.setting_types import (
    CommandLine,
    Line,
    MailAddress,
    NamedAddress,
    NonEmpty,
    Seconds,
    StateFile,
)
from comms.settings import Settings
from comms.state import State
from scenarios.play import Claim, Program, Scenario, equal
from scenarios.sending.status_digest_desk import Report, ask, recalled
from scenarios.sending.status_digest_samples import BOT, HOSTS, TEAM, answers, sections

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["smtp"],
    "program": BOT,
    "person": [{"address": address} for address in (BOT, TEAM)],
    "host": {
        "name": "ops.yourco.test",
        "commands": [{"run": ["check-host", name]} for name in HOSTS],
    },
    "scenario": {
        "status-digest": {
            "hosts": {name: ["check-host", name] for name in HOSTS},
            "team": [TEAM],
            "every": 3600,
        }
    },
}
scenario = Scenario(WORLD)
RETRY = 60  # seconds between two attempts to send what waits


@dataclass(frozen=True)
class Rules:
    """The settings."""

    hosts: NonEmpty[dict[Line, NonEmpty[CommandLine]]]
    team: NonEmpty[tuple[MailAddress, ...]]
    sender: NamedAddress = "Status <status@yourco.test>"
    every: Seconds = 86400
    timeout: Seconds = 10
    only_changes: bool = False
    state: StateFile = Path("status-digest.sqlite3")


def compared(name: str, before: Report, now: Report) -> tuple[list[str], list[str]]:
    """Returns the lines of a host that have changed, and those that have not."""
    if now.silence:
        heard = datetime.fromtimestamp(now.heard, UTC)
        last = f"last heard {heard:%Y-%m-%d %H:%M} UTC" if now.heard else "never heard"
        line = f"{name}: unknown ({now.silence}; {last})"
        return ([], [line]) if before.silence else ([line], [])
    changed = [f"{name}: answers again"] if before.silence and before.heard else []
    same = []
    for key in sorted({*before.lines, *now.lines}):
        old, new = before.lines.get(key), now.lines.get(key)
        if old == new:
            same.append(f"{name} {key}: {new}")
        elif old is None:
            changed.append(f"{name} {key}: {new} (new)")
        else:
            changed.append(f"{name} {key}: {old} -> {'(gone)' if new is None else new}")
    return changed, same


def digest(before: dict[str, Report], now: dict[str, Report], rules: Rules) -> Message | None:
    """Returns the digest, without a Date; None if none is wanted."""
    changed: list[str] = []
    same: list[str] = []
    for name in sorted(now):
        for lines, more in zip(
            (changed, same), compared(name, before[name], now[name]), strict=True
        ):
            lines += more
    if not changed and rules.only_changes:
        return None
    silent = sum(bool(report.silence) for report in now.values())
    unknown = f", {silent} unknown" if silent else ""
    text = f"Changed:\n{_listed(changed)}\nAs before:\n{_listed(same)}"
    mail = Message(rules.sender, list(rules.team), f"Status: {len(changed)} changed{unknown}", text)
    # RFC 3834 §5: the mark keeps vacation programs from answering.
    mail.add_header("Auto-Submitted", "auto-generated")
    return mail


def _listed(lines: list[str]) -> str:
    return "".join(f"  {line}\n" for line in lines) or "  (nothing)\n"


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Sends digests until stopped. Returns 1 if a host was silent at the last one, else 0."""
    rules = settings.table("status-digest", Rules)
    server = settings.server("smtp")
    due, now = clock.monotonic(), {}
    with State(rules.state) as state:
        state.lock()
        outbox = Outbox(state)
        for _ in clock.every(min(rules.every, RETRY)):
            if clock.monotonic() >= due:
                before = {name: recalled(state, name) for name in rules.hosts}
                now = {
                    name: ask(rules.hosts[name], before[name], rules.timeout, clock, host)
                    for name in rules.hosts
                }
                # Digests that were missed meanwhile are left out.
                due += ((clock.monotonic() - due) // rules.every + 1) * rules.every
                mail = digest(before, now, rules)
                with state.transaction() as db:
                    for name, report in now.items():
                        state.remember(db, f"host {name}", asdict(report))
                    if mail is not None:
                        outbox.put(
                            mail.stamped(clock, host), clock.time(), at_least_once=True, db=db
                        )
            for result in outbox.flush(server, clock, host):
                level = "info" if result.status == "sent" else "warning"
                host.log(f"digest-{result.status}", level, to=result.address, trouble=result.error)
    return int(any(report.silence for report in now.values()))


@scenario.act("status-digest")
def changed_first(world: World, program: Program) -> Iterator[Claim]:
    """Three digests of three hosts; a disk fills before the second, and db1 falls silent."""
    answers(world, "web1", "disk: 81%\napache2: up\n")
    answers(world, "web2", "disk: 40%\napache2: up\n")
    answers(world, "db1", "mariadb: up\n")
    world.clock.at(1800, lambda: answers(world, "web1", "apache2: up\ndisk: 98%\n"))
    world.clock.at(1800, lambda: answers(world, "db1", takes=60))
    world.clock.until(7800)
    code = program()
    mails = world.mail.messages
    found = [sections(mail) for mail in mails]
    rest = ["web1 apache2: up", "web2 apache2: up", "web2 disk: 40%"]
    silent = "db1: unknown (it did not answer; last heard 2026-01-05 00:00 UTC)"
    second = ([silent, "web1 disk: 81% -> 98%"], rest)
    yield equal(
        "what changed comes first, in a stable order", found[1:2], [second], shows=mails[1:2]
    )
    third: tuple[list[str], list[str]] = (
        [],
        [silent, "web1 apache2: up", "web1 disk: 98%", *rest[1:]],
    )
    yield equal("a silent host is listed as unknown", found[2:], [third], shows=mails[2:])
    subjects = [mail.subject for mail in mails]
    wanted = ["Status: 5 changed", "Status: 2 changed, 1 unknown", "Status: 0 changed, 1 unknown"]
    yield equal("one digest is sent for all hosts", subjects, wanted, shows=mails)
    yield equal("the exit code is 1 if a host is silent", code, 1)
