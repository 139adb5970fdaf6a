"""Have code reviews approved by one peer and one manager, by instant message.

Section 6.2.1 · XMPP, TOC, IRC · try: make scenario NAME=review-bot

`review r17 Mend the header` asks everybody who may vote. `approve 1 r17` and `reject 1 r17 WHY`
name the version that was read: a vote on an older one is refused, and a new version begins without
votes. Nobody votes on their own review or twice, and a delegate of a manager is not also the peer.
A workflow asks its steps one by one; what comes out needs the same two votes.

[scenario.review-bot]
people = { ann = { jabber = "ann@yourco.test", irc = "ann" }, dan = { aim = "Dan" } }  # required
peers = ["ann"]                      # required
managers = ["dan"]                   # required
workflows = { leave = ["from (date): From which day?", "why: What for?"] }
remind = 86400                       # seconds until those who have not voted are reminded
reminders = 3                        # until only the author is told
timeout = 3600                       # seconds that an answer in a workflow may take
rooms = ["dev@conference.yourco.test"]     # optional: chat rooms of Jabber to be in
resume = false                       # true: no message is lost when the program is killed
poll = 1                             # seconds
state = "review-bot.sqlite3"

A person is known by the account that a network vouches for, never by a nick. The channels are those
of [irc]. With `resume`, an XMPP server keeps each message until it is stored; if the program is
killed before that, it delivers the message again, or returns it as an error (XEP-0198). Write a
resource in the account then (bot@yourco.test/review). On AIM and IRC, who gets no answer says it
again.

Fault: xmpp message split 1 -> all hold
Fault: toc toc_send_im reply 903 times 1 -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.bots.company import Company
from comms.bots.irc import Irc
from comms.bots.messengers import PRIVATE, messengers, problem_of, reached
from comms.bots.network import Heard
from comms.bots.orders import known_by
from comms.clock import Clock
from comms.errors import SettingsError
from comms.host import Host
from comms.setting_types import Count, NonEmpty, Seconds, StateFile
from comms.settings import Settings
from comms.state import State
from scenarios.bots.review_bot_desk import Desk, is_new, problem_of_names
from scenarios.bots.review_bot_dialogue import Workflows, read_workflows
from scenarios.bots.review_bot_model import MANAGER, PEER, Reviews, Turn
from scenarios.bots.review_bot_samples import BOT, ann_bob_dan, world_of_reviewers
from scenarios.play import Claim, Program, Scenario, equal

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = world_of_reviewers()
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    people: NonEmpty[dict[NonEmpty[str], dict[str, NonEmpty[str]]]]
    peers: NonEmpty[tuple[str, ...]]
    managers: NonEmpty[tuple[str, ...]]
    workflows: dict[str, NonEmpty[tuple[str, ...]]] = field(
        default_factory=lambda: {"leave": ("from (date): From which day?", "why: What for?")}
    )
    remind: Seconds = 86400
    reminders: Count = 3
    timeout: Seconds = 3600
    rooms: tuple[str, ...] = ()
    resume: bool = False
    poll: Seconds = 1
    state: StateFile = Path("review-bot.sqlite3")

    def __post_init__(self) -> None:
        problem = problem_of(self.people, self.rooms, (*PRIVATE, Irc.name))
        problem = problem or problem_of_names(self)
        if problem:
            raise ValueError(problem)
        read_workflows(self.workflows)

    def roles(self) -> dict[str, frozenset[str]]:
        """Returns what each person is: peer, manager, both, or neither."""
        lists = {PEER: self.peers, MANAGER: self.managers}
        return {
            person: frozenset(role for role, names in lists.items() if person in names)
            for person in self.people
        }


class ReviewBot:
    """One round after the other: what was said, whose time has come, what waits to be said."""

    def __init__(
        self, rules: Rules, company: Company, state: State, clock: Clock, host: Host
    ) -> None:
        self._rules, self._company, self._state = rules, company, state
        self._clock, self._host = clock, host
        self._person = known_by(rules.people)
        self._reviews = Reviews(state, rules.roles(), rules.remind, rules.reminders)
        steps = read_workflows(rules.workflows)
        self._workflows = Workflows(state, steps, rules.timeout, self._reviews.open_request)
        self._desk = Desk(self._reviews, self._workflows, steps)

    def look(self) -> None:
        """Does one round."""
        for heard in self._company.heard():
            self._hear(heard)
        with self._state.transaction() as db:
            turn = Turn(db, "", self._clock.time())
            self._reviews.remind(turn)
            self._workflows.time_out(turn)
            self._tell(turn)
        self._company.flush("message")

    def _hear(self, heard: Heard) -> None:
        """Does what a message says. Its effect, its answer and its key are one transaction."""
        if not (person := self._person(heard.network, heard.who) if heard.who else ""):
            who = heard.who or f"{heard.network.name}:{heard.name}"
            self._host.log("stranger", "warning", who=who)
            return
        with self._state.transaction() as db:
            turn = Turn(db, person, self._clock.time())
            if not is_new(db, heard.keys, turn.now):
                self._host.log("heard-before", who=person)
                return
            text = heard.unreadable
            if heard.replaces:
                text = "I do not take corrections; say it in a new message"
            text = text or self._desk.answer(turn, heard.text, in_room=bool(heard.room))
            heard.network.put(heard.to, text, turn.now, db)
            self._tell(turn)

    def _tell(self, turn: Turn) -> None:
        for person, text in turn.notices:
            # Who is in the state file may not be in the settings any more.
            if place := reached(self._rules.people.get(person, {}), self._company):
                network, account = place
                network.put({"to": account}, text, turn.now, turn.db)


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Takes votes and answers until stopped. Raises CommsError."""
    rules = settings.table("review-bot", Rules)
    with State(rules.state) as state:
        state.lock()
        contacts = [mine["jabber"] for mine in rules.people.values() if "jabber" in mine]
        networks = messengers(
            settings, clock, host, state, contacts, rules.rooms, confirms=rules.resume
        )
        if "irc" in settings.tables:
            networks.append(Irc(settings.server("irc"), clock, host, state))
        with Company(networks, clock, host) as company:
            for person, accounts in rules.people.items():
                if reached(accounts, company) is None:
                    raise SettingsError(f"settings: {person} has no account on [xmpp] or [toc]")
            bot = ReviewBot(rules, company, state, clock, host)
            for _ in clock.every(rules.poll):
                bot.look()
    return 0


