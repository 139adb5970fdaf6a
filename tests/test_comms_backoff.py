"""Back-off: pauses double up to a limit, are random, and start again after success."""

from __future__ import annotations

import pytest

from comms.backoff import Backoff
from fakes.clock import START, Rehearsal
from tests.scripted import RecordingHost


class Fixed(RecordingHost):
    """A host whose randomness is always the same: "0" for none, "z" for as much as possible."""

    digit = "z"

    def token(self, length: int) -> str:
        return self.digit * length


def backoff(digit: str = "z", jitter: float = 1.0) -> tuple[Backoff, Rehearsal]:
    clock = Rehearsal()
    host = Fixed()
    host.digit = digit
    return Backoff(clock, host, first=30, longest=600, jitter=jitter), clock


def test_pauses_double_up_to_the_longest() -> None:
    several, _ = backoff()
    pauses = [several.failed() for _ in range(7)]
    assert [round(pause) for pause in pauses] == [30, 60, 120, 240, 480, 600, 600]


def test_the_next_attempt_is_due_after_the_pause() -> None:
    several, _ = backoff()
    assert several.due == 0, "the first attempt is due at once"
    pause = several.failed()
    assert several.due == START + pause


@pytest.mark.parametrize(
    ("jitter", "shortest"), [(1.0, 0), (0.5, 15), (0.0, 30)], ids=["all", "half", "none"]
)
def test_jitter_is_the_share_of_the_pause_that_is_random(jitter: float, shortest: float) -> None:
    assert backoff("0", jitter)[0].failed() == shortest
    assert backoff("z", jitter)[0].failed() == pytest.approx(30, abs=0.001)


def test_after_success_the_pauses_start_again() -> None:
    several, _ = backoff()
    several.failed()
    several.failed()
    several.succeeded()
    assert round(several.failed()) == 30


def test_a_server_can_ask_for_a_longer_pause_once() -> None:
    several, _ = backoff()
    several.wait_at_least(900)
    assert several.failed() == 900
    assert several.due == START + 900
    pause = several.failed()
    assert several.due == START + pause, "only the failure that was being handled"


def test_success_cancels_the_longer_pause() -> None:
    several, _ = backoff()
    several.wait_at_least(900)
    several.succeeded()
    several.failed()
    assert several.due < START + 31


def test_any_number_of_failures_has_a_pause() -> None:
    several, _ = backoff()
    for _ in range(2000):
        pause = several.failed()
    assert round(pause) == 600
