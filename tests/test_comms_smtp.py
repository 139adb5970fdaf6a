"""Sending over smtplib on a link: each outcome told apart, nothing guessed, nothing said in clear that should not be."""

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


def outcome(world: World, recipients: list[str] = TO) -> dict[str, str]:
    with session(world) as open_session:
        results = open_session.send("ops@example.test", recipients, DATA)
    return {
        address: type(trouble).__name__ if trouble else "sent"
        for address, trouble in results.items()
    }


def test_one_session_carries_many_messages_dots_and_all() -> None:
    with rehearsal() as world:
        with session(world) as open_session:
            for _ in range(3):
                assert open_session.send("ops@example.test", TO, DATA) == dict.fromkeys(TO)
        assert [mail.raw for mail in world.mail.messages] == [DATA] * 3
        assert world.mail.messages[0].envelope.login == "ops@example.test"
        assert len({one.session for one in world.records}) == 1


@pytest.mark.parametrize("mechanism", ["plain", "login", "cram-md5", "auto"])
@pytest.mark.parametrize("password", ["secret", "pässwörd 漢字"])
def test_each_mechanism_logs_in_with_any_password(mechanism: str, password: str) -> None:
    person = [{"address": "ops@example.test", "password": password}]
    with rehearsal(person=person) as world, session(world, auth=mechanism) as open_session:
        said = [one for one in world.records if one.verb == "AUTH"]
        assert len(said) == 1, "one try"
        assert said[0].fields["mechanism"] == (
            "CRAM-MD5" if mechanism == "auto" else mechanism.upper()
        )
        open_session.send("ops@example.test", ["ops@example.test"], DATA)


def test_auto_takes_the_strongest_that_is_offered() -> None:
    for off, taken in (([], "CRAM-MD5"), (["CRAM-MD5"], "PLAIN"), (["CRAM-MD5", "PLAIN"], "LOGIN")):
        with rehearsal(off={"smtp": off}) as world:
            session(world).close()
            assert (
                next(one for one in world.records if one.verb == "AUTH").fields["mechanism"]
                == taken
            )


def test_a_wrong_password_is_refused_and_not_tried_again_by_another_mechanism() -> None:
    with rehearsal() as world:
        with pytest.raises(
            Refused, match=r"the login of ops@example\.test by CRAM-MD5: 535"
        ) as caught:
            session(world, password="hunter2")
        assert "hunter2" not in str(caught.value)
        assert [one.verb for one in world.records if one.direction == "C"] == [
            "EHLO",
            "AUTH",
            "response",
        ]


def test_a_mechanism_that_is_not_offered_is_refused_by_name() -> None:
    with (
        rehearsal(off={"smtp": ["CRAM-MD5"]}) as world,
        pytest.raises(Refused, match=r"offered: PLAIN LOGIN; auth = 'cram-md5'"),
    ):
        session(world, auth="cram-md5")


def test_mail_is_sent_inside_tls_and_the_login_too() -> None:
    with rehearsal(tls="required") as world:
        assert outcome(world) == dict.fromkeys(TO, "sent")
        assert world.mail.messages[0].envelope.protocol == "ESMTPSA"


def test_implicit_tls_needs_no_word() -> None:
    world = World(
        {"servers": ["smtp"], "tls": "optional"}, rehearsal=True, ports={"smtp": 0, "smtps": 0}
    )
    with world:
        port = world.address("smtps")[1]
        with session(world, port=port, tls="implicit") as open_session:
            assert open_session.send("ops@example.test", TO, DATA) == dict.fromkeys(TO)
        assert "STARTTLS" not in [one.verb for one in world.records]


def test_tls_that_is_asked_for_and_not_offered_is_never_done_without() -> None:
    with (
        rehearsal(tls="optional", off={"smtp": ["STARTTLS"]}) as world,
        pytest.raises(Refused, match="does not offer STARTTLS"),
    ):
        session(world)
    assert [one.verb for one in world.records if one.direction == "C"] == ["EHLO", "QUIT"][:1]


