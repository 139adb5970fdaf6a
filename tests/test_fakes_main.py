"""`python -m fakes`, as a process."""

from __future__ import annotations

import http.client
import imaplib
import io
import json
import os
import poplib
import pty
import signal
import smtplib
import socket
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from comms.clock import RealClock
from comms.host import RealHost
from comms.settings import load
from comms.smtp import Session
from fakes import __main__ as command
from fakes.__main__ import main
from tests.toc_raw import RawOnSocket, roasted

HERE = Path(__file__).parent.parent


# The other thread sends the signal once the main thread stays at one instruction: it waits.
SIGNALLED_IN_ANOTHER_THREAD = """
import os, signal, sys, threading
from fakes.__main__ import main

def stop():
    os.read(reading, 1)
    same, before = 0, None
    while same < 20000:
        os.stat("/")  # lets the main thread run
        frame = sys._current_frames()[threading.main_thread().ident]
        same, before = same + 1 if before == (frame, frame.f_lasti) else 0, (frame, frame.f_lasti)
    signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

reading, writing = os.pipe()
threading.Thread(target=stop, daemon=True).start()
sys.stdout = os.fdopen(writing, "w")
raise SystemExit(main(["--smtp", "0", "--tls", "off"]))
"""


@contextmanager
def serving(*options: str) -> Iterator[tuple[dict[str, Any], subprocess.Popen[str]]]:
    """Runs the command. Yields the line of JSON that it prints, and the process."""
    process = subprocess.Popen(
        [sys.executable, "-m", "fakes", *options],
        cwd=HERE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    try:
        yield json.loads(process.stdout.readline()), process
    finally:
        process.kill()
        process.communicate()


# ── serving ──────────────────────────────────────────────────────────────────


def test_it_serves_until_sigterm_and_shows_the_wire_with_secrets_masked(tmp_path: Path) -> None:
    port_file = tmp_path / "ports.json"
    user = "carol@shop.test:hunter2"
    with serving("--smtp", "0", "--user", user, "--port-file", str(port_file)) as (ready, process):
        assert ready["ready"] is True and json.loads(port_file.read_text()) == ready
        assert set(ready) == {"ready", "smtp", "ca"}, "only the port that was named"
        with smtplib.SMTP(ready["smtp"][0], ready["smtp"][1], "client.example") as client:
            if ready["ca"]:
                client.starttls(context=ssl.create_default_context(cafile=ready["ca"]))
            client.login("carol", "hunter2")
        process.send_signal(signal.SIGTERM)
        _, wire = process.communicate(timeout=30)
        assert process.returncode == 0
    assert "smtp-1 C: QUIT".lower() in wire.lower()
    assert "{cram-md5 carol}" in wire and "hunter2" not in wire
    assert not ready["ca"] or not Path(ready["ca"]).exists(), "its temporary files are removed"


@pytest.mark.slow
def test_a_terminal_that_is_closed_ends_it_cleanly() -> None:
    with serving("--smtp", "0") as (ready, process):
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=30)
        assert process.returncode == 0
    assert not Path(ready["ca"]).exists(), "its temporary files are removed"


@pytest.mark.slow
def test_under_nohup_it_serves_on() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the process inherits it
    try:
        with serving("--smtp", "0", "--tls", "off") as (ready, process):
            process.send_signal(signal.SIGHUP)
            host, port = ready["smtp"]
            with smtplib.SMTP(host, port, "client.example", timeout=20) as client:
                assert client.noop()[0] == 250
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
def test_the_control_api_waits_for_mail_and_streams_the_wire() -> None:
    with serving("--smtp", "0", "--control", "0", "--tls", "off", "--quiet") as (ready, process):
        host, port = ready["control"]
        stream = http.client.HTTPConnection(host, port, timeout=20)
        stream.request("GET", "/wire")
        wire = stream.getresponse()
        with smtplib.SMTP(ready["smtp"][0], ready["smtp"][1], "client.example") as client:
            client.sendmail("carol@shop.test", ["bob@example.test"], "Subject: hi\r\n\r\n")
        with urllib.request.urlopen(f"http://{host}:{port}/mails/wait?subject=hi") as answer:
            assert json.load(answer)["mails"][0]["envelope"]["to"] == ["bob@example.test"]
        while b"RCPT" not in wire.readline().upper():
            pass
        process.send_signal(signal.SIGTERM)
        _, shown = process.communicate(timeout=30)
        stream.close()
    assert (process.returncode, shown) == (0, "")


