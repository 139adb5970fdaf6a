"""How far a program is with its mails: a bar on a terminal with Rich, or a line now and then."""

from __future__ import annotations

import importlib.util
import types
from typing import TYPE_CHECKING

from comms.clock import Clock
from comms.host import Host

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

EVERY = 10.0  # seconds between two lines


class Progress:
    """Counts what is done of `total` mails, which are called `noun`."""

    def __init__(self, total: int, noun: str, clock: Clock, host: Host) -> None:
        self._total, self._noun, self._clock, self._host = total, noun, clock, host
        self._done, self._began = 0, clock.monotonic()
        self._next_line = self._began + EVERY
        self._bar: Bar | None = None
        if total and host.terminal and importlib.util.find_spec("rich"):
            from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

            self._bar = Progress(
                *Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn()
            )
            self._bar.add_task(f"{noun}s", total=total)

    def __enter__(self) -> Progress:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def one_done(self) -> None:
        """Counts one more mail that needs no further attempt."""
        self._done += 1
        now = self._clock.monotonic()
        if self._bar is not None:
            self._bar.advance(self._bar.task_ids[0])
        elif now >= self._next_line and self._done < self._total:
            rate = self._done / (now - self._began)
            self._host.say(f"{self._done} of {self._total} {self._noun}s, {rate:.0f} per second")
            self._next_line = now + EVERY
