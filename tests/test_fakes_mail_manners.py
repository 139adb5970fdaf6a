"""The manners of real mail servers: with them, ours answer as tests/tables/conform.txt notes."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from fakes import World
from fakes.mail_manners import IMAP_MANNERS, POP3_MANNERS
from fakes.wire import Record
from tests.conform import TABLE, Probe, Target, play, read
from tests.imap_raw import ALICE, LOGIN, Raw, imap_world, selected

PROBES = read(TABLE.read_text("utf-8"))
SERVERS = {"smtp": "Postfix", "pop3": "Dovecot", "imap": "Dovecot"}
# Half of what the manners say. Two of these are still too long for an answer that is given at once.
QUICKER = {
    settings: {"wrong_login_delay": manners["dovecot"]["wrong_login_delay"] / 2}
    for settings, manners in {"mail": POP3_MANNERS, "imap": IMAP_MANNERS}.items()
}
each_protocol = pytest.mark.parametrize("protocol", SERVERS)


def differences(protocol: str, asked: Callable[[str], bool]) -> list[str]:
    """What ours answers otherwise, with the manners of a server, than the table notes of it."""
    name = SERVERS[protocol]
    servers = ["pop3", "imap"] if protocol == "imap" else [protocol]
    manners = dict.fromkeys(servers, name.lower())
    quicker = {} if protocol == "smtp" else QUICKER
    with World({"servers": servers, "tls": "optional", "manners": manners, **quicker}) as world:
        pop3 = world.address("pop3") if protocol == "imap" else None
        target = Target(protocol, name, world.address(protocol), pop3=pop3)

        def differs(probe: Probe) -> str:
            answer, known = play(probe, target), probe.others.get(name, "")
            right = re.search(known, answer) if known and answer else answer == known
            return "" if right else f"{probe.section}: {probe.title}: {answer or 'as it must'}"

        probes = [one for one in PROBES if one.suits(target) and asked(one.others.get(name, ""))]
        assert probes
        return [found for found in map(differs, probes) if found]


@pytest.mark.slow
@each_protocol
def test_with_manners_ours_differs_from_the_rfcs_as_that_server_does(protocol: str) -> None:
    assert differences(protocol, bool) == []


@pytest.mark.slow
@each_protocol
def test_manners_change_nothing_else(protocol: str) -> None:
    assert differences(protocol, lambda known: not known) == []


# ── what the table cannot ask ────────────────────────────────────────────────

DOVECOT = {"imap": "dovecot"}


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_a_bare_lf_ends_lines_of_imap_and_leaves_literals_alone(size: int) -> None:
    world = imap_world(imap={"bare_lf": True})
    client = Raw(world)
    sent = LOGIN.replace(b"\r", b"") + b"a APPEND INBOX {5+}\na\n\nb\n\nb IDLE\nDONE\nc LOGOUT\r\n"
    answer = b"".join(client.send(sent[at : at + size]) for at in range(0, len(sent), size))
    assert [mail.raw for mail in world.mail.folder(ALICE).mails] == [b"a\n\nb\n"]
    assert b"\r\n+ idling\r\nb OK " in answer and b"\r\nc OK " in answer


def test_what_comes_with_starttls_never_runs_and_dovecot_hangs_up() -> None:
    for manners in ({}, DOVECOT):
        client = Raw(imap_world(manners=manners, tls="optional"))
        assert client.send(b"a STARTTLS\r\nb NOOP\r\n") == b"a OK Begin TLS negotiation\r\n"
        assert client.session.closed == bool(manners)


def test_under_examine_dovecot_moves_mails_and_ignores_flags() -> None:
    world, client = selected(2, manners=DOVECOT)
    client.ask("EXAMINE INBOX")
    assert client.lines("STORE 1 +FLAGS (\\Deleted)") == ["t OK"]
    assert client.status("STORE 3 +FLAGS (\\Deleted)") == "BAD"
    assert client.lines("EXPUNGE") == ["t OK"]
    assert client.lines("MOVE 1 Trash")[1:] == ["* 1 EXPUNGE", "t OK"]
    assert len(world.mail.folder(ALICE, "Trash").mails) == 1
    assert client.status("RENAME inbox Old") == "NO [CANNOT]"


def test_dovecot_answers_store_for_what_has_changed() -> None:
    _, client = selected(2, manners=DOVECOT)
    client.ask("STORE 1 +FLAGS (\\Seen)")
    assert client.lines("STORE 1:2 +FLAGS (\\Seen)") == [
        "* 2 FETCH (FLAGS (\\Seen \\Recent))",
        "t OK",
    ]


def test_dovecot_has_nil_for_the_text_of_a_removed_mail() -> None:
    world, client = selected(2, manners=DOVECOT)
    world.mail.folder(ALICE).remove(1)
    assert client.lines("FETCH 1 (UID BODY.PEEK[TEXT])") == [
        "* 1 FETCH (UID 1 BODY[TEXT] NIL)",
        "t OK",
    ]
    assert client.lines("FETCH 1 ENVELOPE")[0].startswith('* 1 FETCH (ENVELOPE (NIL "one" ')


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("nonsense", '"nonsense" "" NIL NIL NIL "7bit" 1'),
        ("text", '"text" "" ("charset" "us-ascii") NIL NIL "7bit" 1 0'),
        ("multipart", '"application" "octet-stream" NIL NIL NIL "7bit" 1'),
        ("nonsense; a=b", '"" "" NIL NIL NIL "7bit" 1'),
        ("a/", '"" "" NIL NIL NIL "7bit" 1'),
        ("", '"" "" NIL NIL NIL "7bit" 1'),
    ],
)
def test_dovecot_has_another_type_for_a_content_type_that_is_none(value: str, read: str) -> None:
    world, client = selected(1, manners=DOVECOT)
    world.mail.folder(ALICE).deliver(f"Content-Type: {value}\r\n\r\nx".encode())
    client.ask("NOOP")
    assert client.lines("FETCH 2 BODY") == [f"* 2 FETCH (BODY ({read}))", "t OK"]


def test_more_spaces_and_any_escape_are_lenient_syntax() -> None:
    _, client = selected(1, imap={"lenient_syntax": True})
    assert client.lines('STATUS  "\\I\\NBOX"  (MESSAGES)  ') == [
        '* STATUS "INBOX" (MESSAGES 1)',
        "t OK",
    ]
    assert client.status("EXPUNGE all") == "OK"
    assert client.status("FETCH 1 FLAGS x") == "BAD"


@pytest.mark.parametrize(
    "login",
    [
        "LOGIN  alice  wordwordword",
        " LOGIN alice wordwordword",
        "AUTHENTICATE  PLAIN  wordwordword",
        "LOGIN alice  {12+}\r\nwordwordword",
    ],
)
def test_passwords_are_masked_whatever_spaces_are_between(login: str) -> None:
    world = imap_world(imap={"lenient_syntax": True})
    Raw(world).ask(login)
    records = [entry for entry in world.recording if isinstance(entry, Record)]
    shown = b"".join(record.shown() for record in records)
    assert b"t " in shown and b"wordword" not in shown


def test_a_switch_wins_over_manners() -> None:
    client = Raw(imap_world(manners=DOVECOT, imap={"bad_commands_before_login": 0}))
    assert [client.status("NONSENSE") for _ in range(4)] == ["BAD"] * 4
