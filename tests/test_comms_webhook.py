"""What a webhook gets: a form that cannot be broken from inside, and a signature."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.attachments import Attachment
from comms.webhook import form, secret_problem, signed
from fakes.http import Request
from fakes.webhook import Post


def decoded(type: str, body: bytes) -> Post:
    """Returns the form as a server reads it."""
    return Post(Request("POST", "/", "HTTP/1.1", {"content-type": type}, body), 200, 0.0)


def test_the_signature_is_that_of_the_published_example() -> None:
    # The test vector of the Standard Webhooks specification.
    secret, event = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek"
    assert signed(secret, event, 1614265330.9, b'{"test": 2432232314}') == {
        "webhook-id": event,
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_without_a_secret_nothing_is_signed() -> None:
    assert signed("", "e", 1.0, b"") == {"webhook-id": "e", "webhook-timestamp": "1"}


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        ("", "it has fewer than 24 bytes"),
        ("whsec_" + base64.b64encode(bytes(24)).decode(), ""),
        (base64.b64encode(bytes(32)).decode(), ""),
        ("whsec_" + base64.b64encode(bytes(23)).decode(), "it has fewer than 24 bytes"),
        ("whsec_", "it has fewer than 24 bytes"),
        ("hunter2!", "it is not whsec_ and base64"),
        ("whsec_AAAA\n", "it is not whsec_ and base64"),
        ("whsec_é", "it is not whsec_ and base64"),
    ],
)
def test_a_secret_that_cannot_be_used_is_a_problem(secret: str, problem: str) -> None:
    assert secret_problem(secret) == problem


def test_a_form_has_fields_and_files_in_their_order() -> None:
    files = [Attachment('a "b".png', b"\x00\r\n--\xff", "image/png"), Attachment("é.txt", b"", "x")]
    type, body = form([("a", "1"), ("a", "é\r\n")], [("f", file) for file in files], "0123")
    assert type == "multipart/form-data; boundary=0123"
    post = decoded(type, body)
    assert post.form == {"a": ["1", "é\r\n"]}
    found = [(file.field, file.name, file.content, file.type) for file in post.files]
    assert found == [
        ("f", 'a "b".png', b"\x00\r\n--\xff", "image/png"),
        ("f", "é.txt", b"", "application/octet-stream"),
    ]


def test_no_name_and_no_type_can_add_a_line_to_a_part() -> None:
    evil = 'x"\r\nX-Evil: 1\r\n\r\n'
    _, body = form([(evil, "")], [(evil, Attachment(evil, b"", f"text/plain{evil}"))], "0123")
    assert not re.search(rb"^X-Evil", body, re.M)
    post = decoded("multipart/form-data; boundary=0123", body)
    assert list(post.form) == [evil] and [file.name for file in post.files] == [evil]


@given(st.lists(st.tuples(st.text("ab-\r\n", max_size=9), st.text("ab-\r\n", max_size=9))))
def test_no_content_can_end_a_form(fields: list[tuple[str, str]]) -> None:
    type, body = form(fields, [], "a")
    wanted: dict[str, list[str]] = {}
    for name, value in fields:
        wanted.setdefault(name, []).append(value)
    assert decoded(type, body).form == wanted
    assert form(fields, [], "a") == (type, body), "the same bytes each time"
