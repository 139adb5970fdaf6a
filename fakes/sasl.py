"""The server's side of SASL: each mechanism a generator that yields challenges and is sent the client's responses.

    exchange = Exchange("CRAM-MD5", accounts)
    challenge = exchange.start(initial_response)      # bytes to send, or None when it is over
    challenge = exchange.answer(response)
    exchange.user                                     # who it is, once over
    exchange.data                                     # what the server says with the success, None for most

How challenges are dressed (base64, `334 `, `+ `, `<challenge/>`) is the protocol's business, not this module's.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple, Protocol

from fakes.preparation import saslprep


class Account(Protocol):
    """One who may log in."""

    @property
    def address(self) -> str:
        """Who it is, in the one form that everything else uses."""

    @property
    def password(self) -> str:
        """In clear: CRAM-MD5, APOP and SCRAM cannot be served from a one-way hash of another kind."""


class Accounts(Protocol):
    """Whoever knows the accounts."""

    def find(self, login: str) -> Account | None:
        """The account with this login (a whole address or its local part), None when there is none."""


class SaslError(Exception):
    """An exchange that failed; `reason` is for transcripts and never says more than the client may know."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WrongCredentials(SaslError):
    """Unknown user, wrong password or foreign authzid: all look alike from outside."""


class ForeignIdentity(WrongCredentials):
    """The credentials are right, and the authorization identity is somebody else's, or none at all."""


class Malformed(SaslError):
    """The response is not of the form that the mechanism asks for."""


class Success(NamedTuple):
    """Who it is, and what the server says along with the success."""

    user: str
    data: bytes


def invented_salt(name: str) -> bytes:
    """SCRAM's salt of an account: the same each time, and none tells whether the account exists."""
    return hashlib.sha256(b"salt " + name.encode()).digest()[:16]


@dataclass(frozen=True)
class Context:
    """What a mechanism is handed: the accounts, a source of fresh challenges, the server's name.

    `service` is the protocol's name in SASL (DIGEST-MD5), `bindings` what is known of the TLS channel, by binding type,
    `plus` whether the server offers to bind to it. `identity` gives the address that an authorization identity means.
    """

    accounts: Accounts
    nonce: Callable[[], str]
    host: str
    service: str = "smtp"
    bindings: Mapping[str, bytes] = field(default_factory=dict)
    plus: bool = False
    identity: Callable[[str], str] | None = None
    anonymous: Callable[[], str] = lambda: ""
    salt: Callable[[str], bytes] = invented_salt
    iterations: int = 4096

    def check(self, login: str, password: str) -> str:
        """The address of the account with this login, if the password is its own. Raises WrongCredentials."""
        account = self.accounts.find(login)
        # compare even for an unknown user: same answer, same time
        if not _equal(password, account) or account is None:
            raise WrongCredentials("authentication failed")
        return account.address

    def acting_as(self, authzid: str, address: str) -> str:
        """The address again, if the authorization identity is empty or means it. Raises ForeignIdentity."""
        if authzid:
            if self.identity is not None:
                meant = self.identity(authzid)
            else:
                account = self.accounts.find(authzid)
                meant = account.address if account is not None else ""
            if meant != address:
                raise ForeignIdentity("may not act as another")
        return address


Steps = Generator[bytes, bytes, str | Success]


def plain(context: Context) -> Steps:
    """RFC 4616 §2: authzid NUL authcid NUL password, in UTF-8."""
    response = yield b""
    parts = response.split(b"\0")
    if len(parts) != 3 or not parts[1] or not parts[2]:
        raise Malformed("PLAIN wants [authzid] NUL authcid NUL password (RFC 4616 §2)")
    if max(map(len, parts)) > 255:
        raise Malformed("PLAIN takes at most 255 octets a part (RFC 4616 §2)")
    authzid, authcid, password = (_text(part) for part in parts)
    return context.acting_as(authzid, context.check(authcid, password))  # RFC 4616 §2: authorization may fail


def login(context: Context) -> Steps:
    """LOGIN has no RFC; these two prompts are what old clients look for."""
    name = yield b"Username:"
    password = yield b"Password:"
    return context.check(_text(name), _text(password))


