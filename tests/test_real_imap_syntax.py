# apt-get install: dovecot-core dovecot-imapd
"""What fakes/imap says of mails, beside a real Dovecot: FETCH, SEARCH, SORT and THREAD.

Dovecot's IMAP process is started on a pipe, where it needs no login. Where we differ, DIFFERENT
says why.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.imap.commands import ARGUMENTS
from fakes.imap.ordering import sort, thread
from fakes.imap.search import find, write_result
from fakes.imap.sections import read_items, write_item
from fakes.imap.source import Source
from fakes.imap.writing import write_date_time
from tests.imap_messages import Numbered
from tests.imap_values import arguments, values
from tests.real import folder, need_root

pytestmark = pytest.mark.real

PROGRAM = Path("/usr/lib/dovecot/imap")
CONFIGURATION = """
base_dir = {place}/run
state_dir = {place}/run
log_path = {place}/log
protocols = imap
ssl = no
first_valid_uid = 1
mail_uid = nobody
mail_gid = nogroup
mail_location = maildir:{place}/mail
"""
AT = 1769940000.0  # the internal date of all mails

DIFFERENT = {
    # RFC 2045 §5.2: a Content-Type that is none counts as absent. Dovecot: "" "".
    ("a8-type-without-semicolon", "BODYSTRUCTURE"),
    ("a8-type-without-semicolon", "BODY"),
    # A word after the encoding is ignored, as after a type. Dovecot: "7bit".
    ("f1-cte-semicolon", "BODYSTRUCTURE"),
    ("f1-cte-semicolon", "BODY"),
    # The header of the message is all that there is of it, as its size says. Dovecot has two bytes
    # less: the line end.
    ("f4-base64-forwarded-mail", "BODY[2.HEADER]"),
}
# RFC 3501 §6.4.5: only a message or a multipart has parts. Dovecot: 1.1 of a text is the text.
WITHOUT_PARTS = {"BODY[1.1]", "BODY[2.1]", "BODY[3.1]"}


class Dovecot:
    """Dovecot's IMAP process for one user, whose INBOX holds the mails."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._number = 0
        self._response()  # the greeting

    def ask(self, command: bytes) -> list[bytes]:
        """Returns the untagged responses to a command, which must succeed."""
        self._number += 1
        tag = b"t%d " % self._number
        assert self.process.stdin is not None
        self.process.stdin.write(tag + command + b"\r\n")
        self.process.stdin.flush()
        found = []
        while not (response := self._response()).startswith(tag):
            found.append(response)
        assert response.startswith(tag + b"OK"), (command[:200], response)
        return found

    def _response(self) -> bytes:
        assert self.process.stdout is not None
        found = b""
        while True:
            line = self.process.stdout.readline()
            assert line, "Dovecot has ended"
            found += line
            literal = re.search(rb"\{([0-9]+)\}\r\n\Z", line)
            if literal is None:
                return found
            found += self.process.stdout.read(int(literal[1]))


@contextlib.contextmanager
def dovecot(mails: list[bytes]) -> Iterator[Dovecot]:
    """Runs Dovecot with these mails in the selected INBOX."""
    need_root("Dovecot")
    if not PROGRAM.exists():
        pytest.fail("Dovecot is not installed; run: apt-get install dovecot-imapd", pytrace=False)
    with folder("nobody") as place:
        for name in ("run", "mail"):
            (place / name).mkdir()
            shutil.chown(place / name, "nobody", "nogroup")
        (place / "dovecot.conf").write_text(CONFIGURATION.format(place=place))
        process = subprocess.Popen(
            [PROGRAM, "-c", str(place / "dovecot.conf")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "USER": "ann", "HOME": str(place)},
        )
        try:
            server = Dovecot(process)
            for mail in mails:
                when = write_date_time(AT)
                server.ask(b"APPEND INBOX %b {%d+}\r\n%b" % (when, len(mail), mail))
            server.ask(b"SELECT INBOX")
            yield server
        finally:
            process.terminate()
            process.communicate()


def kept_mails() -> dict[str, bytes]:
    """Returns the mails of tests/mails by name, as Dovecot stores them: with CRLF."""
    paths = sorted((Path(__file__).parent / "mails").glob("*.eml"))
    return {path.stem: re.sub(rb"\r?\n", b"\r\n", path.read_bytes()) for path in paths}


def messages(mails: list[bytes]) -> list[Numbered]:
    """Returns the messages with the numbers, UIDs and flags that Dovecot gives them."""
    return [
        Numbered(number, number, Source(mail), ("\\Recent",), AT)
        for number, mail in enumerate(mails, 1)
    ]


def pairs(found: list[Any]) -> dict[str, Any]:
    return dict(zip(found[::2], found[1::2], strict=True))


