"""Running a page's program on real servers."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from comms import settings as comms_settings
from comms.clock import Once, RealClock, Waitable
from comms.errors import CommsError, SettingsError
from comms.host import RealHost
from comms.suggest import did_you_mean
from comms.words import one_line
from scenarios import catalogue, screen
from scenarios.catalogue import Page
from scenarios.errors import OWN_FAULT
from scenarios.play import merged


def run_live(
    page: Page, file: Path, once: bool, dry_run: bool = False, host: RealHost | None = None
) -> int:
    """Runs the program until SIGTERM or SIGINT, or for a single round; returns its exit code.

    With `dry_run`, the program's setting of that name is true, whatever the file says.

    A signal ends the program after the work that it has begun. After SIGINT the exit code is 0
    unless something went wrong, because Ctrl-C is how a person ends it. Raises SettingsError if the
    settings file cannot be used.
    """
    host = host or RealHost()
    warned: set[str] = set()

    def warn(text: str) -> None:
        if text not in warned:
            host.log("settings", "warning", trouble=text)
        warned.add(text)

    settings = comms_settings.load(file, warn=warn)
    _check_names(settings)
    if dry_run:
        changed = merged(settings.tables, {"scenario": {page.name: {"dry_run": True}}})
        settings = replace(settings, tables=changed)

    def say_that_it_runs() -> None:
        if not once:
            host.log("runs", scenario=page.name, **servers, ends="Ctrl-C or SIGTERM")

    # A mail client waits for each reply, a chat client for what others do.
    chats = not {"XMPP", "TOC", "IRC"}.isdisjoint(page.doc.protocols)
    clock = _Clock(say_that_it_runs, chats)
    interrupted = False

    def stop(number: int, frame: object) -> None:
        nonlocal interrupted
        interrupted = number == signal.SIGINT
        clock.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        run = page.run()
        servers = _servers(page, settings)
        code = int(run(Once(clock) if once else clock, settings, host) or 0)
        if interrupted:
            code = 0
    except SettingsError:
        raise  # shown by the command line, like every error in what the user wrote
    except CommsError as error:
        host.log("ends", "error", exit=error.exit_code, trouble=str(error))
        code = error.exit_code
    except Exception:
        screen.show_traceback()
        code = OWN_FAULT
    finally:
        clock.close()
    return code


class _Clock(RealClock):
    """Says that the program runs, at its first round: its settings have been accepted then.

    In a chat the first wait counts, too. A program that is done at once says nothing.
    """

    def __init__(self, on_first_wait: Callable[[], None], chats: bool) -> None:
        super().__init__()
        self._chats = chats
        self._on_first_wait: Callable[[], None] | None = on_first_wait

    def every(self, seconds: float) -> Iterator[None]:
        self._waits()
        return super().every(seconds)

    def wait(self, link: Waitable | None, until: float | None, or_stop: bool = False) -> bool:
        if self._chats:
            self._waits()
        return super().wait(link, until, or_stop)

    def _waits(self) -> None:
        notify, self._on_first_wait = self._on_first_wait, None
        if notify is not None:
            notify()


def tables(page: Page) -> list[str]:
    """Returns the tables of the servers that a program may use.

    A Jabber program is a client, or a component, which has a table of its own.
    """
    names = [name.lower() for name in page.doc.protocols]
    return [*names, "component"] if "xmpp" in names else names


def _servers(page: Page, settings: comms_settings.Settings) -> dict[str, str]:
    """Returns the address of each server that the program may use. Raises SettingsError."""
    found = {}
    table = settings.tables.get("scenario", {}).get(page.name)
    chosen = table.get("mailbox") if isinstance(table, Mapping) else None
    not_chosen = [name for name in comms_settings.MAILBOXES if chosen and name != chosen]
    for protocol in tables(page):
        if protocol in settings.tables and protocol not in not_chosen:
            server = settings.server(protocol)
            found[protocol] = f"{server.host}:{server.port}" if server.host else "by DNS"
    return found


def _check_names(settings: comms_settings.Settings) -> None:
    """Checks that every table is that of a scenario. Raises SettingsError.

    Without this, a program would run on its defaults if the name of its table is misspelled.
    """
    names = catalogue.names()
    for name in settings.tables.get("scenario", {}):
        if name not in names:
            problem = f"scenario.{one_line(name)}: unknown scenario{did_you_mean(name, names)}"
            remedy = f"choose from: {', '.join(names)}"
            raise SettingsError(f"{settings.source}: {problem}; {remedy}")
