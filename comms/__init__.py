"""What a program needs to talk: mail now, chat beside it. Standard library only, synchronous, importing nothing of ours.

Everything that a program does not decide itself is handed in: a clock (`clock.py`), a host (`host.py`), settings
(`settings.py`). Read `link.py` (the socket), then `smtp.py`, then `outbox.py`.
"""
