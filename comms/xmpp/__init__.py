"""Jabber (XMPP): a blocking client on a stream that does no I/O.

Reading order: `addresses`, `stream` (XML without a socket), `payloads` (messages without a body),
`stanzas` (values, and which messages to obey), `about` (questions about the client), `login` and
`session` (TLS, login, binding; `srv` finds the server), `roster`, `inbox` (what has arrived),
`keeper`, `resumption`, `questions` and `connection` (one account kept online), `rooms`, `dispatch`
(what a stanza does), `client` (what a program calls), and `outbox` (messages that wait until they
can be sent). `forms` and `adhoc` are commands that a client shows as forms. `component` is a
program that serves a domain of its own.
"""

from typing import TYPE_CHECKING

from comms.xmpp.addresses import Jid
from comms.xmpp.client import Client
from comms.xmpp.roster import Contact, Roster
from comms.xmpp.stanzas import Message, Presence

if TYPE_CHECKING:
    from comms.xmpp.outbox import Outbox
else:

    def __getattr__(name):
        """Imports the outbox when a program names it: most have none."""
        if name != "Outbox":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from comms.xmpp.outbox import Outbox

        return Outbox


__all__ = ["Client", "Contact", "Jid", "Message", "Outbox", "Presence", "Roster"]
