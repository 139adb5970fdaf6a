"""Further acts of mail-to-webhook: which address leads where, and what goes wrong on the way."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from scenarios.play import Claim, Program, equal, sent, told
from scenarios.processing.mail_to_webhook import scenario
from scenarios.processing.mail_to_webhook_samples import (
    APP,
    BOX,
    HOOK,
    accepted,
    mail,
    statuses,
)

if TYPE_CHECKING:
    from fakes import World

NAME = "mail-to-webhook"
IN = f"http://{APP}/in"
CHECK, NOTE = ("spamc", "-c"), ("logger",)
MAP = {
    "*@hooks.yourco.test": IN,
    "sales_*@hooks.yourco.test": f"http://{APP}/sales?from=mail",
    "Sales_7@hooks.yourco.test": f"http://{APP}/seven",
}
# Whom a mail is delivered to → the path and the query of the request.
ROUTES: dict[str, tuple[str, dict[str, str]]] = {
    "my_token_1234": ("/in", {"token": "my_token", "hash": "1234"}),
    "plain": ("/in", {"token": "plain"}),
    "_1234": ("/in", {"token": "_1234"}),
    "token_": ("/in", {"token": "token_"}),
    "MY_TOKEN_12AB": ("/in", {"token": "my_token", "hash": "12ab"}),
    "a%2Bb_1": ("/in", {"token": "a%2bb", "hash": "1"}),
    "a+b&c=d_1": ("/in", {"token": "a+b&c=d", "hash": "1"}),
    "sales_8": ("/sales", {"from": "mail", "token": "sales", "hash": "8"}),
    "sales_7": ("/seven", {"token": "sales", "hash": "7"}),
}


def settings(**changes: Any) -> Mapping[str, Any]:
    """Returns a world's table with these settings of the program, which runs for hours."""
    return {NAME: {"poll": 600, **changes}}


def hours(world: World, program: Program, count: int = 2, **changes: Any) -> int:
    """Runs the program for some hours, so that it can try again; returns its exit code."""
    world.clock.until(world.clock.elapsed + 3600 * count)
    return program(scenario=settings(**changes))


@scenario.act("mail-token-routing", scenario=settings(map=MAP))
def routing(world: World, program: Program) -> Iterator[Claim]:
    """Mails to nine addresses; then some that name their recipient elsewhere, or several."""
    for number, name in enumerate(ROUTES):
        world.mail.deliver(f"{name}@hooks.yourco.test", mail(number, "someone@else.example"))
    everybody = f"one_1@hooks.yourco.test, Two <two_2@hooks.yourco.test>, {BOX}"
    world.mail.deliver(BOX, mail(20).replace(HOOK.encode(), everybody.encode()))
    world.mail.deliver(HOOK, mail(21, "sales_7@hooks.yourco.test"))
    world.mail.deliver(BOX, mail(22, BOX, text=f"Write to {HOOK}, please.\n"))
    forged = b"X-Original-To: sales_7@hooks.yourco.test\r\n" + mail(23)
    world.mail.deliver(HOOK, forged)
    hours(world, program)
    hours(world, program, recipients=["to", "body"], replay=["all"])
    posts = accepted(world)
    for number, (name, route) in enumerate(ROUTES.items()):
        mine = [post for post in posts if post.form["subject"] == [f"Order {number}"]]
        routes = [(post.path, post.query) for post in mine]
        yield equal(f"{name}@ goes where it is mapped to", routes, [route], shows=mine)
    for number, tokens, claim in (
        (20, ["one", "two"], "a mail to two mapped addresses is posted for each"),
        (21, ["my_token"], "where our server delivered it to counts more than To"),
        (23, ["my_token"], "a field that the sender has written does not count"),
        (22, ["my_token"], "an address in the text counts if the settings say so"),
    ):
        mine = [post for post in posts if post.form["subject"] == [f"Order {number}"]]
        found = sorted(post.query.get("token", "") for post in mine)
        yield equal(claim, found, tokens, shows=mine)
    yield equal("the one in the text came last", posts[-1:], mine, shows=mine)


