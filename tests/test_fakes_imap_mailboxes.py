"""Mailboxes of IMAP: SELECT, LIST, CREATE, DELETE, RENAME, subscriptions, STATUS, quota."""

from __future__ import annotations

import pytest

from tests.imap_raw import ALICE, MAIL, Raw, imap_world, selected


@pytest.fixture
def client() -> Raw:
    client = Raw(imap_world())
    client.ask("LOGIN alice secret")
    return client


def names(lines: list[str]) -> list[str]:
    return [line.split('"/" ')[1].strip('"') for line in lines if line.startswith(("* LI", "* LS"))]


# ── SELECT and its like ──────────────────────────────────────────────────────


def test_select_describes_the_mailbox() -> None:
    world, client = selected(2)
    world.mail.folder(ALICE).flag(1, "\\Seen", "Work")
    number = world.mail.folder(ALICE).uidvalidity
    assert client.lines("SELECT inbox") == [
        "* OK [CLOSED] The mailbox before is closed",
        "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft Work)",
        "* OK [PERMANENTFLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft Work \\*)] "
        "Flags that can be set",
        "* 2 EXISTS",
        "* 0 RECENT",
        "* OK [UNSEEN 2] The first one",
        f"* OK [UIDVALIDITY {number}] Unique ids are valid",
        "* OK [UIDNEXT 3] The next unique id",
        "* OK [HIGHESTMODSEQ 4] The highest modification number",
        "t OK",
    ]
    world.mail.folder(ALICE).flag(2, "\\Seen")
    assert "UNSEEN" not in client.ask("SELECT INBOX")


def test_examine_is_read_only_and_leaves_recent_mails_to_others() -> None:
    world, client = selected(0)
    world.mail.deliver(ALICE, MAIL)
    other = Raw(world, 2)
    other.ask("LOGIN alice secret")
    for _ in range(2):
        lines = other.lines("EXAMINE INBOX")
        assert "* OK [PERMANENTFLAGS ()] Flags that can be set" in lines
        assert "* 1 EXISTS" in lines and "* 1 RECENT" in lines and lines[-1] == "t OK"
    assert other.status("EXAMINE INBOX") == "OK [READ-ONLY]"
    for command in ("STORE 1 +FLAGS \\Seen", "EXPUNGE", "MOVE 1 Trash", "UID EXPUNGE 1"):
        assert other.status(command) == "NO"
    other.ask("FETCH 1 BODY[]")
    assert client.lines("NOOP") == ["* 1 EXISTS", "* 1 RECENT", "t OK"]
    assert client.lines("FETCH 1 FLAGS")[0] == "* 1 FETCH (FLAGS (\\Recent))"
    assert "* 0 RECENT" in other.lines("EXAMINE INBOX")


def test_a_failed_select_leaves_nothing_selected() -> None:
    _, client = selected()
    assert client.lines("SELECT none") == ["* OK [CLOSED] The mailbox before is closed", "t NO"]
    assert client.status("FETCH 1 UID") == "BAD"
    assert client.status("SELECT none") == "NO [NONEXISTENT]"


def test_close_removes_silently_and_unselect_removes_nothing() -> None:
    for command, left in (("UNSELECT", [1, 2]), ("CLOSE", [2])):
        world, client = selected()
        other = Raw(world, 2, select="INBOX")
        client.ask("STORE 1 +FLAGS \\Deleted")
        other.ask("NOOP")
        assert client.lines(command) == ["t OK"]
        assert [one.uid for one in world.mail.folder(ALICE)] == left
        assert other.lines("NOOP") == (["* 1 EXPUNGE", "t OK"] if command == "CLOSE" else ["t OK"])
        assert client.status("CHECK") == "BAD"


def test_close_after_examine_removes_nothing() -> None:
    world, client = selected()
    client.ask("STORE 1 +FLAGS \\Deleted")
    client.ask("EXAMINE INBOX")
    assert client.lines("CLOSE") == ["t OK"]
    assert len(world.mail.folder(ALICE)) == 2


def test_a_mailbox_that_is_deleted_underneath_ends_the_session() -> None:
    for command in ("DELETE Trash", "RENAME Trash Bin"):
        world, client = selected()
        client.ask("SELECT Trash")
        other = Raw(world, 2, select="INBOX")
        assert other.status(command) == "OK"
        assert client.ask("NOOP") == "* BYE The selected mailbox is not available any more"
        assert client.session.closed


