"""The names of mechanisms, which servers list long before a client chooses one."""

from __future__ import annotations

# What most mail servers offer, strongest first: the order in which they list them.
MECHANISMS = ("CRAM-MD5", "PLAIN", "LOGIN")
# What some offer, too. A channel binding is possible in Jabber only, which knows that it is wanted.
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-1")
_ALL_SCRAM = ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", *SCRAM)
ALL_MECHANISMS = (*_ALL_SCRAM, "DIGEST-MD5", "ANONYMOUS", *MECHANISMS)
CLIENT_FIRST = frozenset({"PLAIN", "ANONYMOUS", *_ALL_SCRAM})
# In LOGIN the server begins. But smtplib sends the name as an initial response, which then answers
# the first prompt.
TAKES_INITIAL_RESPONSE = CLIENT_FIRST | {"LOGIN"}
# Mechanism → type of channel binding; "" for none.
HASHED_TOKEN = {
    "HT-SHA-256-ENDP": "tls-server-end-point",
    "HT-SHA-256-EXPR": "tls-exporter",
    "HT-SHA-256-UNIQ": "tls-unique",
    "HT-SHA-256-NONE": "",
}


def offered(scram: bool, off: frozenset[str]) -> list[str]:
    """Returns what a mail server offers without the mechanisms that are off, strongest first."""
    return [name for name in (*(SCRAM if scram else ()), *MECHANISMS) if name not in off]
