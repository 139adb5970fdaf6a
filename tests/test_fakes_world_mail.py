"""world.mail: what was accepted, looking into maildrops, and delivering without SMTP."""

from __future__ import annotations

import re
import smtplib
from email.message import EmailMessage

import pytest

from comms import bounces, replies
from comms.read import read
from fakes.mail import Envelope, Mail, Recipient
from fakes.mailstore import Mailstore
from fakes.people import People, Person
from fakes.world import World
from fakes.world_mail import WorldMail
from tests.smtp_raw import send_mail

ALICE, BOB, CAROL = "alice@example.test", "bob@example.test", "carol@example.org"
HELLO = "Subject: hello\r\n\r\nhi\r\n"


@pytest.fixture
def mail() -> WorldMail:
    return WorldMail(
        Mailstore(People([Person(ALICE, aliases=("sales@example.test",)), Person(BOB)]))
    )


def send(world: World, *to: str) -> None:
    with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
        client.sendmail(CAROL, to, HELLO)


def test_an_event_about_a_mail_is_one_line_whatever_its_subject_contains(world: World) -> None:
    world.mail.deliver(ALICE, b"Subject: =?utf-8?q?one=0D=0Atwo?=\r\n\r\n", sender=CAROL)
    assert world.events[-1].text.endswith('"one two"')


def test_a_mail_that_arrives_by_smtp_can_be_waited_for(world: World) -> None:
    world.mail.assert_none(within=0.01)
    send(world, ALICE)
    mail = world.mail.wait_for(lambda mail: mail.subject == "hello")
    assert (mail.envelope.sender, mail.envelope.to) == (CAROL, [ALICE])
    assert mail.envelope.helo == "client.example" and not mail.envelope.tls
    with pytest.raises(AssertionError, match=rf"\n  <Mail {CAROL} → {ALICE}: 'hello'>$"):
        world.mail.assert_none()


def test_mail_for_another_domain_is_kept_as_relayed(world: World) -> None:
    send(world, "dave@elsewhere.example", ALICE)
    send(world, ALICE)
    relayed = world.mail.relayed
    assert [mail.envelope.to for mail in relayed] == [["dave@elsewhere.example", ALICE]]
    assert len(world.mail.messages) == len(world.mail.inbox(ALICE)) == 2


def test_each_mail_is_looked_at_once_for_those_that_are_relayed(
    mail: WorldMail, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    owners = Mailstore.owners

    def counts(store: Mailstore, address: str) -> list[Person] | None:
        asked.append(address)
        return owners(store, address)

    def relay(*numbers: int) -> None:
        for number in numbers:
            to = Recipient(f"{number}@elsewhere.example")
            mail.add_arrival(Mail(b"\r\n", Envelope(CAROL, (to,)), 0.0))

    monkeypatch.setattr(Mailstore, "owners", counts)
    relay(1, 2)
    first = mail.relayed
    relay(3)
    assert len(first) == 2 and len(mail.relayed) == len(mail.relayed) == 3
    assert asked == [f"{number}@elsewhere.example" for number in (1, 2, 3)]
    mail.clear()
    relay(4)
    assert [one.envelope.to for one in mail.relayed] == [["4@elsewhere.example"]]
    mail.remember(4)
    relay(*range(5, 20))
    assert mail.relayed == mail.messages and len(mail.relayed) <= 5


def test_mail_can_be_delivered_and_purged_without_smtp(mail: WorldMail) -> None:
    message = EmailMessage()
    message["Subject"] = "preloaded"
    message.set_content("hi")
    mail.deliver(ALICE, message, sender=CAROL)
    mail.deliver("alice+news@example.test", b"Subject: second\r\n\r\n")
    assert [one.subject for one in mail.inbox(ALICE)] == ["preloaded", "second"]
    mail.purge()
    assert mail.messages == mail.inbox(ALICE) == []


def test_delivering_to_an_unknown_address_names_the_known_ones(mail: WorldMail) -> None:
    with pytest.raises(LookupError, match=f"unknown address eve@example.test; .* {ALICE}, {BOB}$"):
        mail.deliver("eve@example.test", b"")


def test_a_delivered_mail_takes_its_sender_from_the_from_header(mail: WorldMail) -> None:
    mail.deliver(ALICE, b"From: Carol <carol@example.org>\r\n\r\n")
    mail.deliver(ALICE, b"From: Carol <carol@example.org>\r\n\r\n", sender="")
    mail.deliver(ALICE, b"From: \xff\x00 <\r\n\r\n")
    paths = [replies.return_path(read(one.raw)) for one in mail.inbox(ALICE)]
    assert paths == [CAROL, "", ""]


def test_the_inbox_of_an_alias_is_that_of_its_owner(mail: WorldMail) -> None:
    mail.deliver("sales@example.test", HELLO.encode())
    assert [one.subject for one in mail.inbox("sales@example.test")] == ["hello"]
    assert mail.inbox("sales@example.test")[0].raw.startswith(b"Return-Path: <>\r\n")
    assert mail.maildrop(ALICE).size == len(mail.inbox(ALICE)[0].raw)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        (
            "alcie@example.test",
            f"unknown address alcie@example.test; this world has {ALICE}, {BOB}",
        ),
        ("eve@example.test", "unknown address eve@example.test"),
        ("eve", f"unknown address eve; this world has {ALICE}, {BOB}"),
        ("", "unknown address "),
        ("alice@exmaple.test", "; mail for other domains is in world.mail.relayed"),
        (CAROL, f"unknown address {CAROL}; this world has {ALICE}, {BOB}; mail for other dom"),
        ("postmaster@example.test", "unknown address postmaster@example.test"),
        ("Alice <alice@example.test>", "unknown address Alice <alice@example.test>"),
    ],
)
def test_the_inbox_of_nobody_is_an_error_that_names_the_accounts(
    mail: WorldMail, address: str, message: str
) -> None:
    for look in (mail.inbox, mail.maildrop):
        with pytest.raises(LookupError, match=re.escape(message)):
            look(address)
    assert mail.store.maildrops == [], "looking makes none"