@pytest.mark.slow
def test_mails_are_delivered_before_it_serves(tmp_path: Path) -> None:
    (tmp_path / "bob@example.test").mkdir()
    for name in ("2", "1"):
        (tmp_path / "bob@example.test" / f"{name}.eml").write_text(f"Subject: {name}\n\nhi\n")
    options = ("--pop3", "0", "--preload", str(tmp_path), "--tls", "off")
    with serving(*options) as (ready, _):
        client = poplib.POP3(*ready["pop3"])
        client.user("bob")
        client.pass_("secret")
        assert client.stat()[0] == 2 and b"Subject: 1" in client.retr(1)[1]
        client.quit()
        with socket.create_connection(ready["pop3"], 5) as link:
            link.sendall(b"USER bob\r\nPASS secret\r\nRETR 1\r\nQUIT\r\n")
            answer = link.makefile("rb").read()
    assert b"\r\nSubject: 1\r\n\r\nhi\r\n.\r\n" in answer, "RFC 1939 §3"


@pytest.mark.slow
def test_at_a_terminal_it_says_what_a_person_needs() -> None:
    terminal, other = pty.openpty()
    people = ["--user", "bob@example.test:secret", "--user", "grł@example.test:secret"]
    options = ["--smtp", "0", "--control", "0", "--tls", "off", "--quiet", *people]
    command = [sys.executable, "-m", "fakes", *options]
    environment = os.environ | {"PYTHONIOENCODING": "cp1252"}
    process = subprocess.Popen(command, cwd=HERE, stdout=other, stderr=other, env=environment)
    os.close(other)
    with os.fdopen(terminal, "rb", buffering=0) as screen:
        shown = b""
        while b"Ctrl-C" not in shown:
            shown += screen.read(1000)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    lines = shown.decode().splitlines()
    address, port = json.loads(lines[0])["smtp"]
    assert f"  smtp     {address} {port}" in lines
    assert "  Look: http://{}:{}/".format(*json.loads(lines[0])["control"]) in lines
    assert "  bob@example.test (password secret)" in lines
    assert r"  gr\u0142@example.test (password secret)" in lines
    (hint,) = [line.removeprefix("  Try: ") for line in lines if "Try: " in line]
    assert f"curl smtp://{address}:{port} " in hint


