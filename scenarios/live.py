"""Running a page's program on real servers."""

from __future__ import annotations

import signal
import traceback
from pathlib import Path

from comms import settings as comms_settings
from comms.clock import Once, RealClock
from comms.errors import CommsError
from comms.host import RealHost
from scenarios.catalogue import Page
from scenarios.errors import OWN_FAULT


def run_live(page: Page, file: Path, once: bool) -> int:
    """Runs the program until SIGTERM or SIGINT, or for a single round; returns its exit code.

    A signal ends the program after the work that it has begun. Raises SettingsError if the
    settings file cannot be used.
    """
    settings = comms_settings.load(file)
    clock, host = RealClock(), RealHost()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: clock.stop())
    try:
        run = page.run()
        code = int(run(Once(clock) if once else clock, settings, host) or 0)
    except CommsError as error:
        host.log("ends", "error", exit=error.exit_code, trouble=str(error))
        code = error.exit_code
    except Exception:
        traceback.print_exc()
        code = OWN_FAULT
    finally:
        for text in settings.warnings:
            host.log("settings", "warning", trouble=text)
        clock.close()
    return code
