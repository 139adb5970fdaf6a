"""Notify the administrators when Apache dies: once, however long it stays down.

Listing 6.2 · SMTP · try: make scenario NAME=apache-alert

A monitor checks every five seconds whether Apache is running. When it is missing twice in a row,
each administrator gets one mail; when it is back, one more. The mail server may be down at the same
time, so alerts wait in an outbox on disk and keep the date at which they were written.

[scenario.apache-alert]
admins = ["jeremy@yourco.test"]      # required
sender = "Apache Notifier <notifier@yourco.test>"
processes = ["apache2", "httpd"]     # exact names in the process table
pidfile = "/run/apache2.pid"         # optional: check this process instead
tcp = "127.0.0.1:80"                 # optional: check that this port accepts connections instead
every = 5                            # seconds between checks; with --once, cron decides
confirm = 2                          # checks in a row before anybody is notified
remind = 3600                        # seconds between reminders while Apache is down
flaps = 6                            # this many changes within flap_window seconds are flapping
flap_window = 900
state = "apache-alert.sqlite3"

Fault: smtp connect refuse times 2 -> all hold
Fault: smtp . lost unstored nth 1 -> all hold
Fault: RCPT arg jeremy* reply "550 no" -> breaks each administrator gets one mail,
    the envelope has bare addresses

What goes wrong in the printed listing: it puts display names into the envelope, mails at every
check (17,280 times a day), dies with the mail server, and takes any "apache" in `ps` for Apache.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms import probe
from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.outbox import Outbox
from comms.setting_types import (
    FilePath,
    HostAndPort,
    MailAddress,
    NamedAddress,
    NonEmpty,
    Seconds,
    StateFile,
    Word,
)
from comms.settings import Settings
from comms.state import State
from comms.watch import Limits, Watch
from scenarios.play import Claim, Program, Scenario, equal, holds, sent

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
scenario = Scenario(WORLD)


@dataclass(frozen=True, kw_only=True)
class Rules(Limits):
    """The settings, those of the watch among them. Times are in seconds."""

    admins: NonEmpty[tuple[MailAddress, ...]]
    sender: NamedAddress = "Apache Notifier <notifier@yourco.test>"
    processes: NonEmpty[tuple[Word, ...]] = ("apache2", "httpd")
    pidfile: FilePath | None = None
    tcp: HostAndPort = ""
    every: Seconds = 5
    state: StateFile = Path("apache-alert.sqlite3")


def check(host: Host, rules: Rules) -> str:
    """Returns up, down or unknown, from the probe that the settings choose."""
    if rules.tcp:
        address, _, port = rules.tcp.rpartition(":")
        return probe.by_tcp(host, address, int(port))
    if rules.pidfile is not None:
        return probe.by_pidfile(host, rules.pidfile, rules.processes)
    return probe.by_name(host, rules.processes)


SUBJECTS = {
    "down": "Apache is down on {host}",
    "up": "Apache is up again on {host}",
    "reminder": "Apache is still down on {host}",
    "flapping": "Apache is flapping on {host}",
}
TEXTS = {
    "down": "The Apache process is down on {host}. Please restart it!\n\nDown since: {since}\n",
    "up": "The Apache process is running again on {host}.\n\nUp since: {since}\n",
    "reminder": "The Apache process is still down on {host}. Please restart it!\n"
    "\nDown since: {since}\n",
    "flapping": "Apache goes down and comes up again and again on {host}.\n"
    "You will hear from us when it has been quiet for a while.\n",
}


def alert(news: str, since: float, rules: Rules, host: Host) -> Message:
    """Returns the mail that announces the news."""
    date = datetime.fromtimestamp(since, UTC)
    facts = {"host": host.name, "since": f"{date:%Y-%m-%d %H:%M:%S} UTC"}
    subject, text = SUBJECTS[news].format(**facts), TEXTS[news].format(**facts)
    # RFC 3834 §5: the mark keeps vacation programs from answering.
    mark = [("Auto-Submitted", "auto-generated")]
    return Message(rules.sender, list(rules.admins), subject, text, headers=mark)


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Checks until stopped. Returns 0 if Apache was up at the last check, 1 if down, else 5."""
    rules = settings.table("apache-alert", Rules)
    server = settings.server("smtp")
    verdict = "unknown"
    with State(rules.state) as state:
        state.lock()
        outbox = Outbox(state)
        for _ in clock.every(rules.every):
            verdict = check(host, rules)
            watch = Watch.restored(state.recall("watch", Watch.SAVED))
            watch, news = watch.check(verdict, clock.time(), rules)
            # The watch and its alert commit together: no crash repeats or loses an alert.
            with state.transaction() as db:
                state.remember(db, "watch", asdict(watch))
                if news:
                    mail = alert(news, watch.since, rules, host).stamped(clock, host)
                    outbox.put(mail, clock.time(), at_least_once=True, db=db)
            if news == "down":
                host.say("** Process is down")
            for result in outbox.flush(server, clock, host):
                level = "info" if result.status == "sent" else "warning"
                facts = {"to": result.address, "trouble": result.error}
                host.log(f"alert-{result.status}", level, **facts)
    return {"up": 0, "down": 1}.get(verdict, 5)


@scenario.act("apache-crash-alert")
def crash(world: World, program: Program) -> Iterator[Claim]:
    """Apache dies at 00:01; both administrators are notified once."""
    world.clock.at(60, world.host.kills("apache2"))
    world.clock.until(300)
    program()
    yield equal(
        "the console reports the crash once", world.said, ["** Process is down"], shows=world.said
    )
    subjects = {admin: [mail.subject for mail in world.mail.inbox(admin)] for admin in ADMINS}
    wanted = ["Apache is down on web1.yourco.test"]
    yield equal(
        "each administrator gets one mail",
        subjects,
        dict.fromkeys(ADMINS, wanted),
        shows=world.mail.messages,
    )
    envelopes = [(mail.envelope.sender, *mail.envelope.to) for mail in world.mail.messages]
    bare = [("notifier@yourco.test", *ADMINS)]
    yield equal(
        "the envelope has bare addresses", envelopes, bare, shows=sent(world, "MAIL", "RCPT")
    )
    text = "".join(mail.text for mail in world.mail.messages)
    since = "Down since: 2026-01-05 00:01:00 UTC"
    yield holds(
        "the mail says since when Apache is down", since in text, text, shows=world.mail.messages
    )
