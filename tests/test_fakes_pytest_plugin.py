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
"""


def test_a_failure_shows_what_crossed_the_wire_with_secrets_masked(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(TESTS)
    result = pytester.runpytest_inprocess("-p", "fakes.pytest_plugin", "-p", "no:asyncio")
    result.assert_outcomes(passed=2, failed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["*what crossed the wire*", "C: AUTH PLAIN {plain alice}", "S: 250 2.0.0 Queued as *"]
    )
    result.stdout.fnmatch_lines(["*UnmetFault*armed and never met: smtp RCPT reset*"])
    transcript = result.stdout.str().split("what crossed the wire")[1].split("====")[0]
    assert "AGFsaWNlAHNlY3JldA" not in transcript
