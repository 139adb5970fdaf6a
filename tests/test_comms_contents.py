"""What a mail says: a reader of the mail sees the same text, and every file is there."""

from __future__ import annotations

import binascii

import pytest

from comms.read import read

TEXT, HTML = "Content-Type: text/plain\r\n\r\n{}\r\n", "Content-Type: text/html\r\n\r\n{}\r\n"
NAMED = 'Content-Type: text/plain; name="n.txt"\r\nContent-Disposition: {}\r\n\r\n{}\r\n'
PICTURE = 'Content-Type: image/png; name="p.png"\r\n\r\nxx\r\n'
FORWARDED = "Content-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\nInner words\r\n"


def multipart(kind: str, *parts: str, boundary: str = "b") -> str:
    head = f"Content-Type: multipart/{kind}; boundary={boundary}\r\n\r\n"
    return head + "".join(f"--{boundary}\r\n{part}" for part in parts) + f"--{boundary}--\r\n"


@pytest.mark.parametrize(
    ("mail", "text", "names"),
    [
        # blank text
        (
            multipart("alternative", TEXT.format(" \xa0\t"), HTML.format("<b>words</b>")),
            "words",
            [],
        ),
        (multipart("alternative", TEXT.format("\u200b"), HTML.format("words")), "words", []),
        (
            multipart("alternative", TEXT.format("\u2800\u3164\u034f"), HTML.format("words")),
            "words",
            [],
        ),
        (multipart("mixed", TEXT.format(""), TEXT.format("words")), "words", []),
        (multipart("mixed", HTML.format("<p></p>"), TEXT.format("words")), "words", []),
        (multipart("mixed", TEXT.format("words"), TEXT.format("")), "words", []),
        # the text has a file name, or is an attachment
        (NAMED.format("inline", "words"), "words", ["n.txt"]),
        (NAMED.format("attachment", "words"), "words", ["n.txt"]),
        (multipart("mixed", NAMED.format("inline", "words"), PICTURE), "words", ["n.txt", "p.png"]),
        (
            multipart("mixed", TEXT.format("words"), NAMED.format("inline", "more")),
            "words",
            ["n.txt"],
        ),
        (multipart("mixed", NAMED.format("attachment", "no"), PICTURE), "", ["n.txt", "p.png"]),
        # other kinds of text
        ("Content-Type: text/enriched\r\n\r\n<bold>a</bold>\r\n\r\n<<b", "a\n<b", []),
        ("Content-Type: text/x-unknown\r\n\r\nwords", "words", ["part-1.bin"]),
        ("Content-Type: text\r\n\r\nwords", "words", []),
        (FORWARDED, "Inner words", ["part-1.eml"]),
        (multipart("mixed", TEXT.format(""), FORWARDED), "Inner words", ["part-1.eml"]),
        # the last resort
        ("Content-Type: multipart/mixed; boundary=b\r\n\r\nwords\r\n", "words", []),
        (
            "Content-Type: multipart/mixed; boundary=b\r\n\r\nwords\r\n--b--\r\n",
            "words\n--b--",
            [],
        ),
        ("Content-Transfer-Encoding: base64\r\n\r\n=====", "=====", []),
        (PICTURE, "", ["p.png"]),
        # later text
        (multipart("mixed", TEXT.format("1"), PICTURE, TEXT.format("2")), "1\n2", ["p.png"]),
        (multipart("mixed", HTML.format("<p>1"), PICTURE, HTML.format("2")), "1\n2", ["p.png"]),
        (multipart("mixed", HTML.format("1"), TEXT.format("-- \r\nlist")), "1\n-- \nlist", []),
        (multipart("mixed", PICTURE, TEXT.format("1"), TEXT.format("2")), "1\n2", ["p.png"]),
        (
            multipart(
                "mixed",
                multipart("alternative", TEXT.format("1"), HTML.format("1"), boundary="i"),
                TEXT.format("2"),
            ),
            "1\n2",
            [],
        ),
        (
            multipart(
                "alternative",
                TEXT.format("1 2"),
                multipart("mixed", HTML.format("1"), PICTURE, HTML.format("2"), boundary="i"),
            ),
            "1 2",
            ["p.png"],
        ),
        (multipart("mixed", TEXT.format("one two"), HTML.format("<p>one</p> two")), "one two", []),
    ],
)
def test_what_a_reader_sees_is_text_and_the_rest_are_files(
    mail: str, text: str, names: list[str]
) -> None:
    found = read(mail.encode())
    assert (found.text.strip(), [file.name for file in found.attachments]) == (text, names)


@pytest.mark.parametrize(
    ("name", "charset", "read_as"),
    [
        ("Größe.pdf".encode(), "utf-8", "Größe.pdf"),
        ("Größe.pdf".encode(), "iso-8859-1", "Größe.pdf"),
        ("Größe.pdf".encode("latin-1"), "utf-8", "Größe.pdf"),
        ("Größe.pdf".encode("latin-1"), "", "Größe.pdf"),
        ("отчёт.pdf".encode("koi8-r"), "koi8-r", "отчёт.pdf"),
        ("打印.pdf".encode("gbk"), "gb2312", "打印.pdf"),
        (b"\x1b$B%F%9%H\x1b(B.pdf", "", "テスト.pdf"),
        (b"=?utf-8?q?Gr=C3=B6=C3=9Fe.pdf?=", "", "Größe.pdf"),
    ],
)
@pytest.mark.parametrize(
    "field", ["Content-Disposition: attachment; filename", "Content-Type: x/y; name"]
)
def test_raw_bytes_in_a_file_name_are_decoded(
    name: bytes, charset: str, read_as: str, field: str
) -> None:
    text = TEXT.replace("plain", f"plain; charset={charset}") if charset else TEXT
    mail = multipart("mixed", text.format("see"), f'{field}="NAME"\r\n\r\nxx\r\n')
    assert [file.name for file in read(mail.encode().replace(b"NAME", name)).attachments] == [
        read_as
    ]