def cram_md5(context: Context) -> Steps:
    """RFC 2195 §2: the keyed MD5 of a fresh msg-id; the password never crosses the wire."""
    challenge = f"<{context.nonce()}@{context.host}>".encode()
    response = yield challenge
    name, blank, digest = response.rpartition(b" ")
    if not blank:
        raise Malformed("CRAM-MD5 wants: user, blank, digest (RFC 2195 §2)")
    account = context.accounts.find(_text(name))
    wanted = hmac.new(_key(account), challenge, hashlib.md5).hexdigest().encode()
    if not hmac.compare_digest(digest, wanted) or account is None:
        raise WrongCredentials("authentication failed")
    return account.address


# ── SCRAM ────────────────────────────────────────────────────────────────────────────────────────────────────────

_GS2 = re.compile(rb"(n|y|p=([A-Za-z0-9.-]+)),(?:a=([^,]+))?,")
_FIRST = re.compile(rb"n=([^,]*),r=([!-+\--~]+)(?:,.*)?", re.S)
_FINAL = re.compile(rb"(c=([A-Za-z0-9+/=]+),r=([!-+\--~]+)(?:,[A-Za-oq-z]=[^,]*)*),p=([A-Za-z0-9+/=]+)")


def scram(algorithm: str, plus: bool, context: Context) -> Steps:
    """RFC 5802, and RFC 7677 for SHA-256: both sides prove that they know the password, and it never crosses the wire."""
    first = yield b""
    header = _GS2.match(first)
    bare = first[header.end() :] if header else b""
    names = _FIRST.fullmatch(bare)
    if header is None or names is None:
        # RFC 5802 §5: an attribute m stands for an extension that must be understood; there is none
        raise Malformed("SCRAM wants n,,n=user,r=nonce (RFC 5802 §7)")
    binding = _binding(context, header[1], header[2], plus)
    login, authzid = _scram_name(names[1]), _scram_name(header[3] or b"")
    account = context.accounts.find(login)
    salt = context.salt(account.address if account else login)
    nonce = names[2] + context.nonce().encode()
    challenge = b"r=%b,s=%b,i=%d" % (nonce, base64.b64encode(salt), context.iterations)
    match = _FINAL.fullmatch((yield challenge))
    if match is None:
        raise Malformed("SCRAM wants c=…,r=…,p=… (RFC 5802 §7)")
    stored, server_key = _scram_keys(algorithm, account.password if account else "", salt, context.iterations)
    said = b",".join((bare, challenge, match[1]))
    signature = hmac.digest(stored, said, algorithm)
    proof = _base64(match[4])
    right = len(proof) == len(signature) and hmac.compare_digest(
        hashlib.new(algorithm, bytes(a ^ b for a, b in zip(proof, signature, strict=True))).digest(), stored
    )
    bound = hmac.compare_digest(_base64(match[2]), first[: header.end()] + binding)
    if not (right and bound and match[3] == nonce and account is not None):
        raise WrongCredentials("authentication failed")
    address = context.acting_as(authzid, account.address)
    return Success(address, b"v=" + base64.b64encode(hmac.digest(server_key, said, algorithm)))


def _binding(context: Context, flag: bytes, kind: bytes | None, plus: bool) -> bytes:
    """What c= must hold behind the header. Raises SaslError (RFC 5802 §6)."""
    if plus != (kind is not None):
        raise Malformed("p=TYPE belongs to the mechanisms that end in -PLUS, and only to these")
    if flag == b"y" and context.plus:
        raise WrongCredentials("the client saw no -PLUS although it was offered: somebody is in between")
    if kind is None:
        return b""
    data = context.bindings.get(kind.decode())
    if data is None:
        raise WrongCredentials(f"no channel binding of type {kind.decode()} here")
    return data


def _scram_name(said: bytes) -> str:
    """RFC 5802 §5.1: =2C and =3D stand for comma and equals sign; another = is an error."""
    if re.search(rb"=(?!2C|3D)", said):
        raise Malformed("in a name, = stands only before 2C and 3D (RFC 5802 §5.1)")
    return _prepared(_text(said.replace(b"=2C", b",").replace(b"=3D", b"=")))


