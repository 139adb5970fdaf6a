"""The second program of aim-uptime: it watches the disks, and warns before one is full.

Give it another screen name than the bot's: a second session with the same name ends the first.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from comms.clock import Clock
from comms.errors import CommsError
from comms.host import Host
from comms.state import State
from comms.toc.client import Client
from comms.toc.markup import Html, to_html
from comms.toc.messages import normalize

if TYPE_CHECKING:
    from scenarios.aim.aim_uptime import Outputs, Rules

SLACK = 5  # per cent below the limit at which a disk counts as having room again


def nearly_full(table: str, limit: int, known: Collection[str]) -> list[str]:
    """Returns the mount points at or above the limit, from the output of df.

    A disk in `known` was reported as nearly full. It counts as that until it is SLACK below the
    limit, so that a disk at the limit is not reported again and again.
    """
    # Some systems have a second column of per cents, for inodes; the first counts.
    used = {}
    for line in table.split("\n"):
        if found := list(re.finditer(r" (\d+)% +(?=\S)", line)):
            used[line[found[-1].end() :]] = int(found[0][1])
    limits = {place: limit - SLACK if place in known else limit for place in used}
    return sorted(place for place in used if used[place] >= limits[place])


def push(client: Client, outputs: Outputs, rules: Rules, clock: Clock, host: Host) -> int:
    """Notifies each administrator once when disks are nearly full, and once when none is.

    An administrator who is offline is notified at a later check. Returns 0 if there was room at
    the last check, 1 if not, 5 if that is unknown. Raises StateError.
    """
    code = 5
    with State(rules.state) as state:
        state.lock()
        for _ in clock.every(rules.every):
            table, failure = outputs.text("disk"), outputs.failure("disk")
            if failure:
                # Half a table says nothing about the disks that are missing from it.
                host.log("cannot-tell", "warning", trouble=failure)
                code = 5
                continue
            news = {}
            for admin in rules.admins:
                known = state.recall(f"told {normalize(admin)}", [""]) or []
                places = nearly_full(table, rules.push, known)
                code = 1 if places else 0
                if places != known:
                    news[admin] = places
            for admin in _notify(client, news, table, rules, host):
                with state.transaction() as db:
                    state.remember(db, f"told {normalize(admin)}", news[admin])
    return code


def _notify(
    client: Client, news: dict[str, list[str]], table: str, rules: Rules, host: Host
) -> Iterator[str]:
    """Sends each administrator the news over one connection; yields those who got it."""
    with client:
        for number, (admin, places) in enumerate(news.items()):
            state = f"{', '.join(places)} nearly full" if places else "room again"
            headline = f"{host.name}: {state}"
            marked = Html(f"<b>{to_html(headline)}</b>\n{to_html(table)}")
            plain = f"{headline}\n{table}"
            try:
                if number == 0:
                    client.connect()
                try:
                    client.send_im(admin, marked if rules.html else plain, auto_response=True)
                except ValueError:  # a line is too long for an IM; plain text can be split
                    client.send_im(admin, plain, auto_response=True)
            except CommsError as error:
                host.log("not-told", "warning", who=admin, trouble=error)
            else:
                yield admin
