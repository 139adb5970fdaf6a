"""Further acts of many-networks: one network is down, one person on several, limits, a restart."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from scenarios.bots.many_networks import scenario
from scenarios.bots.many_networks_samples import (
    BOT,
    CHANNEL,
    JEREMY,
    MALLORY,
    ask_everywhere,
    heard_everywhere,
    mails,
    tries,
)
from scenarios.play import Claim, Program, equal, holds, told

if TYPE_CHECKING:
    from fakes import World

IRC = {"channels": [CHANNEL]}
RESTART = ("systemctl", "restart", "mariadb")
LONG = "".join(f"/dev/mapper/volume-{n:<3} 103081248  43% /srv/volume-{n}\n" for n in range(90))


@scenario.act("many-networks-down")
def down(world: World, program: Program) -> Iterator[Claim]:
    """AIM is down for two minutes, IRC loses its link, and Jeremy asks everywhere twice."""
    world.close_port("toc")
    ask_everywhere(world, "uptime", start=10, apart=5)
    world.clock.at(120, lambda: world.open_port("toc"))
    world.clock.at(200, lambda: world.cut("irc"))
    ask_everywhere(world, "uptime", start=300, apart=5)
    world.clock.until(400)
    code = program(irc=IRC)
    heard = heard_everywhere(world)
    counts = {place: len(found) for place, found in heard.items()}
    others = {place: count for place, count in counts.items() if place != "aim"}
    found = [*heard["jabber"], *heard["irc"], *heard["mail"]]
    wanted = dict.fromkeys(("jabber", "room", "irc", "mail"), 2)
    yield equal("the others answer while AIM is down", others, wanted, shows=found)
    yield equal("AIM answers when it is there again", counts["aim"], 1, shows=heard["aim"])
    away = told(world, "network-away network=aim")
    rarer = 3 <= len(away) <= 8
    yield holds("it is tried less and less often", rarer, len(away), shows=away)
    yield equal("the program has not ended", code, 0)


@scenario.act("many-networks-people")
def people(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy orders a restart on several networks, and others pretend to be him on each."""
    aim, jabber = world.aim.actor("SysAdmin"), world.jabber.actor(JEREMY)
    irc, mallory = world.irc.person("jeremy"), world.irc.person("mallory")
    irc.joins(CHANNEL)
    world.clock.at(10, lambda: world.aim.actor("SysAdmln").says("OpsBot", "restart"))
    world.clock.at(12, lambda: world.jabber.actor(MALLORY).says(BOT, "restart"))
    world.clock.at(14, lambda: tries(irc, "bot", "restart"))  # without a login
    world.clock.at(16, lambda: mallory.logs_in())
    world.clock.at(17, lambda: tries(mallory, "bot", "restart"))
    world.clock.at(18, lambda: mails(world, MALLORY, "restart"))
    world.clock.at(40, lambda: aim.says("OpsBot", "restart"))
    world.clock.at(60, lambda: jabber.says(BOT, "restart"))
    world.clock.at(70, lambda: irc.logs_in())
    world.clock.at(71, lambda: tries(irc, CHANNEL, "bot: restart"))
    world.clock.at(80, lambda: mails(world, JEREMY, "restart"))
    world.clock.until(120)
    program(irc=IRC)
    ran = world.host.ran
    yield equal("one order is run once, wherever it is repeated", ran, [RESTART], shows=ran)
    heard = heard_everywhere(world)
    asked = [stanza.body for stanza in heard["jabber"]]
    question = "not run yet: you ordered this 20 s ago (it is done); to restart again, send within"
    yield holds(
        "the second network knows of the first",
        asked and asked[0].startswith(question),
        asked,
        shows=heard["jabber"],
    )
    channel = [message.text for message in heard["irc"]]
    yield equal(
        "a channel is no place for it",
        channel,
        ["You may not restart here. You may say: uptime"],
        shows=heard["irc"],
    )
    refused = told(world, "refused")
    words = [event.text.split(" what=")[0].partition("who=")[2] for event in refused]
    wanted = ["sysadmln", MALLORY, "irc:jeremy", "mallory", MALLORY, "jeremy", JEREMY]
    yield equal("everybody who was not obeyed is logged", words, wanted, shows=refused)
    silent = len(mallory.hears) + len(world.aim.actor("SysAdmln").heard)
    yield equal("no stranger is answered", silent + len(world.mail.inbox(MALLORY)), 0)


@scenario.act("many-networks-limits")
def limits(world: World, program: Program) -> Iterator[Claim]:
    """The output is long, and each network has its own limits."""
    world.host.commands["uptime",].output = LONG
    ask_everywhere(world, "uptime", start=10)
    world.clock.until(200)
    program(irc=IRC)
    heard = heard_everywhere(world)
    rows = LONG.count("\n")
    aim = sum(im.text.count("/srv/") for im in heard["aim"])
    yield equal("AIM gets every line, in several messages", aim, rows, shows=heard["aim"])
    jabber = [stanza.body.count("/srv/") for stanza in heard["jabber"]]
    yield equal("Jabber gets every line in one message", jabber, [rows], shows=heard["jabber"])
    mail = ["/srv/volume-89" in mail.text for mail in heard["mail"]]
    yield equal("a mail has the end of it", mail, [True], shows=heard["mail"])
    first, *others = heard["irc"]
    spared = (first.target, first.text)
    wanted = (CHANNEL, "jeremy: that is long; I send it to you alone")
    yield equal("the channel is spared", spared, wanted, shows=first)
    counts = {one.target: len(others) for one in others}
    yield equal("IRC gets eight lines", counts, {"jeremy": 8}, shows=others)


@scenario.act("many-networks-restart")
def restart(world: World, program: Program) -> Iterator[Claim]:
    """The program ends while a network is down, and is started again."""
    aim, jabber = world.aim.actor("SysAdmin"), world.jabber.actor(JEREMY)
    world.host.commands[RESTART].takes = 10
    world.clock.at(10, lambda: aim.says("OpsBot", "restart"))
    world.clock.at(15, lambda: world.cut("toc"))
    world.clock.at(15, lambda: world.close_port("toc"))
    world.clock.until(60)
    program(irc=IRC)
    world.open_port("toc")
    world.clock.at(world.clock.elapsed + 20, partial(jabber.says, BOT, "restart"))
    world.clock.until(world.clock.elapsed + 60)
    program(irc=IRC)
    ran = world.host.ran
    yield equal("the command has run once", ran, [RESTART], shows=ran)
    texts = [im.text for im in aim.heard]
    yield equal(
        "its answer comes after the restart", texts, ["restart: mariadb: restart"], shows=aim.heard
    )
    asked = [one.body.partition(";")[0] for one in heard_everywhere(world)["jabber"]]
    known = [text.endswith("(it is done)") for text in asked]
    yield equal(
        "what was ordered before is known", known, [True], heard_everywhere(world)["jabber"]
    )