@pytest.mark.parametrize(
    ("field", "body", "text"),
    [
        ("quoted-printable;", "Caf=C3=A9", "Café"),
        ('"base64"', "Q2Fmw6k=", "Café"),
        ("(x) base64", "Q2Fm\r\nw6k=", "Café"),
        ("base64", "Q2Fmw6k=Q2Fmw6k=", "CaféCafé"),
        ("x-uuencode", "begin 644 a.txt\r\n%2&5L;&\\\r\n`\r\nend", "Hello"),
    ],
)
def test_an_odd_transfer_encoding_is_decoded(field: str, body: str, text: str) -> None:
    mail = f"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {field}\r\n\r\n"
    assert read(f"{mail}{body}\r\n".encode()).text.strip() == text


@pytest.mark.parametrize(
    "inner",
    [
        b"Subject: x\nFrom: a@b.c\n\nbare\r\nand mixed\n",
        b"X: " + b"a " * 300 + b"\r\n\r\nx",
        b"Subject:  two spaces\r\n\tfolded\r\n\r\n\r\n",
        b"not a header at all",
        b"Content-Type: multipart/mixed; boundary=q\r\n\r\n--q\r\n\r\n\xff\0\r\n--q--",
    ],
)
def test_a_forwarded_mail_is_kept_byte_for_byte(inner: bytes) -> None:
    mail = multipart("mixed", TEXT.format("see"), FORWARDED.partition("Subject")[0] + "INNER\r\n")
    [file] = read(mail.encode().replace(b"INNER", inner)).attachments
    assert (file.content, file.type) == (inner, "message/rfc822")


def test_html_says_its_charset_itself() -> None:
    page = '<meta http-equiv="Content-Type" content="text/html; charset=koi8-r"><p>Принтер'
    mail = b"Content-Type: text/html\r\n\r\n" + page.encode("koi8-r")
    assert read(mail).text == "Принтер\n"


@pytest.mark.parametrize("other", ["text/plain", "application/pdf"])
def test_a_multipart_without_parts_is_shown_beside_others(other: str) -> None:
    mail = read(
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        b"Content-Type: multipart/alternative; boundary=never\r\n\r\nPrinter 1 burns\r\n"
        b"--b\r\nContent-Type: %b\r\n\r\nfooter\r\n--b--\r\n" % other.encode()
    )
    assert mail.text.startswith("Printer 1 burns")
    assert [one.content for one in mail.attachments] == [b"footer"] * (other != "text/plain")


def test_a_multipart_without_parts_is_decoded_once() -> None:
    head = b"Content-Type: multipart/mixed; boundary=never\r\nContent-Transfer-Encoding: base64\r\n"
    assert read(head + b"\r\nSGVsbG8=\r\n").text.strip() == "Hello"


@pytest.mark.parametrize("value", ["text/html, charset=utf-8", "text/html(rich); charset=utf-8"])
def test_what_follows_a_type_is_no_part_of_it(value: str) -> None:
    assert read(f"Content-Type: {value}\r\n\r\n<p>é</p>".encode()).text == "é\n"


def test_a_mail_that_is_a_uuencoded_file_has_no_other_text() -> None:
    content = b"begin 644 a.bin\r\n" + binascii.b2a_uu(b"hello") + b"`\r\nend\r\n"
    mail = read(b"Content-Type: text/plain\r\n\r\n" + content)
    assert (mail.text.strip(), [one.content for one in mail.attachments]) == ("", [b"hello"])


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("restart web1, \r\nweb2\r\nstatus\r\n", "restart web1, web2\nstatus\n"),
        ("> a \r\n> b\r\n>> c \r\n> d\r\n", "> a b\n>> c \n> d\n"),
        (" >a\r\n From b\r\n  c\r\n", ">a\nFrom b\n c\n"),
        ("a \r\n\r\nb\r\n", "a \n\nb\n"),
        ("a \r\n-- \r\nJeremy\r\n", "a \n-- \nJeremy\n"),
    ],
)
def test_lines_that_a_program_has_broken_are_joined(lines: str, text: str) -> None:
    assert read(f"Content-Type: text/plain; format=flowed\r\n\r\n{lines}".encode()).text == text
    assert read(f"\r\n{lines}".encode()).text == lines.replace("\r\n", "\n")


def test_a_space_that_only_marks_a_broken_line_is_removed() -> None:
    field = "Content-Type: text/plain; charset=utf-8; Format=Flowed; DelSp=Yes"
    assert read(f"{field}\r\n\r\n日本 \r\n語\r\n".encode()).text == "日本語\n"
