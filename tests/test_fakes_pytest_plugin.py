"""The plugin, as the tests of another project use it."""

from __future__ import annotations

import re

import pytest

TESTS = """
import smtplib
import pytest

def send(world, to="bob@example.test"):
    with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
        client.ehlo()
        client.docmd("AUTH PLAIN AGFsaWNlAHNlY3JldA==")
        client.sendmail("alice@example.test", [to], "Subject: hi\\r\\n\\r\\n")

def test_that_passes(world):
    send(world)
    assert world.mail.wait_for(lambda mail: mail.subject == "hi")

def test_that_fails(world):
    send(world)
    assert world.mail.messages == []

@pytest.mark.world(person=[{"address": "dora@shop.test"}], faults=["RCPT reset"], tls="off")
def test_with_a_fault_that_is_never_met(world):
    assert world.settings["smtp"]["user"] == "dora@shop.test"

@pytest.mark.world({"tls": "off", "mail": {"size": 5}}, ports={"submission": 0}, source="mine")
def test_with_arguments_of_the_world(world):
    assert list(world.listeners) == ["submission"]

@pytest.mark.world({"host": {"name": "web1"}}, servers=["pop3"], host="127.0.0.1", rehearsal=True)
def test_with_an_interface_and_a_table_of_the_same_name(world):
    assert world.host.name == "web1" and list(world.servers) == ["pop3"] and world.clock

@pytest.mark.world(host={"name": "web2"})
def test_with_a_table_as_a_keyword(world):
    assert world.host.name == "web2"

@pytest.mark.world({"mial": {}})
def test_with_a_mistake(world):
    pass
"""


def test_a_failure_shows_what_crossed_the_wire_with_secrets_masked(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess("-p", "fakes.pytest_plugin", "-p", "no:asyncio")
    result.assert_outcomes(passed=5, failed=1, errors=2)
    result.stdout.fnmatch_lines(
        ["*what crossed the wire*", "C: AUTH PLAIN {plain alice}", "S: 250 2.0.0 Queued as *"]
    )
    result.stdout.fnmatch_lines(["*UnmetFault*armed and never met: smtp RCPT reset*"])
    result.stdout.fnmatch_lines(["*WorldError: world: mial: unknown key (did you mean 'mail'?)*"])
    transcript = result.stdout.str().split("what crossed the wire")[1].split("====")[0]
    assert "AGFsaWNlAHNlY3JldA" not in transcript
    unmet = result.stdout.str().partition("test_with_a_fault_that_is_never_met")[2]
    assert "what crossed the wire" in unmet and "(nothing)" in unmet


OTHER_FIXTURES = """
import smtplib
import pytest
from fakes import World

def noop(world, name):
    with smtplib.SMTP(*world.address("smtp"), local_hostname=name) as client:
        client.ehlo()

@pytest.fixture
def server():
    with World({"tls": "off"}) as one:
        yield one

@pytest.fixture(scope="module")
def shared():
    with World({"tls": "off"}, faults=["DATA reset"]) as one:
        noop(one, "shared-set-up")
        yield {"in a table": one}

@pytest.fixture
def broken():
    with World({"tls": "off"}) as one:
        noop(one, "broken-set-up")
        raise RuntimeError("set-up")
        yield

@pytest.fixture
def broken_later(server):
    yield
    noop(server, "broken-tear-down")
    raise RuntimeError("tear-down")

def test_passes(shared):
    noop(shared["in a table"], "of-a-test-that-passes")

def test_other_name(server):
    noop(server, "other-name")
    assert not server

def test_shared(shared):
    noop(shared["in a table"], "of-the-test")
    assert not shared

def test_several(server, shared):
    noop(server, "first-of-several")
    noop(shared["in a table"], "second-of-several")
    assert False

def test_set_up(broken):
    pass

def test_tear_down(broken_later):
    pass

def test_in_the_test_itself():
    with World({"tls": "off"}) as world:
        noop(world, "own-world")
        assert False

def test_without_a_world():
    assert False

def test_last(shared):
    pass
"""


def test_every_failure_shows_the_wire_of_each_world_that_served(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(OTHER_FIXTURES)
    result = pytester.runpytest_inprocess("-p", "fakes.pytest_plugin", "-p", "no:asyncio")
    result.assert_outcomes(passed=3, failed=5, errors=3)
    shown = result.stdout.str().partition("short test summary")[0]
    parts = re.split(r"(?m)^_{3,} (.+?) _{3,}$", shown)
    reports = dict(zip(parts[1::2], parts[2::2], strict=True))

    def greeted(title: str) -> list[str]:
        return re.findall(r"C: ehlo (\S+)", reports[title])

    assert greeted("test_other_name") == ["other-name"]
    assert greeted("test_shared") == ["of-the-test"], "nothing of the tests before"
    assert greeted("test_several") == ["second-of-several", "first-of-several"]
    assert "what crossed the wire (world 2 of 2)" in reports["test_several"]
    assert greeted("ERROR at setup of test_set_up") == ["broken-set-up"]
    assert greeted("ERROR at teardown of test_tear_down") == ["broken-tear-down"]
    assert greeted("test_in_the_test_itself") == ["own-world"]
    assert "what crossed the wire" not in reports["test_without_a_world"]
    last = "ERROR at teardown of test_last"
    assert "UnmetFault" in reports[last]
    assert greeted(last)[:2] == ["shared-set-up", "of-a-test-that-passes"], "the whole recording"
