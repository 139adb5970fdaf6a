"""The mail store: who owns an address, what is delivered and traced, quotas, and store faults."""

from __future__ import annotations

import tracemalloc

import pytest

from comms import bounces
from comms.read import read
from fakes.keep import PER_MAIL, Keep
from fakes.mail import Envelope, Mail, Recipient
from fakes.mailstore import Mailstore, StoreFaults
from fakes.people import People, Person
from fakes.wire import Facts
from fakes.world import World
from tests.bare_core import ask, drain
from tests.smtp_raw import send_mail

ALICE, BOB, CAROL = "alice@example.test", "bob@example.test", "carol@example.org"
BODY = b"Subject: hello\r\n\r\nhi\r\n"


def mail(*to: str, raw: bytes = BODY, sender: str = CAROL) -> Mail:
    return Mail(raw, Envelope(sender, tuple(map(Recipient, to)), helo="client.example"))


def subjects(store: Mailstore, address: str) -> list[str]:
    return [row.mail.subject for row in store.maildrop(address).rows]


def delivered_to(store: Mailstore, address: str) -> list[str]:
    """The addresses by which mails reached this maildrop."""
    return [read(row.raw).get("delivered-to") for row in store.maildrop(address).rows]


@pytest.fixture
def store() -> Mailstore:
    people = [
        Person(ALICE, aliases=("sales@example.test", "all@example.test")),
        Person(BOB, aliases=("all@example.test",)),
    ]
    return Mailstore(People(people), catch_all=["hooks.test"])


# ── who owns an address ──────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("address", "owners"),
    [
        (ALICE, [ALICE]),
        ("ALICE@Example.Test", [ALICE]),
        ("alice", [ALICE]),
        ("alice+tag@example.test", [ALICE]),
        ("all@example.test", [ALICE, BOB]),
        ("eve@example.test", []),
        ("What.Ever@hooks.test", ["what.ever@hooks.test"]),
        (CAROL, None),
    ],
)
def test_an_address_reaches_its_owners(
    store: Mailstore, address: str, owners: list[str] | None
) -> None:
    found = store.owners(address)
    assert (found if found is None else [person.address for person in found]) == owners


def test_mail_for_our_domains_and_the_catch_all_domains_ends_here(store: Mailstore) -> None:
    assert store.is_local("EXAMPLE.test") and store.is_local("hooks.test")
    assert not store.is_local("example.org")


# ── delivery ─────────────────────────────────────────────────────────────────


def test_an_alias_reaches_all_who_have_it(store: Mailstore) -> None:
    for to in ("sales@example.test", "ALL@example.test", "alice+tag@example.test"):
        store.accept(mail(to))
    assert delivered_to(store, ALICE) == [
        "sales@example.test",
        "ALL@example.test",
        "alice+tag@example.test",
    ]
    assert delivered_to(store, BOB) == ["ALL@example.test"]


def test_each_address_of_a_catch_all_domain_has_its_own_maildrop(store: Mailstore) -> None:
    store.accept(mail("Token_1234@hooks.test"))
    assert subjects(store, "token_1234@hooks.test") == ["hello"]
    assert subjects(store, "other@hooks.test") == []


def test_a_star_catches_the_addresses_of_all_domains() -> None:
    store = Mailstore(People([Person(ALICE)]), catch_all=["*"])
    assert store.is_local("elsewhere.test")
    store.accept(mail("customer@elsewhere.test", ALICE))
    assert subjects(store, "customer@elsewhere.test") == subjects(store, ALICE) == ["hello"]


def test_a_maildrop_that_two_recipients_reach_gets_one_copy(store: Mailstore) -> None:
    store.accept(mail(ALICE, "sales@example.test"))
    assert delivered_to(store, ALICE) == [ALICE]


def test_a_message_and_its_reports_are_shown_together_after_the_250(store: Mailstore) -> None:
    shown: list[tuple[Mail, ...]] = []
    store.on_acknowledged = lambda *mails: shown.append(mails)
    message = mail("eve@example.test", sender=ALICE)
    store.accept(message)
    assert shown == []
    store.acknowledged(message)
    ((first, report),) = shown
    assert first is message
    assert (report.envelope.sender, report.envelope.to) == ("", [ALICE])
    assert len(store.maildrop(ALICE).rows) == 1


