"""Bytes as text, whatever charset a mail declares, rightly or wrongly.

    decode(b"\\x83e\\x83X\\x83g", "windows-31j")      # "テスト"

Decoding always succeeds. What cannot be decoded becomes U+FFFD.
"""

from __future__ import annotations

import codecs
import encodings
import functools
import pkgutil
import re
from encodings import aliases, normalize_encoding

# Labels → the codec that decodes what programs send under them. Labels are compared without
# capitals and punctuation. They are those of the WHATWG Encoding Standard and of IANA that
# Python does not know, or that mean more in mail than in Python: what mail calls iso-8859-1 is
# usually Windows-1252, and GB2312 is usually GBK.
_LABELS = {
    "utf-8": "unicode11utf8 unicode20utf8 uft8 utf8mb4 utf utf8n csutf8 cesu8",
    "utf-7": "unicode11utf7 csunicode11utf7",
    "utf-16": "utf16le csutf16le csunicode iso10646ucs2 ucs2 unicode unicodefeff csutf16",
    "utf-16-be": "unicodefffe csutf16be",
    "utf-32-be": "utf32be",
    "utf-32-le": "utf32le",
    "utf-32": "csucs4 iso10646ucs4 ucs4 csutf32",
    "ascii": "usascii ascii ansix341968 ansix341986 iso646us us iso646irv1991 7bit",
    "cp1252": "iso88591 iso885911987 latin1 l1 cp819 ibm819 isoir100 isolatin1 ansi iso88591windows"
    "",
    "cp1254": "iso88599 iso885991989 latin5 l5 isoir148 isolatin5",
    "cp874": "dos874 tis620 iso885911thai windows874 isoir166",
    "iso8859-6": "iso88596e iso88596i",
    "iso8859-7": "suneugreek",
    "iso8859-8": "iso88598e iso88598i visual logical",
    "iso8859-15": "isolatin9 latin9 l9",
    "koi8-r": "koi koi8",
    "koi8-u": "koi8ru koi8u",
    "mac-roman": "mac macroman macintosh",
    "mac-cyrillic": "maccyrillic macukrainian",
    "mac-latin2": "macce maccentraleurope",
    "gb18030": "gb2312 gb231280 gbk chinese isoir58 iso58gb231280 cp936 ms936 windows936 euccn cngb"
    " gb",
    "hz": "hzgb2312 hzgb",
    "big5hkscs": "big5 xbig5 cnbig5 big5hkscs big5tw cp950 windows950 ms950",
    "cp932": "sjis shiftjis mskanji ms932 windows31j cp932 windows932 macjapanese xmacjapanese"
    " shiftjiswin halfwidthkatakana",
    "euc_jp": "eucjp eucpkdfmtjapanese cp51932 eucjpms eucjpwin ujis"
    " extendedunixcodepackedformatforjapanese",
    "iso2022_jp": "iso2022jp iso2022jp1 iso2022jp2 iso2022jp3 iso2022jp2004 iso2022jpext"
    " iso2022jpms cp50220 cp50221 cp50222 jis jisencoding",
    "cp949": "euckr ksc56011987 ksc56011989 ksc5601 isoir149 korean cp949 windows949 uhc ms949",
    "hp-roman8": "hproman8",
    "cp1140": "ebcdicus37euro ccsid01140",
    "cp858": "pcmultilingual850euro ccsid00858",
}
_CODECS = {label: codec for codec, labels in _LABELS.items() for label in labels.split()}
_NUMBERED = (
    (re.compile(r"(?:windows|win|cp|ibm|ccsid|dos|ms)0*([1-9][0-9]{2,3})"), "cp"),
    (re.compile(r"(?:iso)?8859([0-9]{1,2})(?:19[0-9]{2})?"), "iso8859-"),
)
LONGEST_LABEL = 60  # characters
# Python calls these text encodings, but no mail is written in them, and some are not linear.
_NOT_CHARSETS = frozenset(
    "punycode idna unicode-escape raw-unicode-escape undefined mbcs oem charmap".split()
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_BEYOND_ASCII = re.compile(r"[^\0-\x7f]+")


def decode(raw: bytes, label: str = "") -> str:
    """Decodes bytes by the charset that is declared, if they nearly fit; else by a likely one.

    A byte-order mark takes precedence and is removed. Escapes of ISO-2022-JP are recognised under
    any label. Never raises.
    """
    declared = codec(label)
    for mark, marked in _MARKS:
        if raw.startswith(mark):
            text = raw[len(mark) :].decode(marked.replace("utf-32", "utf-32-le"), "replace")
            if marked == "utf-8" or text.count("\ufffd") * 10 <= len(text):
                return _encodable(text)
    if b"\x1b" in raw and raw.isascii() and _is_iso_2022_jp(raw, declared):
        return _encodable(_iso_2022_jp(raw))
    if declared.startswith(("utf-16", "utf-32")):
        declared = _byte_order(raw, declared)
    # Text that is valid UTF-8 and not ASCII is hardly ever anything else.
    for name in (declared, "utf-8"):
        if (exact := _strictly(raw, name)) is not None:
            return exact.removeprefix("\ufeff")
    for name in (declared, "utf-8"):
        if (near := _nearly(raw, name)) is not None:
            return near.removeprefix("\ufeff")
    return raw.decode("cp1252", "replace")


@functools.lru_cache(maxsize=256)
def codec(label: str) -> str:
    """Returns the name of Python's codec for a charset label, "" if there is none."""
    if len(label) > LONGEST_LABEL:
        return ""
    key = re.sub(r"[^a-z0-9]", "", label.lower())
    # Private and alias forms: x-gbk, csISOLatin1, x-x-big5; and a label that was encoded itself.
    prefixes = ("", "3d", "x", "cs", "xx")
    names = list(dict.fromkeys(key.removeprefix(prefix) for prefix in prefixes))
    # Ours first: Python reads some aliases more strictly than the names themselves.
    for bare in names:
        if bare in _CODECS:
            return _CODECS[bare]
    for bare in names:
        for pattern, begins in _NUMBERED:
            if match := pattern.fullmatch(bare):
                bare = begins + match[1]
        for name in (bare, label) if bare == key else (bare,):
            if name and (python := _python_codec(name)):
                return python
    return ""


@functools.cache
def _python_names() -> frozenset[str]:
    """Returns the names of Python's codecs."""
    modules = (module.name for module in pkgutil.iter_modules(encodings.__path__))
    return frozenset([*aliases.aliases, *aliases.aliases.values(), *modules])


def _python_codec(name: str) -> str:
    name = name.strip().strip("\"'")
    # Python would look for a module with any other name, and remember each that it has not found.
    if normalize_encoding(name).lower().replace(".", "_") not in _python_names():
        return ""
    try:
        info = codecs.lookup(name)
    except (LookupError, ValueError):
        return ""
    # Codecs such as rot13 or base64 are not charsets, and a mail must not select them.
    usable = info._is_text_encoding and info.name.replace("_", "-") not in _NOT_CHARSETS
    return info.name if usable else ""


def _strictly(raw: bytes, name: str) -> str | None:
    """Decodes bytes that are in this charset without exception."""
    if not name:
        return None
    try:
        text = raw.decode(name)
    except (LookupError, ValueError):
        return None
    # UTF-7 lets half a surrogate pair through. Such text cannot be encoded again.
    return None if _SURROGATE.search(text) else text


def _nearly(raw: bytes, name: str) -> str | None:
    """Decodes bytes of which the greater part beyond ASCII is in this charset."""
    if not name:
        return None
    if name == "euc_jp":
        text = _euc_jp(raw)
    else:
        try:
            text = raw.decode(name, "replace")
        except (LookupError, ValueError):
            return None
    text = _encodable(text)
    bad = text.count("\ufffd")
    good = sum(len(run) for run in _BEYOND_ASCII.findall(text)) - bad
    return text if good >= max(bad, 1) else None


def _encodable(text: str) -> str:
    return _SURROGATE.sub("\ufffd", text).removeprefix("\ufeff")


def _byte_order(raw: bytes, declared: str) -> str:
    """Returns the codec for text that is declared as UTF-16 or UTF-32, perhaps wrongly."""
    sample = raw[:1000]
    if b"\0" not in sample and sample.isascii():
        return ""  # a program has changed the text, and not the label
    if declared != "utf-16":
        return declared if raw.startswith((b"\xff\xfe", b"\0\0\xfe\xff")) else _wide(declared, raw)
    # In most texts, the zero bytes are the upper halves of letters and spaces.
    return "utf-16-be" if sample[::2].count(0) > sample[1::2].count(0) else "utf-16-le"


def _wide(declared: str, raw: bytes) -> str:
    if declared == "utf-32":
        return "utf-32-be" if raw[:1] == b"\0" else "utf-32-le"
    return declared


# ── Japanese ─────────────────────────────────────────────────────────────────
#
# Python's codecs lack the characters that NEC and IBM have added, such as ① and 髙. Programs have
# always sent them. Codepage 932 has them, so the two bytes of each character are converted to it.

_ESCAPE = re.compile(rb"\x1b(\$\(?[@A-DO]|\$\(?Q|\([BJIHT]|\.[AF]|N)")


def _is_iso_2022_jp(raw: bytes, declared: str) -> bool:
    if declared.startswith("iso2022"):
        return not declared.startswith("iso2022_kr")
    found = _ESCAPE.search(raw)
    return found is not None and found[1] in (b"$B", b"$@", b"$(D", b"$(B", b"(I", b"(J")


def _iso_2022_jp(raw: bytes) -> str:
    try:
        return raw.decode("iso2022_jp_ext")
    except ValueError:
        pass
    pieces, charset, at = [], b"(B", 0
    for match in _ESCAPE.finditer(raw):
        pieces.append(_segment(raw[at : match.start()], charset))
        charset, at = match[1], match.end()
    pieces.append(_segment(raw[at:], charset))
    return "".join(pieces)


_HIGH = bytes(code | 0x80 if 0x20 < code < 0x7F else code for code in range(256))


def _segment(raw: bytes, charset: bytes) -> str:
    """Decodes what follows one escape.

    A line break should not be in it. What follows one is ASCII if it cannot be pairs of bytes.
    """
    if charset in (b"(B", b"(J", b"(H", b".A", b".F", b"N"):
        return raw.decode("ascii", "replace")
    others = raw.splitlines(keepends=True)[1:]
    for number, line in enumerate(others):
        if b" " in line or len(line.rstrip()) % 2:
            rest = b"".join(others[number:])
            return _segment(raw[: -len(rest)], charset) + rest.decode("ascii", "replace")
    high = raw.translate(_HIGH)
    if charset == b"(I":
        return high.decode("cp932", "replace")
    if charset in (b"$A", b"$(C"):
        return high.decode("gb18030" if charset == b"$A" else "cp949", "replace")
    if charset == b"$(D":
        pairs = re.sub(rb"[\xa1-\xfe]{2}", rb"\x8f\g<0>", high)
        return pairs.decode("euc_jp", "replace")
    return _jis_pairs(high)


def _euc_jp(raw: bytes) -> str:
    """Decodes EUC-JP with the characters of codepage 932."""
    pieces = re.split(rb"((?:\x8e[\xa1-\xdf]|\x8f[\xa1-\xfe]{2})++)", raw)
    return "".join(
        piece.decode("euc_jp", "replace") if number % 2 else _jis_pairs(piece)
        for number, piece in enumerate(pieces)
    )


def _jis_pairs(raw: bytes) -> str:
    """Decodes pairs of bytes of JIS X 0208, both with the highest bit set, and ASCII."""
    converted = re.sub(rb"(?:[\xa1-\xfe]{2})++", lambda match: _shifted(match[0]), raw)
    return converted.decode("cp932", "replace")


def _shifted(pairs: bytes) -> bytes:
    """Converts rows and cells of JIS X 0208 to the two bytes of Shift_JIS."""
    found = bytearray()
    for row, cell in zip(pairs[::2], pairs[1::2], strict=True):
        row, cell = row - 0xA1, cell - 0x80
        lead = (row >> 1) + 0x81
        found.append(lead if lead < 0xA0 else lead + 0x40)
        if row & 1:
            found.append(cell + 0x7E)
        else:
            found.append(cell + (0x20 if cell >= 0x60 else 0x1F))
    return bytes(found)
