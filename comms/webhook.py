"""What a webhook gets: a form with files, and a signature that proves where it comes from.

    type, body = form([("subject", "hi")], [("attachments", attachment)], event)
    headers = {"Content-Type": type, **signed(secret, event, clock.time(), body)}

The header fields are those of the Standard Webhooks specification, for which most languages have a
library that verifies them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable

from comms.attachments import Attachment

PREFIX = "whsec_"  # how secrets begin
LEAST = 24  # bytes of a secret


def form(
    fields: Iterable[tuple[str, str]], files: Iterable[tuple[str, Attachment]], seed: str
) -> tuple[str, bytes]:
    """Returns the Content-Type and the body of a form (RFC 7578).

    The same arguments make the same bytes. `seed` is what the boundary between the parts is made
    of: letters and digits.
    """
    parts = [(_named(name), value.encode("utf-8", "replace")) for name, value in fields]
    for name, file in files:
        known = re.fullmatch(r"[\w.+-]+/[\w.+-]+", file.type, re.ASCII)
        type = file.type if known else "application/octet-stream"
        head = f'{_named(name)}; filename="{_quoted(file.name)}"\r\nContent-Type: {type}'
        parts.append((head, file.content))
    boundary = seed[:60]  # RFC 2046 §5.1.1 allows 70 characters
    while any(boundary.encode() in content for _, content in parts):
        boundary = hashlib.sha256(boundary.encode()).hexdigest()
    lines = [
        f"--{boundary}\r\nContent-Disposition: {head}\r\n\r\n".encode("utf-8", "replace")
        + content
        + b"\r\n"
        for head, content in parts
    ]
    return f"multipart/form-data; boundary={boundary}", b"".join(
        lines
    ) + f"--{boundary}--\r\n".encode()


def _named(name: str) -> str:
    return f'form-data; name="{_quoted(name)}"'


def _quoted(text: str) -> str:
    """Returns a name as browsers write it, so that it cannot end the line or its quotes."""
    return text.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def secret_problem(secret: str) -> str:
    """Returns why a secret cannot be used, or ""."""
    try:
        found = _key(secret)
    except ValueError:
        return f"it is not {PREFIX} and base64"
    return "" if len(found) >= LEAST else f"it has fewer than {LEAST} bytes"


def _key(secret: str) -> bytes:
    return base64.b64decode(secret.removeprefix(PREFIX), validate=True)


def signed(secret: str, event: str, now: float, body: bytes) -> dict[str, str]:
    """Returns the header fields of an event; without a secret, those that need none.

    `event` is the same each time the event is sent, so that a receiver can tell repetitions. The
    time is that of sending: a receiver refuses what is too old, as a replay. Raises ValueError for
    a secret that is not base64 (see `secret_problem`).
    """
    stamp = str(int(now))
    fields = {"webhook-id": event, "webhook-timestamp": stamp}
    if secret:
        content = f"{event}.{stamp}.".encode() + body
        digest = hmac.new(_key(secret), content, hashlib.sha256).digest()
        fields["webhook-signature"] = f"v1,{base64.b64encode(digest).decode()}"
    return fields
