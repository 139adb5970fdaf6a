"""The pieces of a stream, and the pattern for a plain stanza.

Plain is a stanza as most clients write it: the usual attributes, and children that hold only text.
The pattern takes it from a buffer whole and proves that it is well-formed, in a third of the time
that the parser takes (splitter.py). For the same bytes both return the same piece.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from fakes.xmpp.markup import CLIENT, LANG


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


# What the pattern leaves to the parser, in text and in values: control characters, bytes that are
# never in UTF-8, and U+F000 to U+FFFF, because some of these are no characters.
_OTHERS = rb"\x00-\x08\x0b\x0c\x0e-\x1f\xef\xf5-\xff"
_TEXT = rb"[^<>&%b]*+(?:&(?:amp|lt|gt|quot|apos);[^<>&%b]*+)*+" % (_OTHERS, _OTHERS)
_VALUE = rb"(?:'[^'<&\t\n\r%b]*+'|\"[^\"<&\t\n\r%b]*+\")" % (_OTHERS, _OTHERS)
# Not one of the namespaces that XML reserves.
_SPACE = rb"(?!.http://www\.w3\.org/)(?:'[\w:/.#+-]++'|\"[\w:/.#+-]++\")"
_CHILD = rb"<([A-Za-z][\w.-]*+)(?: xmlns=%b)?+(?: id=%b)?+(?:/>|>%b</\4>)"
_PLAIN = re.compile(
    rb"<(message|presence|iq)((?: (?:from|to|id|type|xml:lang)=%b)*+)" % _VALUE
    + rb"(?:/>|>((?:%b)*+)</\1>)" % (_CHILD % (_SPACE, _VALUE, _TEXT))
)
_ATTRIBUTE = re.compile(r" ([a-z:]+)=(?:'([^']*)'|\"([^\"]*)\")")
_START = re.compile(r"<([A-Za-z][\w.-]*)(?: xmlns=['\"]([^'\"]*))?", re.ASCII)


def plain_stanza(buffer: bytearray, limit: int) -> Piece | None:
    """Returns the piece at the start of the buffer if it is a plain stanza, whole and in UTF-8.

    The header of the stream declares the content namespace, and no prefixes but `stream:`.
    """
    match = _PLAIN.match(buffer, 0, limit)
    if match is None:
        return None
    raw, kind, written, content = match.group(0, 1, 2, 3)
    try:
        found = _ATTRIBUTE.findall(written.decode())
        text = content.decode() if content else ""
    except UnicodeDecodeError:
        return None
    attributes = {name: single or double for name, single, double in found}
    if len(attributes) != len(found):
        return None  # one of them is there twice
    if "xml:lang" in attributes:
        attributes[LANG[1:]] = attributes.pop("xml:lang")
    children = [f"{{{space or CLIENT}}}{name}" for name, space in _START.findall(text)]
    return Piece(
        "element",
        0,
        len(raw),
        _NAMES[kind],
        attributes,
        tuple(children),
        (),
        len(raw) if content is None else 1 + len(kind) + len(written) + 1,
        raw=raw,
    )


_NAMES = {kind.encode(): f"{{{CLIENT}}}{kind}" for kind in ("message", "presence", "iq")}
