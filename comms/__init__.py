"""What a program needs to communicate by mail and chat. Standard library only, synchronous.

Everything that a program does not decide itself is passed in: time (`clock.py`), the machine
(`host.py`) and the settings (`settings.py`). This package imports nothing else of the project.

Start with `link.py` (the socket under every client), then read `smtp.py` and `outbox.py`. Mails
are written by `compose.py` and read by `read.py`. `toc/` and `xmpp/` hold the chat clients.
"""
