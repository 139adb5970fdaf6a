"""The plugin, as the tests of another project use it."""

from __future__ import annotations

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
