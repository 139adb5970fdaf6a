"""What a transcript may write after `then:` about mail, for SMTP and POP3."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fakes.transcripts.codec import escaped
from fakes.world_mail import WorldMail


def _inbox(mail: WorldMail, rest: str) -> str:
    """`inbox alice@example.test 1`: the number of messages in a maildrop."""
    address, _, _ = rest.partition(" ")
    return f"{address} {len(mail.inbox(address))}"


def _content(mail: WorldMail, _: str) -> str:
    """`content Subject: hi\\r\\n…`: the bytes of the last message accepted."""
    return escaped(mail.messages[-1].raw) if mail.messages else "(no mail)"


def _envelope(mail: WorldMail, _: str) -> str:
    """`envelope <FROM> -> <TO>, <TO>`: the envelope of the last message accepted."""
    if not mail.messages:
        return "(no mail)"
    envelope = mail.messages[-1].envelope
    return f"<{envelope.sender}> -> {', '.join(f'<{address}>' for address in envelope.to)}"


def _count(mail: WorldMail, _: str) -> str:
    """`mail 2`: the number of messages accepted."""
    return str(len(mail.messages))


WORDS: Mapping[str, Callable[[WorldMail, str], str]] = {
    "mail": _count,
    "inbox": _inbox,
    "envelope": _envelope,
    "content": _content,
}