def test_postmaster_needs_no_account(store: Mailstore) -> None:
    for address in ("PostMaster", "postmaster@example.test"):
        (status,) = store.plan(mail(address)).statuses
        assert status.action == "delivered", address
    (status,) = store.plan(mail("eve")).statuses
    assert (status.recipient.address, status.status) == ("eve", "5.1.1")


# ── trace lines ──────────────────────────────────────────────────────────────


def test_a_maildrop_has_the_trace_lines_on_top_and_one_return_path(store: Mailstore) -> None:
    forged = (
        b"Return-Path: <forged@evil.example>\r\nSubject: hello\r\nreturn-path:\r\n x\r\n"
        b"ReTuRn-Path: <y@evil.example>\r\n\r\nhi\r\n"
    )
    store.accept(mail(ALICE, raw=forged))
    (row,) = store.maildrop(ALICE).rows
    assert row.raw.decode() == (
        "Return-Path: <carol@example.org>\r\n"
        "Delivered-To: alice@example.test\r\n"
        "Received: from client.example ([127.0.0.1])\r\n"
        "\tby mail.example.test with ESMTP id 1\r\n"
        "\tfor <alice@example.test>;\r\n"
        "\tThu, 01 Jan 1970 00:00:00 +0000\r\n"
        "Subject: hello\r\n\r\nhi\r\n"
    )


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_return_path_in_the_body_stays(store: Mailstore, end: bytes) -> None:
    body = end.join((b"Subject: hello", b"", b"Return-Path: <x@y.example>", b"", b""))
    store.accept(mail(ALICE, raw=b"Return-Path: <x@y.example>" + end + body))
    assert store.maildrop(ALICE).rows[0].body == body


def test_an_address_of_ipv6_is_marked_in_the_trace(store: Mailstore) -> None:
    sent = mail(ALICE)
    sent.envelope.peer = "::1"
    store.accept(sent)
    assert b"([IPv6:::1])\r\n" in store.maildrop(ALICE).rows[0].trace  # RFC 5321 §4.1.3


def test_a_recipient_of_a_blind_copy_is_not_shown_to_the_others(store: Mailstore) -> None:
    store.accept(mail(ALICE, BOB))
    (row,) = store.maildrop(ALICE).rows
    assert b"bob@example.test" not in row.raw and b"for <" not in row.raw


# ── quotas ───────────────────────────────────────────────────────────────────

FULL = {"person": [{"address": ALICE, "quota": 300}, {"address": BOB}]}


def test_removed_mail_no_longer_counts_towards_the_quota() -> None:
    alice = Person(ALICE, quota=300)
    store = Mailstore(People([alice]))
    store.accept(mail(ALICE))
    assert store.full(alice, 200) and not store.full(alice, 1)
    store.remove(ALICE, store.maildrop(ALICE).rows)
    assert not store.full(alice, 200)


def test_a_maildrop_without_a_quota_is_never_full(store: Mailstore) -> None:
    for address in (ALICE, "any@hooks.test"):
        (owner,) = store.owners(address) or []
        assert not store.full(owner, 10**9)


def test_only_the_sender_hears_of_a_mail_for_a_full_maildrop() -> None:
    store = Mailstore(People([Person(ALICE, quota=1), Person(BOB)]))
    recipient = Recipient(ALICE, {"NOTIFY": "SUCCESS,FAILURE"})
    message = Mail(BODY, Envelope(BOB, (recipient,)))
    store.accept(message)
    assert subjects(store, ALICE) == []
    store.acknowledged(message)
    (report,) = store.maildrop(BOB).rows
    assert b"Status: 5.2.2" in report.raw and b"Action: failed" in report.raw


