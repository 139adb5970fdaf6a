"""Messages of IMAP: FETCH, STORE, SEARCH, COPY, MOVE, EXPUNGE, APPEND, and what other doors do."""

from __future__ import annotations

import pytest

from fakes.flags import KEYWORDS
from fakes.keep import PER_MAIL
from tests.bare_core import ask, drain
from tests.imap_raw import ALICE, MAIL, Raw, imap_world, selected

UTF8 = "Subject: é\r\n\r\nhi\r\n"


# ── FETCH ────────────────────────────────────────────────────────────────────


def test_items_come_in_the_order_asked_and_the_uid_is_added() -> None:
    _, client = selected()
    assert client.lines("FETCH 1 (RFC822.SIZE FLAGS UID)") == [
        f"* 1 FETCH (RFC822.SIZE {len(MAIL)} FLAGS (\\Recent) UID 1)",
        "t OK",
    ]
    assert client.lines("UID FETCH 2 FLAGS") == ["* 2 FETCH (UID 2 FLAGS (\\Recent))", "t OK"]
    assert client.lines("FETCH 1 INTERNALDATE")[0] == (
        '* 1 FETCH (INTERNALDATE " 5-Jan-2026 00:00:00 +0000")'
    )


@pytest.mark.parametrize(
    ("numbers", "found"),
    [
        ("1", "1"),
        ("*", "3"),
        ("*:2", "2 3"),
        ("3,1,1:2", "1 2 3"),
        ("2:2", "2"),
        ("0", "BAD"),
        ("4", "BAD"),
        ("1:4", "BAD"),
        ("4294967296", "BAD"),
        ("", "BAD"),
        ("1,", "BAD"),
    ],
)
def test_message_numbers_are_those_of_messages_that_exist(numbers: str, found: str) -> None:
    _, client = selected(3)
    lines = client.lines(f"FETCH {numbers} UID")
    shown = " ".join(line.split()[1] for line in lines)
    assert shown == (f"{found} OK" if found != "BAD" else "BAD")


@pytest.mark.parametrize(
    ("numbers", "found"),
    [("1:2", "2"), ("9999:*", "5"), ("4,7", ""), ("*", "5"), ("1:*", "2 5"), ("0", "BAD")],
)
def test_uids_that_do_not_exist_are_ignored(numbers: str, found: str) -> None:
    world, client = selected(5)
    for uid in (1, 3, 4):
        world.mail.folder(ALICE).remove(uid)
    client.ask("NOOP")
    lines = client.lines(f"UID FETCH {numbers} FLAGS")
    shown = [line.split()[4] for line in lines[:-1]]
    assert (" ".join(shown), lines[-1]) == ((found, "t OK") if found != "BAD" else ("", "t BAD"))


def test_in_an_empty_mailbox_the_last_message_does_not_exist() -> None:
    _, client = selected(0)
    assert client.status("FETCH * UID") == "BAD"
    assert client.status("FETCH 1:* UID") == "BAD"
    assert client.lines("UID FETCH 1:* UID") == ["t OK"]


def test_reading_a_message_sets_seen_and_peeking_does_not() -> None:
    world, client = selected(3)
    inbox = world.mail.folder(ALICE)
    for item in ("BODY.PEEK[]", "RFC822.HEADER", "ENVELOPE", "RFC822.SIZE", "BODY"):
        client.ask(f"FETCH 1:* {item}")
    assert inbox.flags == {1: [], 2: [], 3: []}
    assert client.ask("FETCH 1 BODY[TEXT]").split("\r\n")[-2] == " FLAGS (\\Seen \\Recent))"
    assert client.ask("FETCH 1 BODY[TEXT]").split("\r\n")[-2] == ")", "nothing has changed"
    client.ask("FETCH 2 RFC822.TEXT")
    client.ask("FETCH 3 RFC822")
    assert inbox.flags == {1: ["\\Seen"], 2: ["\\Seen"], 3: ["\\Seen"]}


