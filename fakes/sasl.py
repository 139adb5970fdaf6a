"""The server's side of SASL: each mechanism a generator that yields challenges and is sent the client's responses.

    exchange = Exchange("CRAM-MD5", accounts)
    challenge = exchange.start(initial_response)      # bytes to send, or None when it is over
    challenge = exchange.answer(response)
    exchange.user                                     # who it is, once over

How challenges are dressed (base64, `334 `, `+ `, `<challenge/>`) is the protocol's business, not this module's.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol


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


class Malformed(SaslError):
    """The response is not of the form that the mechanism asks for."""


@dataclass(frozen=True)
class Context:
    """What a mechanism is handed: the accounts, a source of fresh challenges, the server's name."""

    accounts: Accounts
    nonce: Callable[[], str]
    host: str

    def check(self, login: str, password: str) -> str:
        """The address of the account with this login, if the password is its own. Raises WrongCredentials."""
        account = self.accounts.find(login)
        # compare even for an unknown user: same answer, same time
        if not _equal(password, account) or account is None:
            raise WrongCredentials("authentication failed")
        return account.address


Steps = Generator[bytes, bytes, str]


def plain(context: Context) -> Steps:
    """RFC 4616 §2: authzid NUL authcid NUL password, in UTF-8."""
    response = yield b""
    parts = response.split(b"\0")
    if len(parts) != 3 or not parts[1] or not parts[2]:
        raise Malformed("PLAIN wants [authzid] NUL authcid NUL password (RFC 4616 §2)")
    if max(map(len, parts)) > 255:
        raise Malformed("PLAIN takes at most 255 octets a part (RFC 4616 §2)")
    authzid, authcid, password = (_text(part) for part in parts)
    address = context.check(authcid, password)
    acting_as = context.accounts.find(authzid) if authzid else None
    if authzid and (acting_as is None or acting_as.address != address):
        raise WrongCredentials("may not act as another")  # RFC 4616 §2: authorization fails
    return address


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


# Strongest first: the order in which a server lists them.
MECHANISMS: dict[str, Callable[[Context], Steps]] = {"CRAM-MD5": cram_md5, "PLAIN": plain, "LOGIN": login}
CLIENT_FIRST = frozenset({"PLAIN"})
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
        self._steps = MECHANISMS[mechanism](context)

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
            self.user = over.value
            return None
        self.step += 1
        self.challenge = challenge
        self.name = response.decode("utf-8", "replace")
        return challenge


def label(mechanism: str, response: bytes, accounts: Accounts, name: str = "", challenge: bytes = b"") -> str:
    """What a transcript shows in place of a response: `plain alice@example.test`, with ` wrong` behind if it fails.

    `name` is what LOGIN was told before. `transcript.secret` turns a label into the response again.
    """
    text = response.decode("utf-8", "replace")
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
    return hmac.compare_digest(_key(account), password.encode())


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError:
        raise Malformed("a name or password that is not UTF-8") from None
