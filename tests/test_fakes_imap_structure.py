"""ENVELOPE and BODYSTRUCTURE. If no section is named, the values are those of Dovecot 2.3.19."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.imap.sections import Section, read_section
from fakes.imap.source import Source
from fakes.imap.structure import body, body_structure, envelope
from tests.imap_values import values

PLAIN = b'("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" %d %d NIL NIL NIL NIL)'
NOBODY = b"NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL"


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"X: y", b"(" + NOBODY + b")"),
        (b"Subject: a  \tb\r\n  c ", b'(NIL "a b c" NIL NIL NIL NIL NIL NIL NIL NIL)'),
        (b"Subject:", b'(NIL "" NIL NIL NIL NIL NIL NIL NIL NIL)'),
        (b'Subject: a "q"', b'(NIL {5}\r\na "q" NIL NIL NIL NIL NIL NIL NIL NIL)'),
        (b"Subject: \xc3\xa4", b"(NIL {2}\r\n\xc3\xa4 NIL NIL NIL NIL NIL NIL NIL NIL)"),
        (b"Subject: one\r\nSubject: two", b'(NIL "two" NIL NIL NIL NIL NIL NIL NIL NIL)'),
        (
            b"Subject: =?utf-8?q?a?=\r\n =?utf-8?q?b?=",
            b'(NIL "=?utf-8?q?a?= =?utf-8?q?b?=" NIL NIL NIL NIL NIL NIL NIL NIL)',
        ),
        (
            b"Date: bad\r\nIn-Reply-To: (c) <x@y>\r\nMessage-ID: <a@b> z",
            b'("bad" NIL NIL NIL NIL NIL NIL NIL "(c) <x@y>" "<a@b> z")',
        ),
        (
            b"From: a@b",
            b'(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) ((NIL NIL "a" "b")) NIL '
            b"NIL NIL NIL NIL)",
        ),
        (
            b"From: a@b\r\nSender: c@d\r\nReply-To:",
            b'(NIL NIL ((NIL NIL "a" "b")) ((NIL NIL "c" "d")) ((NIL NIL "a" "b")) NIL '
            b"NIL NIL NIL NIL)",
        ),
        (b"Sender: c@d", b'(NIL NIL NIL ((NIL NIL "c" "d")) NIL NIL NIL NIL NIL NIL)'),
        (
            b"To: a@b\r\nTo: c@d\r\nCc: x:;\r\nBcc: e@f",
            b'(NIL NIL NIL NIL NIL ((NIL NIL "a" "b")(NIL NIL "c" "d")) ((NIL NIL "x" '
            b'NIL)(NIL NIL NIL NIL)) ((NIL NIL "e" "f")) NIL NIL)',
        ),
        (
            b'To: "A  B\r\n C" <a@b>',
            b'(NIL NIL NIL NIL NIL (("A B C" NIL "a" "b")) NIL NIL NIL NIL)',
        ),
    ],
)
def test_an_envelope(header: bytes, found: bytes) -> None:
    assert envelope(Source(header + b"\r\n\r\nbody")) == found


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"\r\nx", PLAIN % (1, 0)),
        (b"", PLAIN % (0, 0)),
        (b"Subject: only a header\r\n", PLAIN % (0, 0)),
        (b"Content-Type: text/plain; charset\r\n\r\nbody\r\n", PLAIN % (6, 1)),
        # RFC 2045 §5.2: as if there were none
        (b"Content-Type: nonsense\r\n\r\nx", PLAIN % (1, 0)),
        (
            b"Content-Type: TEXT/Plain; format=flowed\r\n\r\nx",
            b'("TEXT" "Plain" ("format" "flowed" "charset" "us-ascii") NIL NIL "7bit" 1 0 '
            b"NIL NIL NIL NIL)",
        ),
        (
            b"Content-Type: image/png\r\n\r\nx",
            b'("image" "png" NIL NIL NIL "7bit" 1 NIL NIL NIL NIL)',
        ),
        (
            b"Content-Type: message/delivery-status\r\n\r\nx",
            b'("message" "delivery-status" NIL NIL NIL "7bit" 1 NIL NIL NIL NIL)',
        ),
        (
            b'Content-Type: text/plain; n="l\xe4ng"\r\n\r\nx',
            b'("text" "plain" ("n" {4}\r\nl\xe4ng "charset" "us-ascii") NIL NIL "7bit" 1 '
            b"0 NIL NIL NIL NIL)",
        ),
        (
            b"Content-Type: text/plain\r\nContent-ID: <a@b>\r\nContent-Description: d\r\n e\r\n"
            b"Content-Transfer-Encoding: Base64 (x)\r\nContent-MD5: abc\r\n"
            b'Content-Disposition: attachment; filename="a b"; size=3\r\n'
            b"Content-Language: de, en\r\nContent-Location: http://x/\r\n\r\nx",
            b'("text" "plain" ("charset" "us-ascii") "<a@b>" "d e" "Base64" 1 0 "abc" '
            b'("attachment" ("filename" "a b" "size" "3")) ("de" "en") "http://x/")',
        ),
        (
            b"Content-Type: x/y\r\nContent-Disposition: inline\r\nContent-Language: (c) "
            b"de\r\nContent-ID:\r\n\r\nx",
            b'("x" "y" NIL "" NIL "7bit" 1 NIL ("inline" NIL) ("de") NIL)',
        ),
        (
            b"Content-Type: multipart/mixed\r\n\r\nx",
            b"(" + PLAIN % (0, 0) + b' "mixed" NIL NIL NIL NIL)',
        ),
        (
            b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\none\r\n--x\r\n"
            b"Content-Type: text/html\r\n\r\ntwo\r\n",
            b"("
            + PLAIN % (3, 0)
            + b'("text" "html" ("charset" "us-ascii") NIL NIL "7bit" 5 1 NIL NIL NIL NIL) '
            b'"mixed" ("boundary" "x") NIL NIL NIL)',
        ),
        (
            b"Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n",
            b'("message" "rfc822" NIL NIL NIL "7bit" 21 (NIL "in" NIL NIL NIL NIL NIL NIL NIL NIL) '
            + PLAIN % (6, 1)
            + b" 3 NIL NIL NIL NIL)",
        ),
        (
            b"Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            b"U3ViamVjdDogaW4=\r\n",
            b'("message" "rfc822" NIL NIL NIL "base64" 18 ('
            + NOBODY
            + b") "
            + PLAIN % (0, 0)
            + b" 1 NIL NIL NIL NIL)",
        ),
    ],
)
def test_a_structure(raw: bytes, found: bytes) -> None:
    assert body_structure(Source(raw)) == found


def test_a_body_is_a_structure_without_extension_data() -> None:
    raw = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Language: de\r\n\r\none"
    found = b'(("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 3 0) "mixed")'
    assert body(Source(raw)) == found


# ── any mail ─────────────────────────────────────────────────────────────────


def sizes_agree(source: Source, found: list[Any], number: tuple[int, ...]) -> None:
    """Checks that sizes and line counts are those of the sections."""
    if isinstance(found[0], list):
        at = 0
        while isinstance(found[at], list):
            sizes_agree(source, found[at], (*number, at + 1))
            at += 1
        return
    number = number or (1,)
    content = read_section(source, Section(number))
    assert content is not None and len(content) == int(found[6])
    kind = found[0].lower() + b"/" + found[1].lower()
    if kind == b"message/rfc822":
        assert int(found[9]) == content.count(b"\n")
        inner = found[8]
        sizes_agree(source, inner, number if isinstance(inner[0], list) else (*number, 1))
        text = read_section(source, Section(number, "TEXT"))
        header = read_section(source, Section(number, "HEADER"))
        assert header is not None and text is not None and header + text == content
    elif kind.startswith(b"text/"):
        assert int(found[7]) == content.count(b"\n")


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((Path(__file__).parent / "mails").glob("*.eml")), ids=str)
def test_sizes_are_those_of_the_sections(path: Path) -> None:
    source = Source(path.read_bytes())
    (found,) = values(body_structure(source))
    sizes_agree(source, found, ())
    (found,) = values(envelope(source))
    assert len(found) == 10


PIECES = st.lists(
    st.sampled_from(
        [b"--x\r\n", b"--y\r\n", b"--x--\r\n", b"\r\n", b"\n", b"\r\n\r\n", b'"', b"(", b"<", b"\0"]
        + [b"text\xff", b"Subject: ", b"From: ", b"To: a@b", b";", b"=", b"Content-Language: de,"]
        + [b"Content-Type: multipart/mixed; boundary=" + b + b"\r\n\r\n" for b in (b"x", b"y")]
        + [b"Content-Type: message/rfc822\r\n\r\n", b"Content-Type: ", b"Content-Disposition: a;"]
    )
)


@pytest.mark.slow
@given(PIECES)
def test_any_mail_has_a_structure_that_agrees_with_its_sections(pieces: list[bytes]) -> None:
    source = Source(b"".join(pieces))
    (found,) = values(body_structure(source))
    sizes_agree(source, found, ())
    assert len(values(envelope(source))[0]) == 10
    assert values(body(source))


@pytest.mark.slow
@given(st.binary())
def test_any_bytes_have_a_structure(raw: bytes) -> None:
    source = Source(raw)
    assert len(values(body_structure(source))) == len(values(envelope(source))) == 1
