"""Clients that nobody here wrote, in the same process: smtplib and aiosmtplib do real work on our server."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage

import aiosmtplib
import pytest

from fakes.world import World


def order() -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "shop@example.org",
        "alice@example.test",
        "Bestellung ä",
    )
    message.set_content("Grüße\n.\n..\n")
    message.add_attachment(
        bytes(range(256)), maintype="application", subtype="octet-stream", filename="all.bin"
    )
    return message


def context(world: World) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(world.ca_file))


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("listener", ["smtp", "smtps"])
async def test_aiosmtplib_logs_in_and_sends(mechanism: str, listener: str) -> None:
    config = {"servers": ["smtp"], "tls": "required", "mail": {"login": "required"}}
    async with World(config, ports={"smtp": 0, "smtps": 0}) as world:
        host, port = world.address(listener)
        client = aiosmtplib.SMTP(
            hostname="localhost", port=port, use_tls=listener == "smtps", start_tls=listener == "smtp",
            tls_context=context(world), local_hostname="client.example",
        )  # fmt: skip
        async with client:
            await client.ehlo()
            method = {
                "PLAIN": client.auth_plain,
                "LOGIN": client.auth_login,
                "CRAM-MD5": client.auth_crammd5,
            }[mechanism]
            with pytest.raises(aiosmtplib.SMTPAuthenticationError):
                await method("alice", "wrong")
            await method("alice", "secret")
            refused, said = await client.send_message(
                order(), recipients=["alice@example.test", "nobody@example.test"]
            )
            assert list(refused) == ["nobody@example.test"] and "Queued as" in said
            assert (await client.vrfy("bob")).message.endswith("<bob@example.test>")
            assert "knows" in await client.help()
        mail = await world.mail.arrival(lambda mail: mail.subject == "Bestellung ä")
        assert mail.attachment("all.bin") == bytes(range(256)) and "Grüße\n.\n..\n" in mail.text
        assert (mail.envelope.login, mail.envelope.protocol, host) == (
            "alice@example.test",
            "ESMTPSA",
            "127.0.0.1",
        )


async def test_aiosmtplib_sends_addresses_beyond_ascii_and_delivery_options() -> None:
    async with World(
        {"servers": ["smtp"], "person": [{"address": "jürgen@example.test"}], "tls": "off"}
    ) as world:
        async with aiosmtplib.SMTP(
            port=world.address("smtp")[1],
            hostname="127.0.0.1",
            local_hostname="client.example",
            start_tls=False,
        ) as client:
            await client.sendmail(
                "käthe@example.org", ["jürgen@example.test"], "Subject: hi\r\n\r\n", mail_options=["SMTPUTF8", "RET=HDRS"],
                rcpt_options=["NOTIFY=NEVER"],
            )  # fmt: skip
        mail = await world.mail.arrival()
        assert mail.envelope.to == ["jürgen@example.test"] and mail.envelope.params["RET"] == "HDRS"


async def test_many_clients_at_once_are_served() -> None:
    async with World({"servers": ["smtp"], "tls": "off"}) as world:

        async def one(number: int) -> None:
            async with aiosmtplib.SMTP(
                port=world.address("smtp")[1],
                hostname="127.0.0.1",
                local_hostname="client.example",
                start_tls=False,
            ) as client:
                await client.sendmail(
                    "c@example.org", ["alice@example.test"], f"Subject: {number}\r\n\r\n"
                )

        await asyncio.gather(*(one(number) for number in range(100)))
        assert {mail.subject for mail in world.mail.messages} == {
            str(number) for number in range(100)
        }


@pytest.mark.parametrize("method", ["auth_plain", "auth_login", "auth_cram_md5"])
def test_smtplib_logs_in_by_each_mechanism_alone(method: str) -> None:
    with World({"servers": ["smtp"], "tls": "optional"}) as world:
        with smtplib.SMTP(
            "localhost", world.address("smtp")[1], local_hostname="client.example"
        ) as client:
            client.starttls(context=context(world))
            client.ehlo()
            client.user, client.password = "alice", "wrong"
            mechanism = method.removeprefix("auth_").replace("_", "-")
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.auth(mechanism, getattr(client, method))
            client.password = "secret"
            assert client.auth(mechanism, getattr(client, method))[0] == 235
            client.send_message(order())
        assert world.mail.wait_for().envelope.login == "alice@example.test"


def test_smtplib_over_implicit_tls() -> None:
    with World({"servers": ["smtp"], "tls": "optional"}, ports={"smtps": 0}) as world:
        port = world.address("smtps")[1]
        with smtplib.SMTP_SSL(
            "localhost", port, local_hostname="client.example", context=context(world)
        ) as client:
            client.login("alice", "secret")
            client.send_message(order())
        assert world.mail.wait_for().envelope.protocol == "ESMTPSA"


def test_smtplib_goes_on_after_refusals() -> None:
    with World({"servers": ["smtp"], "mail": {"size": 1000}, "tls": "off"}) as world:
        with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail("a@b.c", ["nobody@example.test"], "x")
            with pytest.raises(smtplib.SMTPSenderRefused):
                client.sendmail("a@b.c", ["alice@example.test"], "x" * 2000)
            client.sendmail("a@b.c", ["alice@example.test"], "Subject: hi\r\n\r\n")
        world.mail.wait_for()