def test_a_message_is_sent_byte_for_byte_but_nul() -> None:
    world, client = selected(0)
    raw = b"Subject: x\r\n\r\nbare\nlf \xff nul \0 end"
    world.mail.folder(ALICE).deliver(raw)
    found = client.send(b"t FETCH 1 (RFC822.SIZE BODY.PEEK[])\r\n")
    sent = raw.replace(b"\0", b"\x80")
    assert found.startswith(b"* 1 EXISTS\r\n") or b"BAD" in found
    client.ask("NOOP")
    found = client.send(b"t FETCH 1 (RFC822.SIZE BODY.PEEK[])\r\n")
    size = len(raw)
    assert found == (
        b"* 1 FETCH (RFC822.SIZE %d BODY[] {%d}\r\n%b)\r\nt OK Done\r\n" % (size, size, sent)
    )


# ── STORE ────────────────────────────────────────────────────────────────────


def test_store_sets_adds_and_removes_flags() -> None:
    world, client = selected()
    assert client.lines("STORE 1:2 +FLAGS (\\Seen \\Flagged)") == [
        "* 1 FETCH (FLAGS (\\Flagged \\Seen \\Recent))",
        "* 2 FETCH (FLAGS (\\Flagged \\Seen \\Recent))",
        "t OK",
    ]
    assert client.lines("UID STORE 2 -FLAGS \\Seen \\Draft") == [
        "* 2 FETCH (UID 2 FLAGS (\\Flagged \\Recent))",
        "t OK",
    ]
    assert client.lines("STORE 1 FLAGS.SILENT (\\Answered)") == ["t OK"]
    assert client.lines("STORE 2 FLAGS ()") == ["* 2 FETCH (FLAGS (\\Recent))", "t OK"]
    assert world.mail.folder(ALICE).flags == {1: ["\\Answered"], 2: []}


@pytest.mark.parametrize(
    "arguments",
    ["1 +FLAGS \\Recent", "1 FLAGS \\Unheard", "1 BANANA \\Seen", "1 +FLAGS", "1 +FLAGS.X a"],
)
def test_flags_that_cannot_be_set_are_bad(arguments: str) -> None:
    _, client = selected()
    assert client.status(f"STORE {arguments}") == "BAD"


def test_a_new_keyword_is_announced_in_every_session_before_it_is_used() -> None:
    world, client = selected()
    other = Raw(world, 2, select="INBOX")
    flags = "(\\Answered \\Flagged \\Deleted \\Seen \\Draft Work)"
    permanent = flags.replace(")", " \\*)")
    announced = [
        f"* FLAGS {flags}",
        f"* OK [PERMANENTFLAGS {permanent}] Flags that can be set",
    ]
    assert client.lines("STORE 1 +FLAGS (Work)") == [
        *announced,
        "* 1 FETCH (FLAGS (Work \\Recent))",
        "t OK",
    ]
    assert client.lines("STORE 1 +FLAGS (WORK)") == ["* 1 FETCH (FLAGS (Work \\Recent))", "t OK"]
    assert other.lines("NOOP") == [*announced, "* 1 FETCH (FLAGS (Work))", "t OK"]
    client.ask("STORE 1 +FLAGS (Home)")
    announced = [line.replace("Work", "Work Home") for line in announced]
    told = ["* 1 FETCH (FLAGS (Work Home))", "t OK"]
    assert other.lines("FETCH 1 FLAGS") == [*announced, *told]


def test_a_mailbox_has_a_limit_of_keywords() -> None:
    _, client = selected()
    many = " ".join(f"k{number}" for number in range(KEYWORDS))
    assert client.status(f"STORE 1 FLAGS ({many})") == "OK"
    assert client.status("STORE 1 +FLAGS (one more)") == "NO [LIMIT]"
    assert client.status("APPEND INBOX (more) {2+}\r\nhi") == "NO [LIMIT]"


def test_silent_silences_its_own_session_only() -> None:
    world, client = selected()
    other = Raw(world, 2, select="INBOX")
    assert client.lines("STORE 1 +FLAGS.SILENT \\Seen") == ["t OK"]
    assert other.lines("NOOP") == ["* 1 FETCH (FLAGS (\\Seen))", "t OK"]


def test_what_uid_store_tells_of_other_mails_has_their_unique_ids_too() -> None:
    world, client = selected(3)
    other = Raw(world, 2, select="INBOX")
    world.mail.folder(ALICE).remove(1)
    other.ask("NOOP")
    client.ask("NOOP")
    client.ask("STORE 2 +FLAGS.SILENT \\Flagged")
    assert other.lines("UID STORE 2 +FLAGS \\Seen") == [
        "* 1 FETCH (UID 2 FLAGS (\\Seen))",
        "* 2 FETCH (UID 3 FLAGS (\\Flagged))",
        "t OK",
    ]


