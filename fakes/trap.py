"""A trap: a text file to which every message is appended instead of being sent.

    world.mail.append_to(Path("trap.txt"))          # or python -m fakes --trap trap.txt
    [mail] = trapped(Path("trap.txt"))

Each message is between two markers. The first has the time in UTC, and the envelope:

    * Message begins 2026-01-05 09:00:00 from <shop@example.org> to <ann@example.net>
    Subject: Order 1

    Thank you!
    * Message ends

Lines end in LF, as in other text files. A line of a message that looks like a marker gets a `>`
before it, so that no message can pretend to be several.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from fakes.mail import Envelope, Mail, Recipient

_TIME = "%Y-%m-%d %H:%M:%S"
_MARKER = re.compile(rb"^(>*)(\* Message (?:begins|ends)\b)", re.M)
_QUOTED = re.compile(rb"^>(>*\* Message (?:begins|ends)\b)", re.M)
_PATH = re.compile(r'<(?:"(?:[^"\\]|\\.)*+"@)?[^<>"]*>')
_BEGINS = re.compile(rf"\* Message begins (.{{19}}) from ({_PATH.pattern}) to (<.*)", re.S)
_ENDS = "* Message ends"


class TrapFile:
    """The file. Raises OSError if it cannot be written."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with self.path.open("ab"):
            pass

    def append(self, mail: Mail) -> None:
        """Appends a message, or nothing if not all of it can be written. Raises OSError."""
        at = datetime.fromtimestamp(int(mail.at), UTC).strftime(_TIME)
        to = " ".join(f"<{address}>" for address in mail.envelope.to)
        text = _MARKER.sub(rb">\1\2", mail.raw.replace(b"\r\n", b"\n"))
        if text and not text.endswith(b"\n"):
            text += b"\n"
        begins = f"* Message begins {at} from <{mail.envelope.sender}> to {to}\n".encode()
        # Unbuffered, so that an error is raised by the write, where its beginning can be removed.
        with self.path.open("ab", buffering=0) as file:
            before = file.seek(0, 2)
            data = begins + text + b"* Message ends\n\n"
            try:
                while data:
                    data = data[file.write(data) :]
            except OSError:
                file.truncate(before)
                raise


def trapped(path: Path | str) -> list[Mail]:
    """Returns the messages in a file, oldest first; their lines end in CRLF. Raises OSError."""
    mails: list[Mail] = []
    found: re.Match[str] | None = None  # the marker of the message that these lines are of
    lines: list[str] = []
    for line in Path(path).read_bytes().decode("utf-8", "surrogateescape").split("\n"):
        if begins := _BEGINS.fullmatch(line):
            found, lines = begins, []
        elif found is not None and line == _ENDS:
            mails.append(_mail(found, lines))
            found = None
        else:
            lines.append(line)
    return mails


def _mail(marker: re.Match[str], lines: list[str]) -> Mail:
    text = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
    raw = _QUOTED.sub(rb"\1", text).replace(b"\n", b"\r\n")
    to = [Recipient(path[1:-1]) for path in _PATH.findall(marker[3])]
    at = datetime.strptime(marker[1], _TIME).replace(tzinfo=UTC).timestamp()
    return Mail(raw, Envelope(marker[2][1:-1], tuple(to)), at)
