"""Further acts of mysql-admin-by-mail: drops, errors, rights, hostile text, doubts, IMAP."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from comms.state import State
from scenarios.play import Claim, Program, equal, holds, told
from scenarios.receiving.mysql_admin_by_mail import scenario
from scenarios.receiving.mysql_admin_by_mail_samples import (
    JEREMY,
    MICHAEL,
    SENDER,
    answers,
    databases,
    indexes,
    mails,
    phrase,
    prepare,
)

if TYPE_CHECKING:
    from fakes import World


@scenario.act("mysql-admin-drop")
def drop(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy drops a database and makes it again; Michael tries to confirm it for him."""
    prepare(world.folder)
    (world.folder / "databases" / "test_1.sqlite3").touch()
    world.clock.at(10, lambda: mails(world, JEREMY, "drop database test_1\ncreate database test_1"))
    world.clock.at(70, lambda: mails(world, MICHAEL, phrase(world, JEREMY)))
    there: list[list[str]] = []
    world.clock.at(125, lambda: there.append(databases(world.folder)))
    world.clock.at(130, lambda: mails(world, JEREMY, phrase(world, JEREMY)))
    world.clock.at(190, lambda: mails(world, JEREMY, phrase(world, JEREMY)))
    world.clock.at(250, lambda: mails(world, JEREMY, "drop index by_customer on shop.orders"))
    world.clock.at(1300, lambda: mails(world, JEREMY, phrase(world, JEREMY)))
    world.clock.until(1360)
    program()
    texts, inbox = answers(world, JEREMY), world.mail.inbox(JEREMY)
    asked = ["not run yet: to drop database test_1, send within 900 s" in texts[0]] if texts else []
    yield equal("a drop is asked about", asked, [True], shows=inbox[:1])
    rest = ["not run, because this was not done: drop database test_1" in text for text in texts]
    yield equal("what follows waits for the answer", rest[:1], [True], shows=inbox[:1])
    kept = ["payroll", "shop", "test_1"]
    yield equal("another administrator cannot confirm it", there, [kept], shows=inbox[:1])
    found = databases(world.folder)
    yield equal("its sender can", found, ["payroll", "shop"], shows=inbox[1:2])
    unknown = ["unknown command" in text for text in texts[1:]]
    wanted = [False, True, False, True]
    yield equal("the word works once, and for 15 minutes", unknown, wanted, shows=inbox[2:])
    with State(world.folder / "mysql-admin-by-mail.sqlite3") as state:
        sql = "SELECT verdict FROM audit WHERE what LIKE 'drop database test_1' ORDER BY rowid"
        audit = [str(verdict) for (verdict,) in state.rows(sql)]
    steps = told(world, "command what=drop database test_1 who=jeremy")
    yield equal("the audit has each step", audit, ["accepted", "asked", "done"], shows=steps)


@scenario.act("mysql-admin-stops")
def stops(world: World, program: Program) -> Iterator[Claim]:
    """A command fails in the middle of a mail, another one is mistyped."""
    prepare(world.folder)
    failing = "create index i on shop.orders (price)"
    world.clock.at(10, lambda: mails(world, JEREMY, f"create database test_1\n{failing}\n{AFTER}"))
    world.clock.at(
        70, lambda: mails(world, JEREMY, f"show databases\nshow tabels in shop\n{AFTER}")
    )
    world.clock.until(130)
    program()
    texts, inbox = answers(world, JEREMY), world.mail.inbox(JEREMY)
    found = databases(world.folder)
    yield equal("what came before is done", found, ["payroll", "shop", "test_1"], shows=inbox[:1])
    wrong = ["there is no column price", "did you mean 'show tables in NAME'?"]
    told_so = [problem in text for problem, text in zip(wrong, texts, strict=False)]
    yield equal("what is wrong is said", told_so, [True, True], shows=inbox)
    rest = [f"> {AFTER}\ndb1.yourco.test: not run, because this was not done: " in text
            for text in texts]  # fmt: skip
    yield equal("the rest is not run, and that is said", rest, [True, True], shows=inbox)


AFTER = "create database test_9"


