"""`make worst`: processor time for the worst inputs that we know, at every door.

    python -m tests.worst_inputs                        # all of them, at 100 kB, 1 MB and 30 MB
    python -m tests.worst_inputs mail xmpp              # the doors whose name contains a word
    python -m tests.worst_inputs --sizes 100000 1000000

A door is a function that reads what strangers have written. An input is a beginning and a piece
that is repeated until the input has its size. Each cell says how many seconds of processor time the
process has taken, what a peer of a client has taken included, and what became of the input. Mail is
read as the scenario tickets reads it: for at most five seconds, and one more for each megabyte. The
scenario mysql-by-mail reads mails of up to 1 MB, and of larger ones only the header.
"""

from __future__ import annotations

import argparse
import contextlib
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from comms import bounces, imap, mailbox, pop3, replies, smtp
from comms.clock import Interrupted, RealClock
from comms.commands import normalized
from comms.compose import Message
from comms.errors import CommsError
from comms.read import read, with_any_sender
from comms.settings import Server
from comms.toc.frames import DATA, FrameError, Frames
from comms.toc.messages import parse as parse_toc
from comms.xmpp.stanzas import read_message, read_presence
from comms.xmpp.stream import Malformed, Reader
from fakes import World
from fakes.mail import Envelope, Mail
from fakes.wire import Facts, Session
from scenarios.processing.tickets_desk import (
    READING,
    READING_SPEED,
    without_numbers,
)
from scenarios.processing.tickets_quotes import without_quotation
from tests.bare_core import drain
from tests.scripted import Peer, RecordingHost
from tests.toc_raw import Raw
from tests.xmpp_raw import HEADER, login

SIZES = (100_000, 1_000_000, 30_000_000)
LIMIT = 60.0  # seconds of processor time, after which the measurement ends
CHUNK = 1 << 16  # bytes that a server or client reads at a time


