"""How to test the mail of a web application, in the framework that it is written in.

Each test is a question of somebody who has an application and wants to see what it sends.
"""

from __future__ import annotations

from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import pytest

from fakes import World

pytestmark = pytest.mark.slow  # for the seconds that the frameworks take to be imported


@pytest.fixture
def django_settings(world: World) -> Iterator[Any]:
    """What settings.py says, with the server of the test as the mail server."""
    from django.conf import settings
    from django.test import override_settings

    if not settings.configured:
        settings.configure()
    host, port = world.address("smtp")
    smtp = "django.core.mail.backends.smtp.EmailBackend"  # as in production, and not locmem
    with override_settings(EMAIL_BACKEND=smtp, EMAIL_HOST=host, EMAIL_PORT=port):
        yield settings


def test_how_do_i_see_what_django_really_sends(django_settings: Any, world: World) -> None:
    from django.core.mail import EmailMultiAlternatives

    mail = EmailMultiAlternatives("Order 7", "Thanks", "shop@example.org", ["bob@example.test"])
    mail.attach_alternative('<p>See <a href="https://shop.example/7">it</a></p>', "text/html")
    mail.attach("invoice.pdf", b"%PDF", "application/pdf")
    assert mail.send() == 1
    arrived = world.mail.wait_for(subject="Order 7")
    assert arrived.text == "Thanks" and arrived.links() == ["https://shop.example/7"]
    assert arrived.attachment("*.pdf") == b"%PDF"


@pytest.mark.world(faults=['RCPT arg "bob@*" reply "550 5.1.1 No such user here"'])
def test_how_do_i_see_what_django_does_about_a_refused_recipient(
    django_settings: Any, world: World
) -> None:
    from django.core.mail import send_mail

    with pytest.raises(OSError, match="No such user here"):
        send_mail("Order 7", "Thanks", "shop@example.org", ["bob@example.test"])
    world.mail.assert_none()


@pytest.mark.world(
    tls="off"
)  # aiosmtplib uses STARTTLS where it is offered, and wants world.ca_file
async def test_how_do_i_test_the_mail_of_a_fastapi_application(world: World) -> None:
    import httpx
    from fastapi import FastAPI

    app = FastAPI()
    host, port = world.address("smtp")

    @app.post("/orders/{number}")
    async def order(number: int) -> dict[str, str]:
        mail = EmailMessage()
        mail["From"], mail["To"] = "shop@example.org", "bob@example.test"
        mail["Subject"] = f"Order {number}"
        await aiosmtplib.send(mail, hostname=host, port=port)
        return {"state": "confirmed"}

    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as browser:
        answer = await browser.post("/orders/7")
    assert answer.json() == {"state": "confirmed"}
    assert (await world.mail.arrival(subject="Order 7")).to == ["bob@example.test"]
