"""An IRC client for bots, which blocks.

Read `lines` (from bytes to words, and how a long text is cut) and `support` (what a server
announces), then `session` (one connection, from the registration to its end), `people` (who is in
which channel, and who is logged in as whom), `messages` (what a program gets), and `client` (the
blocking client, which connects again after a loss).
"""

from comms.irc.client import Client
from comms.irc.messages import Message

__all__ = ["Client", "Message"]
