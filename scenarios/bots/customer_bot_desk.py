"""The desk of customer-bot: the bot answers, calls an agent, and passes on what both say.

Each message is handled in one transaction: what it changes, and what is said because of it, are
stored together, or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from comms.bots.company import Company, Flood, Limits
from comms.bots.network import Heard, Network, shortened
from comms.bots.orders import known_by
from comms.clock import Clock
from comms.commands import Commands
from comms.compose import Message
from comms.errors import CommsError
from comms.host import Host
from comms.hours import Hours
from comms.outbox import Outbox
from comms.settings import Server
from comms.state import State
from comms.suggest import did_you_mean
from comms.words import one_line
from scenarios.bots.customer_bot_agents import Management
from scenarios.bots.customer_bot_dialogue import END, answer, command_of
from scenarios.bots.customer_bot_input import Customer, Faq
from scenarios.bots.customer_bot_model import AGENT, BOT, WAITING, Facts, Talk, Talks, inset

if TYPE_CHECKING:
    from scenarios.bots.customer_bot import Rules

LONGEST = 2000  # characters of a message that are kept and passed on
CONTEXT = 6  # lines that an agent sees who takes a customer
CALLS = 5  # customers who wait, of whom agents are told at a time
AWAY = 60.0  # seconds for which an agent may be offline in a conversation
COMMANDS = ("take", "end", "find", "note", "help")
HELP = "You may say: !take, !end, !find NAME, !note NAME: TEXT"
STAFF = "Only our staff may say that, and to me alone."
ALONE = "To reach a person, write to me alone, from an account that your network vouches for."
TOO_MUCH = "That is too much for me. I shall hear you again when you have paused for a while."


class Desk:
    """Every customer, and every agent."""

    def __init__(
        self,
        rules: Rules,
        faq: Faq,
        customers: Mapping[str, Customer],
        company: Company,
        state: State,
        clock: Clock,
        host: Host,
    ) -> None:
        self._rules, self._faq, self._company, self._state = rules, faq, company, state
        self._clock, self._host = clock, host
        self._hours = Hours(rules.hours, rules.zone)
        self._talks, self._outbox = Talks(state, clock), Outbox(state)
        self._audit = Commands(state, {}, {}, clock, host)  # of which only the audit is used
        self._management = Management(customers, self._talks, self._audit)
        self._customers = customers
        self._agent, self._customer = known_by(rules.agents), _known(customers)
        self._flood = Flood(Limits(rules.messages, 10 * rules.messages, rules.within), clock)
        self._absent: dict[str, float] = {}  # agents who are offline → since when, monotonic
        self._abuse = frozenset(word.casefold() for word in rules.abuse)

    # ── what is said ─────────────────────────────────────────────────────────

    def hear(self, heard: Heard) -> None:
        """Handles one message. Raises StateError."""
        agent = self._agent(heard.network, heard.who) if heard.who and not heard.room else ""
        # What an agent writes must not be lost.
        is_flood = not agent and self._flood.is_over(heard)
        text = shortened(heard.text.strip(), LONGEST).strip()
        with self._state.transaction() as db:
            if self._talks.heard_before(db, heard):
                self._host.log("heard-before", who=heard.who)
            elif heard.delayed and not agent and not self._is_handed_over(heard):
                self._host.log("ignored", who=heard.who, why="said while the program was away")
            elif is_flood:
                self._warn(db, heard)
            elif heard.unreadable:
                self._say(db, heard, heard.unreadable)
            elif not text:
                return
            elif agent:
                self._hear_agent(db, heard, agent, text)
            elif text[1:].partition(" ")[0].casefold() in COMMANDS and text.startswith("!"):
                who = heard.who or f"{heard.network.name}:{heard.name}"
                self._audit.note(db, who, text, "refused", "not an agent")
                self._host.log("refused", "warning", who=who, what=text[: LONGEST // 10])
                self._say(db, heard, STAFF)
            elif heard.room or not heard.who:
                self._hear_stranger(db, heard, text)
            else:
                self._hear_customer(db, heard, text)

    def _is_handed_over(self, heard: Heard) -> bool:
        talk = self._talks.find(heard)
        return talk is not None and talk.facts.stage != BOT and not heard.room

    def _warn(self, db: sqlite3.Connection, heard: Heard) -> None:
        """Tells a customer once that it is too much."""
        talk = self._talks.find(heard)
        self._host.log("flood", "warning", who=heard.who or heard.name)
        if talk is not None and not heard.room and not talk.facts.warned:
            talk.facts.warned = True
            self._talks.touch(talk)
            self._talks.store(db, talk)
            self._say(db, heard, TOO_MUCH)

    def _hear_stranger(self, db: sqlite3.Connection, heard: Heard, text: str) -> None:
        """Answers where others listen, or a user without an account: from the file only."""
        facts = Facts("", {}, 0.0)
        said = answer(self._faq, facts, text, self._abuse, self._rules.insults)
        self._say(db, heard, ALONE if said.then == "person" or facts.offered else said.text)

    def _hear_customer(self, db: sqlite3.Connection, heard: Heard, text: str) -> None:
        talk = self._talks.find(heard)
        if talk is None:
            known = self._customer(heard.network, heard.who)
            name = self._customers[known].name if known else one_line(heard.name)
            talk = self._talks.begin(db, heard, Facts(name, {}, 0.0, known))
        facts = talk.facts
        facts.to = dict(heard.to)
        self._talks.touch(talk)
        facts.warned = facts.warned and facts.stage == BOT
        self._talks.add(db, talk, facts.name, text)
        if facts.stage == BOT:
            said = answer(self._faq, facts, text, self._abuse, self._rules.insults)
            self._tell(db, talk, said.text)
            if said.then == "person":
                self._hand_over(db, talk)
            elif said.then == "end":
                self._talks.end(db, talk)
                return
        elif command_of(text) in END:
            self._close(db, talk, f"{facts.name} has ended it")
            return
        elif facts.stage == AGENT:
            self._tell_agent(db, facts, f"{facts.name}: {inset(text)}")
        self._talks.store(db, talk)

    def _hear_agent(self, db: sqlite3.Connection, heard: Heard, agent: str, text: str) -> None:
        talk = self._talks.with_agent(agent)
        old = heard.delayed or bool(heard.replaces and self._talks.is_known(heard.replaces))
        if old:
            # It may be meant for a customer who is gone.
            self._say(db, heard, f"Not done, because it is old or corrects another one: {text}")
        elif talk is None or text.startswith("!"):
            self._say(db, heard, self._obey(db, agent, text.removeprefix("!"), heard))
        else:
            self._talks.touch(talk)
            self._talks.add(db, talk, agent, text)
            self._tell(db, talk, f"{agent}: {inset(text)}", by="")
            self._talks.store(db, talk)

    def _obey(self, db: sqlite3.Connection, agent: str, text: str, heard: Heard) -> str:
        """Does what an agent orders, and returns the answer."""
        word, _, rest = text.partition(" ")
        rest, now = one_line(rest), self._clock.time()
        talk = self._talks.with_agent(agent)
        match word.casefold():
            case "take" if not rest:
                return self._take(db, agent, heard) if talk is None else "First say: !end"
            case "end" if talk is not None and not rest:
                self._close(db, talk, f"{agent} has ended it", tell_agent=False)
                return self._free_again(talk)
            case "find" if rest:
                return self._management.find(db, agent, rest)
            case "note":
                return self._management.note(db, agent, rest, now)
            case "help" | "?":
                return HELP
        near = "" if word in COMMANDS else did_you_mean(word[:100].casefold(), COMMANDS)
        nobody = "You have no customer, and " if talk is None else ""
        return f"{nobody}I do not understand that{near}. {HELP}"

    # ── hand-over ────────────────────────────────────────────────────────────

    def _hand_over(self, db: sqlite3.Connection, talk: Talk) -> None:
        """Calls an agent; if nobody can come, writes to the team, and says so."""
        now = self._clock.time()
        if not self._hours.are_now(now):
            self._give_up(db, talk, f"We are here again {self._hours.next(now)}")
        elif not any(self._place(agent) for agent in self._rules.agents):
            self._give_up(db, talk, "Nobody is here just now")
        else:
            self._talks.wait(talk)
            self._tell(db, talk, "I have called a person. Please wait, or say: end")
            self._host.log("called", talk=talk.id, who=talk.who)

    def _free_again(self, talk: Talk) -> str:
        """Returns what an agent hears whose conversation this was."""
        over = f"Your talk with {talk.facts.name} is over."
        return " ".join([over, *(f"{_about(one)} Say: !take" for one in self._waiting()[:1])])

    def _waiting(self) -> list[Talk]:
        """Returns the conversations that wait for an agent, the oldest call first."""
        waiting = [talk for talk in self._talks if talk.facts.stage == WAITING]
        return sorted(waiting, key=lambda talk: talk.since)

    def _take(self, db: sqlite3.Connection, agent: str, heard: Heard) -> str:
        """Connects an agent with the customer who has waited longest."""
        talk = next(iter(self._waiting()), None)
        if talk is None:
            return "Nobody waits"
        facts = talk.facts
        context = self._talks.transcript(talk, CONTEXT)
        facts.stage, facts.agent, facts.had_agent = AGENT, agent, True
        facts.network, facts.account = heard.network.name, heard.who
        self._talks.touch(talk)
        self._absent.pop(agent, None)
        self._tell(db, talk, f"{agent} is here now, and reads what you write. Say end to end it.")
        self._talks.store(db, talk)
        self._host.log("taken", talk=talk.id, who=talk.who, agent=agent)
        return f"You talk to {facts.name} until you say !end.\n{context}"

    def _give_up(self, db: sqlite3.Connection, talk: Talk, why: str) -> None:
        """Writes to the team instead, and says so."""
        facts, hours = talk.facts, f"Our hours: {self._hours.shown}."
        if self._talks.may_mail(db, talk):
            self._tell(db, talk, f"{why}. I have written to the team, who will answer you. {hours}")
            self._write_to_team(db, talk)
        else:
            self._tell(db, talk, f"{why}. The team has several questions of yours already. {hours}")
        facts.stage, facts.agent, facts.had_agent = BOT, "", False
        db.execute("DELETE FROM said WHERE talk = ?", (talk.id,))
        self._host.log("given-up", talk=talk.id, who=talk.who, why=why)

    def _write_to_team(self, db: sqlite3.Connection, talk: Talk) -> None:
        customer = self._customers.get(talk.facts.customer)
        reach = customer.line if customer else f"{talk.network} {one_line(talk.who)}"
        text = f"Nobody could take this customer: {reach}\n\n{self._talks.transcript(talk)}\n"
        mail = Message(self._rules.sender, [self._rules.team], f"Question {talk.id}", text)
        mail.reply_to = [customer.mail] if customer and customer.mail else []
        self._mail(db, mail)

    def _close(self, db: sqlite3.Connection, talk: Talk, why: str, tell_agent: bool = True) -> None:
        """Ends a hand-over: both hear why, and the transcript is mailed once."""
        facts = talk.facts
        self._tell(db, talk, "Goodbye! What you write now is answered by the bot.")
        if facts.stage == AGENT and tell_agent:
            self._tell_agent(db, facts, f"Your talk with {facts.name} is over: {why}")
        if facts.had_agent:
            customer = self._customers.get(facts.customer)
            to = customer.mail if customer and customer.mail else self._rules.team
            text = f"{self._talks.transcript(talk)}\n\nThe times are UTC.\n"
            subject = f"Transcript of conversation {talk.id}"
            self._mail(db, Message(self._rules.sender, [to], subject, text))
        self._talks.end(db, talk)
        self._host.log("ended", talk=talk.id, who=talk.who, why=why)

    # ── what time brings ─────────────────────────────────────────────────────

    def tick(self) -> None:
        """Ends what is over, calls agents who are free, and looks who has gone."""
        free, first = self._free(), {talk.id for talk in self._waiting()[:CALLS]}
        for talk in list(self._talks):
            new = set(free) - set(talk.facts.called) if talk.id in first else ()
            calls = {agent: place for agent, place in free.items() if agent in new}
            is_over = self._is_over(talk)
            if not calls and not is_over:
                continue
            with self._state.transaction() as db:
                if is_over:
                    self._end(db, talk)
                    continue
                for agent, (network, account) in calls.items():
                    talk.facts.called.append(agent)
                    self._put(db, network, {"to": account}, f"{_about(talk)} Say: !take")
                self._talks.store(db, talk)

    def _is_over(self, talk: Talk) -> bool:
        now, facts = self._clock.monotonic(), talk.facts
        if facts.stage == WAITING:
            return now - talk.since > self._rules.wait
        is_silent = now - talk.last > self._rules.quiet
        return is_silent or (facts.stage == AGENT and self._is_gone(facts))

    def _end(self, db: sqlite3.Connection, talk: Talk) -> None:
        """Does what follows when a conversation, or a part of it, is over."""
        facts = talk.facts
        if facts.stage == BOT:
            self._talks.end(db, talk)
        elif facts.stage == WAITING:
            self._give_up(db, talk, "Nobody was free")
            self._talks.store(db, talk)
        elif self._is_gone(facts):
            self._tell(db, talk, f"{facts.agent} is not there any more.")
            self._hand_over(db, talk)
            self._talks.store(db, talk)
        else:
            self._close(db, talk, "nobody has said anything for a while")

    def _free(self) -> dict[str, tuple[Network, str]]:
        """Returns where the agents are who are online and have no customer."""
        busy = {talk.facts.agent for talk in self._talks}
        # All are looked for: AIM tells a moment later who is online.
        places = {agent: self._place(agent) for agent in self._rules.agents}
        return {agent: place for agent, place in places.items() if place and agent not in busy}

    def _is_gone(self, facts: Facts) -> bool:
        """Whether an agent is offline for so long that the customer needs another one."""
        network = self._company.named(facts.network)
        if facts.agent not in self._rules.agents:
            return True  # no more, since the program was started again
        if network is not None and self._is_there(network, facts.account):
            self._absent.pop(facts.agent, None)
            return False
        now = self._clock.monotonic()
        return now - self._absent.setdefault(facts.agent, now) > AWAY

    def _place(self, agent: str) -> tuple[Network, str] | None:
        """Returns where an agent is online."""
        for name, account in self._rules.agents[agent].items():
            network = self._company.named(name)
            if network is not None and self._is_there(network, account):
                return network, account
        return None

    def _is_there(self, network: Network, account: str) -> bool:
        try:
            return self._company.is_online(network) and network.present(account)
        except CommsError:  # the connection was just lost
            return False

    def flush(self, server: Server) -> None:
        """Mails what waits. A mail that may have been sent is not sent again, but in the audit."""
        for result in self._outbox.flush(server, self._clock, self._host):
            level = "info" if result.status == "sent" else "warning"
            self._host.log(f"mail-{result.status}", level, to=result.address, trouble=result.error)
            if result.status not in ("sent", "waiting"):
                what = f"mail {result.message_id} to {result.address}"
                with self._state.transaction() as db:
                    self._audit.note(db, "customer-bot", what, result.status, result.error)

    # ── saying ───────────────────────────────────────────────────────────────

    def _say(self, db: sqlite3.Connection, heard: Heard, text: str) -> None:
        if text:
            self._put(db, heard.network, heard.to, text)

    def _tell(self, db: sqlite3.Connection, talk: Talk, text: str, by: str = "bot") -> None:
        """Tells a customer something; what is said by the bot is added to the transcript here."""
        network = self._company.named(talk.network)
        if by and text:
            self._talks.add(db, talk, by, text)
        if network is not None and text:
            self._put(db, network, talk.facts.to, text)

    def _tell_agent(self, db: sqlite3.Connection, facts: Facts, text: str) -> None:
        if (network := self._company.named(facts.network)) is not None:
            self._put(db, network, {"to": facts.account}, text)

    def _put(
        self, db: sqlite3.Connection, network: Network, to: Mapping[str, str], text: str
    ) -> None:
        network.put(to, text, self._clock.time(), db)

    def _mail(self, db: sqlite3.Connection, mail: Message) -> None:
        # RFC 3834 §5: the mark keeps vacation programs from answering.
        mail.add_header("Auto-Submitted", "auto-generated")
        self._outbox.put(mail.stamped(self._clock, self._host), self._clock.time(), db=db)


def _known(customers: Mapping[str, Customer]) -> Callable[[Network, str], str]:
    return known_by({number: customer.accounts for number, customer in customers.items()})


def _about(talk: Talk) -> str:
    return f"{talk.facts.name} ({talk.network}) waits for a person."
