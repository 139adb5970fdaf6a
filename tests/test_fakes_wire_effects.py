"""What each fault does to a unit and to its answer, on the smallest protocol."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fakes.faults import Fault, Faults
from fakes.wire import Facts, Record, Runtime, Want
from fakes.wire.effects import Message, bytes_left, shortened
from tests.linechat import LineChat


class Bench:
    """A core of the chat protocol, signed on as romeo, with one fault at SAY."""

    def __init__(self, **failure: object) -> None:
        self.now = 0.0
        self.records: list[Record] = []
        faults = Faults({"chat": LineChat.vocabulary()})
        faults.arm(Fault("SAY", **failure))  # type: ignore[arg-type]
        runtime = Runtime(lambda: self.now, lambda n: "x" * n, faults, self.records.append)
        self.core = LineChat(runtime)
        self.core.opened(Facts(1))
        self.core.receive(b"NAME romeo\r\n")
        self.drain()

    def say(self) -> list[bytes]:
        """Sends romeo a message from romeo: the answer is `romeo: hi`. Returns the writes."""
        self.core.receive(b"SAY romeo hi\r\n")
        return self.drain()

    def drain(self) -> list[bytes]:
        return list(iter(self.core.take, b""))


ANSWER = b"romeo: hi\r\n"


@pytest.mark.parametrize(
    ("failure", "writes", "want"),
    [
        ({"reply": "not now"}, [b"not now\r\n"], None),
        ({"hang_up": "before"}, [], Want.CLOSE),
        ({"hang_up": "within"}, [ANSWER[:5]], Want.CLOSE),
        ({"hang_up": "after"}, [ANSWER], Want.CLOSE),
        ({"reset": True}, [], Want.RESET),
        ({"after": 0}, [], Want.CLOSE),
        ({"after": 3}, [ANSWER[:3]], Want.CLOSE),
        ({"after": 99}, [ANSWER], Want.CLOSE),
        ({"lost": "stored"}, [], Want.CLOSE),
        ({"lost": "unstored"}, [], Want.CLOSE),
        ({"split": 4}, [ANSWER[:4], ANSWER[4:8], ANSWER[8:]], None),
        ({"stall": True}, [], None),
        ({"delay": 5.0}, [], None),
        ({"bandwidth": 30}, [ANSWER[:3]], None),
        ({"bandwidth": 1}, [ANSWER[:1]], None),
    ],
    ids=str,
)
def test_what_is_sent_and_how_the_connection_ends(
    failure: dict[str, object], writes: list[bytes], want: Want | None
) -> None:
    bench = Bench(**failure)
    assert bench.say() == writes
    assert bench.core.wants is want


@pytest.mark.parametrize(
    ("failure", "handled"),
    [
        ({"reply": "not now"}, False),
        ({"hang_up": "before"}, False),
        ({"hang_up": "within"}, True),
        ({"lost": "stored"}, True),
        ({"lost": "unstored"}, False),
    ],
    ids=str,
)
def test_whether_the_unit_has_its_effect(failure: dict[str, object], handled: bool) -> None:
    delivered: list[str] = []

    def deliver(sender: str, receiver: str, text: str) -> None:
        delivered.append(text)

    bench = Bench(**failure)
    bench.core.room.deliver = deliver  # type: ignore[method-assign]
    bench.say()
    assert bool(delivered) is handled


def test_the_record_of_the_unit_names_the_fault_that_it_met() -> None:
    bench = Bench(reply="not now", nth=2)
    bench.say()
    bench.say()
    found = [(record.verb, record.fault) for record in bench.records if record.direction == "C"]
    assert found == [("NAME", ""), ("SAY", ""), ("SAY", 'chat SAY nth 2 reply "not now"')]


def test_a_stalled_core_reads_on_and_never_reacts() -> None:
    bench = Bench(stall=True, nth=1)
    bench.core.timers.at("idle", 300.0, bench.core.close)
    bench.say()
    # The fault does not strike this one, but the core is silent.
    assert bench.say() == [] and bench.core.due is None and not bench.core.buffer
    bench.core.eof()
    assert bench.core.wants is Want.CLOSE


def test_a_delayed_unit_is_handled_later_and_what_follows_waits() -> None:
    bench = Bench(delay=5.0, nth=1)
    assert bench.say() == [] and bench.core.in_flight
    assert bench.say() == [] and bench.core.buffer == b"SAY romeo hi\r\n"
    bench.now = 4.9
    bench.core.tick()
    assert bench.drain() == []
    bench.now = 5.0
    bench.core.tick()
    assert bench.drain() == [ANSWER * 2]


def test_a_slow_answer_takes_the_time_of_its_bytes_and_what_follows_waits() -> None:
    bench = Bench(bandwidth=20, times=1)
    written: list[str] = []
    writes = bench.say()
    bench.core.when_written(lambda: written.append("all"))
    bench.core.receive(b"SAY romeo again\r\n")
    while (due := bench.core.due) is not None and bench.core.in_flight:
        bench.core.written()
        assert bool(written) == (sum(map(len, writes)) == len(ANSWER))
        bench.now = due
        bench.core.tick()
        writes += bench.drain()
    bench.core.written()
    assert writes == [ANSWER[:2], b"me", b"o:", b" h", b"i\r", b"\n", b"romeo: again\r\n"]
    assert bench.now == pytest.approx(len(ANSWER) / 20) and written


def test_what_others_send_meanwhile_waits_behind_a_slow_answer() -> None:
    bench = Bench(bandwidth=100)
    bench.say()
    bench.core.send(b"juliet: hi\r\n")
    bench.now = 0.1
    bench.core.tick()
    assert bench.drain() == [ANSWER[10:] + b"juliet: h"]


def test_a_connection_may_be_slow_in_all_that_it_answers() -> None:
    bench = Bench(reset=True, nth=9)
    bench.core.runtime.faults.arm("connect bandwidth 20")
    bench.core = core = LineChat(bench.core.runtime)
    core.opened(Facts(2))
    core.receive(b"NAME juliet\r\nQUIT\r\n")
    writes = bench.drain()
    while core.due is not None and not core.closed:
        bench.now = core.due
        core.tick()
        writes += bench.drain()
    assert core.wants is Want.CLOSE and {len(write) for write in writes} <= {1, 2}
    assert bench.now == pytest.approx(sum(map(len, writes)) / 20)


def test_a_connection_that_a_fault_cuts_is_not_upgraded() -> None:
    """A handler that asks for TLS while its answer is cut must not start a handshake."""
    bench = Bench(hang_up="within")
    bench.core.do_SAY = lambda unit: bench.core.start_tls()  # type: ignore[method-assign]
    bench.say()
    assert bench.core.wants is Want.CLOSE


def test_a_handler_that_closes_is_closed_after_a_split_answer() -> None:
    bench = Bench(split=4)
    say: Callable[..., None] = bench.core.do_SAY

    def say_and_close(unit: object) -> None:
        say(unit)
        bench.core.close()
        assert bench.core.ending and not bench.core.closed

    bench.core.do_SAY = say_and_close  # type: ignore[method-assign]
    assert b"".join(bench.say()) == ANSWER
    assert bench.core.wants is Want.CLOSE


@pytest.mark.parametrize(
    ("fault", "left"),
    [
        (Fault("x", lost="stored"), 0),
        (Fault("x", hang_up="within"), 5),
        (Fault("x", hang_up="after"), 10),
        (Fault("x", after=3), 3),
        (Fault("x", after=30), 10),
    ],
    ids=str,
)
def test_a_fault_lets_a_part_of_an_answer_leave(fault: Fault, left: int) -> None:
    assert bytes_left(fault, 10) == left


def test_an_answer_of_several_messages_is_cut_in_the_right_one() -> None:
    messages = [Message(b"abc"), Message(b"def"), Message(b"ghi")]
    assert [message.raw for message in shortened(messages, 5)] == [b"abc", b"de"]
    assert list(shortened(messages, 0)) == []
