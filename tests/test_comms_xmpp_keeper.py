"""The keeper: what a connection needs, and when."""

from __future__ import annotations

from comms.xmpp.keeper import QUIET, Keeper
from fakes.clock import START, Rehearsal
from tests.scripted import RecordingHost

TIMEOUT = 30.0


class At(Rehearsal):
    """A clock that the test sets."""

    seconds = 0.0

    def time(self) -> float:
        return START

    def monotonic(self) -> float:
        return START + self.seconds


def keeper() -> tuple[Keeper, At]:
    clock = At()
    return Keeper(clock, RecordingHost(), TIMEOUT), clock


def test_a_connection_that_talks_needs_nothing() -> None:
    watch, clock = keeper()
    for clock.seconds in range(0, 1000, 100):
        watch.heard()
        assert watch.step(connected=True) == "nothing"
        assert watch.due(connected=True) == clock.monotonic() + QUIET


def test_a_silent_server_is_pinged_and_then_given_up() -> None:
    watch, clock = keeper()
    watch.heard()
    clock.seconds = QUIET - 1
    assert watch.step(connected=True) == "nothing"
    clock.seconds = QUIET
    assert watch.step(connected=True) == "ping"
    watch.pinged()
    assert watch.step(connected=True) == "nothing"
    assert watch.due(connected=True) == clock.monotonic() + TIMEOUT
    clock.seconds += TIMEOUT
    assert watch.step(connected=True) == "give up"
    assert watch.silence == QUIET + TIMEOUT


def test_anything_that_arrives_answers_the_ping() -> None:
    watch, clock = keeper()
    watch.heard()
    clock.seconds = QUIET
    watch.pinged()
    clock.seconds += TIMEOUT - 1
    watch.heard()
    clock.seconds += 1
    assert watch.step(connected=True) == "nothing"
    assert watch.silence == 1


def test_a_lost_connection_is_established_again_when_the_back_off_is_over() -> None:
    watch, clock = keeper()
    assert watch.step(connected=False) == "connect", "the first attempt is due at once"
    pause = watch.backoff.failed()
    assert watch.step(connected=False) == "nothing"
    assert watch.due(connected=False) == START + pause
    clock.seconds = pause + 0.001
    assert watch.step(connected=False) == "connect"
