"""The server's side of SASL, the logins that mail and Jabber share (RFC 4422).

    context = Context(accounts, nonce, "mail.example.test")
    exchange = Exchange("CRAM-MD5", context)
    challenge = exchange.start(initial_response)      # bytes to send, or None: the login is done
    challenge = exchange.answer(response)
    exchange.user                                     # the account, once it is done
    exchange.data                                     # sent along with the success, usually None

How challenges are written on the wire (base64, `334 `, `+ `, `<challenge/>`) is the business of
each protocol.

Read context.py first: what a mechanism gets and how it fails. Then simple.py (PLAIN, LOGIN,
CRAM-MD5, ANONYMOUS), scram.py, digest_md5.py, hashed_token.py; exchange.py runs one of them, and
labels.py hides their responses in transcripts.
"""

from fakes.sasl.context import (
    Account,
    Accounts,
    Context,
    Expired,
    ForeignIdentity,
    Malformed,
    SaslError,
    Success,
    WrongCredentials,
)
from fakes.sasl.exchange import (
    ALL_MECHANISMS,
    CLIENT_FIRST,
    MECHANISMS,
    SCRAM,
    TAKES_INITIAL_RESPONSE,
    Exchange,
    Mechanism,
    offered,
)
from fakes.sasl.hashed_token import HASHED_TOKEN, hashed_token
from fakes.sasl.labels import label

__all__ = [
    "ALL_MECHANISMS",
    "CLIENT_FIRST",
    "HASHED_TOKEN",
    "MECHANISMS",
    "SCRAM",
    "TAKES_INITIAL_RESPONSE",
    "Account",
    "Accounts",
    "Context",
    "Exchange",
    "Expired",
    "ForeignIdentity",
    "Malformed",
    "Mechanism",
    "SaslError",
    "Success",
    "WrongCredentials",
    "hashed_token",
    "label",
    "offered",
]
