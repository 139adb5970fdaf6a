"""mail-to-webhook between a real Postfix with Dovecot and a real HTTP server, over TLS."""

# apt-get install: postfix dovecot-core dovecot-pop3d dovecot-lmtpd postgresql

from __future__ import annotations

import http.server
import json
import smtplib
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from fakes import World
from scenarios.processing import mail_to_webhook
from scenarios.processing.mail_to_webhook_samples import BOX, HOOK, SECRET, mail
from tests import drills
from tests.databases import emptied, on_database, rows
from tests.real import Authority, dovecot_mail, folder, postfix, wait_until

pytestmark = pytest.mark.real

ROOT = Path(__file__).parent.parent
MODULE = "scenarios.processing.mail_to_webhook"


class Application(http.server.ThreadingHTTPServer):
    """The HTTP server of the standard library, which records what is posted to it."""

    def __init__(self, authority: Authority) -> None:
        self.posts: list[tuple[str, Any, bytes]] = []
        self.statuses: list[int] = []  # of the next answers, before 200
        super().__init__(("127.0.0.1", 0), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.cert_file, authority.key_file)
        self.socket = context.wrap_socket(self.socket, server_side=True)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Application

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, self.headers, body))
        self.send_response(self.server.statuses.pop(0) if self.server.statuses else 200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def application(authority: Authority) -> Iterator[Application]:
    server = Application(authority)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def parts(headers: Any, body: bytes) -> dict[str, bytes]:
    """Returns the parts of a form by name, as the standard library's email package reads them."""
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    form = message_from_bytes(head + body, policy=policy.HTTP)
    found = {}
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        found[str(part.get_filename() or name)] = bytes(part.get_payload(decode=True))
    return found


def test_mail_to_postfix_is_posted_over_tls_once_it_is_accepted(tmp_path: Path) -> None:
    with folder() as place:
        authority = Authority(place)
        box = {BOX: "the box's secret"}
        with (
            application(authority) as app,
            dovecot_mail(box, authority, {HOOK: BOX}) as boxes,
            postfix([HOOK], boxes.lmtp, by="lmtp:inet:127.0.0.1:") as (relay, _, _),
        ):
            app.statuses += [503]
            site = tmp_path / "site.toml"
            site.write_text(
                f"""
                [pop3]
                host = "localhost"
                port = {boxes.pop3}
                ca_file = "{authority.ca_file}"
                user = "{BOX}"
                password = {json.dumps(box[BOX])}
                [scenario.mail-to-webhook]
                map = {{ "*@hooks.yourco.test" = "https://localhost:{app.server_port}/in" }}
                ca_file = "{authority.ca_file}"
                secret = "{SECRET}"
                allow = ["127.0.0.0/8", "::1"]
                retry = [0.1]
                """
            )
            site.chmod(0o600)
            with smtplib.SMTP("localhost", relay.port, "phone.test") as client:
                client.sendmail("carol@example.org", [HOOK], mail(html="<b>Hi</b>", file=b"\0\xff"))
            mails = boxes.place / BOX / "new"
            wait_until(lambda: mails.exists() and list(mails.iterdir()), "the mail is delivered")
            command = [sys.executable, "-m", "scenarios", "run", "mail-to-webhook", "--once"]
            for status in (503, 200):
                done = subprocess.run(
                    [*command, "--live", site], cwd=ROOT, capture_output=True, text=True
                )
                assert done.returncode == 0, done.stderr
                assert f'"{status} ' in done.stderr
            assert not list(boxes.place.glob(f"{BOX}/*/*mail*")), "the maildrop is empty"
    (first, *_), (second, headers, body) = app.posts
    assert first == second == "/in?token=my_token&hash=1234"
    assert app.posts[0][1]["webhook-id"] == headers["webhook-id"], "the same event"
    found = parts(headers, body)
    assert (found["subject"], found["to"], found["a.bin"]) == (b"Order 1", HOOK.encode(), b"\0\xff")
    assert "received" in json.loads(found["headers"])


def test_killed_on_postgresql_at_the_first_middle_or_last_step_nothing_is_lost(
    postgres: str, tmp_path: Path
) -> None:
    def killed(at: int) -> int | None:
        emptied(postgres)
        with World({**mail_to_webhook.WORLD, "tls": "off"}) as world:
            host, port = world.address("webhook")
            url = {"*@hooks.yourco.test": f"http://{host}:{port}/in"}
            given = on_database(world, postgres, map=url)
            for number in (1, 2):
                world.mail.deliver(HOOK, mail(number))
            steps = drills.killed(at, MODULE, given, tmp_path)
            drills.start_again(MODULE, given, tmp_path, 1)
            events = {
                (post.form["subject"][0], post.headers["webhook-id"]) for post in world.webhook.all
            }
            assert sorted(subject for subject, _ in events) == ["Order 1", "Order 2"]
            assert world.mail.inbox(BOX) == []
        assert rows(postgres, "SELECT status FROM post") == [("posted",), ("posted",)]
        return steps

    steps = killed(0)
    assert steps is not None
    for at in (1, steps // 2, steps):
        assert killed(at) is None, "it was killed"
