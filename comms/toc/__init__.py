"""AIM over TOC: what Ruby's Net::TOC offered, in Python.

Three modules do no I/O: `frames.py` (bytes and frames), `messages.py` (what the frames contain) and
`markup.py` (an IM is HTML of limited length). On top of them are `session.py` (one connection,
until it is lost), `buddies.py` and `rooms.py` (who is online, and where), `connection.py` (one
screen name kept signed on), `dispatch.py` (what a message from the server does) and `client.py`
(what a program calls).
"""