@pytest.mark.parametrize("command", ["SELECT INBOX", "EXAMINE INBOX", "UNSELECT"])
def test_a_mailbox_that_is_gone_can_be_left(command: str) -> None:
    world, client = selected()
    client.ask("SELECT Trash")
    assert Raw(world, 2, select="INBOX").status("DELETE Trash") == "OK"
    for other in ("CAPABILITY", 'LIST "" "*"', "STATUS INBOX (MESSAGES)", "CREATE new"):
        assert client.status(other) == "OK"
    assert client.status(command).startswith("OK")
    assert client.status("NOOP") == "OK"


def test_a_client_whose_mailbox_is_gone_can_log_out() -> None:
    world, client = selected()
    client.ask("SELECT Trash")
    assert Raw(world, 2, select="INBOX").status("DELETE Trash") == "OK"
    # RFC 3501 §6.1.3
    assert client.lines("LOGOUT") == ["* BYE Until next time", "t OK"]


# ── making and naming ────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("CREATE new", "OK"),
        ("CREATE new/", "OK"),
        ("CREATE Trash", "NO [ALREADYEXISTS]"),
        ("CREATE inbox", "NO [ALREADYEXISTS]"),
        ('CREATE ""', "NO [CANNOT]"),
        ("CREATE /a", "NO [CANNOT]"),
        ("CREATE a//b", "NO [CANNOT]"),
        ("CREATE " + "a" * 256, "NO [CANNOT]"),
        ("CREATE &", "NO [CANNOT]"),
        ("CREATE &x-", "NO [CANNOT]"),
        ("CREATE {2+}\r\n\xe9", "NO [CANNOT]"),
        ("CREATE new (USE (\\Important))", "NO [USEATTR]"),
        ("CREATE new (USE (\\Trash))", "NO [USEATTR]"),
        ("CREATE", "BAD"),
        ("CREATE a b", "BAD"),
        ("DELETE inbox", "NO [CANNOT]"),
        ("DELETE none", "NO [NONEXISTENT]"),
        ("RENAME none other", "NO [NONEXISTENT]"),
        ("RENAME Trash Sent", "NO [ALREADYEXISTS]"),
        ("RENAME Trash Trash/Old", "NO [CANNOT]"),
        ("RENAME Trash", "BAD"),
        ("SUBSCRIBE none", "NO [NONEXISTENT]"),
        ("UNSUBSCRIBE none", "OK"),
        ("STATUS none (MESSAGES)", "NO [NONEXISTENT]"),
        ("STATUS INBOX ()", "BAD"),
        ("STATUS INBOX (BANANA)", "BAD"),
        ("STATUS INBOX", "BAD"),
    ],
)
def test_commands_about_names_are_answered_as_the_rfcs_say(
    client: Raw, command: str, status: str
) -> None:
    assert client.status(command) == status
    assert client.status("NOOP") == "OK"


def test_a_mailbox_may_be_made_with_a_special_use(client: Raw) -> None:
    client.ask("DELETE Trash")
    assert client.status("CREATE Bin (USE (\\trash))") == "OK"
    assert client.lines('LIST "" Bin') == ['* LIST (\\HasNoChildren \\Trash) "/" "Bin"', "t OK"]


def test_names_are_in_modified_utf_7_until_utf_8_is_enabled(client: Raw) -> None:
    assert client.status("CREATE Entw&APw-rfe") == "OK"
    assert client.lines('LIST "" Entw*')[0] == '* LIST (\\HasNoChildren) "/" "Entw&APw-rfe"'
    client.ask("ENABLE UTF8=ACCEPT")
    assert client.lines('LIST "" Entw*')[0] == '* LIST (\\HasNoChildren) "/" "Entwürfe"'
    assert client.status('SELECT "Entwürfe"') == "OK [READ-WRITE]"
    assert client.status("SELECT Entw&APw-rfe") == "NO [NONEXISTENT]"


