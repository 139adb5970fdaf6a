"""Text the people on call when a check fails, by their carriers' mail gateways.

Section 6.1.1 · SMTP · try: make scenario NAME=sms-alert

A carrier turns mail to NUMBER@GATEWAY into a text message (SMS) of 160 characters. The program runs
a check, texts what it prints when it fails, and texts again when it succeeds. A gateway that has
closed is refused at the start. One that closes later refuses the text, which is logged, or sends a
bounce to `sender`, whose mail should be read.

[scenario.sms-alert]
check = ["check_disk", "-w", "10%"]  # required: fails if its exit code is not 0
phones = { "555-010-0123" = "verizon" }  # required: number = carrier (see comms/sms.py)
sender = "alerts@yourco.test"        # required
carriers = {}                        # further gateways: name = domain
long = "cut"                         # or split: a longer text becomes several messages
per_hour = 6                         # texts to each phone; more are held back, and logged
every = 60                           # seconds between checks
timeout = 30                         # seconds for one check
confirm = 2                          # equal outcomes in a row before anybody is texted
remind = 3600
flaps = 6
flap_window = 900
state = "sms-alert.sqlite3"

Fault: smtp connect refuse times 2 -> all hold
Fault: smtp . lost unstored nth 1 -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from comms import sms
from comms.clock import Clock
from comms.compose import Message
from comms.errors import SettingsError
from comms.host import Host, OutcomeLike
from comms.outbox import Outbox
from comms.setting_types import (
    CommandLine,
    HostName,
    MailAddress,
    NonEmpty,
    Seconds,
    StateFile,
    between,
)
from comms.settings import Settings
from comms.state import State
from comms.watch import Limits, Watch
from scenarios.play import Claim, Program, Scenario, equal, holds
from scenarios.sending.sms_alert_samples import ALERTS, ANN, BOB, CHECK, fails, received

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["smtp"],
    "program": ALERTS,
    "person": [{"address": address} for address in (ALERTS, ANN, BOB)],
    "host": {"name": "db1", "commands": [{"run": CHECK, "output": "DISK OK", "takes": 1}]},
    "scenario": {
        "sms-alert": {
            "check": list(CHECK),
            "phones": {"555-010-0123": "acme", "(555) 010 0456": "acme"},
            "sender": ALERTS,
            "carriers": {"acme": "sms.acme.test"},
        }
    },
}
scenario = Scenario(WORLD)
HOUR = 3600.0
OUTPUT = 2000  # characters of what the check prints: more than fits into nine messages


@dataclass(frozen=True, kw_only=True)
class Rules(Limits):
    """The settings, those of the watch among them. Times are in seconds."""

    check: NonEmpty[CommandLine]
    phones: NonEmpty[dict[str, str]]
    sender: MailAddress
    carriers: dict[NonEmpty[str], HostName] = field(default_factory=dict)
    long: Literal["cut", "split"] = "cut"
    per_hour: Annotated[int, between(1, 1000)] = 6
    every: Seconds = 60
    timeout: Seconds = 30
    state: StateFile = Path("sms-alert.sqlite3")


WORDS = {"up": "OK", "down": "FAILED", "reminder": "STILL FAILED", "flapping": "UNSTABLE"}


def texts(news: str, outcome: OutcomeLike, rules: Rules, host: Host) -> list[str]:
    """Returns the text messages that announce the news: one, or the parts of a long one."""
    output = (outcome.output or outcome.error).strip()[:OUTPUT]
    output = sms.plain(output).strip() or "no output"
    text = f"{sms.plain(host.name)} {WORDS[news]}: {output}"
    return sms.split(text) if rules.long == "split" else [sms.cut(text)]


def within_limit(parts: Sequence[str], earlier: Sequence[float], now: float, limit: int) -> bool:
    """Whether all parts may be sent: a text of which the rest is missing helps nobody."""
    return len(parts) + sum(0 <= now - at < HOUR for at in earlier) <= limit


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Checks until stopped. Returns 0 if the last check succeeded, else 1."""
    rules, server = settings.table("sms-alert", Rules), settings.server("smtp")
    try:
        phones = [
            sms.address(number, carrier, clock.time(), rules.carriers)
            for number, carrier in rules.phones.items()
        ]
    except ValueError as error:
        raise SettingsError(f"{settings.source}: scenario.sms-alert.phones: {error}") from None
    failed = False
    with State(rules.state) as state:
        state.lock()
        outbox = Outbox(state)
        for _ in clock.every(rules.every):
            outcome = host.run(rules.check, rules.timeout)
            failed, now = outcome.code != 0, clock.time()
            watch = Watch.restored(state.recall("watch", Watch.SAVED))
            watch, news = watch.check("down" if failed else "up", now, rules)
            earlier = state.recall("texts", [0.0]) or []
            parts = texts(news, outcome, rules, host) if news else []
            if not within_limit(parts, earlier, now, rules.per_hour):
                host.log("text-held-back", "warning", text=parts[0], limit=rules.per_hour)
                parts = []
            with state.transaction() as db:
                state.remember(db, "watch", asdict(watch))
                recent = [at for at in earlier if 0 <= now - at < HOUR] + [now] * len(parts)
                state.remember(db, "texts", recent)
                for phone in phones:  # one mail each: gateways drop mail to several phones
                    for part in parts:
                        mail = Message(rules.sender, [phone], text=part).stamped(clock, host)
                        outbox.put(mail, now, at_least_once=True, db=db)
            for result in outbox.flush(server, clock, host):
                level = "info" if result.status == "sent" else "warning"
                host.log(f"text-{result.status}", level, to=result.address, trouble=result.error)
    return 1 if failed else 0


@scenario.act("sms-alert")
def alert(world: World, program: Program) -> Iterator[Claim]:
    """A disk is full from 00:02 to 00:10."""
    world.clock.at(120, fails(world, "“/var” is 98 % full\n"))
    world.clock.at(600, fails(world, "DISK OK\n", 0))
    world.clock.until(900)
    code = program()
    wanted = ['db1 FAILED: "/var" is 98 % full', "db1 OK: DISK OK"]
    found = {phone: received(world, phone) for phone in (ANN, BOB)}
    yield equal(
        "each phone gets two texts", found, {ANN: wanted, BOB: wanted}, shows=world.mail.messages
    )
    raw = [mail.raw for mail in world.mail.messages]
    yield holds(
        "they are plain text without a subject",
        code == 0 and all(b"text/plain" in mail and b"\nSubject:" not in mail for mail in raw),
        raw,
        shows=world.mail.messages,
    )
    sizes = [sms.size(text) for text in received(world, ANN)]
    yield holds("none is longer than 160 characters", max(sizes, default=161) <= 160, sizes)