# ── numbers that stay until the session is told ──────────────────────────────


def test_a_session_keeps_its_numbers_until_it_is_told() -> None:
    world, client = selected(3)
    other = Raw(world, 2, select="INBOX")
    other.ask("STORE 1 +FLAGS \\Deleted")
    other.ask("EXPUNGE")
    world.mail.deliver(ALICE, MAIL)
    # RFC 3501 §7.4.1: no EXPUNGE in these.
    lines = client.lines("FETCH 1:* UID")
    assert lines == [*(f"* {n} FETCH (UID {n})" for n in (1, 2, 3)), "t OK"]
    assert client.status("FETCH 1 BODY.PEEK[]") == "OK [EXPUNGEISSUED]"
    assert client.lines("STORE 1 +FLAGS \\Seen") == ["t OK"]
    assert client.status("COPY 1 Trash") == "NO [EXPUNGEISSUED]"
    assert client.lines("NOOP") == ["t OK"], "COPY has told it"
    assert client.lines("FETCH 1:* UID")[:-1] == [f"* {n} FETCH (UID {n + 1})" for n in (1, 2, 3)]


@pytest.mark.parametrize("way", ["EXPUNGE", "UID MOVE 2 Trash"])
def test_a_removed_mail_keeps_its_flags_until_the_session_is_told(way: str) -> None:
    world, client = selected(3)
    other = Raw(world, 2, select="INBOX")
    other.ask("ENABLE CONDSTORE")
    client.ask("STORE 1:3 +FLAGS (\\Seen kw)")
    client.ask("STORE 2 +FLAGS \\Deleted")
    other.ask("NOOP")
    ((_, modseq), _) = (line.split("MODSEQ") for line in other.lines("FETCH 2 MODSEQ"))
    client.ask(way)
    assert other.lines("FETCH 2 (FLAGS MODSEQ)")[0] == (
        f"* 2 FETCH (FLAGS (\\Deleted \\Seen kw) MODSEQ{modseq}"
    )
    assert other.lines("FETCH 1:3 UID (CHANGEDSINCE 1)")[1] == f"* 2 FETCH (UID 2 MODSEQ{modseq}"
    for key, found in [
        ("UNSEEN", ""),
        ("DELETED", " 2"),
        ("UNDELETED", " 1 3"),
        ("KEYWORD kw", " 1 2 3"),
    ]:
        assert other.lines(f"SEARCH {key}")[0] == f"* SEARCH{found}", key
    assert other.lines("UID SEARCH UNSEEN")[:2] == ["* SEARCH", "* 2 EXPUNGE"]


def test_removals_are_told_lowest_first_and_arrivals_after_them() -> None:
    world, client = selected(5)
    inbox = world.mail.folder(ALICE)
    for uid in (5, 1, 2):
        inbox.remove(uid)
    inbox.deliver(MAIL)
    inbox.flag(4, "\\Seen")
    assert client.lines("NOOP") == [
        "* 4 FETCH (FLAGS (\\Seen \\Recent))",
        "* 1 EXPUNGE",
        "* 1 EXPUNGE",
        "* 3 EXPUNGE",
        "* 3 EXISTS",
        "* 3 RECENT",
        "t OK",
    ]


def test_a_mail_that_came_and_went_was_never_there() -> None:
    world, client = selected(1)
    inbox = world.mail.folder(ALICE)
    inbox.remove(inbox.deliver(MAIL))
    assert client.lines("NOOP") == ["t OK"]


@pytest.mark.parametrize("command", ["UID FETCH 2 UID", "UID STORE 2 +FLAGS \\Seen"])
def test_the_uid_forms_may_tell_of_removals(command: str) -> None:
    world, client = selected(2)
    world.mail.folder(ALICE).remove(1)
    assert client.lines(command)[-3:] == ["* 1 EXPUNGE", "* 1 RECENT", "t OK"]


# ── COPY, MOVE, EXPUNGE ──────────────────────────────────────────────────────


