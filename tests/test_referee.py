"""aiosmtpd, which was not written here, plays our SMTP transcripts too.

Where it answers otherwise, the transcript names the section that decides, or stops there.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiosmtpd.handlers import Message
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

from fakes.people import People, Person
from fakes.transcripts.text import Transcript, load
from tests.referee import STOPS, play_at_referee

DEFAULT_PEOPLE = [{"address": f"{name}@example.test"} for name in ("alice", "bob", "ops")]


def playable(transcript: Transcript) -> bool:
    """Whether a server with default settings, without faults and timers, can play a transcript."""
    steps = transcript.steps
    return not (
        transcript.faults
        or {"tls", "off", "mail"} & set(transcript.given)
        or any(step.kind == "clock" for step in steps)
        or any(step.text == "aiosmtpd: not asked" for step in steps)
    )


TRANSCRIPTS = [
    path
    for path in sorted((Path(__file__).parent / "transcripts").glob("smtp-*.txt"))
    if playable(load(path))
]


class Handler(Message):
    """Accepts mail for the people of our world. Everything else is aiosmtpd's own judgement."""

    def __init__(self, people: People) -> None:
        super().__init__()
        self.people = people

    def handle_message(self, message: object) -> None:
        """Accepts the message and forgets it."""

    async def handle_RCPT(
        self, server: SMTP, session: object, envelope: object, address: str, options: list[str]
    ) -> str:
        name, _, domain = address.partition("@")
        known = self.people.reached_by(address) or name.lower() == "postmaster"
        if domain.lower() == "example.test" and not known:
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)  # type: ignore[attr-defined]
        return "250 OK"


def authenticator(people: People) -> Callable[[object, object, object, str, object], AuthResult]:
    """Returns aiosmtpd's callback that compares a password with that of our world."""

    def check(
        server: object, session: object, envelope: object, mechanism: str, data: object
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        account = people.find(data.login.decode())
        right = account is not None and account.password.encode() == data.password
        return AuthResult(success=right, handled=False)

    return check


@pytest.fixture
def referee(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """The address of an aiosmtpd with the people of the transcript."""
    given = load(request.getfixturevalue("path")).given
    people = People(
        Person(table["address"], table.get("password", "secret"), tuple(table.get("aliases", ())))
        for table in given.get("person", DEFAULT_PEOPLE)
    )
    loop = asyncio.new_event_loop()
    listening = socket.create_server(("127.0.0.1", 0))

    def make() -> SMTP:
        return SMTP(
            Handler(people),
            hostname="mail.example.test",
            enable_SMTPUTF8=True,
            loop=loop,
            authenticator=authenticator(people),
            auth_require_tls=False,
        )

    server = loop.run_until_complete(loop.create_server(make, sock=listening))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield listening.getsockname()[:2]

    async def end() -> None:
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)  # the cancelled tasks end in this turn of the loop

    asyncio.run_coroutine_threadsafe(end(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_referee_agrees_or_the_transcript_notes_the_difference(
    path: Path, referee: tuple[str, int]
) -> None:
    play_at_referee(load(path), referee)


def test_every_difference_names_the_section_that_decides() -> None:
    differences = [
        (f"{path.name}:{step.number}: {step.text}", step.text)
        for path in TRANSCRIPTS
        for step in load(path).steps
        if step.kind == "aiosmtpd" and step.text != STOPS
    ]
    assert differences
    for place, text in differences:
        assert "RFC" in text, place  # "no RFC" is an answer too
