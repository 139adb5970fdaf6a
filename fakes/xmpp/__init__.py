"""A Jabber server (RFC 6120, RFC 6121). Read its files in this order.

- stream.py: one connection, beginning with the legality table; pieces.py, splitter.py, units.py,
  header.py, features.py, sasl.py, binding.py and refusals.py: its parts
- addresses.py, markup.py, stanzas.py: the values
- service.py: what outlives a connection, and how its parts are connected
- dispatch.py and routing.py: where each stanza goes, and in which order
- delivery.py, presence.py, subscribing.py (with the table in subscriptions.py), roster_requests.py,
  pushes.py and offline.py: what happens to it
- policy.py, accounts.py, sessions.py, roster.py: the state, and what is configured
- extension.py, extensions/: the extensions
- jabber.py: the test's side; codec.py: how transcripts write XMPP; server.py: the descriptor
"""

from fakes.xmpp.jabber import Jabber
from fakes.xmpp.policy import Policy
from fakes.xmpp.stream import Xmpp

__all__ = ["Jabber", "Policy", "Xmpp"]
