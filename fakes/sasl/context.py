"""What a SASL mechanism gets from the server, how it fails, and what it returns."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class Account(Protocol):
    """An account that may log in."""

    @property
    def address(self) -> str:
        """The address, in the one form that everything else uses."""

    @property
    def password(self) -> str:
        """The password in clear.

        CRAM-MD5, APOP and SCRAM need it, because each computes a hash of a different kind.
        """


class Accounts(Protocol):
    """The accounts of a server."""

    def find(self, login: str) -> Account | None:
        """The account with this login (an address or its local part), or None."""

    def for_login(self, login: str, password: str) -> Account | None:
        """The same, unless any login is right: then an account with this password."""


class SaslError(Exception):
    """A failed exchange. `reason` may be shown to the client: it contains no secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WrongCredentials(SaslError):
    """Unknown user, wrong password or wrong authorization identity: a client cannot tell which."""


class ForeignIdentity(WrongCredentials):
    """The credentials are right, but the authorization identity is that of another account."""


class Expired(SaslError):
    """The credentials are those of the account, but are no longer valid."""


class Malformed(SaslError):
    """The response does not have the form that the mechanism requires."""


class Success(NamedTuple):
    """The address that has logged in, and data that the server sends with the success."""

    user: str
    data: bytes


# A mechanism is a generator: it yields challenges, is sent the client's responses, and returns the
# address that has logged in. Where the client begins, the first challenge is empty.
Steps = Generator[bytes, bytes, str | Success]


def invented_salt(name: str) -> bytes:
    """A salt for SCRAM that depends only on the name.

    It is the same each time, and does not show whether the account exists (RFC 5802 §7).
    """
    return hashlib.sha256(b"salt " + name.encode()).digest()[:16]


@dataclass(frozen=True)
class Context:
    """What a mechanism gets from the server.

    `nonce` makes fresh challenges, and `host` is the server's name. `service` is the protocol's
    name in SASL (DIGEST-MD5). `bindings` maps types of channel binding to the data of this TLS
    channel, and `plus` says whether the server offers them. `identity` returns the address that an
    authorization identity means; without it, that of the account. `anonymous` makes a new account
    and returns its address. `salt` and `iterations` are for SCRAM.
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
    longest: int = 255  # bytes of a part of PLAIN; servers take at least these (RFC 4616 §2)
    iterations: int = 4096

    def authenticate(self, login: str, password: str) -> str:
        """Returns the address of the account with this login and password.

        Raises WrongCredentials.
        """
        account = self.accounts.for_login(login, password)
        expected = prepare(account.password).encode() if account else b"\0"
        # Compare even for an unknown user, so that neither the answer nor its time shows that.
        right = hmac.compare_digest(expected, prepare(password).encode())
        if account is None or not right:
            raise WrongCredentials("authentication failed")
        return account.address

    def authorize(self, authzid: str, address: str) -> str:
        """Returns the address if its user may act as the authorization identity `authzid`.

        They may act as themselves only: `authzid` is empty or means the same address. Raises
        ForeignIdentity.
        """
        if authzid:
            if self.identity is not None:
                meant = self.identity(authzid)
            else:
                account = self.accounts.find(authzid)
                meant = account.address if account is not None else ""
            if meant != address:
                raise ForeignIdentity("may not act as another")
        return address


def prepare(text: str) -> str:
    """Prepares a name or password by RFC 4013. What RFC 4013 prohibits is left as it is."""
    if text.isascii():
        return text  # most are, and then nothing needs the tables
    from fakes.preparation import saslprep

    try:
        return saslprep(text)
    except ValueError:
        return text


def decode_text(data: bytes) -> str:
    """Decodes UTF-8. Raises Malformed."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise Malformed("a name or password that is not UTF-8") from None


def hmac_key(account: Account | None) -> bytes:
    """The password as a key. An unknown account has one too, so that it takes as long to check."""
    return account.password.encode() if account else b"\0"
