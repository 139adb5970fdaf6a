"""Further acts of apache-alert: run by cron, and other ways to check whether Apache is up."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from comms import probe
from comms.state import State
from scenarios.play import Claim, Program, equal
from scenarios.sending.apache_alert import ADMINS, scenario

if TYPE_CHECKING:
    from fakes import World

NAMES = ["apache2", "httpd"]
DOWN, UP = "Apache is down on web1.yourco.test", "Apache is up again on web1.yourco.test"


@scenario.act("apache-mail-down")
def mail_down(world: World, program: Program) -> Iterator[Claim]:
    """Apache dies at 00:01 while the mail server is down; it is back at 00:03."""
    world.close_port("smtp")
    world.clock.at(60, world.host.kills("apache2"))
    world.clock.at(180, lambda: world.open_port("smtp"))
    world.clock.until(600)
    code = program()
    yield equal(
        "the monitor goes on while the mail server is down", code, 1, shows=world.mail.messages
    )
    subjects = {admin: [mail.subject for mail in world.mail.inbox(admin)] for admin in ADMINS}
    wanted = {admin: [DOWN] for admin in ADMINS}
    yield equal("each administrator gets one mail", subjects, wanted, shows=world.mail.messages)


@scenario.act("apache-lookalikes")
def lookalikes(world: World, program: Program) -> Iterator[Claim]:
    """Apache dies at 00:01 while apachetop runs; at 00:03 Apache starts under its name httpd."""
    world.host.add("apachetop")
    world.clock.at(60, world.host.kills("apache2"))
    world.clock.at(120, world.host.kills("apachetop"))
    world.clock.at(180, world.host.starts("httpd"))
    world.clock.until(300)
    code = program()
    began = world.clock.now() - world.clock.elapsed
    at = [event.at - began for event in world.events if event.text == "** Process is down"]
    yield equal("apachetop does not count as Apache", at[:1], [65])
    subjects = [mail.subject for mail in world.mail.messages]
    yield equal(
        "httpd counts as Apache", (code, subjects), (0, [DOWN, UP]), shows=world.mail.messages
    )


@scenario.act("apache-crash-cron", book=False)
def cron(world: World, program: Program) -> Iterator[Claim]:
    """Cron runs a single check each minute; a file remembers what the last one saw."""
    state = world.folder / "apache-alert.sqlite3"

    def minute() -> int:
        world.clock.advance(60)
        return program(once=True)

    def sent() -> list[str]:
        return [mail.subject for mail in world.mail.messages]

    up = minute()
    world.host.kills("apache2")()
    first = minute()
    yield equal("the exit code is 0 for up and 1 for down", [up, first], [0, 1])
    yield equal("one bad check notifies nobody", sent(), [])
    codes = [minute() for _ in range(4)]
    down = ["Apache is down on web1.yourco.test"]
    yield equal("four more notify the administrators once", sent(), down, shows=world.mail.messages)
    yield equal("every check exits with 1 while Apache is down", codes, [1] * 4)
    world.host.starts("apache2")()
    codes = [minute(), minute()]
    both = [*down, "Apache is up again on web1.yourco.test"]
    yield equal(
        "the recovery is announced once", (sent(), codes), (both, [0, 0]), shows=world.mail.messages
    )
    # Cron mails whatever a command prints.
    yield equal(
        "only the crash prints anything", world.said, ["** Process is down"], shows=world.said
    )

    world.host.hides_processes()()
    code = minute()
    yield equal("an unreadable process table exits with 5, without mail", (code, sent()), (5, both))
    world.host.hides_processes(False)()
    with State(state) as other:
        other.lock()
        code = minute()
    yield equal("a second check at the same time exits with 5", code, 5)
    state.write_bytes(b"not a database, but long enough to pass for a damaged one" * 20)
    code = minute()
    yield equal("a damaged state file exits with 5, without mail", (code, sent()), (5, both))


@scenario.act("process-check-portable", book=False)
def portable(world: World, program: Program) -> Iterator[Claim]:
    """Three probes look at the same machine; none is misled by other names, zombies or silence."""
    host, pidfile = world.host, Path("/run/apache2.pid")
    apache = next(process for process in host.processes() if process.name == "apache2")
    host.files[pidfile] = f"{apache.pid}\n"
    host.open_ports.add(80)

    def verdicts() -> list[str]:
        return [
            probe.by_name(host, NAMES),
            probe.by_pidfile(host, pidfile, NAMES),
            probe.by_tcp(host, "127.0.0.1", 80),
        ]

    yield equal("all three report up", verdicts(), ["up"] * 3)
    host.add("apachetop")
    host.add("vim", ("vim", "apache2.conf"))
    host.kills("apache2")()
    host.open_ports.clear()
    yield equal(
        "other processes with apache in their names count as down", verdicts(), ["down"] * 3
    )
    host.add("apache2", state="Z")
    yield equal("a zombie counts as down", verdicts()[0], "down")
    host.add("httpd")
    yield equal("httpd is Apache, too", verdicts()[0], "up")
    host.hides_processes()()
    host.files.clear()
    host.silent_ports.add(80)
    yield equal("a probe that cannot see reports unknown", verdicts(), ["unknown"] * 3)
    code = program(once=True, scenario={"apache-alert": {"tcp": "127.0.0.1:80"}})
    yield equal("the program exits with 5 if it cannot tell", code, 5)