def test_renaming_and_deleting_keep_what_is_below(client: Raw) -> None:
    for name in ("a", "a/b", "a/b/c"):
        assert client.status(f"CREATE {name}") == "OK"
    assert client.status("RENAME a x/y") == "OK"
    assert client.status("DELETE x/y") == "OK"
    assert client.lines('LIST "" x*') == [
        '* LIST (\\Noselect \\HasChildren) "/" "x"',
        '* LIST (\\Noselect \\HasChildren) "/" "x/y"',
        '* LIST (\\HasChildren) "/" "x/y/b"',
        '* LIST (\\HasNoChildren) "/" "x/y/b/c"',
        "t OK",
    ]
    assert client.status("SELECT x/y") == "NO [CANNOT]"
    assert client.status("DELETE x/y") == "NO [HASCHILDREN]"


def test_renaming_inbox_moves_its_mail() -> None:
    world, client = selected()
    assert client.lines("RENAME INBOX old") == [
        "* 1 EXPUNGE",
        "* 1 EXPUNGE",
        "* 0 RECENT",
        "t OK",
    ]
    assert len(world.mail.folder(ALICE, "old")) == 2
    assert world.mail.folders(ALICE)[0] == "INBOX"


# ── LIST and LSUB ────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ('"" *', ["INBOX", "INBOX/d", "a", "a/b", "a/b/c"]),
        ('"" %', ["INBOX", "a"]),
        ('"" a/%', ["a/b"]),
        ('a/ "%"', ["a/b"]),
        ('"" inbox', ["INBOX"]),
        ('"" InB*', ["INBOX", "INBOX/d"]),
        ('"" inbox/%', ["INBOX/d"]),
        ('inBox/ "%"', ["INBOX/d"]),
        ('"" %nbox/D', []),
        ('"" %/%/%', ["a/b/c"]),
        ('"" *c', ["a/b/c"]),
        ('"" A', []),
        ('"" &AOk-', []),
        ('"" &', []),
    ],
)
def test_list_joins_reference_and_pattern(arguments: str, found: list[str]) -> None:
    client = Raw(imap_world(person=[{"address": ALICE, "folders": ["a/b/c", "a"]}]))
    client.ask("LOGIN alice secret")
    assert client.status("CREATE inbox/d") == "OK"
    assert names(client.lines(f"LIST {arguments}")) == found


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        # RFC 5258 §3.5: a parent is told if what was chosen below it is not listed itself.
        ('(SUBSCRIBED RECURSIVEMATCH) "" %', [("a", True)]),
        ('(SUBSCRIBED RECURSIVEMATCH) "" *', [("a/b", False)]),
        ('(SUBSCRIBED RECURSIVEMATCH) "" ("a" "a/b")', [("a/b", False)]),
        ('(SPECIAL-USE RECURSIVEMATCH) "" *', [("b", False)]),
        ('(SUBSCRIBED SPECIAL-USE RECURSIVEMATCH) "" %', []),
    ],
)
def test_childinfo_is_about_what_was_asked_for(
    arguments: str, found: list[tuple[str, bool]]
) -> None:
    client = Raw(imap_world(person=[{"address": ALICE, "folders": ["a/b"]}]))
    client.ask("LOGIN alice secret")
    client.ask("SUBSCRIBE a/b")
    client.ask("CREATE b (USE (\\Sent))")
    lines = client.lines(f"LIST {arguments}")[:-1]
    assert [(line.split('"')[3], "CHILDINFO" in line) for line in lines] == found


def test_what_only_looks_like_inbox_is_another_mailbox(client: Raw) -> None:
    name = "&ATE-nbox"  # without a dot on the i
    assert client.status(f"CREATE {name}") == "OK"
    assert client.lines(f"STATUS {name} (UIDNEXT)")[0] == f'* STATUS "{name}" (UIDNEXT 1)'


def test_an_empty_pattern_asks_for_the_delimiter(client: Raw) -> None:
    assert client.lines('LIST "" ""') == ['* LIST (\\Noselect) "/" ""', "t OK"]


def test_lsub_lists_subscriptions_even_of_what_is_gone(client: Raw) -> None:
    client.ask("CREATE a/b/c")
    client.ask("SUBSCRIBE a/b/c")
    client.ask("DELETE a/b/c")
    assert client.lines('LSUB "" a*') == ['* LSUB () "/" "a/b/c"', "t OK"]
    assert client.lines('LSUB "" a/%') == ['* LSUB (\\Noselect) "/" "a/b"', "t OK"]
    client.ask("UNSUBSCRIBE a/b/c")
    assert client.lines('LSUB "" a*') == ["t OK"]
    assert names(client.lines('LSUB "" *')) == ["Archive", "Drafts", "Junk", "Sent", "Trash"]