@lru_cache(maxsize=1024)
def _scram_keys(algorithm: str, password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    """StoredKey and ServerKey (RFC 5802 §3)."""
    salted = hashlib.pbkdf2_hmac(algorithm, _prepared(password).encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", algorithm)
    return hashlib.new(algorithm, client_key).digest(), hmac.digest(salted, b"Server Key", algorithm)


# ── DIGEST-MD5 and ANONYMOUS ─────────────────────────────────────────────────────────────────────────────────────

_DIRECTIVE = re.compile(rb'[ \t\r\n]*([A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))[ \t\r\n]*(?:,|$)', re.S)
_REQUIRED = ("username", "nonce", "cnonce", "nc", "digest-uri", "response")


def digest_md5(context: Context) -> Steps:
    """RFC 2831: old clients try it first. Only qop=auth: TLS is what keeps a secret here."""
    nonce = context.nonce()
    said = _directives(
        (yield f'realm="{context.host}",nonce="{nonce}",qop="auth",charset=utf-8,algorithm=md5-sess'.encode())
    )
    if missing := [name for name in _REQUIRED if name not in said]:
        raise Malformed(f"DIGEST-MD5 wants {', '.join(missing)} (RFC 2831 §2.1.2)")
    charset = "utf-8" if "charset" in said else "latin-1"
    try:
        login, authzid = said["username"].decode(charset), said.get("authzid", b"").decode()
    except UnicodeDecodeError:
        raise Malformed("a name that is not in its charset") from None
    account = context.accounts.find(login)
    hashed = [login.encode(charset), said.get("realm", b""), (account.password if account else "").encode()]
    user = hashlib.md5(b":".join(map(_latin, hashed) if charset == "utf-8" else hashed)).digest()
    inner = b":".join([user, said["nonce"], said["cnonce"], *([said["authzid"]] if authzid else [])])

    def response(verb: bytes) -> bytes:
        outer = _hex(verb + b":" + said["digest-uri"])
        return _hex(b":".join([_hex(inner), said["nonce"], said["nc"], said["cnonce"], said.get("qop", b"auth"), outer]))

    fresh = said["nonce"] == nonce.encode() and said["nc"] == b"00000001" and said.get("qop", b"auth") == b"auth"
    here = said["digest-uri"].lower() == f"{context.service}/{context.host}".encode()
    here = here and said.get("realm", b"") in (context.host.encode(), b"")
    right = hmac.compare_digest(response(b"AUTHENTICATE"), said["response"])
    if not (fresh and here and right and account is not None):
        raise WrongCredentials("authentication failed")
    address = context.acting_as(authzid, account.address)
    yield b"rspauth=" + response(b"")  # RFC 2831 §2.1.3: the server proves itself; an empty response ends it
    return address


def _directives(said: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    at = 0
    while at < len(said):
        match = _DIRECTIVE.match(said, at)
        if match is None or match[1].decode().lower() in found:
            raise Malformed('directives are name=value or name="value", each once (RFC 2831 §2.1.2)')
        found[match[1].decode().lower()] = match[3] if match[2] is None else re.sub(rb"\\(.)", rb"\1", match[2])
        at = match.end()
    return found


def _latin(octets: bytes) -> bytes:
    """RFC 2831 §2.1.2.1: what fits ISO 8859-1 is hashed in it, as databases of HTTP have it."""
    try:
        return octets.decode().encode("latin-1")
    except UnicodeError:
        return octets


def _hex(octets: bytes) -> bytes:
    return hashlib.md5(octets).hexdigest().encode()


def anonymous(context: Context) -> Steps:
    """RFC 4505 §2: no name, no password; whatever trace is left says nothing that anybody should believe."""
    trace = yield b""
    if len(_text(trace)) > 255:
        raise Malformed("a trace has at most 255 characters (RFC 4505 §2)")
    return context.anonymous()


# Strongest first: the order in which a mail server lists them.
MECHANISMS: dict[str, Callable[[Context], Steps]] = {"CRAM-MD5": cram_md5, "PLAIN": plain, "LOGIN": login}
EVERY: dict[str, Callable[[Context], Steps]] = {
    "SCRAM-SHA-256-PLUS": partial(scram, "sha256", True),
    "SCRAM-SHA-1-PLUS": partial(scram, "sha1", True),
    "SCRAM-SHA-256": partial(scram, "sha256", False),
    "SCRAM-SHA-1": partial(scram, "sha1", False),
    "DIGEST-MD5": digest_md5,
    "ANONYMOUS": anonymous,
    **MECHANISMS,
}
CLIENT_FIRST = frozenset({"PLAIN", "ANONYMOUS", *(name for name in EVERY if name.startswith("SCRAM"))})
# LOGIN's first prompt asks for what an initial response brings: smtplib sends the name at once.
TAKES_INITIAL_RESPONSE = CLIENT_FIRST | {"LOGIN"}


class Exchange:
    """One exchange of one mechanism, from the first word to the verdict."""

    def __init__(self, mechanism: str, context: Context) -> None:
        self.mechanism = mechanism
        self.user = ""
        self.name = ""  # LOGIN's name, between its two questions
        self.step = 0  # challenges given so far
        self.challenge = b""  # the last one
        self.data: bytes | None = None  # what the server says along with the success
        self._steps = EVERY[mechanism](context)

    def start(self, initial: bytes | None = None) -> bytes | None:
        """The first challenge; with an initial response, the one after it. None: it is over. Raises SaslError."""
        self.challenge = challenge = next(self._steps)
        self.step = 1
        return challenge if initial is None else self.answer(initial)

    def answer(self, response: bytes) -> bytes | None:
        """The next challenge; None: it is over, and `user` is set. Raises SaslError."""
        try:
            challenge = self._steps.send(response)
        except StopIteration as over:
            self.user, self.data = over.value if isinstance(over.value, Success) else (over.value, None)
            return None
        self.step += 1
        self.challenge = challenge
        self.name = response.decode("utf-8", "replace")
        return challenge


def label(mechanism: str, response: bytes, accounts: Accounts, name: str = "", challenge: bytes = b"") -> str:
    """What a transcript shows in place of a response: `plain alice@example.test`, with ` wrong` behind if it fails.

    `name` is what was said before: LOGIN's name, SCRAM's first message. Whether an answer of SCRAM or DIGEST-MD5 is wrong
    shows when it is checked, not here. `transcript.secret` turns a label into the response again.
    """
    text = response.decode("utf-8", "replace")
    for begins, named in (("SCRAM", r"n=([^,]*)"), ("DIGEST", r'username="([^"]*)"')):
        if mechanism.startswith(begins):
            found = re.search(named, name if begins == "SCRAM" and name else text)
            return f"{mechanism.lower()} {found[1] if found else ''}"
    if mechanism == "LOGIN" and not name:
        return f"login {text}"
    if mechanism == "PLAIN":
        _, _, rest = text.partition("\0")
        who, _, said = rest.partition("\0")
    elif mechanism == "LOGIN":
        who, said = name, text
    else:
        who, _, said = text.rpartition(" ")
    account = accounts.find(who)
    right = "" if account is None else account.password
    if mechanism == "CRAM-MD5":
        right = hmac.new(_key(account), challenge, hashlib.md5).hexdigest()
    kind = "password" if mechanism == "LOGIN" else mechanism.lower()
    return f"{kind} {who}" + ("" if account is not None and said == right else " wrong")


def _key(account: Account | None) -> bytes:
    return account.password.encode() if account else b"\0"


def _equal(password: str, account: Account | None) -> bool:
    right = _prepared(account.password).encode() if account else b"\0"
    return hmac.compare_digest(right, _prepared(password).encode())


def _prepared(text: str) -> str:
    """RFC 4013, where it can be done; what it refuses is compared as it stands."""
    try:
        return saslprep(text)
    except ValueError:
        return text


def _base64(octets: bytes) -> bytes:
    try:
        return base64.b64decode(octets, validate=True)
    except binascii.Error:
        raise Malformed("a value that is not base64") from None


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise Malformed("a name or password that is not UTF-8") from None
