"""Mail addresses as in RFC 5322 §3.4, parsed strictly.

    parse("Jeremy <jeremy@yourco.test>, ops@yourco.test")
    # [Address("Jeremy", "jeremy@yourco.test"), Address("", "ops@yourco.test")]

Ambiguous input is an error and never a guess: a name that looks like an address, two addresses in
place of one, a stray bracket. Programs decide by the address who may command them.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass

from comms import words

# RFC 5322 §3.2.3 atext, with the characters beyond ASCII that RFC 6532 §3.2 adds. U+FFFD is what
# undecodable bytes become (comms.header), so it is not allowed.
_TEXT = r"[^\x00-\x20\"(),.:;<>@\[\\\]\x7f-\xa0\ud800-\udfff\ufffd]"
# Possessive (`++`): an atom never ends earlier, and the positions to go back to would take memory.
_TOKEN = re.compile(
    r"(?P<space>[ \t]+)"
    r'|"(?P<quoted>(?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t -~])*+)"'
    r"|(?P<literal>\[[!-Z^-~]*\])"
    rf"|(?P<atom>{_TEXT}++)"
    r"|(?P<special>[<>@,;:.(])"
)
# Up to Python 3.11.4, a possessive repeat of a group goes on in the middle of what did not match,
# unless the group fails before another repeat begins in it.
_DOT_ATOM = re.compile(rf"{_TEXT}++(?:\.{_TEXT}{_TEXT}*+)*+")
_BARE = re.compile(rf"{_DOT_ATOM.pattern}@{_DOT_ATOM.pattern}")  # the most frequent form
_UNDECODED = re.compile(r"[\ud800-\udfff\ufffd]")  # in quotes; atoms have none
_COMMENT = re.compile(r"[()\\]")
LONGEST_DOMAIN = 255  # characters (RFC 5321 §4.5.3.1.2)
_KEPT_BY_IDNA_2008 = re.compile("[ßς\u200c\u200d]")  # and changed, or removed, by that of 2003
_SHOWN = 200  # characters of a wrong field that an error repeats
_LONGEST_PIECE = 500  # characters; a line has 998 at most (RFC 5322 §2.1.1)
_PLAIN_NAME = re.compile(rf"(?:{_TEXT}| )+")  # others need quotes


@dataclass(frozen=True)
class Address:
    """An addr-spec (`user@domain`) with a decoded display name, which is "" if there is none."""

    name: str
    address: str

    def __str__(self) -> str:
        if not self.name:
            return self.address
        name = self.name if _PLAIN_NAME.fullmatch(self.name) else _quoted(self.name)
        return f"{name} <{self.address}>"

    @property
    def key(self) -> str:
        """The address in the form to compare (`comparable`)."""
        return comparable(self.address)

    def header_pieces(self) -> list[str]:
        """Returns the address for a header, in pieces between which a line may be folded.

        The pieces are ASCII, except for an address that is not.
        """
        if not self.name:
            return [self.address]
        pieces = str(Address(self.name, "")).removesuffix(" <>").split(" ")
        is_short = max(map(len, pieces)) <= _LONGEST_PIECE
        if self.name.isascii() and is_short and not words.looks_encoded(self.name):
            return [*pieces, f"<{self.address}>"]
        return [*words.encode(self.name), f"<{self.address}>"]


def parse(text: str) -> list[Address]:
    """Returns the addresses of a list, those in groups included.

    `text` is unfolded; its names may still be encoded (RFC 2047). Raises ValueError for anything
    that RFC 5322 §3.4 does not allow. Of the obsolete forms (§4.4), only dots in names are
    accepted.
    """
    return _Parser(text).addresses()


def parse_one(text: str) -> Address:
    """Returns the address if it is exactly one and not in a group. Raises ValueError."""
    parser = _Parser(text)
    found = parser.addresses()
    if len(found) != 1 or parser.groups:
        raise ValueError(f"one address expected, {len(found)} found in {parser._shown}")
    return found[0]


def parse_leniently(text: str, any_name: bool = False) -> Address:
    """Returns the only address of a field that real programs have written, whatever its name.

    A name may contain brackets, commas in encoded words, or bytes that are not UTF-8 (kept as
    surrogates, see comms.words). A name that shows a different address is ambiguous, and an error
    unless `any_name` is true: then the address in angle brackets counts, or else the only one in
    the text. Raises ValueError.
    """
    try:
        return Address("", text) if _BARE.fullmatch(text) else parse_one(text)
    except ValueError as error:
        problem = error
    *others, last = _items(text.rstrip(" \t,"))
    name, bracket, rest = last.rpartition("<")
    address, closed, after = rest.partition(">")
    if bracket and closed and not after.strip(" \t,;>"):
        name = words.decode(",".join([*others, name]).strip(" \t\"'<"))
        found = _addr_spec(address)
        shown = {other.casefold() for other in _LIKE_AN_ADDRESS.findall(name)} - {found.casefold()}
        # Two items with an address each are a list, and not a name.
        several = any(_LIKE_AN_ADDRESS.search(item) for item in others)
        if found and not (several and shown) and (any_name or not shown):
            return Address(name.strip(" \t\"'"), found)
    elif not others and (found := _addr_spec(last)):
        return Address("", found)
    elif any_name:
        only = {_addr_spec(match) for match in _LIKE_AN_ADDRESS.findall(text)} - {""}
        if len(only) == 1:
            return Address("", only.pop())
    raise problem


def parse_list_leniently(text: str) -> tuple[list[Address], list[str]]:
    """Returns the addresses of a list that can be read, and what is wrong with the others."""
    try:
        return parse(text), []
    except ValueError as error:
        problem = str(error)
    found, problems = [], []
    waiting: list[str] = []  # of a name with a comma that should have been quoted
    for item in _items(text, ",;"):  # Outlook's users separate with semicolons
        waiting.append(item)
        if "@" not in item:
            continue
        try:
            found.append(parse_leniently(",".join(waiting).strip(" \t,")))
        except ValueError as error:
            problems.append(str(error))
        waiting = []
    if any(item.strip() for item in waiting):
        problems.append(problem)
    return found, problems


_ITEMS = {
    separators: re.compile(
        r"""(?:=\?[^?\s,]{1,80}\?[bq]\?[^?\s]*\?=|"[^"]*"|<[^<>]*>"""
        rf"""|[^{separators}"<=]+|[^{separators}])""",
        re.I,
    )
    for separators in (",", ",;")
}
_LIKE_AN_ADDRESS = re.compile(r"[^\s<>(),;:\"\[\]@\\]{1,100}@[^\s<>(),;:\"\[\]@\\]{1,255}")


