"""Sending mail by SMTP: every outcome is distinguished, and nothing is guessed or downgraded."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

import pytest

from comms import smtp
from comms.errors import CommsError, Refused, TryLater, Unreachable
from comms.host import RealHost
from comms.settings import Server, load
from fakes.world import World

TO = ["alice@example.test", "bob@example.test"]
DATA = b"Subject: hello\r\n\r\nhi\r\n.\r\n..\r\n"


def rehearsal(*faults: str, **config: Any) -> World:
    return World(
        {"servers": ["smtp"], "program": "ops@example.test", **config},
        rehearsal=True,
        faults=faults,
    )


def server_of(world: World, **changes: Any) -> Server:
    return replace(load(world.settings, world.folder).server("smtp"), **changes)


def session(world: World, **changes: Any) -> smtp.Session:
    return smtp.Session(server_of(world, **changes), world.clock, world.host)


def outcomes(world: World, recipients: list[str] = TO) -> dict[str, str]:
    with session(world) as open_session:
        results = open_session.send("ops@example.test", recipients, DATA)
    return {
        address: type(error).__name__ if error else "sent" for address, error in results.items()
    }


def commands(world: World) -> list[str]:
    return [record.verb for record in world.records if record.direction == "C"]


def test_one_session_sends_several_mails_with_lines_of_dots() -> None:
    with rehearsal() as world:
        with session(world) as open_session:
            for _ in range(3):
                assert open_session.send("ops@example.test", TO, DATA) == dict.fromkeys(TO)
        assert [mail.raw for mail in world.mail.messages] == [DATA] * 3
        assert world.mail.messages[0].envelope.login == "ops@example.test"
        assert len({record.session for record in world.records}) == 1


SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-1")
AUTH = ["plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"]


@pytest.mark.parametrize("mechanism", [*AUTH, "auto"])
@pytest.mark.parametrize("password", ["secret", "pässwörd 漢字"])
def test_each_mechanism_logs_in_with_any_password(mechanism: str, password: str) -> None:
    config = {
        "person": [{"address": "ops@example.test", "password": password}],
        "mail": {"scram": True},
    }
    with rehearsal(**config) as world, session(world, auth=mechanism) as open_session:
        [login] = [record for record in world.records if record.verb == "AUTH"]
        expected = SCRAM[0] if mechanism == "auto" else mechanism.upper()
        assert login.fields["mechanism"] == expected
        open_session.send("ops@example.test", ["ops@example.test"], DATA)


@pytest.mark.parametrize("initial", [True, False])
def test_an_initial_response_may_be_left_out(initial: bool) -> None:
    with rehearsal() as world:
        server = server_of(world, auth="plain")
        smtp.Session(server, world.clock, world.host, initial_response=initial).close()
        assert commands(world) == ["EHLO", "AUTH", *(() if initial else ("response",)), "QUIT"]


@pytest.mark.parametrize("offered", [True, False])
def test_a_header_beyond_ascii_needs_smtputf8(offered: bool) -> None:
    raw = "Subject: Grüße\r\n\r\nhi\r\n".encode()
    with rehearsal(off={"smtp": [] if offered else ["SMTPUTF8"]}) as world:
        with session(world) as open_session:
            [error] = open_session.send("ops@example.test", TO[:1], raw, utf8=True).values()
        if offered:
            assert error is None
            [mail] = world.mail.messages
            assert (mail.raw, "SMTPUTF8" in mail.envelope.params) == (raw, True)
        else:
            assert isinstance(error, Refused) and "only ASCII headers" in str(error)
            assert "MAIL" not in commands(world)


def test_a_session_knows_the_extensions_of_its_server() -> None:
    with rehearsal(mail={"size": 5000}, off={"smtp": ["8BITMIME"]}) as world:
        with session(world) as open_session:
            found = {
                name: open_session.extension(name) for name in ("SIZE", "PIPELINING", "8BITMIME")
            }
        assert found == {"SIZE": "5000", "PIPELINING": "", "8BITMIME": None}


@pytest.mark.parametrize(
    ("off", "mechanism"),
    [
        ([], "SCRAM-SHA-256"),
        (["SCRAM-SHA-256"], "SCRAM-SHA-1"),
        ([*SCRAM], "CRAM-MD5"),
        ([*SCRAM, "CRAM-MD5"], "PLAIN"),
        ([*SCRAM, "CRAM-MD5", "PLAIN"], "LOGIN"),
    ],
)
def test_auto_takes_the_strongest_mechanism_on_offer(off: list[str], mechanism: str) -> None:
    with rehearsal(off={"smtp": off}, mail={"scram": True}) as world:
        session(world).close()
        login = next(record for record in world.records if record.verb == "AUTH")
        assert login.fields["mechanism"] == mechanism


def test_a_server_that_cannot_prove_that_it_knows_the_password_is_refused() -> None:
    # It accepts whatever the client sends. Its last word, the proof, is missing.
    with rehearsal('AUTH reply "235 2.7.0 Welcome"', mail={"scram": True}) as world:
        with pytest.raises(Refused, match="never proved that it knows the password"):
            session(world)
        assert "MAIL" not in commands(world)


def test_a_wrong_password_is_not_tried_with_another_mechanism() -> None:
    with rehearsal() as world:
        with pytest.raises(
            Refused, match=r"the login of ops@example\.test by CRAM-MD5: 535"
        ) as caught:
            session(world, password="hunter2")
        assert "hunter2" not in str(caught.value)
        assert commands(world) == ["EHLO", "AUTH", "response"]


def test_a_mechanism_that_is_not_offered_is_an_error_that_lists_the_others() -> None:
    with (
        rehearsal(off={"smtp": ["CRAM-MD5"]}) as world,
        pytest.raises(Refused, match=r"offered: PLAIN LOGIN; auth = 'cram-md5'"),
    ):
        session(world, auth="cram-md5")


def test_login_and_mail_are_inside_tls() -> None:
    with rehearsal(tls="required") as world:
        assert outcomes(world) == dict.fromkeys(TO, "sent")
        assert world.mail.messages[0].envelope.protocol == "ESMTPSA"
        assert commands(world)[:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"]


def test_implicit_tls_needs_no_command() -> None:
    world = World(
        {"servers": ["smtp"], "tls": "optional"}, rehearsal=True, ports={"smtp": 0, "smtps": 0}
    )
    with world:
        port = world.address("smtps")[1]
        with session(world, port=port, tls="implicit") as open_session:
            assert open_session.send("ops@example.test", TO, DATA) == dict.fromkeys(TO)
        assert "STARTTLS" not in commands(world)


def test_without_starttls_nothing_is_sent_in_clear_text() -> None:
    with (
        rehearsal(tls="optional", off={"smtp": ["STARTTLS"]}) as world,
        pytest.raises(Refused, match="does not offer STARTTLS"),
    ):
        session(world)
    assert commands(world) == ["EHLO"]


@pytest.mark.parametrize("flaw", ["expired", "other-name", "self-signed"])
def test_an_invalid_certificate_is_refused_before_the_login(flaw: str) -> None:
    with rehearsal(f"tls certificate {flaw}", tls="optional") as world:
        with pytest.raises(Refused, match="certificate is not trusted"):
            session(world)
        assert "AUTH" not in commands(world)


@pytest.mark.parametrize(
    "fault", ["tls hang up", "tls reset", "STARTTLS hang up", "STARTTLS reset"]
)
def test_a_server_that_cannot_start_tls_is_unreachable(fault: str) -> None:
    with rehearsal(fault, tls="optional") as world, pytest.raises(Unreachable):
        session(world)


def test_bytes_in_clear_text_after_the_answer_to_starttls_are_treated_as_an_attack() -> None:
    with (
        rehearsal('STARTTLS reply "220 go\r\n250 injected"', tls="optional") as world,
        pytest.raises(Unreachable, match="injection attack"),
    ):
        session(world)


@pytest.mark.parametrize(
    ("fault", "alice", "bob"),
    [
        ('RCPT arg *alice* reply "550 5.1.1 unknown"', "Refused", "sent"),
        ('RCPT arg *alice* reply "450 4.2.1 busy"', "TryLater", "sent"),
        ('RCPT reply "550 5.1.1 unknown"', "Refused", "Refused"),
        ('MAIL reply "451 4.3.0 later"', "TryLater", "TryLater"),
        ('MAIL reply "550 5.7.1 no"', "Refused", "Refused"),
        ('DATA reply "554 5.0.0 no"', "Refused", "Refused"),
        ('DATA reply "451 4.3.0 later"', "TryLater", "TryLater"),
        ('. reply "552 5.3.4 too big"', "Refused", "Refused"),
        ('. reply "421 4.3.2 closing"', "TryLater", "TryLater"),
        (". lost stored", "Unknown", "Unknown"),
        (". lost unstored", "Unknown", "Unknown"),
        (". hang up before", "Unknown", "Unknown"),
        (". reset", "Unknown", "Unknown"),
        (". stall", "Unknown", "Unknown"),
        (". after 2", "Unknown", "Unknown"),
        (". delay 5", "sent", "sent"),
        (". delay 110", "sent", "sent"),
        (". split 1", "sent", "sent"),
        ('RCPT arg *bob* reply "251 will forward"', "sent", "sent"),
        # RFC 5321 §4.5.3.1.10: old servers say 552 for 452; or a mailbox is full (5.2).
        ('RCPT arg *bob* reply "552 too many recipients"', "sent", "TryLater"),
        ('RCPT arg *bob* reply "552 5.5.3 too many recipients"', "sent", "TryLater"),
        ('RCPT arg *bob* reply "552 5.2.2 mailbox full"', "sent", "Refused"),
        # RFC 5321 §4.2: of an unknown code, the first digit counts.
        ('RCPT arg *bob* reply "259 fine"', "sent", "sent"),
        ('. reply "259 fine"', "sent", "sent"),
        ('. reply "359 go on"', "TryLater", "TryLater"),
    ],
)
def test_each_recipient_has_its_own_outcome(fault: str, alice: str, bob: str) -> None:
    with rehearsal(fault) as world:
        assert outcomes(world) == dict(zip(TO, (alice, bob), strict=True))


@pytest.mark.parametrize(
    "refusal",
    ['MAIL reply "550 5.7.1 no"', 'RCPT reply "550 5.1.1 no"', 'DATA reply "554 5.0.0 no"'],
)
@pytest.mark.parametrize("lost", ["hang up", "reset", "stall"])
def test_a_refusal_counts_even_if_the_server_hangs_up_then(refusal: str, lost: str) -> None:
    with rehearsal(refusal, f"RSET {lost}") as world:
        assert outcomes(world) == dict.fromkeys(TO, "Refused")


@pytest.mark.parametrize(
    "fault",
    [
        "connect hang up",
        "connect reset",
        "connect stall",
        "connect after 5",
        "EHLO hang up",
        "AUTH hang up",
        "response hang up",
        "MAIL hang up",
        "MAIL reset",
        "MAIL stall",
        "RCPT hang up within",
        "DATA hang up",
        "DATA reset",
        "DATA stall",
    ],
)
def test_a_connection_lost_before_the_dot_means_that_nothing_was_sent(fault: str) -> None:
    with rehearsal(fault) as world:
        with pytest.raises(Unreachable):
            outcomes(world)
        assert world.mail.messages == []


@pytest.mark.parametrize(
    ("greeting", "error"), [("421 4.3.2 busy", TryLater), ("554 5.3.2 not here", Refused)]
)
def test_a_greeting_can_refuse_for_now_or_for_good(greeting: str, error: type[CommsError]) -> None:
    with (
        rehearsal(f'connect reply "{greeting}"') as world,
        pytest.raises(error, match="refused the connection"),
    ):
        session(world)


def test_a_server_that_does_not_listen_is_named_in_the_error() -> None:
    with (
        rehearsal("connect refuse") as world,
        pytest.raises(Unreachable, match=r"127\.0\.0\.1:\d+ cannot be reached"),
    ):
        session(world)


def test_a_stall_takes_only_simulated_time_in_a_rehearsal() -> None:
    with rehearsal("MAIL stall") as world:
        before = world.clock.time()
        with pytest.raises(Unreachable, match="no answer within 30 s"):
            outcomes(world)
        assert world.clock.time() - before >= 30


def test_after_a_refused_mail_the_session_can_be_used_again() -> None:
    with (
        rehearsal('MAIL nth 1 reply "550 no"', 'DATA nth 1 reply "550 no"') as world,
        session(world) as open_session,
    ):
        for expected in ("Refused", "Refused", "NoneType"):
            results = open_session.send("ops@example.test", TO, DATA)
            assert {type(error).__name__ for error in results.values()} == {expected}


def test_a_session_out_of_step_cannot_be_used_again() -> None:
    with rehearsal("MAIL stall") as world, session(world) as open_session:
        for _ in range(2):
            with pytest.raises(Unreachable):
                open_session.send("ops@example.test", TO, DATA)
    assert "QUIT" not in commands(world)


@pytest.mark.parametrize(
    "address", ["a@b.test>\r\nRCPT TO:<c@d.test", "a b", "<a@b.test>", "Alice", "a@b\0.test"]
)
def test_an_address_cannot_add_a_command(address: str) -> None:
    with rehearsal() as world, session(world) as open_session:
        [error] = open_session.send("ops@example.test", [address], DATA).values()
        assert isinstance(error, Refused)
    assert "RCPT" not in commands(world)


def test_a_mail_that_is_too_large_for_the_server_is_not_sent() -> None:
    with rehearsal(mail={"size": 20}) as world, session(world) as open_session:
        assert isinstance(open_session.send("ops@example.test", TO, DATA * 3)[TO[0]], Refused)
    assert "MAIL" not in commands(world)


@pytest.mark.parametrize(("off", "outcome"), [([], "sent"), (["SMTPUTF8"], "Refused")])
def test_an_address_that_is_not_ascii_needs_smtputf8(off: list[str], outcome: str) -> None:
    address = "jürgen@example.test"
    person = [{"address": "ops@example.test"}, {"address": address}]
    with rehearsal(person=person, off={"smtp": off}) as world:
        assert outcomes(world, [address]) == {address: outcome}


def test_a_domain_is_sent_in_ascii_or_not_at_all() -> None:
    with rehearsal(mail={"relay": "keep"}, off={"smtp": ["SMTPUTF8"]}) as world:
        with session(world) as open_session:
            assert open_session.send("a@bücher.test", ["b@bücher.test"], DATA) == {
                "b@bücher.test": None
            }
            refused = open_session.send("a@b.test", ["a@b，c＠d.test"], DATA)
        (mail,) = world.mail.messages
        ascii = "bücher.test".encode("idna").decode()
        assert (mail.envelope.sender, *mail.envelope.to) == (f"a@{ascii}", f"b@{ascii}")
    assert [type(error) for error in refused.values()] == [Refused]


def test_a_server_without_ehlo_is_greeted_with_helo() -> None:
    with rehearsal('EHLO reply "502 5.5.1 what"') as world:
        with session(world, user="") as open_session:
            assert open_session.send("ops@example.test", TO, DATA) == dict.fromkeys(TO)
        assert world.mail.messages[0].envelope.protocol == "SMTP"


def test_the_name_of_this_machine_is_not_sent() -> None:
    with rehearsal() as world:
        session(world).close()
        assert world.mail.messages == []
        sent = b"".join(record.raw for record in world.records if record.direction == "C")
    assert b"EHLO host.example.test\r\n" in sent
    assert RealHost().name.encode() not in sent


def test_the_password_is_sent_but_never_shown() -> None:
    with rehearsal() as world:
        server = server_of(world, auth="plain")
        session(world, auth="plain").close()
        raw = b"".join(record.raw for record in world.records)
        assert base64.b64encode(b"\0ops@example.test\0secret") in raw
        assert "secret" not in repr(server)