@scenario.act("webhook-retries", scenario=settings())
def retries(world: World, program: Program) -> Iterator[Claim]:
    """The application is busy, silent and away; then it accepts the mail."""
    world.mail.deliver(HOOK, mail())
    world.webhook.answer(503)
    world.webhook.answer(429, headers={"Retry-After": "1200"})
    world.faults.arm("webhook POST nth 3 stall")
    world.clock.at(3000, lambda: world.close_port("webhook"))
    world.clock.at(8000, lambda: world.open_port("webhook"))
    world.clock.until(20000)
    program()
    requests = sent(world, "POST")
    began = world.clock.now() - world.clock.elapsed
    times = [round(record.at - began) for record in requests]
    # After 600 s, after 1200 as the server wishes, and after 1800, 3600 and 7200, when nobody is
    # there. The program looks every 600 s what is due.
    yield equal("the pauses grow", times, [0, 600, 1800, 15000], shows=requests)
    posts = list(world.webhook.all)
    events = {post.headers["webhook-id"] for post in posts}
    yield equal("each attempt is the same event", len(events), 1, shows=posts)
    bodies = {post.body for post in posts}
    yield equal("with the same body", len(bodies), 1, shows=posts)
    stamps = {post.headers["webhook-timestamp"] for post in posts}
    yield equal("signed at its own time", len(stamps), len(posts), shows=posts)
    yield equal("it is accepted once", len(accepted(world)), 1, shows=accepted(world))


WRONG = {
    "spam@hooks.yourco.test": f"http://{APP}/spam",
    "lost@hooks.yourco.test": f"http://{APP}/nowhere",
}


@scenario.act("webhook-dead-letters", scenario=settings(map=WRONG))
def dead_letters(world: World, program: Program) -> Iterator[Claim]:
    """One mail is not wanted, and two have a wrong mapping or none, until an operator mends it."""
    world.webhook.answer(406, path="/spam", times=None)
    world.webhook.answer(404, "no such page", path="/nowhere", times=None)
    for number, to in enumerate((*WRONG, "new@else.test")):
        world.mail.deliver(to, mail(number, to))
    code = hours(world, program)
    yield equal("the exit code is 1", code, 1)
    found = [(status, reason) for _, status, reason in statuses(world)]
    wanted = [
        ("dropped", "406 Not Acceptable"),
        ("dead", "404 Not Found: no such page"),
        ("dead", "no recipient fits a mapping"),
    ]
    yield equal("each mail has its outcome", found, wanted, shows=told(world, "mail-d"))
    yield equal("the maildrop is empty", world.mail.inbox(BOX), [])
    asked = len(world.webhook.all)
    hours(world, program)
    yield equal("a dead letter is not tried again", len(world.webhook.all), asked)
    right = {"lost@hooks.yourco.test": IN, "new@else.test": IN}
    code = hours(world, program, map=right, replay=["all"])
    tokens = [post.query.get("token", "") for post in accepted(world)]
    claim = "it is when an operator says so, with the mapping of today"
    yield equal(claim, (code, tokens), (0, ["lost", "new"]), shows=accepted(world))
    same = [post for post in world.webhook.all if post.query.get("token", "") == "lost"]
    events = {post.headers["webhook-id"] for post in same}
    yield equal("as the same event", len(events), 1, shows=same)


PLACES = ["http://10.0.0.1/", "http://[::ffff:127.0.0.1]/", "//evil.example/", "https://a@b/"]
INSIDE = ["169.254.169.254", "10.0.0.1", "::1", "::ffff:192.168.0.1", "64:ff9b::a00:1"]


@scenario.act(
    "webhook-nowhere-else",
    scenario=settings(
        map={
            "old@hooks.yourco.test": f"http://{APP}/old",
            **{f"{n}@hooks.yourco.test": f"http://{APP}/{n}" for n in range(len(PLACES))},
            **{f"{n}@cloud.example": f"http://{n}.evil.example/" for n in range(len(INSIDE))},
        }
    ),
)
def nowhere_else(world: World, program: Program) -> Iterator[Claim]:
    """Redirects and names lead inside of our own network; one redirect is harmless."""
    world.webhook.answer(308, headers={"Location": "/new?x=1"}, path="/old", times=None)
    world.mail.deliver("old@hooks.yourco.test", mail(1))
    for number, place in enumerate(PLACES):
        world.webhook.answer(307, headers={"Location": place}, path=f"/{number}", times=None)
        world.mail.deliver(f"{number}@hooks.yourco.test", mail(10 + number))
    for number, address in enumerate(INSIDE):
        world.host.names[f"{number}.evil.example"] = ["93.184.215.14", address]
        world.mail.deliver(f"{number}@cloud.example", mail(20 + number))
    hours(world, program)
    found = [post.path for post in accepted(world)]
    claim = "a redirect to the same server is followed"
    yield equal(claim, found, ["/new"], shows=accepted(world))
    reasons = [reason for _, status, reason in statuses(world) if status == "dead"]
    refused = [reason for reason in reasons if f"http://{APP} redirects to" in reason]
    yield equal("no other one is", len(refused), len(PLACES), shows=told(world, "mail-dead"))
    refused = [reason for reason in reasons if "is not on the public internet" in reason]
    claim = "a name that leads inside is refused"
    yield equal(claim, len(refused), len(INSIDE), shows=told(world, "mail-dead"))
    lookups = [name for name in world.host.looked_up if name.endswith(".evil.example")]
    claim, dead = "each name is resolved once", told(world, "mail-dead")
    yield equal(claim, len(lookups), len(INSIDE), shows=dead)