def test_a_full_maildrop_is_refused_at_rcpt_or_after_the_data() -> None:
    world = World(FULL, rehearsal=True)
    start = (f"MAIL FROM:<{CAROL}>", f"RCPT TO:<{ALICE}>")
    too_big = b"x" * 400 + b"\r\n"
    announced = send_mail(world, f"{start[0]} SIZE=301", start[1])
    assert announced[1].startswith("452 4.2.2")
    answers = send_mail(world, *start, body=too_big)
    assert answers[1].startswith("250") and answers[-1].startswith("452 4.2.2")
    assert world.mail.messages == [] and world.mail.inbox(ALICE) == []
    assert send_mail(world, *start)[-1].startswith("250")
    rest = send_mail(world, *start, body=b"x" * 200 + b"\r\n")
    assert rest[-1].startswith("452 4.2.2")


def test_a_mail_that_fits_only_some_maildrops_is_accepted_and_bounces_for_the_others() -> None:
    world = World(FULL, rehearsal=True)
    answers = send_mail(
        world,
        f"MAIL FROM:<{CAROL}>",
        f"RCPT TO:<{ALICE}>",
        f"RCPT TO:<{BOB}>",
        body=b"x" * 400 + b"\r\n",
    )
    assert answers[-1].startswith("250")  # RFC 5321 §4.2: one reply for all recipients
    assert len(world.mail.inbox(BOB)) == 1 and world.mail.inbox(ALICE) == []
    report = world.mail.wait_for(lambda mail: mail.envelope.to == [CAROL])
    found = bounces.report(read(report.raw))
    assert found is not None and found.failed == (ALICE,) and found.recipients[0].status == "5.2.2"


def test_where_unknown_addresses_bounce_a_full_maildrop_bounces_too() -> None:
    world = World({"mail": {"unknown": "bounce"}, **FULL}, rehearsal=True)
    answers = send_mail(
        world, f"MAIL FROM:<{CAROL}>", f"RCPT TO:<{ALICE}>", body=b"x" * 400 + b"\r\n"
    )
    assert answers[1].startswith("250") and answers[-1].startswith("250")
    assert b"Status: 5.2.2" in world.mail.wait_for(lambda mail: mail.envelope.to == [CAROL]).raw


# ── store faults ─────────────────────────────────────────────────────────────


def test_a_store_fault_delivers_each_mail_twice_to_one_maildrop(store: Mailstore) -> None:
    met: list[str] = []
    store.faults = StoreFaults(ALICE, on_duplicate=lambda: met.append("duplicate"))
    store.accept(mail(ALICE, BOB))
    assert [row.unique_id for row in store.maildrop(ALICE).rows] == ["00000001", "00000002"]
    assert len(store.maildrop(BOB).rows) == 1
    assert met == ["duplicate"]


def test_a_store_fault_reuses_unique_ids_when_a_maildrop_becomes_empty(store: Mailstore) -> None:
    met: list[str] = []
    store.faults = StoreFaults(reuse_uids=True, on_reuse=lambda: met.append("reuse"))
    store.accept(mail(ALICE))
    store.accept(mail(ALICE))
    store.remove(ALICE, store.maildrop(ALICE).rows[:1])
    assert met == []
    store.remove(ALICE, store.maildrop(ALICE).rows)
    store.remove(ALICE, [])
    store.accept(mail(ALICE))
    assert [row.unique_id for row in store.maildrop(ALICE).rows] == ["00000001"]
    assert met == ["reuse"]


def test_without_a_store_fault_unique_ids_go_on_counting(store: Mailstore) -> None:
    store.accept(mail(ALICE))
    store.remove(ALICE, store.maildrop(ALICE).rows)
    store.accept(mail(ALICE))
    store.purge()
    store.accept(mail(ALICE))
    assert [row.unique_id for row in store.maildrop(ALICE).rows] == ["00000003"]


# ── what is kept ─────────────────────────────────────────────────────────────


def limited(keep: Keep, said: list[str]) -> Mailstore:
    people = People([Person(ALICE), Person(BOB)])
    return Mailstore(people, catch_all=["hooks.test"], keep=keep, on_drop=said.append)


