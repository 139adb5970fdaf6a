"""Calling handlers: what one raises is logged, and what stops the program is not swallowed."""

from __future__ import annotations

import functools

import pytest

from comms.callbacks import call
from tests.scripted import RecordingHost


def test_a_handler_s_result_is_returned() -> None:
    host = RecordingHost()
    assert call(host, lambda a, b: a + b, 1, 2) == (True, 3)
    assert call(host, lambda: None) == (True, None)
    assert host.lines == []


def test_an_exception_is_logged_with_the_handler_s_name() -> None:
    def careless() -> None:
        raise ValueError("broken")

    host = RecordingHost()
    assert call(host, careless) == (False, None)
    assert call(host, functools.partial(careless)) == (False, None)
    assert host.lines == [
        "handler-failed handler=careless trouble=ValueError: broken",
        "handler-failed handler=partial trouble=ValueError: broken",
    ]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_the_program_passes_through(kind: type[BaseException]) -> None:
    def stopping() -> None:
        raise kind

    with pytest.raises(kind):
        call(RecordingHost(), stopping)
