"""Tell the administrators when Apache dies: once, however long it stays dead.

Listing 6.2 · SMTP · try: make scenario NAME=apache-alert

A monitor looks at the process table every five seconds. When Apache is gone for two checks in a row, each administrator
gets one mail; when it is back, one more. While it stays down a reminder goes out now and then. The mail server may be
down at the same time: checking goes on, the alert waits in an outbox on disk and keeps the time at which it arose.

[scenario.apache-alert]
admins = ["jeremy@yourco.test"]      # who is told
sender = "Apache Notifier <notifier@yourco.test>"
processes = ["apache2", "httpd"]     # exact names
pidfile = "/run/apache2.pid"         # looked at instead, if given; or
tcp = "127.0.0.1:80"                 # a port that must take connections
every = 5                            # seconds between checks; cron does it with --once
confirm = 2                          # checks in a row before anybody is told
remind = 3600                        # seconds between reminders while it is down
flaps = 6                            # changes within flap_window seconds (900) that make it a flapping, told once
state = "apache-alert.sqlite3"

Fault: smtp connect refuse times 2 -> all hold
Fault: smtp . lost unstored nth 1 -> all hold
Fault: RCPT arg jeremy* reply "550 no" -> breaks each administrator got one mail, one message with bare addresses

What goes wrong in the printed listing: it passes display forms to the envelope, mails at every check (17,280 a day), dies
with the mail server, and finds "apache" in any line of `ps`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms import probe
from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.outbox import Outbox
from comms.settings import Settings
from comms.state import State
from scenarios.play import Claim, Program, act

if TYPE_CHECKING:
    from fakes import World

ADMINS = ("jeremy@yourco.test", "michael@yourco.test")
WORLD: dict[str, Any] = {
    "servers": ["smtp"],
    "program": "notifier@yourco.test",
    "person": [{"address": address} for address in ("notifier@yourco.test", *ADMINS)],
    "host": {"name": "web1.yourco.test", "processes": ["sshd", "apache2"]},
    "scenario": {"apache-alert": {"admins": list(ADMINS)}},
}


@dataclass(frozen=True)
class Rules:
    """The scenario's settings; times in seconds."""

    admins: tuple[str, ...] = ()
    sender: str = "Apache Notifier <notifier@yourco.test>"
    processes: tuple[str, ...] = ("apache2", "httpd")
    pidfile: Path | None = None
    tcp: str = ""
    every: float = 5
    confirm: int = 2
    remind: float = 3600
    flaps: int = 6
    flap_window: float = 900
    state: Path = Path("apache-alert.sqlite3")

    def __post_init__(self) -> None:
        if not self.admins:
            raise ValueError('admins is empty: nobody would be told; write admins = ["you@example.org"]')
        if self.every <= 0 or self.confirm < 1:
            raise ValueError("every is too small: more than 0 seconds, and confirm at least 1 check")
        if self.tcp and not re.fullmatch(r".+:\d{1,5}", self.tcp):
            raise ValueError(f'tcp is {self.tcp!r}; write tcp = "127.0.0.1:80"')


@dataclass(frozen=True)
class Watch:
    """What is remembered from check to check."""

    seen: str = ""  # the last verdict that was one (unknown is none), and
    count: int = 0  # how many times in a row it was seen,
    since: float = 0.0  # for the first time at this moment
    state: str = ""  # the last verdict that was confirmed; at first nothing is known
    changes: tuple[float, ...] = ()  # when it changed, within the flap window
    told: str = "up"  # what the administrators believe: up, down, or flapping; at first nobody worries
    mailed: float = 0.0  # when they were told


def look(host: Host, rules: Rules) -> str:
    """up, down, or unknown, by the probe that the settings name."""
    if rules.tcp:
        address, _, port = rules.tcp.rpartition(":")
        return probe.by_tcp(host, address, int(port))
    if rules.pidfile is not None:
        return probe.by_pidfile(host, rules.pidfile, rules.processes)
    return probe.by_name(host, rules.processes)


