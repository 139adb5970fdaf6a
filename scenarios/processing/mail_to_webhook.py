"""Turn mail into HTTP requests, so that a web application can receive it.

Section 6.1.3 · POP3, IMAP, HTTP · try: make scenario NAME=mail-to-webhook
Needs: sqlalchemy

The program collects the mail of a whole domain. A mail to my_token_1234@hooks.yourco.test is posted
to the address that is mapped to it, with ?token=my_token&hash=1234 and the mail as a form with
files. It is stored first, then deleted from the maildrop, then posted until it is accepted: at
least once, each time as the same event. What is refused, or has no mapping, waits as a dead letter.

[scenario.mail-to-webhook]
map = { "*@hooks.yourco.test" = "https://app.yourco.test/in" }  # required: recipient to URL
recipients = ["x-original-to", "delivered-to", "to"]  # where they are looked for; also cc, body
mailbox = "imap"                              # optional: or "pop3"; else the one with a table
secret = "whsec_YXQgbGVhc3QgMjQgYnl0ZXMsIHJhbmRvbQ=="  # optional: signs requests
ca_file = "ca.pem"                            # optional: of an authority of your own
allow = ["10.1.0.0/16"]                       # optional: private networks that are posted to
redirects = 3                                 # at most, and only to the same server
retry = [600, 900, 1800, 3600, 7200, 14400]   # seconds before each further attempt
timeout = 30                                  # seconds for an answer, or a command
largest = 25000000                            # bytes of a mail
before = ["spamc", "-c"]                      # optional: reads a mail, drops it by exit status 1
after = ["logger"]                            # optional: reads what became of a mail, as JSON
poll = 30                                     # seconds
database = "sqlite:///mail-to-webhook.sqlite3"  # or postgresql+psycopg://…
dry_run = false                               # say what would be posted; leave the mail there
replay = ["all"]                              # optional: events of dead letters to try again

Fault: pop-drop-before-quit -> all hold
Fault: pop-dele-err -> all hold
Fault: pop-uidl-reused -> all hold
Fault: http-lost -> all hold
Fault: http-503 -> breaks it is accepted once
Fault: http-429 -> breaks it is accepted once
Fault: http-timeout -> breaks the pauses grow
Fault: clock-jump -> all hold

What a filter that calls curl does instead: while the application is down, mail is lost, or posted
twice and nobody can tell; and a redirect can make it ask any machine of its own network.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from comms import replies
from comms.clock import Clock
from comms.host import Host
from comms.http import Url
from comms.read import Mail
from comms.setting_types import (
    Certificates,
    Check,
    CommandLine,
    Count,
    CountOrZero,
    Line,
    MailProtocol,
    Network,
    NonEmpty,
    Seconds,
    Timeout,
    WebAddress,
)
from comms.settings import Settings
from comms.webhook import secret_problem
from scenarios.models import DatabaseUrl, Tries, working
from scenarios.play import Claim, Program, Scenario, equal
from scenarios.processing.mail_to_webhook_desk import Desk, rehearse
from scenarios.processing.mail_to_webhook_model import Base, Post, Try
from scenarios.processing.mail_to_webhook_samples import (
    APP,
    BOX,
    FORM,
    HOOK,
    SECRET,
    accepted,
    mail,
    verified,
)

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = {
    "servers": ["pop3", "webhook", "smtp"],
    "program": BOX,
    "person": [{"address": BOX}],
    "mail": {"trap": True},
    "webhook": {"hosts": [APP]},
    "host": {"name": "mx.yourco.test"},
    "scenario": {
        "mail-to-webhook": {
            "map": {"*@hooks.yourco.test": f"http://{APP}/in"},
            "secret": SECRET,
            "allow": ["127.0.0.1"],
        }
    },
}
scenario = Scenario(WORLD, counts={"posts": lambda world: len(world.webhook.all)})

Place = Literal["x-original-to", "delivered-to", "to", "cc", "body"]
Secret = Annotated[str, Check(secret_problem, '"whsec_" and 32 bytes in base64')]
_ADDRESS = re.compile(r"[^\s<>()\[\]\"',;:@]{1,64}@[A-Za-z0-9.-]{1,255}")


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The settings. Times are in seconds."""

    map: NonEmpty[dict[NonEmpty[Line], WebAddress]]
    recipients: NonEmpty[tuple[Place, ...]] = ("x-original-to", "delivered-to", "to")
    mailbox: MailProtocol = None
    secret: Secret = field(default="", repr=False)
    ca_file: Certificates | None = None
    allow: tuple[Network, ...] = ()
    redirects: CountOrZero = 3
    retry: tuple[Seconds, ...] = (600, 900, 1800, 3600, 7200, 14400)
    timeout: Timeout = 30
    largest: Count = 25_000_000
    before: CommandLine = ()
    after: CommandLine = ()
    poll: Seconds = 30
    database: DatabaseUrl = "sqlite:///mail-to-webhook.sqlite3"
    dry_run: bool = False
    replay: tuple[Line, ...] = ()


