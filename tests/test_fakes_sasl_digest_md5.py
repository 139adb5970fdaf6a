"""DIGEST-MD5 on the server's side: the published exchanges, byte for byte, and what must fail."""

from __future__ import annotations

import hashlib

import pytest

from fakes.sasl import Exchange, ForeignIdentity, Malformed, WrongCredentials
from tests.sasl_exchange import Accounts, exchange

QUOTED = ("username", "realm", "nonce", "cnonce", "digest-uri", "authzid")


@pytest.mark.parametrize(
    ("service", "nonce", "cnonce", "response", "rspauth"),
    [
        (
            "imap",
            "OA6MG9tEQGm2hh",
            "OA6MHXh6VqTrRk",
            "d388dad90d4bbd760a152321f2143af7",
            "ea40f60335c427b5527b84dbabcdfffd",
        ),
        (
            "acap",
            "OA9BSXrbuRhWay",
            "OA9BSuZWMSpW8m",
            "6084c6db3fede7352c551284490fd0fc",
            "2f0b3d7c3c2e486600ef710726aa2eae",
        ),
    ],
)
def test_rfc_2831_section_4(
    service: str, nonce: str, cnonce: str, response: str, rspauth: str
) -> None:
    host = "elwood.innosoft.com"
    digest = exchange("DIGEST-MD5", nonce, host, service=service)
    challenge = f'realm="{host}",nonce="{nonce}",qop="auth",charset=utf-8,algorithm=md5-sess'
    assert digest.start() == challenge.encode()
    answer = (
        f'charset=utf-8,username="chris",realm="{host}",nonce="{nonce}",nc=00000001,'
        f'cnonce="{cnonce}",digest-uri="{service}/{host}",response={response},qop=auth'
    )
    assert digest.answer(answer.encode()) == f"rspauth={rspauth}".encode()
    assert digest.answer(b"") is None
    assert digest.user == "chris@example.test"


# ── a client that can do anything ────────────────────────────────────────────


def md5(data: bytes) -> bytes:
    return hashlib.md5(data).hexdigest().encode()


def log_in(
    changes: dict[str, bytes] | None = None,
    *,
    name: bytes = b"chris",
    password: bytes = b"secret",
    omit: str = "",
    accounts: Accounts | None = None,
) -> Exchange:
    """A whole login. Name and password are hashed as they are here.

    `changes` are made before the response is computed, and `omit` is left out after it.
    """
    digest = exchange("DIGEST-MD5", service="xmpp", accounts=accounts or Accounts(chris="secret"))
    digest.start()
    directives = {
        "charset": b"utf-8",
        "username": name,
        "realm": b"example.test",
        "nonce": b"nonce",
        "nc": b"00000001",
        "cnonce": b"c",
        "digest-uri": b"xmpp/example.test",
        "qop": b"auth",
        **(changes or {}),
    }
    user = b":".join([in_latin_1(name), directives["realm"], password])
    a1 = b":".join([hashlib.md5(user).digest(), directives["nonce"], directives["cnonce"]])
    if "authzid" in directives:
        a1 += b":" + directives["authzid"]
    a2 = md5(b"AUTHENTICATE:" + directives["digest-uri"])
    counted = (directives["nonce"], directives["nc"], directives["cnonce"], directives["qop"])
    directives.setdefault("response", md5(b":".join([md5(a1), *counted, a2])))
    directives.pop(omit, None)
    words = [
        b'%b="%b"' % (key.encode(), value) if key in QUOTED else b"%b=%b" % (key.encode(), value)
        for key, value in directives.items()
    ]
    assert (digest.answer(b",".join(words)) or b"").startswith(b"rspauth=")
    assert digest.answer(b"") is None
    return digest


def in_latin_1(name: bytes) -> bytes:
    """RFC 2831 §2.1.2.1: a UTF-8 name that Latin-1 can express is hashed in Latin-1."""
    try:
        return name.decode().encode("latin-1")
    except UnicodeError:
        return name


def test_the_right_password_logs_in() -> None:
    assert log_in().user == "chris@example.test"
    assert log_in({"authzid": b"chris@example.test"}).user == "chris@example.test"


def test_names_and_passwords_that_latin_1_can_express_are_hashed_in_it() -> None:
    accounts = Accounts(andré="geheim§", мир="secret")
    password = "geheim§".encode("latin-1")
    assert log_in(name="andré".encode(), password=password, accounts=accounts).user
    assert log_in(name="мир".encode(), accounts=accounts).user


def test_without_charset_names_and_passwords_are_in_latin_1() -> None:
    accounts = Accounts(andré="geheim§")
    name, password = "andré".encode("latin-1"), "geheim§".encode("latin-1")
    digest = log_in(name=name, password=password, omit="charset", accounts=accounts)
    assert digest.user == "andré@example.test"


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": b"old"},
        {"nc": b"00000002"},
        {"qop": b"auth-int"},
        {"digest-uri": b"imap/example.test"},
        {"digest-uri": b"xmpp/other.test"},
        {"realm": b"other.test"},
        {"response": b"0" * 32},
        {"username": b"eve"},
    ],
)
def test_anything_else_that_differs_fails(changes: dict[str, bytes]) -> None:
    with pytest.raises(WrongCredentials):
        log_in(changes)


def test_the_authorization_identity_must_mean_the_user() -> None:
    with pytest.raises(ForeignIdentity):
        log_in({"authzid": b"eve@example.test"})


@pytest.mark.parametrize("name", ["username", "nonce", "cnonce", "nc", "digest-uri", "response"])
def test_a_missing_directive_is_malformed(name: str) -> None:
    with pytest.raises(Malformed, match=f"DIGEST-MD5 wants {name} "):
        log_in(omit=name)


@pytest.mark.parametrize(
    "response",
    [b"", b"nonsense", b'username="a",username="b"', b'username="open', b"\xff=\xff"],
)
def test_a_response_that_is_not_a_list_of_directives_is_malformed(response: bytes) -> None:
    digest = exchange("DIGEST-MD5", service="xmpp")
    digest.start()
    with pytest.raises(Malformed):
        digest.answer(response)