def _items(text: str, separators: str = ",") -> list[str]:
    """Splits a list at its separators, except for those in quotes, brackets and encoded words."""
    if text.count('"') % 2:
        text = text.replace('"', "")  # a quote that is never closed protects nothing
    items, at, begin = [], 0, 0
    while at < len(text):
        match = _ITEMS[separators].match(text, at)
        if match is None:  # a separator
            items.append(text[begin:at])
            begin = at = at + 1
        else:
            at = match.end()
    return [*items, text[begin:]]


def _addr_spec(text: str) -> str:
    """Returns an address in valid form, "" if it cannot be brought into one.

    Some Japanese providers gave out addresses with two dots in a row, or one before the @. They
    are valid in quotes.
    """
    text = text.strip()
    if is_address(text):
        return text
    local, _, domain = text.rpartition("@")
    quoted = f"{_quoted(local)}@{domain}"
    dots = re.fullmatch(rf"(?:{_TEXT}|\.)++", local) is not None
    return quoted if dots and is_address(quoted) else ""


def ascii_domain(domain: str) -> str:
    """Returns a domain in ASCII (IDNA, RFC 3490), which DNS and servers without SMTPUTF8 need.

    Raises UnicodeError if it has none, and where Python would turn it into something else: a
    fullwidth comma into a comma, and a letter that IDNA of 2008 keeps (ß) into other ones.
    """
    if domain.isascii():
        return domain
    if len(domain) > LONGEST_DOMAIN:  # Python takes quadratic time to encode it
        raise UnicodeError("it is too long")
    encoded = domain.encode("idna").decode()
    if _KEPT_BY_IDNA_2008.search(domain) or not re.fullmatch(r"[A-Za-z0-9._-]+", encoded):
        raise UnicodeError("it would become another domain")
    return encoded


