"""The server's side of SASL, the logins that mail and Jabber share (RFC 4422).

    context = Context(accounts, nonce, "mail.example.test")
    exchange = Exchange("CRAM-MD5", context)
    challenge = exchange.start(initial_response)      # bytes to send, or None: the login is done
    challenge = exchange.answer(response)
    exchange.user                                     # the account, once it is done
    exchange.data                                     # sent along with the success, usually None

How challenges are written on the wire (base64, `334 `, `+ `, `<challenge/>`) is the business of
each protocol.

A server lists names.py; everything else is imported when a client begins a login.

Read context.py first: what a mechanism gets and how it fails. Then simple.py (PLAIN, LOGIN,
CRAM-MD5, ANONYMOUS), scram.py, digest_md5.py, hashed_token.py; exchange.py runs one of them, and
labels.py hides their responses in transcripts.
"""

from typing import TYPE_CHECKING

from fakes.sasl.names import (
    ALL_MECHANISMS,
    CLIENT_FIRST,
    HASHED_TOKEN,
    MECHANISMS,
    SCRAM,
    TAKES_INITIAL_RESPONSE,
    offered,
)

if TYPE_CHECKING:
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
        prepare,
    )
    from fakes.sasl.exchange import Exchange, Mechanism
    from fakes.sasl.labels import label
else:

    def __getattr__(name):
        """Imports what only a login needs."""
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from fakes.sasl import context, exchange, labels

        homes = {"Exchange": exchange, "Mechanism": exchange, "label": labels}
        return globals().setdefault(name, getattr(homes.get(name, context), name))


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
    "label",
    "offered",
    "prepare",
]
