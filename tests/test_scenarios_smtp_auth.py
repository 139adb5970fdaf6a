"""smtp-auth: which schemes are used, in which order, and that no accident shows the password."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import pytest

from comms import settings
from comms.clock import RealClock
from comms.errors import CommsError, SettingsError
from comms.host import RealHost
from comms.settings import Server
from fakes.wire import Record
from fakes.world import World
from scenarios import catalogue, rehearsal
from scenarios.sending.smtp_auth import PASSWORD, WORLD, obstacles, run
from tests.drills import cuts, sampled, three_of

PAGE = catalogue.named("smtp-auth")
ACT = PAGE.acts()[0]
SERVER = Server("smtp", "mail.yourco.test", 587, user="ops", password=PASSWORD)
HIDING = ["SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5"]
ALL = ["LOGIN", "PLAIN", "CRAM-MD5", "SCRAM-SHA-1", "SCRAM-SHA-256"]


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_schemes_are_tried_from_the_strongest_to_the_weakest(tls: str) -> None:
    found = obstacles(ALL, replace(SERVER, tls=tls))
    assert list(found.items()) == [(name, "") for name in (*HIDING, "PLAIN", "LOGIN")]


def test_in_clear_text_only_a_scheme_that_hides_the_password_is_tried() -> None:
    found = obstacles(ALL, replace(SERVER, tls="none"))
    assert [name for name, obstacle in found.items() if not obstacle] == HIDING


@pytest.mark.parametrize("auth", ["scram-sha-256", "cram-md5", "plain", "login"])
def test_a_scheme_in_the_settings_is_the_only_one(auth: str) -> None:
    assert list(obstacles(ALL, replace(SERVER, auth=auth))) == [auth.upper()]
    missing = obstacles([], replace(SERVER, auth=auth))
    assert missing == {auth.upper(): "not offered by the server"}


def test_unknown_schemes_of_the_server_are_left_alone() -> None:
    assert obstacles(["XOAUTH2", "GSSAPI", "PLAIN"], SERVER)["PLAIN"] == ""
    assert "XOAUTH2" not in obstacles(["XOAUTH2"], SERVER)


def test_without_a_user_the_missing_key_is_named() -> None:
    with (
        contextlib.closing(RealClock()) as clock,
        pytest.raises(SettingsError, match=r"smtp\.user"),
    ):
        run(clock, settings.load({"smtp": {"host": "x"}}), RealHost())


@pytest.mark.parametrize("listener", ["smtp", "smtps"])
def test_on_real_time_each_scheme_logs_in(listener: str) -> None:
    with World(WORLD) as world, contextlib.closing(RealClock()) as clock:
        tables = world.settings
        tables["smtp"]["port"] = world.address(listener)[1]
        tables["smtp"]["tls"] = "starttls" if listener == "smtp" else "implicit"
        output = io.StringIO()
        assert run(clock, settings.load(tables), RealHost(output, output)) == 0
        names = [line.partition(":")[0] for line in output.getvalue().splitlines()]
        assert names == [*HIDING, "PLAIN", "LOGIN"]


def test_a_server_that_repeats_the_password_does_not_get_it_into_the_error() -> None:
    world = World(WORLD, faults=[f'response reply "535 5.7.8 {PASSWORD} is wrong"'])
    with world, contextlib.closing(RealClock()) as clock:
        with pytest.raises(CommsError, match="535") as caught:
            run(clock, settings.load(world.settings), RealHost())
        assert PASSWORD not in str(caught.value)


def recorded() -> list[Record]:
    """What crosses the wire in the first act."""
    recording = rehearsal.rehearse(PAGE, ACT).recording
    return [item for item in recording if isinstance(item, Record)]


FOUND = list(cuts(recorded()))
CUTS = sampled(FOUND, three_of(FOUND))


@pytest.mark.parametrize("fault", CUTS)
def test_wherever_the_connection_is_lost_no_login_is_repeated(fault: str) -> None:
    performance = rehearsal.rehearse(PAGE, ACT, [fault])
    assert (performance.unmet, performance.tracebacks) == ([], [])
    items = [item for item in performance.recording if isinstance(item, Record)]
    schemes = [item.raw.split()[1] for item in items if item.verb == "AUTH"]
    assert len(schemes) == len(set(schemes))
    texts = [event["text"] for event in performance.events]
    assert not any(PASSWORD in text for text in texts)
    ends = [text[:23] for text in texts if text.startswith("ends with")]
    assert set(ends) <= {"ends with exit code 3: ", "ends with exit code 4: "}
