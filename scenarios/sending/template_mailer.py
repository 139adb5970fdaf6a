"""Send mails that are written from templates, as text and HTML.

Section 6.1.1 · SMTP, MIME · try: make scenario NAME=template-mailer
Needs: jinja2

All mails of a file are written before the first one is sent, so that a missing value stops them
all. Then they wait in an outbox, which sends each of them once, even if the program is killed. The
same file is never sent twice. On a stage, `redirect` sends every mail to one address instead.

[scenario.template-mailer]
mails = "mails.toml"                 # required: to whom, with which template and values
sender = "YourCo <hello@yourco.test>"    # required
templates = "templates"              # a folder: NAME.txt, NAME.html, NAME.de.txt
deliver = "smtp"                     # or sendmail, file, or test, which only says what it would do
sendmail = ["/usr/sbin/sendmail"]    # for deliver = "sendmail"
folder = "outgoing"                  # for deliver = "file"
redirect = "stage@yourco.test"       # optional: every mail goes here, and nowhere else
preview = "preview.html"             # optional: show the mails on this page, and send none
state = "template-mailer.sqlite3"

Fault: smtp connect refuse times 2 -> all hold
Fault: smtp-450-then-ok -> all hold
Fault: smtp . lost stored nth 1 -> breaks the exit code is 0, the observer hears of each mail,
    the next start sends them
Fault: RCPT arg dieter* reply "550 no" -> breaks each customer gets one mail in their language,
    the exit code is 0, the next start sends them, nobody gets a mail twice
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.outbox import Outbox, Result
from comms.setting_types import (
    CommandLine,
    Folder,
    MailAddress,
    NamedAddress,
    NonEmpty,
    ReadableFile,
    StateFile,
)
from comms.settings import Settings
from comms.state import State
from scenarios.play import Claim, Program, Scenario, equal
from scenarios.sending.template_mailer_desk import only_shown, rows, transport
from scenarios.templates import Templates

if TYPE_CHECKING:
    from fakes import World

BOT, STAGE = "hello@yourco.test", "stage@yourco.test"
CUSTOMERS = ["carol@customer.test", "dieter@customer.test", "eve@customer.test"]
EXAMPLES = Path(__file__).parent / "templates"
WORLD: dict[str, Any] = {
    "servers": ["smtp"],
    "program": BOT,
    "person": [{"address": address} for address in (BOT, STAGE, *CUSTOMERS)],
    "mail": {"domains": ["yourco.test", "customer.test"]},
    "host": {"name": "shop.yourco.test"},
    "scenario": {
        "template-mailer": {
            "mails": str(EXAMPLES / "mails.toml"),
            "sender": f"YourCo <{BOT}>",
            "templates": str(EXAMPLES),
        }
    },
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings."""

    mails: ReadableFile
    sender: NamedAddress
    templates: Folder = Path("templates")
    deliver: Literal["smtp", "sendmail", "file", "test"] = "smtp"
    sendmail: NonEmpty[CommandLine] = ("/usr/sbin/sendmail",)
    folder: Path = Path("outgoing")
    redirect: MailAddress = ""
    preview: StateFile | None = None
    state: StateFile = Path("template-mailer.sqlite3")


def written(rules: Rules) -> list[Message]:
    """Returns the mails of the file, in their order. Raises SettingsError for any mistake."""
    templates, messages = Templates(rules.templates), []
    for row in rows(rules.mails):
        mail = templates.mail(row.template, row.values, row.language)
        message = Message(rules.sender, [row.to], mail.subject, mail.text, mail.html)
        # RFC 3834 §5: the mark keeps vacation programs from answering.
        message.add_header("Auto-Submitted", "auto-generated")
        for intercept in INTERCEPTORS:
            message = intercept(message, rules)
        messages.append(message)
    return messages


def redirected(message: Message, rules: Rules) -> Message:
    """Sends a mail to the stage's address instead, and says for whom it was."""
    if not rules.redirect:
        return message
    headers = [*message.headers, ("X-Original-To", ", ".join(message.to))]
    return replace(message, to=[rules.redirect], headers=headers)


def logged(result: Result, host: Host) -> None:
    """Logs what became of a mail."""
    level = "info" if result.status == "sent" else "warning"
    host.log(f"mail-{result.status}", level, to=result.address, trouble=result.error)


# What happens to every mail before it is queued, and after each attempt to send it.
INTERCEPTORS: list[Callable[[Message, Rules], Message]] = [redirected]
OBSERVERS: list[Callable[[Result, Host], None]] = [logged]
CODES = {"refused": 4, "given-up": 4, "unknown": 5}  # exit codes


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Sends the mails. Returns 0 if all were sent, 3 if some wait, 4 if refused, 5 if unknown."""
    rules = settings.table("template-mailer", Rules)
    messages = [message.stamped(clock, host) for message in written(rules)]
    if only_shown(messages, rules, settings, host):
        return 0
    connect = transport(rules, settings, clock, host)
    # Mails for the stage, or in a folder, are others; those that wait may go by sendmail, too.
    kind = f"{rules.redirect} {rules.deliver == 'file'}"
    digest = hashlib.sha256(rules.mails.read_bytes() + kind.encode()).hexdigest()
    queued, code = f"queued {digest}", 0
    with State(rules.state) as state:
        state.lock()
        outbox = Outbox(state)
        if not state.recall(queued):
            # The mails and the mark of their file commit together, so that a restart repeats none.
            with state.transaction() as db:
                state.remember(db, queued, True)
                for message in messages:
                    outbox.put(message, clock.time(), db=db)
        elif not outbox.waiting():
            host.say(f"{rules.mails.name} has been sent before")
        for _ in clock.every(30):
            for result in outbox.flush_by(connect, clock):
                for observe in OBSERVERS:
                    observe(result, host)
                code = max(code, CODES.get(result.status, 0))
            if not outbox.waiting():
                return code
    return code or 3


@scenario.act("template-mailer")
def mailer(world: World, program: Program) -> Iterator[Claim]:
    """Three customers are welcomed: in English, in German, and one whose name is HTML."""
    world.clock.until(600)
    code = program()
    mails = world.mail.messages
    subjects = {mail.envelope.to[0].partition("@")[0]: mail.subject for mail in mails}
    wanted = {
        "carol": "Welcome to YourCo, Carol",
        "dieter": "Willkommen bei YourCo, Dieter",
        "eve": "Welcome to YourCo, <script>alert(1)</script>",
    }
    yield equal("each customer gets one mail in their language", subjects, wanted, shows=mails)
    types = {tuple(part.get_content_type() for part in mail.message.walk()) for mail in mails}
    alternative = ("multipart/alternative", "text/plain", "text/html")
    yield equal("each mail has a text and HTML", types, {alternative}, shows=mails)
    eve = world.mail.inbox("eve@customer.test")
    escaped = [("<script>" in mail.text, "<script>" in mail.html) for mail in eve]
    yield equal("only HTML is escaped", escaped, [(True, False)], shows=eve)
    yield equal("the exit code is 0", code, 0)
