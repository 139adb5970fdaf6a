"""SMTP by raw lines, on a core without a socket."""

from __future__ import annotations

from fakes.wire import Facts
from fakes.world import World

BODY = b"Subject: hello\r\nMessage-ID: <m1@example.org>\r\n\r\nthe body\r\n"


def send_mail(world: World, *commands: str, body: bytes = BODY) -> list[str]:
    """Sends EHLO, these commands, DATA and the body. Returns the reply to each of them but EHLO.

    If DATA is refused, the body is not sent.
    """
    session = world.core("smtp")
    session.opened(Facts(1))
    replies = []
    for command in ("EHLO client.example", *commands, "DATA"):
        while session.take():  # what is left of the last reply, or the greeting
            pass
        session.receive(command.encode() + b"\r\n")
        replies.append(session.take().decode())
    if replies[-1].startswith("354"):
        session.receive(body + b".\r\n")
        replies.append(session.take().decode())
    session.written()
    return replies[1:]
