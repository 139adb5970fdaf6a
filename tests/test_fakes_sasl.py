"""The server's side of SASL: the published exchanges, octet for octet, and what must fail."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from fakes import sasl
from fakes.sasl import Context, Exchange, ForeignIdentity, Malformed, SaslError, WrongCredentials


@dataclass
class Account:
    address: str
    password: str


class Accounts:
    def __init__(self, **passwords: str) -> None:
        self._accounts = {name: Account(f"{name}@example.test", password) for name, password in passwords.items()}

    def find(self, login: str) -> Account | None:
        return self._accounts.get(login.partition("@")[0])


def exchange(mechanism: str, nonce: str = "nonce", host: str = "example.test", **more: Any) -> Exchange:
    accounts = more.pop("accounts", Accounts(user="pencil", chris="secret"))
    return Exchange(mechanism, Context(accounts, lambda: nonce, host, **more))


def test_rfc_5802_section_5() -> None:
    salt = base64.b64decode("QSXCR+Q6sek8bf92")
    one = exchange("SCRAM-SHA-1", "3rfcNHYJY1ZVvWVs7j", salt=lambda _: salt)
    challenge = one.start(b"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL")
    assert challenge == b"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096"
    final = b"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
    assert one.answer(final) is None
    assert (one.user, one.data) == ("user@example.test", b"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=")


def test_rfc_7677_section_3() -> None:
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    one = exchange("SCRAM-SHA-256", "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", salt=lambda _: salt)
    challenge = one.start(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO")
    assert challenge == b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    proof = b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert one.answer(b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0," + proof) is None
    assert (one.user, one.data) == ("user@example.test", b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")


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
def test_rfc_2831_section_4(service: str, nonce: str, cnonce: str, response: str, rspauth: str) -> None:
    host = "elwood.innosoft.com"
    one = exchange("DIGEST-MD5", nonce, host, service=service)
    assert one.start() == f'realm="{host}",nonce="{nonce}",qop="auth",charset=utf-8,algorithm=md5-sess'.encode()
    said = (
        f'charset=utf-8,username="chris",realm="{host}",nonce="{nonce}",nc=00000001,cnonce="{cnonce}",'
        f'digest-uri="{service}/{host}",response={response},qop=auth'
    )
    assert one.answer(said.encode()) == f"rspauth={rspauth}".encode()
    assert one.answer(b"") is None
    assert one.user == "chris@example.test"


# ── SCRAM ────────────────────────────────────────────────────────────────────────────────────────────────────────


def proof(first: bytes, challenge: bytes, final: bytes, password: str = "pencil", algorithm: str = "sha1") -> bytes:
    fields = dict(part.split(b"=", 1) for part in challenge.split(b","))
    salted = hashlib.pbkdf2_hmac(algorithm, password.encode(), base64.b64decode(fields[b"s"]), int(fields[b"i"]))
    key = hmac.digest(salted, b"Client Key", algorithm)
    signature = hmac.digest(hashlib.new(algorithm, key).digest(), b",".join((first, challenge, final)), algorithm)
    return final + b",p=" + base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True)))


def scram(
    header: bytes = b"n,,",
    name: bytes = b"user",
    password: str = "pencil",
    binding: bytes = b"",
    said: bytes | None = None,
    mechanism: str = "SCRAM-SHA-1",
    changed: Callable[[bytes], bytes] = lambda final: final,
    **more: Any,
) -> Exchange:
    """A login by SCRAM; `said` is the header that the last message repeats, when it is another."""
    one = exchange(mechanism, **more)
    first = b"n=" + name + b",r=abc"
    challenge = one.start(header + first)
    assert challenge is not None
    nonce = challenge.split(b",")[0]
    final = b"c=" + base64.b64encode((header if said is None else said) + binding) + b"," + nonce
    assert one.answer(changed(proof(first, challenge, final, password))) is None
    return one


def test_scram_lets_in_who_knows_the_password() -> None:
    assert scram().user == "user@example.test"


@pytest.mark.parametrize(
    "wrong",
    [
        {"password": "pen"},
        {"name": b"nobody"},
        {"said": b"y,,"},
        {"binding": b"x"},
        {"changed": lambda final: final.replace(b"r=abcnonce", b"r=abcnonce2")},
        {"changed": lambda final: final.replace(b"r=abcnonce", b"r=abc")},
        {"header": b"y,,", "plus": True},  # it says that we offer no binding, and we do: somebody is in between
    ],
)
def test_scram_refuses_whatever_differs(wrong: dict[str, Any]) -> None:
    with pytest.raises(WrongCredentials):
        scram(**wrong)


@pytest.mark.parametrize(
    "first",
    [
        b"", b"n,", b"n,,", b"n,,r=abc", b"n,,n=user", b"n,,r=abc,n=user", b"x,,n=user,r=abc", b"n,,m=ext,n=user,r=abc",
        b"n,,n=us=er,r=abc", b"n,,n=us=2cer,r=abc", b"n,b=x,n=user,r=abc", b"p=tls-unique,,n=user,r=abc", b"n,,n=user,r=\xff",
        b"n,,n=\xff,r=abc",
    ],
)  # fmt: skip
def test_a_first_message_of_another_form_is_malformed(first: bytes) -> None:
    with pytest.raises(Malformed):
        exchange("SCRAM-SHA-1").start(first)


@pytest.mark.parametrize(
    "final", [b"", b"c=biws", b"r=abcnonce,c=biws,p=AA==", b"c=biws,r=abcnonce,p=!", b"c=b,r=abcnonce,p=AA=="]
)
def test_a_last_message_of_another_form_is_malformed(final: bytes) -> None:
    one = exchange("SCRAM-SHA-1")
    one.start(b"n,,n=user,r=abc")
    with pytest.raises(Malformed):
        one.answer(final)


def test_a_name_may_hold_commas_and_equals_signs() -> None:
    assert scram(name=b"a=2Cb=3Dc", accounts=Accounts(**{"a,b=c": "pencil"})).user == "a,b=c@example.test"


def test_somebody_who_does_not_exist_gets_a_salt_that_stays_the_same() -> None:
    challenges = {exchange("SCRAM-SHA-1").start(b"n,,n=nobody,r=abc") for _ in range(3)}
    known = exchange("SCRAM-SHA-1").start(b"n,,n=user,r=abc")
    assert len(challenges) == 1
    assert known is not None
    assert len(known) == len(challenges.pop() or b"")


def test_a_binding_is_checked() -> None:
    bindings = {"tls-server-end-point": b"the certificate"}
    header, plus = b"p=tls-server-end-point,,", "SCRAM-SHA-1-PLUS"
    assert scram(header, binding=b"the certificate", mechanism=plus, bindings=bindings, plus=True).user
    with pytest.raises(WrongCredentials):
        scram(header, binding=b"another", mechanism=plus, bindings=bindings, plus=True)
    with pytest.raises(WrongCredentials):
        scram(b"p=tls-exporter,,", binding=b"x", mechanism=plus, bindings=bindings, plus=True)
    for flag in (b"n,,", b"y,,"):
        with pytest.raises(Malformed):
            exchange(plus, bindings=bindings, plus=True).start(flag + b"n=user,r=abc")


def test_an_authorization_identity_is_ones_own() -> None:
    def identity(authzid: str) -> str:
        return authzid

    assert scram(b"n,a=user@example.test,", identity=identity).user == "user@example.test"
    with pytest.raises(ForeignIdentity):
        scram(b"n,a=other@example.test,", identity=identity)


def test_passwords_are_compared_as_prepared() -> None:
    accounts = Accounts(user="I\u00adX", other="\u2168")
    assert scram(password="IX", accounts=accounts).user
    assert exchange("PLAIN", accounts=accounts).start(b"\0user\0IX") is None
    assert exchange("PLAIN", accounts=accounts).start(b"\0other\0IX") is None


# ── DIGEST-MD5 ───────────────────────────────────────────────────────────────────────────────────────────────────


def md5(octets: bytes) -> bytes:
    return hashlib.md5(octets).hexdigest().encode()


def digest(
    changes: dict[str, bytes] | None = None, password: bytes = b"secret", name: bytes = b"chris", **more: Any
) -> Exchange:
    one = exchange("DIGEST-MD5", service="xmpp", **more)
    one.start()
    said = {
        "charset": b"utf-8", "username": name, "realm": b"example.test", "nonce": b"nonce", "nc": b"00000001", "cnonce": b"c",
        "digest-uri": b"xmpp/example.test", "qop": b"auth", **(changes or {}),
    }  # fmt: skip
    hashed = [name, said["realm"], password]
    hashed = [one.decode().encode("latin-1", "ignore") if one.decode().isascii() or _fits(one) else one for one in hashed]
    inner = b":".join([hashlib.md5(b":".join(hashed)).digest(), said["nonce"], said["cnonce"]])
    inner += b":" + said["authzid"] if "authzid" in said else b""
    outer = md5(b"AUTHENTICATE:" + said["digest-uri"])
    right = md5(b":".join([md5(inner), said["nonce"], said["nc"], said["cnonce"], said["qop"], outer]))
    said.setdefault("response", right)
    quoted = ("username", "realm", "nonce", "cnonce", "digest-uri", "authzid")
    words = [
        b'%b="%b"' % (k.encode(), v) if k in quoted else b"%b=%b" % (k.encode(), v) for k, v in said.items() if v != b"-"
    ]
    assert (one.answer(b",".join(words)) or b"").startswith(b"rspauth=")
    assert one.answer(b"") is None
    return one


def _fits(octets: bytes) -> bool:
    try:
        return bool(octets.decode().encode("latin-1"))
    except UnicodeEncodeError:
        return False


def test_digest_lets_in_who_knows_the_password() -> None:
    assert digest().user == "chris@example.test"
    assert digest({"authzid": b"chris@example.test"}).user == "chris@example.test"


def test_names_that_fit_latin_1_are_hashed_in_it() -> None:
    accounts = Accounts(andré="geheim§", мир="secret")
    assert digest(name="andré".encode(), password="geheim§".encode(), accounts=accounts).user
    assert digest(name="мир".encode(), accounts=accounts).user


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": b"old"}, {"nc": b"00000002"}, {"qop": b"auth-int"}, {"digest-uri": b"imap/example.test"},
        {"digest-uri": b"xmpp/other.test"}, {"realm": b"other.test"}, {"response": b"0" * 32}, {"username": b"nobody"},
    ],
)  # fmt: skip
def test_digest_refuses_whatever_differs(changes: dict[str, bytes]) -> None:
    with pytest.raises(WrongCredentials):
        digest(changes)


@pytest.mark.parametrize("name", ["username", "nonce", "cnonce", "nc", "digest-uri", "response"])
def test_a_directive_that_is_missing_is_malformed(name: str) -> None:
    with pytest.raises(Malformed):
        digest({name: b"-"})


@pytest.mark.parametrize("said", [b"", b"nonsense", b'username="a",username="b"', b'username="open', b"\xff=\xff"])
def test_what_are_no_directives_is_malformed(said: bytes) -> None:
    one = exchange("DIGEST-MD5", service="xmpp")
    one.start()
    with pytest.raises(Malformed):
        one.answer(said)


# ── ANONYMOUS, PLAIN ─────────────────────────────────────────────────────────────────────────────────────────────


def test_anonymous_gives_somebody_new_and_believes_no_trace() -> None:
    one = exchange("ANONYMOUS", anonymous=lambda: "fresh@example.test")
    assert one.start("é".encode() * 255) is None
    assert one.user == "fresh@example.test"
    for trace in ("é".encode() * 256, b"\xff"):
        with pytest.raises(Malformed):
            exchange("ANONYMOUS").start(trace)


@pytest.mark.parametrize(
    "said", [b"user\0pencil", b"\0\0pencil", b"\0user\0", b"\0user\0pencil\0", b"\0" + b"u" * 256 + b"\0p"]
)
def test_plain_of_another_form_is_malformed(said: bytes) -> None:
    with pytest.raises(Malformed):
        exchange("PLAIN").start(said)


@pytest.mark.parametrize("mechanism", sorted(sasl.EVERY))
def test_no_mechanism_lets_in_an_empty_answer(mechanism: str) -> None:
    if mechanism == "ANONYMOUS":
        return
    one = exchange(mechanism)
    with pytest.raises(SaslError):
        one.start()
        for _ in range(3):
            one.answer(b"")
