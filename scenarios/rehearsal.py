"""Rehearsals: each act is played in a fresh world of fake servers, and its claims are collected.

Programs (comms) and fakes meet only here, and in site.py for real time.
"""

from __future__ import annotations

import functools
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from comms import settings as comms_settings
from comms.clock import Once
from comms.errors import CommsError
from fakes.clock import START, EndedByForce
from fakes.drills import DRILLS
from fakes.faults import Drill, FaultError
from fakes.host import Event
from fakes.mail import Envelope, Mail
from fakes.servers import SERVERS, read_faults
from fakes.transcripts.recorder import render
from fakes.wire import Record
from fakes.world import World, WorldError
from scenarios.catalogue import Page
from scenarios.errors import FAILED, OWN_FAULT, PageError, UsageError
from scenarios.evidence import Evidence
from scenarios.mistakes import Made, made
from scenarios.play import Act, Claim, Program, merged

RESTART = 5.0  # seconds after which a supervisor starts a program again


@dataclass
class Performance:
    """What one act left: its claims, everything recorded, and the mail that was sent."""

    act: Act
    claims: list[Claim] = field(default_factory=list)
    expected: list[str] = field(default_factory=list)  # the claims that should break
    mistakes: dict[str, Made] = field(default_factory=dict)  # of the printed listing, by claim
    recording: list[Record | Event] = field(default_factory=list)
    mails: list[bytes] = field(default_factory=list)
    envelopes: list[Envelope] = field(default_factory=list)
    maildrops: dict[str, list[Mail]] = field(default_factory=dict)  # of each person, at the end
    messages: dict[str, int] = field(default_factory=dict)  # messages that each person was sent
    stored: Mapping[str, Any] = field(default_factory=dict)  # what the servers keep for their users
    commands: int = 0  # commands that ran on the machine
    counts: dict[str, int] = field(default_factory=dict)  # what else the scenario counts
    unmet: list[str] = field(default_factory=list)  # faults that nothing met
    met: bool = True  # whether any of the faults was met
    tracebacks: list[str] = field(default_factory=list)  # of the program's own faults

    @functools.cached_property
    def transcript(self) -> str:
        """The dialogues of all connections, written when it is asked for: only --out keeps it."""
        return render(self.recording)

    @property
    def broken(self) -> list[str]:
        """The texts of the claims that do not hold."""
        return [claim.text for claim in self.claims if not claim.holds]

    @property
    def protocols(self) -> set[str]:
        """The protocols that the program spoke."""
        return {record.protocol for record in self.recording if isinstance(record, Record)}

    @property
    def events(self) -> list[dict[str, Any]]:
        """What happened off the wire, as JSON values; `at` is in seconds since the start."""
        return [
            {"at": event.at - START, "who": event.who, "level": event.level, "text": event.text}
            for event in self.recording
            if isinstance(event, Event)
        ]


@dataclass
class Played:
    """The performances of one scenario, and what was expected of them."""

    page: Page
    performances: list[Performance]
    unmet: list[str]  # faults that no act met
    unknown: list[str] = field(default_factory=list)  # listed claims that no act makes
    # Whether it is known what should break: not of a printed listing that a fault meets as well.
    judged: bool = True
    mended: int = 0  # the mistake of the printed listing that was mended

    @property
    def broken(self) -> list[str]:
        """The texts of the claims that do not hold, in all acts."""
        return [text for performance in self.performances for text in performance.broken]

    @property
    def expected(self) -> list[str]:
        """The texts of the claims that should break, in all acts."""
        listed = [text for performance in self.performances for text in performance.expected]
        return listed + self.unknown

    @property
    def exit_code(self) -> int:
        """0 if exactly the expected claims broke and every fault was met, else 1."""
        as_expected = not self.judged or self.broken == self.expected
        return 0 if not self.unmet and as_expected else FAILED