def decide(watch: Watch, verdict: str, now: float, rules: Rules) -> tuple[Watch, str]:
    """The new watch, and the news if there is any: down, up, reminder or flapping."""
    if verdict == "unknown":
        return watch, ""
    if verdict == watch.seen:
        watch = replace(watch, count=watch.count + 1)
    else:
        watch = replace(watch, seen=verdict, count=1, since=now)
    if watch.count < rules.confirm:
        return watch, ""
    changes = tuple(at for at in watch.changes if now - at < rules.flap_window)
    if watch.state not in ("", verdict):
        changes = (*changes, now)
    watch = replace(watch, state=verdict, changes=changes)
    if watch.told == "flapping":
        news = "" if changes else verdict  # silence until it has been quiet for a whole window
    elif len(changes) >= rules.flaps:
        news = "flapping"
    elif watch.told != verdict:
        news = verdict
    else:
        news = "reminder" if verdict == "down" and now - watch.mailed >= rules.remind else ""
    if not news:
        return watch, ""
    return replace(watch, told="down" if news == "reminder" else news, mailed=now), news


SUBJECTS = {
    "down": "Apache is down on {host}",
    "up": "Apache is up again on {host}",
    "reminder": "Apache is still down on {host}",
    "flapping": "Apache is flapping on {host}",
}
TEXTS = {
    "down": "The Apache process is down on {host}. Please restart it!\n\nDown since: {since}\n",
    "up": "The Apache process is running again on {host}.\n\nUp since: {since}\n",
    "reminder": "The Apache process is still down on {host}. Please restart it!\n\nDown since: {since}\n",
    "flapping": "Apache goes down and comes up again and again on {host}.\n"
    "You will hear from us when it has been quiet for a while.\n",
}


def write(news: str, watch: Watch, rules: Rules, host: Host) -> Message:
    """The mail that tells the news."""
    since = f"{datetime.fromtimestamp(watch.since, UTC):%Y-%m-%d %H:%M:%S} UTC"
    return Message(
        sender=rules.sender,
        to=list(rules.admins),
        subject=SUBJECTS[news].format(host=host.name),
        text=TEXTS[news].format(host=host.name, since=since),
        headers=[("Auto-Submitted", "auto-generated")],  # RFC 3834 §5: no vacation message answers this
    )


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Watches until stopped. Ends with 0 when Apache was up at the last check, 1 down, 5 unknown."""
    rules = settings.table("apache-alert", Rules)
    server = settings.server("smtp")
    verdict = "unknown"
    with State(rules.state) as state:
        state.lock()
        outbox = Outbox(state)
        for _ in clock.every(rules.every):
            verdict = look(host, rules)
            watch = Watch(**(state.recall("watch") or {}))
            watch, news = decide(watch, verdict, clock.time(), rules)
            with state.transaction() as db:  # what is believed and what is to be said commit together
                state.remember(db, "watch", asdict(watch))
                if news:
                    message = write(news, watch, rules, host).stamped(clock, host)
                    outbox.put(message, clock.time(), at_least_once=True, db=db)
            if news == "down":
                host.say("** Process is down")
            for result in outbox.flush(server, clock, host):
                host.log(
                    f"alert-{result.status}", "info" if result.status == "sent" else "warning",
                    to=result.address, trouble=result.error,
                )  # fmt: skip
    return {"up": 0, "down": 1}.get(verdict, 5)


def mails_to(world: World, address: str) -> list[str]:
    """The subjects that an administrator got."""
    return [mail.subject for mail in world.mail.inbox(address)]


@act("apache-crash-alert")
def crash(world: World, program: Program) -> Iterator[Claim]:
    """Apache dies at 00:01; both administrators are told once."""
    world.clock.at(60, world.host.kills("apache2"))
    world.clock.until(300)
    program()
    told = {address: mails_to(world, address) for address in ADMINS}
    said = [event.text for event in world.events if event.level == "say"]
    yield Claim("the console says that the process is down, once", said == ["** Process is down"], said)
    yield Claim(
        "each administrator got one mail",
        all(subjects == ["Apache is down on web1.yourco.test"] for subjects in told.values()),
        told,
    )
    envelopes = [(mail.envelope.sender, *mail.envelope.to) for mail in world.mail.messages]
    yield Claim("one message with bare addresses", envelopes == [("notifier@yourco.test", *ADMINS)], envelopes)
    text = "".join(mail.text for mail in world.mail.messages)
    yield Claim("it says since when", "Down since: 2026-01-05 00:01:00 UTC" in text, text)
