"""What `mail.post_to` does: each mail that arrives is posted to a program on this machine."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator

import pytest

from fakes import World, WorldError, mail_posts

Address = tuple[str, int]
CLOSED = "http://127.0.0.1:9/"  # the port `discard`, at which nothing listens


@pytest.fixture
def app() -> Iterator[World]:
    """The program that is called."""
    with World(servers=["webhook"], tls="off") as world:
        yield world


def world_for(url: str) -> World:
    return World(servers=["smtp"], tls="off", mail={"post_to": url}, faults=["VRFY reset optional"])


def url_of(app: World) -> str:
    host, port = app.address("webhook")
    return f"http://{host}:{port}/in?from=fakes"


def send(world: World, subject: str) -> None:
    with smtplib.SMTP(*world.address("smtp"), local_hostname="shop.example") as client:
        client.sendmail("shop@example.org", ["bob@example.test"], f"Subject: {subject}\r\n\r\n")


def warnings(world: World) -> list[str]:
    return [event.text for event in world.events if event.level == "warning"]


def test_each_mail_is_posted_in_order_as_json(app: World) -> None:
    with world_for(url_of(app)) as world:
        send(world, "Order 1")
        world.mail.deliver(
            "alice@example.test", "Subject: Grüße\r\n\r\n\udcff".encode(errors="replace")
        )
        first, second = app.webhook.wait_for_n(2, path="/in", method="POST")
    assert (first.query, first.type) == ({"from": "fakes"}, "application/json")
    assert first.json["envelope"]["to"] == ["bob@example.test"]
    assert (first.json["id"], first.json["subject"]) == (0, "Order 1")
    assert (second.json["id"], second.json["subject"]) == (1, "Grüße")
    assert warnings(world) == []


def test_a_path_may_have_spaces_and_letters_beyond_ascii(app: World) -> None:
    with world_for(url_of(app).replace("/in?from=", "/grüße für/%C3%A9?from=é+")) as world:
        send(world, "Order 1")
        post = app.webhook.wait_for(method="POST")
    assert post.request.target == "/gr%C3%BC%C3%9Fe%20f%C3%BCr/%C3%A9?from=%C3%A9+fakes"
    assert warnings(world) == []


def test_at_its_end_a_world_waits_for_what_has_to_be_posted(app: World) -> None:
    with world_for(url_of(app)) as world:
        for number in range(5):
            world.mail.deliver("bob@example.test", f"Subject: {number}\r\n\r\n".encode())
    assert [post.json["subject"] for post in app.webhook.all] == list("01234")


async def test_the_program_may_be_on_the_same_loop() -> None:
    async with World(servers=["webhook"], tls="off") as app:
        async with world_for(url_of(app)) as world:
            world.mail.deliver("bob@example.test", b"Subject: hi\r\n\r\n")
        assert (await app.webhook.arrival()).json["subject"] == "hi"


def test_without_memory_a_mail_has_no_id(app: World) -> None:
    with World(
        servers=["smtp"], tls="off", mail={"post_to": url_of(app)}, keep={"arrivals": 0}
    ) as world:
        world.mail.deliver("bob@example.test", b"Subject: hi\r\n\r\n")
        assert "id" not in app.webhook.wait_for().json


def test_a_failure_is_said_once_until_a_mail_is_posted_again(app: World) -> None:
    with world_for(url_of(app)) as world:
        for status in (500, 404, 204, 302):
            app.webhook.answer(status)
        for number in range(4):
            send(world, str(number))
        app.webhook.wait_for_n(4)
    begin = f"mail.post_to: a mail could not be posted to {url_of(app)}: "
    assert warnings(world) == [f"{begin}the answer was 500", f"{begin}the answer was 302"]
    with world_for(CLOSED) as world:
        send(world, "1")
        send(world, "2")
    assert warnings(world) == [
        f"mail.post_to: a mail could not be posted to {CLOSED}: Connection refused"
    ]


def test_no_server_waits_for_the_program(app: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail_posts, "TIMEOUT", 0.2)
    monkeypatch.setattr(mail_posts, "WAITING", 2)
    app.faults.arm("webhook POST stall")
    with world_for(url_of(app)) as world:
        for number in range(5):
            send(world, str(number))
        world.mail.wait_for_n(5)
    assert len(warnings(world)) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/in",
        "https://localhost/in",
        "localhost:3000/in",
        "http://127.0.0.1:port/",
        "http://127.0.0.1:65536/",
        "http://[::1/",
        "http://localhost@192.0.2.1/",
    ],
)
def test_only_a_program_on_this_machine_is_called(url: str) -> None:
    message = (
        f"world: mail.post_to: '{url}' is not a URL of this machine; write http://127.0.0.1:PORT"
    )
    with pytest.raises(WorldError) as refused:
        world_for(url)
    assert str(refused.value).startswith(message)


def test_a_rehearsal_calls_nobody() -> None:
    with pytest.raises(WorldError, match=r"mail\.post_to: not in a rehearsal, whose program is to"):
        World(rehearsal=True, mail={"post_to": CLOSED})
