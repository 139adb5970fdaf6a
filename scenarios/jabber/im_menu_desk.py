"""The calls of im-menu: who is where, who is silent, and who is with the operator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from comms import words
from comms.clock import Clock
from comms.errors import CommsError
from comms.host import Host
from comms.xmpp import Client, Jid, Message, stanzas
from scenarios.jabber.im_menu_dialogue import Call, Menu

CALLS = 10_000  # at the same time; of more, the oldest is over
QUOTED = 200  # characters of what a customer has said, for the operator

Hear = Callable[[Call, str], Iterator[str]]


@dataclass
class Line:
    """A call, and how to answer it."""

    last: Message
    due: float  # when something happens if nothing is said
    call: Call = field(default_factory=Call)
    asked_again: bool = False


class Desk:
    """All calls, by the account of the customer."""

    def __init__(
        self,
        jabber: Client,
        clock: Clock,
        host: Host,
        operator: str,
        wait: float,
        quiet: float,
    ) -> None:
        self._jabber, self._clock, self._host = jabber, clock, host
        self._operator = Jid.parse(operator)
        self._wait, self._quiet = wait, quiet
        self._lines: dict[Jid, Line] = {}
        self._told: dict[str, Jid] = {}  # id of a message to the operator → the customer

    def hear(self, message: Message, hear: Hear) -> None:
        """Handles what a customer says. The operator's own messages are not for a menu."""
        assert message.sender is not None
        who = message.sender.bare
        if who == self._operator.bare:
            self._host.log("operator-writes", text=words.one_line(message.text)[:QUOTED])
            return
        line = self._lines.get(who)
        if line is None:
            if len(self._lines) >= CALLS:
                del self._lines[next(iter(self._lines))]
            line = self._lines[who] = Line(message, 0.0)
        if line.call.with_operator:
            return
        line.last, line.asked_again = message, False
        line.due = self._clock.monotonic() + self._wait
        for text in hear(line.call, message.text):
            self._say(line, text)
        if line.call.with_operator:
            self._hand_over(who, line)

    def tick(self, menus: Mapping[str, Menu]) -> None:
        """Asks silent customers again, and ends calls that are over."""
        now = self._clock.monotonic()
        for who, line in [item for item in self._lines.items() if item[1].due <= now]:
            if line.call.with_operator or line.asked_again:
                if not line.call.with_operator:
                    self._say(line, "You have said nothing, so this call is over. Goodbye!")
                    self._host.log("call-over", who=str(who))
                del self._lines[who]
                continue
            line.asked_again, line.due = True, now + self._wait
            self._say(line, f"Are you still there?\n\n{menus[line.call.path[-1]].shown()}")

    def returned(self, messages: Iterable[Message]) -> None:
        """Tells customers whose message the operator did not get, so that they may try again."""
        for message in messages:
            who = self._told.pop(message.id, None)
            line = self._lines.get(who) if who is not None else None
            if line is not None:
                self._say(line, "I am sorry, nobody can be reached now. Please try again later.")
                line.due = self._clock.monotonic()

    def _hand_over(self, who: Jid, line: Line) -> None:
        line.due = self._clock.monotonic() + self._quiet
        said = words.one_line(line.last.text)[:QUOTED]
        where = " > ".join(line.call.path)
        note = f"{who} wants to talk to you (menu {where}; said last: {said})"
        message = stanzas.message(self._operator, note)
        if self._send(message):
            while len(self._told) >= CALLS:
                del self._told[next(iter(self._told))]
            self._told[message.get("id", "")] = who
            self._host.log("handed-over", who=str(who))
            self._say(line, "One moment please: a person will write to you.")

    def _say(self, line: Line, text: str) -> None:
        self._send(line.last.reply(text))

    def _send(self, message: Element) -> bool:
        """Sends a message if we are online; a customer who hears nothing will write again."""
        try:
            self._jabber.send(message)
        except CommsError as error:
            self._host.log("not-sent", "warning", trouble=error)
            return False
        return True
