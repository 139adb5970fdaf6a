"""XEP-0484: tokens instead of passwords: given, used, counted, replaced, expired, invalidated."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Callable

import pytest

from fakes import World
from fakes.transcripts.recorder import render, wire_lines
from fakes.wire import TlsFacts
from fakes.xmpp.extensions import fast
from fakes.xmpp.extensions.fast import CLIENTS, LIFE, ROTATION
from tests.sasl2 import (
    PLAIN,
    SASL2,
    authenticate,
    bind2,
    logged_in,
    request_token,
    secured,
    token_in,
    with_token,
)
from tests.xmpp_raw import HEADER, Client, world

NONE, ENDP = "HT-SHA-256-NONE", "HT-SHA-256-ENDP"
END_POINT = bytes(32)  # of the TLS channel of tests/xmpp_raw.py


def issued(place: World, mechanism: str = NONE) -> str:
    """A token that romeo's client has got."""
    token = token_in(logged_in(place, request_token(mechanism))[1])
    assert token
    return token


def log_in(place: World, token: str, options: str = "", *inside: str) -> bytes:
    return secured(place).says(with_token(token, *inside, options=options))


def succeeds(answer: bytes) -> bool:
    return answer.startswith(b"<success ")


def condition(answer: bytes) -> str:
    found = re.search(rb"^<failure xmlns='urn:xmpp:sasl:2'><([a-z-]+) ", answer)
    return found[1].decode() if found else ""


# ── a token is given, and used ───────────────────────────────────────────────


@pytest.mark.parametrize("mechanism", [NONE, ENDP])
def test_a_client_gets_a_token_and_logs_in_with_it(mechanism: str) -> None:
    place = world(tls="optional")
    _, answer = logged_in(place, request_token(mechanism))
    assert b" expiry='2026-01-26T00:00:00Z' " in answer, "LIFE after the world's first day"
    token = token_in(answer)
    binding = END_POINT if mechanism == ENDP else b""
    client = secured(place)
    answer = client.says(with_token(token, bind2(), mechanism=mechanism, binding=binding))
    # The server proves that it knows the token, too.
    proof = base64.b64encode(hmac.digest(token.encode(), b"Responder" + binding, "sha256"))
    assert answer.startswith(f"<success xmlns='{SASL2}'><additional-data>".encode() + proof)
    assert b"<bound " in answer and b"<token" not in answer
    assert client.core.user == "romeo@example.test" and client.core.state == "BOUND"
    assert succeeds(secured(place).says(with_token(token, mechanism=mechanism, binding=binding))), (
        "again and again"
    )


@pytest.mark.parametrize(
    ("tls", "offered"),
    [
        (None, [NONE]),
        (TlsFacts("TLSv1.3"), [NONE]),
        (TlsFacts("TLSv1.3", bindings={"tls-server-end-point": b"e"}), [ENDP, NONE]),
        (
            TlsFacts("TLSv1.2", bindings={"tls-server-end-point": b"e", "tls-unique": b"u"}),
            [ENDP, "HT-SHA-256-UNIQ", NONE],
        ),
        (TlsFacts("TLSv1.3", bindings={"tls-exporter": b"x"}), ["HT-SHA-256-EXPR", NONE]),
    ],
)
def test_the_mechanisms_are_those_to_which_the_channel_can_bind(
    tls: TlsFacts | None, offered: list[str]
) -> None:
    place = world(xmpp={"sasl2_in_clear": True})
    client = Client(place)
    client.core.tls = tls
    answer = client.says(HEADER).decode()
    part = answer.partition("<fast xmlns='urn:xmpp:fast:0'>")[2].partition("</fast>")[0]
    assert re.findall("<mechanism>([^<]+)<", part) == offered
    for mechanism in offered:
        token = token_in(logged_in_at(place, tls, request_token(mechanism)))
        kind = {"ENDP": "tls-server-end-point", "EXPR": "tls-exporter", "UNIQ": "tls-unique"}
        binding = tls.bindings[kind[mechanism[-4:]]] if tls and mechanism != NONE else b""
        client = Client(place)
        client.core.tls = tls
        assert succeeds(
            client.says(HEADER, with_token(token, mechanism=mechanism, binding=binding)).partition(
                b"</stream:features>"
            )[2]
        )