def test_copy_keeps_flags_and_date() -> None:
    world, client = selected(0)
    world.mail.folder(ALICE).deliver(MAIL, ["\\Seen", "Work"], 1_000_000_000.0)
    client.ask("NOOP")
    number = world.mail.folder(ALICE, "Trash").uidvalidity
    assert client.status("COPY 1 Trash") == f"OK [COPYUID {number} 1 1]"
    (copy,) = world.mail.folder(ALICE, "Trash")
    assert (copy.flags, copy.at, copy.raw) == (["\\Seen", "Work"], 1_000_000_000.0, MAIL)
    assert client.status("UID COPY 99 Trash") == "OK", "nothing was copied"
    assert client.status("COPY 1 none") == "NO [TRYCREATE]"
    assert client.status("COPY 2 Trash") == "BAD"


def test_copy_into_the_same_mailbox_is_told_before_the_answer() -> None:
    _, client = selected(2)
    assert client.lines("COPY 1:2 INBOX") == ["* 4 EXISTS", "* 4 RECENT", "t OK"]


def test_move_removes_what_it_has_copied() -> None:
    world, client = selected(3)
    other = Raw(world, 2, select="INBOX")
    number = world.mail.folder(ALICE, "Trash").uidvalidity
    assert client.lines("MOVE 1,3 Trash") == [
        f"* OK [COPYUID {number} 1,3 1:2] Moved",
        "* 1 EXPUNGE",
        "* 2 EXPUNGE",
        "* 1 RECENT",
        "t OK",
    ]
    assert other.lines("NOOP") == ["* 1 EXPUNGE", "* 2 EXPUNGE", "t OK"]
    assert world.mail.folder(ALICE, "Trash").flags == {1: [], 2: []}
    assert client.status("UID MOVE 2 none") == "NO [TRYCREATE]"
    assert client.lines("UID MOVE 99 Trash") == ["t OK"]


def test_expunge_removes_what_is_marked_and_uid_expunge_what_is_also_named() -> None:
    world, client = selected(4)
    client.ask("STORE 1,3,4 +FLAGS.SILENT \\Deleted")
    assert client.lines("UID EXPUNGE 2:3") == ["* 3 EXPUNGE", "* 3 RECENT", "t OK"]
    assert client.lines("EXPUNGE") == ["* 1 EXPUNGE", "* 2 EXPUNGE", "* 1 RECENT", "t OK"]
    assert list(world.mail.folder(ALICE).flags) == [2]
    assert client.lines("EXPUNGE") == ["t OK"]


def test_without_uidplus_no_uids_are_told() -> None:
    _, client = selected(off={"imap": ["UIDPLUS"]})
    assert client.status("COPY 1 Trash") == "OK"
    assert client.lines("MOVE 1 Trash")[0] == "* 1 EXPUNGE"
    assert client.status("APPEND INBOX {2+}\r\nhi") == "OK"


# ── APPEND ───────────────────────────────────────────────────────────────────


def test_append_stores_a_message_as_it_is() -> None:
    world, client = selected(1)
    number = world.mail.folder(ALICE).uidvalidity
    command = f'APPEND INBOX (\\Seen Work) " 1-Feb-2026 10:00:00 +0100" {{{len(MAIL)}+}}\r\n'
    answer = client.ask(command + MAIL.decode()).split("\r\n")
    assert answer[2:] == [
        "* 2 EXISTS",
        "* 2 RECENT",
        f"t OK [APPENDUID {number} 2] Stored",
    ]
    mail = world.mail.folder(ALICE).mails[1]
    assert (mail.raw, mail.flags, mail.at) == (MAIL, ["\\Seen", "Work"], 1769936400.0)
    assert not world.mail.messages


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("APPEND none {2+}\r\nhi", "NO [TRYCREATE]"),
        ("APPEND INBOX {0+}\r\n", "NO"),
        ("APPEND INBOX hi", "BAD"),
        ('APPEND INBOX "hi"', "BAD"),
        ("APPEND INBOX (\\Recent) {2+}\r\nhi", "BAD"),
        ("APPEND INBOX {2+}\r\nhi more", "BAD"),
        ("APPEND INBOX", "BAD"),
        ("APPEND {5+}\r\nINBOX {2+}\r\nhi", "OK"),
    ],
)
def test_append_refuses_what_it_cannot_store(command: str, status: str) -> None:
    world, client = selected(0)
    assert client.status(command).split(" [APPENDUID")[0] == status
    assert len(world.mail.folder(ALICE)) == (status == "OK")
    assert client.status("NOOP") == "OK"