ITEMS = (
    "(ENVELOPE BODYSTRUCTURE BODY RFC822.SIZE RFC822.HEADER BODY.PEEK[] BODY.PEEK[HEADER] "
    "BODY.PEEK[TEXT] BODY.PEEK[1] BODY.PEEK[2] BODY.PEEK[1.1] BODY.PEEK[1.2] BODY.PEEK[1.MIME] "
    "BODY.PEEK[2.MIME] BODY.PEEK[2.HEADER] BODY.PEEK[2.TEXT] BODY.PEEK[2.1] BODY.PEEK[3.1] "
    "BODY.PEEK[HEADER.FIELDS (SUBJECT FROM)] BODY.PEEK[HEADER.FIELDS.NOT (SUBJECT)] "
    "BODY.PEEK[]<5.70> BODY.PEEK[]<99999.1>)"
)


def test_every_kept_mail_is_fetched_as_from_dovecot() -> None:
    mails = kept_mails()
    items = read_items(arguments(ITEMS))
    different = set()
    with dovecot([*mails.values()]) as server:
        responses = server.ask(b"FETCH 1:* " + ITEMS.encode())
    for (name, mail), response in zip(mails.items(), responses, strict=True):
        theirs = pairs(values(response)[3])
        source = Source(mail)
        ours = pairs(values(b" ".join(b"".join(write_item(source, item)) for item in items)))
        assert ours.keys() == theirs.keys()
        for item, value in ours.items():
            if value != theirs[item] and not (item in WITHOUT_PARTS and not value):
                different.add((name, item))
    assert different == DIFFERENT


PROGRAMS = [
    *(b"ALL", b"NOT 1", b"OR 1 (2 3)", b"1:3,*", b"UID 99:*", b"RECENT", b"NEW", b"LARGER 400"),
    *(b"SUBJECT printer", b'SUBJECT "caf\xc3\xa9"', b"FROM ann@customer.test", b"TEXT behind"),
    *(b"BODY picture", b"BODY mime", b"TEXT multipart", 'BODY "Здравствуйте"'.encode()),
    *(b'HEADER Message-ID ""', b"HEADER Content-Type html", b"SENTSINCE 1-Jan-2000"),
    *(b"SENTBEFORE 1-Jan-2000", b"ON 1-Feb-2026", b"BEFORE 1-Feb-2026", b"SINCE 1-Feb-2026"),
    *(b"RETURN (MIN MAX COUNT) ALL", b"RETURN () 2:4", b"RETURN (COUNT) 99", b'TO ""'),
    *(b"UNKEYWORD x KEYWORD x", b"CHARSET UTF-8 BODY hello", b"UNDELETED UNSEEN UNANSWERED"),
]  # fmt: skip


def test_the_same_mails_are_found_as_by_dovecot() -> None:
    mails = [*kept_mails().values()]
    mailbox = messages(mails)
    with dovecot(mails) as server:
        for program in PROGRAMS:
            theirs = server.ask(b"SEARCH " + program)[0]
            search = ARGUMENTS["SEARCH"](arguments(b" " + program))
            tag = b"t%d" % server._number
            ours = write_result(search, find(search, mailbox), tag, uid=False)
            assert sorted(ours.split()) == sorted(theirs.split()), program


CONVERSATION = [
    f"Message-ID: <{name}@x>\r\nReferences: {references}\r\nSubject: {subject}\r\n"
    f"From: {name}@y\r\nDate: {day} Feb 2026 10:00:00 +0000\r\n\r\n{'x' * day}".encode()
    for day, name, references, subject in (
        (5, "a", "", "[list] one"),
        (4, "b", "<a@x>", "Re: one"),
        (3, "c", "<a@x> <b@x>", "Fwd: one (fwd)"),
        (2, "d", "<gone@x>", "two"),
        (6, "e", "<gone@x>", "Re: [list] two"),
        (7, "f", "", "=?utf-8?q?Re:_two?="),
        (1, "a", "<c@x>", "[x]"),
        (8, "g", "<g@x>", "one"),
        (9, "h", "<i@x>", "three"),
        (9, "i", "<h@x>", "three"),
    )
]


def test_a_conversation_is_ordered_as_by_dovecot() -> None:
    mailbox = messages(CONVERSATION)
    with dovecot(CONVERSATION) as server:
        for algorithm in ("REFERENCES", "ORDEREDSUBJECT"):
            theirs = server.ask(b"THREAD %b UTF-8 ALL" % algorithm.encode())[0]
            assert theirs == b"* THREAD " + thread(mailbox, algorithm, uid=False) + b"\r\n"
        for keys in ("SUBJECT", "REVERSE SUBJECT DATE", "FROM", "REVERSE SIZE", "TO ARRIVAL"):
            theirs = server.ask(b"SORT (%b) UTF-8 ALL" % keys.encode())[0]
            program = ARGUMENTS["SORT"](arguments(f" ({keys}) UTF-8 ALL"))
            ours = [b"%d" % each.number for each in sort(mailbox, program.keys)]
            assert theirs.split()[2:] == ours, keys
