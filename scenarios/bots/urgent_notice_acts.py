"""Further acts of urgent-notice: nobody answers, the wrong one does, quiet hours, odd notices."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING

from comms import sms
from scenarios.bots.urgent_notice import scenario
from scenarios.bots.urgent_notice_samples import (
    ANN,
    BOT,
    PHONES,
    append,
    arrived,
    is_urgent,
    reports,
)
from scenarios.play import Claim, Program, equal, holds, told

if TYPE_CHECKING:
    from fakes import World

BOB = "bob@yourco.test"
SLOW = {"urgent-notice": {"poll": 10}}
QUIET = {"quiet": ["Mon-Sun 00:00-02:00", "Mon-Sun 22:00-24:00"], "poll": 60}


def mailed(world: World) -> list[str]:
    """When each mail was sent after the start, in seconds, and to whom."""
    start = world.clock.time() - world.clock.elapsed
    times = [parsedate_to_datetime(mail.message["Date"]) for mail in world.mail.messages]
    return [
        f"{time.timestamp() - start:.0f} {mail.envelope.to[0]}"
        for time, mail in zip(times, world.mail.messages, strict=True)
    ]


def results(world: World) -> list[str]:
    """The first lines of each report, without times: who has ended it, and each channel."""
    return [
        " · ".join(line.partition(" (")[0] for line in report.splitlines()[:4])
        for report in reports(world)
    ]


@scenario.act("urgent-escalates", scenario=SLOW)
def escalates(world: World, program: Program) -> Iterator[Claim]:
    """Bob is not online, and Dave has no phone; neither answers. Ann answers after the SMS."""
    ann, bob = arrived(world)
    dave = world.aim.actor("Dave")
    world.clock.at(10, is_urgent(world, "load-1", "bob", "The load of db1 is 40"))
    world.clock.at(20, is_urgent(world, "disk-7", "ann", "The disk of db1 is full"))
    world.clock.at(30, is_urgent(world, "cert-2", "dave", "A certificate ends tomorrow"))
    world.clock.at(200, lambda: ann.says(BOT, "OK"))
    world.clock.until(4200)
    code = program()
    phone, mails = PHONES["bob"], world.mail.messages
    wanted = [f"10 {phone}", "30 dave@yourco.test", f"140 {PHONES['ann']}"]
    found = [line for line in mailed(world) if "ops@" not in line]
    yield equal("each channel has its time", found, [*wanted, f"310 {BOB}"], shows=mails)
    texts = [mail.text.strip() for mail in world.mail.inbox(phone)]
    yield equal("an SMS is short", texts, ["load-1: The load of db1 is 40"], shows=mails[:1])
    nobody = "nobody has acknowledged it"
    ends = [
        "disk-7 for ann: acknowledged by ann after 180 s · message: sent by jabber · sms: sent · "
        "mail: not needed",
        f"cert-2 for dave: {nobody} · message: not online · sms: no phone is known · mail: sent",
        f"load-1 for bob: {nobody} · message: not online · sms: sent · mail: sent",
    ]
    yield equal("the reports have a result for each channel", results(world), ends, shows=mails)
    yield equal("who is not there gets no message", (len(bob.heard), len(dave.heard)), (0, 0))
    yield equal("the exit code is 0 once all have ended", code, 0)


@scenario.act("urgent-wrong-acknowledgement", scenario=SLOW)
def wrong(world: World, program: Program) -> Iterator[Claim]:
    """Bob says ok to what is for Ann, Mallory tries, too; Ann says it too late."""
    ann, bob = arrived(world)
    bob.signs_on()
    mallory, look_alike = (world.jabber.actor("mallory@yourco.test", name) for name in "ab")
    world.clock.at(10, is_urgent(world, "disk-7", "ann", "The disk of db1 is full"))
    world.clock.at(20, lambda: bob.says("AlertBot", "ok disk-7"))
    world.clock.at(30, lambda: mallory.says(BOT, "ok disk-7"))
    world.clock.at(30, lambda: look_alike.says(BOT, f"{ANN}: ok disk-7"))
    world.clock.at(40, lambda: ann.says(BOT, "ok disk-8"))
    world.clock.at(4300, lambda: ann.says(BOT, "ok disk-7"))
    world.clock.at(4310, lambda: ann.says(BOT, "report disk-7"))
    world.clock.until(4400)
    program()
    recorded = "Recorded. disk-7 is for ann, and goes on until ann says ok."
    texts = [im.text for im in bob.heard]
    yield equal("of another person it is recorded", texts, [recorded], shows=bob.heard)
    yield equal("a stranger gets no answer", len(mallory.messages), 0)
    strangers = told(world, "stranger")
    yield equal("but is logged", len(strangers), 2, shows=strangers)
    bodies = [stanza.body for stanza in ann.messages]
    unknown = ["There is no notice disk-8"]
    yield equal("an unknown notice is named", bodies[1:2], unknown, shows=ann.messages[1:2])
    found = [line for line in mailed(world) if "ops@" not in line]
    wanted = [f"130 {PHONES['ann']}", f"430 {ANN}"]
    yield equal("none of them stops it", found, wanted, shows=world.mail.messages)
    late = ["Recorded. disk-7 has ended before: nobody has acknowledged it."]
    yield equal("what comes too late is recorded", bodies[2:3], late, shows=ann.messages[2:3])
    said = [line.partition(" (")[0] for line in "".join(bodies[3:4]).splitlines() if "ok" in line]
    both = ["bob said ok, whom it is not for", "ann said ok, too late"]
    yield equal("the report has both", said, both, shows=ann.messages[3:4])


@scenario.act("urgent-quiet-hours", scenario={"urgent-notice": QUIET})
def quiet(world: World, program: Program) -> Iterator[Claim]:
    """It is midnight. One notice can wait until two, one cannot, one is acknowledged by one."""
    ann, _ = arrived(world)
    world.clock.at(10, is_urgent(world, "disk-7", "ann", "The disk of db1 is full"))
    world.clock.at(20, is_urgent(world, "fire-1", "ann", "The rack is on fire", wakes=True))
    world.clock.at(100, lambda: ann.says(BOT, "ok fire-1"))
    world.clock.at(60, is_urgent(world, "load-1", "bob", "The load of db1 is 40"))
    world.clock.at(600, is_urgent(world, "cert-2", "ann", "A certificate ends tomorrow"))
    world.clock.at(3600, lambda: ann.says(BOT, "ok cert-2"))
    world.clock.at(2 * 3600 + 60, lambda: ann.says(BOT, "ok disk-7"))
    world.clock.until(2 * 3600 + 480)
    code = program()
    bodies = [stanza.body.partition("\n")[0] for stanza in ann.messages]
    fire, disk = "URGENT fire-1: The rack is on fire", "URGENT disk-7: The disk of db1 is full"
    news = [body for body in bodies if body.startswith("URGENT")]
    yield equal("what wakes is told at once, the other at two", news, [fire, disk], ann.messages)
    found = [line for line in mailed(world) if "ops@" not in line]
    early = [f"60 {ANN}", f"60 {BOB}", f"600 {ANN}"]
    wanted = [*early, f"7200 {PHONES['bob']}"]
    yield equal("a mail wakes nobody, and an SMS waits", found, wanted, shows=world.mail.messages)
    cert = [line for line in results(world) if line.startswith("cert-2")]
    ends = "acknowledged by ann after 3000 s · message: not needed · sms: not needed · mail: sent"
    yield equal("what is acknowledged by mail goes no further", cert, [f"cert-2 for ann: {ends}"])
    yield equal("the exit code is 1 while a notice is open", code, 1)


@scenario.act("urgent-channel-fails", scenario={"urgent-notice": {"mail": 600, "poll": 5}})
def fails(world: World, program: Program) -> Iterator[Claim]:
    """Bob leaves as he is told, the gateway refuses his phone; then the mail server is away."""
    ann, bob = arrived(world)
    bob.signs_on()
    world.faults.arm("toc toc_send_im reply 901 times 1")
    world.faults.arm('smtp RCPT arg 5550100456* reply "550 5.1.1 no such phone"')
    world.clock.at(10, is_urgent(world, "load-1", "bob", "The load of db1 is 40"))
    world.clock.at(60, ann.goes)
    world.clock.at(70, lambda: world.close_port("smtp"))
    world.clock.at(80, is_urgent(world, "disk-7", "ann", "The disk of db1 is full"))
    world.clock.at(100, ann.comes)
    world.clock.at(110, lambda: ann.says(BOT, "ok"))
    world.clock.at(130, lambda: world.open_port("smtp"))
    world.clock.until(700)
    program()
    found = [line for line in mailed(world) if "ops@" not in line]
    mails = world.mail.messages
    yield equal("what fails is followed by the next at once", found, [f"15 {BOB}"], mails)
    load = [line for line in results(world) if line.startswith("load-1")]
    refused = "".join(load)
    said = "message: refused: " in refused and "sms: refused: " in refused
    why = said and "no such phone" in refused
    yield holds("the report says why", why, refused, shows=mails)
    disk = [line for line in results(world) if line.startswith("disk-7")]
    ends = "acknowledged by ann after 30 s · message: not online · sms: withdrawn"
    wanted = [f"disk-7 for ann: {ends} · mail: not needed"]
    yield equal("what still waits is withdrawn", disk, wanted, shows=world.mail.messages)


@scenario.act("urgent-odd-notices", scenario=SLOW)
def odd(world: World, program: Program) -> Iterator[Claim]:
    """Lines that are no notices, one that comes twice, control characters, and 10,000 of them."""
    ann, _ = arrived(world)
    bad = 'not JSON\n[]\n{}\n{"id": "a b", "to": "ann"}\n{"id": "a", "to": "anne", "text": "x"}\n'
    world.clock.at(10, partial(append, world, bad + '{"id": "a", "to": "ann", "text": " "}\n'))
    half = '{"id": "Disk-7", "to": "ann", "text": "full"}\n'
    world.clock.at(20, partial(append, world, half[:20]))
    world.clock.at(40, partial(append, world, half[20:]))
    world.clock.at(50, is_urgent(world, "disk-7", "ann", "again"))
    evil = "x\r\nBcc: everybody@x.test\x1b[2J\u202e " + "日" * 10_000
    world.clock.at(60, is_urgent(world, "evil", "bob", evil))
    world.clock.at(70, lambda: ann.says(BOT, "ok"))
    world.clock.at(80, lambda: ann.says(BOT, "ok " + "x" * 10_000))
    world.clock.until(500)
    program()
    skipped = told(world, "line-skipped")
    yield equal("each line that is no notice is logged", len(skipped), 6, shows=skipped)
    hint = "did you mean 'ann'" in skipped[4].text
    yield holds("an unknown person gets a hint", hint, skipped[4].text, shows=skipped[4:5])
    bodies = [stanza.body for stanza in ann.messages]
    once = ["URGENT disk-7: full\nSay: ok disk-7"]
    news = [body for body in bodies if body.startswith("URGENT")]
    yield equal("a notice that comes twice is told once", news, once, shows=ann.messages[:1])
    text = "".join(mail.text for mail in world.mail.inbox(PHONES["bob"])).rstrip()
    cut = text.startswith("evil: x") and text.endswith("...") and 155 < sms.size(text) <= 160
    yield holds(
        "an SMS has 160 characters of its alphabet", cut, text, shows=world.mail.messages[:1]
    )
    mails = world.mail.inbox(BOB)
    fields = {name.casefold() for mail in mails for name in mail.message}
    short = [len(mail.text) < 1200 and "\x1b" not in mail.text for mail in mails]
    yield equal("no header comes from a notice", ("bcc" in fields, short), (False, [True]))
    helped = "do not understand" in bodies[-1]
    yield holds("a long answer gets help", helped, bodies[-1], shows=ann.messages[-1:])


@scenario.act("urgent-restart", scenario=SLOW)
def restart(world: World, program: Program) -> Iterator[Claim]:
    """The program ends after the message, and after the SMS; each time it is started again."""
    ann, _ = arrived(world)
    world.clock.at(10, is_urgent(world, "disk-7", "ann", "The disk of db1 is full"))
    world.clock.until(60)
    codes = [program()]
    world.clock.until(200)
    codes.append(program())
    world.clock.at(250, lambda: ann.says(BOT, "ok disk-7"))
    world.clock.until(500)
    codes.append(program())
    news = [stanza.body for stanza in ann.messages if "URGENT" in stanza.body]
    yield equal("no channel is used twice", len(news), 1, shows=ann.messages[:1])
    found = [line for line in mailed(world) if "ops@" not in line]
    yield equal("the SMS has its time", found, [f"130 {PHONES['ann']}"], world.mail.messages)
    ends = "acknowledged by ann after 240 s · message: sent by jabber · sms: sent"
    wanted = [f"disk-7 for ann: {ends} · mail: not needed"]
    yield equal("one report is sent", results(world), wanted, shows=world.mail.messages)
    yield equal("the exit code says whether a notice is open", codes, [1, 1, 0])