def test_an_inbox_is_found_in_any_spelling_of_its_address(mail: WorldMail) -> None:
    mail.deliver(ALICE, HELLO.encode())
    for address in ("ALICE@example.test", "alice@EXAMPLE.TEST", "alice", "alice+tag@example.test"):
        assert len(mail.inbox(address)) == 1 and mail.maildrop(address) is mail.maildrop(ALICE)


def test_an_address_of_several_people_has_no_inbox_of_its_own() -> None:
    people = [Person(one, aliases=("team@example.test",)) for one in (ALICE, BOB)]
    mail = WorldMail(Mailstore(People(people)))
    mail.deliver("team@example.test", HELLO.encode())
    assert len(mail.inbox(ALICE)) == len(mail.inbox(BOB)) == 1
    with pytest.raises(LookupError, match=f"reaches several maildrops; choose from {ALICE}, {BOB}"):
        mail.inbox("team@example.test")


def test_every_address_of_a_catch_all_domain_has_an_inbox() -> None:
    mail = WorldMail(Mailstore(People([Person(ALICE)]), catch_all=("hooks.test",)))
    mail.deliver("any@hooks.test", HELLO.encode())
    assert len(mail.inbox("any@hooks.test")) == 1 and mail.inbox("other@hooks.test") == []
    with pytest.raises(LookupError, match=r", and every address of hooks\.test"):
        mail.inbox(CAROL)


def test_a_report_can_be_sent_about_any_mail() -> None:
    world = World(rehearsal=True)
    far, near = "far@elsewhere.example", "near@elsewhere.example"
    send_mail(world, f"MAIL FROM:<{ALICE}>", f"RCPT TO:<{far}>", f"RCPT TO:<{near}> NOTIFY=NEVER")
    (mail,) = world.mail.relayed
    report = world.mail.bounce(
        mail, far, action="delayed", status="4.4.1", text="no answer from host"
    )
    assert report is not None and "Delayed" in report.subject
    found = bounces.report(read(report.raw))
    assert found is not None and found.failed == () and found.recipients[0].action == "delayed"
    assert world.mail.messages == [mail, report]
    assert len(world.mail.inbox(ALICE)) == 1
    assert world.mail.bounce(mail, near) is None, "NOTIFY=NEVER"
    with pytest.raises(LookupError, match=r"eve@elsewhere\.example is not a recipient of <Mail"):
        world.mail.bounce(mail, "eve@elsewhere.example")
    with pytest.raises(ValueError, match=r"action: 'delay' \(did you mean 'delayed'\?\); choose"):
        world.mail.bounce(mail, action="delay")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_report_may_quote_a_reply_of_several_lines_in_any_letters(end: str) -> None:
    world = World(rehearsal=True)
    send_mail(world, f"MAIL FROM:<{ALICE}>", "RCPT TO:<far@elsewhere.example>")
    text = f"550-5.2.1 Postfach gesperrt{end}550 5.2.1 bis März{end}"
    report = world.mail.bounce(world.mail.relayed[0], status="5.2.1", text=text)
    assert report is not None and report.raw.count(b"\n") == report.raw.count(b"\r\n")
    assert "550 5.2.1 bis März" in report.text
    fields = "Diagnostic-Code: smtp; 550-5.2.1 Postfach gesperrt\r\n 550 5.2.1 bis März\r\n\r\n"
    assert fields.encode() in report.raw, "RFC 3464 §2.1.1"


