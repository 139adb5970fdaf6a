"""`python -m fakes`, as a process."""

from __future__ import annotations

import json
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.toc_raw import RawOnSocket, roasted

HERE = Path(__file__).parent.parent


@contextmanager
def serving(*options: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "fakes", *options], cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        yield json.loads(process.stdout.readline()), process
    finally:
        process.kill()
        process.communicate()


def refused(*options: str) -> str:
    done = subprocess.run([sys.executable, "-m", "fakes", *options], cwd=HERE, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2, done
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_serves_until_it_is_asked_to_end_and_shows_the_wire_masked(tmp_path: Path) -> None:
    port_file = tmp_path / "ports.json"
    with serving("--smtp", "0", "--user", "carol@shop.test:hunter2", "--port-file", str(port_file)) as (ready, process):
        assert ready["ready"] is True and json.loads(port_file.read_text()) == ready
        assert set(ready) == {"ready", "smtp", "ca"}, "only the port that was named"
        with smtplib.SMTP(ready["smtp"][0], ready["smtp"][1], "client.example") as client:
            client.starttls(context=ssl.create_default_context(cafile=ready["ca"])) if ready["ca"] else None
            client.login("carol", "hunter2")
        process.send_signal(signal.SIGTERM)
        _, wire = process.communicate(timeout=30)
        assert process.returncode == 0
    assert "smtp-1 C: QUIT".lower() in wire.lower() and "{cram-md5 carol}" in wire and "hunter2" not in wire
    assert not ready["ca"] or not Path(ready["ca"]).exists(), "what it made is gone with it"


def test_a_world_file_and_a_fault_are_obeyed(tmp_path: Path) -> None:
    world = tmp_path / "world.toml"
    world.write_text('[[person]]\naddress = "dora@shop.test"\n[off]\nsmtp = ["PIPELINING"]\n')
    with serving("--smtp", "0", "--quiet", "--world", str(world), "--fault", 'NOOP reply "250 as told"') as (
        ready,
        process,
    ):
        with smtplib.SMTP(ready["smtp"][0], ready["smtp"][1], "client.example") as client:
            client.ehlo()
            assert not client.has_extn("pipelining")
            assert client.noop() == (250, b"as told")
            assert client.rcpt("dora@shop.test")[0] == 503
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[1] == ""
        assert process.returncode == 0


def test_aim_accounts_sign_on_and_no_password_is_shown() -> None:
    options = ("--toc", "0", "--aim", "Ops Bot:hun:ter2", "--aim", "bob:x", "--fault", "connect delay 0")
    with serving(*options) as (ready, process):
        assert set(ready) == {"ready", "toc", "ca"}
        with RawOnSocket((ready["toc"][0], ready["toc"][1]), "opsbot", "hun:ter2", form="toc2_signon") as bot:
            bot.sign_on()
            bot.say("toc_get_status opsbot")
            bot.until(lambda message: message.startswith("UPDATE_BUDDY2:Ops Bot:T"))
        process.send_signal(signal.SIGTERM)
        _, wire = process.communicate(timeout=30)
    assert "toc-1 C: toc_init_done" in wire and "{roasted opsbot}" in wire and "{code opsbot}" in wire
    assert roasted("hun:ter2") not in wire


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port}" in refused("--smtp", str(port))


WRONG: list[tuple[list[str], str]] = [
    (["--smtpp", "0"], "unrecognized"),
    (["--smtp", "0", "--user", "carol"], "NAME@DOMAIN:PASSWORD"),
    (["--toc", "0", "--aim", "carol"], "SCREEN NAME:PASSWORD"),
    (["--toc", "0", "--aim", "a:b", "--aim", "A:c"], "A is in this world twice"),
    (["--toc", "0", "--smtp", "0", "--fault", "connect reset"], "smtp and toc both know 'connect'"),
    (["--smtp", "0", "--fault", "smtp RCTP reset"], "did you mean 'rcpt'"),
    (["--smtp", "0", "--world", "no-such-file.toml"], "cannot be read"),
    (["--smtp", "0", "--tls", "maybe"], "invalid choice"),
]  # fmt: skip
# Runs the command once with each of these lists of options: [exit code, what is on stderr] for each.
EACH = """
import contextlib, io, json, sys
from fakes.__main__ import main
found = []
for options in json.loads(sys.argv[1]):
    stderr = io.StringIO()
    with contextlib.redirect_stderr(stderr):
        try:
            code = main(options)
        except SystemExit as error:
            code = error.code
    found.append([code, stderr.getvalue()])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def refusals() -> list[tuple[int, str]]:
    """The outcome of each of the `WRONG` options, in one process for all."""
    options = json.dumps([words for words, _ in WRONG])
    command = [sys.executable, "-c", EACH, options]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=30, check=True)
    return [(code, stderr) for code, stderr in json.loads(done.stdout)]


@pytest.mark.parametrize("number", range(len(WRONG)), ids=[" ".join(words) for words, _ in WRONG])
def test_wrong_words_exit_with_2_and_say_which(refusals: list[tuple[int, str]], number: int) -> None:
    code, stderr = refusals[number]
    assert code == 2 and WRONG[number][1] in stderr and "Traceback" not in stderr
