"""How do I …? Questions of people who test programs that send mail, each answered by a test.

Only the public parts of `fakes` are used, so that the tests can be copied.
"""

from __future__ import annotations

import contextlib
import imaplib
import json
import poplib
import smtplib
import ssl
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from email.message import EmailMessage
from pathlib import Path

import aiosmtplib
import pytest

from fakes import World
from fakes.inbox import Inbox
from fakes.pytest_plugin import ServerAddress

Worlds = Callable[..., World]


def send(server: tuple[str, int], *to: str, subject: str = "hi", text: str = "hello\n") -> None:
    """What the program under test does."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "shop@example.org", ", ".join(to), subject
    mail.set_content(text)
    with smtplib.SMTP(*server, local_hostname="shop.example") as client:
        client.send_message(mail)


def test_how_do_i_wait_for_the_one_mail_without_sleeping(world: World) -> None:
    send(world.address("smtp"), "bob@example.test", subject="Order 7")
    mail = world.mail.wait_for(subject="Order *", to="bob@example.test")
    assert mail.text == "hello\n"


def test_how_do_i_make_sure_that_nothing_is_sent(world: World) -> None:
    world.mail.assert_none(to="bob@example.test")


def test_how_do_i_count_only_what_comes_after_the_first_step(world: World) -> None:
    send(world.address("smtp"), "bob@example.test")
    mark = world.mail.mark()
    send(world.address("smtp"), "bob@example.test", subject="second")
    assert world.mail.wait_for(since=mark).subject == "second"


def test_how_do_i_get_the_link_or_the_code_out_of_a_sign_up_mail(world: World) -> None:
    text = "Your code is 482 913.\nOr click https://shop.example/confirm?t=1 to confirm.\n"
    send(world.address("smtp"), "bob@example.test", text=text)
    mail = world.mail.wait_for()
    assert mail.links() == ["https://shop.example/confirm?t=1"]
    assert mail.codes() == ["482913"]


def test_how_do_i_compare_a_mail_with_what_it_was_last_time(world: World) -> None:
    kept = """{"envelope": {"sender": "shop@example.org", "to": ["bob@example.test"], "login": ""},
        "subject": "hi", "sender": "shop@example.org", "to": ["bob@example.test"], "cc": [],
        "text": "hello\\n", "html": "", "links": [], "codes": [], "attachments": []}"""
    send(world.address("smtp"), "bob@example.test")
    mail = world.mail.wait_for()
    assert mail.as_dict() == json.loads(kept)  # has no Date and no Message-ID
    assert mail.raw.endswith(b"\r\n\r\nhello\r\n")  # what an .eml file holds


@pytest.mark.world(mail={"catch_all": ["*"]})
def test_how_do_i_accept_mail_for_customers_of_any_domain(world: World) -> None:
    send(world.address("smtp"), "anybody@anywhere.example")
    assert world.mail.inbox("anybody@anywhere.example")[0].subject == "hi"


@pytest.mark.world(servers=["smtp", "pop3", "imap"], mail={"accept_any": ["logins", "recipients"]})
def test_how_do_i_accept_any_login(world: World) -> None:
    with smtplib.SMTP(*world.address("smtp"), local_hostname="shop.example") as smtp:
        smtp.login("apikey", "SG.1234")
        smtp.sendmail("shop@example.org", "carol@anywhere.example", "Subject: hi\r\n\r\nHi\r\n")
    pop3 = poplib.POP3(*world.address("pop3"))
    pop3.user("carol@anywhere.example")
    pop3.pass_("anything")
    assert pop3.stat()[0] == 1
    pop3.quit()
    with imaplib.IMAP4(*world.address("imap")) as imap:
        imap.login("carol@anywhere.example", "something else")
        assert imap.select() == ("OK", [b"1"])


def test_how_do_i_keep_tests_apart_that_share_one_server(
    session_world: World, smtp_server: ServerAddress, inbox: Inbox
) -> None:
    send(smtp_server, inbox.address)
    assert inbox.wait_for(subject="hi").envelope.to == [inbox.address]


@pytest.mark.world(faults=['RCPT arg "bob@*" nth 1 reply "451 4.3.0 try again later"'])
def test_how_do_i_refuse_one_recipient_once(world: World) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(world.address("smtp"), "bob@example.test")
    send(world.address("smtp"), "bob@example.test")
    world.mail.wait_for()


FAILING = """
mail = { catch_all = ["fail.test"] }
fault = [
    'RCPT arg "451+*@fail.test" reply "451 4.3.0 later" optional',
    'RCPT arg "550+*@fail.test" reply "550 5.1.1 No such user here" optional',
]
"""


@pytest.mark.world(tomllib.loads(FAILING))
@pytest.mark.parametrize("code", [451, 550])
def test_how_do_i_have_addresses_that_are_always_refused(world: World, code: int) -> None:
    send(world.address("smtp"), "bob@fail.test")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(world.address("smtp"), f"{code}+bob@fail.test")
    assert refused.value.recipients[f"{code}+bob@fail.test"][0] == code


ON_DEMAND = [  # what happens, and what the program under test sees of it
    ('smtp AUTH reply "535 5.7.8 wrong password"', smtplib.SMTPAuthenticationError),
    ('RCPT reply "550 5.1.1 no such user"', smtplib.SMTPRecipientsRefused),
    ("DATA delay 60", smtplib.SMTPServerDisconnected),
    ("smtp connect refuse", ConnectionRefusedError),
]


@pytest.mark.parametrize(("failure", "seen"), ON_DEMAND)
def test_how_do_i_play_a_wrong_password_or_user_a_long_lag_or_no_connection(
    world: World, failure: str, seen: type[Exception]
) -> None:
    world.faults.arm(failure)
    with pytest.raises(seen):
        client = smtplib.SMTP(*world.address("smtp"), "shop.example", timeout=0.2)
        with contextlib.closing(client):
            client.login("alice@example.test", "secret")
            client.sendmail("alice@example.test", ["bob@example.test"], "Subject: hi\r\n\r\n")


def test_how_do_i_find_a_program_that_leaves_out_the_angle_brackets(world: World) -> None:
    with smtplib.SMTP(*world.address("smtp"), local_hostname="shop.example") as client:
        client.ehlo()
        assert client.docmd("MAIL FROM:shop@example.org")[0] == 501  # RFC 5321 §4.1.2
        assert client.docmd("MAIL FROM:<shop@example.org>")[0] == 250


@pytest.mark.world(faults=['. probability 0.2 seed 4 reply "451 4.3.0 try again later"'])
def test_how_do_i_refuse_a_fifth_of_the_mails(world: World) -> None:
    refused = 0
    for _ in range(20):
        try:
            send(world.address("smtp"), "bob@example.test")
        except smtplib.SMTPDataError:
            refused += 1
    assert 1 <= refused <= 9  # the same ones each time
    assert len(world.mail.inbox("bob@example.test")) == 20 - refused


@pytest.mark.world(faults=['MAIL above 2 per 60 reply "421 4.7.0 too many mails"'])
def test_how_do_i_limit_how_many_mails_a_minute_are_accepted(world: World) -> None:
    for _ in range(2):
        send(world.address("smtp"), "bob@example.test")
    with pytest.raises(smtplib.SMTPSenderRefused, match="too many mails"):
        send(world.address("smtp"), "bob@example.test")
    world.skip(60)  # a minute later
    send(world.address("smtp"), "bob@example.test")


@pytest.mark.world(faults=["RETR bandwidth 10"])  # bytes a second
def test_how_do_i_play_a_slow_line(world: World) -> None:
    world.mail.deliver("alice@example.test", b"Subject: hi\r\n\r\n")
    pop3 = poplib.POP3(*world.address("pop3"), timeout=0.05)
    pop3.user("alice@example.test")
    pop3.pass_("secret")
    with pytest.raises(TimeoutError):
        pop3.retr(1)
    pop3.close()


@pytest.mark.world(faults=['EHLO reply "25O mail.example.test"', 'HELO reply "25O hi"'])
def test_how_do_i_send_an_answer_that_is_wrong(world: World) -> None:
    with pytest.raises(smtplib.SMTPHeloError):
        send(world.address("smtp"), "bob@example.test")


@pytest.mark.world(faults=[". lost stored nth 1"])
def test_how_do_i_lose_the_connection_after_the_mail_was_accepted(world: World) -> None:
    with pytest.raises(smtplib.SMTPServerDisconnected):
        send(world.address("smtp"), "bob@example.test")
    world.mail.wait_for()  # a program that simply tries again has sent two


def test_how_do_i_play_an_outage(world: World) -> None:
    world.close_port("smtp")
    with pytest.raises(ConnectionRefusedError):
        send(world.address("smtp"), "bob@example.test")
    world.open_port("smtp")
    send(world.address("smtp"), "bob@example.test")


def test_how_do_i_arm_a_fault_in_the_middle_of_a_test(world: World) -> None:
    send(world.address("smtp"), "bob@example.test")
    world.faults.arm("MAIL reply '421 4.3.2 going down'")
    with pytest.raises(smtplib.SMTPSenderRefused):
        send(world.address("smtp"), "bob@example.test")


def test_how_do_i_send_a_bounce_to_the_program(world: World) -> None:
    sent = world.mail.deliver("bob@example.test", b"Subject: hi\r\n\r\n", "alice@example.test")
    world.mail.bounce(sent, status="5.1.1", text="no such mailbox")
    (report,) = world.mail.inbox("alice@example.test")
    assert report.envelope.sender == ""
    assert report.message.get_content_type() == "multipart/report"


def test_how_do_i_put_a_mail_into_a_mailbox_that_the_program_reads(world: World) -> None:
    world.mail.deliver("alice@example.test", b"Subject: restart mysql\r\n\r\n")
    assert [mail.subject for mail in world.mail.inbox("alice@example.test")] == ["restart mysql"]


@pytest.mark.world(mail={"login": "required"}, tls="required")
def test_how_do_i_demand_tls_and_a_login(world: World) -> None:
    context = ssl.create_default_context(cafile=world.ca_file)
    with smtplib.SMTP("localhost", world.address("smtp")[1], "shop.example") as client:
        client.starttls(context=context)
        client.login("alice@example.test", "secret")
        client.sendmail("alice@example.test", ["bob@example.test"], "Subject: hi\r\n\r\n")
    assert world.mail.wait_for().envelope.protocol == "ESMTPSA"


@pytest.mark.world(faults=["smtp tls certificate expired"])
def test_how_do_i_show_a_certificate_that_has_expired(world: World) -> None:
    context = ssl.create_default_context(cafile=world.ca_file)
    with smtplib.SMTP("localhost", world.address("smtp")[1], "shop.example") as client:
        with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
            client.starttls(context=context)


async def test_how_do_i_use_it_with_asyncio(world: World, inbox: Inbox) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "shop@example.org", inbox.address, "hi"
    host, port = world.address("smtp")
    await aiosmtplib.send(mail, hostname=host, port=port, start_tls=False)
    assert (await world.mail.arrival()).subject == "hi"
    assert len(await inbox.arrival_n(1)) == 1
    await inbox.no_arrival(subject="another", within=0.01)


def test_how_do_i_look_at_html_recipients_and_attachments(world: World) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Cc"] = (
        "shop@example.org",
        "bob@example.test",
        "Al <a@x.example>",
    )
    mail["Subject"] = "Order 7"
    mail.set_content("Thanks")
    mail.add_alternative("<p>Thanks</p>", subtype="html")
    mail.add_attachment(b"%PDF", "application", "pdf", filename="invoice.pdf")
    with smtplib.SMTP(*world.address("smtp"), local_hostname="shop.example") as client:
        client.send_message(mail, to_addrs=["bob@example.test", "ops@example.test"])
    found = world.mail.wait_for(subject="Order 7", to="bob@example.test")
    assert (found.to, found.cc) == (["bob@example.test"], ["a@x.example"])
    assert found.envelope.to == ["bob@example.test", "ops@example.test"]  # Bcc, too
    assert found.html == "<p>Thanks</p>\n" and found.attachment("*.pdf") == b"%PDF"


def test_how_do_i_read_the_mail_back_by_pop3_and_imap(
    world: World, pop3_server: ServerAddress, imap_server: ServerAddress
) -> None:
    send(world.address("smtp"), "bob@example.test")
    pop3 = poplib.POP3(*pop3_server)
    pop3.user("bob@example.test")
    pop3.pass_("secret")
    assert b"Subject: hi" in pop3.retr(1)[1]
    pop3.quit()
    with imaplib.IMAP4(*imap_server) as imap:
        imap.login("bob@example.test", "secret")
        imap.select()
        assert imap.search(None, "SUBJECT", "hi") == ("OK", [b"1"])


def test_how_do_i_see_the_copy_that_the_program_puts_into_its_folder_of_sent_mail(
    world: World, imap_server: ServerAddress
) -> None:
    with imaplib.IMAP4(*imap_server) as imap:  # what the program does after it has sent a mail
        imap.login("alice@example.test", "secret")
        imap.append("Sent", r"(\Seen)", "", b"Subject: Order 7\r\n\r\n")
    (copy,) = world.mail.folder("alice@example.test", "Sent")
    assert (copy.mail.subject, copy.flags) == ("Order 7", [r"\Seen"])


def test_how_do_i_send_and_retrieve_in_parallel(world: World, imap_server: ServerAddress) -> None:
    with ThreadPoolExecutor(4) as senders:
        for number in range(20):
            senders.submit(send, world.address("smtp"), "bob@example.test", subject=str(number))
        with imaplib.IMAP4(*imap_server) as imap:
            imap.login("bob@example.test", "secret")
            imap.select()
            world.mail.wait_for_n(20)
            imap.noop()
            assert imap.search(None, "ALL")[1][0].split()[-1] == b"20"


def test_how_do_i_have_my_program_called_when_a_mail_arrives(world_factory: Worlds) -> None:
    program = world_factory(servers=["webhook"])  # in place of yours
    host, port = program.address("webhook")
    world = world_factory(mail={"post_to": f"http://{host}:{port}/mails"})
    send(world.address("smtp"), "bob@example.test", subject="Order 7")
    assert program.webhook.wait_for(path="/mails").json["subject"] == "Order 7"


def test_how_do_i_run_several_servers_at_once(world: World, world_factory: Worlds) -> None:
    other = world_factory()  # each has free ports of its own, also under pytest-xdist
    send(other.address("smtp"), "bob@example.test")
    other.mail.wait_for()
    world.mail.assert_none()


@pytest.mark.world(tls="optional")
@pytest.mark.parametrize("port", ["submission", "smtps"])
def test_how_do_i_use_the_other_ports_of_smtp(world: World, port: str) -> None:
    number, context = world.address(port)[1], ssl.create_default_context(cafile=world.ca_file)
    client: smtplib.SMTP
    if port == "smtps":  # TLS from the start, as at 465
        client = smtplib.SMTP_SSL("localhost", number, "shop.example", context=context)
    else:  # as at 587
        client = smtplib.SMTP("localhost", number, "shop.example")
        client.starttls(context=context)
    with client:
        client.login("alice@example.test", "secret")
        client.sendmail("alice@example.test", ["bob@example.test"], "Subject: hi\r\n\r\n")
    assert world.mail.wait_for().subject == "hi"


@pytest.mark.world(tls="required")
def test_how_do_i_use_starttls_with_each_protocol_of_mail(
    world: World, pop3_server: ServerAddress, imap_server: ServerAddress
) -> None:
    context = ssl.create_default_context(cafile=world.ca_file)
    with smtplib.SMTP("localhost", world.address("smtp")[1], "shop.example") as smtp:
        smtp.starttls(context=context)
        smtp.sendmail("shop@example.org", ["bob@example.test"], "Subject: hi\r\n\r\n")
    pop3 = poplib.POP3("localhost", pop3_server.port)
    pop3.stls(context)
    pop3.user("bob@example.test")
    pop3.pass_("secret")
    assert pop3.stat()[0] == 1
    pop3.quit()
    with imaplib.IMAP4("localhost", imap_server.port) as imap:
        imap.starttls(context)
        imap.login("bob@example.test", "secret")
        assert imap.select() == ("OK", [b"1"])


def test_how_do_i_keep_a_mail_as_a_file(world: World, tmp_path: Path) -> None:
    send(world.address("smtp"), "bob@example.test", subject="Order 7")
    (tmp_path / "order.eml").write_bytes(world.mail.wait_for().raw)
    world.mail.deliver("alice@example.test", (tmp_path / "order.eml").read_bytes())
    assert world.mail.inbox("alice@example.test")[0].subject == "Order 7"


@pytest.mark.world(mail={"size": 100, "recipients": 1})
def test_how_do_i_reach_the_limits_of_a_server(world: World) -> None:
    with pytest.raises(smtplib.SMTPException):
        send(world.address("smtp"), "bob@example.test", text="x" * 200)
    with smtplib.SMTP(*world.address("smtp"), local_hostname="shop.example") as client:
        people = ["bob@example.test", "alice@example.test"]
        refused = client.sendmail("shop@example.org", people, "Subject: hi\r\n\r\n")
    assert refused["alice@example.test"][0] == 452


@pytest.mark.world(person=[{"address": "bob@example.test", "quota": 10}])
def test_how_do_i_fill_a_mailbox(world: World) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(world.address("smtp"), "bob@example.test")


@pytest.mark.world(manners={"smtp": "postfix"})
def test_how_do_i_test_against_the_server_that_i_deploy_on(world: World) -> None:
    with smtplib.SMTP(*world.address("smtp"), local_hostname="shop.example") as client:
        client.ehlo()
        client.mail("shop@example.org")
        assert client.docmd("DATA")[0] == 554  # the RFC allows 503, too, which ours says otherwise


async def test_how_do_i_use_starttls_with_aiosmtplib(world: World) -> None:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "shop@example.org", "bob@example.test", "hi"
    context = ssl.create_default_context(cafile=world.ca_file)
    port = world.address("smtp")[1]
    await aiosmtplib.send(
        mail, hostname="localhost", port=port, start_tls=True, tls_context=context
    )
    assert (await world.mail.arrival()).envelope.protocol == "ESMTPS"
