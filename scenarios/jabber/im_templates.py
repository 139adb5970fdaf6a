"""Send instant messages that are written from templates, over Jabber and AIM.

Section 6.2.2 · XMPP, TOC · try: make scenario NAME=im-templates
Needs: jinja2

All messages of a file are written before the first one is sent, so that a missing value stops them
all. Over Jabber a message has a text and, if there is a template for it, the same as XHTML-IM
(XEP-0071); over AIM it is the text. Each is sent once, even if the program is killed: what may have
been sent is not sent again, and is reported. Where one messenger is down, the other one is used.

[scenario.im-templates]
messages = "messages.toml"           # required: to whom, with which template and values
templates = "templates"              # a folder: NAME.txt, NAME.html, NAME.de.txt
deliver = "send"                     # or test, which only says what it would send
wait = 5                             # seconds in which messages may come back
state = "im-templates.sqlite3"

Fault: xmpp message split 1 -> all hold
Fault: xmpp iq split 3 -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from comms.clock import Clock
from comms.errors import CommsError
from comms.host import Host
from comms.setting_types import Folder, ReadableFile, SecondsOrZero, StateFile
from comms.settings import Settings
from comms.state import State
from scenarios.jabber.im_templates_desk import MESSENGERS, Book, Written, xhtml
from scenarios.jabber.im_templates_input import rows
from scenarios.play import Claim, Program, Scenario, equal
from scenarios.templates import Templates

if TYPE_CHECKING:
    from fakes import World

BOT, CAROL = "shop@yourco.test", "carol@customer.test"
DIETER = "DieterShop"
EXAMPLES = Path(__file__).parent / "templates"
WORLD: dict[str, Any] = {
    "servers": ["xmpp", "toc"],
    "program": BOT,
    "person": [{"address": BOT}, {"address": CAROL}],
    "aim": [{"screen_name": "YourCoShop"}, {"screen_name": DIETER}],
    "scenario": {
        "im-templates": {
            "messages": str(EXAMPLES / "messages.toml"),
            "templates": str(EXAMPLES),
        }
    },
}
scenario = Scenario(WORLD)
CODES = {"sent": 0, "failed": 4, "unknown": 5}


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    messages: ReadableFile
    templates: Folder = Path("templates")
    deliver: Literal["send", "test"] = "send"
    wait: SecondsOrZero = 5
    state: StateFile = Path("im-templates.sqlite3")


def written(rules: Rules) -> list[Written]:
    """Returns all messages of the file. Raises SettingsError for any mistake."""
    templates, found = Templates(rules.templates), []
    for row in rows(rules.messages):
        mail = templates.mail(row.template, row.values, row.language)
        rich = xhtml(mail.html) if mail.html is not None else None
        found.append(Written(row.network, row.to, mail.subject, mail.text.strip(), rich))
    return found


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Sends what was not sent before. Returns 0, 4 if some failed, 5 if that is unknown."""
    rules = settings.table("im-templates", Rules)
    messages = written(rules)
    if rules.deliver == "test":
        for message in messages:
            host.say(f"would send to {message.network}:{message.to}: {message.text}")
        return 0
    with State(rules.state) as state:
        state.lock()
        book = Book(state, messages)
        for network, open_messenger in MESSENGERS.items():
            mine = [message for message in messages if message.network == network]
            due = [message for message in mine if book.is_new(message)]
            if not due:
                continue
            try:
                with open_messenger(settings, clock, host) as messenger:
                    for message in due:
                        book.send(message, messenger)
                    for to, error in messenger.returned(rules.wait):
                        book.came_back(network, to, error)
            except CommsError as error:
                host.log("messenger-down", "warning", network=network, trouble=error)
        results = {message: book.status(message) for message in messages}
        for message, (status, trouble) in results.items():
            level = "info" if status == "sent" else "warning"
            to = f"{message.network}:{message.to}"
            host.log(f"message-{status}", level, to=to, trouble=trouble)
    return max(CODES.get(status, 4) for status, _ in results.values())


@scenario.act("im-templates")
def templates(world: World, program: Program) -> Iterator[Claim]:
    """Carol is told by Jabber and Dieter by AIM that their orders are on their way."""
    carol, dieter = world.jabber.actor(CAROL), world.aim.actor("DieterShop")
    carol.comes()
    dieter.signs_on()
    codes = [program(), program()]
    text = "Hello Carol & Co, your order 7 was shipped today.\nYour parcel: P-77"
    heard = [(stanza.subject, stanza.body) for stanza in carol.messages]
    wanted = [("Order 7 is on its way", text)]
    yield equal("a template becomes a message of Jabber", heard, wanted, shows=carol.messages)
    tag = "{http://jabber.org/protocol/xhtml-im}html"
    rich = [found for stanza in carol.messages for found in stanza.element.iter(tag)]
    words = "".join(text for found in rich for text in found.itertext())
    wanted_words = "Hello Carol & Co, your order 7 was shipped today. Your parcel: P-77"
    found = " ".join(words.split())
    yield equal("it has the same as XHTML", found, wanted_words, shows=carol.messages)
    ims = [im.text for im in dieter.heard]
    plain = "Hello Dieter, your order 8 was shipped today.<br>Your parcel: P-88"
    yield equal("and a message of AIM", ims, [plain], shows=dieter.heard)
    yield equal("nothing is sent twice: both runs exit with 0", codes, [0, 0])
