"""Let Jabber users talk to AIM: a gateway that is a component of the Jabber server.

Section 6.2.2 · XMPP, TOC · try: make scenario NAME=aim-gateway

A user registers a screen name with the gateway (XEP-0100). From then on the gateway signs on to AIM
when the user comes online, shows the buddies as contacts such as `joe@aim.yourco.test`, with their
status, and carries messages both ways. What cannot be carried comes back as an error. A user who
unregisters is forgotten, password and all. Only accounts of the named domains may register: a
gateway that is open to everybody is abused.

[scenario.aim-gateway]
domains = ["yourco.test"]            # required: whose users may register
poll = 1                             # seconds
state = "aim-gateway.sqlite3"        # it holds the passwords of AIM, so that only we may read it

`[component]` is the Jabber server, `[toc]` is AIM; the account in `[toc]` is not used.

Fault: component message split 1 -> all hold
Fault: component presence split 3 -> all hold
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.clock import Clock
from comms.host import Host
from comms.setting_types import HostName, NonEmpty, Seconds, StateFile
from comms.settings import Settings
from comms.state import State
from comms.xmpp.component import Component
from scenarios.jabber.aim_gateway_desk import Desk
from scenarios.jabber.aim_gateway_samples import registers
from scenarios.play import Claim, Program, Scenario, equal

if TYPE_CHECKING:
    from fakes import World

GATE, ROMEO, MALLORY = "aim.yourco.test", "romeo@yourco.test", "mallory@elsewhere.test"
JULIET = "juliet@aim.yourco.test"
WORLD: dict[str, Any] = {
    "servers": ["xmpp", "component", "toc"],
    "person": [{"address": ROMEO}, {"address": MALLORY}],
    "xmpp": {"domains": ["yourco.test", "elsewhere.test"], "components": {GATE: "of-the-gateway"}},
    "aim": [
        {"screen_name": "Romeo My Romeo", "buddies": {"Friends": ["Juliet", "Nurse"]}},
        {"screen_name": "Juliet"},
        {"screen_name": "Nurse"},
        {"screen_name": "Tybalt"},
    ],
    "scenario": {"aim-gateway": {"domains": ["yourco.test"]}},
}
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    domains: NonEmpty[tuple[HostName, ...]]
    poll: Seconds = 1
    state: StateFile = Path("aim-gateway.sqlite3")


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Carries messages until stopped. Raises CommsError."""
    rules = settings.table("aim-gateway", Rules)
    aim, server = settings.server("toc"), settings.server("component")
    with State(rules.state) as state:
        state.lock()
        desk = Desk(state, aim, rules.domains, clock, host)
        with Component(server, clock, host, desk.handle, desk.greet) as component:
            desk.component = component
            try:
                for _ in clock.every(rules.poll):
                    component.look()
                    desk.tick()
            finally:
                desk.close()
    return 0


@scenario.act("aim-gateway")
def gateway(world: World, program: Program) -> Iterator[Claim]:
    """Romeo registers, sees who is there, and talks to Juliet, who is on AIM."""
    romeo, juliet = world.jabber.actor(ROMEO), world.aim.actor("Juliet")
    romeo.comes()
    juliet.signs_on()
    world.clock.at(10, lambda: registers(romeo, "Romeo My Romeo", "secret"))
    world.clock.at(12, lambda: romeo.accepts(GATE))
    world.clock.at(13, lambda: romeo.asks(GATE))
    world.clock.at(20, lambda: romeo.says(JULIET, "Art <thou> there?"))
    world.clock.at(30, lambda: juliet.says("romeomyromeo", "<b>Ay</b> me!"))
    world.clock.at(40, juliet.goes_away)
    world.clock.at(50, lambda: romeo.goes())
    world.clock.until(60)
    code = program()
    results = [one for one in romeo.all if one.kind == "iq" and one.type == "result"]
    yield equal("the registration succeeds", len(results), 1, shows=results)
    asked = [stanza for stanza in romeo.all if stanza.type == "subscribe"]
    names = [stanza.sender for stanza in asked]
    wanted = [GATE, "juliet@aim.yourco.test", "nurse@aim.yourco.test"]
    yield equal("the gateway and the buddies appear", names, wanted, shows=asked)
    shown = [one for one in romeo.all if one.kind == "presence" and one.sender == JULIET]
    found = [stanza.type or stanza.child_text("show") or "available" for stanza in shown]
    statuses = ["subscribe", "available", "away"]
    yield equal("a buddy's status is shown", found, statuses, shows=shown)
    ims = [im.text for im in juliet.heard]
    yield equal("a message reaches AIM", ims, ["Art &lt;thou&gt; there?"], shows=juliet.heard)
    chats = [stanza for stanza in romeo.messages if stanza.type == "chat"]
    heard = [(stanza.sender, stanza.body) for stanza in chats]
    yield equal("an IM reaches Jabber", heard, [(JULIET, "Ay me!")], shows=chats)
    online = "romeomyromeo" in [name.replace(" ", "").lower() for name in world.aim.online]
    yield equal(
        "who goes offline is signed off; the program exits with 0", (online, code), (False, 0)
    )