@pytest.mark.slow
def test_a_signal_that_another_thread_receives_stops_it_too() -> None:
    """The system chooses the thread; the main thread's wait is then not interrupted."""
    process = subprocess.run(
        [sys.executable, "-c", SIGNALLED_IN_ANOTHER_THREAD],
        cwd=HERE,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.slow
def test_the_world_file_and_the_faults_take_effect(tmp_path: Path) -> None:
    world = tmp_path / "world.toml"
    world.write_text(
        '[[person]]\naddress = "dora@shop.test"\n[off]\nsmtp = ["PIPELINING"]\n[keep]\nmail = 0\n'
    )
    options = ["--smtp", "0", "--quiet", "--world", str(world)]
    with serving(*options, "--fault", 'NOOP reply "250 as armed"') as (ready, process):
        with smtplib.SMTP(ready["smtp"][0], ready["smtp"][1], "client.example") as client:
            client.ehlo()
            assert not client.has_extn("pipelining")
            assert client.noop() == (250, b"as armed")
            assert client.rcpt("dora@shop.test")[0] == 503
            for _ in range(2):
                client.sendmail("carol@example.org", "dora@shop.test", "Subject: hi\r\n\r\n")
        process.send_signal(signal.SIGINT)
        # --quiet shows nothing of the wire, but what was dropped.
        (said,) = process.communicate(timeout=30)[1].splitlines()
        assert said.startswith("dora@shop.test: dropped 1 mail, ")
        assert process.returncode == 0


@pytest.mark.slow
def test_the_authority_is_kept_and_the_settings_are_those_of_a_program(tmp_path: Path) -> None:
    folder, file = tmp_path / "ca", tmp_path / "site.toml"
    options = ("--smtp", "0", "--ca-dir", str(folder), "--settings", str(file))
    known = set()
    for _ in range(2):
        with serving(*options) as (ready, _):
            assert ready["ca"] == str(folder / "ca.pem")
            known.add((folder / "ca.pem").read_bytes())
            server = load(file, warn=pytest.fail).server("smtp")
            with closing(RealClock()) as clock, Session(server, clock, RealHost()) as session:
                raw = b"Subject: hi\r\n\r\nhello\r\n"
                session.send("alice@example.test", ["bob@example.test"], raw)
    assert len(known) == 1
    assert {path.stat().st_mode & 0o777 for path in (file, folder / "ca-key.pem")} == {0o600}
    (folder / "ca-key.pem").write_text("no key")
    done = subprocess.run(
        [sys.executable, "-m", "fakes", *options], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {folder}: is not a key of an authority; name a folder")


@pytest.mark.slow
def test_a_trap_appends_mail_for_any_address_and_serves_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "trap.txt"
    ports = ("--smtp", "0", "--pop3", "0", "--imap", "0")
    options = (*ports, "--tls", "off", "--trap", str(file))
    with serving(*options) as (ready, _):
        with smtplib.SMTP(ready["smtp"][0], ready["smtp"][1], "client.example") as client:
            client.sendmail("shop@x.test", ["ann@gmail.com"], "Subject: Order 1\r\n\r\nhi\r\n")
        maildrop = poplib.POP3(ready["pop3"][0], ready["pop3"][1], timeout=20)
        maildrop.user("trap@example.test")
        maildrop.pass_("trap")
        assert b"Subject: Order 1" in maildrop.retr(1)[1]
        maildrop.quit()
        with imaplib.IMAP4(ready["imap"][0], ready["imap"][1], timeout=20) as mailbox:
            mailbox.login("trap@example.test", "trap")
            assert mailbox.select() == ("OK", [b"1"])
    assert "from <shop@x.test> to <ann@gmail.com>\nSubject: Order 1\n\nhi\n" in file.read_text()


@pytest.mark.slow
def test_aim_accounts_can_sign_on_and_no_password_is_shown() -> None:
    accounts = ("--aim", "Ops Bot:hun:ter2", "--aim", "bob:x")
    with serving("--toc", "0", *accounts, "--fault", "connect delay 0") as (ready, process):
        assert set(ready) == {"ready", "toc", "ca"}
        address = (ready["toc"][0], ready["toc"][1])
        with RawOnSocket(address, "opsbot", "hun:ter2", form="toc2_signon") as bot:
            bot.sign_on()
            bot.say("toc_get_status opsbot")
            bot.until(lambda message: message.startswith("UPDATE_BUDDY2:Ops Bot:T"))
        process.send_signal(signal.SIGTERM)
        _, wire = process.communicate(timeout=30)
    assert "toc-1 C: toc_init_done" in wire
    assert "{roasted opsbot}" in wire and "{code opsbot}" in wire
    assert roasted("hun:ter2") not in wire


@pytest.mark.slow
def test_irc_has_options_of_its_own_and_no_password_is_shown() -> None:
    options = ["--irc-name", "hub.test", "--irc-password", "sesame", "--irc-oper", "root:toor"]
    accounts = ["--user", "carol:hunter2", "--domain", "shop.test"]
    with serving("--irc", "0", *options, *accounts) as (ready, process):
        assert set(ready) == {"ready", "irc", "ca"}
        with socket.create_connection((ready["irc"][0], ready["irc"][1])) as client:
            client.sendall(
                b"PASS sesame\r\nNICK bot\r\nUSER bot 0 * :A bot\r\nOPER root toor\r\n"
                b"NS IDENTIFY carol hunter2\r\nQUIT\r\n"
            )
            with client.makefile("rb") as answers:
                text = answers.read().decode()
        process.send_signal(signal.SIGTERM)
        _, wire = process.communicate(timeout=30)
    assert ":hub.test 381 bot" in text and ":hub.test 900 bot" in text
    for shown in ("{irc-password server}", "{irc-oper root}", "{irc-account carol}"):
        assert shown in wire
    assert not any(secret in wire for secret in ("sesame", "toor", "hunter2"))


# ── mistakes ─────────────────────────────────────────────────────────────────


@pytest.mark.slow
def test_a_port_that_is_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "fakes", "--smtp", str(port)]
        done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2, done
    assert f"port {port}" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("options", "world", "problem"),
    [
        (["--smtpp", "0"], "", "unrecognized"),
        (["--smtp", "70000"], "", "argument --smtp: '70000' is not a port; write a number from 0"),
        (["--smtp", "x"], "", "argument --smtp: 'x' is not a port"),
        (["--xmpp-s2s", "x"], "", "argument --xmpp-server/--xmpp-s2s: 'x' is not a port"),
        (["--xmpp-component", "x"], "", "argument --component/--xmpp-component: 'x' is not a"),
        (["--smtp", "-1"], "", "argument --smtp: '-1' is not a port; write a number from 0"),
        (["--smtp", "٣"], "", "argument --smtp: '٣' is not a port"),
        (["--world", "/dev/null/x"], "", "Not a directory; write the path of a readable file"),
        (["--world", "/"], "", "/: cannot be read: Is a directory; write the path of a readable"),
        (["--world", "/dev/zero"], "", "/dev/zero: cannot be read: more than 16777216 bytes; "),
        (["--smtp", "0", "--host", "192.0.2.1"], "", "name another address with --host"),
        (["--smtp", "0", "--user", "carol"], "", "NAME@DOMAIN:PASSWORD"),
        (
            ["--smtp", "0", "--user", "a@b.test:x", "--user", "A@b.test:y"],
            "",
            "error: world: person: A@b.test is in this world twice",
        ),
        (["--toc", "0", "--aim", "carol"], "", "SCREEN NAME:PASSWORD"),
        (["--irc", "0", "--irc-oper", "root"], "", "--irc-oper: not a name and a password; write"),
        (["--irc", "0", "--user", "carol"], "", "NAME@DOMAIN:PASSWORD, or NAME:PASSWORD"),
        (["--toc", "0", "--aim", "a:b", "--aim", "A:c"], "", "A is in this world twice"),
        (
            ["--toc", "0", "--smtp", "0", "--fault", "connect reset"],
            "",
            "smtp and toc have a place 'connect'",
        ),
        (["--smtp", "0", "--fault", "smtp RCTP reset"], "", "did you mean 'rcpt'"),
        (["--smtp", "0", "--world", "no-such-file.toml"], "", "cannot be read"),
        (["--smtp", "0", "--tls", "maybe"], "", "invalid choice"),
        (["--smtp", "0"], 'tls = "maybe"', "world.toml: tls: unknown value 'maybe'"),
        (
            ["--smtp", "0", "--imaps", "0"],
            'servers = ["smtp"]',
            'world.toml: servers: imap is missing for --imaps; write servers = ["smtp", "imap"]',
        ),
        (["--smtp", "0"], 'program = "eve@x.test"', "world.toml: program: unknown account 'eve"),
        (["--smtp", "0"], "[mail]\ngreylist = -5", "world.toml: mail.greylist: -5 is not possible"),
        (
            ["--smtp", "0"],
            '[[fault]]\nwhere = "RCTP"\nreply = "x"',
            "world.toml: fault: RCTP reply",
        ),
        (
            ["--smtp", "0"],
            'fault = ["smtp-412"]',
            "(did you mean 'smtp-421'?)",
        ),
        (["--smtp", "0", "--domain", "x.test"], "mail = 5", "world.toml: mail: expected a table"),
        (["--smtps", "0", "--tls", "off"], "", "error: ports: smtps needs TLS, which is off"),
        (
            ["--smtp", "0", "--port-file", "/nonexistent/x"],
            "",
            "--port-file: /nonexistent/x: No such file or directory; name a file in a folder",
        ),
        (
            ["--smtp", "0", "--trap", "/nonexistent/x"],
            "",
            "--trap: /nonexistent/x: No such file or directory; name a file in a folder",
        ),
        (
            ["--smtp", "0", "--fault", "clock-jump"],
            "",
            "clock-jump: this world runs on real",
        ),
        (["--smtp", "0", "--fault", "STARTTLS off", "--fault", "RCPT off"], "", "not a capability"),
        (
            ["--smtp", "0", "--preload", "/nonexistent"],
            "",
            "--preload: /nonexistent: No such file or directory; name mails that can be read",
        ),
        (
            ["--smtp", "0", "--post-to", "http://example.org/"],
            "",
            "error: world: mail.post_to: 'http://example.org/' is not a URL of this machine; write",
        ),
        (
            ["--smtp", "0", "--control", "0", "--host", "0.0.0.0"],
            "",
            "--control: everybody who can reach 0.0.0.0 could use it; name the environment",
        ),
        (
            ["--smtp", "0", "--control", "0", "--control-token-env", "NO_SUCH_VARIABLE"],
            "",
            "--control-token-env: the environment has no variable of this name; set it to",
        ),
        (
            ["--smtp", "0", "--control-token-env", "HOME"],
            "",
            "--control-token-env: there is no control API; add --control PORT",
        ),
    ],
)
def test_a_mistake_ends_with_2_and_one_line_that_says_what_to_write(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], world: str, problem: str
) -> None:
    file = tmp_path / "world.toml"
    file.write_text(world)
    # In this process, because starting Python for each mistake would take half a second.
    try:
        code: object = main([*options, *(["--world", str(file)] if world else [])])
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "") and "Traceback" not in err, err
    assert problem in err.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--smpt", "0"], "unrecognized arguments: --smpt (did you mean '--smtp'?)"),
        (["--smtp", "65536"], "'65536' is not a port; write a number from 0 to 65535"),
        (["--tls", "maybe"], "invalid choice: 'maybe'"),
        (["--fault"], "argument --fault: expected one argument"),
    ],
)
def test_a_wrong_option_is_one_line(
    capsys: pytest.CaptureFixture[str], options: list[str], text: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(options)
    err = capsys.readouterr().err
    assert caught.value.code == 2 and text in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--user", "s3cret"],
        ["--user", ":s3cret"],
        ["--aim", "s3cret"],
        ["--irc-oper", "s3cret"],
        ["--component-host", "s3cret"],
        ["--usr", "carol@example.test:s3cret"],
        ["--irc-pasword=s3cret"],
        ["--irc-=s3cret"],
        ["--irc-password", "my", "s3cret"],
        ["--control", "0", "--control-token-env", "s3cret"],
    ],
)
def test_a_mistake_does_not_repeat_what_may_be_a_password(
    capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    try:
        code: object = main(["--smtp", "0", "--tls", "off", *options])
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "") and "s3cret" not in err
    assert err.startswith("error: ") and err.count("\n") == 1 and "; " in err