def logged_in_at(place: World, tls: TlsFacts | None, *inside: str) -> bytes:
    client = Client(place)
    client.core.tls = tls
    return client.says(HEADER, authenticate(PLAIN, *inside))


@pytest.mark.parametrize(
    ("inside", "config"),
    [
        ((), {}),
        ((request_token("HT-SHA-256-EXPR"),), {}),
        ((request_token("PLAIN"),), {}),
        ((request_token(""),), {}),
        ((request_token(),), {"off": {"xmpp": ["fast"]}}),
        ((request_token(),), {"off": {"xmpp": [NONE]}}),
    ],
)
def test_nobody_gets_a_token_for_what_is_not_offered(
    inside: tuple[str, ...], config: dict[str, object]
) -> None:
    _, answer = logged_in(world(tls="optional", **config), *inside)
    assert succeeds(answer) and b"<token" not in answer


def test_a_client_without_an_id_gets_no_token_and_neither_does_an_anonymous_user() -> None:
    place = world(tls="optional", xmpp={"anonymous": True})
    for request in (
        authenticate(PLAIN, request_token(), id=""),
        authenticate(b"", request_token(), mechanism="ANONYMOUS"),
    ):
        answer = secured(place).says(request)
        assert succeeds(answer) and b"<token" not in answer


def test_a_failed_login_gets_no_token() -> None:
    answer = secured(world(tls="optional")).says(authenticate(b"\0romeo\0guess", request_token()))
    assert condition(answer) == "not-authorized" and b"<token" not in answer


# ── what is refused ──────────────────────────────────────────────────────────

