"""Commands that people say to a bot, over any network, with one ledger and one audit.

    orders = Orders(commands, networks, clock, host, answer=answer)
    orders.recover()                    # what was accepted before must not wait for a network
    orders.run(poll=3)

A message is a command if its network vouches for the sender, and the sender has rights. It is
stored, run once, and answered over its own network, as soon as that is online. A message that comes
twice, and a correction of one that was obeyed, run nothing. Strangers get no answer, but they are
logged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from comms.bots.company import Company, Limits
from comms.bots.network import Heard, Network
from comms.clock import Clock
from comms.commands import Commands, Order, Refusal, normalized, standard
from comms.host import Host, OutcomeLike

HELP = ("help", "?")


def known_by(accounts: Mapping[str, Mapping[str, str]]) -> Callable[[Network, str], str]:
    """Returns a function that finds the person who has an account on a network, "" for a stranger.

    `accounts` maps each person to the names of networks and the accounts there.
    """

    def person(network: Network, who: str) -> str:
        for name, mine in accounts.items():
            account = mine.get(network.name, "")
            if account and network.normalize(account) == who:
                return name
        return ""

    return person


class Orders:
    """The commands of one bot.

    `command` finds the command in a text; `answer` makes the text of an answer; `person` returns
    who has an account on a network, "" for a stranger: one person may have several.
    """

    def __init__(
        self,
        commands: Commands,
        networks: Sequence[Network],
        clock: Clock,
        host: Host,
        *,
        answer: Callable[[Order, OutcomeLike], str],
        command: Callable[[str], str] = normalized,
        person: Callable[[Network, str], str] = lambda network, who: who,
        limits: Limits | None = None,
    ) -> None:
        self.commands = commands
        self.company = Company(networks, clock, host, limits)
        self._clock, self._host = clock, host
        self._answer, self._command, self._person = answer, command, person

    def recover(self) -> None:
        """Reports what a crash left running, and runs what was accepted. Raises StateError."""
        self.commands.recover(self._report)
        self.commands.perform(self._report)

    def run(self, poll: float) -> None:
        """Obeys and answers until stopped, with a look every `poll` seconds. Raises CommsError."""
        with self.company:
            for _ in self._clock.every(poll):
                self.look()

    def look(self) -> None:
        """Takes in what was said, runs what was accepted, and says what waits."""
        self._take_in()
        if self.commands.perform(self._report):
            # That took time. What is said on a link that was lost meanwhile would be in doubt.
            self._take_in()
        self.company.flush("answer")

    def hear(self, heard: Heard) -> None:
        """Handles one message: stores its command, which runs later, or answers. Raises StateError.

        A text of any length may be quoted in an answer, which must fit into one message.
        """
        who = self._person(heard.network, heard.who) if heard.who else ""
        verb = standard(self._command(heard.text))
        facts = {"door": heard.network.name, "room": heard.room, **heard.to}
        if who not in self.commands.rights:
            if verb or heard.unreadable:
                name = heard.who or f"{heard.network.name}:{heard.name}"
                self.commands.refuse(name, verb, heard.unreadable or "a stranger")
        elif heard.unreadable:
            self._refuse(heard, who, "", heard.unreadable, heard.unreadable)
        elif before := self._done_before(heard):
            reason = "its message was received before, or corrects one"
            text = (
                f"That is already done: {before}. To run a command again, say it in a new message."
            )
            self._refuse(heard, who, verb, reason, text)
        elif heard.delayed:
            text = f"You said this while I was away: {verb}. If it still holds, say it again."
            self._refuse(heard, who, verb, "sent while the program was away", text)
        elif verb in HELP:
            self._say(heard, self._help(who, facts))
        elif verb and not self.commands.may(who, verb, facts):
            text = f"You may not {verb} here. {self._help(who, facts)}"
            self._refuse(heard, who, verb, f"{who} may not {verb} here", text)
        elif verb:
            self._accept(heard, who, verb, facts)

    # ── inside ───────────────────────────────────────────────────────────────

    def _take_in(self) -> None:
        for heard in self.company.heard():
            self.hear(heard)

    def _help(self, who: str, facts: Mapping[str, Any]) -> str:
        return f"You may say: {', '.join(self.commands.allowed(who, facts)) or 'nothing'}"

    def _refuse(self, heard: Heard, who: str, verb: str, reason: str, text: str) -> None:
        """Records why a known sender was not obeyed, and says it."""
        self.commands.refuse(who, verb, reason)
        self._say(heard, text)

    def _say(self, heard: Heard, text: str) -> None:
        heard.network.put(heard.to, text, self._clock.time())

    def _accept(self, heard: Heard, who: str, verb: str, facts: Mapping[str, Any]) -> None:
        """Stores a command, or logs why it is refused. Raises StateError.

        The ledger knows its message again. A mistyped command has done nothing, so that a
        correction of it is a command like any other.
        """
        find = self.commands.ledger.find
        known_by = _keys(heard) if self.commands.find(verb) else []
        # What it corrects was asked about, and so has done nothing either.
        known_by = [key for key in known_by if key in heard.keys or not find(key)]
        try:
            self.commands.accept(who, verb, known_by, facts)
        except Refusal as refusal:
            self.commands.refuse(who, verb, refusal.reason)

    def _done_before(self, heard: Heard) -> str:
        """Returns the command that this message, or the one that it corrects, was before.

        From now on the ledger knows the message, too, so that a correction of it runs nothing.
        """
        ledger, keys = self.commands.ledger, _keys(heard)
        entry = next(filter(None, map(ledger.find, keys)), None)
        if entry is None or entry.status == "asked":
            return ""
        with self.commands.state.transaction() as db:
            for key in keys:
                if ledger.find(key) is None:
                    ledger.add_key(db, entry.id, key)
        return entry.what

    def _report(self, db: sqlite3.Connection, order: Order, outcome: OutcomeLike) -> None:
        """Stores the answer for the command's own network, in the transaction that ends it."""
        door = order.facts["door"]
        network = self.company.named(door)
        if network is not None:
            network.report(db, order, outcome, self._answer, self._clock.time())
        else:  # the settings had it when the command was accepted
            trouble = f"the settings have no {door} any more"
            self._host.log("unanswered", "warning", to=order.facts["to"], trouble=trouble)


def _keys(heard: Heard) -> list[str]:
    """Returns what the ledger knows a message by: its own keys, and that of what it corrects."""
    return [*dict.fromkeys(filter(None, (*heard.keys, heard.replaces)))]