def test_utf_8_in_a_header_needs_utf8_accept_or_a_lenient_server() -> None:
    size = len(UTF8.encode())
    plain = f"APPEND INBOX {{{size}+}}\r\n{UTF8}"
    wrapped = f"APPEND INBOX UTF8 (~{{{size}+}}\r\n{UTF8})"
    _, client = selected()
    assert client.status(plain) == "NO [CANNOT]"
    assert client.status(wrapped) == "BAD"
    client = Raw(imap_world())
    client.ask("LOGIN alice secret")
    client.ask("ENABLE UTF8=ACCEPT")
    assert client.status(wrapped).startswith("OK [APPENDUID")
    _, lenient = selected(imap={"lenient_utf8": True})
    assert lenient.status(plain).startswith("OK [APPENDUID")
    for body in ("Subject: e\r\n\r\né", "Subject: e\n\né"):
        assert selected()[1].status(f"APPEND INBOX {{{len(body) + 1}+}}\r\n{body}")[:2] == "OK"


# ── keep.mail ────────────────────────────────────────────────────────────────


def test_a_folder_keeps_no_more_than_it_may_and_what_was_just_stored() -> None:
    world, client = selected(0, keep={"mail": 4 * (PER_MAIL + len(MAIL))})
    archive = world.mail.folder(ALICE, "Archive")
    append = f"{{{len(MAIL)}+}}\r\n{MAIL.decode()}"
    for number in range(1, 10):
        assert f" {number}]" in client.status(f"APPEND Archive {append}")
        assert list(archive.flags)[-1] == number and len(archive) <= 4
    assert [*archive.flags] == [7, 8, 9]
    for number in range(1, 10):
        client.ask(f"APPEND INBOX {append}")
        code = f"[COPYUID {archive.uidvalidity} {number} {number + 9}]"
        assert client.lines("MOVE 1 Archive")[0] == f"* OK {code} Moved"
        assert list(archive.flags)[-1] == number + 9 and len(archive) <= 4
    said = [event.text for event in world.events if event.level == "warning"]
    assert len(said) == 7 and said[0].startswith(f"{ALICE}: dropped 2 mails")


def test_what_one_command_copies_stays_even_if_it_is_more_than_the_limit() -> None:
    world, client = selected(3, keep={"mail": 2 * (PER_MAIL + len(MAIL))})
    archive = world.mail.folder(ALICE, "Archive")
    for last in (3, 6):
        assert f" 1:3 {last - 2}:{last}]" in client.status("COPY 1:3 Archive")
        assert list(archive.flags) == [last - 2, last - 1, last]
    assert client.lines("COPY 2:3 INBOX") == [
        "* 1 EXPUNGE",
        "* 1 EXPUNGE",
        "* 1 EXPUNGE",
        "* 2 EXISTS",
        "* 2 RECENT",
        "t OK",
    ]


# ── SEARCH ───────────────────────────────────────────────────────────────────


def test_search_finds_by_flags_and_text() -> None:
    world, client = selected(3)
    world.mail.folder(ALICE).flag(2, "\\Seen", "Work")
    client.ask("NOOP")
    assert client.lines("SEARCH UNSEEN") == ["* SEARCH 1 3", "t OK"]
    assert client.lines("SEARCH KEYWORD work SUBJECT ONE") == ["* SEARCH 2", "t OK"]
    assert client.lines("UID SEARCH BODY nothing") == ["* SEARCH", "t OK"]
    assert client.lines("SEARCH RETURN (COUNT MIN) UNSEEN")[0].startswith('* ESEARCH (TAG "t")')
    assert client.status("SEARCH CHARSET KLINGON ALL").startswith("NO [BADCHARSET")
    assert client.status("SEARCH") == "BAD"


def test_without_esearch_return_is_unknown() -> None:
    _, client = selected(off={"imap": ["ESEARCH"]})
    assert client.status("SEARCH RETURN (COUNT) ALL") == "BAD"


