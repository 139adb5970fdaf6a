"""Further acts of smtp-auth: a wrong password, no TLS, and schemes that are not offered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from comms import sasl
from scenarios.play import Claim, Program, equal, holds, sent, told
from scenarios.sending.smtp_auth import HIDING, OPS, in_clear, scenario

if TYPE_CHECKING:
    from fakes import World

WRONG = "battery staple"


@scenario.act("smtp-auth-wrong-password")
def wrong_password(world: World, program: Program) -> Iterator[Claim]:
    """The password is wrong."""
    code = program(smtp={"password": WRONG})
    error = world.events[-1].text
    named = code == 4 and f"the login of {OPS} by SCRAM-SHA-256: 535" in error
    yield holds("the error names account, scheme and reply", named, error, told(world, "ends"))
    logins = sent(world, "AUTH", "response")
    yield equal("it is not sent again by another scheme", len(logins), 2, shows=logins)
    code = program(smtp={"password": WRONG, "auth": "plain"})
    texts = " ".join(event.text for event in world.events)
    yield holds("no error shows the password", code == 4 and WRONG not in texts, texts)


@scenario.act("smtp-auth-in-clear", tls="off")
def without_tls(world: World, program: Program) -> Iterator[Claim]:
    """The settings allow clear text, in which PLAIN and LOGIN would show the password."""
    code = program()
    reason = 'not without TLS; write tls = "starttls"'
    wanted = [f"{name}: logged in" for name in (*sasl.SCRAM, "CRAM-MD5")]
    wanted += [f"PLAIN: {reason}", f"LOGIN: {reason}"]
    used = (code, world.said)
    yield equal("only schemes that hide it are used", used, (0, wanted), shows=world.said)
    code = program(smtp={"auth": "plain"})
    yield equal(
        "PLAIN alone is refused", (code, world.said[5:]), (4, wanted[3:4]), shows=world.said[5:]
    )
    yield equal("no password crosses the wire", in_clear(world), HIDING)
    code = program(smtp={"tls": "starttls", "host": "localhost"})
    error = world.events[-1].text
    missing = code == 4 and "does not offer STARTTLS" in error
    yield holds("a server without STARTTLS is not trusted with one", missing, error)


@scenario.act("smtp-auth-not-offered", off={"smtp": [*sasl.SCRAM, "CRAM-MD5", "EXPN"]})
def not_offered(world: World, program: Program) -> Iterator[Claim]:
    """No scheme on offer hides the password, and the server wants to ask before it hears one."""
    code = program(smtp={"auth": "cram-md5"})
    error = world.events[-1].text
    listed = code == 4 and "no scheme is left" in error and "(offered: PLAIN LOGIN)" in error
    yield holds("the error lists what is offered", listed, error, shows=told(world, "ends"))
    yield equal("nothing else is tried instead", sent(world, "AUTH"), [])
    code = program(scenario={"smtp-auth": {"initial_response": False}})
    logins = sent(world, "AUTH", "response")
    first = [record.shown().decode().strip() for record in logins[:2]]
    yield equal(
        "PLAIN waits for the challenge",
        (code, first),
        (0, ["AUTH PLAIN", f"{{plain {OPS}}}"]),
        logins,
    )
