"""Which event loop serves a world."""

from __future__ import annotations

import asyncio
import smtplib
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import uvloop

from fakes import loops
from fakes.loops import loop_factory, new_loop
from fakes.world import World, WorldError


@pytest.mark.parametrize(
    ("name", "rehearsal", "environment", "uses_uvloop"),
    [
        (None, False, {}, True),
        ("asyncio", False, {}, False),
        ("asyncio", False, {"FAKES_LOOP": "uvloop"}, False),
        (None, False, {"FAKES_LOOP": "asyncio"}, False),
        ("uvloop", False, {"FAKES_LOOP": "asyncio"}, True),
        (None, True, {"FAKES_LOOP": "uvloop"}, False),
    ],
)
def test_uvloop_serves_real_time_unless_asyncio_is_chosen(
    name: str | None, rehearsal: bool, environment: Mapping[str, str], uses_uvloop: bool
) -> None:
    factory = loop_factory(name, rehearsal=rehearsal, environment=environment)
    assert factory is (uvloop.new_event_loop if uses_uvloop else new_loop)


def test_without_uvloop_asyncio_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert loop_factory(None, rehearsal=False, environment={}) is new_loop
    with pytest.raises(ValueError, match="loop: uvloop is not installed: pip install"):
        loop_factory("uvloop", rehearsal=False, environment={})


def test_an_unknown_loop_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(WorldError, match="loop: unknown loop 'trio'; write asyncio or uvloop"):
        World(loop="trio")
    with pytest.raises(WorldError, match="a rehearsal runs on asyncio; leave loop out"):
        World(loop="uvloop", rehearsal=True)
    monkeypatch.setenv("FAKES_LOOP", "trio")
    with pytest.raises(WorldError, match="FAKES_LOOP: unknown loop 'trio'"):
        World()


def test_a_uvloop_that_cannot_be_imported_is_named_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "uvloop.py").write_text("raise ImportError('undefined symbol: uv_run')")
    monkeypatch.delitem(sys.modules, "uvloop")
    monkeypatch.syspath_prepend(tmp_path)
    said = (
        r"loop: uvloop is installed, but cannot be imported \(undefined symbol: uv_run\): install"
    )
    for name in (None, "uvloop"):
        with pytest.raises(ValueError, match=said):
            loop_factory(name, rehearsal=False, environment={})
    monkeypatch.delenv("FAKES_LOOP", raising=False)
    with pytest.raises(WorldError, match=said):
        World()
    assert World(loop="asyncio").running is False


def test_a_world_on_a_loop_that_runs_cannot_choose_another() -> None:
    async def serve(name: str) -> bool:
        async with World({"servers": ["smtp"], "tls": "off"}, loop=name) as world:
            return world.running

    for factory, name, other in (
        (new_loop, "asyncio", "uvloop"),
        (uvloop.new_event_loop, "uvloop", "asyncio"),
    ):
        with asyncio.Runner(loop_factory=factory) as runner:
            assert runner.run(serve(name))
            with pytest.raises(WorldError, match=f"which is one of {name}; leave loop out"):
                runner.run(serve(other))


@pytest.mark.parametrize("loop", loops.LOOPS)
def test_a_client_is_greeted_and_served_on_either_loop(loop: str) -> None:
    with World({"servers": ["smtp"]}, loop=loop) as world:
        with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
            client.sendmail("a@example.org", ["alice@example.test"], "Subject: hi\r\n\r\nhi\r\n")
        assert world.mail.wait_for().subject == "hi"
