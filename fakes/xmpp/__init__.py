"""A Jabber server (RFC 6120, RFC 6121). To read it, in this order:

stream.py (one connection: the legality table), splitter.py (its octets parted), features.py, sasl.py; stanzas.py,
addresses.py; routing.py (where a stanza goes), delivery.py and subscriptions.py (the two tables), roster.py, presence.py,
offline.py; service.py (what outlives a connection); extensions/; jabber.py (the test's side).
"""

from fakes.xmpp.jabber import Jabber
from fakes.xmpp.policy import SWITCHES, Policy
from fakes.xmpp.stream import Xmpp

__all__ = ["SWITCHES", "Jabber", "Policy", "Xmpp"]
