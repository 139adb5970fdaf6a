"""Address lists, as ENVELOPE has them. The values for wrong lists are those of Dovecot 2.3.19."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.imap.addresses import GROUP_END, Address, read_addresses

Four = tuple[str | None, str | None, str | None, str | None]
END: Four = (None, None, None, None)
MISSING: Four = (None, None, "MISSING_MAILBOX", "MISSING_DOMAIN")


def group(name: str) -> Four:
    return (None, None, name, None)


def plain(mailbox: str, host: str, name: str | None = None) -> Four:
    return (name, None, mailbox, host)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "found"),
    [
        # RFC 5322 §A.1.2
        (
            '"Joe Q. Public" <john.q.public@example.com>',
            [plain("john.q.public", "example.com", "Joe Q. Public")],
        ),
        (
            "Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>",
            [
                plain("mary", "x.test", "Mary Smith"),
                plain("jdoe", "example.org"),
                plain("one", "y.test", "Who?"),
            ],
        ),
        (
            '<boss@nil.test>, "Giant; \\"Big\\" Box" <s@example.net>',
            [plain("boss", "nil.test"), plain("s", "example.net", 'Giant; "Big" Box')],
        ),
        # RFC 5322 §A.1.3
        (
            "A Group:Ed Jones <c@a.test>,joe@where.test;",
            [group("A Group"), plain("c", "a.test", "Ed Jones"), plain("joe", "where.test"), END],
        ),
        ("Undisclosed recipients:;", [group("Undisclosed recipients"), END]),
        # RFC 5322 §A.5
        (
            "Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>",
            [plain("pete", "silly.test", "Pete")],
        ),
        # RFC 5322 §A.6.1
        (
            "Mary Smith <@node.test:mary@example.net>, , jdoe@test   . example",
            [
                ("Mary Smith", "@node.test", "mary", "example.net"),
                MISSING,
                plain("jdoe", "test.example"),
            ],
        ),
        ("<@r1,@r2:u@h>", [(None, "@r1,@r2", "u", "h")]),
        ("a@b.c (Name Here)", [plain("a", "b.c", "Name Here")]),
        ("(not me) a@b.c", [plain("a", "b.c")]),
        ("a@[1.2.3.4]", [plain("a", "[1.2.3.4]")]),
        ('"a b"@c', [plain("a b", "c")]),
        ("=?utf-8?q?x?= <x@y>", [plain("x", "y", "=?utf-8?q?x?=")]),
        ("ä <ä@ö.test>", [plain("ä", "ö.test", "ä")]),
        ("g: a@b, c@d;, e@f", [group("g"), plain("a", "b"), plain("c", "d"), END, plain("e", "f")]),
        ('"quoted g": <a@b>;', [group("quoted g"), plain("a", "b"), END]),
        ("g: a@b", [group("g"), plain("a", "b"), END]),
        (":;", [group(""), END]),
        ("", []),
        ("()", []),
        ("(unclosed a@b", []),
        # lists that are wrong
        ("a", [plain("a", "MISSING_DOMAIN")]),
        ("a b", [plain("MISSING_MAILBOX", "MISSING_DOMAIN", "a b")]),
        ("bad <", [plain("MISSING_MAILBOX", "SYNTAX_ERROR", "bad")]),
        ("bad <a@>", [plain("a", "SYNTAX_ERROR", "bad")]),
        ("bad <a>", [plain("a", "MISSING_DOMAIN", "bad")]),
        ("bad <@b>", [("bad", "INVALID_ROUTE", "MISSING_MAILBOX", "MISSING_DOMAIN")]),
        ("<>", [MISSING]),
        ("<a b@c>, d@e", [plain("a", "SYNTAX_ERROR")]),
        ("<a@b, c@d>", [plain("a", "SYNTAX_ERROR"), plain("c", "d")]),
        (",,a@b,,", [MISSING, MISSING, plain("a", "b"), MISSING]),
        ("a@b c@d", [plain("a", "b")]),
        ("a@b; c@d", [plain("a", "b")]),
        ("a..b@c", [plain("a..b", "c")]),
        ("a@b.", [plain("a", "MISSING_DOMAIN")]),
        ("@b", [plain("MISSING_MAILBOX", "b")]),
        ('"unclosed, a@b', [MISSING]),
        ('"only a name"', [plain("MISSING_MAILBOX", "MISSING_DOMAIN", "only a name")]),
    ],
)
def test_a_list_is_read(text: str, found: list[Four]) -> None:
    expected = [
        Address(*(None if word is None else word.encode() for word in each)) for each in found
    ]
    assert read_addresses(text.encode()) == expected


@pytest.mark.slow
@given(st.text('ab @<>:;,."()[]\\ä\r\n\0'))
def test_any_list_is_read(text: str) -> None:
    for address in read_addresses(text.encode()):
        assert address == GROUP_END or address.mailbox is not None
