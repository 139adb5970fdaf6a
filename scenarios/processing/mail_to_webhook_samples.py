"""Mail that mail-to-webhook gets, and the application that it is posted to."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import TYPE_CHECKING

from comms.attachments import Attachment
from comms.compose import Message

if TYPE_CHECKING:
    from fakes.webhook import Post

BOX = "hooks@yourco.test"  # the account whose maildrop gets the mail of the whole domain
HOOK = "my_token_1234@hooks.yourco.test"
APP = "app.yourco.test"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


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


def verified(post: Post) -> bool:
    """Returns whether a request is signed with our secret, as an application would check it."""
    names = ("webhook-id", "webhook-timestamp", "webhook-signature")
    event, stamp, signature = (post.headers.get(name, "") for name in names)
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    digest = hmac.new(key, f"{event}.{stamp}.".encode() + post.body, hashlib.sha256).digest()
    return signature == f"v1,{base64.b64encode(digest).decode()}" and int(stamp) == int(post.at)
