"""The edges of template-mailer: the file of mails, the ways to deliver them, and the preview."""

from __future__ import annotations

import hashlib
import html
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms import smtp
from comms.clock import Clock
from comms.compose import Message
from comms.conversion import WrongValue, check_type, convert_table
from comms.errors import Refused, SettingsError, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.outbox import Transport
from comms.setting_types import NamedAddress, Word, shown
from comms.settings import Settings
from comms.smtp import Failure

if TYPE_CHECKING:
    from scenarios.sending.template_mailer import Rules

# ── the file of mails ────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Row:
    """A mail to be written: to whom, in which template and language, with which values."""

    to: str
    template: str
    language: str
    values: dict[str, Any]


def rows(file: Path) -> list[Row]:
    """Reads the file. Raises SettingsError, which names the mail and the key."""
    kinds = {"to": NamedAddress, "template": Word, "language": str}
    found = []
    try:
        tables = tomllib.loads(file.read_text("utf-8-sig")).get("mail", [])
        check_type("mail", tables, list, "write [[mail]] before each mail")
        for number, table in enumerate(tables, 1):
            check_type(f"mail {number}", table, dict, "write [[mail]] before each mail")
            head = {"to": "", "template": "", "language": ""}
            head |= {key: table[key] for key in head if key in table}
            values = {key: value for key, value in table.items() if key not in head}
            found.append(Row(**convert_table(f"mail {number}", head, kinds, Path()), values=values))
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from None
    except (WrongValue, ValueError, RecursionError) as error:  # not TOML, or not UTF-8, too
        raise SettingsError(f"{file}: {error}") from None
    if not found:
        raise SettingsError(f"{file}: no mails; write [[mail]] and its keys for each")
    return found


# ── the ways to deliver ──────────────────────────────────────────────────────

TIMEOUT = 60.0  # seconds for one call of sendmail
EX_TEMPFAIL = 75  # sysexits.h: try again later


class Sendmail:
    """Hands mails to the sendmail command of the machine's own mail server, which queues them."""

    usable = True

    def __init__(self, command: Sequence[str], host: Host) -> None:
        self._command, self._host = command, host

    def send(self, sender: str, recipients: list[str], raw: bytes) -> dict[str, Failure | None]:
        """Runs the command once. Raises Unreachable if it cannot be started."""
        # -i: a line with only a dot does not end the mail. The recipients are arguments, because
        # with -t they would be taken from the header. What follows -- is never an option.
        words = [*self._command, "-i", "-f", sender, "--", *recipients]
        # Programs of the machine end lines as its other files do.
        outcome = self._host.run(words, TIMEOUT, raw.replace(b"\r\n", b"\n"))
        failure: Failure | None = None
        text = f"{words[0]}: {outcome.error or outcome.output.strip()}"
        if outcome.in_doubt:
            failure = Unknown(text)
        elif outcome.code is None:
            raise Unreachable(text)
        elif outcome.code == EX_TEMPFAIL:
            failure = TryLater(text)
        elif outcome.code:
            failure = Refused(f"{text} (exit status {outcome.code})")
        return dict.fromkeys(recipients, failure)

    def close(self) -> None:
        """There is no session to end."""


class Folder:
    """Writes mails into a folder, each into a file of its own."""

    usable = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, sender: str, recipients: list[str], raw: bytes) -> dict[str, Failure | None]:
        """Writes the file. Raises Unreachable if that fails."""
        # The same mail has the same name: after a crash it is written again, and not twice.
        file = self._folder / f"{hashlib.sha256(raw).hexdigest()[:16]}.eml"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            part = file.with_suffix(".part")
            part.write_bytes(raw)
            part.replace(file)
        except OSError as error:
            raise Unreachable(f"{file}: {error.strerror}") from None
        return dict.fromkeys(recipients)

    def close(self) -> None:
        """There is no session to end."""


def transport(
    rules: Rules, settings: Settings, clock: Clock, host: Host
) -> Callable[[], Transport]:
    """Returns what opens a session of the way that the settings choose. Raises SettingsError."""
    if rules.deliver == "sendmail":
        return lambda: Sendmail(rules.sendmail, host)
    if rules.deliver == "file":
        return lambda: Folder(rules.folder)
    server = settings.server("smtp")
    return lambda: smtp.Session(server, clock, host)


# ── the preview ──────────────────────────────────────────────────────────────

# A frame inherits the policy of its page: nothing is loaded, no script runs, no form is sent.
PAGE = """<!doctype html>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>
body {{ font: 16px sans-serif; max-width: 50em; margin: 2em auto }}
pre {{ white-space: pre-wrap; background: #eee; padding: 1em }}
iframe {{ width: 100%; height: 20em; border: 1px solid gray; resize: vertical }}
</style>
<h1>{title}</h1>
{mails}"""
MAIL = """<section>
<h2>{subject}</h2>
<p>From: {sender}<br>To: {to}</p>
<pre>{text}</pre>
{frame}</section>
"""
FRAME = '<iframe sandbox title="HTML: {subject}" srcdoc="{html}"></iframe>\n'


def only_shown(messages: Sequence[Message], rules: Rules, settings: Settings, host: Host) -> bool:
    """Shows the mails if the settings say that none is to be sent, and returns whether they do."""
    if rules.preview is not None:
        preview(messages, rules.preview, settings)
        host.say(f"{len(messages)} mails are shown in {rules.preview.name}, and none is sent")
        return True
    if rules.deliver == "test":
        for message in messages:
            host.say(f"would mail {', '.join(message.to)}: {message.subject}")
        return True
    return False


def preview(messages: Sequence[Message], file: Path, settings: Settings) -> None:
    """Writes one page that shows the mails. Their HTML is inert in it. Raises SettingsError."""
    try:
        page = PAGE.format(title=f"Mails: {len(messages)}", mails="".join(_shown(messages)))
        file.write_text(page, "utf-8", newline="\n")
    except OSError as error:
        problem = f"{shown(file.name)} cannot be written: {error.strerror}; write another path"
        key = "scenario.template-mailer.preview"
        raise SettingsError(f"{settings.source}: {key}: {problem}") from None


def _shown(messages: Sequence[Message]) -> Iterator[str]:
    for message in messages:
        subject = html.escape(message.subject)
        shown = {
            "subject": subject,
            "sender": html.escape(message.sender),
            "to": html.escape(", ".join(message.to)),
            "text": html.escape(message.text or ""),
        }
        frame = ""
        if message.html is not None:
            frame = FRAME.format(subject=subject, html=html.escape(message.html))
        yield MAIL.format(**shown, frame=frame)
