"""The client's side of SASL: for each mechanism a function from the server's challenge to the client's response.

Used by every protocol that logs in; each dresses challenge and response in its own way (base64, `334 `, `<challenge/>`).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable

from comms.errors import Refused
from comms.preparation import saslprep

Responder = Callable[[bytes], bytes]
ITERATIONS = 2_000_000  # more would keep us busy for seconds: nobody asks for that honestly


def plain(user: str, password: str) -> Responder:
    """RFC 4616 §2. The password itself crosses the wire: only inside TLS, or where the settings say so."""
    return lambda challenge: f"\0{user}\0{password}".encode()


def login(user: str, password: str) -> Responder:
    """LOGIN, of no RFC: whatever the two prompts say, the first asks for the name and the second for the password."""
    answers = iter((user, password))
    return lambda challenge: next(answers, "").encode()


def cram_md5(user: str, password: str) -> Responder:
    """RFC 2195 §2: a keyed digest of the challenge."""
    return lambda challenge: (
        f"{user} {hmac.new(password.encode(), challenge, hashlib.md5).hexdigest()}".encode()
    )


class Scram:
    """SCRAM without channel binding (RFC 5802, RFC 7677): the password never crosses the wire, and the server proves
    that it knows it too. Ask `proven` when the server says that the login succeeded.

    `digest` is sha1 or sha256; `nonce` is fresh chance. Raises Refused for a server that errs or cheats.
    """

    def __init__(self, digest: str, user: str, password: str, nonce: str) -> None:
        self._digest = digest
        try:
            name, self._password = saslprep(user), saslprep(password).encode()
        except ValueError:
            # The text of the error may hold the password.
            raise Refused(
                "user or password hold a character that no login can carry (RFC 4013)"
            ) from None
        self._nonce = nonce
        self._first = f"n={name.replace('=', '=3D').replace(',', '=2C')},r={nonce}"
        self._steps = iter((self._hello, self._prove, self._check))
        self._signature = b""
        self.proven = False  # the server has shown that it knows the password

    def __call__(self, challenge: bytes) -> bytes:
        """The answer to each challenge in turn; the first has none, and the last may come with the success."""
        step = next(self._steps, None)
        if step is None:
            raise Refused("the server asks on when SCRAM is over (RFC 5802 §5)")
        return step(challenge)

    def _hello(self, challenge: bytes) -> bytes:
        if challenge:
            raise Refused("the server speaks first, where SCRAM lets the client (RFC 5802 §5)")
        return b"n,," + self._first.encode()

    def _prove(self, challenge: bytes) -> bytes:
        fields = _fields(challenge)
        nonce, salt, count = fields.get("r", ""), fields.get("s", ""), fields.get("i", "")
        if "m" in fields:
            raise Refused(
                "the server asks for an extension of SCRAM that nobody knows (RFC 5802 §5.1)"
            )
        if not nonce.startswith(self._nonce) or len(nonce) == len(self._nonce):
            raise Refused(
                "the server's nonce does not continue ours: this is not the answer to our login (RFC 5802 §5.1)"
            )
        if not (
            count.isascii() and count.isdigit() and len(count) < 10 and 0 < int(count) <= ITERATIONS
        ):
            raise Refused(
                f"the server wants {count[:20]!r} iterations: 1 to {ITERATIONS} make sense (RFC 5802 §5.1)"
            )
        salted = hashlib.pbkdf2_hmac(self._digest, self._password, _decoded(salt), int(count))
        ours = f"c=biws,r={nonce}"
        signed = b",".join([self._first.encode(), challenge, ours.encode()])
        key = self._keyed(salted, b"Client Key")
        proof = self._keyed(hashlib.new(self._digest, key).digest(), signed)
        self._signature = self._keyed(self._keyed(salted, b"Server Key"), signed)
        both = bytes(a ^ b for a, b in zip(key, proof, strict=True))
        return f"{ours},p={base64.b64encode(both).decode()}".encode()

    def _check(self, challenge: bytes) -> bytes:
        fields = _fields(challenge)
        if "e" in fields:
            raise Refused(f"the server refused the login: {fields['e'][:100]!r} (RFC 5802 §7)")
        if not hmac.compare_digest(_decoded(fields.get("v", "")), self._signature):
            raise Refused(
                "the server could not prove that it knows the password: it is not the server it claims to be"
            )
        self.proven = True
        return b""

    def _keyed(self, key: bytes, text: bytes) -> bytes:
        return hmac.new(key, text, self._digest).digest()


def _fields(message: bytes) -> dict[str, str]:
    """`r=…,s=…,i=…` as a mapping. Raises Refused."""
    try:
        parts = [part.partition("=") for part in message.decode().split(",")]
    except UnicodeDecodeError:
        raise Refused("the server's challenge is not UTF-8 (RFC 5802 §5)") from None
    return {name: value for name, _, value in reversed(parts)}


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused(
            "the server's challenge holds something that is not base64 (RFC 5802 §7)"
        ) from None


MECHANISMS: dict[str, Callable[[str, str], Responder]] = {
    "CRAM-MD5": cram_md5,
    "PLAIN": plain,
    "LOGIN": login,
}
SCRAM = {"SCRAM-SHA-256": "sha256", "SCRAM-SHA-1": "sha1"}  # strongest first
CLIENT_FIRST = frozenset({"PLAIN"})  # speaks first: its answer may travel with the command