def test_an_account_has_a_limit_of_mailboxes_and_subscriptions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("fakes.folders.FOLDERS", 2)
    client = Raw(imap_world(person=[{"address": ALICE, "folders": ["Work"]}]), select="INBOX")
    for name in ("a", "b"):
        assert client.status(f"CREATE {name}") == client.status(f"SUBSCRIBE {name}") == "OK"
    assert client.status("CREATE c") == client.status("RENAME a c/d") == "NO [LIMIT]"
    assert client.status("DELETE a") == client.status("CREATE c") == "OK"
    assert client.status("SUBSCRIBE c") == "NO [LIMIT]"


def test_without_children_and_special_use_list_shows_neither() -> None:
    client = Raw(imap_world(off={"imap": ["CHILDREN", "SPECIAL-USE"]}))
    client.ask("LOGIN alice secret")
    assert client.lines('LIST "" Trash') == ['* LIST () "/" "Trash"', "t OK"]


# ── STATUS, NAMESPACE, quota ─────────────────────────────────────────────────


def test_status_counts_without_selecting() -> None:
    world, client = selected(0)
    client.ask("UNSELECT")
    for _ in range(3):
        world.mail.deliver(ALICE, MAIL)
    world.mail.folder(ALICE).flag(2, "\\Seen")
    size, number = world.mail.maildrop(ALICE).size, world.mail.folder(ALICE).uidvalidity
    for _ in range(2):
        assert client.lines("STATUS inbox (MESSAGES RECENT UIDNEXT UIDVALIDITY UNSEEN SIZE)") == [
            f'* STATUS "INBOX" (MESSAGES 3 RECENT 3 UIDNEXT 4 UIDVALIDITY {number} UNSEEN 2 '
            f"SIZE {size})",
            "t OK",
        ]
    client.ask("SELECT INBOX")
    assert client.lines("STATUS INBOX (RECENT)")[0] == '* STATUS "INBOX" (RECENT 3)'


def test_without_status_size_the_item_is_unknown() -> None:
    client = Raw(imap_world(off={"imap": ["STATUS=SIZE"]}))
    client.ask("LOGIN alice secret")
    assert client.status("STATUS INBOX (SIZE)") == "BAD"


def test_namespace_has_one_hierarchy(client: Raw) -> None:
    assert client.lines("NAMESPACE") == ['* NAMESPACE (("" "/")) NIL NIL', "t OK"]


def test_a_quota_counts_kibibytes_in_all_folders() -> None:
    world = imap_world(person=[{"address": ALICE, "quota": 10_240}])
    world.mail.folder(ALICE, "Trash").deliver(b"x" * 2046 + b"\r\n")
    client = Raw(world, select="INBOX")
    assert client.lines("GETQUOTAROOT INBOX") == [
        '* QUOTAROOT "INBOX" ""',
        '* QUOTA "" (STORAGE 2 10)',
        "t OK",
    ]
    assert client.lines('GETQUOTA ""') == ['* QUOTA "" (STORAGE 2 10)', "t OK"]
    assert client.status("GETQUOTA other") == "NO [NONEXISTENT]"
    assert client.status('SETQUOTA "" (STORAGE 99)') == "NO [NOPERM]"
    assert client.status("APPEND INBOX {9000+}\r\n" + "x" * 9000) == "NO [OVERQUOTA]"
    for _ in range(4):
        assert client.status("APPEND INBOX {2000+}\r\n" + "x" * 2000).startswith("OK")
    assert client.status("COPY 1 Trash") == "NO [OVERQUOTA]"
    assert client.status("MOVE 1 Trash") == "OK"


def test_without_a_quota_there_is_no_root(client: Raw) -> None:
    assert client.lines("GETQUOTAROOT INBOX") == ['* QUOTAROOT "INBOX"', "t OK"]
    assert client.status('GETQUOTA ""') == "NO [NONEXISTENT]"
