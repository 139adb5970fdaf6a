"""The desk of ship-notices: reads the list, composes the notices, and sends what is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.limits import Limits
from comms.settings import Settings
from scenarios.delivery import Delivery
from scenarios.models import Worker
from scenarios.sending.ship_notices_input import BadLine, Customer, read
from scenarios.sending.ship_notices_model import Notice, back, enlist, suppress

if TYPE_CHECKING:
    from scenarios.sending.ship_notices import Rules

Compose = Callable[[str, Mapping[str, str], str], Message]  # of an address, values and a token


def check(rules: Rules, compose: Compose) -> Iterator[Customer | BadLine]:
    """Yields the lines of the list, and composes the mail of each before anything is sent.

    Raises SettingsError, and TemplateError for a template that lacks a value.
    """
    for line in read(rules.customers):
        if isinstance(line, Customer):
            try:
                compose(line.address, line.values, "token").envelope()
            except ValueError as error:  # an address that cannot be written, for example
                line = BadLine(line.line, str(error))
        yield line


def rehearse(rules: Rules, compose: Compose, folder: Path, host: Host, clock: Clock) -> int:
    """Composes every mail, and writes the first ones as samples. Sends and stores nothing."""
    good = bad = 0
    for line in check(rules, compose):
        if isinstance(line, BadLine):
            bad += 1
            host.log("line-left-out", "warning", line=line.line, trouble=line.problem)
            continue
        good += 1
        if good <= rules.samples:
            folder.mkdir(exist_ok=True)
            mail = compose(line.address, line.values, host.token(20)).stamped(clock, host)
            (folder / f"line-{line.line}.eml").write_bytes(mail.to_bytes())
    host.say(f"Dry run: {good} notices would be sent, {bad} lines left out")
    if good and rules.samples:
        host.say(f"Samples: {folder.name}")
    return 1 if bad else 0


class Desk(Delivery[Notice]):
    """The work of one worker."""

    def __init__(
        self,
        rules: Rules,
        settings: Settings,
        clock: Clock,
        host: Host,
        worker: Worker,
        compose: Compose,
    ) -> None:
        def written(notice: Notice) -> tuple[str, Message]:
            mail = compose(notice.address, notice.values, notice.token)
            return back(rules.returns, notice.token), mail

        super().__init__(
            Notice,
            written,
            settings.server("smtp"),
            clock,
            host,
            worker,
            limits=Limits(rules.rate, rules.domain_rate),
            session=rules.session,
            give_up=rules.give_up,
        )
        self._lines = check(rules, compose)

    def enlist(self) -> list[str]:
        """Adds a notice for each line of the list that has none. Raises as `check`.

        Returns what the report must say about the lines that are left out.
        """
        left_out, now = 0, self._clock.time()
        for bad in enlist(self._worker, self._lines, now, lambda: self._host.token(20)):
            left_out += 1
            self._host.log("line-left-out", "warning", line=bad.line, trouble=bad.problem)
        suppress(self._worker)
        return [f"{left_out} lines of the list left out"] if left_out else []