class Request(NamedTuple):
    """What a mail leads to: a recipient, and the address that the mail is posted to."""

    recipient: str
    url: Url


def mapped(rules: Rules, address: str) -> Url | None:
    """Returns where mail to an address is posted: exact, or by the longest pattern with *."""
    for pattern in sorted(rules.map, key=lambda one: ("*" in one, -len(one.replace("*", "")))):
        parts = map(re.escape, pattern.split("*"))
        if re.fullmatch(".*".join(parts), address, re.I):
            return Url.parse(rules.map[pattern]).with_query(token_and_hash(address))
    return None


def token_and_hash(address: str) -> dict[str, str]:
    """Splits my_token_1234@… at the last underscore. Case means nothing: servers may change it."""
    name = address.rpartition("@")[0].lower()
    token, _, hash = name.rpartition("_")
    return {"token": token, "hash": hash} if token and hash else {"token": name}


def requests(rules: Rules, mail: Mail) -> list[Request]:
    """Returns a request for each recipient that is mapped, from the first place that has any."""
    for place in rules.recipients:
        found = {address.lower(): mapped(rules, address) for address in _addresses(mail, place)}
        if wanted := [Request(to, url) for to, url in found.items() if url is not None]:
            return wanted
    return []


def _addresses(mail: Mail, place: Place) -> list[str]:
    if place in ("to", "cc"):
        return [address.address for address in (mail.to if place == "to" else mail.cc)]
    if place == "body":
        return _ADDRESS.findall(mail.text)
    # Only what our own server has added: the sender could have written the rest.
    return [value.strip(" <>") for value in replies.added_by_our_server(mail, place)]


def verdict(status: int) -> str:
    """Returns what an answer makes of a mail: posted, dropped, waiting or dead."""
    if 200 <= status < 300:
        return "posted"
    if status == 406:
        return "dropped"  # the application does not want this mail
    return "waiting" if status >= 500 or status in (408, 425, 429) else "dead"


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Posts mail until stopped. Returns 1 if any has become a dead letter. Raises CommsError."""
    rules = settings.table("mail-to-webhook", Rules)
    if rules.dry_run:
        return rehearse(rules, settings, clock, host, requests)
    code = 0
    with working(rules.database, settings.path, Base.metadata) as worker:
        desk = Desk(rules, settings, clock, host, worker, requests, verdict)
        desk.replay()
        for _ in clock.every(rules.poll):
            # A worker that died may have posted a mail or not. It is posted again.
            worker.recover(Post, "waiting")
            code = desk.collect(Tries(worker.engine, Try))
            desk.deliver()
    return code or (1 if desk.died else 0)


@scenario.act("mail-to-webhook")
def posted(world: World, program: Program) -> Iterator[Claim]:
    """A customer writes to a token's address; her mail has HTML and a file."""
    world.clock.at(10, lambda: world.mail.deliver(HOOK, mail(html="<b>Hi</b>", file=b"\x00\xff")))
    world.clock.until(1800)
    program()
    posts = accepted(world)
    yield equal("the mail is posted, as one event", len(posts), 1, shows=posts)
    for post in posts[:1]:
        query = {"token": "my_token", "hash": "1234"}
        yield equal("token and hash are in the query", post.query, query, shows=post)
        fields = {name: values for name, values in post.form.items() if name != "headers"}
        yield equal("the form has the mail's parts", fields, FORM, shows=post)
        files = [(file.name, file.content) for file in post.files]
        yield equal("and its file, byte for byte", files, [("a.bin", b"\x00\xff")], shows=post)
        yield equal("the signature is right", verified(post), True, shows=post)
    yield equal("the maildrop is empty", world.mail.inbox(BOX), [])
