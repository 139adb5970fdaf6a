"""How do I …? Questions of people whose tests or programs are not in Python: the control API.

The requests are made by urllib here; any client of HTTP makes the same ones.
"""

from __future__ import annotations

import json
import smtplib
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow  # for the process that is started


class Fakes:
    """A running `python -m fakes`."""

    def __init__(self, ready: dict[str, Any]) -> None:
        host, port = ready["smtp"]
        self.smtp = (str(host), int(port))
        self.url = "http://{}:{}".format(*ready["control"])

    def send(self, subject: str) -> None:
        """What the program under test does."""
        with smtplib.SMTP(*self.smtp, local_hostname="shop.example") as client:
            mail = f"Subject: {subject}\r\n\r\nhello\r\n"
            client.sendmail("shop@example.org", ["bob@example.test"], mail)

    def ask(self, path: str, method: str = "GET", body: str = "") -> Any:
        """Returns what `curl -X METHOD -d BODY URL` would print, decoded."""
        request = urllib.request.Request(self.url + path, body.encode() or None, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fakes]:
    folder: Path = tmp_path_factory.mktemp("mails")
    (folder / "alice@example.test").mkdir()
    (folder / "alice@example.test" / "1.eml").write_bytes(b"Subject: old\r\n\r\n")
    command = [sys.executable, "-m", "fakes", "--quiet", "--smtp", "0", "--control", "0"]
    with subprocess.Popen(
        [*command, "--preload", str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        yield Fakes(json.loads(process.stdout.readline()))
        process.terminate()


def test_how_do_i_see_mails_from_another_process(fakes: Fakes) -> None:
    mark = fakes.ask("/mails")["mark"]
    fakes.send("Order 7")
    (mail,) = fakes.ask(f"/mails/wait?subject=Order+*&to=bob@example.test&since={mark}")["mails"]
    assert (mail["text"], mail["envelope"]["sender"]) == ("hello\n", "shop@example.org")


def test_how_do_i_arm_a_fault_while_the_server_runs(fakes: Fakes) -> None:
    fakes.ask("/faults", "POST", 'RCPT nth 1 reply "451 4.3.0 later"')
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        fakes.send("Order 8")
    fakes.send("Order 8")
    fakes.ask("/faults", "DELETE")


def test_how_do_i_stop_and_start_the_server_from_outside(fakes: Fakes) -> None:
    fakes.ask("/faults", "POST", "smtp connect refuse")
    with pytest.raises(ConnectionRefusedError):
        fakes.send("Order 9")
    fakes.ask("/faults", "DELETE")
    fakes.send("Order 9")


def test_how_do_i_begin_each_test_with_empty_mailboxes(fakes: Fakes) -> None:
    fakes.send("Order 10")
    fakes.ask("/mails", "DELETE")
    assert fakes.ask("/mails")["mails"] == []


def test_how_do_i_begin_with_mails_that_are_there_already(fakes: Fakes) -> None:
    fakes.ask("/mails?to=alice@example.test", "POST", "Subject: new\r\n\r\n")
    mails = fakes.ask("/people/alice@example.test/inbox")["mails"]
    assert mails[-1]["subject"] == "new"


def test_how_do_i_look_at_a_mail_in_a_browser(fakes: Fakes) -> None:
    with urllib.request.urlopen(fakes.url, timeout=10) as page:
        assert b"<html" in page.read()


def test_how_do_i_learn_what_went_wrong(fakes: Fakes) -> None:
    with pytest.raises(urllib.error.HTTPError) as missed:
        fakes.ask("/mails/wait?subject=Ordre&timeout=0")
    assert "expected one mail" in json.load(missed.value)["error"]