@pytest.mark.parametrize("flaw", ["expired", "other-name", "self-signed"])
def test_a_certificate_that_is_not_to_be_trusted_is_refused_with_the_reason(flaw: str) -> None:
    with rehearsal(f"tls certificate {flaw}", tls="optional") as world:
        with pytest.raises(Refused, match="certificate is not trusted"):
            session(world)
        assert not [one for one in world.records if one.verb == "AUTH"]


@pytest.mark.parametrize(
    "fault", ["tls hang up", "tls reset", "STARTTLS hang up", "STARTTLS reset"]
)
def test_tls_that_cannot_be_started_is_unreachable(fault: str) -> None:
    with rehearsal(fault, tls="optional") as world, pytest.raises(Unreachable):
        session(world)


def test_octets_in_clear_behind_the_answer_to_starttls_are_taken_for_an_attack() -> None:
    with (
        rehearsal('STARTTLS reply "220 go\r\n250 injected"', tls="optional") as world,
        pytest.raises(Unreachable, match="injecting"),
    ):
        session(world)


@pytest.mark.parametrize(("fault", "wanted"), [
    ('RCPT arg *alice* reply "550 5.1.1 unknown"', {"alice@example.test": "Refused", "bob@example.test": "sent"}),
    ('RCPT arg *alice* reply "450 4.2.1 busy"', {"alice@example.test": "TryLater", "bob@example.test": "sent"}),
    ('RCPT reply "550 5.1.1 unknown"', dict.fromkeys(TO, "Refused")),
    ('MAIL reply "451 4.3.0 later"', dict.fromkeys(TO, "TryLater")),
    ('MAIL reply "550 5.7.1 no"', dict.fromkeys(TO, "Refused")),
    ('DATA reply "554 5.0.0 no"', dict.fromkeys(TO, "Refused")),
    ('DATA reply "451 4.3.0 later"', dict.fromkeys(TO, "TryLater")),
    ('. reply "552 5.3.4 too big"', dict.fromkeys(TO, "Refused")),
    ('. reply "421 4.3.2 closing"', dict.fromkeys(TO, "TryLater")),
    (". lost stored", dict.fromkeys(TO, "Unknown")),
    (". lost unstored", dict.fromkeys(TO, "Unknown")),
    (". hang up before", dict.fromkeys(TO, "Unknown")),
    (". reset", dict.fromkeys(TO, "Unknown")),
    (". stall", dict.fromkeys(TO, "Unknown")),
    (". after 2", dict.fromkeys(TO, "Unknown")),
    (". delay 5", dict.fromkeys(TO, "sent")),
    (". split 1", dict.fromkeys(TO, "sent")),
    ('RCPT arg *bob* reply "251 will forward"', dict.fromkeys(TO, "sent")),
])  # fmt: skip
def test_every_recipient_has_an_outcome_of_its_own(fault: str, wanted: dict[str, str]) -> None:
    with rehearsal(fault) as world:
        assert outcome(world) == wanted


@pytest.mark.parametrize("fault", [
    "MAIL hang up", "MAIL reset", "MAIL stall", "RCPT hang up within", "DATA hang up", "DATA reset", "DATA stall",
    "EHLO hang up", "connect hang up", "connect reset", "connect stall", "connect after 5", "AUTH hang up", "response hang up",
])  # fmt: skip
def test_a_link_lost_before_the_dot_is_unreachable_and_nothing_was_sent(fault: str) -> None:
    with rehearsal(fault) as world:
        with pytest.raises(Unreachable):
            outcome(world)
        assert world.mail.messages == []


@pytest.mark.parametrize(
    ("greeting", "error"), [("421 4.3.2 busy", TryLater), ("554 5.3.2 not here", Refused)]
)
def test_a_greeting_that_refuses(greeting: str, error: type[CommsError]) -> None:
    with (
        rehearsal(f'connect reply "{greeting}"') as world,
        pytest.raises(error, match="refused the connection"),
    ):
        session(world)