class FaultMisfit(UsageError):
    """A fault cannot be read, or is for a server that the act's world does not have."""


def rehearse(
    page: Page, act: Act, faults: Sequence[str] = (), book: bool = False, mended: int = 0
) -> Performance:
    """Plays one act with the page's program, or with the printed listing (one mistake mended).

    Raises FaultMisfit, PageError, UsageError.
    """
    run = page.run(book, mended) if mended else page.run(book)
    performance = Performance(act)
    with _world(page, act, faults) as world:

        def program(
            once: bool = False, supervised: bool = False, **changes: Mapping[str, Any]
        ) -> int:
            code = run_once(once, changes)
            while supervised and code:
                again = world.clock.time() + RESTART
                if world.clock.wait(None, again, or_stop=True) or world.clock.time() < again:
                    break  # the play is over
                world.tell("supervisor", "starts the program again")
                code = run_once(once, changes)
            return code

        def run_once(once: bool, changes: Mapping[str, Mapping[str, Any]]) -> int:
            settings = comms_settings.load(merged(world.settings, changes), world.folder)
            clock = Once(world.clock) if once else world.clock
            try:
                code = run(clock, settings, world.host)
            except (Exception, EndedByForce) as error:
                # The act goes on to its claims: a program's death is a result, too.
                code = error.exit_code if isinstance(error, CommsError) else OWN_FAULT
                if not isinstance(error, CommsError | EndedByForce):
                    performance.tracebacks.append("".join(traceback.format_exception(error)))
                text = f"ends with exit code {code}: {type(error).__name__}: {error}"
                world.tell("program", text.replace(str(world.folder), "."), "end")
            # Everything that the program wrote is handled before the act looks at the world.
            world.clock.settle()
            return int(code or 0)

        performance.claims = _claims(act, world, program)
        performance.recording = list(world.recording)
        performance.mails = [mail.raw for mail in world.mail.messages]
        performance.envelopes = [mail.envelope for mail in world.mail.messages]
        performance.maildrops = {
            person.address: [row.mail for row in world.mail.maildrop(person.address).rows]
            for person in world.people
        }
        performance.stored = world.stored
        names: list[str] = []
        if {"xmpp", "component"} & world.servers.keys():
            names += [(one.to or "").partition("/")[0] for one in world.jabber.messages]
        if "toc" in world.servers:
            names += [im.to for im in world.aim.ims]
        if "irc" in world.servers:
            names += [message.target for message in world.irc.messages]
        performance.messages = dict(Counter(names))
        performance.commands = len(world.host.ran)
        performance.counts = {what: count(world) for what, count in act.counts.items()}
        performance.unmet = [str(fault) for fault in world.faults.unmet()]
        armed = len(world.faults.armed) + len(world.faults.drills)
        performance.met = len(performance.unmet) < armed
        # An unmet fault is reported in the performance, not raised when the world closes.
        world.faults.disarm()
    return performance


def _world(page: Page, act: Act, faults: Sequence[str]) -> World:
    """Returns a fresh world for an act. Raises FaultMisfit, PageError."""
    try:
        world = World(act.world, rehearsal=True, faults=faults, source="WORLD")
    except FaultError as error:
        raise FaultMisfit(str(error)) from None
    except WorldError as error:
        raise PageError(act.file, f"act {act.name}: {error}") from None
    for name in world.config.scenario:
        if name != page.name:
            raise PageError(
                act.file,
                f"act {act.name}: WORLD: scenario.{name}: not this page's settings; "
                f'write "scenario": {{"{page.name}": …}}',
            )
    return world