def comparable(address: str) -> str:
    """Returns the form in which two addresses are equal: without case, the domain in ASCII.

    Servers of people do not distinguish case. Mail shows a domain like bücher.example as
    xn--bcher-kva.example, and settings as people do.
    """
    local, at, domain = address.strip().rpartition("@")
    with contextlib.suppress(UnicodeError):
        domain = ascii_domain(domain)
    return f"{local}{at}{domain}".casefold()


def is_address(text: str) -> bool:
    """Returns whether this is an addr-spec alone: no name, brackets or spaces around it."""
    try:
        return bool(_BARE.fullmatch(text)) or parse_one(text).address == text
    except ValueError:
        return False


class _Parser:
    """A recursive descent parser over tokens. Its methods are the rules of RFC 5322 §3.4."""

    def __init__(self, text: str) -> None:
        self.text = text
        self._shown = repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "…")  # for errors
        self.groups = 0
        self._tokens = list(self._tokenized())
        self._at = 0

    def _tokenized(self) -> list[tuple[str, str]]:
        """Returns (kind, text) of each token.

        A run of spaces and comments is one `space`. Quoted strings come without their escapes.
        """
        tokens: list[tuple[str, str]] = []
        at = 0
        while at < len(self.text):
            match = _TOKEN.match(self.text, at)
            if match is None:
                raise ValueError(f"{self.text[at]!r} is not allowed in an address (RFC 5322 §3.4)")
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
        """Returns the position after a comment that was opened before `at`.

        Comments may be nested. A loop with a counter takes any depth, where recursion would not.
        """
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
            raise ValueError(f"{self._peek()[1]!r} is not expected there in {self._shown}")

    def _address(self) -> list[Address]:
        """Parses a single address, or a group such as `friends: a@b, c@d;`."""
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
                    raise ValueError(f"a group is opened and never closed in {self._shown}")
            return members
        self._at = begin
        return [self._mailbox()]

    def _mailbox(self) -> Address:
        """Parses `name <user@domain>` or `user@domain`, which the RFC calls a mailbox."""
        self._space()
        begin = self._at
        phrase = self._phrase()
        self._space()
        if self._take("<"):
            self._space()
            address = self._addr_spec()
            self._space()
            if not self._take(">"):
                raise ValueError(f"a bracket is opened and never closed in {self._shown}")
            return Address(words.decode(phrase), address)
        self._at = begin
        return Address("", self._addr_spec())

    def _phrase(self) -> str:
        """Parses words and dots (§4.1). Spaces and comments between them become one space."""
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
            raise ValueError(f"{self._shown} does not contain an address like user@example.org")
        return f"{local}@{self._dotted('literal')}"

    def _dotted(self, other: str) -> str:
        """Parses a dot-atom, or one token of the kind `other`."""
        kind, value = self._peek()
        if kind == other:
            if _UNDECODED.search(value):
                raise ValueError(f"{self._shown} has an address with bytes that are not UTF-8")
            self._at += 1
            # Quotes that are not necessary are removed, so that "ab"@c and ab@c compare as equal.
            return value if kind == "literal" or _DOT_ATOM.fullmatch(value) else _quoted(value)
        parts = []
        while True:
            kind, value = self._peek()
            if kind != "atom":
                raise ValueError(f"{self._shown} does not contain an address like user@example.org")
            parts.append(value)
            self._at += 1
            if self._peek() != ("special", "."):
                return ".".join(parts)
            self._at += 1

    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at]

    def _space(self) -> None:
        """Skips a space, if there is one."""
        if self._peek()[0] == "space":
            self._at += 1

    def _take(self, special: str) -> bool:
        """Skips a special character; returns whether it was there."""
        if self._peek() == ("special", special):
            self._at += 1
            return True
        return False


def _quoted(text: str) -> str:
    """Returns a quoted-string (RFC 5322 §3.2.4)."""
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'
