"""A world: its file, its settings, and the test's side of its mail."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage

import pytest

from fakes.bridge import Bridge
from fakes.mailstore import Mailstore
from fakes.people import People, Person
from fakes.world import World, WorldError


@pytest.mark.parametrize(("config", "says"), [
    ({"persons": []}, "did you mean 'person'"),
    ({"person": {"address": "a@b.c"}}, r"write \[\[person\]\]"),
    ({"person": [{"adress": "a@b.c"}]}, "did you mean 'address'"),
    ({"person": [{"address": "alice"}]}, "'alice' is not an address; write address ="),
    ({"person": [{"address": "a@b.c"}, {"address": "A@b.c"}]}, "twice"),
    ({"person": [{"address": "a@b.c", "quota": "much"}]}, "person.quota: expected a whole number, found 'much'; write quota = 10"),
    ({"mail": []}, r"write \[mail\]"),
    ({"mail": {"domain": ["a.b"]}}, "did you mean 'domains'"),
    ({"mail": {"unknown": "drop"}}, "mail.unknown: unknown value 'drop'; choose from reject, bounce"),
    ({"tls": "sometimes"}, "tls: unknown value 'sometimes'; choose from off, optional, required"),
    ({"servers": ["smpt"]}, "did you mean 'smtp'"),
    ({"off": {"smtp": ["PIPELINE"]}}, "did you mean 'PIPELINING'"),
    ({"host": {"commands": [{"output": "x"}]}}, "host.commands.run: missing; write run ="),
    ({"host": {"commands": [{"run": ["df"], "ouput": "x"}]}}, "did you mean 'output'"),
    ({"host": {"commands": [{"run": "df -k"}]}}, "host.commands.run: expected a list of strings, found 'df -k'"),
])  # fmt: skip
def test_a_world_file_that_cannot_be_used_is_told_the_key_and_the_remedy(config: dict[str, object], says: str) -> None:
    with pytest.raises(WorldError, match=says):
        World(config)


def test_the_host_of_a_world_has_the_commands_of_its_file() -> None:
    world = World(
        {"host": {"commands": [{"run": ["df", "-k"], "output": "full\n", "takes": 2, "code": 1}]}}, rehearsal=True
    )
    done = world.host.run(["df", "-k"], 10)
    assert (done.code, done.output, done.seconds) == (1, "full\n", 2)
    assert world.host.run(["df"], 10).code is None


def send(
    world: World, to: list[str], text: str = "Subject: hello\r\n\r\nhi\r\n", sender: str = "carol@example.org"
) -> None:
    with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
        client.sendmail(sender, to, text)


@pytest.fixture
def store() -> Mailstore:
    return Mailstore(People([Person("alice@example.test"), Person("bob@example.test")]))


def test_a_mail_that_arrives_by_smtp_can_be_waited_for(world: World) -> None:
    world.mail.assert_none(within=0.01)
    send(world, ["alice@example.test"])
    mail = world.mail.wait_for(lambda mail: mail.subject == "hello")
    assert (mail.envelope.sender, mail.envelope.to) == ("carol@example.org", ["alice@example.test"])
    assert mail.envelope.helo == "client.example" and not mail.envelope.tls
    with pytest.raises(AssertionError, match=r"\n  <Mail carol@example.org → alice@example.test: 'hello'>$"):
        world.mail.assert_none()


def test_a_maildrop_has_trace_lines_on_top_and_bcc_stays_in_the_envelope(world: World) -> None:
    send(world, ["alice@example.test"], "Return-Path: <forged@evil.example>\r\nSubject: hello\r\n\r\nhi\r\n")
    send(world, ["alice@example.test", "bob@example.test"])
    first, second = (mail.raw.decode() for mail in world.mail.inbox("alice@example.test"))
    assert first.startswith(
        "Return-Path: <carol@example.org>\r\nDelivered-To: alice@example.test\r\nReceived: from client.example"
    )
    assert first.lower().count("return-path:") == 1
    assert "for <alice@example.test>;" in first
    assert "bob@example.test" not in second, "no FOR with several recipients: the others are nobody's business"


def test_mail_for_another_domain_is_kept_as_relayed(world: World) -> None:
    send(world, ["dave@elsewhere.example", "alice@example.test"])
    assert [mail.envelope.to for mail in world.mail.relayed] == [["dave@elsewhere.example", "alice@example.test"]]
    assert len(world.mail.inbox("alice@example.test")) == 1


def test_mail_can_be_delivered_and_purged_without_smtp(store: Mailstore) -> None:
    message = EmailMessage()
    message["Subject"] = "preloaded"
    message.set_content("hi")
    store.deliver("alice@example.test", message, sender="carol@example.org")
    store.deliver("alice+news@example.test", b"Subject: second\r\n\r\n")
    assert [mail.subject for mail in store.inbox("alice@example.test")] == ["preloaded", "second"]
    with pytest.raises(LookupError, match="nobody has the address"):
        store.deliver("nobody@example.test", b"")
    store.purge()
    assert store.messages == store.inbox("alice@example.test") == []


def test_a_mail_gives_its_links_codes_and_attachments() -> None:
    message = EmailMessage()
    message["Subject"] = "Confirm"
    message.set_content("Your code is 482913. See http://shop.test/a?b=1&c=2 today.")
    message.add_alternative('<a href="https://shop.test/confirm?x=1&amp;y=2">here</a>', subtype="html")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="receipt-1.pdf")
    store = Mailstore(People([Person("alice@example.test")]))
    mail = store.deliver("alice@example.test", message)
    assert mail.links() == ["http://shop.test/a?b=1&c=2", "https://shop.test/confirm?x=1&y=2"]
    assert mail.codes() == ["482913"]
    assert mail.attachment("receipt-*.pdf") == b"%PDF"
    with pytest.raises(AssertionError, match=r"receipt-1\.pdf"):
        mail.attachment("*.txt")


def test_any_octets_are_a_mail_with_a_subject_and_a_text(store: Mailstore) -> None:
    for raw in (
        b"",
        b"\0\xff",
        b"Subject: =?utf-8?q?=ff=0d=0a?=\r\n\r\n\xff",
        b"Content-Type: text/plain; charset=no-such\r\n\r\n\xe9",
    ):
        mail = store.deliver("alice@example.test", raw)
        assert isinstance(mail.subject, str) and isinstance(mail.text, str) and repr(mail)


def test_an_alias_reaches_all_who_have_it_and_a_catch_all_domain_everyone() -> None:
    people = People([Person("alice@example.test", aliases=("team@example.test",)),
                     Person("bob@example.test", aliases=("team@example.test",))])  # fmt: skip
    store = Mailstore(people, catch_all=["hooks.test"])
    store.deliver("team@example.test", b"Subject: to both\r\n\r\n")
    store.deliver("Token_1234@hooks.test", b"Subject: caught\r\n\r\n")
    assert [len(store.inbox(f"{name}@example.test")) for name in ("alice", "bob")] == [1, 1]
    assert [mail.subject for mail in store.inbox("token_1234@hooks.test")] == ["caught"]


def test_a_login_is_an_address_or_a_local_part_that_only_one_person_has() -> None:
    people = People([Person("alice@one.test"), Person("alice@two.test"), Person("bob@one.test")])
    assert people.find("ALICE@one.test") is not None
    assert people.find("alice") is None
    assert people.find("bob") is not None


def test_settings_are_what_a_settings_file_for_this_world_would_hold(world: World) -> None:
    smtp = world.settings["smtp"]
    assert (smtp["user"], smtp["password"]) == ("alice@example.test", "secret")
    assert smtp["tls"] in ("none", "starttls")


def test_a_wait_without_a_loop_looks_once() -> None:
    assert Bridge().wait_until(lambda: 3, 1) == 3
    assert Bridge().wait_until(lambda: None, 0) is None
