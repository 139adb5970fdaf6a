"""Jabber (XMPP): a client that blocks, on a sans-IO stream of its own.

Reading order: addresses, stream (XML without a socket), stanzas (values, and whom to obey), session (TLS, login,
binding; srv finds the server), roster, inbox (what waits to be taken), client, outbox (what waits to go).
"""

from comms.xmpp.addresses import Jid
from comms.xmpp.client import Client
from comms.xmpp.outbox import Outbox
from comms.xmpp.roster import Contact, Roster
from comms.xmpp.stanzas import Message, Presence

__all__ = ["Client", "Contact", "Jid", "Message", "Outbox", "Presence", "Roster"]
