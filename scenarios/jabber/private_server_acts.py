"""Further acts of private-server: broken promises, a quota, and servers that are not trusted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from scenarios.jabber.private_server import JEREMY, MICHAEL, WORLD, scenario
from scenarios.play import Claim, Program, ends, equal, holds, sent

if TYPE_CHECKING:
    from fakes import World

SCRAM = ["SCRAM-SHA-256", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS", "DIGEST-MD5"]


@scenario.act(
    "private-server-open",
    book=False,
    servers=["xmpp", "xmpp-server"],
    person=[*WORLD["person"], {"address": "probe@elsewhere.test"}],
    xmpp={"domains": ["yourco.test"], "neighbours": ["elsewhere.test"], "on": ["registration"]},
    off={"xmpp": ["offline"]},
)
def broken(world: World, program: Program) -> Iterator[Claim]:
    """Anybody can open an account, another server is linked, and nothing is stored."""
    jeremy = world.jabber.actor(JEREMY)
    jeremy.comes()
    code = program()
    lines = [line for line in world.said if line.startswith("BROKEN")]
    wanted = [
        "BROKEN: strangers cannot open accounts",
        "BROKEN: no other server is reached",
        "BROKEN: messages for those who are away are kept",
    ]
    yield equal("each broken promise is found", (code, lines), (1, wanted), shows=lines)
    heard = [one.body for one in jeremy.messages]
    text = f"Broken: {'; '.join(line.removeprefix('BROKEN: ') for line in wanted)}."
    yield equal("the team is told which", heard, [text], shows=jeremy.messages)


@scenario.act(
    "private-server-quota",
    book=False,
    xmpp={"offline": 1},
    scenario={"private-server": {"report": "always"}},
)
def quota(world: World, program: Program) -> Iterator[Claim]:
    """The server keeps one message for each account; Michael is away for two reports."""
    jeremy, michael = map(world.jabber.actor, (JEREMY, MICHAEL))
    jeremy.comes()
    codes = [program(), program()]
    returned = [one for one in world.records if b"too many messages waiting" in one.raw]
    michael.comes()
    counts = [len(person.messages) for person in (jeremy, michael)]
    yield equal("what is above the quota comes back", len(returned), 1, shows=returned)
    yield equal("only who is over it misses a report", counts, [2, 1], shows=jeremy.messages)
    yield equal("the program exits with 0 each time", codes, [0, 0])


@scenario.act("jabber-tls-stripped", book=False, tls="optional", off={"xmpp": ["STARTTLS"]})
def stripped(world: World, program: Program) -> Iterator[Claim]:
    """An attacker on the way has removed the offer of TLS."""
    code = program()
    error = world.events[-1].text
    yield holds(
        "the program does not go on without TLS",
        code == 4 and "does not offer STARTTLS" in error,
        (code, error),
        shows=ends(world),
    )
    yield equal("no login was tried", sent(world, "auth", "response"), [])


@scenario.act("jabber-tls-bad-certificate", book=False)
def bad_certificate(world: World, program: Program) -> Iterator[Claim]:
    """The certificate has expired, is for another name, or nobody has signed it."""
    for flaw in ("expired", "other-name", "self-signed"):
        world.faults.arm(f"xmpp tls certificate {flaw} times 1")
        code = program()
        yield holds(
            f"a certificate that is {flaw} is refused",
            code == 4 and "certificate" in world.events[-1].text,
            (code, world.events[-1].text),
            shows=ends(world)[-1:],
        )
    yield equal("no login was tried", sent(world, "auth", "response"), [])
    before = len(world.records)
    code = program()
    shows = [one for one in world.records[before:] if one.verb in {"auth", "success"}]
    yield equal("the right certificate is accepted", code, 0, shows=shows)


@scenario.act("jabber-plain-in-clear", book=False, tls="off", off={"xmpp": SCRAM})
def plain_in_clear(world: World, program: Program) -> Iterator[Claim]:
    """The server has no TLS and wants the password as it is; so do the settings."""
    code = program()
    error = ends(world)[-1:]
    yield holds(
        "the program wants encryption",
        code == 4 and "encrypted" in error[0].text,
        error,
        shows=error,
    )
    yield equal("it does not even connect", sent(world, "stream"), [])
    code = program(xmpp={"tls": "starttls", "host": "localhost"})
    error = ends(world)[-1:]
    yield holds(
        "with it, a server without TLS is refused",
        code == 4 and "STARTTLS" in error[0].text,
        error,
        shows=error,
    )
    yield equal("no password crosses the wire", sent(world, "auth", "response"), [])
