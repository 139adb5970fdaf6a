"""The arguments of each command."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.imap.commands import (
    ARGUMENTS,
    Append,
    Authenticate,
    Copy,
    Create,
    Enable,
    Expunge,
    Fetch,
    Id,
    List,
    Login,
    Mailbox,
    Quota,
    Rename,
    Select,
    Sort,
    Status,
    Store,
    Thread,
)
from fakes.imap.grammar import BadCommand, SequenceSet
from fakes.imap.search import Key, Search
from fakes.imap.sections import Item
from tests.imap_values import arguments

ONE = SequenceSet(((1, 1),))
ALL = Search(Key("ALL"))


def read(text: str | bytes) -> object:
    """Returns the arguments of a command without its tag."""
    line = arguments(b"a " + (text.encode() if isinstance(text, str) else text))
    line.at = 1
    return ARGUMENTS[line.verb()](line)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("NOOP", None),
        ('LOGIN ann "p w"', Login(b"ann", b"p w", (12, 17))),
        ("LOGIN {3+}\r\nann {1+}\r\np", Login(b"ann", b"p", (18, 25))),
        ('LOGIN "ä" p', Login("ä".encode(), b"p", (13, 14))),
        ("AUTHENTICATE plain", Authenticate("PLAIN", None, (20, 20))),
        ("AUTHENTICATE PLAIN =", Authenticate("PLAIN", b"=", (21, 22))),
        ("AUTHENTICATE PLAIN AGE=", Authenticate("PLAIN", b"AGE=", (21, 25))),
        ("SELECT inbox", Select(b"inbox", condstore=False)),
        ("EXAMINE inbox (condstore)", Select(b"inbox", condstore=True)),
        ("CREATE a/", Create(b"a/", ())),
        (r"CREATE Bin (USE (\Trash))", Create(b"Bin", ("\\Trash",))),
        ("DELETE a", Mailbox(b"a")),
        ("GETQUOTAROOT {1+}\r\na", Mailbox(b"a")),
        ("RENAME a b", Rename(b"a", b"b")),
        ('LIST "" %', List(b"", (b"%",))),
        ('LSUB "" "*"', List(b"", (b"*",))),
        (
            'list (subscribed RecursiveMatch) "" (a% b) RETURN (Children)',
            List(
                *(b"", (b"a%", b"b"), frozenset({"SUBSCRIBED", "RECURSIVEMATCH"})),
                *(frozenset({"CHILDREN"}), True),
            ),
        ),
        ('LIST () "" "" RETURN ()', List(b"", (b"",), is_extended=True)),
        ("STATUS a (messages UNSEEN messages)", Status(b"a", ("MESSAGES", "UNSEEN"))),
        ("APPEND a {2+}\r\nhi", Append(b"a", (), None, (17, 19), is_utf8=False)),
        (
            'APPEND a (\\Seen x) " 1-Feb-1970 00:00:00 +0000" {2+}\r\nh\0',
            Append(b"a", ("\\Seen", "x"), 31 * 86400.0, (56, 58), is_utf8=False),
        ),
        ("APPEND a UTF8 (~{2+}\r\nhi)", Append(b"a", (), None, (24, 26), is_utf8=True)),
        ("FETCH 1 UID", Fetch(ONE, (Item("UID"),), None)),
        ("UID FETCH 1 (UID FLAGS UID)", Fetch(ONE, (Item("UID"), Item("FLAGS")), None)),
        ("FETCH 1 FLAGS (CHANGEDSINCE 9)", Fetch(ONE, (Item("FLAGS"),), 9)),
        (r"STORE 1 FLAGS \Seen b", Store(ONE, "", False, ("\\Seen", "b"), None)),
        ("STORE 1 +flags.silent ()", Store(ONE, "+", True, (), None)),
        ("STORE 1 (UNCHANGEDSINCE 0) -FLAGS (a)", Store(ONE, "-", False, ("a",), 0)),
        ("UID COPY 1 a", Copy(ONE, b"a")),
        ("MOVE 1 a", Copy(ONE, b"a")),
        ("EXPUNGE", None),
        ("UID EXPUNGE 1", Expunge(ONE)),
        ("ENABLE condstore X", Enable(("CONDSTORE", "X"))),
        ("ID NIL", Id(())),
        ("ID ()", Id(())),
        ('ID ("name" "x" "os" NIL)', Id(((b"name", b"x"), (b"os", None)))),
        ('GETQUOTA ""', Quota(b"")),
        ('SETQUOTA "" (STORAGE 512)', Quota(b"", (("STORAGE", 512),))),
        ("SEARCH ALL", ALL),
        (
            "SORT (subject REVERSE date) UTF-8 ALL",
            Sort((("SUBJECT", False), ("DATE", True)), ALL),
        ),
        ("UID THREAD references us-ascii ALL", Thread("REFERENCES", ALL)),
    ],
)
def test_arguments_are_read(text: str, found: object) -> None:
    assert read(text) == found


@pytest.mark.slow
@pytest.mark.parametrize(
    "text",
    [
        *("NOOP x", "NOOP ", "LOGIN a", "LOGIN a b c", "LOGIN  a b", "LOGIN a{1} b"),
        *("SELECT", "SELECT a ()", "SELECT a (QRESYNC)", "CREATE a (b)", "CREATE a (USE (x))"),
        *('LIST ""', 'LIST (FOO) "" *', 'LIST (RECURSIVEMATCH) "" *', 'LIST "" * RETURN (X)'),
        *('LIST "" () ', 'LSUB "" (a)', "STATUS a ()", "STATUS a (FOO)", "STATUS a MESSAGES"),
        *("APPEND a b", 'APPEND a "x" {1+}\r\na', "APPEND a (\\Recent) {1+}\r\na", "APPEND a {1"),
        *("FETCH 1", "FETCH 0 UID", "FETCH 1 (ALL)", "FETCH 1 ()", "FETCH 1 FOO", "FETCH UID 1"),
        *(
            "FETCH 1 FLAGS (CHANGEDSINCE 0)",
            "STORE 1 FOO (a)",
            "STORE 1 FLAGS",
            r"STORE 1 FLAGS \x",
        ),
        *("COPY 1", "COPY a b", "UID EXPUNGE", "ENABLE", "ID x", 'ID ("a")', "SORT () UTF-8 ALL"),
        *(
            "SORT (FOO) UTF-8 ALL",
            "SORT (REVERSE) UTF-8 ALL",
            "SORT (DATE) ALL",
            "THREAD X UTF-8 ALL",
        ),
        *(
            'SETQUOTA ""',
            'SETQUOTA "" (STORAGE)',
            "SEARCH",
            "AUTHENTICATE",
            "AUTHENTICATE PLAIN a b",
        ),
        "ID (" + " ".join('"a" NIL' for _ in range(31)) + ")",
    ],
)
def test_other_arguments_are_refused(text: str) -> None:
    with pytest.raises(BadCommand) as error:
        read(text)
    assert error.value.status == "BAD"


MARKS = ("(", ")", " ", " ", "]", "<0.1>", "BODY[", "ä")
OTHERS = ("1:*", "a", '"b"', "{1+}\r\nc", "FLAGS", "\\Seen", "NIL", "1.2", "HEADER.FIELDS")
KEYS = ("OR", "NOT", "ALL", "RETURN", "USE")
WORDS = st.lists(st.sampled_from([*ARGUMENTS, *MARKS, *OTHERS, *KEYS]))


@pytest.mark.slow
@given(st.sampled_from([*ARGUMENTS]), WORDS)
def test_any_words_are_read_or_refused(verb: str, words: list[str]) -> None:
    line = arguments(" " + "".join(words))
    try:
        ARGUMENTS[verb](line)
    except BadCommand as error:
        assert error.text.isprintable()
    else:
        assert line.at_end()
