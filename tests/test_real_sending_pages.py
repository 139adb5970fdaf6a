# apt-get install: postfix dovecot-core
"""The smaller programs that send mail, with a real Postfix: each of them once.

Postfix needs root.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.trap import trapped
from fakes.world import World
from tests.real import dovecot_auth, postfix

pytestmark = pytest.mark.real

ROOT = Path(__file__).parent.parent
OPS, BOB = "ops@yourco.test", "bob@yourco.test"
PHONE = "5550100123@sms.yourco.test"
USER, PASSWORD = "ops@yourco.test", "pass word"
Live = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def town() -> Iterator[World]:
    """Where Postfix delivers to."""
    people = [{"address": address} for address in (OPS, BOB, PHONE)]
    with World({"servers": ["smtp"], "person": people}) as world:
        yield world


@pytest.fixture(scope="module")
def live(town: World) -> Iterator[Live]:
    """Runs a program on one Postfix for all tests: `live(folder, name, settings)`."""
    with postfix((OPS, BOB, PHONE), town.address("smtp")[1], sasl=True) as (
        server,
        authority,
        place,
    ):
        with dovecot_auth(place / "queue" / "private" / "auth", {USER: PASSWORD}):

            def run(
                folder: Path, name: str, table: str, smtp: str = ""
            ) -> subprocess.CompletedProcess[str]:
                site = folder / "site.toml"
                site.write_text(
                    f'[smtp]\nhost = "localhost"\nport = {server.port}\ntimeout = 10\n'
                    f'ca_file = "{authority.ca_file}"\n{smtp}\n[scenario.{name}]\n{table}\n'
                )
                site.chmod(0o600)
                command = [sys.executable, "-m", "scenarios", "run", name, "--once", "--live"]
                return subprocess.run(
                    [*command, str(site)], cwd=ROOT, capture_output=True, text=True, timeout=60
                )

            yield run


def test_a_mail_by_hand_goes_through_postfix_inside_tls(
    live: Live, town: World, tmp_path: Path
) -> None:
    table = f'sender = "{OPS}"\nto = ["{BOB}"]\ntext = "one\\n.\\n..two"\npipelining = true'
    done = live(tmp_path, "smtp-by-socket", table)
    assert (done.returncode, done.stderr) == (0, "")
    assert "C: STARTTLS\nS: 220" in done.stdout
    mail = town.mail.wait_for(subject="Written by hand", timeout=30)
    assert mail.raw.endswith(b"\r\n\r\none\r\n.\r\n..two\r\n")
    refused = live(tmp_path, "smtp-by-socket", table.replace("bob@", "nobody@"))
    assert refused.returncode == 4
    assert "RCPT TO:<nobody@yourco.test>: 550 5.1.1" in refused.stderr


def test_each_scheme_logs_in_to_postfix_and_a_wrong_password_is_tried_once(
    live: Live, tmp_path: Path
) -> None:
    smtp = f'user = "{USER}"\npassword = "{PASSWORD}"'
    done = live(tmp_path, "smtp-auth", "initial_response = false", smtp)
    assert (done.returncode, done.stderr) == (0, "")
    schemes = ("SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN")
    assert done.stdout == "".join(f"{scheme}: logged in\n" for scheme in schemes)
    done = live(tmp_path, "smtp-auth", "", smtp.replace("pass word", "wrong"))
    assert (done.returncode, done.stdout) == (4, "")
    assert "by SCRAM-SHA-256: 535" in done.stderr and "wrong" not in done.stderr


def test_a_message_from_a_file_goes_through_postfix_byte_for_byte(
    live: Live, town: World, tmp_path: Path
) -> None:
    raw = (
        "From: Ünal <unal@elsewhere.test>\r\nSubject: from a file\r\nBcc: secret@x.test\r\n"
        "Date: Mon, 05 Jan 2026 00:00:00 +0000\r\nMessage-ID: <f@x.test>\r\n\r\n.\r\n ü \r\n"
    ).encode()
    (tmp_path / "a.eml").write_bytes(raw)
    table = f'file = "a.eml"\nsender = "{OPS}"\nto = ["{BOB}"]\nresent_from = "Ops <{OPS}>"'
    done = live(tmp_path, "send-raw-message", table)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"repaired: removed bcc\n{BOB}: accepted\n"
    mail = town.mail.wait_for(subject="from a file", timeout=30)
    assert mail.raw.endswith(raw.replace(b"Bcc: secret@x.test\r\n", b""))
    assert mail.headers["Resent-From"] == f"Ops <{OPS}>"


def test_a_text_message_goes_through_postfix_to_the_gateway(
    live: Live, town: World, tmp_path: Path
) -> None:
    table = (
        f'check = ["sh", "-c", "echo 98 %; exit 2"]\nsender = "{OPS}"\nconfirm = 1\n'
        'phones = { "(555) 010-0123" = "acme", "5550100999" = "acme" }\n'
        'carriers = { acme = "sms.yourco.test" }'
    )
    done = live(tmp_path, "sms-alert", table)
    assert done.returncode == 1
    assert f"text-sent to={PHONE}" in done.stderr
    assert "text-refused to=5550100999@sms.yourco.test" in done.stderr
    text = town.mail.wait_for(to=PHONE, timeout=30).text
    assert text.strip().endswith("FAILED: 98 %")


@pytest.mark.parametrize("protocol", ["pop3", "imap"])
def test_mail_reaches_a_trap_through_postfix_and_no_customer(tmp_path: Path, protocol: str) -> None:
    """Postfix passes everything on to the trap, as a relay of a test environment does."""
    customer, nobody = "ann@gmail.test", "nobody@trap.invalid"
    people = [{"address": "trap@yourco.test", "password": "trap"}]
    servers = ["smtp", protocol]
    config = {"servers": servers, "tls": "off", "mail": {"trap": True}, "person": people}
    with (
        World(config) as world,
        postfix((customer, nobody), world.address("smtp")[1]) as (server, authority, _),
    ):
        world.mail.append_to(tmp_path / "trap.txt")
        site = tmp_path / "site.toml"
        site.write_text(
            f'[smtp]\nhost = "localhost"\nport = {server.port}\nca_file = "{authority.ca_file}"\n'
            f'[{protocol}]\nhost = "127.0.0.1"\nport = {world.address(protocol)[1]}\ntls = "none"\n'
            'user = "trap"\npassword = "trap"\n[scenario.mail-trap]\nsender = "shop@yourco.test"\n'
            f'customers = ["{customer}"]\npatience = 30\n'
        )
        site.chmod(0o600)
        command = [sys.executable, "-m", "scenarios", "run", "mail-trap", "--live", str(site)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=90)
        assert (done.returncode, done.stdout) == (0, f"{customer}: trapped\n"), done.stderr
    to = [mail.envelope.to for mail in trapped(tmp_path / "trap.txt")]
    assert to == [[nobody], [customer]]