def test_a_maildrop_with_a_limit_drops_its_oldest_mails_and_says_so() -> None:
    said: list[str] = []
    store = limited(Keep(mail=200_000), said)
    bodies = [b"Subject: %d\r\n\r\n" % number + b"x" * 900 for number in range(200)]
    for raw in bodies:
        store.accept(mail(ALICE, raw=raw))
        maildrop = store.maildrop(ALICE)
        assert maildrop.size + PER_MAIL * len(maildrop.rows) <= 200_000
    kept = [int(subject) for subject in subjects(store, ALICE)]
    assert kept == list(range(200 - len(kept), 200)) and 70 < len(kept) < 100
    assert [row.uid for row in store.maildrop(ALICE).rows] == [number + 1 for number in kept]
    dropped = 200 - len(kept)
    assert sum(int(text.split()[2]) for text in said) == dropped and len(said) < dropped
    assert said[0].endswith("the oldest ones, because keep.mail is 200,000 bytes")
    assert said[0].startswith("alice@example.test: dropped ")


def test_the_limit_holds_for_the_memory_that_small_mails_take() -> None:
    store = limited(Keep(mail=1 << 20), [])
    tracemalloc.start()
    for _ in range(2000):
        one = mail(ALICE, raw=bytes(bytearray(b"Subject: x\r\n\r\n")))
        store.accept(one)
        store.acknowledged(one)
        store.maildrop(ALICE).change([store.maildrop(ALICE).rows[-1].uid], ["\\Seen"], "+")
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 500 < len(store.maildrop(ALICE).rows) < 1000 and used < 1 << 20


def test_a_mail_larger_than_the_limit_is_kept_until_the_next_one_comes() -> None:
    said: list[str] = []
    store = limited(Keep(mail=0), said)
    store.accept(mail(ALICE, raw=b"Subject: one\r\n\r\n"))
    assert (subjects(store, ALICE), said) == (["one"], [])
    store.accept(mail(ALICE, raw=b"Subject: two\r\n\r\n"))
    assert subjects(store, ALICE) == ["two"]


def test_a_session_that_holds_the_maildrop_still_has_the_mails_that_are_dropped() -> None:
    store = limited(Keep(mail=0), [])
    store.accept(mail(ALICE, raw=b"Subject: one\r\n\r\n"))
    maildrop = store.maildrop(ALICE)
    maildrop.holder, rows = "a session", maildrop.rows
    store.accept(mail(ALICE, raw=b"Subject: two\r\n\r\n"))
    assert rows[0].mail.subject == "one" and subjects(store, ALICE) == ["two"]


def test_maildrops_of_catch_all_are_dropped_and_no_unique_id_is_used_again() -> None:
    said: list[str] = []
    store = limited(Keep(maildrops=20), said)
    for number in range(21):
        store.accept(mail(f"{number}@hooks.test", ALICE, "0@hooks.test"))
    kept = {maildrop.address for maildrop in store.maildrops}
    # The one that gets mail all the time is not among the oldest, and alice owns hers.
    assert {ALICE, "0@hooks.test", "20@hooks.test"} <= kept and "1@hooks.test" not in kept
    assert said == [
        "dropped 3 maildrops that nobody owns, the empty ones and those without new mail first, "
        "because keep.maildrops is 20"
    ]
    store.accept(mail("1@hooks.test"))
    assert [row.uid for row in store.maildrop("1@hooks.test").rows] == [2]


def test_empty_maildrops_are_dropped_first_and_those_in_use_never() -> None:
    store = limited(Keep(maildrops=10), [])
    for number in range(6):
        store.accept(mail(f"{number}@hooks.test"))
    held = store.maildrop("held@hooks.test")
    held.holder = "a session"
    store.folders("moved@hooks.test").find("Archive").append(b"", BODY, mail())
    for number in range(30):
        store.maildrop(f"login{number}@hooks.test")
    kept = [maildrop.address.partition("@")[0] for maildrop in store.maildrops]
    assert kept[:8] == ["0", "1", "2", "3", "4", "5", "held", "moved"]
    assert len(kept) <= 10 and kept[-1] == "login29"
    held.holder = None
    for number in range(30):
        store.accept(mail(f"more{number}@hooks.test"))
    assert len(store.maildrops) <= 10 and store.maildrop("held@hooks.test") is not held