def test_sort_and_thread_order_what_search_finds() -> None:
    world, client = selected(0)
    inbox = world.mail.folder(ALICE)
    for subject, message_id in (("b", "<1@x>"), ("a", "<2@x>"), ("Re: b", "<3@x>")):
        head = f"Subject: {subject}\r\nMessage-ID: {message_id}\r\n"
        head += "In-Reply-To: <1@x>\r\n" if subject.startswith("Re") else ""
        inbox.deliver(f"{head}\r\n".encode())
    client.ask("NOOP")
    assert client.lines("SORT (REVERSE SUBJECT) UTF-8 ALL") == ["* SORT 1 3 2", "t OK"]
    assert client.lines("UID SORT (SUBJECT) US-ASCII SUBJECT c") == ["* SORT", "t OK"]
    assert client.lines("THREAD REFERENCES UTF-8 ALL") == ["* THREAD (1 3)(2)", "t OK"]
    assert client.lines("UID THREAD ORDEREDSUBJECT UTF-8 SEEN") == ["* THREAD", "t OK"]
    assert client.status("SORT (SUBJECT) ALL") in ("BAD", "NO [BADCHARSET (US-ASCII UTF-8)]")
    assert client.status("THREAD FANCY UTF-8 ALL") == "BAD"


def test_an_algorithm_that_is_off_is_unknown() -> None:
    _, client = selected(off={"imap": ["THREAD=REFERENCES"]})
    assert client.status("THREAD REFERENCES UTF-8 ALL") == "BAD"
    assert client.status("THREAD ORDEREDSUBJECT UTF-8 ALL") == "OK"
    _, client = selected(off={"imap": ["THREAD=REFERENCES", "THREAD=ORDEREDSUBJECT"]})
    assert client.ask("THREAD REFERENCES UTF-8 ALL") == "t BAD Unknown command"


# ── CONDSTORE ────────────────────────────────────────────────────────────────


def test_modification_numbers_are_told_once_they_were_asked_for() -> None:
    world, client = selected(2)
    assert "MODSEQ" not in client.ask("STORE 1 +FLAGS \\Seen").replace("HIGHEST", "")
    # RFC 7162 §3.1: the first command that asks for them is told the highest one.
    assert client.lines("FETCH 1:2 MODSEQ") == [
        "* OK [HIGHESTMODSEQ 4] The highest modification number",
        "* 1 FETCH (MODSEQ (4))",
        "* 2 FETCH (MODSEQ (3))",
        "t OK",
    ]
    assert client.lines("STORE 2 +FLAGS \\Seen")[0] == (
        "* 2 FETCH (FLAGS (\\Seen \\Recent) MODSEQ (5))"
    )
    assert client.lines("STORE 2 +FLAGS.SILENT \\Draft")[0] == "* 2 FETCH (MODSEQ (6))"
    assert client.lines("UID FETCH 1:* (FLAGS) (CHANGEDSINCE 4)")[:-1] == [
        "* 2 FETCH (UID 2 FLAGS (\\Seen \\Draft \\Recent) MODSEQ (6))"
    ]
    assert client.status("STORE 1:2 (UNCHANGEDSINCE 4) +FLAGS \\Flagged") == "OK [MODIFIED 2]"
    assert client.status("UID STORE 2 (UNCHANGEDSINCE 1) +FLAGS \\Flagged") == "OK [MODIFIED 2]"
    assert world.mail.folder(ALICE).flags[1] == ["\\Flagged", "\\Seen"]
    assert "\\Flagged" not in world.mail.folder(ALICE).flags[2]
    assert "HIGHESTMODSEQ 7" in client.ask("STATUS INBOX (HIGHESTMODSEQ)")
    assert client.lines("ENABLE CONDSTORE") == ["* ENABLED CONDSTORE", "t OK"]
    assert client.ask("SELECT INBOX (CONDSTORE)").count("HIGHESTMODSEQ") == 1


def test_a_sort_by_modification_numbers_tells_the_highest_one() -> None:
    _, client = selected(3)
    highest = "* OK [HIGHESTMODSEQ 4] The highest modification number"
    assert client.lines("SORT (ARRIVAL) UTF-8 MODSEQ 3") == [
        highest,
        "* SORT 2 3 (MODSEQ 4)",
        "t OK",
    ]
    assert client.lines("UID SORT (ARRIVAL) UTF-8 MODSEQ 9") == ["* SORT", "t OK"]
    _, client = selected(3)
    assert client.lines("THREAD REFERENCES UTF-8 MODSEQ 4") == [highest, "* THREAD (3)", "t OK"]