class Input(NamedTuple):
    """A beginning, a piece that is repeated, and an end."""

    begin: bytes
    piece: bytes
    end: bytes = b""

    def of_size(self, size: int) -> bytes:
        """Returns as many bytes, or a few less."""
        room = size - len(self.begin) - len(self.end)
        return self.begin + self.piece * (room // len(self.piece)) + self.end


class Door(NamedTuple):
    """What reads, and returns what became of the input; and its worst inputs, by name."""

    read: Callable[[bytes], str]
    inputs: dict[str, Input]


# ── the mail programs ────────────────────────────────────────────────────────


def read_mail(raw: bytes) -> str:
    """Reads a mail as tickets does."""
    clock = RealClock()
    try:
        with clock.limit(READING + len(raw) / READING_SPEED):
            mail = with_any_sender(read(raw))
            replies.unanswerable(mail)
            bounces.report(mail)
    except Interrupted:
        return "interrupted"
    finally:
        clock.close()
    limits = {"the header is longer": "header cut", "more than 10000 parts": "10,000 parts"}
    cut = [name for defect in mail.defects for begin, name in limits.items() if begin in defect]
    return ", ".join(["read", *dict.fromkeys(cut)])


def read_order(raw: bytes) -> str:
    """Reads the text as the subject and the body of a mail, and as an order."""
    text = raw.decode()
    normalized(text)
    without_numbers(text)
    without_quotation(text)
    Message("a@b.test", ["c@d.test"], f"Re: {normalized(text)[:200]}", "").to_bytes()
    return "read"


def _typed(kind: str, piece: bytes, end: bytes = b"", encoding: str = "") -> Input:
    head = f"From: a@b.test\nContent-Type: {kind}\nContent-Transfer-Encoding: {encoding}\n\n"
    return Input(head.encode(), piece, end)


def _parts(piece: bytes) -> Input:
    return _typed("multipart/mixed; boundary=x", b"--x\n" + piece)


def _html(piece: bytes, end: bytes = b"") -> Input:
    return _typed("text/html", piece, end)


def _charset(name: str, piece: bytes) -> Input:
    return _typed(f"text/plain; charset={name}", piece)


_REPORT = (
    b"From: a@b.test\nReturn-Path: <>\nReceived: from x.test by y.test\n"
    b"Content-Type: multipart/report; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\n"
)
_LINES = (b"a@b.test,", b"a,", b'"a <', b"<a@b.test>", b"(", b"=?a?q?b?=", b"x:;")

MAIL = {
    "HTML to text": Door(
        read_mail,
        {
            '<a "': _html(b'<a "'),
            '<a "…>': _html(b'<a "', b">"),
            "<b>": _html(b"<b>"),
            "<a href=x>": _html(b"<a href=x>"),
            "x<p>": _html(b"x<p>"),
            "<p hidden>": _html(b"<p hidden>"),
            "<x a=b…": _html(b"a=b ", b">"),
            "<!--": _html(b"<!--"),
            "<style>": _html(b"<style>"),
            "&lt;": _html(b"&lt;"),
            "text/enriched": _typed("text/enriched", b"<a>"),
        },
    ),
    "MIME": Door(
        read_mail,
        {
            "empty parts": _parts(b"\n"),
            "small texts": _parts(b"\na\n"),
            "HTML parts": _parts(b"Content-Type: text/html\n\n1\n"),
            "nested": _parts(b"Content-Type: multipart/mixed; boundary=x\n\n"),
            "attachments": _parts(b"Content-Type: a/b; name=a\n\n"),
            "no boundary": _typed("multipart/mixed", b"--x\n\n"),
            "parameters": Input(b"Content-Type: a/b", b";a=b"),
            "RFC 2231": Input(b"Content-Type: a/b", b";a*1*=b"),
        },
    ),
    "headers": Door(
        read_mail,
        {
            "a:": Input(b"", b"a:\n"),
            "folded": Input(b"a:", b"\n b"),
            "junk": Input(b"", b"a:\nb\nfrom:\n", b"\n\n"),
            "to:": Input(b"", b"to:a@b\n"),
        },
    ),
    "addresses": Door(
        read_mail,
        {piece.decode(): Input(b"From: a@b.test\nTo: ", piece) for piece in _LINES}
        | {"From: (": Input(b"From: ", b"(")},
    ),
    "encoded words": Door(
        read_mail,
        {
            "=?a?q?b?=": Input(b"Subject: ", b"=?a?q?b?="),
            "spaced": Input(b"Subject: ", b"=?utf-8?b?YQ==?= "),
            "=?": Input(b"Subject: ", b"=?"),
            "=?a?q?=?": Input(b"Subject: ", b"=?a?q?=?"),
        },
    ),
    "encodings": Door(
        read_mail,
        {
            "base64 A=": _typed("text/plain", b"A=", encoding="base64"),
            "base64 =\\n": _typed("text/plain", b"=\n", encoding="base64"),
            "qp ' \\n'": _typed("text/plain", b" \n", encoding="quoted-printable"),
            "qp =": _typed("text/plain", b"=", encoding="quoted-printable"),
            "uuencode": _typed("text/plain", b"!\n", b"end\n", encoding="x-uuencode"),
            "begin": _typed("text/plain", b"begin 644 a\n", b"end\n"),
        },
    ),
    "charsets": Door(
        read_mail,
        {
            "iso-2022-jp": _charset("iso-2022-jp", b"\x1b$Ba\x1b(B"),
            "euc-jp": _charset("euc-jp", b"\xb0\xa1\xff"),
            "utf-7": _charset("utf-7", b"+AGE-+"),
            "hz": _charset("hz", b"~{a~}"),
            "gb18030": _charset("gb18030", b"\x81\x30\xff"),
            "utf-8": _charset("utf-8", b"\xff\xc3"),
            "utf-16": _charset("utf-16", b"\xd8\0"),
        },
    ),
    "replies and bounces": Door(
        read_mail,
        {
            "groups": Input(_REPORT, b"Action: failed\n\n"),
            "recipients": Input(_REPORT + b"Action: failed\nFinal-Recipient: x;", b"a@b.test,"),
            "quoted ids": Input(_REPORT + b"\n--x\n\n", b"message-id: <\n"),
            "Received": Input(b"From: a@b.test\n", b"Received: from a.test by b.test\n"),
            "robots": Input(b"From: ", b"no-", b"reply@b.test\n\n"),
        },
    ),
    "orders, tickets": Door(
        read_order,
        {
            "[#": Input(b"Re: ", b"[#1"),
            "> ": Input(b"On Monday, Ann wrote:\n", b"> \n"),
            "On": Input(b"", b"On 1:00 a@b.test\n", b"On wrote:\n> x\n"),
            "spaces": Input(b"restart", b" \n", b"mysql"),
            "Re:": Input(b"", b"Re: "),
        },
    ),
}

# ── the clients ──────────────────────────────────────────────────────────────


def _server(protocol: str, port: int) -> Server:
    return Server(protocol, "127.0.0.1", port, tls="none", user="", timeout=60.0)


def _answering(answers: Iterable[bytes]) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        with contextlib.suppress(OSError, AssertionError):  # the client hangs up
            for number, answer in enumerate(answers):
                if number:
                    peer.expect(b"\r\n")
                peer.send(answer)

    return script


def _with_client(answers: Iterable[bytes], use: Callable[[int, RealClock], object]) -> str:
    clock = RealClock()
    try:
        with Peer(_answering(answers)) as peer:
            use(peer.port, clock)
        return "read"
    except CommsError as error:
        return str(error).partition(": ")[2].replace("127.0.0.1: ", "")
    finally:
        clock.close()


def _pop3(port: int, clock: RealClock) -> None:
    with pop3.Mailbox(_server("pop3", port), clock) as maildrop:
        maildrop.entries()


def _retr(port: int, clock: RealClock) -> None:
    with pop3.Mailbox(_server("pop3", port), clock) as maildrop:
        maildrop.fetch(mailbox.Entry("", 1 << 26, 1))


_LOGIN = (b"+OK\r\n", b"-ERR\r\n", b"+OK\r\n", b"+OK\r\n")


def read_listing(raw: bytes) -> str:
    """Reads bytes that a POP3 server has sent after LIST."""
    return _with_client((*_LOGIN, b"+OK\r\n" + raw, b"-ERR\r\n", b"+OK\r\n"), _pop3)


def read_retrieved(raw: bytes) -> str:
    """Reads bytes that a POP3 server has sent after RETR."""
    return _with_client((*_LOGIN, b"+OK\r\n" + raw, b"+OK\r\n"), _retr)


def _imap(port: int, clock: RealClock) -> None:
    with imap.Mailbox(_server("imap", port), clock) as folder:
        folder.entries()


# imaplib asks for capabilities at once. It counts its commands: A0, A1, …
_IMAP_LOGIN = (
    *(b"* OK x\r\n", b"* CAPABILITY IMAP4rev1\r\nA0 OK x\r\n", b"A1 OK x\r\n"),
    *(b"* CAPABILITY IMAP4rev1\r\nA2 OK x\r\n", b"* OK [UIDVALIDITY 1] x\r\nA3 OK x\r\n"),
)


def read_fetched(raw: bytes) -> str:
    """Reads bytes that an IMAP server has sent after UID FETCH."""
    return _with_client((*_IMAP_LOGIN, raw + b"A4 OK x\r\n", b"A5 OK x\r\n"), _imap)


def read_greeting(raw: bytes) -> str:
    """Reads bytes with which an SMTP server has begun."""

    def use(port: int, clock: RealClock) -> None:
        with smtp.Session(_server("smtp", port), clock, RecordingHost()):
            pass

    return _with_client((raw, b"250 x\r\n", b"221 x\r\n"), use)


def read_stream(raw: bytes) -> str:
    """Reads bytes that an XMPP server has sent."""
    reader = Reader()
    try:
        for at in range(0, len(raw), CHUNK):
            reader.feed(raw[at : at + CHUNK])
            while (event := reader.next()) is not None:
                tag = getattr(event, "tag", "")
                if tag.endswith("}message"):
                    read_message(event, 0.0)  # type: ignore[arg-type]
                elif tag.endswith("}presence"):
                    read_presence(event)  # type: ignore[arg-type]
    except Malformed as error:
        return str(error)
    return "read"


def read_frames(raw: bytes) -> str:
    """Reads bytes that a TOC server has sent."""
    frames = Frames(0)
    try:
        for at in range(0, len(raw), CHUNK):
            frames.feed(raw[at : at + CHUNK])
            while (frame := frames.read()) is not None:
                parse_toc(frame.payload)
    except FrameError as error:
        return str(error)
    return "read"


def _in_frames(raw: bytes, step: int = 65_535) -> bytes:
    """Returns the bytes in frames of this length."""
    frames = Frames(0)
    return b"".join(frames.write(DATA, raw[at : at + step]) for at in range(0, len(raw), step))


def _stanzas(piece: bytes, end: bytes = b"") -> Input:
    return Input(HEADER, piece, end)


_DEEP = b"<message>" + b"<a>" * 30 + b"</a>" * 30 + b"</message>"
_STREAM = {
    "empty messages": _stanzas(b"<message/>"),
    "bodies": _stanzas(b"<message from='a@b' id='1'><body>x</body></message>"),
    "many children": _stanzas(b"<a/>")._replace(begin=HEADER + b"<message>"),
    "deep": _stanzas(_DEEP),
    "nested": _stanzas(b"<a>"),
    "references": Input(HEADER + b"<message><body>", b"&lt;"),
    "one attribute": Input(HEADER + b"<message a='", b"x"),
    "attributes": Input(HEADER + b"<message ", b"a='1' "),
    "spaces": _stanzas(b" "),
    "an open tag": _stanzas(b"<"),
}
_FRAMES = {
    "colons": Input(b"IM_IN:", b":"),
    "small": Input(b"", b"*\2\0\0\0\0"),
    "CHAT_UPDATE_BUDDY": Input(b"", b"CHAT_UPDATE_BUDDY:1:T:a:"),
}
CLIENTS = {
    "POP3 client, LIST": Door(
        read_listing,
        {
            "lines": Input(b"", b"1 1\r\n", b".\r\n"),
            "one line": Input(b"", b"1", b"\r\n.\r\n"),
            "empty lines": Input(b"", b"\r\n", b".\r\n"),
        },
    ),
    "POP3 client, RETR": Door(
        read_retrieved,
        {
            "dots": Input(b"", b"..\r\n", b".\r\n"),
            "line feeds": Input(b"", b"\n", b"\r\n.\r\n"),
            "no end": Input(b"", b"\r\n."),
        },
    ),
    "IMAP client, UID FETCH": Door(
        read_fetched,
        {
            "mails": Input(b"", b"* 1 FETCH (UID 1 RFC822.SIZE 1 FLAGS ())\r\n"),
            "flags": Input(b"* 1 FETCH (UID 1 FLAGS (", b"a ", b"))\r\n"),
            "parentheses": Input(b"* 1 FETCH (X ", b"(", b"\r\n"),
            "quotes": Input(b"* 1 FETCH (X (", b'"" ', b"))\r\n"),
            "literals": Input(b"* 1 FETCH (X (", b"{0}\r\n ", b"))\r\n"),
            "a literal": Input(b"* 1 FETCH (X {3000000}\r\n", b"x", b")\r\n"),
            "unasked": Input(b"", b"* OK x\r\n"),
            "numbers": Input(b"* SEARCH", b" 1", b"\r\n"),
            "empty lines": Input(b"", b"\r\n"),
        },
    ),
    "SMTP client": Door(
        read_greeting,
        {
            "lines": Input(b"", b"220-\r\n", b"220 x\r\n"),
            "one line": Input(b"220 ", b"x", b"\r\n"),
            "empty lines": Input(b"", b"\r\n"),
        },
    ),
    "XMPP client": Door(read_stream, _STREAM),
    "TOC client": Door(lambda raw: read_frames(_in_frames(raw)), _FRAMES),
}

# ── the fakes ────────────────────────────────────────────────────────────────


def _feed(session: Session, begin: bytes, raw: bytes) -> str:
    session.opened(Facts(1))
    output = b""
    for chunk in (begin, *(raw[at : at + CHUNK] for at in range(0, len(raw), CHUNK))):
        if session.closed:
            break
        session.receive(chunk)
        output = drain(session)[-200:] or output
    last = output.rstrip(b"\0\r\n").rpartition(b"\n")[2][-100:].decode("ascii", "replace")
    return f"{'closed' if session.closed else 'open'}, last answer: {last}"


def _fake(protocol: str, begin: bytes = b"", **config: object) -> Callable[[bytes], str]:
    def feed(raw: bytes) -> str:
        person = {"address": "romeo@example.test"}
        world = World({"servers": [protocol], "person": [person], **config})
        return _feed(world.core(protocol), begin, raw)

    return feed


def read_commands(raw: bytes) -> str:
    """Reads commands of a TOC client, each with 2,000 of the bytes, after its sign-on."""
    world = World({"servers": ["toc"], "aim": [{"screen_name": "Romeo"}]})
    client = Raw("Romeo")
    begin = client.opening() + client.command("toc_init_done")
    pieces = (raw[at : at + 2000].decode("latin-1") for at in range(0, len(raw), 2000))
    commands = b"".join(client.command(f"toc_send_im romeo {piece}") for piece in pieces)
    return _feed(world.core("toc"), begin, commands)


def read_test_mail(raw: bytes) -> str:
    """Reads a mail with the helpers of a test."""
    mail = Mail(raw, Envelope("a@b.test", ()))
    found = mail.subject, mail.to, mail.text, mail.attachments, mail.links(), mail.codes()
    return f"read: {len(found[4])} links, {len(found[5])} codes"


def read_over_imap(raw: bytes) -> str:
    """Asks the IMAP fake for everything about a mail that does not return the mail itself."""
    world = World({"servers": ["imap"], "person": [{"address": "romeo@example.test"}]})
    world.mail.store.maildrop("romeo@example.test").append(b"", raw, Mail(raw, Envelope("", ())))
    asks = (
        b"a LOGIN romeo secret\r\nb SELECT INBOX\r\n"
        b"c FETCH 1 (ENVELOPE BODYSTRUCTURE BODY.PEEK[HEADER.FIELDS (a)] BODY.PEEK[9]<0.1>)\r\n"
        b"d SEARCH TEXT nowhere\r\ne SORT (SUBJECT FROM) UTF-8 ALL\r\n"
    )
    return _feed(world.core("imap"), asks, b"f THREAD REFERENCES UTF-8 ALL\r\n")


_MAIL_BEGIN = b"EHLO c.test\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<romeo@example.test>\r\nDATA\r\n"
_COMMANDS = {
    "empty lines": Input(b"", b"\r\n"),
    "NOOP": Input(b"", b"NOOP\r\n"),
    "one line": Input(b"", b"x"),
    "line feeds": Input(b"", b"\n"),
}
FAKES = {
    "SMTP fake, commands": Door(
        _fake("smtp", b"EHLO c.test\r\n"),
        _COMMANDS
        | {
            "RCPT": Input(b"MAIL FROM:<a@b.test>\r\n", b"RCPT TO:<a@b.test>\r\n"),
            "addresses": Input(b"MAIL FROM:<", b"a.", b"\r\n"),
        },
    ),
    "SMTP fake, content": Door(
        _fake("smtp", _MAIL_BEGIN),
        {
            "lines": Input(b"", b"\r\n", b".\r\n"),
            "dots": Input(b"", b"..\r\n", b".\r\n"),
            "Received": Input(b"", b"Received: x\r\n", b".\r\n"),
            "no end": Input(b"", b"\r\n.x"),
        },
    ),
    "POP3 fake": Door(
        _fake("pop3", b"USER romeo@example.test\r\nPASS secret\r\n"),
        _COMMANDS | {"LIST": Input(b"", b"LIST\r\n"), "CAPA": Input(b"", b"CAPA\r\n")},
    ),
    "IMAP fake": Door(
        _fake(
            "imap",
            b"a LOGIN romeo secret\r\nb APPEND INBOX {2+}\r\nhi\r\nc SELECT INBOX\r\n",
            imap={"bad_commands": 0},
        ),
        _COMMANDS
        | {
            "NOOP with a tag": Input(b"", b"a NOOP\r\n"),
            "literals": Input(b"a LIST (", b"{0+}\r\n ", b"\r\n"),
            "literals of LOGIN": Input(b"a LOGIN ", b"{0+}\r\n ", b"\r\n"),
            "APPEND": Input(b"", b"a APPEND INBOX {9+}\r\nSubject: \r\n"),
            "STORE": Input(b"", b"a STORE 1 FLAGS (\\Seen)\r\na STORE 1 FLAGS ()\r\n"),
            "COPY": Input(b"", b"a COPY 1 Trash\r\n"),
            "SEARCH": Input(b"", b"a SEARCH NOT SEEN\r\n"),
            "mailboxes": Input(b"", b"a CREATE a/a/a\r\na DELETE a/a\r\n"),
        },
    ),
    "IMAP fake, a mail": Door(
        read_over_imap,
        {
            "headers": Input(b"", b"a:\n"),
            "addresses": Input(b"To: ", b"a@b,", b"\r\n\r\n"),
            "comments": Input(b"To: ", b"(", b"\r\n\r\n"),
            "References": Input(b"References: ", b"<a@b>", b"\r\n\r\n"),
            "encoded words": Input(b"Subject: ", b"=?utf-8?q?b?= ", b"\r\n\r\n"),
            "parameters": Input(b"Content-Type: a/b", b"; a*0*=b", b"\r\n\r\n"),
            "parts": _parts(b"\n"),
            "messages": Input(b"", b"Content-Type: message/rfc822\n\n"),
            "boundaries": Input(b"", b"Content-Type: multipart/a; boundary=a\n\n--a\n"),
            "line feeds": Input(b"", b"\n"),
            "base64": Input(b"Content-Transfer-Encoding: base64\r\n\r\n", b"AAAA\r\n"),
        },
    ),
    "XMPP fake": Door(
        _fake("xmpp", login("romeo")),
        {
            name: given._replace(begin=given.begin.removeprefix(HEADER))
            for name, given in _STREAM.items()
        },
    ),
    "TOC fake": Door(
        read_commands,
        {
            "words": Input(b"", b"x "),
            "quotes": Input(b"", b'"" '),
            "HTML": Input(b"", b"<b>"),
            "empty": Input(b"", b"\0"),
        },
    ),
    "links(), codes()": Door(
        read_test_mail,
        {
            "A1B2": _typed("text/plain", b"A1B2 "),
            "code 1234": _typed("text/plain", b"code 1234 "),
            "code\\n": _typed("text/plain", b"code\n1234\n"),
            "http://a(": _typed("text/plain", b"http://a("),
            "<http://a ": _typed("text/plain", b"<http://a "),
            "HTML <a>": _html(b"<a href=http://a>x"),
            "HTML <p>": _html(b"x<p>"),
            "HTML <": _html(b"<"),
            "HTML </style": _html(b"</style", b">"),
            "headers": Input(b"", b"a:\n"),
            "parts": _parts(b"\n"),
            "encoded words": Input(b"Subject: ", b"=?a?q?b?="),
        },
    ),
}
DOORS = {**MAIL, **CLIENTS, **FAKES}


def measure(door: Door, given: Input, size: int) -> tuple[float, str]:
    """Returns the processor time that an input takes, and what became of it."""
    raw = given.of_size(size)
    clock = RealClock()
    began = time.process_time()
    try:
        if door in MAIL.values():  # it has its own limit
            answer = door.read(raw)
        else:
            with clock.limit(LIMIT):
                answer = door.read(raw)
    except Interrupted:
        answer = f"not finished after {LIMIT:g} s"
    finally:
        clock.close()
    return time.process_time() - began, answer


def main() -> None:
    """Prints the table."""
    arguments = argparse.ArgumentParser(prog="python -m tests.worst_inputs")
    arguments.add_argument("doors", nargs="*", help="words of the names of doors; default: all")
    arguments.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="in bytes")
    options = arguments.parse_args()
    words = [word.lower() for word in options.doors or [""]]
    chosen = [name for name in DOORS if any(word in name.lower() for word in words)]
    if not chosen:
        arguments.error(f"no door is called so; choose from: {'; '.join(DOORS)}")
    for name in chosen:
        door = DOORS[name]
        print(f"\n{name}")
        for piece, given in door.inputs.items():
            cells = [measure(door, given, size) for size in options.sizes]
            seconds = " ".join(f"{cell[0]:7.2f}" for cell in cells)
            answers = dict.fromkeys(" ".join(cell[1].split())[:100] for cell in cells)
            print(f"  {piece:20.20}{seconds} s  {' | '.join(answers)}", flush=True)


if __name__ == "__main__":
    main()
