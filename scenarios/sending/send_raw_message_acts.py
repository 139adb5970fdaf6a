"""Further acts of send-raw-message: repairs, refusals, an old server, and a message passed on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.play import Claim, Program, ends, equal, holds, told
from scenarios.sending.send_raw_message import FRIEND, ODD, TEACHER, scenario, written

if TYPE_CHECKING:
    from fakes import World

HEAD = b"From: ann@elsewhere.test\r\nDate: Mon, 05 Jan 2026 00:00:00 +0000\r\n"
ID = b"Message-ID: <2@elsewhere.test>\r\n"
# A message, and what the error says about it.
REFUSED = [
    (HEAD + b"\r\none\ntwo\r\n", "line 4: a bare CR or LF"),
    (HEAD + b"\r\n.\n.\r\nMAIL FROM:<evil@x.test>\r\n", "line 4: a bare CR or LF"),
    (HEAD + b"\r\nthree\0\r\n", "line 4: a NUL character"),
    (HEAD + b"\r\n" + b"x" * 999 + b"\r\n", "line 4: 999 bytes, and 998 are allowed"),
    (b"Subject: hello\r\n\r\nhi\r\n", "header: 0 From fields"),
    (HEAD + b"From: other@x.test\r\n\r\nhi\r\n", "header: 2 From fields"),
    (b"From ann Mon Jan  5 2026\r\n" + HEAD + b"\r\nhi\r\n", "line 1: 'From ann Mon Jan  5 2026'"),
    (HEAD + b"Subject: Gr\xfc\xdfe\r\n\r\nhi\r\n", "header: neither ASCII nor UTF-8"),
    (b"", "header: 0 From fields"),
]


@scenario.act("send-raw-repaired")
def repaired(world: World, program: Program) -> Iterator[Claim]:
    """A file of Unix has no Date and no Message-ID, but a Bcc and a Return-Path."""
    raw = b"Return-Path: <x@x.test>\nFrom: a@x.test\nBcc: secret@x.test,\n other@x.test\n\n.\nhi"
    program(scenario={"send-raw-message": {"file": written(world, raw)}})
    repairs = ["line ends are CRLF", "the last line has an end", "removed return-path"]
    repairs += ["removed bcc", "added Date", "added Message-ID"]
    said = [f"repaired: {repair}" for repair in repairs]
    yield equal("each repair is reported", world.said[:6], said, world.said[:6])
    arrived = b"".join(mail.raw for mail in world.mail.messages)
    date = b"Date: Mon, 05 Jan 2026 00:00:00 +0000\r\nMessage-ID: <"
    yield holds(
        "Date and Message-ID are at the top",
        arrived.startswith(date),
        arrived,
        shows=world.mail.messages,
    )
    rest = b"@desk.yourco.test>\r\nFrom: a@x.test\r\n\r\n.\r\nhi\r\n"
    yield holds(
        "Bcc is removed, and the rest kept",
        arrived.endswith(rest),
        arrived,
        shows=world.mail.messages,
    )
    to = [mail.envelope.to for mail in world.mail.messages]
    yield equal("nobody is added to the envelope", to, [[TEACHER, FRIEND]], world.mail.messages)


@scenario.act("send-raw-refused")
def refused(world: World, program: Program) -> Iterator[Claim]:
    """Messages that no server could be trusted to pass on."""
    found = []
    for raw, _ in REFUSED:
        code = program(scenario={"send-raw-message": {"file": written(world, raw)}})
        found.append((code, world.events[-1].text.partition("message.eml: ")[2]))
    wrong = [
        (error, wanted)
        for (code, error), (_, wanted) in zip(found, REFUSED, strict=True)
        if code != 2 or not error.startswith(wanted)
    ]
    yield equal("each error names the line, or the header", wrong, [], shows=told(world, "ends"))
    yield equal("nothing is sent", [record.raw for record in world.records], [])


@scenario.act("send-raw-old-server", mail={"size": 600}, off={"smtp": ["8BITMIME"]})
def old_server(world: World, program: Program) -> Iterator[Claim]:
    """A server takes 600 bytes of ASCII."""
    codes = [program(scenario={"send-raw-message": {"file": written(world, ODD)}})]
    big = HEAD + ID + b"\r\n" + b"a long text\r\n" * 50
    codes.append(program(scenario={"send-raw-message": {"file": written(world, big)}}))
    yield equal("both are refused", codes, [4, 4], shows=[*ends(world), *world.said])
    first = [event.text for event in ends(world)]
    yield holds(
        "the first for its bytes beyond ASCII",
        "lacks 8BITMIME" in str(first),
        first,
        shows=ends(world),
    )
    why = f"accepts at most 600 bytes, the message has {len(big)}"
    yield holds("the second for its size", why in str(world.said), world.said, shows=world.said)
    yield equal("neither is sent", [mail.raw for mail in world.mail.messages], [])


@scenario.act("send-raw-resent")
def resent(world: World, program: Program) -> Iterator[Claim]:
    """A message is passed on to two people; before that, it was passed on to others."""
    raw = b"Resent-From: first@x.test\r\nResent-Bcc: secret@x.test\r\n" + HEAD + ID + b"\r\nhi\r\n"
    settings = {"file": written(world, raw), "resent_from": "Ops <ops@yourco.test>"}
    program(scenario={"send-raw-message": settings})
    arrived = b"".join(mail.raw for mail in world.mail.messages)
    block = (
        "Resent-Date: Mon, 05 Jan 2026 00:00:00 +0000\r\nResent-From: Ops <ops@yourco.test>\r\n"
        f"Resent-To: {TEACHER}, {FRIEND}\r\nResent-Message-ID: <"
    )
    starts = arrived.startswith(block.encode())
    yield holds("the new block is before the old one", starts, arrived, shows=world.mail.messages)
    rest = b">\r\nResent-From: first@x.test\r\n" + HEAD + ID + b"\r\nhi\r\n"
    yield holds("the message is kept, without Resent-Bcc", arrived.endswith(rest), arrived)
