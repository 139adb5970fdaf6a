"""Mailboxes as RFC 5322 §3.4 writes them, read strictly and in one pass: a name that looks like an address, two
addresses where one is due, a stray bracket is an error here, never a guess. Who may command hangs on it.

    parse("Jeremy <jeremy@yourco.test>, ops@yourco.test")    # [Address("Jeremy", …), Address("", …)]
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from comms import words

_TEXT = r"(?:[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]|[^\x00-\xa0\ud800-\udfff\ufffd])"
_TOKEN = re.compile(
    r"(?P<space>[ \t]+)"
    r'|"(?P<quoted>(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~])*)"'
    r"|(?P<literal>\[[!-Z^-~]*\])"
    rf"|(?P<atom>{_TEXT}+)"
    r"|(?P<special>[<>@,;:.(])"
)
_ATOM = re.compile(rf"{_TEXT}+(?:\.{_TEXT}+)*")
_COMMENT = re.compile(r"[()\\]")


@dataclass(frozen=True)
class Address:
    """A display name, decoded ("" when there is none), and an addr-spec."""

    name: str
    address: str

    def __str__(self) -> str:
        if not self.name:
            return self.address
        plain = re.fullmatch(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ \u0080-\U0010ffff-]+", self.name)
        name = self.name if plain else '"' + re.sub(r'(["\\])', r"\\\1", self.name) + '"'
        return f"{name} <{self.address}>"

    @property
    def key(self) -> str:
        """The form in which addresses are compared: case folded (people's servers do not tell case apart)."""
        return self.address.casefold()

    def header_pieces(self) -> list[str]:
        """The pieces of the header, ASCII but for the address, between which it may be folded."""
        if not self.name:
            return [self.address]
        if self.name.isascii() and not words.looks_encoded(self.name):
            return [
                *Address(self.name, "").__str__().removesuffix(" <>").split(" "),
                f"<{self.address}>",
            ]
        return [*words.encode(self.name), f"<{self.address}>"]


def parse(text: str) -> list[Address]:
    """The mailboxes of an address list, those in groups too. `text` is unfolded, its names still encoded (RFC 2047).

    Raises ValueError for anything that RFC 5322 §3.4 does not allow; of the obsolete forms, only dots in names pass.
    """
    return _Parser(text).addresses()


def parse_one(text: str) -> Address:
    """Exactly one mailbox, and no group. Raises ValueError."""
    parser = _Parser(text)
    found = parser.addresses()
    if len(found) != 1 or parser.groups:
        raise ValueError(f"one address expected, {len(found)} found in {text!r}")
    return found[0]


def is_address(text: str) -> bool:
    """Whether this is a bare addr-spec: no name, no brackets, no blanks around."""
    try:
        return parse_one(text).address == text
    except ValueError:
        return False


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.groups = 0
        self._tokens = list(self._tokenized())
        self._at = 0

    def _tokenized(self) -> list[tuple[str, str]]:
        """(kind, text); a run of blanks and comments is one `space`, a quoted string's escapes are undone."""
        tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None:
                raise ValueError(f"{self.text[at]!r} cannot stand in an address (RFC 5322 §3.4)")
            kind, value = str(match.lastgroup), match[str(match.lastgroup)]
            at = match.end()
            if value == "(" and kind == "special":
                at = self._after_comment(at)
                kind = "space"
            if kind == "space" and tokens and tokens[-1][0] == "space":
                continue
            tokens.append((kind, re.sub(r"\\(.)", r"\1", value) if kind == "quoted" else value))
        return [*tokens, ("end", "")]

    def _after_comment(self, at: int) -> int:
        depth = 1
        while depth:
            match = _COMMENT.search(self.text, at)
            if match is None:
                raise ValueError("a comment is opened and never closed")
            depth += {"(": 1, ")": -1, "\\": 0}[match[0]]
            at = match.end() + (match[0] == "\\")
        return at

    def addresses(self) -> list[Address]:
        found: list[Address] = []
        while True:
            found += self._address()
            self._space()
            if self._take(","):
                continue
            if self._peek()[0] == "end":
                return found
            raise ValueError(f"{self._peek()[1]!r} is not expected there in {self.text!r}")

    def _address(self) -> list[Address]:
        """A mailbox or a group."""
        self._space()
        begin = self._at
        phrase = self._phrase()
        self._space()
        if phrase and self._take(":"):
            self.groups += 1
            members: list[Address] = []
            self._space()
            while not self._take(";"):
                members.append(self._mailbox())
                self._space()
                if not self._take(",") and self._peek() != ("special", ";"):
                    raise ValueError(f"a group is opened and never closed in {self.text!r}")
            return members
        self._at = begin
        return [self._mailbox()]

    def _mailbox(self) -> Address:
        self._space()
        begin = self._at
        phrase = self._phrase()
        self._space()
        if self._take("<"):
            self._space()
            address = self._addr_spec()
            self._space()
            if not self._take(">"):
                raise ValueError(f"a bracket is opened and never closed in {self.text!r}")
            return Address(words.decode(phrase), address)
        self._at = begin
        return Address("", self._addr_spec())

    def _phrase(self) -> str:
        """Words and, as of old, dots, with single blanks where there were any."""
        parts: list[str] = []
        while True:
            kind, value = self._peek()
            if kind in ("atom", "quoted") or (value == "." and parts):
                parts.append(value)
            elif kind == "space" and parts:
                parts.append(" ")
            else:
                return "".join(parts).strip()
            self._at += 1

    def _addr_spec(self) -> str:
        local = self._dotted("quoted")
        if not self._take("@"):
            raise ValueError(f"no address in {self.text!r}")
        return f"{local}@{self._dotted('literal')}"

    def _dotted(self, other: str) -> str:
        """A dot-atom, or one token of the other kind."""
        kind, value = self._peek()
        if kind == other:
            self._at += 1
            if kind == "literal" or _ATOM.fullmatch(value):
                return value
            return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'
        parts = []
        while True:
            kind, value = self._peek()
            if kind != "atom":
                raise ValueError(f"no address in {self.text!r}")
            parts.append(value)
            self._at += 1
            if self._peek() != ("special", "."):
                return ".".join(parts)
            self._at += 1

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _space(self) -> None:
        if self._peek()[0] == "space":
            self._at += 1

    def _take(self, special: str) -> bool:
        if self._peek() == ("special", special):
            self._at += 1
            return True
        return False
