# apt-get install: systemd
"""The unit of bot-daemon, as systemd itself reads it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from scenarios.bots import bot_daemon
from tests.real import need

pytestmark = pytest.mark.real


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "bot-daemon.service"
    unit.write_text(
        Path(bot_daemon.__file__).with_suffix(".service").read_text("utf-8"), newline="\n"
    )
    command = [need("systemd-analyze", "systemd"), "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    # It also reads the machine's other units, whose mistakes are not ours.
    ours = [line for line in done.stderr.splitlines() if "bot-daemon" in line]
    assert (done.returncode, ours) == (0, []), done.stderr