@scenario.act("mysql-admin-rights")
def rights(world: World, program: Program) -> Iterator[Claim]:
    """Michael may do some things, on some databases; nobody may touch the others."""
    prepare(world.folder)
    may = ("create index m on shop.orders (customer)", "create database test_m")
    may_not = ("create index m on test_m.orders (id)", "drop database shop")
    for number, line in enumerate((*may, *may_not)):
        world.clock.at(10 + 60 * number, partial(mails, world, MICHAEL, line))
    world.clock.at(500, lambda: mails(world, JEREMY, "show tables in payroll"))
    world.clock.until(540)
    program()
    texts, inbox = answers(world, MICHAEL), world.mail.inbox(MICHAEL)
    done = [text.count(": done in ") for text in texts[:2]]
    yield equal("what his rights name is done", done, [1, 1], shows=inbox[:2])
    refused = [f"{MICHAEL} may not {line}; allowed: " in text
               for line, text in zip(may_not, texts[2:], strict=False)]  # fmt: skip
    yield equal("anything else is refused, and said", refused, [True] * 2, shows=inbox[2:])
    found = [databases(world.folder), len(indexes(world.folder))]
    yield equal("nothing else has changed", found, [["payroll", "shop", "test_m"], 1])
    texts, inbox = answers(world, JEREMY), world.mail.inbox(JEREMY)
    said = ["there is no database payroll that may be" in text for text in texts]
    yield equal("other databases are as if they were not there", said, [True], shows=inbox)
    shown = [text for text in answers(world, MICHAEL) if "| payroll" in text]
    yield equal("and are in no list", shown, [])


# What has more in it than names, or names what is not there. The tests have more of it.
HOSTILE = (
    "create database x; drop database shop",
    "create database `test_1`",
    "show tables in shop'--",
    "create database test_1/../../x",
    "drop index i on shop.orders -- now",
    "show index in shop.orders union select 1",
    "create index i on shop.orders (customer); drop table orders",
    "show tables in tеst_1",  # with a Cyrillic letter
)


@scenario.act("mysql-admin-hostile")
def hostile(world: World, program: Program) -> Iterator[Claim]:
    """Jeremy's account is in other hands. Then he works on a table whose name is a word of SQL."""
    prepare(world.folder)
    for number, text in enumerate(HOSTILE):
        world.clock.at(number + 1, partial(mails, world, JEREMY, text))
    text = "create index by_group on shop.order (group)\nshow index in shop.order"
    world.clock.at(70, lambda: mails(world, JEREMY, text))
    world.clock.until(130)
    program()
    texts, inbox = answers(world, JEREMY), world.mail.inbox(JEREMY)
    unknown = sum("unknown command" in text for text in texts)
    yield equal("each is answered as unknown", unknown, len(HOSTILE), shows=inbox[: len(HOSTILE)])
    found = databases(world.folder)
    yield equal("no database has changed", found, ["payroll", "shop"], shows=inbox)
    made = indexes(world.folder)
    wanted = ['CREATE INDEX by_group ON "order" ("group")']
    yield equal("names are quoted where they must be", made, wanted, shows=inbox[len(HOSTILE) :])
    listed = ["| by_group (group)" in text for text in texts[len(HOSTILE) :]]
    yield equal("and are shown as they are", listed, [True], shows=inbox[len(HOSTILE) :])


@scenario.act("mysql-admin-twice")
def twice(world: World, program: Program) -> Iterator[Claim]:
    """A mail comes twice; then Jeremy orders the same again, because he has not seen the answer."""
    prepare(world.folder)
    line = "create database test_1"
    for at in (10, 70):
        world.clock.at(at, lambda: mails(world, JEREMY, line, message_id="one@phone.test"))
    world.clock.at(50, lambda: mails(world, JEREMY, line))
    world.clock.at(190, lambda: mails(world, JEREMY, line))
    world.clock.until(220)
    program()
    refused = [event for event in told(world, "refused") if "received before" in event.text]
    yield holds("the same mail runs nothing again", len(refused) >= 1, refused, shows=refused)
    texts, inbox = answers(world, JEREMY), world.mail.inbox(JEREMY)
    asked = ["not run yet: you ordered this" in text for text in texts]
    yield equal("another one soon after is asked about", asked, [False, True, False], shows=inbox)
    known = ["there is a database test_1 already" in text for text in texts[2:]]
    yield equal("a later one is a new order, and fails", known, [True], shows=inbox[2:])


@scenario.act("mysql-admin-imap", servers=["smtp", "imap"])
def over_imap(world: World, program: Program) -> Iterator[Claim]:
    """The same over IMAP: a command in the subject, several in a text, and a stop word."""
    prepare(world.folder)
    world.clock.at(10, lambda: mails(world, JEREMY, "", subject="Show databases"))
    text = "create database test_1\nshow databases\nend\ndrop database test_1"
    world.clock.at(20, lambda: mails(world, JEREMY, text))
    world.clock.until(150)
    program()
    texts, inbox = answers(world, JEREMY), world.mail.inbox(JEREMY)
    done = sorted(text.count(": done in ") for text in texts)
    yield equal("each command is done", done, [1, 2], shows=inbox)
    found = databases(world.folder)
    yield equal("the database is there", found, ["payroll", "shop", "test_1"], shows=inbox)
    yield equal("the mailbox is empty", world.mail.inbox(SENDER), [])
