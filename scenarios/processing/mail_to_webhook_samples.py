"""Mail that mail-to-webhook gets, and the application that it is posted to."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import sqlite3
from typing import TYPE_CHECKING

from comms.attachments import Attachment
from comms.compose import Message

if TYPE_CHECKING:
    from fakes import World
    from fakes.webhook import Post

BOX = "hooks@yourco.test"  # the account whose maildrop gets the mail of the whole domain
HOOK = "my_token_1234@hooks.yourco.test"
APP = "app.yourco.test"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()

# What the form of `mail(html="<b>Hi</b>")` has besides the header.
FORM = {
    "subject": ["Order 1"],
    "to": [HOOK],
    "from": ["Carol <carol@example.org>"],
    "body": ["Hello\n"],
    "html": ["<b>Hi</b>\n"],
    "emails": [HOOK],
}


def mail(
    number: int = 1, to: str = HOOK, text: str = "Hello\n", html: str = "", file: bytes = b""
) -> bytes:
    """Returns a customer's mail, each number with another subject and Message-ID."""
    return Message(
        "Carol <carol@example.org>",
        [to],
        f"Order {number}",
        text,
        html or None,
        attachments=[Attachment("a.bin", file)] if file else [],
        message_id=f"<{number}@example.org>",
    ).to_bytes()


def accepted(world: World) -> list[Post]:
    """Returns the requests that the application has accepted, without repetitions of an event."""
    found: dict[str, Post] = {}
    for post in world.webhook.all:
        if 200 <= post.status < 300:
            found.setdefault(post.headers["webhook-id"], post)
    return list(found.values())


def statuses(world: World) -> list[tuple[str, str, str]]:
    """Returns recipient, status and reason of all posts in the database, oldest first."""
    with contextlib.closing(sqlite3.connect(world.folder / "mail-to-webhook.sqlite3")) as db:
        return list(db.execute("SELECT recipient, status, error FROM post ORDER BY id"))


def verified(post: Post) -> bool:
    """Returns whether a request is signed with our secret, as an application would check it."""
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    event, stamp, signature = (post.headers.get(name, "") for name in names)
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, f"{event}.{stamp}.".encode() + post.body, hashlib.sha256).digest()
    return signature == f"v1,{base64.b64encode(digest).decode()}"
