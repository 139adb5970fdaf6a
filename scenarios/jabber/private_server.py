"""Check that a private Jabber server keeps what it promises, and tell the team.

Section 6.2.2 · XMPP · try: make scenario NAME=private-server
Needs: trustme

A company's own server is worth its work if it is private: every connection is encrypted, accounts
are opened by an administrator, and no other server is linked. The program logs in as a bot and
tries each of these. It never sends a password to a server that it cannot trust: one without TLS,
or with the certificate of another server. What is wrong, it prints and sends to the team, and the
server keeps that for those who are away.

[scenario.private-server]
team = ["jeremy@yourco.test"]        # required: who is told
outside = "probe@elsewhere.test"     # an address at a domain that must not be reached
unknown = "no-such-user"             # a name that nobody has here
report = "broken"                    # or "always": the team is told even if nothing is wrong

Fault: xmpp iq split 3 -> all hold
Fault: xmpp-delayed -> all hold
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from xml.etree.ElementTree import SubElement

from comms.clock import Clock
from comms.errors import CommsError, Refused
from comms.host import Host
from comms.setting_types import JabberAddress, NonEmpty
from comms.settings import Settings
from comms.xmpp import Client, Jid, Message, stanzas
from scenarios.play import Claim, Program, Scenario, equal, sent

if TYPE_CHECKING:
    from fakes import World

INFO = "http://jabber.org/protocol/disco#info"
REGISTER = "jabber:iq:register"
# How servers say that they have no way to another domain, or none that is allowed.
CLOSED = re.compile(r"\b(remote-server-not-found|not-allowed)\b")
PATIENCE, LOOK = 5.0, 0.2  # seconds
STORES = "msgoffline"  # XEP-0160 §4: messages for those who are away are kept

BOT, JEREMY, MICHAEL = "bot@yourco.test", "jeremy@yourco.test", "michael@yourco.test"
WORLD: dict[str, Any] = {
    "servers": ["xmpp"],
    "program": BOT,
    "tls": "required",
    "person": [{"address": address} for address in (BOT, JEREMY, MICHAEL)],
    "scenario": {"private-server": {"team": [JEREMY, MICHAEL]}},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings."""

    team: NonEmpty[tuple[JabberAddress, ...]]
    outside: JabberAddress = "probe@elsewhere.test"
    unknown: NonEmpty[str] = "no-such-user"
    report: Literal["broken", "always"] = "broken"


def refusal(jabber: Client, address: str) -> str:
    """Returns the text of the error with which a ping to an address fails; "" if it is answered."""
    query = stanzas.iq("get", to=Jid.parse(address))
    SubElement(query, f"{{{stanzas.PING}}}ping")
    try:
        jabber.request(query)
    except CommsError as error:
        return str(error)
    return ""


def features(jabber: Client) -> set[str]:
    """Returns what the server says that it can do (XEP-0030)."""
    query = stanzas.iq("get", to=Jid("", jabber.jid.domain))
    SubElement(query, f"{{{INFO}}}query")
    answer = jabber.request(query)
    return {one.get("var", "") for one in answer.iter(f"{{{INFO}}}feature")}


def comes_back(jabber: Client, clock: Clock, address: Jid) -> bool:
    """Whether a message to an address is returned as an error, within `PATIENCE` seconds."""
    returned: list[Message] = []
    jabber.on_error(returned.append)
    jabber.send(stanzas.message(address, "Is anybody here?", "chat"))
    deadline = clock.time() + PATIENCE
    while not returned and clock.time() < deadline:
        jabber.wait(clock.time() + LOOK)
    return any(message.sender == address for message in returned)


def promises(jabber: Client, clock: Clock, rules: Rules) -> Iterator[tuple[str, bool]]:
    """Tries each promise; yields what it is, and whether it is kept. Raises CommsError."""
    can = features(jabber)
    yield "strangers cannot open accounts", REGISTER not in can
    # A ping would not do: many servers answer it for an account, whether it exists or not.
    nobody = Jid(rules.unknown, jabber.jid.domain)
    yield "a message to nobody comes back", comes_back(jabber, clock, nobody)
    yield "no other server is reached", CLOSED.search(refusal(jabber, rules.outside)) is not None
    yield "messages for those who are away are kept", STORES in can


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Returns 0 if every promise is kept, else 1. Raises CommsError if it may not log in."""
    rules = settings.table("private-server", Rules)
    server = settings.server("xmpp")
    if server.tls == "none":
        raise Refused('xmpp: the connection would not be encrypted; write tls = "starttls"')
    with Client(server, clock, host) as jabber:
        found = [("the connection is encrypted", True), *promises(jabber, clock, rules)]
        for promise, kept in found:
            host.say(f"{'kept' if kept else 'BROKEN'}: {promise}")
        broken = [promise for promise, kept in found if not kept]
        if broken or rules.report == "always":
            text = f"Broken: {'; '.join(broken)}." if broken else "Every promise is kept."
            for address in rules.team:
                jabber.send(stanzas.message(Jid.parse(address), text, "normal"))
    return 1 if broken else 0


@scenario.act(
    "private-jabber-server",
    book=False,
    scenario={"private-server": {"report": "always"}},
)
def kept(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy is online, Michael is away and comes later."""
    jeremy, michael = map(world.jabber.actor, (JEREMY, MICHAEL))
    jeremy.comes()
    code = program()
    lines = [line for line in world.said if line.startswith("kept: ")]
    yield equal("every promise is kept", (code, len(lines)), (0, 5), shows=lines)
    michael.comes()
    told = [[one.body for one in person.messages] for person in (jeremy, michael)]
    yield equal(
        "the team is told at once, or later",
        told,
        [["Every promise is kept."]] * 2,
        shows=[*jeremy.messages],
    )
    delayed = [one.delayed for one in michael.messages]
    yield equal(
        "a stored message says when it was sent", delayed, [True], shows=sent(world, "message")[-1:]
    )
