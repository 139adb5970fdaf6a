"""What the label of a secret stands for: the client's side of a login, from the accounts."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re

from fakes.people import People

NONCE = b"transcript"  # of the client's side of SCRAM


def response(label: str, people: People, challenge: bytes) -> bytes:
    """Returns the response that a label such as `plain alice` stands for.

    The word `wrong` after the name makes it a wrong one. Raises KeyError for an unknown label.
    """
    kind, _, rest = label.partition(" ")
    name, _, wrong = rest.partition(" ")
    account = people.find(name)
    password = "wrong" if wrong or account is None else account.password
    if label == "not base64":
        return b"!"
    if kind == "cram-md5":
        digest = hmac.new(password.encode(), challenge, hashlib.md5).hexdigest()
        return base64.b64encode(f"{name} {digest}".encode())
    if kind.startswith("scram-"):
        digest = kind.removeprefix("scram-").replace("-", "")
        # The server's first challenge repeats our nonce. Before it, only the name is sent.
        if challenge.startswith(b"r=" + NONCE):
            return base64.b64encode(scram_proof(digest, name, password.encode(), challenge))
        return base64.b64encode(b"n,," + scram_name(name))
    if kind == "apop":
        return hashlib.md5(challenge + password.encode()).hexdigest().encode()
    if kind == "pass":
        return password.encode()
    text = {"plain": f"\0{name}\0{password}", "login": name, "password": password}[kind]
    return base64.b64encode(text.encode())


def scram_name(name: str) -> bytes:
    """Returns the client's first message of SCRAM, without its header (RFC 5802 §3)."""
    return b"n=%b,r=%b" % (name.encode(), NONCE)


def scram_proof(digest: str, name: str, password: bytes, challenge: bytes) -> bytes:
    """Returns the client's last message of SCRAM (RFC 5802 §3)."""
    fields = dict(part.split(b"=", 1) for part in challenge.split(b","))
    salt, iterations = base64.b64decode(fields[b"s"]), int(fields[b"i"])
    salted = hashlib.pbkdf2_hmac(digest, password, salt, iterations)
    key = hmac.digest(salted, b"Client Key", digest)
    final = b"c=biws,r=" + fields[b"r"]
    message = b",".join((scram_name(name), challenge, final))
    signature = hmac.digest(hashlib.new(digest, key).digest(), message, digest)
    proof = bytes(a ^ b for a, b in zip(key, signature, strict=True))
    return final + b",p=" + base64.b64encode(proof)


def challenge_in(received: bytes) -> bytes:
    """Returns the challenge in what the server sent, b"" if there is none."""
    # APOP's challenge is the timestamp in the greeting (RFC 1939 §7).
    stamp = re.fullmatch(rb"\+OK [^<>]*(<[^<>][^<>@]*@[^<>]+>)[^<>]*\r\n", received)
    if stamp:
        return stamp[1]
    match = re.fullmatch(rb"(?:334|\+|AUTHENTICATE) (\S+)\r\n", received)
    try:
        return base64.b64decode(match[1]) if match else b""
    except ValueError:
        return b""
