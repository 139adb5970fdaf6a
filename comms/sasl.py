"""The client's side of SASL, for every protocol that logs in.

A mechanism is a function from the server's challenge to the client's response, both as bytes. Each
protocol encodes them in its own way: base64 lines in SMTP, XML elements in XMPP.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable

from comms.errors import Refused
from comms.numbers import number

Responder = Callable[[bytes], bytes]
ITERATIONS = 2_000_000  # a server that asks for more would keep the client busy for seconds


def plain(user: str, password: str) -> Responder:
    """PLAIN (RFC 4616 §2). Reveals the password to everybody who can read the connection."""
    return lambda challenge: f"\0{user}\0{password}".encode()


def login(user: str, password: str) -> Responder:
    """LOGIN, which no RFC defines. Reveals the password, as PLAIN does.

    The texts of the two prompts vary, so only their order counts: the user, then the password.
    """
    responses = iter((user, password))
    return lambda challenge: next(responses, "").encode()


def cram_md5(user: str, password: str) -> Responder:
    """CRAM-MD5 (RFC 2195 §2): a keyed digest of the challenge."""

    def respond(challenge: bytes) -> bytes:
        digest = hmac.new(password.encode(), challenge, hashlib.md5).hexdigest()
        return f"{user} {digest}".encode()

    return respond


class Scram:
    """SCRAM without channel binding (RFC 5802, RFC 7677).

    The password is never sent, and the server has to prove that it knows it, too: when it reports
    success, call `require_proof`. `digest` is sha1 or sha256; `nonce` must be random. Raises
    Refused if the server breaks the protocol.
    """

    def __init__(self, digest: str, user: str, password: str, nonce: str) -> None:
        self._digest = digest
        try:
            from comms.preparation import saslprep  # only SCRAM needs its tables

            name, self._password = saslprep(user), saslprep(password).encode()
        except ValueError:
            # The original error quotes the text, which may be the password.
            raise Refused(
                "user or password contain a character that is not allowed in logins (RFC 4013)"
            ) from None
        self._nonce = nonce
        self._first = f"n={name.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
        self._steps = iter((self._hello, self._prove, self._check))
        self._signature = b""
        self.proven = False  # the server has proved that it knows the password

    def require_proof(self, server: str) -> None:
        """Raises Refused, naming the server, if it has not proved that it knows the password."""
        if not self.proven:
            raise Refused(
                f"{server} never proved that it knows the password: it is not what it claims to be"
            )

    def __call__(self, challenge: bytes) -> bytes:
        """Returns the response to each challenge in turn. The first challenge is empty."""
        step = next(self._steps, None)
        if step is None:
            raise Refused("the server sends a challenge after the end of SCRAM (RFC 5802 §5)")
        return step(challenge)

    def _hello(self, challenge: bytes) -> bytes:
        if challenge:
            raise Refused("the server speaks first, but in SCRAM the client does (RFC 5802 §5)")
        return b"n,," + self._first.encode()

    def _prove(self, challenge: bytes) -> bytes:
        fields = _fields(challenge)
        nonce, salt, count = fields.get("r", ""), fields.get("s", ""), fields.get("i", "")
        if "m" in fields:
            raise Refused("the server requires an unknown extension of SCRAM (RFC 5802 §5.1)")
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise Refused(
                "the server's nonce does not extend ours: this is not a reply to our login "
                "(RFC 5802 §5.1)"
            )
        iterations = number(count, ITERATIONS)
        if not iterations:
            raise Refused(
                f"the server asks for {count[:20]!r} iterations; between 1 and {ITERATIONS} are "
                "accepted (RFC 5802 §5.1)"
            )
        # RFC 5802 §3: the names of the values are those of its formulas.
        salted = hashlib.pbkdf2_hmac(self._digest, self._password, _decoded(salt), iterations)
        final = f"c=biws,r={nonce}"  # biws: base64 of "n,,", so no channel binding
        auth_message = b",".join([self._first.encode(), challenge, final.encode()])
        client_key = self._keyed(salted, b"Client Key")
        stored_key = hashlib.new(self._digest, client_key).digest()
        client_signature = self._keyed(stored_key, auth_message)
        self._signature = self._keyed(self._keyed(salted, b"Server Key"), auth_message)
        proof = bytes(a ^ b for a, b in zip(client_key, client_signature, strict=True))
        return f"{final},p={base64.b64encode(proof).decode()}".encode()

    def _check(self, challenge: bytes) -> bytes:
        fields = _fields(challenge)
        if "e" in fields:
            raise Refused(f"the server refused the login: {fields['e'][:100]!r} (RFC 5802 §7)")
        if not hmac.compare_digest(_decoded(fields.get("v", "")), self._signature):
            raise Refused(
                "the server could not prove that it knows the password: "
                "it is not the server it claims to be"
            )
        self.proven = True
        return b""

    def _keyed(self, key: bytes, text: bytes) -> bytes:
        return hmac.new(key, text, self._digest).digest()


def _fields(message: bytes) -> dict[str, str]:
    """Parses `r=…,s=…,i=…`. The first of several fields with the same name counts."""
    try:
        fields = [field.partition("=") for field in message.decode().split(",")]
    except UnicodeDecodeError:
        raise Refused("the server's challenge is not UTF-8 (RFC 5802 §5)") from None
    return {name: value for name, _, value in reversed(fields)}


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("the server's challenge contains invalid base64 (RFC 5802 §7)") from None


# Strongest first: `auth = "auto"` takes the first that the server offers.
MECHANISMS: dict[str, Callable[[str, str], Responder]] = {
    "CRAM-MD5": cram_md5,
    "PLAIN": plain,
    "LOGIN": login,
}
SCRAM = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}  # name → digest, strongest first
# Their first response may be sent with the command, without a challenge.
CLIENT_FIRST = frozenset({"PLAIN", *SCRAM})


def responder(mechanism: str, user: str, password: str, nonce: str) -> Responder:
    """Returns what answers the challenges of a mechanism. Only SCRAM needs the nonce."""
    if mechanism in SCRAM:
        return Scram(SCRAM[mechanism], user, password, nonce)
    return MECHANISMS[mechanism](user, password)
