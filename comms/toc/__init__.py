"""AIM over TOC: what Ruby's Net::TOC gave, in Python's dress.

Read `frames.py` (the octets), `messages.py` (the words in them), `markup.py` (an IM is HTML, and of limited length): they
do no I/O. Then `session.py` (one connection), `buddies.py` (who is there) and `client.py` (the program's side, blocking).
"""