def _claims(act: Act, world: World, program: Program) -> list[Claim]:
    """Plays an act to its end, and returns its claims.

    Raises PageError if there are none, or if one is shown by what has not happened.
    """
    played: object = act.play(world, program)
    claims, evidence = [], Evidence(act)
    for claim in played if isinstance(played, Iterator) else []:
        # The recording goes on after the claim, so the positions are looked up now.
        is_claim = isinstance(claim, Claim)
        claims.append(evidence.located(claim, world.recording) if is_claim else claim)
    if not claims or not all(isinstance(claim, Claim) for claim in claims):
        problem = "yields something else than claims" if claims else "makes no claims"
        raise PageError(
            act.file, f"act {act.name}: {problem}; write yield equal(text, found, wanted)"
        )
    return claims


def play(
    page: Page,
    acts: Sequence[Act],
    faults: Sequence[str] = (),
    book: bool = False,
    mended: int = 0,
) -> Played:
    """Plays acts of a page, and works out which claims should break.

    A fault of a protocol is played in the acts that have a server for it. Raises FaultMisfit if
    there is none.
    """
    try:
        needed = {name for fault in faults for name in protocols_of(fault)}
    except FaultError as error:
        raise FaultMisfit(str(error)) from None
    fitting = [act for act in acts if needed <= set(act.world.get("servers", needed))]
    performances = [
        rehearse(page, act, faults, book, mended) for act in fitting or acts if act.book or not book
    ]
    return judge(page, performances, faults, book, mended)


def judge(
    page: Page,
    performances: list[Performance],
    faults: Sequence[str],
    book: bool = False,
    mended: int = 0,
) -> Played:
    """Works out which claims of these performances should break under the faults."""
    # A fault need not be met in every act, but in one of them.
    unmet = [
        fault
        for fault in (performances[0].unmet if performances else [])
        if all(fault in performance.unmet for performance in performances)
    ]
    played = Played(page, performances, unmet, mended=mended)
    if book and page.book:
        breaks = page.breaks(mended)
        for performance in performances:
            claims = breaks[performance.act.name]
            performance.mistakes = {
                claim: made(mistake, page.book) for claim, mistake in claims.items()
            }
            performance.expected = [] if faults else list(claims)
        # Which claims break by the mistakes and the fault together is listed nowhere.
        played.judged = not faults
    elif faults:
        wanted = [str(fault) for text in faults for fault in read_faults(text)]
        for listed, outcome in page.doc.faults:
            if [str(fault) for fault in _parsed(page, listed)] == wanted and outcome != "all hold":
                _expect(played, outcome.removeprefix("breaks "))
    return played


def checked(page: Page) -> Page:
    """Returns the page. Raises PageError for a `Fault:` line whose fault cannot be parsed."""
    for text, _ in page.doc.faults:
        _parsed(page, text)
    return page


def protocols() -> list[str]:
    """The names of all protocols that a recording may have."""
    return [server.name for server in SERVERS]


def drills() -> list[str]:
    """The names of all drills: prepared faults that can be armed by name."""
    return list(DRILLS)


def protocols_of(fault: str) -> set[str]:
    """The protocols that a fault, or a drill, needs; empty if its text names none."""
    return {
        name
        for one in read_faults(fault)
        for name in (one.protocols if isinstance(one, Drill) else (one.protocol,))
        if name
    }


def _parsed(page: Page, text: str) -> list[Any]:
    try:
        return list(read_faults(text))
    except FaultError as error:
        raise PageError(page.path, f"Fault: {text}: {error}") from None


def _expect(played: Played, outcome: str) -> None:
    """Notes the claims that a docstring lists after `breaks`, separated by commas.

    The text of a claim may itself contain commas, so known texts are searched for in the list,
    the longest first.
    """
    rest, listed = f", {outcome},", set()
    texts = {claim.text for performance in played.performances for claim in performance.claims}
    for text in sorted(texts, key=len, reverse=True):
        if f", {text}," in rest:
            rest = rest.replace(f", {text},", ",")
            listed.add(text)
    for performance in played.performances:
        performance.expected = [c.text for c in performance.claims if c.text in listed]
    if rest != ",":
        played.unknown.append(rest.strip(", "))
