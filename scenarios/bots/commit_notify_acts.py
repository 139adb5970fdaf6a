"""Further acts of commit-notify: what is down, large, odd, cut off or repeated."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from scenarios.bots.commit_notify import scenario
from scenarios.bots.commit_notify_samples import arrived, leaves, leaves_note, note
from scenarios.play import Claim, Program, equal, holds, told

if TYPE_CHECKING:
    from fakes import World

ONE = ["U   trunk/docs/a.html"]


def bodies(ann: Any) -> list[str]:
    """The first line of each message to Ann, without the commit's message."""
    return [stanza.body.partition(" by ")[0] for stanza in ann.messages]


@scenario.act("commit-bot-down")
def down(world: World, program: Program) -> Iterator[Claim]:
    """Carol commits while the program does not run, and while the server is away."""
    ann, bob = arrived(world)
    for number in (1, 2):
        leaves_note(world, f"r{number}", ONE)
    world.clock.at(10, lambda: world.close_port("xmpp"))
    world.clock.at(10, lambda: world.cut("xmpp"))
    world.clock.at(20, lambda: leaves_note(world, "r3", ONE))
    world.clock.at(60, lambda: world.open_port("xmpp"))
    world.clock.at(61, ann.comes)
    world.clock.until(180)
    code = program()
    codes = [code, program()]
    wanted = ["site r1", "site r2", "site r3"]
    yield equal("each commit is told once, in its order", bodies(ann), wanted, shows=ann.messages)
    yield equal("the other network did not wait", len(bob.heard), 3, shows=bob.heard)
    yield equal("both exit codes are 0", codes, [0, 0])


@scenario.act("commit-huge")
def huge(world: World, program: Program) -> Iterator[Claim]:
    """Carol imports 5,000 files, and says much about it; the hook has noted 1,000 of them."""
    ann, bob = arrived(world)
    paths = [f"A   vendor/file-{number}.c" for number in range(1000)]
    content = note(paths, "Import the library. " * 500).replace(b"count: 1000", b"count: 5000")
    world.clock.at(10, lambda: leaves(world, "note.r8.1.site", content))
    program()
    text = ann.messages[0].body if ann.messages else ""
    lines = text.splitlines()
    yield equal("ten paths are listed, and the rest counted", len(lines), 12, ann.messages)
    yield equal("the count is that of all", lines[-1:], ["and 4990 more"], shows=ann.messages)
    yield holds("the message is cut", len(text) < 1000 and "…" in text, len(text), ann.messages)
    texts = [im.text.rpartition("<br>")[2] for im in bob.heard]
    more = ["and 5000 more"]
    yield equal("Bob hears of it, because his may be among them", texts, more, shows=bob.heard)


@scenario.act("commit-odd")
def odd(world: World, program: Program) -> Iterator[Claim]:
    """Notes with odd text, files that are no notes, and a commit that is noted twice."""
    ann, _ = arrived(world)
    forged = "Innocent\ncount: 9\nA   trunk/docs/forged\nauthor: root"
    notes = {
        "note.r1.1.site": note(ONE, forged),
        "note.r2.1.site": note(ONE, "", ""),
        "note.r3.1.site": note(["A   caf\u00e9/\x1b[2J<b>\u202e"], "\x07Ring <&>"),
        "note.r4.1.site": b"author: \xff\xfe\n \xe9\ncount: 0\n",
        "note.r1.2.site": note(ONE),
        "note.7.1.site": note(ONE),
        "README": b"hello",
    }
    for number, (name, content) in enumerate(notes.items()):
        world.clock.at(10 + 5 * number, partial(leaves, world, name, content))
    program()
    texts = [stanza.body for stanza in ann.messages]
    first = "site r1 by carol: Innocent count: 9 A   trunk/docs/forged author: root"
    wanted = [f"{first.replace('   ', ' ')}\ntrunk/docs/a.html"]
    yield equal("a message cannot forge paths or author", texts[:1], wanted, ann.messages[:1])
    empty = ["site r2 by nobody: (no message)\ntrunk/docs/a.html"]
    yield equal("a commit without message is told", texts[1:2], empty, shows=ann.messages[1:2])
    safe = ["site r3 by carol: Ring <&>\ncaf\u00e9/ [2J<b>\u202e".replace("\u202e", "")]
    yield equal("nothing moves a cursor", texts[2:3], safe, shows=ann.messages[2:3])
    broken = ["site r4 by \ufffd\ufffd: \ufffd"]
    yield equal("other charsets are readable", texts[3:], broken, shows=ann.messages[3:])
    twice = told(world, "commit-told-before")
    yield equal("a commit that is noted twice is told once", len(twice), 1, shows=twice)
    bad = told(world, "bad-note")
    kept = sorted(path.name for path in (world.folder / "commits" / "bad").iterdir())
    yield equal("what is no note is kept aside", kept, ["README", "note.7.1.site"], shows=bad)


@scenario.act("commit-hook-cut")
def cut(world: World, program: Program) -> Iterator[Claim]:
    """Two hooks are killed while they write; a third is slow, and comes to its end."""
    ann, bob = arrived(world)
    complete = note(ONE)
    world.clock.at(10, lambda: leaves(world, "part.r1.1.site", b""))
    world.clock.at(11, lambda: leaves(world, "part.r2.1.site", complete[:20]))
    world.clock.at(12, lambda: leaves(world, "part.r3.1.site", complete[:30]))
    slow = world.folder / "commits" / "part.r3.1.site"
    world.clock.at(50, lambda: slow.write_bytes(complete))
    world.clock.at(50, lambda: slow.rename(slow.with_name("note.r3.1.site")))
    # As if the hook of r1 had only been stopped for a while.
    world.clock.at(90, lambda: leaves_note(world, "r1", ONE))
    world.clock.until(100)
    program()
    texts = [stanza.body for stanza in ann.messages]
    cut = [f"site r{number}: the hook was cut off; look there" for number in (1, 2)]
    yield equal("a commit whose hook was killed is told", texts[1:], cut, shows=ann.messages[1:])
    third = ["site r3 by carol: Mend the header\ntrunk/docs/a.html"]
    yield equal("a slow hook has its time", texts[:1], third, shows=ann.messages[:1])
    yield equal("Bob hears of the three, too", len(bob.heard), 3, shows=bob.heard)
    left = [path.name for path in (world.folder / "commits").iterdir()]
    yield equal("nothing is left in the queue", left, [])


@scenario.act("commit-restart")
def restart(world: World, program: Program) -> Iterator[Claim]:
    """The program was killed before it could remove a note, and is started again."""
    ann, bob = arrived(world)
    leaves_note(world, "r1", ONE)
    code = program(once=True)
    leaves_note(world, "r1", ONE)
    leaves_note(world, "r2", ["A   trunk/b.c"])
    codes = [code, program(once=True), program(once=True)]
    yield equal("no commit is told twice", bodies(ann), ["site r1", "site r2"], ann.messages)
    yield equal("Bob hears of his only", len(bob.heard), 1, shows=bob.heard)
    yield equal("every exit code is 0", codes, [0, 0, 0])
