"""Further acts of mysql-by-jabber: words that are no command, orders that fail, and a second door."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from comms.state import State
from scenarios.jabber.mysql_by_jabber import ADMINS, BOT, RESTART, scenario
from scenarios.play import Claim, Program, equal, holds

if TYPE_CHECKING:
    from fakes import World

JEREMY, MICHAEL = ADMINS
MALLORY = "mallory@yourco.test"
STOP = ("systemctl", "stop", "mariadb")
INBOX = "cly6ruct1yit2d@yourco.test"
TOLD = "MySQL told to restart."


def heard(person: Any) -> list[str]:
    """What somebody was told."""
    return [stanza.body for stanza in person.messages]


@scenario.act("jabber-invalid-command")
def invalid(world: World, program: Program) -> Iterator[Claim]:
    """An administrator mistypes, and tries to say more than a command; a stranger mistypes, too."""
    jeremy, mallory = world.jabber.person(JEREMY), world.jabber.person(MALLORY)
    world.clock.at(10, lambda: jeremy.says(BOT, "restrat"))
    world.clock.at(20, lambda: jeremy.says(BOT, "restart; rm -rf /"))
    world.clock.at(30, lambda: mallory.says(BOT, "restrat"))
    program()
    told = heard(jeremy)
    nearest = "Invalid command! (did you mean 'restart'?); you may say: stop, restart"
    yield holds("a mistyped command is named as one, with the nearest", told[:1] == [nearest], told)
    yield holds(
        "nothing behind a command makes it another",
        told[1:] == ["Invalid command!; you may say: stop, restart"],
        told,
    )
    yield equal("nothing is done", world.host.ran, [])
    yield equal("a stranger hears nothing", heard(mallory), [])
    traces = [
        event.text for event in world.events if event.text.startswith(f"refused who={MALLORY}")
    ]
    yield holds("and leaves a trace", len(traces) >= 1, [event.text for event in world.events])


@scenario.act("jabber-confirm", book=False)
def confirm(world: World, program: Program) -> Iterator[Claim]:
    """What should not be said by a slip must be said twice, in time, by the same person, with the word that was given."""
    jeremy, michael = world.jabber.person(JEREMY), world.jabber.person(MICHAEL)

    def repeat(person: Any) -> None:
        asked = [text for text in heard(jeremy) if "say within 60 s: " in text]
        person.says(BOT, asked[-1].partition("say within 60 s: ")[2] if asked else "yes")

    world.clock.at(10, lambda: jeremy.says(BOT, "help"))
    world.clock.at(20, lambda: jeremy.says(BOT, "stop"))
    world.clock.at(25, lambda: repeat(michael))  # somebody else
    world.clock.at(30, lambda: jeremy.says(BOT, "stop qqqq"))  # another word
    world.clock.at(40, lambda: jeremy.says(BOT, "stop"))
    world.clock.at(110, lambda: repeat(jeremy))  # too late
    world.clock.at(120, lambda: jeremy.says(BOT, "Stop MySQL"))
    world.clock.at(125, lambda: repeat(jeremy))
    world.clock.at(130, lambda: repeat(jeremy))  # twice
    program()
    told = heard(jeremy)
    yield holds("help says what may be said", told[:1] == ["You may say: stop, restart"], told)
    yield equal("it is done once, when it was confirmed as it should be", world.host.ran, [STOP])
    yield holds("and that is told", told.count("MySQL told to stop.") == 1, told)
    invalid = [text.startswith("Invalid command!") for text in heard(michael)]
    yield holds("nobody confirms for another", invalid == [True], heard(michael))


@scenario.act("jabber-order-fails", book=False, scenario={"mysql-by-jabber": {"timeout": 30}})
def fails(world: World, program: Program) -> Iterator[Claim]:
    """MySQL does not obey; then it hangs; then the link is lost while it obeys; then the program dies."""
    jeremy, michael = world.jabber.person(JEREMY), world.jabber.person(MICHAEL)
    michael.comes()
    restart = world.host.commands[RESTART]
    restart.code, restart.output = 1, "Job for mariadb.service failed.\n"

    def mended(takes: float) -> None:
        restart.code, restart.output, restart.takes = 0, "", takes

    world.clock.at(10, lambda: jeremy.says(BOT, "restart"))
    world.clock.at(20, lambda: mended(1000))
    world.clock.at(21, lambda: jeremy.says(BOT, "restart"))
    world.clock.at(60, lambda: mended(5))
    world.clock.at(61, lambda: jeremy.says(BOT, "restart"))
    world.clock.at(62, lambda: michael.says(BOT, "restart"))
    world.clock.at(64, lambda: world.cut("xmpp"))
    world.clock.until(200)
    program()
    told = heard(jeremy)
    failed = "MySQL was not told to restart, or did not obey: exit status 1.\nJob for mariadb.service failed."
    yield equal("the exit status is told, with the end of the output", told[:1], [failed])
    hung = "MySQL was not told to restart, or did not obey: still running after 30 s, and ended."
    yield equal("a command that hangs is ended, and that is told", told[1:2], [hung])
    yield equal("an answer that the link lost waits until it is back", told[2:], [TOLD])
    yield equal("an order that came meanwhile has its turn", heard(michael), [TOLD])
    yield equal("each order was run once", world.host.ran, [RESTART] * 4)


@scenario.act(
    "mysql-two-doors",
    book=False,
    servers=["xmpp", "smtp", "pop3"],
    person=[{"address": BOT, "aliases": [INBOX], "contacts": dict.fromkeys(ADMINS, "both")},
            *({"address": address} for address in (*ADMINS, MALLORY))],
    scenario={"mysql-by-jabber": {"inbox": INBOX, "sender": f"MySQL <{BOT}>"}},
)  # fmt: skip
def two_doors(world: World, program: Program) -> Iterator[Claim]:
    """While a restart by message is under way, a stop comes by mail: one after the other, one ledger, each door answers."""
    jeremy, michael = world.jabber.person(JEREMY), world.jabber.person(MICHAEL)
    world.host.commands[RESTART].takes = 20

    def mail(sender: str, subject: str, to: str = INBOX) -> None:
        text = f"From: {sender}\r\nSubject: {subject}\r\nMessage-ID: <{len(world.mail.messages)}@phone.test>\r\n\r\n\r\n"
        world.mail.deliver(to, text.encode())

    world.clock.at(29, lambda: jeremy.says(BOT, "restart"))
    world.clock.at(29, lambda: mail(MALLORY, "Stop MySQL"))
    world.clock.at(40, lambda: mail(MICHAEL, "Stop MySQL"))
    world.clock.at(41, lambda: mail(MICHAEL, "halt"))
    world.clock.at(45, lambda: michael.says(BOT, "restart mysql"))
    world.clock.until(100)
    program()
    ran = world.host.ran
    yield equal(
        "all that was ordered is done, in the order in which it came in",
        ran,
        [RESTART, RESTART, STOP],
    )
    with State(world.folder / "mysql-by-jabber.sqlite3") as state:
        times = state.rows("SELECT begun, ended FROM ledger WHERE target = 'mysql' ORDER BY begun")
        audit = [
            str(who)
            for (who,) in state.rows(
                "SELECT who FROM audit WHERE verdict = 'accepted' ORDER BY rowid"
            )
        ]
    apart = all(str(one[1]) <= str(other[0]) for one, other in pairwise(times))
    yield holds("never two at once", len(times) == 3 and apart, times)
    yield equal("one audit names them all", audit, [JEREMY, MICHAEL, MICHAEL, MICHAEL])
    told = [heard(person) for person in (jeremy, michael)]
    yield equal("messages are answered by message", told, [[TOLD], [TOLD]])
    receipts = [(mail.subject, "done in" in mail.text) for mail in world.mail.inbox(MICHAEL)]
    yield equal(
        "mails by mail, the invalid one too",
        receipts,
        [("Re: Stop MySQL", True), ("Re: halt", False)],
    )
    answers = [mail.subject for mail in world.mail.messages if MALLORY in mail.envelope.to]
    yield equal("a stranger's mail is not answered", answers, [])
