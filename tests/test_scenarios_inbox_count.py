"""Counting mail: what is printed, and the exit code of each failure."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from comms import settings
from comms.errors import CommsError, SettingsError
from fakes.world import World
from scenarios.receiving.inbox_count import RUBY, WORLD, answer, run
from tests.command import run_command

ROOT = Path(__file__).parent.parent


def test_the_answer_is_the_printed_one() -> None:
    assert [answer(count) for count in (0, 1, 500)] == [
        "You don't have any email!",
        "1 mails available.",
        "500 mails available.",
    ]


@pytest.mark.parametrize("style", ["block", "object"])
def test_the_listing_has_sizes_and_ids_oldest_first(style: str) -> None:
    with World(WORLD, rehearsal=True) as world:
        world.mail.deliver(RUBY, b"Subject: a\r\n\r\n")
        world.mail.deliver(RUBY, b"Subject: b\r\n\r\nlonger\r\n")
        table = {**world.settings, "scenario": {"inbox-count": {"style": style, "listing": True}}}
        assert run(world.clock, settings.load(table), world.host) == 0
        first, second = (row.size for row in world.mail.maildrop(RUBY).rows)
        assert world.said[1:] == [
            f"1  {first} bytes  00000001",
            f"2  {second} bytes  00000002",
        ]


@pytest.mark.parametrize("style", ["block", "object"])
@pytest.mark.parametrize(
    ("faults", "keys", "code"),
    [
        ((), {"password": "wrong"}, 4),
        (("pop-in-use",), {}, 4),
        (("pop3 connect refuse",), {}, 3),
        (("STAT hang up",), {}, 3),
        (('STAT reply "-ERR [SYS/PERM] damaged"',), {}, 4),
        (("pop3 connect stall",), {}, 3),
    ],
)
def test_each_failure_has_its_exit_code(
    style: str, faults: tuple[str, ...], keys: dict[str, Any], code: int
) -> None:
    with World(WORLD, rehearsal=True, faults=faults) as world:
        table = {**world.settings, "scenario": {"inbox-count": {"style": style}}}
        table["pop3"] = {**table["pop3"], **keys}
        with pytest.raises(CommsError) as failure:
            run(world.clock, settings.load(table), world.host)
        assert failure.value.exit_code == code
        assert "inpractice" not in str(failure.value) and "wrong" not in str(failure.value)


def test_an_unknown_style_is_named() -> None:
    with pytest.raises(SettingsError, match="choose block or object"):
        table = {"pop3": {"host": "x"}, "scenario": {"inbox-count": {"style": "lambda"}}}
        run(None, settings.load(table), None)  # type: ignore[arg-type]


def test_live_it_prints_one_line_and_exits_with_its_code(tmp_path: Path) -> None:
    with World({**WORLD, "tls": "off"}) as world:
        host, port = world.address("pop3")
        site = tmp_path / "site.toml"
        site.write_text(
            f'[pop3]\nhost = "{host}"\nport = {port}\ntls = "none"\n'
            'user = "ruby"\npassword = "inpractice"\n'
        )
        site.chmod(0o600)
        command = [sys.executable, "-m", "scenarios", "run", "inbox-count", "--live", str(site)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        output = (done.returncode, done.stdout, done.stderr)
        assert output == (0, "You don't have any email!\n", "")
        world.close_port("pop3")
        refused = run_command("run", "inbox-count", "--live", str(site))
        assert refused.returncode == 3
        assert "cannot be reached: Connection refused" in refused.stderr
