"""What a transcript shows in place of a login's response, so that no password is in it."""

from __future__ import annotations

import re

from fakes.sasl.context import Accounts
from fakes.sasl.simple import cram_md5_digest

_SCRAM_USER = re.compile(r"n=([^,]*)")
_DIGEST_USER = re.compile(r'username="([^"]*)"')


def label(
    mechanism: str, response: bytes, accounts: Accounts, name: str = "", challenge: bytes = b""
) -> str:
    """Returns a label such as `plain alice@example.test`, with ` wrong` added if the login fails.

    `name` is the response before this one, as in Exchange. Whether a response of SCRAM, DIGEST-MD5
    or HT is wrong cannot be seen from it alone, so their labels never say so. A transcript's player
    turns a label into the response again.
    """
    text, kind = response.decode("utf-8", "replace"), mechanism.lower()
    if mechanism.startswith("SCRAM"):
        return f"{kind} {_first_group(_SCRAM_USER, name or text)}"
    if mechanism.startswith("HT-"):
        # Without the NUL, what was sent may be the token.
        return f"{kind} {text.rpartition(chr(0))[0].partition(chr(0))[0]}"
    if mechanism.startswith("DIGEST"):
        return f"{kind} {_first_group(_DIGEST_USER, text)}"
    if mechanism == "LOGIN" and not name:
        return f"login {text}"

    if mechanism == "LOGIN":
        kind, user, proof = "password", name, text
    elif mechanism == "PLAIN":
        _, _, rest = text.partition("\0")
        user, _, proof = rest.partition("\0")
    else:
        user, _, proof = text.rpartition(" ")
    if mechanism == "CRAM-MD5":
        account = accounts.find(user)
        expected = cram_md5_digest(account, challenge).decode()
    else:
        account = accounts.for_login(user, proof)
        expected = account.password if account else ""
    right = account is not None and proof == expected
    return f"{kind} {user}{'' if right else ' wrong'}"


def _first_group(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""
