"""What IMAP writes in its own way: folder names, sets of mails, answers to FETCH."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from comms.imap_syntax import LONGEST_SET, Piece, Value, fetched, folder_name, quoted, uid_sets


@pytest.mark.parametrize(
    ("name", "encoded"),
    [
        # RFC 3501 §5.1.3
        ("~peter/mail/\u53f0\u5317/\u65e5\u672c\u8a9e", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
        ("INBOX", "INBOX"),
        ("R&D", "R&-D"),
        ("&", "&-"),
        ("Entw\u00fcrfe", "Entw&APw-rfe"),
        ("\U0001f4ee", "&2D3c7g-"),
        ("My Box", "My Box"),
        ("&\u00e9&", "&-&AOk-&-"),
        ("", ""),
    ],
)
def test_a_folder_name_is_written_in_modified_utf_7(name: str, encoded: str) -> None:
    assert folder_name(name) == encoded


@pytest.mark.parametrize("name", ["a\r\nb", "\0", "a\tb", "\x7f", "\x85", "\ud800"])
def test_a_name_that_no_folder_can_have_is_an_error(name: str) -> None:
    with pytest.raises(ValueError):
        folder_name(name)


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"])))
def test_every_other_name_is_ascii_on_one_line(name: str) -> None:
    encoded = folder_name(name)
    assert encoded.isascii() and encoded.isprintable()


def test_a_quoted_string_escapes_quotes_and_backslashes() -> None:
    assert quoted('My "B\\x"') == r'"My \"B\\x\""'


@pytest.mark.parametrize(
    ("uids", "sets"),
    [
        ([], []),
        ([5], ["5"]),
        ([3, 1, 2, 7, 7], ["1:3,7"]),
        ([1, 2, 4, 5, 9], ["1:2,4:5,9"]),
    ],
)
def test_a_set_names_these_uids_and_no_others(uids: list[int], sets: list[str]) -> None:
    assert [*uid_sets(uids)] == sets


@given(st.sets(st.integers(1, 2**32 - 1), max_size=50))
def test_no_uid_is_lost_or_added(uids: set[int]) -> None:
    named: set[int] = set()
    for item in ",".join(uid_sets(uids)).split(","):
        first, _, last = item.partition(":")
        if first:
            named.update(range(int(first), int(last or first) + 1))
    assert named == uids


def test_long_sets_are_split_into_several_commands() -> None:
    sets = [*uid_sets(range(10**9, 10**9 + 4000, 2))]
    assert len(sets) == 3 and max(map(len, sets)) <= LONGEST_SET
    assert sum(one.count(",") + 1 for one in sets) == 2000


# ── answers to FETCH ─────────────────────────────────────────────────────────

READ: list[tuple[list[Piece], dict[str, Value]]] = [
    ([b"1 (UID 7 RFC822.SIZE 40)"], {"UID": "7", "RFC822.SIZE": "40"}),
    ([b"1 (uid 7 FLAGS ())"], {"UID": "7", "FLAGS": []}),
    ([b"1 (FLAGS (\\Seen a[b) UID 7)"], {"FLAGS": ["\\Seen", "a[b"], "UID": "7"}),
    ([(b"1 (BODY[] {5}", b"he)lo"), b" UID 7)"], {"BODY[]": b"he)lo", "UID": "7"}),
    ([(b"1 (UID 7 BODY[] {0}", b""), b")"], {"UID": "7", "BODY[]": b""}),
    ([(b"1 (BODY[] ~{2}", b"\0\0"), b")"], {"BODY[]": b"\0\0"}),
    ([b'1 (BODY[] "a\\"b\\\\c")'], {"BODY[]": b'a"b\\c'}),
    ([b"1 (BODY[] NIL UID 7)"], {"BODY[]": None, "UID": "7"}),
    (
        [(b"1 (ENVELOPE ({3}", b"a b"), (b" NIL ((NIL {1}", b"x"), b' "y z"))) UID 7)'],
        {"ENVELOPE": [b"a b", None, [[None, b"x", b"y z"]]], "UID": "7"},
    ),
    (
        [(b'1 (BODY[HEADER.FIELDS ("To" (x))]<0> {2}', b"hi"), b" MODSEQ (12))"],
        {'BODY[HEADER.FIELDS ("TO" (X))]<0>': b"hi", "MODSEQ": ["12"]},
    ),
    ([b"1 ()"], {}),
]


@pytest.mark.parametrize(("pieces", "items"), READ)
def test_items_of_an_answer_may_be_in_any_order_with_literals_anywhere(
    pieces: list[Piece], items: dict[str, Value]
) -> None:
    assert fetched(pieces) == items


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"1",
        b"1 UID 7",
        b"1 (UID 7",
        b"1 (UID 7))",
        b")",
        b"1 (UID)",
        b"1 (UID 7) (UID 8)",
        b'1 (BODY[] "open)',
        b"1 ((UID) 7)",
        b'1 ("UID" 7)',
        b"(UID 7)",
        b"1 (FLAGS " + b"(" * 2000 + b")" * 2000 + b")",
    ],
)
def test_what_is_not_an_answer_is_an_error(line: bytes) -> None:
    with pytest.raises(ValueError):
        fetched([line])


@given(
    st.lists(
        st.sampled_from([b"(", b")", b'"', b"\\", b"[", b"]", b" ", b"1", b"UID", b"NIL", b"{5}"])
    )
)
def test_any_bytes_are_read_or_are_a_value_error(parts: list[bytes]) -> None:
    found: dict[str, Value] = {}
    with contextlib.suppress(ValueError):
        found = fetched([b"1 (" + b"".join(parts) + b")"])
    assert all(name == name.upper() for name in found)