def test_a_server_that_is_not_there_is_named() -> None:
    with (
        rehearsal("connect refuse") as world,
        pytest.raises(Unreachable, match=r"127\.0\.0\.1:\d+ cannot be reached"),
    ):
        session(world)


def test_a_stall_costs_no_real_time_in_a_rehearsal() -> None:
    with rehearsal("MAIL stall") as world:
        before = world.clock.time()
        with pytest.raises(Unreachable, match="no answer within 30 s"):
            outcome(world)
        assert world.clock.time() - before >= 30


def test_after_a_refused_message_the_session_goes_on() -> None:
    with (
        rehearsal('MAIL nth 1 reply "550 no"', 'DATA nth 1 reply "550 no"') as world,
        session(world) as open_session,
    ):
        for wanted in ("Refused", "Refused", "NoneType"):
            results = open_session.send("ops@example.test", TO, DATA)
            assert {type(trouble).__name__ for trouble in results.values()} == {wanted}


def test_a_session_out_of_step_is_not_used_again() -> None:
    with rehearsal("MAIL stall") as world, session(world) as open_session:
        for _ in range(2):
            with pytest.raises(Unreachable):
                open_session.send("ops@example.test", TO, DATA)
    assert "QUIT" not in [one.verb for one in world.records if one.direction == "C"]


@pytest.mark.parametrize(
    "address", ["a@b.test>\r\nRCPT TO:<c@d.test", "a b", "<a@b.test>", "Alice", "a@b\0.test"]
)
def test_an_address_that_could_say_more_than_an_address_never_leaves(address: str) -> None:
    with rehearsal() as world, session(world) as open_session:
        (trouble,) = open_session.send("ops@example.test", [address], DATA).values()
        assert isinstance(trouble, Refused)
    assert not [one for one in world.records if one.verb == "RCPT"]


def test_a_message_too_big_for_the_server_is_refused_before_it_is_sent() -> None:
    with rehearsal(mail={"size": 20}) as world, session(world) as open_session:
        assert isinstance(open_session.send("ops@example.test", TO, DATA * 3)[TO[0]], Refused)
    assert not [one for one in world.records if one.verb == "MAIL"]


def test_addresses_beyond_ascii_need_a_server_that_takes_them() -> None:
    person = [{"address": "ops@example.test"}, {"address": "jürgen@example.test"}]
    with rehearsal(person=person) as world, session(world) as open_session:
        assert open_session.send("ops@example.test", ["jürgen@example.test"], DATA) == {
            "jürgen@example.test": None
        }
    with (
        rehearsal(person=person, off={"smtp": ["SMTPUTF8"]}) as world,
        session(world) as open_session,
    ):
        assert isinstance(
            open_session.send("ops@example.test", ["jürgen@example.test"], DATA)[
                "jürgen@example.test"
            ],
            Refused,
        )


def test_an_old_server_is_greeted_with_helo() -> None:
    with rehearsal('EHLO reply "502 5.5.1 what"') as world:
        with session(world, user="") as open_session:
            assert open_session.send("ops@example.test", TO, DATA) == dict.fromkeys(TO)
        assert world.mail.messages[0].envelope.protocol == "SMTP"


def test_no_name_of_this_machine_is_on_the_wire() -> None:
    with rehearsal() as world:
        session(world).close()
        assert world.mail.messages == []
        said = b"".join(one.raw for one in world.records if one.direction == "C")
    assert b"EHLO host.example.test\r\n" in said and RealHost().name.encode() not in said


def test_the_password_is_nowhere_but_on_the_wire() -> None:
    with rehearsal() as world:
        server = server_of(world, auth="plain")
        session(world, auth="plain").close()
        raw = b"".join(one.raw for one in world.records)
        assert base64.b64encode(b"\0ops@example.test\0secret") in raw
        assert "secret" not in repr(server)
