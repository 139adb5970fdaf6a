"""Send a mail by SMTP, written by hand on a socket.

Section 6.1.1 · SMTP · try: make scenario NAME=smtp-by-socket

A page to learn SMTP from: no library speaks it here. Commands and replies are lines of bytes, which
smtp_by_socket_dialogue.py reads and writes. The first digit of a reply says how to go on: 2 done,
3 go on, 4 not now, 5 never. If any step is refused, nobody gets the mail: the program says QUIT and
reports the step. It does not log in.

[scenario.smtp-by-socket]
sender = "student@yourco.test"       # required
to = ["teacher@yourco.test"]         # required
subject = "Written by hand"
text = "Hello, by hand."
show = true                          # print the dialogue
pipelining = false                   # MAIL and all RCPT in one write, if the server offers that

Fault: EHLO split 1 -> all hold
Fault: QUIT hang up before -> all hold
Fault: smtp-552 -> breaks the mail arrives byte for byte, the program reports that it is sent,
    each refusal is reported with its step, each reply is read as that to its command,
    single bytes are put together, HELO is enough,
    a connection that is lost after the dot is reported
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.compose import Message
from comms.errors import Refused, Unknown, Unreachable
from comms.host import Host
from comms.link import Link
from comms.setting_types import Line, MailAddress, NonEmpty
from comms.settings import Server, Settings
from scenarios.play import Claim, Program, Scenario, equal, holds, sent
from scenarios.sending.smtp_by_socket_dialogue import GO_ON, Dialogue, Reply, offers, start_tls

if TYPE_CHECKING:
    from fakes import World

STUDENT, TEACHER, FRIEND = "student@yourco.test", "teacher@yourco.test", "friend@yourco.test"
TEXT = "Dear teacher,\n.\n..this line begins with dots, and the one before is a dot.\n"
WORLD: dict[str, Any] = {
    "servers": ["smtp"],
    "person": [{"address": address} for address in (STUDENT, TEACHER, FRIEND)],
    "host": {"name": "desk.yourco.test"},
    "off": {"smtp": ["DSN", "CHUNKING", "BINARYMIME", "SMTPUTF8", "EXPN", "HELP"]},
    "scenario": {"smtp-by-socket": {"sender": STUDENT, "to": [TEACHER, FRIEND], "text": TEXT}},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings."""

    sender: MailAddress
    to: NonEmpty[tuple[MailAddress, ...]]
    subject: Line = "Written by hand"
    text: str = "Hello, by hand."
    show: bool = True
    pipelining: bool = False


def hello(dialogue: Dialogue, name: str) -> Reply:
    """Says EHLO, or HELO to a server that is older than EHLO (RFC 5321 §4.1.1.1)."""
    try:
        return dialogue.ask(f"EHLO {name}")
    except Refused:
        return dialogue.ask(f"HELO {name}")


def opened(dialogue: Dialogue, link: Link, server: Server, name: str) -> Reply:
    """Reads the greeting, greets, and starts TLS. Returns the last reply to EHLO."""
    if server.tls == "implicit":
        start_tls(dialogue, link, server)
    dialogue.reply("the greeting")
    features = hello(dialogue, name)
    if server.tls != "starttls":
        return features
    start_tls(dialogue, link, server, offers(features, "STARTTLS"))
    return hello(dialogue, name)  # RFC 3207 §4.2: what was offered in clear text is forgotten


def send(dialogue: Dialogue, features: Reply, mail: Message, at_once: bool) -> Reply:
    """Sends a mail, from MAIL to the dot. Raises Refused, TryLater or OSError."""
    sender, recipients = mail.envelope()
    envelope = [f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{address}>" for address in recipients)]
    if at_once and offers(features, "PIPELINING"):
        dialogue.ask(*envelope)
    else:
        for command in envelope:
            dialogue.ask(command)
    dialogue.ask("DATA", wanted=GO_ON)
    return dialogue.send_mail(mail.to_bytes())


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Sends the mail, and returns 0. Raises Refused, TryLater, Unreachable or Unknown."""
    rules, server = settings.table("smtp-by-socket", Rules), settings.server("smtp")
    mail = Message(rules.sender, list(rules.to), rules.subject, rules.text).stamped(clock, host)
    # A socket of the standard library, with timeouts on the program's clock.
    link = Link.connect(server.host, server.port, clock, server.timeout)
    dialogue = Dialogue(link, host.say if rules.show else lambda line: None)
    try:
        features = opened(dialogue, link, server, host.name)
        reply = send(dialogue, features, mail, rules.pipelining)
    except OSError as error:
        dialogue.open = False
        # After the dot, the server may have accepted the mail or not.
        kind = Unknown if dialogue.step == "." else Unreachable
        raise kind(f"{dialogue.step}: {error}") from None
    finally:
        dialogue.quit()
        link.close()
    host.say(f"sent: {reply}")
    return 0


@scenario.act("smtp-by-socket")
def by_hand(world: World, program: Program) -> Iterator[Claim]:
    """A mail with lines of dots is sent to two people, and the dialogue printed."""
    code = program()
    proof = sent(world, "EHLO", "MAIL", "RCPT", "DATA", "QUIT")
    wanted = ["EHLO desk.yourco.test", f"MAIL FROM:<{STUDENT}>", f"RCPT TO:<{TEACHER}>"]
    wanted += [f"RCPT TO:<{FRIEND}>", "DATA", "QUIT"]
    yield equal(
        "the commands are these bytes",
        b"".join(record.raw for record in proof),
        "".join(f"{line}\r\n" for line in wanted).encode(),
        shows=proof,
    )
    several = [line for line in world.said if line.startswith("S: 250-")]
    yield holds("every line of a reply is read", len(several) > 2, several, shows=several)
    content = b"".join(record.raw for record in sent(world, ".")).split(b"\r\n")
    yield equal(
        "a line that begins with a dot gets another one",
        [line for line in content if line.startswith(b".")],
        [b"..", b"...this line begins with dots, and the one before is a dot.", b"."],
        shows=sent(world, "."),
    )
    yield equal(
        "the mail arrives byte for byte",
        [mail.raw.partition(b"\r\n\r\n")[2] for mail in world.mail.messages],
        [TEXT.replace("\n", "\r\n").encode()],
        shows=world.mail.messages,
    )
    last = [line[:9] for line in world.said[-1:]]
    yield equal(
        "the program reports that it is sent",
        (code, last),
        (0, ["sent: 250"]),
        shows=world.said[-1:],
    )