def test_a_report_says_when_the_mail_arrived_not_when_it_was_given_up() -> None:
    world = World(rehearsal=True)
    send_mail(world, f"MAIL FROM:<{ALICE}>", "RCPT TO:<far@elsewhere.example>")
    (mail,) = world.mail.relayed
    world.clock.skip(3 * 86_400)
    report = world.mail.bounce(mail)
    # RFC 3464 §2.2.5
    assert report is not None and b"\r\nArrival-Date: Mon, 05 Jan 2026 " in report.raw
    assert report.headers["date"].startswith("Thu, 08 Jan 2026 ")


def test_repr_counts_what_arrived_and_the_maildrops(mail: WorldMail) -> None:
    assert repr(mail) == "<WorldMail 0 mails, 0 maildrops>"
    mail.deliver(ALICE, b"")
    mail.deliver(ALICE, b"")
    assert repr(mail) == "<WorldMail 2 mails, 1 maildrop>"


# ── keywords of waits ────────────────────────────────────────────────────────


@pytest.fixture
def shop(mail: WorldMail) -> WorldMail:
    raw = b"From: The Shop <shop@example.org>\r\nSubject: Order 1\r\n\r\nThank\r\nyou, Ann!\r\n"
    mail.deliver(ALICE, raw)
    mail.deliver(BOB, raw.replace(b"Order 1", b"Order 12"), sender="bounces@example.org")
    return mail


@pytest.mark.parametrize(
    "wanted",
    [
        {"subject": "Order 1"},
        {"subject": "order 1"},
        {"subject": "* 1"},
        {"to": ALICE},
        {"to": "ALICE@example.test"},
        {"to": "alice@*"},
        {"sender": "shop@example.org", "to": ALICE},
        {"sender": "The Shop <shop@example.org>", "subject": "Order 1", "text": "Thank you"},
    ],
)
def test_a_mail_is_waited_for_by_keywords(shop: WorldMail, wanted: dict[str, str]) -> None:
    assert shop.wait_for(**wanted, timeout=0).envelope.to == [ALICE]  # type: ignore[arg-type]


def test_the_sender_is_in_the_header_or_in_the_envelope(shop: WorldMail) -> None:
    assert shop.wait_for(sender="bounces@example.org").envelope.to == [BOB]
    assert len(shop.wait_for_n(2, sender="shop@example.org")) == 2
    shop.assert_none(sender="bob@example.org")


async def test_keywords_and_a_predicate_must_both_fit(shop: WorldMail) -> None:
    found = await shop.arrival(lambda mail: "12" in mail.subject, text="you, Ann")
    assert found.subject == "Order 12"
    assert len(await shop.arrival_n(2, text="thank".title())) == 2


def test_a_failure_says_why_each_candidate_did_not_fit(shop: WorldMail) -> None:
    with pytest.raises(AssertionError) as caught:
        shop.wait_for(subject="Order 2", to=ALICE, text="Bye", timeout=0)
    expected, alice, bob = str(caught.value).splitlines()
    assert expected.startswith(
        f"expected one mail that fits subject='Order 2' to='{ALICE}' text='Bye' within 0 s, but non"
    )
    assert alice.endswith(": subject is 'Order 1'; text is 'Thank you, Ann!'")
    assert bob.endswith(f": subject is 'Order 12'; to is {BOB}; text is 'Thank you, Ann!'")
    with pytest.raises(AssertionError, match=r"sender is The Shop <shop@example.org>\n"):
        shop.wait_for(sender="eve@example.org", timeout=0)
    with pytest.raises(AssertionError, match="'Order 1'>: the predicate returns false"):
        shop.wait_for(lambda mail: False, sender="shop@*", timeout=0)
    with pytest.raises(AssertionError, match="one mail that fits text='Thank', but 2 arrived"):
        shop.wait_for(text="Thank")


def test_a_keyword_that_does_not_exist_is_refused(shop: WorldMail) -> None:
    with pytest.raises(TypeError, match=r"'subjekt' \(did you mean 'subject'\?\); it has: predica"):
        shop.wait_for(subjekt="x")
    with pytest.raises(TypeError, match=r"'timout' .*'timeout'.*: predicate, timeout, since, subj"):
        shop.wait_for(timout="x")
    with pytest.raises(TypeError, match=r"'timeout'.*; it has: predicate, within, since, subject"):
        shop.assert_none(timeout="x")
    with pytest.raises(TypeError, match="wait_for: to must be a text, not 3"):
        shop.wait_for(to=3)  # type: ignore[arg-type]


def test_a_message_that_is_no_mail_is_refused_with_what_to_write(world: World) -> None:
    message = (
        r"a message is bytes or an EmailMessage, not str; write b\"Subject: .* text.encode\(\)"
    )
    with pytest.raises(TypeError, match=message):
        world.mail.deliver(ALICE, "Subject: hi\r\n\r\n")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="not NoneType; write"):
        world.mail.folder(ALICE).deliver(None)  # type: ignore[arg-type]
