"""Further acts of apache-alert: run from cron, and looking in other ways than by the process table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from comms import probe
from comms.state import State
from scenarios.play import Claim, Program, act
from scenarios.sending.apache_alert import WORLD

if TYPE_CHECKING:
    from fakes import World

__all__ = ["WORLD"]


@act("apache-crash-cron", book=False)
def cron(world: World, program: Program) -> Iterator[Claim]:
    """The loop taken out: cron runs one check a minute, and the state file remembers."""
    state = world.folder / "apache-alert.sqlite3"

    def minute() -> int:
        world.clock.advance(60)
        return program(once=True)

    up = minute()
    world.host.kills("apache2")()
    first = minute()
    yield Claim("up ends with 0, down with 1", (up, first) == (0, 1), (up, first))
    yield Claim("one bad check tells nobody yet", not world.mail.messages, world.mail.messages)
    codes = [minute() for _ in range(4)]
    mails = [mail.subject for mail in world.mail.messages]
    yield Claim("four more tell the administrators once", mails == ["Apache is down on web1.yourco.test"], mails)
    yield Claim("while it is down every check ends with 1", codes == [1] * 4, codes)
    world.host.starts("apache2")()
    codes = [minute(), minute()]
    mails = [mail.subject for mail in world.mail.messages[1:]]
    yield Claim("recovery is told, once", mails == ["Apache is up again on web1.yourco.test"] and codes == [0, 0], mails)

    said = [event.text for event in world.events if event.level == "say"]
    yield Claim("silence but for the alert: cron mails what is printed", said == ["** Process is down"], said)

    world.host.hides_processes()()
    code = minute()
    yield Claim("what cannot be read is unknown: 5, and no mail", (code, len(world.mail.messages)) == (5, 2), code)
    world.host.hides_processes(False)()
    with State(state) as other:
        other.lock()
        code = minute()
    yield Claim("while another check is at work this one leaves with 5", code == 5, code)
    state.write_bytes(b"not a database, long enough to be taken for a damaged one" * 20)
    code = minute()
    yield Claim("a damaged state file is no alarm: 5", (code, len(world.mail.messages)) == (5, 2), code)


@act("process-check-portable", book=False)
def portable(world: World, program: Program) -> Iterator[Claim]:
    """The same verdict from each probe; look-alikes, zombies and what cannot be looked at fool none."""
    host, pidfile = world.host, Path("/run/apache2.pid")
    pid = next(one.pid for one in host.processes() if one.name == "apache2")
    host.files[pidfile] = f"{pid}\n"
    host.open_ports.add(80)

    def verdicts() -> tuple[str, str, str]:
        return (
            probe.by_name(host, ["apache2", "httpd"]),
            probe.by_pidfile(host, pidfile, ["apache2", "httpd"]),
            probe.by_tcp(host, "127.0.0.1", 80),
        )

    yield Claim("all three say up", verdicts() == ("up",) * 3, verdicts())
    host.add("apachetop")
    host.add("vim", ("vim", "apache2.conf"))
    host.kills("apache2")()
    host.open_ports.clear()
    yield Claim("all three say down, whatever else has apache in its name", verdicts() == ("down",) * 3, verdicts())
    host.add("apache2", state="Z")
    yield Claim("a zombie is down", verdicts()[0] == "down", verdicts())
    host.add("httpd")
    yield Claim("httpd is Apache too", verdicts()[0] == "up", verdicts())
    host.hides_processes()()
    host.files.clear()
    host.silent_ports.add(80)
    yield Claim("what cannot be looked at is unknown, never down", verdicts() == ("unknown",) * 3, verdicts())
    code = program(once=True, scenario={"apache-alert": {"tcp": "127.0.0.1:80"}})
    yield Claim("the program ends with 5 then", code == 5, code)