@scenario.act("review-approval-bot")
def approval(world: World, program: Program) -> Iterator[Claim]:
    """Ann asks for a review; Bob approves it by AIM, and Dan, the manager, by Jabber."""
    ann, bob, dan = ann_bob_dan(world)
    world.clock.at(10, partial(ann.says, BOT, "review r17 Mend the header"))
    world.clock.at(20, partial(bob.says, "ReviewBot", "<b>Approve</b> 1 r17"))
    world.clock.at(30, partial(dan.says, BOT, "approve #1 R17"))
    world.clock.until(40)
    code = program()
    asked = "ann asks for a review of #1 Mend the header (r17). Say: approve 1 r17, or: reject 1"
    heard = [*bob.heard[:1], *dan.messages[:1]]
    texts = [
        bob.heard[0].text.partition(" r17 WHY")[0],
        dan.messages[0].body.partition(" r17 WHY")[0],
    ]
    yield equal("those who may vote are asked", texts, [asked] * 2, shows=heard)
    bodies = [stanza.body for stanza in ann.messages]
    first = "#1 is open at r17. It needs a peer and a manager"
    one = "bob says approve to #1 Mend the header (r17). It needs a manager"
    done = "#1 Mend the header (r17) is approved by bob and dan"
    yield equal("it is open, and lacks both", bodies[:1], [first], shows=ann.messages[:1])
    yield equal("a peer alone does not approve it", bodies[1:2], [one], shows=ann.messages[1:2])
    yield equal("one of each does", bodies[2:], [done], shows=ann.messages[2:])
    yield equal("the peer hears of it, too", bob.heard[-1].text, done, shows=bob.heard[-1:])
    yield equal("the exit code is 0", code, 0)
