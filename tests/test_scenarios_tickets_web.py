"""The pages of tickets: what hostile mail, forms and addresses cannot do, and who may see them."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session
from werkzeug.security import generate_password_hash

from comms import settings
from comms.errors import SettingsError
from fakes import World
from scenarios.models import Worker, opened
from scenarios.processing import tickets
from scenarios.processing.tickets_agents import Agents
from scenarios.processing.tickets_desk import Desk
from scenarios.processing.tickets_model import (
    Answer,
    Base,
    Letter,
    Participant,
    Response,
    Ticket,
)
from scenarios.processing.tickets_outbox import Outbox
from scenarios.processing.tickets_samples import CAROL, DAVE, TICKETS, customer_mail, samples
from scenarios.processing.tickets_web import pages

SCRIPT = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7 * 7 }}"
OURS = '<script src="/tickets.js" defer></script>'


def encoded(text: str) -> str:
    """Returns an encoded word (RFC 2047), in which any character can be."""
    return f"=?utf-8?b?{base64.b64encode(text.encode()).decode()}?="


INJECTED = f"{SCRIPT}\r\nBcc: {DAVE}"
HOSTILE_MAIL = (
    f"From: {encoded(SCRIPT)} <eve@evil.example>\r\n"
    f"To: {TICKETS}\r\nCc: {encoded(SCRIPT)} <{DAVE}>\r\n"
    f"Subject: {encoded(INJECTED)}\r\n"
    "Message-ID: <script@evil.example>\r\nMIME-Version: 1.0\r\n"
    "Content-Type: multipart/mixed; boundary=b\r\n\r\n"
    f"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{SCRIPT}\r\n"
    "--b\r\nContent-Type: text/html\r\n"
    'Content-Disposition: attachment; filename="../<script>x.html"\r\n\r\n'
    f"{SCRIPT}\r\n--b--\r\n"
).encode()


class Site:
    """The pages, on a database with the sample mails and a hostile one."""

    def __init__(self, world: World, engine: Engine, worker: Worker, **rules: Any) -> None:
        table = {**world.settings["scenario"]["tickets"], "listen": "127.0.0.1:0", **rules}
        given = {**world.settings, "scenario": {"tickets": table}}
        loaded = settings.load(given, world.folder)
        self.rules = loaded.table("tickets", tickets.Rules)
        outbox = Outbox(self.rules, loaded, worker, world.clock, world.host)
        self.outbox = outbox
        place = (world.clock, world.host)
        self.desk = Desk(self.rules, loaded, worker, outbox, *place, tickets.belongs_to)
        agents = Agents(engine, outbox, world.clock, world.host)
        self.app = pages(self.rules, agents, ["k" * 40], world.clock, world.host)
        self.world, self.engine = world, engine

    def client(self) -> FlaskClient:
        return self.app.test_client()

    def form(self, client: FlaskClient) -> dict[str, str]:
        """The hidden fields of a form, as a browser gets them."""
        text = client.get("/tickets/1").text
        return dict(re.findall(r'name="(csrf|form)" value="(\w+)"', text))

    def state(self) -> list[Any]:
        """What no request that is refused may change."""
        with Session(self.engine) as db:
            counts = [
                db.scalar(select(func.count()).select_from(kind)) for kind in (Answer, Letter)
            ]
            rows = db.execute(select(Ticket.id, Ticket.closed, Ticket.merged_into, Ticket.changed))
            return [*counts, *rows.all(), *db.scalars(select(Response.ticket_id))]


@contextmanager
def site(**rules: Any) -> Iterator[Site]:
    config = {**tickets.WORLD, "scenario": {"tickets": {"reply_to": "tickets+*@yourco.test"}}}
    with World(config, rehearsal=True) as world:
        for mail in (*samples(), HOSTILE_MAIL):
            world.mail.deliver(TICKETS, mail)
        loaded = settings.load(world.settings, world.folder)
        tickets.run(world.clock, loaded, world.host)
        url = "sqlite:///tickets.sqlite3"
        with opened(url, loaded.path, Base.metadata) as engine, Worker(engine) as worker:
            yield Site(world, engine, worker, **rules)


@pytest.fixture(scope="module")
def shop() -> Iterator[Site]:
    with site() as made:
        yield made


def assert_harmless(answer: Any) -> None:
    assert answer.status_code < 500, answer.text
    if answer.mimetype == "text/html":
        text = answer.text
        assert text.count("<script") == text.count(OURS) and "<img" not in text
        assert "49" not in re.sub(r'value="\w+"|data-version="\w+"', "", text), "no template is run"
    for name in ("Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options"):
        assert name in answer.headers


# ── looking ──────────────────────────────────────────────────────────────────

LOOKED_UP = [
    # SQL, and what LIKE would take for a pattern
    ("/tickets?q=' OR 1=1 --", 200),
    ("/tickets?q='; DROP TABLE ticket; --", 200),
    ('/tickets?q=" UNION SELECT token FROM ticket --', 200),
    ("/tickets?q=%25", 200),
    ("/tickets?q=_", 200),
    ("/tickets?q=\\", 200),
    ("/tickets?q=%00", 200),
    ("/tickets?q=%ED%A0%80", 200),
    ("/tickets?q=%0D%0ASet-Cookie:%20x=1", 200),
    ("/tickets?q=" + "x" * 5000, 200),
    ("/tickets?q=" + "a " * 2000, 200),
    (f"/tickets?q={SCRIPT.replace('#', '')}", 200),
    ("/tickets?q={{config}}", 200),
    ("/tickets?q=%23999999999999", 200),
    ("/tickets?state=closed'", 404),
    ("/tickets?state=../secret", 404),
    ("/tickets?page=0", 200),
    ("/tickets?page=-1", 404),
    ("/tickets?page=1;DROP", 404),
    ("/tickets?page=999999999999999999999", 200),
    ("/tickets?page=\u0663", 404),
    ("/tickets.json?page=1e9", 404),
    # numbers that are none, or nobody's
    ("/tickets/0", 404),
    ("/tickets/-1", 404),
    ("/tickets/999999999", 404),
    ("/tickets/99999999999999999999", 404),
    ("/tickets/1%20OR%201=1", 404),
    ("/tickets/1.5", 404),
    ("/tickets/0x1", 404),
    ("/tickets/%00", 404),
    ("/tickets/<script>", 404),
    ("/tickets/999.json", 404),
    ("/mails/999.eml", 404),
    ("/mails/999/html", 404),
    ("/mails/1/html", 404),
    ("/mails/-1.eml", 404),
    ("/attachments/999", 404),
    ("/attachments/1;x", 404),
    # paths
    ("/tickets.secret", 404),
    ("/tickets.sqlite3", 404),
    ("/pages/ticket.html", 404),
    ("/static/tickets.css", 404),
    ("/tickets.css/../tickets_web.py", 404),
    ("/..%2f..%2fetc/passwd", 404),
    ("/mails/..%2f..%2fetc%2fpasswd.eml", 404),
    ("/attachments/..%2ftickets.sqlite3", 404),
    ("/tickets.js%00.css", 404),
    ("/.git/config", 404),
]
LOOKED_UP_IN_VAIN = {path for path, _ in LOOKED_UP[:6]}


@pytest.mark.slow
@pytest.mark.parametrize(("path", "status"), LOOKED_UP)
def test_no_address_shows_what_it_should_not(shop: Site, path: str, status: int) -> None:
    before = shop.state()
    answer = shop.client().get(path)
    assert answer.status_code == status
    assert_harmless(answer)
    if path in LOOKED_UP_IN_VAIN:
        assert "0 tickets" in answer.text
    assert shop.state() == before


def test_what_a_mail_says_is_inert_wherever_it_is_shown(shop: Site) -> None:
    client = shop.client()
    for path in ("/tickets", "/tickets?q=alert", "/tickets/4", "/tickets/3", "/tickets/2"):
        answer = client.get(path)
        assert (answer.status_code == 200 and "alert(1)" in answer.text) or path == "/tickets/2"
        assert_harmless(answer)
    found = client.get("/tickets/4.json")
    assert found.json is not None and found.mimetype == "application/json"
    (file,) = found.json["mails"][0]["attachments"]
    for path in (f"/attachments/{file['id']}", "/mails/4.eml"):
        answer = client.get(path)
        assert answer.mimetype == "application/octet-stream"
        disposition = answer.headers["Content-Disposition"]
        assert disposition.startswith("attachment") and "/.." not in disposition
        assert answer.headers["Content-Security-Policy"] == "sandbox"
    raw = client.get("/mails/5.eml").data + client.get("/mails/4.eml").data
    assert HOSTILE_MAIL in raw or HOSTILE_MAIL[-200:] in raw, "every byte is kept"


def test_the_html_of_a_mail_is_in_a_sandbox_that_loads_nothing(shop: Site) -> None:
    client = shop.client()
    assert '<iframe sandbox loading="lazy"' in client.get("/tickets/2").text
    answer = client.get("/mails/2/html")
    policy = answer.headers["Content-Security-Policy"]
    assert 'src="data:image/png;base64,iVBOR' in answer.text and "cid:" not in answer.text
    assert policy.startswith("sandbox; default-src 'none'") and "script-src" not in policy
    assert "http" not in policy
    assert not re.search(r"<(iframe|link|meta|base)\b", answer.text, re.I)
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"


def test_a_list_has_pages_states_and_words() -> None:
    with site() as made:
        with Session(made.engine) as db, db.begin():
            for n in range(60):
                row = {"owner": CAROL, "text": "t", "token": "x", "opened": 0, "changed": 1}
                db.add(Ticket(subject=f"100% number {n}", **row))
        client = made.client()
        rows = client.get("/tickets.json?q=100%25+number").json
        assert rows is not None and (rows["total"], rows["pages"], len(rows["tickets"])) == (
            60,
            3,
            25,
        )
        second = client.get("/tickets?q=100%25+number&page=2").text
        assert 'rel="prev"' in second and 'rel="next"' in second
        last = client.get("/tickets.json?q=100%25+number&page=9").json
        assert last is not None and last["page"] == 3 and len(last["tickets"]) == 10
        assert "0 tickets" in client.get("/tickets?state=closed").text
        assert "The printer is on fire" in client.get("/tickets?q=%231").text
        assert "1 ticket" in client.get("/tickets?q=water").text, "responses are searched, too"


# ── doing ────────────────────────────────────────────────────────────────────

ACTS = {
    "answer": {"text": "Hello"},
    "close": {},
    "reopen": {},
    "merge": {"into": "2"},
    "split": {"letter": "4"},
    "take": {},
    "leave": {},
}


@pytest.mark.slow
@pytest.mark.parametrize("act", ACTS)
def test_a_form_that_is_not_ours_changes_nothing(shop: Site, act: str) -> None:
    before, mine, other = shop.state(), shop.client(), shop.client()
    form, foreign = shop.form(mine), shop.form(other)
    path = f"/tickets/1/{act}"
    for fields in (
        {},
        {"form": form["form"]},
        {"form": form["form"], "csrf": ""},
        {"form": form["form"], "csrf": "guessed"},
        {"form": form["form"], "csrf": foreign["csrf"]},
        {"csrf": form["csrf"]},
        {"csrf": form["csrf"], "form": "short"},
        {"csrf": form["csrf"], "form": "'; DROP TABLE seen; "},
    ):
        answer = mine.post(path, data={**ACTS[act], **fields})
        assert answer.status_code == 400
        assert_harmless(answer)
    assert mine.post(path, json={**ACTS[act], **form}).status_code == 400
    assert mine.get(path, query_string={**ACTS[act], **form}).status_code == 405
    for method in ("PUT", "DELETE", "PATCH"):
        answer = mine.open(path, method=method, data={**ACTS[act], **form})
        assert answer.status_code == 405
    assert shop.client().post(path, data={**ACTS[act], **form}).status_code == 400, "no cookie"
    assert shop.state() == before


DONE = [
    ("/tickets/1/answer", {"text": ""}, 400),
    ("/tickets/1/answer", {"text": " \r\n\t "}, 400),
    ("/tickets/1/answer", {"text": "\0\0"}, 400),
    ("/tickets/1/answer", {"text": "x" * 100_000}, 413),
    ("/tickets/999/answer", {"text": "x"}, 404),
    ("/tickets/1/merge", {"into": ""}, 400),
    ("/tickets/1/merge", {"into": "1"}, 400),
    ("/tickets/1/merge", {"into": "999"}, 400),
    ("/tickets/1/merge", {"into": "-2"}, 400),
    ("/tickets/1/merge", {"into": "2 OR 1=1"}, 400),
    ("/tickets/1/merge", {"into": "9" * 40}, 400),
    ("/tickets/1/merge", {"into": "\u0662"}, 400),
    ("/tickets/1/merge", {"into": SCRIPT}, 400),
    ("/tickets/1/split", {"letter": "1"}, 400),
    ("/tickets/2/split", {"letter": "4"}, 400),  # another ticket's
    ("/tickets/1/split", {"letter": "999"}, 400),
    ("/tickets/1/split", {"letter": "4; --"}, 400),
    ("/tickets/1/split", {}, 400),
    ("/tickets/1/delete", {}, 404),
    ("/tickets/1/answer/../close", {}, 404),
]


@pytest.mark.slow
@pytest.mark.parametrize(("path", "fields", "status"), DONE)
def test_what_cannot_be_done_is_refused(
    shop: Site, path: str, fields: dict[str, str], status: int
) -> None:
    before, client = shop.state(), shop.client()
    answer = client.post(path, data={**shop.form(client), **fields})
    assert answer.status_code == status
    assert_harmless(answer)
    assert shop.state() == before


@pytest.mark.slow
@pytest.mark.parametrize("host", ["evil.example", "evil.example:8026", "127.0.0.1.evil.example"])
def test_another_name_for_our_address_is_refused(shop: Site, host: str) -> None:
    answer = shop.client().get("/tickets", headers={"Host": host})
    assert answer.status_code == 400 and "fire" not in answer.text


def test_an_answer_is_a_body_and_never_a_header_and_is_sent_once() -> None:
    with site() as made:
        client = made.client()
        form = made.form(client)
        text = f"Hello\r\nBcc: {DAVE}\r\n\r\n.\r\nQUIT\0\x1b[2J {SCRIPT}"
        for _ in range(2):  # a double click
            answer = client.post("/tickets/1/answer", data={**form, "text": text, "close": "1"})
            assert answer.status_code == 303 and answer.headers["Location"] == "/tickets/1"
        with Session(made.engine) as db:
            (row,) = db.scalars(select(Answer).where(Answer.agent != ""))
            assert row.address == CAROL and db.get_one(Ticket, 1).closed
            head, _, body = row.data.partition(b"\r\n\r\n")
        assert b"Bcc" not in head and b"\nReply-To: tickets+1-" in head and b"Auto-" not in head
        assert b"\0" not in body and b"\x1b" not in body
        shown = client.get("/tickets/1")
        assert_harmless(shown)
        assert "Closed" in shown.text and f"Bcc: {DAVE}" in shown.text
        assert made.world.events[-1].text.startswith("agent agent=agent did=answers")


def test_a_ticket_whose_last_answer_is_refused_is_open_until_it_is_closed_again() -> None:
    with site() as made:
        client = made.client()
        closes = {"text": "It does not burn.", "close": "1"}
        client.post("/tickets/1/answer", data={**made.form(client), **closes})
        made.world.faults.arm(f'RCPT arg {CAROL} reply "550 5.2.2 full"')
        assert "Closed" in client.get("/tickets/1").text
        for closed in (False, True):
            made.outbox.send()
            text = client.get("/tickets/1").text
            assert ("Closed" in text) == closed
            assert re.search(f"{CAROL}: refused \\(.*550 5.2.2 full", text)
            client.post("/tickets/1/close", data=made.form(client))
        made.world.faults.disarm()


def test_an_answer_that_comes_back_to_our_own_mailbox_opens_no_ticket_again() -> None:
    with site() as made:
        client = made.client()
        for text in ("Water helps.", "Or sand."):
            fields = {**made.form(client), "text": text, "close": "1"}
            assert client.post("/tickets/1/answer", data=fields).status_code == 303
        made.outbox.send()
        for mail in made.world.mail.inbox(CAROL):
            made.world.mail.deliver(TICKETS, mail.raw)
        made.desk.work()
        found = client.get("/tickets/1.json").json
        assert found and found["closed"]
        assert [mail["who"] for mail in found["mails"]].count(TICKETS) == 0


def test_an_alias_of_our_mailbox_takes_no_part() -> None:
    people = [{"address": TICKETS, "aliases": ["help@yourco.test"]}, {"address": CAROL}]
    with World({**tickets.WORLD, "person": people}, rehearsal=True) as world:
        mail = customer_mail(more=f"Cc: {DAVE}\r\n").replace(TICKETS.encode(), b"Help@yourco.test")
        world.mail.deliver("help@yourco.test", mail)
        loaded = settings.load(world.settings, world.folder)
        tickets.run(world.clock, loaded, world.host)
        url = "sqlite:///tickets.sqlite3"
        with opened(url, loaded.path, Base.metadata) as engine, Session(engine) as db:
            assert set(db.scalars(select(Participant.address))) == {CAROL, DAVE}


def test_of_two_agents_who_answer_at_once_the_second_one_reads_first() -> None:
    with site() as made:
        agnes, bert = made.client(), made.client()
        pages = {agent: agent.get("/tickets/1").text for agent in (agnes, bert)}
        fields = {
            agent: dict(re.findall(r'name="(csrf|form|seen)" value="(\w+)"', text))
            for agent, text in pages.items()
        }
        answered = agnes.post("/tickets/1/answer", data={**fields[agnes], "text": "Water helps."})
        assert answered.status_code == 303
        for seen in (fields[bert]["seen"], "", "-1", "x" * 5000, SCRIPT):
            late = bert.post(
                "/tickets/1/answer", data={**fields[bert], "seen": seen, "text": "Try sand."}
            )
            assert late.status_code == 400 and "Water helps." in late.text
            assert_harmless(late)
        assert "There is another mail now" in late.text and "Try sand." in late.text
        # What the script loads again is the ticket, and not the address of the form.
        assert 'data-live="/tickets/1"' in late.text
        again = dict(re.findall(r'name="(csrf|form|seen)" value="(\w+)"', late.text))
        done = bert.post("/tickets/1/answer", data={**again, "text": "Or sand."})
        assert done.status_code == 303
        with Session(made.engine) as db:
            texts = list(db.scalars(select(Answer.text).where(Answer.agent != "")))
        assert texts == ["Water helps.\n", "Or sand.\n"]


@pytest.mark.slow
def test_a_mail_shows_its_own_pictures_and_no_other_files() -> None:
    pieces = [
        ("image/png", "<a@x>", "image/png"),
        ("image/svg+xml", "<b@x>", None),
        ("text/html", "<c@x>", None),
        ("image/gif", "", None),
        ('image/png"onload="x', "<e@x>", "image/png"),  # what is after the name does not count
    ]
    shown = "".join(f'<img src="cid:{id.strip("<>") or "d@x"}">' for _, id, _ in pieces)
    shown += '<img src="CID:a%40x"><img src="cid:missing@x">' + '<img src="cid:a@x">' * 3
    parts = [f"Content-Type: text/html\r\n\r\n{shown}"]
    for type, id, _ in pieces:
        content = "AAAA" * (500_000 if type == "image/png" else 1)
        head = f"Content-Type: {type}\r\nContent-ID: {id}\r\nContent-Disposition: inline\r\n"
        parts.append(f"{head}Content-Transfer-Encoding: base64\r\n\r\n{content}")
    body = "".join(f"--b\r\n{part}\r\n" for part in parts) + "--b--"
    kind = "MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=b\r\n"
    with World(tickets.WORLD, rehearsal=True) as world:
        world.mail.deliver(TICKETS, customer_mail(text=body, more=kind))
        loaded = settings.load(world.settings, world.folder)
        tickets.run(world.clock, loaded, world.host)
        url = "sqlite:///tickets.sqlite3"
        with opened(url, loaded.path, Base.metadata) as engine, Worker(engine) as worker:
            text = Site(world, engine, worker).client().get("/mails/1/html").text
    # It has 1.5 million bytes, and may be shown until there are five million.
    assert text.count('src="data:image/png;base64,AAAA') == 4 and text.count("data:") == 4
    assert 'src="cid:b@x"' in text and 'src="cid:c@x"' in text and 'src="cid:a@x"' in text


def test_an_agent_takes_a_ticket_and_leaves_it(tmp_path: Path) -> None:
    file = tmp_path / "tickets.login"
    hashed = generate_password_hash("canary", "pbkdf2:sha256:1")
    file.write_text(f"agnes:{hashed}\nbert:{hashed}\n")
    with site(login=str(file)) as made:
        client = made.client()

        def does(act: str, who: str, **fields: str) -> str:
            headers = basic(who, "canary")
            text = client.get("/tickets/1", headers=headers).text
            form = dict(re.findall(r'name="(csrf|form|seen)" value="(\w+)"', text))
            client.post(f"/tickets/1/{act}", data={**form, **fields}, headers=headers)
            found = client.get("/tickets/1.json", headers=headers).json
            return str(found and found["agent"])

        assert does("answer", "bert", text="Water helps.") == "bert", "who answers works on it"
        assert does("answer", "agnes", text="Or sand.") == "bert"
        assert does("take", "agnes") == "agnes"
        page = client.get("/tickets/1", headers=basic("bert", "canary")).text
        assert "agnes works on it" in page and "Take it" in page
        assert "· agnes" in client.get("/tickets", headers=basic("bert", "canary")).text
        assert does("leave", "agnes") == ""


def test_forms_of_a_merged_ticket_are_refused() -> None:
    with site() as made:
        client = made.client()
        done = client.post("/tickets/3/merge", data={**made.form(client), "into": "#1"})
        assert done.headers["Location"] == "/tickets/1"
        before = made.state()
        for act, fields in ACTS.items():
            answer = client.post(f"/tickets/3/{act}", data={**made.form(client), **fields})
            assert answer.status_code == 400
        assert client.post("/tickets/2/merge", data={**made.form(client), "into": "3"}).status == (
            "400 BAD REQUEST"
        )
        assert made.state() == before
        assert "Merged into" in client.get("/tickets/3").text


# ── who may see them ─────────────────────────────────────────────────────────


def basic(name: str, password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"}


def login_of_agnes(folder: Path) -> str:
    """Returns the path of a file of logins, with the password canary."""
    file = folder / "tickets.login"
    file.write_text(f"agnes:{generate_password_hash('canary', 'pbkdf2:sha256:1')}\n")
    return str(file)


def test_with_a_login_nobody_else_sees_anything(tmp_path: Path) -> None:
    with site(login=login_of_agnes(tmp_path)) as made:
        client = made.client()
        refused = [
            client.get(path, headers=headers)
            for path in ("/tickets", "/tickets/1", "/tickets/999", "/mails/1.eml", "/tickets.json")
            for headers in ({}, basic("agnes", ""), {"Authorization": "Basic ="})
        ]
        assert {(one.status_code, one.text) for one in refused} == {(401, refused[0].text)}
        assert "canary" not in refused[0].text and "fire" not in refused[0].text
        other = {"environ_base": {"REMOTE_ADDR": "192.0.2.1"}}
        right = basic("agnes", "canary")
        assert client.get("/tickets", headers=right, **other).status_code == 200
        form = dict(
            re.findall(
                r'name="(csrf|form)" value="(\w+)"',
                client.get("/tickets/1", headers=right, **other).text,
            )
        )
        data = {**form, "text": "Hello"}
        assert (
            client.post("/tickets/1/answer", data=data, headers=right, **other).status_code == 303
        )
        assert "agent=agnes" in made.world.events[-1].text
        codes = [
            client.get("/tickets", headers=basic(name, f"guess {n}")).status_code
            for n in range(8)
            for name in ("agnes", "nobody")
        ]
        assert codes[0] == 401 and codes[-1] == 429
        assert client.get("/tickets", headers=right, **other).status_code == 200, "others go on"


@pytest.mark.slow
@pytest.mark.parametrize(("proxies", "owner"), [(0, 429), (1, 200)])
def test_who_guesses_locks_out_others_only_if_no_proxy_says_who_is_who(
    tmp_path: Path, proxies: int, owner: int
) -> None:
    with site(login=login_of_agnes(tmp_path), proxies=proxies) as made:
        client = made.client()

        def status(password: str, forwarded: str) -> int:
            headers = {**basic("agnes", password), "X-Forwarded-For": forwarded}
            return client.get("/tickets", headers=headers).status_code

        # What comes before the last address was written by the client.
        codes = [status(f"guess {n}", f"203.0.113.{n}, 192.0.2.7") for n in range(12)]
        assert codes == [401] * 10 + [429] * 2
        assert status("canary", "203.0.113.9") == owner


@pytest.mark.parametrize(
    ("rules", "wrong"),
    [
        ({"proxies": 1}, "listen: other machines"),
        ({"listen": "0.0.0.0:8026"}, "listen: other machines can read all tickets"),
        ({"listen": "[::]:8026"}, "listen: other machines"),
        ({"site": "https://tickets.yourco.test"}, "listen: other machines"),
        ({"reply_to": "tickets@yourco.test"}, "reply_to: "),
        ({"reply_to": "tickets+*@*.test"}, "reply_to: "),
        ({"reply_to": "x" * 40 + "+*@yourco.test"}, "reply_to: .* is too long"),
    ],
)
def test_a_setting_that_would_open_the_door_is_refused(rules: dict[str, Any], wrong: str) -> None:
    with World(tickets.WORLD, rehearsal=True) as world:
        table = {"listen": "127.0.0.1:0", **rules}
        loaded = settings.load({**world.settings, "scenario": {"tickets": table}}, world.folder)
        with pytest.raises(SettingsError, match=wrong):
            tickets.run(world.clock, loaded, world.host)


@pytest.mark.parametrize("kept", ["canary", "md5$salt$canary", "scrypt:x:8:1$salt$canary"])
def test_a_file_of_logins_that_no_password_fits_is_refused(tmp_path: Path, kept: str) -> None:
    file = tmp_path / "tickets.login"
    file.write_text(f"agnes:{kept}\n")
    with pytest.raises(SettingsError, match=r"tickets\.login:1: expected NAME:HASH") as caught:
        with site(login=str(file)):
            pass
    assert "canary" not in str(caught.value)


def test_tokens_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    digest = hmac.compare_digest

    def noted(ours: bytes, theirs: bytes) -> bool:
        compared.append((ours, theirs))
        return bool(digest(ours, theirs))

    monkeypatch.setattr(hmac, "compare_digest", noted)
    with World(
        {**tickets.WORLD, "scenario": {"tickets": {"reply_to": "tickets+*@yourco.test"}}},
        rehearsal=True,
    ) as world:
        world.mail.deliver(TICKETS, customer_mail())
        loaded = settings.load(world.settings, world.folder)
        tickets.run(world.clock, loaded, world.host)
        for number, token in ((1, "a" * 20), (1, ""), (2, "a" * 20), (1, "a" * 41)):
            to = TICKETS.replace("@", f"+{number}-{token}@")
            world.mail.deliver(to, customer_mail(f"{number} {token}", DAVE))
        tickets.run(world.clock, loaded, world.host)
        assert b"a" * 20 in {theirs for _, theirs in compared}
        # All are tickets of their own, whether the number exists or not.
        made = [one for one in world.events if one.text.startswith("ticket ")]
        assert len(made) == 5