OTHER_ID = "6ba7b810-9dad-41d1-80b4-00c04fd430c8"
# what is wrong → the login, and the condition of the failure
REFUSED: dict[str, tuple[Callable[[str], bytes], str]] = {
    "token": (lambda token: with_token("guess"), "not-authorized"),
    "empty token": (lambda token: with_token(""), "not-authorized"),
    "client": (lambda token: with_token(token, id=OTHER_ID), "not-authorized"),
    "no client": (lambda token: with_token(token, id=""), "malformed-request"),
    "mechanism": (
        lambda token: with_token(token, mechanism=ENDP, binding=END_POINT), "not-authorized"
    ),
    "binding": (lambda token: with_token(token, binding=b"x"), "not-authorized"),
    "mechanism that is not offered": (
        lambda token: with_token(token, mechanism="HT-SHA-256-UNIQ"), "invalid-mechanism"
    ),
    "mechanism of passwords": (
        lambda token: authenticate(PLAIN, "<fast xmlns='urn:xmpp:fast:0'/>"), "invalid-mechanism"
    ),
    "no <fast/>": (
        lambda token: with_token(token).replace(b"<fast ", b"<slow "), "invalid-mechanism"
    ),
    "user": (
        lambda token: authenticate(
            b"tybalt\0" + hmac.digest(b"", b"Initiator", "sha256"),
            "<fast xmlns='urn:xmpp:fast:0'/>",
            mechanism=NONE,
        ),
        "not-authorized",
    ),
    "form": (
        lambda token: authenticate(
            token.encode(), "<fast xmlns='urn:xmpp:fast:0'/>", mechanism=NONE
        ),
        "malformed-request",
    ),
    "count": (lambda token: with_token(token, options=" count='x'"), "malformed-request"),
    "count below 0": (lambda token: with_token(token, options=" count='-1'"), "malformed-request"),
    "count of 0": (lambda token: with_token(token, options=" count='0'"), "not-authorized"),
    "count without end": (
        lambda token: with_token(token, options=f" count='{'9' * 5000}'"), "malformed-request"
    ),
    "count in other digits": (
        lambda token: with_token(token, options=" count='٣'"), "malformed-request"
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", REFUSED)
def test_a_login_that_is_wrong_fails_and_the_token_stays_valid(wrong: str) -> None:
    place = world(tls="optional")
    token = issued(place)
    request, expected = REFUSED[wrong]
    client = secured(place)
    assert condition(client.says(request(token))) == expected
    assert token not in render(place.recording)
    assert succeeds(client.says(with_token(token)))


def test_it_is_refused_by_an_older_version_of_sasl() -> None:
    place = world(tls="optional")
    token = issued(place)
    proof = b"romeo\0" + hmac.digest(token.encode(), b"Initiator", "sha256")
    text = base64.b64encode(proof).decode()
    auth = f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='{NONE}'>{text}</auth>"
    assert b"<invalid-mechanism" in secured(place).says(auth.encode())


def test_guesses_are_counted_like_those_of_passwords() -> None:
    client = secured(world(tls="optional", xmpp={"attempts": 2}))
    client.says(with_token("guess"))
    assert b"<policy-violation" in client.says(with_token("guess"))


def test_a_token_that_is_used_twice_with_the_same_count_fails_the_second_time() -> None:
    place = world(tls="optional")
    token = issued(place)
    used = [("5", True), ("5", False), ("4", False), ("6", True), ("1", False)]
    for count, accepted in used:
        assert succeeds(log_in(place, token, f" count='{count}'")) is accepted, count
    assert succeeds(log_in(place, token)), "without one, because there is no early data"
    assert not succeeds(log_in(place, token, " count='6'"))


# ── the end of a token ───────────────────────────────────────────────────────


def test_a_token_expires() -> None:
    place = world(tls="optional")
    token = issued(place)
    place.clock.advance(LIFE)
    client = secured(place)
    assert condition(client.says(with_token(token))) == "credentials-expired"
    assert succeeds(client.says(authenticate(PLAIN))), "the password is still right"


def test_a_token_ends_with_the_password() -> None:
    place = world(tls="optional")
    token = issued(place)
    person = place.people.find("romeo@example.test")
    assert person is not None
    person.password = "changed"
    assert condition(log_in(place, token)) == "credentials-expired"


def test_a_token_of_an_account_that_was_disabled_is_of_no_use() -> None:
    place = world(tls="optional", xmpp={"admins": ["juliet@example.test"]})
    token = issued(place)
    place.jabber.service.extensions.named("administration").stored["romeo@example.test"] = True
    answer = log_in(place, token, "", request_token())
    assert condition(answer) == "account-disabled" and token_in(answer) == ""


def test_tokens_are_forgotten_with_their_account() -> None:
    place = world(tls="optional")
    token = issued(place)
    place.jabber.remove("romeo@example.test")
    assert condition(log_in(place, token)) == "not-authorized"


@pytest.mark.parametrize("value", ["1", "true", "0"])
def test_a_client_invalidates_its_token(value: str) -> None:
    place = world(tls="optional")
    token = issued(place)
    place.clock.advance(ROTATION)
    answer = log_in(place, token, f" invalidate='{value}'")
    assert succeeds(answer) and (token_in(answer) == "") == (value != "0")
    assert succeeds(log_in(place, token)) == (value == "0")


def test_a_client_that_invalidates_its_token_may_ask_for_another() -> None:
    place = world(tls="optional")
    token = issued(place)
    new = token_in(log_in(place, token, " invalidate='1'", request_token()))
    assert new and condition(log_in(place, token)) == "not-authorized"
    assert succeeds(log_in(place, new))


def test_a_failed_login_invalidates_nothing() -> None:
    place = world(tls="optional")
    token = issued(place)
    log_in(place, "guess", " invalidate='1'")
    assert succeeds(log_in(place, token))


# ── rotation (§3.5) ──────────────────────────────────────────────────────────


def test_an_old_token_is_replaced_and_is_valid_until_the_new_one_is_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fast, "ROTATION", 100)
    monkeypatch.setattr(fast, "LIFE", 1000)
    place = world(tls="optional")
    token = issued(place, ENDP)

    def answer_to(token: str) -> bytes:
        return secured(place).says(with_token(token, mechanism=ENDP, binding=END_POINT))

    place.clock.advance(99)
    assert token_in(answer_to(token)) == ""
    place.clock.advance(1)
    lost = token_in(answer_to(token))
    new = token_in(answer_to(token))
    assert len({token, lost, new, ""}) == 4
    assert condition(answer_to(lost)) == "not-authorized", "nobody has used it"
    assert succeeds(answer_to(token)) and succeeds(answer_to(token))
    newest = token_in(answer_to(token))
    assert succeeds(answer_to(newest))
    assert condition(answer_to(token)) == "not-authorized"
    place.clock.advance(950)
    assert succeeds(answer_to(newest)), "it has its own expiry"
    place.clock.advance(50)
    assert condition(answer_to(newest)) == "credentials-expired"


def test_a_token_for_another_mechanism_leaves_the_first_one_valid_until_it_is_used() -> None:
    place = world(tls="optional")
    token = issued(place)
    assert succeeds(log_in(place, token))
    other = issued(place, ENDP)
    assert succeeds(log_in(place, token))
    assert succeeds(secured(place).says(with_token(other, mechanism=ENDP, binding=END_POINT)))
    assert condition(log_in(place, token)) == "not-authorized"


# ── what is kept ─────────────────────────────────────────────────────────────


def tokens_of_romeo(place: World) -> dict[str, fast.Slots]:
    extension = place.jabber.service.extensions.named("fast")
    assert isinstance(extension, fast.Fast)
    return extension.stored["romeo@example.test"]


def test_tokens_outlive_the_server() -> None:
    place = world(tls="optional")
    token = issued(place)
    stored = place.stored
    other = world(tls="optional")
    other.restore(stored)
    assert succeeds(log_in(other, token, " count='1'"))
    assert succeeds(log_in(place, token, " count='1'")), "each counts for itself"


def test_an_account_has_the_tokens_of_a_limited_number_of_clients() -> None:
    place = world(xmpp={"sasl2_in_clear": True})
    clients = [f"d4565fa7-4d72-4749-b3d3-{n:012}" for n in range(CLIENTS + 1)]
    tokens = []
    for id in clients:
        client = Client(place)
        tokens.append(token_in(client.says(HEADER, authenticate(PLAIN, request_token(), id=id))))
    assert list(tokens_of_romeo(place)) == clients[1:]

    def logs_in(n: int) -> bool:
        return b"<success " in Client(place).says(HEADER, with_token(tokens[n], id=clients[n]))

    assert not logs_in(0) and logs_in(1) and logs_in(CLIENTS)


def test_no_recording_shows_a_token() -> None:
    place = world(tls="optional", fault=[{"where": "auth", "nth": 3, "after": 400}])
    token = issued(place)
    place.clock.advance(ROTATION)
    new = token_in(log_in(place, token, " count='7'"))
    log_in(place, new, "", request_token())
    assert new and any(record.fault for record in place.records)
    shown = render(place.recording)
    shown += "".join(line for record in place.records for line in wire_lines(record))
    shown += "".join(record.shown().decode() for record in place.records)
    [slots] = tokens_of_romeo(place).values()
    third = slots.new.secret if slots.new else ""
    assert third and not any(secret in shown for secret in (token, new, third[:16]))
    assert "token='{token romeo@example.test}'" in shown
    assert "<initial-response>{ht-sha-256-none romeo}<" in shown