def test_a_full_disk_under_stdout_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "wb", buffering=0) as full:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(full, write_through=True))
        assert main(["--smtp", "0", "--tls", "off", "--quiet"]) == 2
    wanted = "error: stdout: cannot be written: No space left on device; write the line to a file"
    assert capsys.readouterr().err.startswith(wanted)


@pytest.mark.slow
def test_when_nobody_reads_stderr_any_more_it_serves_on() -> None:
    with serving("--smtp", "0", "--tls", "off") as (ready, process):
        assert process.stderr is not None
        process.stderr.close()
        host, port = ready["smtp"]
        for _ in range(2):
            with smtplib.SMTP(host, port, "client.example", timeout=20) as client:
                assert client.noop()[0] == 250
        process.terminate()
        assert process.wait(timeout=20) == 0


@pytest.mark.slow
def test_with_closed_stdout_it_serves_and_ends_cleanly(tmp_path: Path) -> None:
    port_file = tmp_path / "ports.json"
    words = f"--smtp 0 --tls off --quiet --port-file {port_file}"
    # A socket would get the number of stdout, and uvloop would end the process for closing it.
    process = subprocess.Popen(
        ["sh", "-c", f"exec {sys.executable} -m fakes {words} >&-"],
        cwd=HERE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while not (port_file.exists() and port_file.read_text()):
        assert process.poll() is None
    process.terminate()
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")


@pytest.mark.parametrize("arguments", [["--tls", "off"], []])
def test_without_tls_the_servers_that_need_none_start(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("fakes.certificates.available", lambda: False)
    free = tuple(port._replace(number=0) for port in command.PORTS)
    monkeypatch.setattr(command, "PORTS", free)
    options = command._parser().parse_args([*arguments, "--quiet"])
    with command._world(options, command._Watch(quiet=True)) as world:
        assert set(world.listeners) == {port.name for port in free if not port.tls}
    assert ("pip install trustme" in capsys.readouterr().err) == (not arguments)
