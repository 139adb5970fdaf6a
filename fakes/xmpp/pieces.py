"""The pieces of a stream, and the pattern for a plain stanza.

Plain is a stanza as most clients write it: the usual attributes, and children that hold only text.
The pattern takes it from a buffer whole and proves that it is well-formed, in a third of the time
that the parser takes (splitter.py). For the same bytes both find the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TypeAlias
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from fakes.xmpp.markup import CLIENT, LANG, STREAMS, escape


@dataclass(slots=True)
class Piece:
    """One piece of a stream: `kind` is open, element, close or error.

    Names have the form `{namespace}name`. For an error, `name` is the condition of a stream error.
    """

    kind: str
    start: int  # in the parser's count of bytes
    end: int
    name: str = ""
    attributes: dict[str, str] = field(default_factory=dict)
    child_names: tuple[str, ...] = ()
    prefixes: tuple[tuple[str, str], ...] = ()  # declared by the header or the start tag
    tag_end: int = 0  # where the start tag ends in `raw`
    prefixed: bool = False  # the element's own name has a prefix
    needs_rewriting: bool = False  # prefixes inside stand for the content namespace
    text: str = ""
    raw: bytes = b""

    def tree(self, space: str) -> Element:
        """The element as a tree. `space` is the default namespace of its stream.

        The splitter has found it to be well-formed with the prefixes that are in scope.
        """
        prefixes = {"stream": STREAMS, **dict(self.prefixes)}  # its own win over the header's
        declared = "".join(f" xmlns:{prefix}='{escape(uri)}'" for prefix, uri in prefixes.items())
        scope = f"<x xmlns='{space}'{declared}>"
        return ElementTree.fromstring(scope.encode() + self.raw + b"</x>")[0]


# Only the repeats of single characters are possessive (`*+`) here: up to Python 3.11.4, that of a
# group goes on in the middle of what did not match. There is one way only to repeat each group, so
# going back takes no time.
# What the pattern leaves to the parser, in text and in values: control characters, bytes that are
# never in UTF-8, and U+F000 to U+FFFF, because some of these are no characters.
_OTHERS = rb"\x00-\x08\x0b\x0c\x0e-\x1f\xef\xf5-\xff"
_TEXT = rb"[^<>&%b]*+(?:&(?:amp|lt|gt|quot|apos);[^<>&%b]*+)*" % (_OTHERS, _OTHERS)
_VALUE = rb"(?:'[^'<&\t\n\r%b]*+'|\"[^\"<&\t\n\r%b]*+\")" % (_OTHERS, _OTHERS)
# Not one of the namespaces that XML reserves.
_SPACE = rb"(?!.http://www\.w3\.org/)(?:'[\w:/.#+-]++'|\"[\w:/.#+-]++\")"
# What may be left out is `(?:…|)` here, which takes an eighth less of the time than `(?:…)?` does.
_CHILD = rb"<([A-Za-z][\w.-]*+)(?: xmlns=%b|)(?: id=%b|)(?:/>|>%b</\6>)"
_ATTRIBUTES = rb"((?: (?:from|to|type|xml:lang)=%b)*)" % _VALUE
_PLAIN = re.compile(
    rb"<(message|presence|iq)%b(?: id=(%b)%b|)" % (_ATTRIBUTES, _VALUE, _ATTRIBUTES)
    + rb"(?:/>|>((?:%b)*)</\1>)" % (_CHILD % (_SPACE, _VALUE, _TEXT))
)
_ATTRIBUTE = re.compile(r" ([a-z:]+)=(?:'([^']*)'|\"([^\"]*)\")")
# The start of a child's tag: its name, and its namespace as it is written.
_START = re.compile(r"<[A-Za-z][\w.-]*(?: xmlns=['\"][^'\"]*)?", re.ASCII)
_SHORT = 1000  # bytes of attributes, and of content, what is read in which is remembered


# A plain stanza: its bytes, and the fields of a Stanza (stanzas.py), from `kind` to `child_names`.
# Not a NamedTuple, which takes seven times as long to make: this runs for every stanza.
PlainStanza: TypeAlias = tuple[
    bytes,
    tuple[
        str,
        str | None,
        str | None,
        str | None,
        str | None,
        str | None,
        bytes,
        tuple[str, ...],
    ],
]


def piece_of(plain: PlainStanza) -> Piece:
    """Returns the piece that the parser would return for the same bytes."""
    raw, (kind, type, to, sender, id, lang, content, child_names) = plain
    given = {"type": type, "to": to, "from": sender, "id": id, LANG[1:]: lang}
    end_tag = b"" if raw.endswith(b"/>") else b"</%b>" % kind.encode()
    return Piece(
        "element",
        0,
        len(raw),
        f"{{{CLIENT}}}{kind}",
        {name: value for name, value in given.items() if value is not None},
        child_names,
        tag_end=len(raw) - len(content) - len(end_tag),
        raw=raw,
    )


def plain_stanza(buffer: bytearray, limit: int) -> PlainStanza | None:
    """Returns what is at the start of the buffer if it is a plain stanza, whole and in UTF-8.

    The header of the stream declares the content namespace, and no prefixes but `stream:`.
    """
    match = _PLAIN.match(buffer, 0, limit)
    if match is None:
        return None
    raw, kind, before, id, after, content = match.group(0, 1, 2, 3, 4, 5)
    written, content = before + after if after else before, content or b""
    read = _read if len(written) < _SHORT else _read.__wrapped__
    try:
        attributes = read(written)
        if attributes is None:
            return None
        type, to, sender, lang = attributes
        id = None if id is None else id[1:-1].decode()
        starts = _START.findall(content.decode())
    except UnicodeDecodeError:
        return None
    names = _names(*starts) if len(content) < _SHORT else _names.__wrapped__(*starts)
    return raw, (_KINDS[kind], type, to, sender, id, lang, content, names)


# Most stanzas of a client differ in the id only. Reading the other attributes takes five times as
# long as finding them here.
@lru_cache(512)
def _read(written: bytes) -> tuple[str | None, str | None, str | None, str | None] | None:
    """Reads the attributes type, to, from and xml:lang; None if one of them is there twice."""
    found = _ATTRIBUTE.findall(written.decode())
    values = {name: single or double for name, single, double in found}
    if len(values) != len(found):
        return None
    return values.get("type"), values.get("to"), values.get("from"), values.get("xml:lang")


@lru_cache(512)
def _names(*starts: str) -> tuple[str, ...]:
    """The names of children, as `{namespace}name`, from where their tags start."""
    parts = (start[1:].partition(" xmlns=") for start in starts)
    return tuple(f"{{{space[1:] or CLIENT}}}{name}" for name, _, space in parts)


_KINDS = {kind.encode(): kind for kind in ("message", "presence", "iq")}
