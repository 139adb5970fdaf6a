"""Address lists in a header, as ENVELOPE wants them (RFC 5322 §3.4, RFC 3501 §7.4.2).

Where a list is wrong, words such as MISSING_DOMAIN are in place of what is not there, and the list
ends at what cannot be read at all: that is what Dovecot does, and clients know.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from fakes.imap.header import Scanner

_ATOM = re.compile(rb'[^\x00-\x20()<>@,;:\\".\[\]\x7f]+')
_WORD = re.compile(rb'[^\x00-\x20()<>@,;:\\".\[\]\x7f][^\x00-\x20()<>@,;:\\"\[\]\x7f]*')
_LITERAL = re.compile(rb"\[[^\[\]\\]*\]")
NO_MAILBOX, NO_DOMAIN, WRONG = b"MISSING_MAILBOX", b"MISSING_DOMAIN", b"SYNTAX_ERROR"


class Address(NamedTuple):
    """The four strings of an address in ENVELOPE.

    A group begins with an address that has only a mailbox, its name, and ends with an empty one.
    """

    name: bytes | None = None
    route: bytes | None = None
    mailbox: bytes | None = None
    host: bytes | None = None


GROUP_END = Address()


def read_addresses(value: bytes) -> list[Address]:
    """Reads a list of addresses and groups."""
    return _List(value).read()


class _List:
    def __init__(self, value: bytes) -> None:
        self.scan = Scanner(value)
        self.found: list[Address] = []

    def read(self) -> list[Address]:
        scan = self.scan
        # A comment that does not end is a list without addresses.
        more = scan.skip()
        while more:
            name = self._group_name()
            if name is None:
                self._mailbox()
            elif not self._group(name):
                break
            scan.skip()
            more = scan.mark(b",") and scan.at < len(scan.value)
        return self.found

    def _group_name(self) -> bytes | None:
        """Reads the name of a group and the colon, if a group begins here."""
        scan, start = self.scan, self.scan.at
        name = b"" if scan.next() == b":" else self._phrase()
        if name is not None and scan.mark(b":"):
            return name
        scan.at = start
        return None

    def _group(self, name: bytes) -> bool:
        """Reads the addresses of a group. Returns whether it ends as it should."""
        scan = self.scan
        self.found.append(Address(mailbox=name))
        scan.skip()
        while scan.next() not in (b"", b";"):
            self._mailbox()
            if not scan.mark(b","):
                break
            if scan.next() == b";":
                self.found.append(Address(None, None, NO_MAILBOX, NO_DOMAIN))
        self.found.append(GROUP_END)
        return scan.mark(b";")

    def _mailbox(self) -> None:
        """Reads an address."""
        scan, start = self.scan, self.scan.at
        name = self._phrase()
        after = scan.at
        if name is not None and scan.next() == b"<":
            self._angle(name or None)
            return
        scan.at, scan.comment = start, None
        if scan.next() == b"<":
            self._angle(None)
            return
        is_quoted = scan.next() == b'"'
        mailbox, host = self._local_part(), None
        if scan.next() == b"@":
            scan.mark(b"@")
            host = self._domain()
        elif name is not None and (is_quoted or after > scan.at):  # words, but no address
            scan.at = after
            self.found.append(Address(name, None, NO_MAILBOX, NO_DOMAIN))
            return
        if mailbox is None:
            mailbox = NO_MAILBOX
        self.found.append(Address(scan.comment, None, mailbox, host or NO_DOMAIN))

    def _angle(self, name: bytes | None) -> None:
        """Reads `<@route:mailbox@host>`."""
        scan = self.scan
        scan.mark(b"<")
        if scan.next() == b"@":
            route = self._route()
            if route is None:
                self.found.append(Address(name, b"INVALID_ROUTE", NO_MAILBOX, NO_DOMAIN))
                return
        else:
            route = None
        mailbox, host = self._local_part(), NO_DOMAIN
        if scan.mark(b"@"):
            host = self._domain() or WRONG
        if not scan.mark(b">"):
            host = WRONG
        self.found.append(Address(name, route, mailbox or NO_MAILBOX, host))

    def _route(self) -> bytes | None:
        hosts = []
        while self.scan.mark(b"@"):
            host = self._domain()
            if host is None:
                return None
            hosts.append(b"@" + host)
            if not self.scan.mark(b","):
                break
        return b",".join(hosts) if self.scan.mark(b":") else None

    def _phrase(self) -> bytes | None:
        """Reads the words of a name, None if there is none or one is not complete."""
        scan, words = self.scan, []
        while True:
            if scan.next() == b'"':
                word = scan.quoted()
                if word is None:
                    return None
            else:
                word = scan.token(_WORD)
                if word is None:
                    break
            words.append(word)
            scan.skip()
        return b" ".join(word for word in words if word) if words else None

    def _local_part(self) -> bytes | None:
        scan = self.scan
        if scan.next() == b'"':
            found = scan.quoted()
            scan.skip()
            return found
        pieces: list[bytes] = []
        while True:
            piece = scan.token(_ATOM) if not pieces or pieces[-1] == b"." else None
            if piece is None:
                if not scan.value.startswith(b".", scan.at):
                    break
                scan.at += 1
                piece = b"."
            pieces.append(piece)
            scan.skip()
        return b"".join(pieces) if any(piece != b"." for piece in pieces) else None

    def _domain(self) -> bytes | None:
        """Reads a domain or a literal, None if there is none or it is wrong."""
        scan = self.scan
        if scan.next() == b"[":
            literal = scan.token(_LITERAL)
            scan.skip()
            return literal
        atoms: list[bytes] = []
        while True:
            atom = scan.token(_ATOM)
            if atom is None:
                return None
            atoms.append(atom)
            scan.skip()
            if not scan.mark(b"."):
                return b".".join(atoms)
