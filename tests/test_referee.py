"""aiosmtpd, which nobody here wrote, plays our SMTP transcripts too: where it says something else, the transcript names
the section that decides, or stops there.
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
from fakes.transcripts.text import load
from tests.referee import play_at_referee

# Its world is one server with default settings: what plays in another world is not asked of it.
TRANSCRIPTS = [
    path
    for path in sorted((Path(__file__).parent / "transcripts").glob("smtp-*.txt"))
    if not (one := load(path)).faults
    and not any(step.kind == "clock" for step in one.steps)
    and not any(step.text == "aiosmtpd: not asked" for step in one.steps)
    and not {"tls", "off", "mail"} & set(one.given)
]


class Handler(Message):
    """Takes mail for whom our world has; the rest is aiosmtpd's own judgement."""

    def __init__(self, people: People) -> None:
        super().__init__()
        self.people = people

    def handle_message(self, message: object) -> None:
        """Accepted, and forgotten."""

    async def handle_RCPT(
        self, server: SMTP, session: object, envelope: object, address: str, options: list[str]
    ) -> str:
        name, _, domain = address.partition("@")
        if (
            domain.lower() == "example.test"
            and not self.people.reached_by(address)
            and name.lower() != "postmaster"
        ):
            return "550 5.1.1 no such mailbox"
        envelope.rcpt_tos.append(address)  # type: ignore[attr-defined]
        return "250 OK"


def authenticator(people: People) -> Callable[[object, object, object, str, object], AuthResult]:
    def check(
        server: object, session: object, envelope: object, mechanism: str, data: object
    ) -> AuthResult:
        assert isinstance(data, LoginPassword)
        account = people.find(data.login.decode())
        return AuthResult(
            success=bool(account and account.password.encode() == data.password), handled=False
        )

    return check


@pytest.fixture
def referee(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    people = People(
        Person(table["address"], table.get("password", "secret"), tuple(table.get("aliases", ())))
        for table in load(request.getfixturevalue("path")).given.get(
            "person", [{"address": f"{name}@example.test"} for name in ("alice", "bob", "ops")]
        )
    )
    loop = asyncio.new_event_loop()
    listening = socket.create_server(("127.0.0.1", 0))

    def make() -> SMTP:
        return SMTP(
            Handler(people), hostname="mail.example.test", enable_SMTPUTF8=True, loop=loop,
            authenticator=authenticator(people), auth_require_tls=False,
        )  # fmt: skip

    server = loop.run_until_complete(loop.create_server(make, sock=listening))
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield listening.getsockname()[:2]

    async def end() -> None:
        server.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.sleep(0)

    asyncio.run_coroutine_threadsafe(end(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_referee_agrees_or_the_transcript_says_why_not(
    path: Path, referee: tuple[str, int]
) -> None:
    play_at_referee(load(path), referee)


def test_every_difference_names_the_section_that_decides() -> None:
    for path in TRANSCRIPTS:
        for step in load(path).steps:
            if step.kind == "aiosmtpd" and step.text != "stops here":
                assert "RFC" in step.text or "no RFC" in step.text, (
                    f"{path.name}:{step.number}: {step.text}"
                )
