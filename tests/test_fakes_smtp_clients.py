"""smtplib and aiosmtplib, which were not written here, do real work on our SMTP server."""

from __future__ import annotations

import asyncio
import smtplib
import ssl
from email.message import EmailMessage

import aiosmtplib
import pytest

from fakes.world import World


def order() -> EmailMessage:
    """A message with everything that may be damaged on its way: umlauts, dots, all bytes."""
    message = EmailMessage()
    message["From"], message["To"] = "shop@example.org", "alice@example.test"
    message["Subject"] = "Bestellung ä"
    message.set_content("Grüße\n.\n..\n")
    message.add_attachment(
        bytes(range(256)), maintype="application", subtype="octet-stream", filename="all.bin"
    )
    return message


def context(world: World) -> ssl.SSLContext:
    """The context of a client that trusts this world's certificates."""
    return ssl.create_default_context(cafile=str(world.ca_file))


def in_clear(world: World) -> aiosmtplib.SMTP:
    """An aiosmtplib client without TLS."""
    return aiosmtplib.SMTP(
        hostname="127.0.0.1",
        port=world.address("smtp")[1],
        local_hostname="client.example",
        start_tls=False,
    )


# ── aiosmtplib ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "CRAM-MD5"])
@pytest.mark.parametrize("listener", ["smtp", "smtps"])
async def test_aiosmtplib_logs_in_and_sends(mechanism: str, listener: str) -> None:
    config = {"servers": ["smtp"], "tls": "required", "mail": {"login": "required"}}
    async with World(config, ports={"smtp": 0, "smtps": 0}) as world:
        host, port = world.address(listener)
        client = aiosmtplib.SMTP(
            hostname="localhost",
            port=port,
            use_tls=listener == "smtps",
            start_tls=listener == "smtp",
            tls_context=context(world),
            local_hostname="client.example",
        )
        async with client:
            await client.ehlo()
            log_in = {
                "PLAIN": client.auth_plain,
                "LOGIN": client.auth_login,
                "CRAM-MD5": client.auth_crammd5,
            }[mechanism]
            with pytest.raises(aiosmtplib.SMTPAuthenticationError):
                await log_in("alice", "wrong")
            await log_in("alice", "secret")
            to = ["alice@example.test", "nobody@example.test"]
            refused, reply = await client.send_message(order(), recipients=to)
            assert list(refused) == ["nobody@example.test"] and "Queued as" in reply
            assert (await client.vrfy("bob")).message.endswith("<bob@example.test>")
            assert "knows" in await client.help()
        mail = await world.mail.arrival(lambda mail: mail.subject == "Bestellung ä")
        assert mail.attachment("all.bin") == bytes(range(256))
        assert "Grüße\n.\n..\n" in mail.text
        envelope = mail.envelope
        assert (envelope.login, envelope.protocol, host) == (
            "alice@example.test",
            "ESMTPSA",
            "127.0.0.1",
        )


async def test_aiosmtplib_sends_addresses_beyond_ascii_and_delivery_options() -> None:
    people = [{"address": "jürgen@example.test"}]
    async with World({"servers": ["smtp"], "person": people, "tls": "off"}) as world:
        async with in_clear(world) as client:
            await client.sendmail(
                "käthe@example.org",
                ["jürgen@example.test"],
                "Subject: hi\r\n\r\n",
                mail_options=["SMTPUTF8", "RET=HDRS"],
                rcpt_options=["NOTIFY=NEVER"],
            )
        mail = await world.mail.arrival()
        assert mail.envelope.to == ["jürgen@example.test"]
        assert mail.envelope.params["RET"] == "HDRS"


async def test_a_hundred_clients_at_once_are_served() -> None:
    async with World({"servers": ["smtp"], "tls": "off"}) as world:

        async def send(number: int) -> None:
            async with in_clear(world) as client:
                text = f"Subject: {number}\r\n\r\n"
                await client.sendmail("c@example.org", ["alice@example.test"], text)

        await asyncio.gather(*(send(number) for number in range(100)))
        assert {mail.subject for mail in world.mail.messages} == set(map(str, range(100)))


# ── smtplib ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("method", ["auth_plain", "auth_login", "auth_cram_md5"])
def test_smtplib_logs_in_by_each_mechanism(method: str) -> None:
    with World({"servers": ["smtp"], "tls": "optional"}) as world:
        port = world.address("smtp")[1]
        with smtplib.SMTP("localhost", port, local_hostname="client.example") as client:
            client.starttls(context=context(world))
            client.ehlo()
            # `login` would try one mechanism after another; `auth` tries this one only.
            client.user, client.password = "alice", "wrong"
            mechanism = method.removeprefix("auth_").replace("_", "-")
            with pytest.raises(smtplib.SMTPAuthenticationError):
                client.auth(mechanism, getattr(client, method))
            client.password = "secret"
            assert client.auth(mechanism, getattr(client, method))[0] == 235
            client.send_message(order())
        assert world.mail.wait_for().envelope.login == "alice@example.test"


def test_smtplib_reports_a_wrong_password_as_535_although_it_tries_each_mechanism() -> None:
    with World({"servers": ["smtp"], "tls": "off"}) as world:
        for name, password in (("alice", "wrong"), ("nobody", "secret")):
            address = world.address("smtp")
            with smtplib.SMTP(*address, local_hostname="client.example") as client:
                for _ in range(3):  # three logins of three attempts each
                    with pytest.raises(smtplib.SMTPAuthenticationError) as caught:
                        client.login(name, password)
                    assert caught.value.smtp_code == 535
                assert client.docmd("AUTH", "PLAIN AHgAeQ==")[0] == 421, "the tenth attempt"


@pytest.mark.parametrize("limit", [3, 4, 9, 11, 30])
def test_the_number_of_wrong_logins_is_a_setting(limit: int) -> None:
    with World({"servers": ["smtp"], "tls": "off", "mail": {"bad_logins": limit}}) as world:
        with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
            client.ehlo()
            codes = [client.docmd("AUTH", "PLAIN AHgAeQ==")[0] for _ in range(limit)]
            assert codes == [535] * (limit - 1) + [421]


def test_smtplib_sends_to_and_from_domains_with_underscores() -> None:
    addresses = ["a@b_c.example", "a@_x.example", "a@x_.example", "a@_", "a@1_2.example"]
    with World({"servers": ["smtp"], "tls": "off"}) as world:
        with smtplib.SMTP(*world.address("smtp"), local_hostname="my_client") as client:
            for address in addresses:
                client.sendmail(address, [address], "Subject: hi\r\n\r\n")
        assert [mail.envelope.to for mail in world.mail.messages] == [[one] for one in addresses]


def test_smtplib_sends_over_implicit_tls() -> None:
    with World({"servers": ["smtp"], "tls": "optional"}, ports={"smtps": 0}) as world:
        port, name = world.address("smtps")[1], "client.example"
        with smtplib.SMTP_SSL(
            "localhost", port, local_hostname=name, context=context(world)
        ) as client:
            client.login("alice", "secret")
            client.send_message(order())
        assert world.mail.wait_for().envelope.protocol == "ESMTPSA"


def test_smtplib_can_go_on_after_refusals() -> None:
    with World({"servers": ["smtp"], "mail": {"size": 1000}, "tls": "off"}) as world:
        with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                client.sendmail("a@b.c", ["nobody@example.test"], "x")
            with pytest.raises(smtplib.SMTPSenderRefused):
                client.sendmail("a@b.c", ["alice@example.test"], "x" * 2000)
            client.sendmail("a@b.c", ["alice@example.test"], "Subject: hi\r\n\r\n")
        world.mail.wait_for()