def test_logins_without_an_account_have_no_more_maildrops_than_may_be_kept() -> None:
    config = {"mail": {"accept_any": ["logins"]}, "keep": {"maildrops": 10}}
    world = World({"servers": ["pop3", "imap"], **config}, rehearsal=True)
    logins = {
        "pop3": b"USER pop%d\r\nPASS x\r\n",
        "imap": b"a LOGIN imap%d x\r\nb SELECT INBOX\r\n",
    }
    for number in range(30):
        for kind, login in logins.items():
            session = world.core(kind)
            session.opened(Facts(number))
            drain(session)
            for line in (login % number).splitlines(keepends=True):
                assert ask(session, line).startswith((b"+OK", b"* ", b"a OK"))
            session.eof()
            drain(session)
    assert len(world.mail.store.maildrops) <= 10
    said = [event.text for event in world.events if event.level == "warning"]
    assert said and said[0].startswith("dropped 2 maildrops that nobody owns")


def test_a_maildrop_that_somebody_owns_by_now_is_not_dropped() -> None:
    store = limited(Keep(maildrops=5), [])
    store.accept(mail("new@hooks.test"))
    store.people.add(Person("new@hooks.test"))
    for number in range(20):
        store.accept(mail(f"{number}@hooks.test"))
    assert subjects(store, "new@hooks.test") == ["hello"]


def test_a_world_limits_what_it_keeps_and_a_test_s_world_keeps_everything() -> None:
    keep = {"arrivals": 10, "mail": 20_000}
    for config, count in (({"servers": []}, 100), ({"servers": [], "keep": keep}, 12)):
        world = World(config, rehearsal=True)
        for _ in range(100):
            world.mail.deliver(ALICE, b"Subject: hi\r\n\r\n" + b"x" * 900)
        said = [event.text for event in world.events if event.level == "warning"]
        assert len(world.mail.messages) <= count
        assert (len(world.mail.messages) == 100) != bool(said)
    warnings = {text.split(":")[0] for text in said}
    assert len(world.mail.inbox(ALICE)) < 10 and len(warnings) == 2


def test_repr_counts_maildrops_and_mails(store: Mailstore) -> None:
    assert repr(store) == "<Mailstore 0 maildrops, 0 mails>"
    store.accept(mail("all@example.test"))
    assert repr(store) == "<Mailstore 2 maildrops, 2 mails>"


# ── folders ──────────────────────────────────────────────────────────────────


def test_the_inbox_of_an_account_is_its_maildrop(store: Mailstore) -> None:
    store.accept(mail(ALICE))
    folders = store.folders(ALICE)
    assert folders.inbox is store.maildrop(ALICE)
    assert store.folders(ALICE.upper()) is folders
    assert list(folders) == ["INBOX", "Archive", "Drafts", "Junk", "Sent", "Trash"]
    numbers = [folder.uidvalidity for folder in folders.maildrops]
    assert len(set(numbers)) == len(numbers)


def test_a_person_may_have_other_folders() -> None:
    store = Mailstore(People([Person(ALICE, folders=("Work/Bills",))]))
    assert list(store.folders(ALICE)) == ["INBOX", "Work", "Work/Bills"]


def test_a_quota_counts_all_folders() -> None:
    alice = Person(ALICE, quota=1000)
    store = Mailstore(People([alice]))
    store.folders(ALICE).find("Trash").append(b"", b"x" * 698 + b"\r\n", mail(ALICE))
    assert store.size(ALICE) == 700
    assert store.full(alice, 301) and not store.full(alice, 300)


def test_folders_are_stored_and_restored(store: Mailstore) -> None:
    store.accept(mail(ALICE, BOB))
    store.folders(ALICE).find("Trash").append(b"", b"x\r\n", mail(ALICE))
    other = Mailstore(store.people)
    other.restore(store.stored())
    assert len(other.folders(ALICE).find("Trash").rows) == 1
    assert other.folders(ALICE).inbox is other.maildrop(ALICE)
    before = {folder.uidvalidity for folder in other.folders(ALICE).maildrops}
    assert other.folders(ALICE).create("new").uidvalidity not in before
    store.purge()
    assert store.size(ALICE) == 0 and other.size(ALICE) > 0
