"""A further act of compose-message: mail is built, parsed, refused, forwarded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from comms.compose import Message
from comms.read import read
from comms.replies import forward
from scenarios.play import Claim, Program, equal, holds
from scenarios.sending.compose_message import ORDER, Rules, compose, printed, scenario

if TYPE_CHECKING:
    from fakes import World

REFUSED = {
    "subject": "Hello\r\nBcc: everybody@evil.example",
    "sender": "Jeremy",
    "to": ["maggie@yourco.test, bob@yourco.test"],
    "reply_to": ["ops@yourco.test\nX: y"],
    "attach": ["no-such-file.pdf"],
}


@scenario.act("mail-roundtrip", book=False)
def roundtrip(world: World, program: Program) -> Iterator[Claim]:
    """A mail is printed and parsed, wrong values are refused, and broken mail is read."""
    program()
    first = printed(world)
    mail = read(first)
    assert mail.sender is not None
    again = Message(
        str(mail.sender),
        [str(address) for address in mail.to],
        mail.subject,
        mail.text,
        reply_to=[str(address) for address in mail.reply_to],
        date=mail.date.timestamp() if mail.date else None,
        message_id=mail.message_id,
    )
    yield equal(
        "a mail built from its parsed parts is the same",
        again.to_bytes(),
        first,
        shows=world.said[:1],
    )

    for attribute, value in REFUSED.items():
        code = program(scenario={"compose-message": {attribute: value}})
        error = world.events[-1].text
        named = code == 2 and (attribute in error or "no-such-file" in error)
        yield holds(
            f"a wrong value of {attribute} is refused by name", named, error, shows=world.events[-1]
        )
    code = program(scenario={"compose-message": {"to": []}})
    error = world.events[-1].text
    yield holds(
        "a mail without recipients is refused",
        code == 2 and "to: no" in error,
        error,
        shows=world.events[-1],
    )

    forwarded = forward(mail, "ops@yourco.test", ["boss@yourco.test"], "See below.")
    inner = read(read(forwarded.to_bytes()).attachments[0].content)
    same = (mail.subject, mail.text)
    yield equal("a forwarded mail is complete", (inner.subject, inner.text), same)

    broken = [first[:at] for at in range(0, len(first), 7)]
    broken += [bytes(reversed(first)), b"\0" * 100, b"\xff\n" * 50]
    yield equal("any bytes can be read as a mail", len([*map(read, broken)]), len(broken))

    secret = compose(Rules(ORDER["sender"], bcc=("secret@yourco.test",))).to_bytes()
    yield holds("Bcc is never in the mail", b"secret" not in secret, secret)
