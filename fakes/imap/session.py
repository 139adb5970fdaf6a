"""The server side of one IMAP connection: RFC 3501 and its extensions. The legality table.

The handlers are in `login.py`, `mailboxes.py` and `messages.py`, each of which builds on the one
before; `base.py` is what all of them use.
"""

from __future__ import annotations

from typing import ClassVar

from fakes.imap.messages import ImapMessages
from fakes.wire import Rule, rule

_LOGGED_IN = "AUTHENTICATED SELECTED"
_ANYWHERE = f"NOT-AUTHENTICATED {_LOGGED_IN}"


class Imap(ImapMessages):
    """One IMAP connection.

    States: NOT-AUTHENTICATED, AUTH (a login is under way), AUTHENTICATED, SELECTED (a mailbox is),
    IDLE (the client waits for news, in one of the last two).
    """

    states: ClassVar[str] = "NOT-AUTHENTICATED AUTH AUTHENTICATED SELECTED IDLE"
    verbs: ClassVar[dict[str, Rule]] = {
        "CAPABILITY": rule(_ANYWHERE, "RFC 3501 §6.1.1"),
        "NOOP": rule(_ANYWHERE, "RFC 3501 §6.1.2"),
        "LOGOUT": rule(_ANYWHERE, "RFC 3501 §6.1.3"),
        "ID": rule(_ANYWHERE, "RFC 2971 §3.1"),
        "STARTTLS": rule("NOT-AUTHENTICATED", "RFC 3501 §6.2.1"),
        "AUTHENTICATE": rule(
            "NOT-AUTHENTICATED", "RFC 3501 §6.2.2", then="AUTH AUTHENTICATED NOT-AUTHENTICATED"
        ),
        "response": rule("AUTH", "RFC 3501 §6.2.2", then="AUTH AUTHENTICATED"),
        "LOGIN": rule("NOT-AUTHENTICATED", "RFC 3501 §6.2.3", then="AUTHENTICATED"),
        "SELECT": rule(_LOGGED_IN, "RFC 3501 §6.3.1", then="SELECTED"),
        "EXAMINE": rule(_LOGGED_IN, "RFC 3501 §6.3.2", then="SELECTED"),
        "CREATE": rule(_LOGGED_IN, "RFC 3501 §6.3.3"),
        "DELETE": rule(_LOGGED_IN, "RFC 3501 §6.3.4"),
        "RENAME": rule(_LOGGED_IN, "RFC 3501 §6.3.5"),
        "SUBSCRIBE": rule(_LOGGED_IN, "RFC 3501 §6.3.6"),
        "UNSUBSCRIBE": rule(_LOGGED_IN, "RFC 3501 §6.3.7"),
        "LIST": rule(_LOGGED_IN, "RFC 3501 §6.3.8"),
        "LSUB": rule(_LOGGED_IN, "RFC 3501 §6.3.9"),
        "STATUS": rule(_LOGGED_IN, "RFC 3501 §6.3.10"),
        "APPEND": rule(_LOGGED_IN, "RFC 3501 §6.3.11"),
        ".": rule(_LOGGED_IN, "RFC 3501 §6.3.11"),  # the message that APPEND brings
        "NAMESPACE": rule(_LOGGED_IN, "RFC 2342 §5"),
        "ENABLE": rule(_LOGGED_IN, "RFC 5161 §3.1"),
        "IDLE": rule(_LOGGED_IN, "RFC 2177 §3", then="IDLE"),
        "DONE": rule("IDLE", "RFC 2177 §3", then=_LOGGED_IN),
        "GETQUOTA": rule(_LOGGED_IN, "RFC 9208 §4.1.2"),
        "GETQUOTAROOT": rule(_LOGGED_IN, "RFC 9208 §4.1.3"),
        "SETQUOTA": rule(_LOGGED_IN, "RFC 9208 §4.1.1"),
        "CHECK": rule("SELECTED", "RFC 3501 §6.4.1"),
        "CLOSE": rule("SELECTED", "RFC 3501 §6.4.2", then="AUTHENTICATED"),
        "UNSELECT": rule("SELECTED", "RFC 3691 §2", then="AUTHENTICATED"),
        "EXPUNGE": rule("SELECTED", "RFC 3501 §6.4.3"),
        "UID_EXPUNGE": rule("SELECTED", "RFC 4315 §2.1"),
        "SEARCH": rule("SELECTED", "RFC 3501 §6.4.4"),
        "UID_SEARCH": rule("SELECTED", "RFC 3501 §6.4.8"),
        "SORT": rule("SELECTED", "RFC 5256 §3"),
        "UID_SORT": rule("SELECTED", "RFC 5256 §3"),
        "THREAD": rule("SELECTED", "RFC 5256 §3"),
        "UID_THREAD": rule("SELECTED", "RFC 5256 §3"),
        "FETCH": rule("SELECTED", "RFC 3501 §6.4.5"),
        "UID_FETCH": rule("SELECTED", "RFC 3501 §6.4.8"),
        "STORE": rule("SELECTED", "RFC 3501 §6.4.6"),
        "UID_STORE": rule("SELECTED", "RFC 3501 §6.4.8"),
        "COPY": rule("SELECTED", "RFC 3501 §6.4.7"),
        "UID_COPY": rule("SELECTED", "RFC 3501 §6.4.8"),
        "MOVE": rule("SELECTED", "RFC 6851 §3.1"),
        "UID_MOVE": rule("SELECTED", "RFC 6851 §3.2"),
        # A piece of a command up to a literal.
        "literal": rule(_ANYWHERE, "RFC 3501 §7.5"),
    }
