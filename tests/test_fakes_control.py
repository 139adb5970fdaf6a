"""The control API: a world by HTTP, for tests in other languages."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import smtplib
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fakes.control import STREAMED, Control
from fakes.http import Request, Response
from fakes.mail import Mail
from fakes.world import World
from fakes.world_mail import WorldMail

ROOT = Path(__file__).parent.parent


@dataclass
class Client:
    """Asks the control API of a world."""

    address: tuple[str, int]
    world: World
    control: Control

    def ask(
        self, method: str, path: str, body: str | bytes = b"", **headers: str
    ) -> tuple[int, Any]:
        """Returns the status and the decoded answer."""
        connection = http.client.HTTPConnection(*self.address, timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.headers.get_content_type() == "application/json":
                return answer.status, json.loads(text)
            return answer.status, text
        finally:
            connection.close()

    def send(self, subject: str, to: str = "bob@example.test") -> None:
        with smtplib.SMTP(*self.world.address("smtp"), local_hostname="shop.example") as smtp:
            smtp.sendmail("shop@example.org", [to], f"Subject: {subject}\r\n\r\nhello\r\n")


@pytest.fixture
def client() -> Iterator[Client]:
    control: list[Control] = []

    def watch(one: object) -> None:
        for each in control:
            each.watch(one)

    with World({"tls": "off"}, watch=watch) as world:
        control.append(Control(world))
        yield Client(world.serve("control", control[0].session), world, control[0])


def test_it_says_where_the_servers_are_and_who_has_an_account(client: Client) -> None:
    status, found = client.ask("GET", "/world")
    assert status == 200
    assert found["servers"]["smtp"] == list(client.world.address("smtp"))
    assert found["people"][0] == "alice@example.test"
    body = '{"address": "dora@example.test", "password": "x"}'
    assert client.ask("POST", "/people", body) == (201, {"address": "dora@example.test"})
    assert client.ask("GET", "/world")[1]["people"][-1] == "dora@example.test"
    assert client.ask("POST", "/people", body)[0] == 409
    body = r'{"address": "\"do\r\nra\"@example.test"}'
    assert client.ask("POST", "/people", body)[0] == 400


def test_what_is_no_request_is_an_error_in_json(client: Client) -> None:
    assert client.ask("PATCH", "/world") == (501, {"error": "Not Implemented"})
    too_long = {"Content-Length": "9" * 12}
    status, answer = client.ask("POST", "/mails", **too_long)
    assert status == 413 and list(answer) == ["error"]
    wrong = {"Content-Length": "x"}
    number = {"error": "Content-Length is a number of octets"}
    assert client.ask("POST", "/mails", **wrong) == (400, number)


@pytest.mark.parametrize("key", ["address", "password"])
def test_what_is_no_text_is_refused(client: Client, key: str) -> None:
    dora = {"address": "dora@example.test", "password": "x", key: "dora\ud800@example.test"}
    status, answer = client.ask("POST", "/people", json.dumps(dora))
    assert (status, answer) == (400, {"error": "the body is not JSON in UTF-8"})
    assert len(client.world.people.stored()) == 3


def test_mails_are_listed_with_the_names_that_they_have_in_python(client: Client) -> None:
    client.send("first")
    status, found = client.ask("GET", "/mails?subject=first")
    assert status == 200 and found["mark"] == 1
    (mail,) = found["mails"]
    assert mail["envelope"] == {
        "sender": "shop@example.org",
        "to": ["bob@example.test"],
        "login": "",
    }
    assert (mail["id"], mail["subject"], mail["text"]) == (0, "first", "hello\n")
    assert client.ask("GET", "/mails/0")[1] == mail
    assert client.ask("GET", "/mails/0/raw")[1] == b"Subject: first\r\n\r\nhello\r\n"
    assert client.ask("GET", "/mails?subject=second")[1]["mails"] == []
    assert client.ask("GET", "/mails?since=1")[1]["mails"] == []
    (stored,) = client.ask("GET", "/people/bob%40example.test/inbox")[1]["mails"]
    assert stored["subject"] == "first"


def test_a_query_is_decoded_as_utf_8(client: Client) -> None:
    client.send("=?utf-8?q?Gr=C3=BC=C3=9Fe?=")
    (mail,) = client.ask("GET", "/mails?subject=Gr%C3%BC%C3%9Fe")[1]["mails"]
    assert mail["subject"] == "Grüße"


def test_a_mail_can_be_delivered_and_everything_forgotten(client: Client) -> None:
    status, mail = client.ask(
        "POST", "/mails?to=alice@example.test", b"Subject: hi\r\n\r\n\xff\r\n"
    )
    assert (status, mail["subject"], mail["id"]) == (201, "hi", 0)
    assert client.world.mail.inbox("alice@example.test")[0].subject == "hi"
    assert client.ask("DELETE", "/mails") == (200, {"mark": 1})
    assert client.ask("GET", "/mails")[1] == {"mails": [], "mark": 1}
    assert client.world.mail.inbox("alice@example.test") == []


def test_a_mail_that_bounces_is_shown_with_its_own_id(client: Client) -> None:
    client.world.add_person("full@example.test", quota=0)
    status, mail = client.ask(
        "POST", "/mails?to=full@example.test", b"From: bob@example.test\r\nSubject: hi\r\n\r\n"
    )
    assert (status, mail["id"]) == (201, 0)
    assert client.ask("GET", "/mails/0")[1] == mail and client.world.mail.mark() == 2


def test_a_wait_is_answered_when_the_mail_comes(client: Client) -> None:
    answers: list[tuple[int, Any]] = []
    path = "/mails/wait?subject=Order+*&to=bob@example.test&timeout=60"
    thread = threading.Thread(target=lambda: answers.append(client.ask("GET", path)))
    thread.start()
    client.send("another")
    client.send("Order 7")
    thread.join(30)
    ((status, found),) = answers
    assert status == 200
    assert [mail["subject"] for mail in found["mails"]] == ["Order 7"]


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("n=2&timeout=0", 200, ""),
        ("n=1&timeout=0", 404, "expected one mail, but 2 arrived"),
        ("n=3&timeout=0", 404, "expected 3 mails within 0 s, but 2 arrived"),
        ("subject=x&timeout=0.01", 404, "within 0.01 s, but none arrived; everything that arrived"),
        ("n=0&timeout=0", 404, "expected no mail"),
        ("n=0&subject=x&timeout=0", 200, ""),
        ("n=0&since=2&timeout=0.01", 200, ""),
        ("n=1&since=1&timeout=0", 200, ""),
        ("sbject=x", 400, "unknown parameter 'sbject'; there are subject, to, sender, text, n, "),
        ("n=-1", 400, "n: '-1' is not a number"),
        ("timeout=soon", 400, "timeout: 'soon' is not a number of seconds"),
    ],
)
def test_a_wait_counts_as_in_python(client: Client, query: str, status: int, said: str) -> None:
    client.send("first")
    client.send("second")
    found = client.ask("GET", f"/mails/wait?{query}")
    assert found[0] == status, found
    assert said in found[1].get("error", ""), found


def test_a_mail_is_compared_once_while_clients_wait(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: Counter[str] = Counter()
    misfits = WorldMail.misfits

    def counts(record: WorldMail, mail: Mail, wanted: Mapping[str, str]) -> list[str]:
        compared[mail.subject] += 1
        return misfits(record, mail, wanted)

    monkeypatch.setattr(WorldMail, "misfits", counts)
    mail = client.world.mail
    for n in range(5):
        mail.deliver("bob@example.test", f"Subject: early {n}\r\n\r\n".encode())
    with socket.create_connection(client.address, timeout=10) as waiting:
        path = b"/mails/wait?n=2&subject=Order+*&since=1&timeout=60"
        waiting.sendall(b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path)
        while not client.world.call(lambda: mail._bridge._waiters):
            pass
        for subject in ("Order 1", "late", "Order 2"):
            mail.deliver("bob@example.test", f"Subject: {subject}\r\n\r\n".encode())
        body = waiting.makefile("rb").read().partition(b"\r\n\r\n")[2]
    found = json.loads(body)["mails"]
    assert [(one["id"], one["subject"]) for one in found] == [(5, "Order 1"), (7, "Order 2")]
    assert set(compared.values()) == {1} and "early 1" in compared


def test_a_client_that_leaves_while_it_waits_is_forgotten(client: Client) -> None:
    with socket.create_connection(client.address) as waiting:
        waiting.sendall(b"GET /mails/wait?subject=never HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not client.world.call(lambda: client.world.mail._bridge._waiters):
            pass
    client.send("later")
    client.ask("GET", "/world")
    assert client.world.call(lambda: client.world.mail._bridge._waiters) == ()


def test_a_request_behind_one_that_waits_is_answered_after_it(client: Client) -> None:
    both = b"".join(
        b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: %b\r\n\r\n" % (path, connection)
        for path, connection in ((b"/mails/wait?subject=x", b"keep-alive"), (b"/world", b"close"))
    )
    with socket.create_connection(client.address, timeout=10) as waiting:
        waiting.sendall(both)
        while not client.world.call(lambda: client.world.mail._bridge._waiters):
            pass
        client.send("x")
        answers = waiting.makefile("rb").read()
    first, second = answers.split(b"HTTP/1.1 200")[1:]
    assert b'"subject": "x"' in first and b'"servers"' in second


def test_faults_are_armed_from_outside_and_removed(client: Client) -> None:
    armed = {"faults": ['smtp RCPT reply "450 4.2.0 later"']}
    assert client.ask("POST", "/faults", 'RCPT reply "450 4.2.0 later"') == (200, armed)
    assert client.ask("GET", "/faults") == (200, armed)
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        client.send("refused")
    assert client.ask("DELETE", "/faults") == (200, {"faults": []})
    client.send("accepted")
    status, found = client.ask("POST", "/faults", "RCTP reset")
    assert status == 400 and "did you mean" in found["error"]


def test_an_outage_is_played_from_outside(client: Client) -> None:
    staying = smtplib.SMTP(*client.world.address("smtp"), local_hostname="shop.example")
    assert client.ask("POST", "/faults", "smtp connect refuse")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        client.send("refused")
    assert staying.noop()[0] == 250
    assert client.ask("DELETE", "/connections?protocol=smtp") == (200, {"cut": 1})
    with pytest.raises(smtplib.SMTPServerDisconnected):
        staying.noop()
    staying.close()
    assert client.ask("DELETE", "/connections?protocol=stmp")[0] == 400
    assert client.ask("DELETE", "/connections?server=smtp")[0] == 400
    client.ask("POST", "/faults", "MAIL delay 0.01 optional")
    left = client.ask("DELETE", "/faults?fault=smtp+connect+refuse")
    assert left == (200, {"faults": ["smtp MAIL delay 0.01 optional"]})
    client.send("accepted")
    assert client.ask("DELETE", "/faults?fault=RCPT+reset")[0] == 400


def test_the_clock_of_the_servers_is_set_ahead(client: Client) -> None:
    before = client.ask("GET", "/clock")[1]["now"]
    client.ask("POST", "/faults", "MAIL delay 200")
    with smtplib.SMTP(*client.world.address("smtp"), local_hostname="shop.example") as smtp:
        smtp.ehlo()
        smtp.putcmd("MAIL FROM:<shop@example.org>")
        status, found = client.ask("POST", "/clock", '{"seconds": 150}')
        assert status == 200 and found["now"] - before >= 150
        assert client.ask("POST", "/clock", '{"seconds": 50.5}')[0] == 200
        assert smtp.getreply()[0] == 250
    for wrong in ('{"seconds": -1}', '{"seconds": true}', '{"minutes": 3}', '{"seconds": 1e999}'):
        assert client.ask("POST", "/clock", wrong)[0] == 400


def test_it_describes_itself(client: Client) -> None:
    status, found = client.ask("GET", "/openapi")
    assert status == 200 and found["openapi"].startswith("3.")
    readme = (ROOT / "fakes" / "README.md").read_text("utf-8")
    for path, operations in found["paths"].items():
        assert re.sub("{(.+)}", lambda name: name[1].upper(), path) in readme
        for method, operation in operations.items():
            assert operation["summary"].endswith(".")
            if "{" not in path and path not in ("/wire", "/units", "/mails/wait"):
                assert client.ask(method.upper(), path)[0] not in (404, 405)
    names = [one["name"] for one in found["paths"]["/mails/wait"]["get"]["parameters"]]
    assert {*client.world.mail.criteria} < {*names}


def test_the_wire_is_streamed_with_secrets_masked(client: Client) -> None:
    with socket.create_connection(client.address, timeout=10) as stream:
        stream.sendall(b"GET /wire HTTP/1.1\r\nHost: localhost\r\n\r\n")
        reader = stream.makefile("rb")
        while reader.readline() != b": the wire\n":
            pass
        with smtplib.SMTP(*client.world.address("smtp"), local_hostname="shop.example") as smtp:
            smtp.login("alice@example.test", "secret")
        seen = b""
        while b"QUIT" not in seen:
            seen += reader.readline()
    assert b"data: smtp-" in seen and b"{cram-md5 alice@example.test" in seen
    assert b"secret" not in seen


def test_a_stream_that_nobody_reads_is_ended(client: Client) -> None:
    session = client.control.session()
    session.receive(b"GET /wire HTTP/1.1\r\nHost: localhost\r\n\r\n")
    session.stream(b"x" * (STREAMED + 1))
    assert not session.closed
    session.stream(b"one more")
    assert session.closed


def test_what_arrives_by_other_protocols_is_listed(client: Client) -> None:
    world = client.world
    world.aim.actor("alice").signs_on()
    world.aim.actor("bob").signs_on()
    world.aim.actor("alice").says("bob", "hi")
    found = client.ask("GET", "/messages")[1]
    assert any("hi" in text for text in found["IM"])


def test_rooms_and_channels_are_listed_with_those_in_them() -> None:
    with World(servers=["xmpp", "toc", "irc"], tls="off") as world:
        client = Client(world.serve("control", Control(world).session), world, Control(world))
        world.jabber.actor("alice@example.test").joins("ops@conference.example.test", "alice")
        world.aim.actor("bob").joins("Ops")
        world.irc.person("carol").joins("#ops")
        world.irc.person("carol").sets_topic("#ops", "all well")
        jabber, aim, irc = client.ask("GET", "/rooms")[1]["rooms"]
    address = "ops@conference.example.test"
    assert jabber == {"network": "Jabber", "name": address, "topic": "", "members": ["alice"]}
    assert (aim["name"], aim["members"]) == ("Ops", ["bob"])
    assert irc["network"] == "IRC" and irc["topic"] == "all well" and irc["members"] == ["@carol"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("GET", "/nothing", "", 404, "there is nothing at /nothing; there are /world, /people, "),
        ("PUT", "/mails", "", 405, "PUT has no meaning here; there are GET, POST, DELETE"),
        ("OPTIONS", "/mails", "", 405, "OPTIONS has no meaning here"),
        ("GET", "/mails/x", "", 404, "there is no mail x"),
        ("GET", "/mails/" + "9" * 5000, "", 404, "there is no mail 9"),
        ("GET", "/mails/7", "", 404, "there is no mail 7"),
        ("GET", "/mails/x/raw", "", 404, "there is no mail x"),
        ("GET", "/mails?sbject=x", "", 400, "unknown parameter 'sbject'"),
        ("POST", "/mails", "hi", 400, "say: POST /mails?to="),
        ("POST", "/mails?to=nobody@example.test", "hi", 404, "unknown address nobody@"),
        ("GET", "/people/nobody%40example.test/inbox", "", 404, "unknown address nobody@"),
        ("POST", "/people", "hi", 400, "the body is not JSON"),
        ("POST", "/people", "[" * 100_000, 400, "the body is not JSON"),
        ("POST", "/people", "[]", 400, "the body is not an object"),
        ("POST", "/people", '{"address": "dora"}', 400, "say: {"),
        ("POST", "/people", '{"address": "dora kent@example.test"}', 400, "say: {"),
        ("POST", "/people", '{"address": "d@b.test", "x": 1}', 400, "an address and a password"),
        ("POST", "/faults", b"\xff", 400, "not UTF-8; write a fault as text"),
    ],
)
def test_a_mistake_is_named_with_its_remedy(
    client: Client, method: str, path: str, body: str, status: int, said: str
) -> None:
    found = client.ask(method, path, body)
    assert found[0] == status, found
    assert said in found[1]["error"], found


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:99"}, 200),
        ({"Host": "LocalHost"}, 200),
        ({"Host": "127.0.0.1:99"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "[::1]:99"}, 200),
        ({"Host": "::1"}, 200),
        ({"Host": "[2001:db8::1]"}, 403),
        ({"Host": "[localhost]"}, 403),
        ({"Host": "localhost:evil.example"}, 403),
        ({"Host": "localhost@evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "["}, 403),
        ({"Host": "localhost", "Origin": "http://localhost"}, 200),
        ({"Host": "localhost", "Origin": "http://evil.example"}, 403),
        ({"Host": "localhost", "Origin": "null"}, 403),
        ({"Host": "localhost", "Origin": "http://["}, 403),
    ],
)
def test_pages_of_other_sites_may_not_use_it(
    client: Client, headers: dict[str, str], status: int
) -> None:
    assert client.ask("GET", "/world", **headers)[0] == status


def test_with_a_token_it_is_needed_and_sufficient() -> None:
    with World({"servers": ["smtp"], "tls": "off"}) as world:
        control = Control(world, token="long and rändom")
        client = Client(world.serve("control", control.session), world, control)
        assert client.ask("GET", "/world")[0] == 401
        assert client.ask("GET", "/world", Authorization="Bearer wrong")[0] == 401
        answer = client.ask(
            "GET", "/world", Authorization="Bearer long and r\xc3\xa4ndom", Host="ci.example"
        )
        assert answer[0] == 200


@pytest.mark.parametrize("path", ["/", "/world", "/mails/wait?timeout=0", "/units", "/nothing"])
def test_head_is_answered_as_get_without_a_body(client: Client, path: str) -> None:
    status = 200 if path == "/units" else client.ask("GET", path)[0]
    connection = http.client.HTTPConnection(*client.address, timeout=10)
    with contextlib.closing(connection):
        connection.request("HEAD", path)
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (status, b"")


def test_who_is_refused_is_told_the_scheme_or_the_methods(client: Client) -> None:
    def fields(method: str) -> Mapping[str, str]:
        target = Request(method, "/clock", "HTTP/1.1", {"host": "localhost"})
        answer = client.control.serve(target)
        assert isinstance(answer, Response)
        return answer.headers

    assert fields("PUT")["Allow"] == "GET, HEAD, POST"
    client.control._token = "t"
    assert fields("GET")["WWW-Authenticate"] == "Bearer"


# ── the page ─────────────────────────────────────────────────────────────────


def test_the_files_of_the_page_need_no_token_and_everything_else_does(client: Client) -> None:
    client.control._token = "t"
    for path, type in (
        ("/", b"<!doctype html>"),
        ("/console.js", b"//"),
        ("/console.css", b":root"),
    ):
        status, text = client.ask("GET", path)
        assert status == 200 and text.startswith(type)
    for path in ("/units", "/mails", "/world", "/console.txt"):
        assert client.ask("GET", path)[0] == 401
    assert client.ask("POST", "/")[0] == 401


def test_the_units_are_those_before_and_those_from_now_on_without_secrets(client: Client) -> None:
    with smtplib.SMTP(*client.world.address("smtp"), local_hostname="shop.example") as smtp:
        smtp.ehlo()
        smtp.docmd("AUTH PLAIN AGFsaWNlAHNlY3JldA==")
        with socket.create_connection(client.address, timeout=10) as follower:
            follower.sendall(b"GET /units HTTP/1.1\r\nHost: localhost\r\n\r\n")
            reader = follower.makefile("r", encoding="utf-8", newline="\n")
            units: list[dict[str, Any]] = []

            def read_until(text: str) -> None:
                while not units or not units[-1]["lines"][0].startswith(text):
                    line = reader.readline()
                    units.extend([json.loads(line[6:])] if line.startswith("data: ") else [])

            read_until("S: 235")
            smtp.sendmail("a@example.test", "bob@example.test", ("x" * 990 + "\r\n") * 200)
            read_until("S: 250 2.0.0 Queued")
    lines = [line for unit in units for line in unit["lines"]]
    assert "C: AUTH PLAIN {plain alice}" in lines and not [one for one in lines if "AGFs" in one]
    (content,) = [unit for unit in units if unit["lines"][0].startswith("C: xxx")]
    assert len(content["lines"]) == 101 and content["lines"][-1] == "…"
    assert content["protocol"] == "smtp" and content["direction"] == "C"
