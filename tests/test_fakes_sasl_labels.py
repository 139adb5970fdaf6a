"""Labels: what a transcript shows in place of a login's response."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from fakes.sasl import label
from tests.sasl_exchange import Accounts


def cram_md5(password: str, challenge: bytes) -> bytes:
    return hmac.new(password.encode(), challenge, hashlib.md5).hexdigest().encode()


@pytest.mark.parametrize(
    ("mechanism", "response", "name", "shown"),
    [
        ("PLAIN", b"\0user\0pencil", "", "plain user"),
        ("PLAIN", b"\0user\0pen", "", "plain user wrong"),
        ("PLAIN", b"\0eve\0pencil", "", "plain eve wrong"),
        ("LOGIN", b"user", "", "login user"),
        ("LOGIN", b"pencil", "user", "password user"),
        ("LOGIN", b"pen", "user", "password user wrong"),
        ("CRAM-MD5", b"user " + cram_md5("pencil", b"<1@h>"), "", "cram-md5 user"),
        ("CRAM-MD5", b"user 0123", "", "cram-md5 user wrong"),
        ("SCRAM-SHA-1", b"n,,n=user,r=abc", "", "scram-sha-1 user"),
        ("SCRAM-SHA-1", b"c=biws,r=abc,p=AA==", "n,,n=user,r=abc", "scram-sha-1 user"),
        ("SCRAM-SHA-256", b"\xff", "", "scram-sha-256 "),
        ("DIGEST-MD5", b'charset=utf-8,username="chris",nc=1', "", "digest-md5 chris"),
        ("HT-SHA-256-NONE", b"chris\0\xff\0", "", "ht-sha-256-none chris"),
        ("HT-SHA-256-NONE", b"the token itself", "", "ht-sha-256-none "),
    ],
)
def test_a_transcript_shows_who_logs_in_but_no_password(
    mechanism: str, response: bytes, name: str, shown: str
) -> None:
    accounts = Accounts(user="pencil", chris="secret")
    assert label(mechanism, response, accounts, name, b"<1@h>") == shown
