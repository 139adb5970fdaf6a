"""A phone whose connection is cut anywhere: every message arrives, and after a resumption once.

Juliet writes to Romeo's phone, and he to her. The connection is cut at any byte, in both
directions, and resumed, or not in time. What a phone has received and not acknowledged when its
session ends for good may come again: the server cannot know.
"""

from __future__ import annotations

from collections import deque
from itertools import count
from typing import Any
from xml.etree.ElementTree import Element, XMLPullParser

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from fakes.wire import Want
from fakes.xmpp.extensions.stream_management import RESUME_TIME
from tests.test_fakes_xmpp_extensions_stream_management import PRESENCE, SM, R, enabled
from tests.thorough import fewer
from tests.xmpp_raw import HEADER, Client, plain, world

JULIET, ROMEO = "juliet@example.test", "romeo@example.test"
BODY = "{jabber:client}body"
STANZAS = ("message", "presence", "iq")


class Resumption(RuleBasedStateMachine):
    """One phone, which counts as XEP-0198 §4 says."""

    def __init__(self) -> None:
        super().__init__()
        self.place = world()
        self.juliet = self.place.jabber.actor(JULIET)
        self.juliet.comes()
        self.numbers = count(1)
        self.said: list[str] = []  # by Juliet
        self.spoken: list[str] = []  # by Romeo
        self.got: list[str] = []  # by the phone, in order
        self.unsure: set[str] = set()  # may come twice
        self.unheard: deque[bytes] = deque()  # Romeo's, until the server has them
        self.client: Client | None = None
        self._begin()

    def _begin(self) -> None:
        """A new session."""
        self.client, self.id = enabled(self.place)
        self.handled = self.acknowledged = 0
        self.new: list[str] = []  # bodies that the phone has not acknowledged
        self._parse_from_here()
        self.client.core.receive(PRESENCE)
        self._send_again()
        self._read()

    def _parse_from_here(self) -> None:
        self.parser: Any = XMLPullParser(("start", "end"))
        self.parser.feed("<x xmlns='jabber:client' xmlns:stream='s'>")
        self.depth = 0

    def _read(self, limit: int | None = None) -> None:
        assert self.client is not None
        self.parser.feed(self.client.hears()[:limit])
        for event, element in self.parser.read_events():
            self.depth += 1 if event == "start" else -1
            if event == "end" and self.depth == 1:
                self._handle(element)

    def _handle(self, element: Element) -> None:
        name = element.tag.rpartition("}")[2]
        if name in STANZAS:
            self.handled += 1
            if name == "message" and element.get("type") != "error":
                body = element.findtext(BODY) or ""
                self.got.append(body)
                self.new.append(body)
        elif name in ("a", "resumed"):
            self._acknowledged(int(element.get("h", "0")))
            if name == "resumed":
                self._send_again()

    def _acknowledged(self, h: int) -> None:
        for _ in range(h - self.acknowledged):
            self.unheard.popleft()
        self.acknowledged = h

    def _send_again(self) -> None:
        assert self.client is not None
        waiting, self.unheard = self.unheard, deque()
        if self.acknowledged == 0 and self.handled == 0:
            self.unheard.append(b"")  # the presence counts, too
        for raw in waiting:
            if raw:
                self.unheard.append(raw)
                self.client.core.receive(raw)

    # ── what happens ─────────────────────────────────────────────────────────

    @rule()
    def juliet_writes(self) -> None:
        text = f"j{next(self.numbers)}"
        self.said.append(text)
        self.juliet.says(ROMEO, text)

    @rule(part=st.floats(0, 1), cut=st.booleans())
    def romeo_writes(self, part: float, cut: bool) -> None:
        text = f"r{next(self.numbers)}"
        self.spoken.append(text)
        raw = f"<message to='{JULIET}' type='chat'><body>{text}</body></message>".encode()
        self.unheard.append(raw)
        if self.client is not None:
            self.client.core.receive(raw[: int(part * len(raw))] if cut else raw)
            if cut:
                self.cut(0)

    @precondition(lambda self: self.client is not None)
    @rule()
    def the_phone_reads(self) -> None:
        self._read()

    @precondition(lambda self: self.client is not None)
    @rule(ask=st.booleans())
    def the_phone_acknowledges(self, ask: bool) -> None:
        assert self.client is not None
        self._read()
        self.client.core.receive(f"<a {SM} h='{self.handled}'/>".encode())
        self.new.clear()
        if ask:
            self.client.core.receive(R)

    @precondition(lambda self: self.client is not None)
    @rule(limit=st.integers(0, 600))
    def cut(self, limit: int) -> None:
        assert self.client is not None
        self._read(limit)
        self.client.core.close(Want.RESET)
        self.client = None

    @precondition(lambda self: self.client is None)
    @rule(limit=st.one_of(st.none(), st.integers(0, 600)))
    def resume(self, limit: int | None) -> None:
        self.client = client = Client(self.place)
        client.says(HEADER + plain("romeo") + HEADER)
        self._parse_from_here()
        asked = f"<resume {SM} previd='{self.id}' h='{self.handled}'/>"
        client.core.receive(asked.encode())
        self.new.clear()
        self._read(limit)
        if limit is not None:
            self.cut(0)

    @precondition(lambda self: self.client is None)
    @rule()
    def the_session_ends_for_good(self) -> None:
        self.place.clock.skip(RESUME_TIME + 1)
        self.place.run_timers()
        client = Client(self.place)
        client.says(HEADER + plain("romeo") + HEADER)
        answer = client.says(f"<resume {SM} previd='{self.id}' h='0'/>".encode()).decode()
        self._acknowledged(int(answer.partition(" h='")[2].partition("'")[0]))
        client.core.close(Want.RESET)
        self.unsure.update(self.new)
        self._begin()

    def teardown(self) -> None:
        if self.client is None:
            self.resume(None)
        self._read()
        once = [body for body in self.got if body not in self.unsure]
        assert once == [body for body in self.said if body not in self.unsure]
        assert set(self.said) == set(self.got)
        assert [message.body for message in self.juliet.messages] == self.spoken


class Long(Resumption):
    """The same, in many steps."""


TestResumption = Resumption.TestCase
TestResumption.settings = settings(max_examples=2, stateful_step_count=12)
TestResumptionForLong = pytest.mark.slow(Long.TestCase)
TestResumptionForLong.settings = fewer()