@scenario.act(
    "webhook-commands",
    scenario=settings(before=list(CHECK), after=list(NOTE)),
    host={"commands": [{"run": list(CHECK)}, {"run": list(NOTE)}]},
)
def commands(world: World, program: Program) -> Iterator[Claim]:
    """A command reads each mail before it is posted, another one what became of it."""
    for number, code in ((1, 0), (2, 1), (3, 2)):
        world.mail.deliver(HOOK, mail(number))
        world.host.commands[CHECK].code = code
        hours(world, program, 1)
    numbers = [post.form["subject"] for post in accepted(world)]
    claim = "a mail that is let through is posted"
    yield equal(claim, numbers, [["Order 1"]], shows=accepted(world))
    outcomes = [status for _, status, _ in statuses(world)]
    wanted, waiting = ["posted", "dropped", "waiting"], told(world, "mail-waiting")
    yield equal("a failure loses no mail", outcomes, wanted, shows=waiting)
    mails = [
        text for text, ran in zip(world.host.inputs, world.host.ran, strict=True) if ran == CHECK
    ]
    begins = [b"Subject: Order 1" in text for text in mails[:1]]
    yield equal("the first command reads the mail", begins, [True], shows=world.host.ran)
    notes = [
        json.loads(text)
        for text, ran in zip(world.host.inputs, world.host.ran, strict=True)
        if ran == NOTE
    ]
    found = [(note["to"], note["status"]) for note in notes]
    claim = "the second one reads what became of it"
    yield equal(claim, found, [(HOOK, "posted"), (HOOK, "dropped")], shows=world.host.ran)


@scenario.act("webhook-dry-run", scenario=settings(dry_run=True))
def dry_run(world: World, program: Program) -> Iterator[Claim]:
    """An operator looks what would be posted where."""
    world.mail.deliver(HOOK, mail(1))
    world.mail.deliver("nobody@else.test", mail(2, "nobody@else.test"))
    code = program()
    wanted = [
        f"mail 1, to {HOOK}: would be posted to {IN}?token=my_token&hash=1234",
        "mail 2: no recipient fits a mapping",
    ]
    yield equal("it says so", (code, world.said), (0, wanted), shows=world.said)
    yield equal("nothing is posted", list(world.webhook.all), [])
    left = world.mail.inbox(BOX)
    yield equal("the mails are still there", len(left), 2, shows=left)


# Mails that programs stumble over, each in another way.
ODD = (
    b"",
    b"\r\n\r\n",
    b"no header at all",
    b"Subject: =?x-none?q?=00?=\r\nContent-Type: text/html; charset=x-none\r\n\r\n<b>\xff\x00",
    b"From: a@b.test\r\nFrom: c@d.test\r\nSubject: two\r\n\r\n",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Disposition: attachment; "
    b'filename="../../etc/passwd\r\n X-Evil: 1"\r\n\r\n\x00\r\n',
    b"Subject: " + b"x" * 100_000 + b"\r\n\r\n",
)


@scenario.act("webhook-odd-mail", scenario=settings(largest=200_000))
def odd_mail(world: World, program: Program) -> Iterator[Claim]:
    """Mails without a header, with two senders, with broken parts; one is too large."""
    for raw in ODD:
        world.mail.deliver(HOOK, raw)
    world.mail.deliver(HOOK, mail(1, file=bytes(300_000)))
    world.mail.deliver(HOOK, mail(2))
    hours(world, program)
    posts = accepted(world)
    yield equal("every other mail is posted", len(posts), len(ODD) + 1, shows=posts)
    last = [post for post in posts if post.form["subject"] == ["Order 2"]]
    yield equal("the last one, too", len(last), 1, shows=last)
    names = [file.name for post in posts for file in post.files]
    yield equal("a file name leads nowhere", names, ["passwd X-Evil_ 1"], shows=posts)
    left = [found.subject for found in world.mail.inbox(BOX)]
    dead = told(world, "mail-dead")
    yield equal("what is too large stays in the maildrop", left, ["Order 1"], shows=dead)
    reasons = [reason for _, status, reason in statuses(world) if status == "dead"]
    said = [reason.partition(":")[0] for reason in reasons]
    yield equal("and is a dead letter", said, ["too large"], shows=dead)
    hours(world, program)
    yield equal("it is never posted", len(accepted(world)), len(posts))
