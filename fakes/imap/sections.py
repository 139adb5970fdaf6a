"""The items of FETCH (RFC 3501 §6.4.5), and the bytes that a section of a mail is."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from fakes.imap.grammar import Arguments, BadCommand
from fakes.imap.source import Part, Source
from fakes.imap.structure import body, body_structure, envelope
from fakes.imap.writing import literal_pieces, write_name

MACROS = {
    "ALL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"),
    "FAST": ("FLAGS", "INTERNALDATE", "RFC822.SIZE"),
    "FULL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"),
}
OF_THE_STORE = frozenset({"FLAGS", "INTERNALDATE", "MODSEQ", "RFC822.SIZE", "UID"})
ITEMS = frozenset(
    {*OF_THE_STORE, "BODY", "BODYSTRUCTURE", "ENVELOPE", "RFC822", "RFC822.HEADER", "RFC822.TEXT"}
)
_NAME = re.compile(rb"[A-Za-z0-9.]+")
_PART = re.compile(rb"[1-9][0-9]{0,9}(?:\.[1-9][0-9]{0,9})*+")
_TEXT = re.compile(rb"HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME", re.I)
_PARTIAL = re.compile(rb"<([0-9]{1,20})\.([0-9]{1,20})>")
_ATOM = re.compile(rb'[^\x00-\x20(){%*"\\\]\x7f-\xff]+')


@dataclass(frozen=True, slots=True)
class Section:
    """What is between the brackets: `1.2.HEADER.FIELDS (SUBJECT)`."""

    part: tuple[int, ...] = ()
    text: str = ""  # "", HEADER, TEXT, MIME, HEADER.FIELDS, HEADER.FIELDS.NOT
    fields: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Item:
    """What FETCH asks for: one item.

    `name` is in capitals: FLAGS, UID, INTERNALDATE, MODSEQ, ENVELOPE, BODYSTRUCTURE, BODY (without
    a section: the structure), BODY[] (with one), RFC822, RFC822.HEADER, RFC822.SIZE, RFC822.TEXT.
    """

    name: str
    section: Section | None = None
    peek: bool = False
    partial: tuple[int, int] | None = None  # offset and size

    @property
    def label(self) -> bytes:
        """The item in the response: `BODY[HEADER.FIELDS (SUBJECT)]<0>`."""
        if self.section is None:
            return self.name.encode()
        words = [*map(str, self.section.part), *([self.section.text] if self.section.text else [])]
        text = ".".join(words).encode()
        if self.section.fields:
            text += b" (" + b" ".join(map(_field_name, self.section.fields)) + b")"
        offset = b"" if self.partial is None else b"<%d>" % self.partial[0]
        return b"BODY[" + text + b"]" + offset

    @property
    def sets_seen(self) -> bool:
        """Whether fetching it sets \\Seen."""
        return self.name in ("RFC822", "RFC822.TEXT") or (self.name == "BODY[]" and not self.peek)


def _field_name(name: bytes) -> bytes:
    return name if _ATOM.fullmatch(name) else write_name(name)


# ── reading ──────────────────────────────────────────────────────────────────


def read_items(arguments: Arguments) -> tuple[Item, ...]:
    """Reads one item, a macro, or a list of items. Each is returned once."""
    if arguments.next_is(b"("):
        items = arguments.items(lambda: _read_item(arguments))
    else:
        name = _NAME.match(arguments.raw, arguments.at)
        macro = MACROS.get(name[0].decode().upper()) if name else None
        if name is not None and macro is not None:
            arguments.at = name.end()
            items = tuple(map(Item, macro))
        else:
            items = (_read_item(arguments),)
    found: dict[object, Item] = {}
    for item in items:
        key = (item.label, item.partial)  # the label of a partial item does not say how much
        known = found.get(key, item)
        found[key] = replace(known, peek=known.peek and item.peek)
    return tuple(found.values())


def _read_item(arguments: Arguments) -> Item:
    match = _NAME.match(arguments.raw, arguments.at)
    name = match[0].decode().upper() if match else ""
    if match is not None:
        arguments.at = match.end()
    if name in ("BODY", "BODY.PEEK") and arguments.skip(b"["):
        section = _read_section(arguments)
        return Item("BODY[]", section, name == "BODY.PEEK", _read_partial(arguments))
    if name not in ITEMS:
        raise BadCommand(f"Unknown item {name}"[:80])
    return Item(name)


def _read_section(arguments: Arguments) -> Section:
    part: tuple[int, ...] = ()
    numbers = _PART.match(arguments.raw, arguments.at)
    if numbers is not None:
        part = tuple(map(int, numbers[0].split(b".")))
        arguments.at = numbers.end()
        if arguments.skip(b"]"):
            return Section(part)
        arguments.expect(b".")
    match = _TEXT.match(arguments.raw, arguments.at)
    text = match[0].decode().upper() if match else ""
    if match is not None:
        arguments.at = match.end()
    if (text == "MIME" and not part) or (part and not text):
        raise BadCommand("Invalid section")
    fields: tuple[bytes, ...] = ()
    if "FIELDS" in text:
        arguments.space()
        fields = arguments.items(arguments.astring)
    arguments.expect(b"]")
    return Section(part, text, fields)


def _read_partial(arguments: Arguments) -> tuple[int, int] | None:
    if not arguments.next_is(b"<"):
        return None
    match = _PARTIAL.match(arguments.raw, arguments.at)
    if match is None or not int(match[2]):  # RFC 3501 §9: the size is not 0
        raise BadCommand("Invalid partial")
    arguments.at = match.end()
    return int(match[1]), int(match[2])


# ── answering ────────────────────────────────────────────────────────────────


def write_item(source: Source, item: Item) -> list[bytes]:
    """Returns the pieces of label, space and value, for every item that the mail itself answers.

    Those are all but FLAGS, UID, INTERNALDATE and MODSEQ.
    """
    if item.name in STRUCTURES:
        value = STRUCTURES[item.name](source)
    elif item.name == "RFC822.SIZE":
        value = b"%d" % len(source.raw)
    else:
        found = _content(source, item)
        if found is not None:
            return [item.label + b" ", *literal_pieces(found)]
        value = b'""'
    return [item.label + b" " + value]


STRUCTURES = {"BODY": body, "BODYSTRUCTURE": body_structure, "ENVELOPE": envelope}
_SAME_AS = {
    "RFC822": Section(),
    "RFC822.HEADER": Section(text="HEADER"),
    "RFC822.TEXT": Section(text="TEXT"),
}


def content(source: Source, item: Item) -> bytes:
    """Returns what a BODY[…] or RFC822… item is, b"" if the mail has no such part."""
    return _content(source, item) or b""


def _content(source: Source, item: Item) -> bytes | None:
    """Returns None if the mail has no such part, or ends before the offset."""
    section = item.section or _SAME_AS[item.name]
    found = read_section(source, section)
    if found is None or item.partial is None:
        return found
    offset, size = item.partial
    return found[offset : offset + size] if offset < len(found) else None


def read_section(source: Source, section: Section) -> bytes | None:
    """Returns a section of a mail, None if there is none."""
    raw = source.raw
    if not section.part:
        if not section.text:
            return raw
        part = source.root
    else:
        found = find_part(source.root, section.part)
        if found is None:
            return None
        if not section.text:
            return raw[found.body : found.end]
        if section.text == "MIME":
            return raw[found.start : found.body]
        if not found.is_message:
            return None
        part = found.parts[0]
    if section.text == "TEXT":
        return raw[part.body : part.end]
    if section.text == "HEADER":
        return raw[part.start : part.body]
    return _fields(source, part, section)


def _fields(source: Source, part: Part, section: Section) -> bytes:
    """Returns the lines of the fields that are asked for, and the empty line."""
    names = {name.lower() for name in section.fields}
    wanted = section.text == "HEADER.FIELDS"
    raw = source.raw
    lines = [
        raw[start:end] for name, start, _, end in source.fields(part) if (name in names) == wanted
    ]
    return b"".join(lines) + raw[part.head_end : part.body]


def find_part(root: Part, numbers: tuple[int, ...]) -> Part | None:
    """Returns the part with these numbers, None if there is none (RFC 3501 §6.4.5).

    A message that has no parts has one, which is its body; so has a message in a message.
    """
    part: Part | None = None
    for number in numbers:
        if part is None:
            outer = root
        elif part.is_message:
            outer = part.parts[0]
        elif part.is_multipart:
            outer = part
        else:
            return None
        if outer.is_multipart:
            empty = Part(outer.end, outer.end, outer.end, outer.end)
            parts = outer.parts or [empty]
            if number > len(parts):
                return None
            part = parts[number - 1]
        elif number == 1:
            part = outer
        else:
            return None
    return part
