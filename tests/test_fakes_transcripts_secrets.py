"""What a client sends for the label of a secret: the published examples, and wrong passwords."""

from __future__ import annotations

import base64

import pytest

from fakes.people import People, Person
from fakes.transcripts.secrets import challenge_in, response

PEOPLE = People(
    [Person("tim@example.test", "tanstaaftanstaaf"), Person("mrose@example.test", "tanstaaf")]
)


def decoded(label: str) -> bytes:
    return base64.b64decode(response(label, PEOPLE, b""))


def test_plain_and_login_hold_name_and_password() -> None:
    assert decoded("plain tim") == b"\0tim\0tanstaaftanstaaf"
    assert decoded("plain tim@example.test") == b"\0tim@example.test\0tanstaaftanstaaf"
    assert decoded("login tim") == b"tim"
    assert decoded("password tim") == b"tanstaaftanstaaf"
    assert response("pass tim", PEOPLE, b"") == b"tanstaaftanstaaf"


def test_cram_md5_is_computed_as_in_rfc_2195_section_2() -> None:
    challenge = b"<1896.697170952@postoffice.reston.mci.net>"
    answer = base64.b64decode(response("cram-md5 tim", PEOPLE, challenge))
    assert answer == b"tim b913a602c7eda7a495b4e6e7334d3890"


def test_apop_is_computed_as_in_rfc_1939_section_7() -> None:
    challenge = b"<1896.697170952@dbc.mtview.ca.us>"
    assert response("apop mrose", PEOPLE, challenge) == b"c4c9334bac560ecc979e58001b3e22fb"


@pytest.mark.parametrize("label", ["plain tim wrong", "plain eve"])
def test_the_word_wrong_and_an_unknown_name_make_a_wrong_password(label: str) -> None:
    assert decoded(label).endswith(b"\0wrong")


def test_a_response_can_be_something_that_is_not_base64() -> None:
    assert response("not base64", PEOPLE, b"") == b"!"


def test_an_unknown_label_raises_key_error() -> None:
    with pytest.raises(KeyError, match="fingerprint"):
        response("fingerprint tim", PEOPLE, b"")


@pytest.mark.parametrize(
    ("received", "challenge"),
    [
        (b"334 " + base64.b64encode(b"<1@h>") + b"\r\n", b"<1@h>"),
        (b"+ " + base64.b64encode(b"Username:") + b"\r\n", b"Username:"),
        (b"+OK mail.example.test POP3 <1@mail.example.test>\r\n", b"<1@mail.example.test>"),
        (b"+OK Done\r\n", b""),
        (b"+ !\r\n", b""),
        (b"250 OK\r\n", b""),
    ],
)
def test_a_challenge_is_found_in_what_the_server_sent(received: bytes, challenge: bytes) -> None:
    assert challenge_in(received) == challenge