def test_without_condstore_modification_numbers_are_unknown() -> None:
    _, client = selected(off={"imap": ["CONDSTORE"]})
    assert "HIGHESTMODSEQ" not in client.ask("SELECT INBOX")
    for command in (
        "FETCH 1 MODSEQ",
        "FETCH 1 FLAGS (CHANGEDSINCE 1)",
        "STORE 1 (UNCHANGEDSINCE 1) +FLAGS \\Seen",
        "STATUS INBOX (HIGHESTMODSEQ)",
        "SEARCH MODSEQ 1",
        "SORT (DATE) UTF-8 MODSEQ 1",
        "THREAD REFERENCES UTF-8 MODSEQ 1",
    ):
        assert client.status(command) == "BAD"
    assert client.status("SELECT INBOX (CONDSTORE)") == "BAD"


# ── the other doors ──────────────────────────────────────────────────────────


def test_pop3_locks_pop3_only_and_its_quit_is_told() -> None:
    world, client = selected(3)
    pop3 = world.core("pop3")
    assert ask(pop3, b"USER alice\r\nPASS secret\r\n").endswith(b"in the maildrop\r\n")
    client.ask("STORE 2 +FLAGS \\Deleted")
    client.ask("EXPUNGE")
    pop3.receive(b"RETR 2\r\nDELE 1\r\n")
    drain(pop3)
    assert client.lines("NOOP") == ["t OK"]
    assert ask(pop3, b"QUIT\r\n") == b"+OK Bye\r\n"
    assert client.lines("NOOP") == ["* 1 EXPUNGE", "* 1 RECENT", "t OK"]
    assert [one.uid for one in world.mail.folder(ALICE)] == [3]


def test_pop3_refuses_a_mail_that_imap_has_removed() -> None:
    world, client = selected(3)
    pop3 = world.core("pop3")
    pop3.receive(b"USER alice\r\nPASS secret\r\n")
    drain(pop3)
    world.mail.folder(ALICE).remove(2)
    gone = b"-ERR That message was removed by another program\r\n"
    assert ask(pop3, b"RETR 2\r\n") == ask(pop3, b"TOP 2 0\r\n") == gone
    assert ask(pop3, b"RETR 3\r\n").startswith(b"+OK")
    assert ask(pop3, b"DELE 2\r\nSTAT\r\nQUIT\r\n").endswith(b"+OK Bye\r\n")
    assert client.lines("NOOP") == ["* 2 EXPUNGE", "* 2 RECENT", "t OK"]


@pytest.mark.parametrize("switch", [False, True])
def test_retr_sets_seen_only_if_the_server_is_set_up_so(switch: bool) -> None:
    world, client = selected(1, mail={"seen_by_retr": switch})
    pop3 = world.core("pop3")
    pop3.receive(b"USER alice\r\nPASS secret\r\nRETR 1\r\n")
    assert world.mail.folder(ALICE).flags == {1: ["\\Seen"] if switch else []}
    assert len(client.lines("NOOP")) == 1 + switch


def test_unique_ids_are_those_of_pop3() -> None:
    world, client = selected(2)
    pop3 = world.core("pop3")
    pop3.receive(b"USER alice\r\nPASS secret\r\n")
    drain(pop3)
    assert ask(pop3, b"UIDL 2\r\n") == b"+OK 2 00000002\r\n"
    assert client.lines("FETCH 2 UID")[0] == "* 2 FETCH (UID 2)"


def test_smtp_delivers_into_inbox_without_flags() -> None:
    world, client = selected(0)
    smtp = world.core("smtp")
    smtp.receive(
        b"HELO client.example\r\nMAIL FROM:<bob@example.org>\r\nRCPT TO:<alice@example.test>\r\n"
        b"DATA\r\nSubject: x\r\n\r\nhi\r\n.\r\n"
    )
    drain(smtp)
    assert client.lines("NOOP") == ["* 1 EXISTS", "* 1 RECENT", "t OK"]
    assert client.lines("FETCH 1 FLAGS")[0] == "* 1 FETCH (FLAGS (\\Recent))"
