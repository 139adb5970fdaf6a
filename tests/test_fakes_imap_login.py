"""Logins of IMAP, what the server says it can do, ID, ENABLE and IDLE."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from fakes.wire import Want
from tests.imap_raw import ALICE, MAIL, Raw, imap_world, selected


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# ── LOGIN ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("LOGIN alice secret", "OK [CAPABILITY "),
        ("LOGIN Alice@Example.test secret", "OK [CAPABILITY "),
        ('LOGIN "alice" "secret"', "OK [CAPABILITY "),
        ("LOGIN alice Secret", "NO [AUTHENTICATIONFAILED]"),
        ("LOGIN nobody secret", "NO [AUTHENTICATIONFAILED]"),
        ('LOGIN "" ""', "NO [AUTHENTICATIONFAILED]"),
        ("LOGIN alice", "BAD"),
        ("LOGIN alice secret more", "BAD"),
        ("LOGIN", "BAD"),
    ],
)
def test_login_needs_the_right_password(command: str, status: str) -> None:
    client = Raw(imap_world())
    assert client.ask(command).startswith(f"t {status}")
    client.session.state = "NOT-AUTHENTICATED"
    assert client.status("LOGIN alice secret").startswith("OK [CAPABILITY IMAP4rev1 ")


@pytest.mark.parametrize("form", ['"{}"', "{{{}+}}\r\n{}"])
def test_a_password_in_utf_8_is_taken_in_quotes_and_in_a_literal(form: str) -> None:
    client = Raw(imap_world(person=[{"address": ALICE, "password": 'grün"\\'}]))
    password = 'grün"\\'
    if form.startswith('"'):
        argument = '"grün\\"\\\\"'
    else:
        argument = form.format(len(password.encode()), password)
    assert client.ask(f"LOGIN alice {argument}").startswith("t OK")


def test_where_tls_is_required_no_password_is_sent_in_clear() -> None:
    client = Raw(imap_world(tls="required", mail={"scram": True}))
    listed = client.greeting.decode().replace("]", " ").split()
    assert "LOGINDISABLED" in listed and "AUTH=PLAIN" not in listed
    assert "AUTH=CRAM-MD5" in listed and "AUTH=SCRAM-SHA-256" in listed
    assert client.status("LOGIN alice secret") == "NO [PRIVACYREQUIRED]"
    assert client.status("AUTHENTICATE PLAIN") == "NO [PRIVACYREQUIRED]"
    assert client.ask("AUTHENTICATE CRAM-MD5").startswith("+ ")


# ── AUTHENTICATE ─────────────────────────────────────────────────────────────


def test_plain_in_one_line_and_in_two() -> None:
    response = encoded("\0alice\0secret")
    assert Raw(imap_world()).ask(f"AUTHENTICATE PLAIN {response}").startswith("t OK [CAPABILITY ")
    client = Raw(imap_world())
    assert client.send(b"t authenticate plain\r\n") == b"+ \r\n"
    assert client.send(response.encode() + b"\r\n").startswith(b"t OK [CAPABILITY ")
    assert client.session.user == ALICE


def test_login_asks_for_name_and_password() -> None:
    client = Raw(imap_world())
    assert client.ask("AUTHENTICATE LOGIN").startswith("+ ")
    assert client.send(encoded("alice").encode() + b"\r\n").startswith(b"+ ")
    assert client.send(encoded("secret").encode() + b"\r\n").startswith(b"t OK")


@pytest.mark.parametrize("space", ["", " "])  # mutt sends a space with nothing after it
def test_cram_md5_checks_the_digest(space: str) -> None:
    client = Raw(imap_world())
    challenge = base64.b64decode(client.ask(f"AUTHENTICATE CRAM-MD5{space}").removeprefix("+ "))
    digest = hmac.new(b"secret", challenge, hashlib.md5).hexdigest()
    assert client.send(encoded(f"alice {digest}").encode() + b"\r\n").startswith(b"t OK")


def test_what_is_set_for_mail_counts_for_imap_unless_its_own_table_says_otherwise() -> None:
    mail = {"size": 1000, "scram": True}
    policy = Raw(imap_world(mail=mail, imap={"size": 2000})).session.policy
    assert (policy.size, policy.scram) == (2000, True)
    assert Raw(imap_world(mail=mail)).session.policy.size == 1000
    assert b"SCRAM" not in Raw(imap_world()).greeting


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_the_last_word_of_scram_is_a_challenge_with_an_empty_answer(algorithm: str) -> None:
    client = Raw(imap_world(mail={"scram": True}))
    bare = "n=alice,r=abc"
    name = {"sha1": "SCRAM-SHA-1", "sha256": "SCRAM-SHA-256"}[algorithm]
    first = base64.b64decode(client.ask(f"AUTHENTICATE {name} {encoded('n,,' + bare)}")[2:])
    values = dict(part.split("=", 1) for part in first.decode().split(","))
    salted = hashlib.pbkdf2_hmac(
        algorithm, b"secret", base64.b64decode(values["s"]), int(values["i"])
    )
    without_proof = f"c=biws,r={values['r']}"
    message = f"{bare},{first.decode()},{without_proof}".encode()
    key = hmac.digest(salted, b"Client Key", algorithm)
    stored = hashlib.new(algorithm, key).digest()
    signature = hmac.digest(stored, message, algorithm)
    proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True))).decode()
    answer = client.send(encoded(f"{without_proof},p={proof}").encode() + b"\r\n")
    server_key = hmac.digest(salted, b"Server Key", algorithm)
    verifier = base64.b64encode(hmac.digest(server_key, message, algorithm))
    assert base64.b64decode(answer.removeprefix(b"+ ")) == b"v=" + verifier
    assert client.send(b"\r\n").startswith(b"t OK [CAPABILITY ")


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        (["AUTHENTICATE NONE"], "t NO No such mechanism"),
        (["AUTHENTICATE"], "t BAD "),
        (["AUTHENTICATE PLAIN", "*"], "t BAD Authentication cancelled"),
        (["AUTHENTICATE PLAIN", "!!!"], "t BAD Cannot decode base64"),
        (["AUTHENTICATE PLAIN ="], "t BAD PLAIN wants"),
        (["AUTHENTICATE PLAIN", encoded("\0alice\0wrong")], "t NO [AUTHENTICATIONFAILED] "),
        (["AUTHENTICATE PLAIN", encoded("bob\0alice\0secret")], "t NO [AUTHENTICATIONFAILED] "),
        (["AUTHENTICATE CRAM-MD5 YQ=="], "t BAD CRAM-MD5 takes no initial response"),
        (["AUTHENTICATE PLAIN", "x" * 13_000], "t BAD Line too long"),
    ],
)
def test_a_failed_exchange_changes_nothing(lines: list[str], answer: str) -> None:
    client = Raw(imap_world())
    found = client.ask(lines[0])
    for line in lines[1:]:
        found = client.send(line.encode() + b"\r\n").decode()
    assert found.startswith(answer)
    assert client.session.state == "NOT-AUTHENTICATED"
    assert client.ask("LOGIN alice secret").startswith("t OK")


def test_without_sasl_ir_there_is_no_initial_response() -> None:
    client = Raw(imap_world(off={"imap": ["SASL-IR", "AUTH=LOGIN"]}))
    assert client.status(f"AUTHENTICATE PLAIN {encoded(chr(0) + 'alice' + chr(0))}") == "BAD"
    assert client.ask("AUTHENTICATE LOGIN") == "t NO No such mechanism"
    assert client.ask("AUTHENTICATE PLAIN") == "+ "


# ── ID, ENABLE, NOOP ─────────────────────────────────────────────────────────


def test_id_says_who_the_server_is() -> None:
    client = Raw(imap_world())
    assert client.lines("ID NIL") == ['* ID ("name" "fakes")', "t OK"]
    assert client.lines('ID ("name" "test" "version" NIL)')[-1] == "t OK"
    many = " ".join(f'"k{number}" "v"' for number in range(31))
    assert client.status(f"ID ({many})") == "BAD"


def test_enable_says_what_is_enabled_now() -> None:
    client = Raw(imap_world(off={"imap": ["CONDSTORE"]}))
    client.ask("LOGIN alice secret")
    before = client.ask("CAPABILITY")
    assert client.lines("ENABLE X-UNKNOWN CONDSTORE") == ["* ENABLED", "t OK"]
    assert client.lines("ENABLE utf8=accept") == ["* ENABLED UTF8=ACCEPT", "t OK"]
    assert client.ask("CAPABILITY") == before
    assert client.status("ENABLE") == "BAD"
    client.ask("SELECT INBOX")
    assert client.status("ENABLE UTF8=ACCEPT") == "BAD"
    assert client.lines("ENABLE OTHER") == ["* ENABLED", "t OK"]


# ── IDLE ─────────────────────────────────────────────────────────────────────


def test_idle_tells_what_happens_at_once() -> None:
    world, client = selected(1)
    other = Raw(world, 2, select="INBOX")
    assert client.ask("IDLE") == "+ idling" and world.mail.idling(ALICE) == 1
    world.mail.deliver(ALICE, MAIL)
    assert client.news() == ["* 2 EXISTS", "* 2 RECENT"]
    other.ask("STORE 1 +FLAGS (\\Deleted)")
    assert client.news() == ["* 1 FETCH (FLAGS (\\Deleted \\Recent))"]
    other.ask("EXPUNGE")
    assert client.news() == ["* 1 EXPUNGE", "* 1 RECENT"]
    assert client.send(b"done\r\n") == b"t OK Waited\r\n"
    assert world.mail.idling(ALICE) == 0
    world.mail.deliver(ALICE, MAIL)
    assert client.news() == [], "unasked, nothing is told"
    assert client.lines("NOOP") == ["* 2 EXISTS", "* 2 RECENT", "t OK"]


def test_idle_begins_with_what_was_not_told_yet() -> None:
    world, client = selected(0)
    world.mail.deliver(ALICE, MAIL)
    assert client.ask("IDLE") == "+ idling\r\n* 1 EXISTS\r\n* 1 RECENT"


def test_idle_works_without_a_mailbox_and_ends_with_anything() -> None:
    client = Raw(imap_world())
    client.ask("LOGIN alice secret")
    assert client.ask("IDLE") == "+ idling"
    assert client.send(b"u NOOP\r\n") == b"t BAD Expected DONE\r\n"
    assert client.status("NOOP") == "OK"
    assert client.ask("IDLE x").startswith("t BAD")


def test_idle_ends_with_the_mailbox() -> None:
    world, client = selected(1)
    client.ask("SELECT Trash")
    client.ask("IDLE")
    world.mail.delete_folder(ALICE, "Trash")
    assert client.news() == ["* BYE The selected mailbox is not available any more"]
    assert client.session.closed


@pytest.mark.parametrize("end", ["eof", "reset", "logout"])
def test_a_session_that_ends_is_told_no_more(end: str) -> None:
    world, client = selected(1)
    if end == "eof":
        client.ask("IDLE")
        client.session.eof()
    elif end == "reset":
        client.session.close(Want.RESET)
    else:
        client.ask("LOGOUT")
    world.mail.deliver(ALICE, MAIL)
    assert client.news() == [] and world.mail.idling(ALICE) == 0
    assert not world.mail.maildrop(ALICE).followers


def test_a_stalled_session_is_told_nothing() -> None:
    world, client = selected(1)
    world.faults.arm("imap NOOP stall")
    client.ask("IDLE")
    client.send(b"DONE\r\n")
    client.ask("NOOP")
    world.mail.deliver(ALICE, MAIL)
    assert client.news() == []
