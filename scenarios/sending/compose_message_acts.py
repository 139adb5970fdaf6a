"""A further act of compose-message: what is built is read back, whatever comes; answered and handed on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from comms.compose import Message
from comms.read import read
from comms.replies import forward
from scenarios.play import Claim, Program, act
from scenarios.sending.compose_message import ORDER, WORLD, Draft, compose, printed

if TYPE_CHECKING:
    from fakes import World

__all__ = ["WORLD"]

REFUSED = {
    "subject": "Hello\r\nBcc: everybody@evil.example",
    "sender": "Jeremy",
    "to": ["maggie@yourco.test, bob@yourco.test"],
    "reply_to": ["ops@yourco.test\nX: y"],
    "attach": ["no-such-file.pdf"],
}


@act("mail-roundtrip", book=False)
def roundtrip(world: World, program: Program) -> Iterator[Claim]:
    """Built, printed, parsed: equal. What could break a mail is refused; what strangers send is read."""
    program()
    first = printed(world)
    mail = read(first)
    assert mail.sender is not None
    again = Message(
        str(mail.sender), [str(box) for box in mail.to], mail.subject, mail.text,
        reply_to=[str(box) for box in mail.reply_to], date=mail.date.timestamp() if mail.date else None,
        message_id=mail.message_id,
    )  # fmt: skip
    yield Claim("built again from what was parsed, it is the same octet for octet", again.to_bytes() == first, first)

    for attribute, value in REFUSED.items():
        code = program(scenario={"compose-message": {attribute: value}})
        said = world.events[-1].text
        yield Claim(f"{attribute} that could break a mail is refused by its name", code == 2 and (
            attribute in said or "no-such-file" in said
        ), said)  # fmt: skip
    code = program(scenario={"compose-message": {"to": []}})
    said = world.events[-1].text
    yield Claim("a mail to nobody is refused", code == 2 and "to: no recipients" in said, said)

    handed_on = read(forward(mail, "ops@yourco.test", ["boss@yourco.test"], "See below.").to_bytes())
    inner = read(handed_on.attachments[0].content)
    yield Claim("handed on it is still whole", (inner.subject, inner.text) == (mail.subject, mail.text), inner.subject)

    broken = [first[:at] for at in range(0, len(first), 7)] + [bytes(reversed(first)), b"\0" * 100, b"\xff\n" * 50]
    read_back = [read(octets) for octets in broken]
    yield Claim("whatever octets come, a mail is read", len(read_back) == len(broken))

    hidden = compose(Draft(ORDER["sender"], bcc=("secret@yourco.test",))).to_bytes()
    yield Claim("Bcc is never in the mail", b"secret" not in hidden, hidden)
