"""Further acts of many-networks: one network is down, one person on several, limits, a restart."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from scenarios.bots.many_networks import scenario
from scenarios.bots.many_networks_samples import (
    BOT,
    CHANNEL,
    INBOX,
    JEREMY,
    MALLORY,
    ask_on_some,
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


@scenario.act("many-networks-down", servers=["toc", "xmpp", "irc"])
def down(world: World, program: Program) -> Iterator[Claim]:
    """AIM is down for two minutes, IRC loses its link, and Jeremy asks twice on each."""
    world.close_port("toc")
    ask_on_some(world, "uptime", start=10)
    world.clock.at(120, lambda: world.open_port("toc"))
    world.clock.at(200, lambda: world.cut("irc"))
    ask_on_some(world, "uptime", start=300)
    world.clock.until(400)
    code = program(irc=IRC)
    heard = heard_everywhere(world)
    counts = (len(heard["jabber"]), len(heard["irc"]))
    found = [*heard["jabber"], *heard["irc"]]
    yield equal("the others answer while AIM is down", counts, (2, 2), shows=found)
    yield equal("AIM answers when it is there again", len(heard["aim"]), 1, shows=heard["aim"])
    away = told(world, "network-away network=aim")
    rarer = 3 <= len(away) <= 8
    yield holds("it is tried less and less often", rarer, len(away), shows=away)
    yield equal("the program has not ended", code, 0)


@scenario.act("many-networks-people", scenario={"many-networks": {"inbox": INBOX}})
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
    wanted = ["sysadmln", MALLORY, "irc:jeremy", "mallory", MALLORY, "jeremy"]
    yield equal("everybody who was not obeyed is logged", words, wanted, shows=refused)
    answers = world.mail.inbox(JEREMY)
    yield holds(
        "by mail, Jeremy is told that he may not restart there",
        len(answers) == 1 and "may not" in answers[0].text,
        [mail.text for mail in answers],
        shows=answers,
    )
    silent = len(mallory.hears) + len(world.aim.actor("SysAdmln").heard)
    yield equal("no stranger is answered", silent + len(world.mail.inbox(MALLORY)), 0)


@scenario.act("many-networks-limits", servers=["toc", "xmpp", "irc"])
def limits(world: World, program: Program) -> Iterator[Claim]:
    """The output is long, and each network has its own limits."""
    world.host.commands["uptime",].output = LONG
    ask_on_some(world, "uptime", start=10)
    world.clock.until(200)
    program(irc=IRC)
    heard = heard_everywhere(world)
    rows = LONG.count("\n")
    aim = sum(im.text.count("/srv/") for im in heard["aim"])
    yield equal("AIM gets every line, in several messages", aim, rows, shows=heard["aim"])
    jabber = [stanza.body.count("/srv/") for stanza in heard["jabber"]]
    yield equal("Jabber gets every line in one message", jabber, [rows], shows=heard["jabber"])
    first, others = heard["irc"][:1], heard["irc"][1:]
    spared = [(one.target, one.text) for one in first]
    wanted = [(CHANNEL, "jeremy: that is long; I send it to you alone")]
    yield equal("the channel is spared", spared, wanted, shows=first)
    counts = {one.target: len(others) for one in others}
    yield equal("IRC gets eight lines", counts, {"jeremy": 8}, shows=others)


@scenario.act("many-networks-restart", servers=["toc", "xmpp"])
def restart(world: World, program: Program) -> Iterator[Claim]:
    """The program ends while a network is down, and is started again."""
    aim, jabber = world.aim.actor("SysAdmin"), world.jabber.actor(JEREMY)
    world.host.commands[RESTART].takes = 10
    world.clock.at(10, lambda: aim.says("OpsBot", "restart"))
    world.clock.at(15, lambda: world.cut("toc"))
    world.clock.at(15, lambda: world.close_port("toc"))
    world.clock.until(60)
    program()
    world.open_port("toc")
    world.clock.at(world.clock.elapsed + 20, partial(jabber.says, BOT, "restart"))
    world.clock.until(world.clock.elapsed + 60)
    program()
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


@scenario.act("many-networks-refused", servers=["toc", "irc"], off={"irc": ["sasl"]})
def refused(world: World, program: Program) -> Iterator[Claim]:
    """IRC offers no login, so that everybody could be the bot there; AIM goes on."""
    aim = world.aim.actor("SysAdmin")
    world.clock.at(10, lambda: aim.says("OpsBot", "uptime"))
    world.clock.until(600)
    code = program(irc=IRC)
    tries = [record for record in world.records if record.verb == "connects"]
    irc = [record for record in tries if record.protocol == "irc"]
    yield equal("it is not tried again", len(irc), 1, shows=irc)
    logged = told(world, "network-refused network=irc")
    yield equal("it is logged", len(logged), 1, shows=logged)
    yield equal("AIM goes on", (len(aim.heard), code), (1, 0), shows=aim.heard)
