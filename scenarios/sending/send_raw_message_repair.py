"""What a finished message must be before it is sent, and what is put right in it.

Everything else is left as it is, byte for byte, so that signatures stay valid.

| found | rule |
|---|---|
| all lines end in LF, as in files of Unix | repaired: CRLF (RFC 5321 §2.3.8) |
| a bare CR or LF among CRLF | refused: servers disagree about where such a mail ends |
| no line end after the last line | repaired: CRLF |
| NUL, or a line of more than 998 bytes | refused (RFC 5322 §2.1.1, §4) |
| a line in the header that is not a field | refused |
| From missing, or there twice | refused: nobody else can know who wrote the mail |
| Date or Message-ID missing | repaired: added at the top (RFC 6409 §8.2, §8.3) |
| Bcc, Resent-Bcc, Return-Path | removed (RFC 5322 §3.6.3, RFC 5321 §4.4) |
| a header beyond ASCII that is not UTF-8 | refused (RFC 6532 §3.2) |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from comms.header import LONGEST_LINE, NAME

CRLF = b"\r\n"
REMOVED = ("bcc", "resent-bcc", "return-path")


@dataclass(frozen=True)
class Ready:
    """A message as it is sent, and what was repaired. `utf8`: its header is beyond ASCII."""

    raw: bytes
    repairs: tuple[str, ...]
    utf8: bool


def made_ready(raw: bytes, added: Sequence[str], resent: Sequence[str] = ()) -> Ready:
    """Returns a message that can be sent. Raises ValueError with the line and what to do.

    `added` are header lines for fields that must not be missing, `resent` is a block of Resent
    fields, which goes before everything else (RFC 5322 §3.6.6).
    """
    repairs: list[str] = []
    lines = _lines(raw, repairs)
    end = lines.index(b"") if b"" in lines else len(lines)
    fields, body = _fields(lines[:end]), lines[end:] or [b""]
    names = [_name(field) for field in fields]
    if names.count("from") != 1:
        raise ValueError(f"header: {names.count('from')} From fields; write exactly one")
    kept = [field for field, name in zip(fields, names, strict=True) if name not in REMOVED]
    repairs += [f"removed {name}" for name in dict.fromkeys(names) if name in REMOVED]
    missing = [line for line in added if _name([line.encode()]) not in names]
    repairs += [f"added {line.partition(':')[0]}" for line in missing]
    head = [line.encode() for line in (*resent, *missing)]
    head += [line for field in kept for line in field]
    try:
        utf8 = not CRLF.join(head).decode("utf-8").isascii()
    except UnicodeDecodeError:
        raise ValueError("header: neither ASCII nor UTF-8; encode it as in RFC 2047") from None
    return Ready(b"".join(line + CRLF for line in (*head, *body)), tuple(repairs), utf8)


def _lines(raw: bytes, repairs: list[str]) -> list[bytes]:
    """Returns the lines, without their ends. Raises ValueError."""
    if b"\r" not in raw and raw:
        repairs.append("line ends are CRLF")
        raw = raw.replace(b"\n", CRLF)
    if not raw.endswith(CRLF):
        repairs.append("the last line has an end")
        raw += CRLF
    lines = raw[:-2].split(CRLF)
    for number, line in enumerate(lines, 1):
        if b"\r" in line or b"\n" in line:
            raise ValueError(
                f"line {number}: a bare CR or LF; end every line in CRLF, or all in LF"
            )
        if b"\0" in line:
            raise ValueError(f"line {number}: a NUL character; send it as a base64 attachment")
        if len(line) > LONGEST_LINE:
            raise ValueError(
                f"line {number}: {len(line)} bytes, and {LONGEST_LINE} are allowed; "
                "encode the text as quoted-printable"
            )
    return lines


def _fields(lines: Sequence[bytes]) -> list[list[bytes]]:
    """Returns the lines of each header field. Raises ValueError for a line of none."""
    fields: list[list[bytes]] = []
    for number, line in enumerate(lines, 1):
        if fields and re.match(rb"[ \t]+\S", line):
            fields[-1].append(line)
        elif NAME.fullmatch(_name([line])) and b":" in line:
            fields.append([line])
        else:
            raise ValueError(
                f"line {number}: {line[:40].decode('ascii', 'replace')!r} is not a header field; "
                "remove it, or put an empty line before the text"
            )
    return fields


def _name(field: Sequence[bytes]) -> str:
    """The name of a field, in lower case. Spaces before the colon are obsolete, and allowed."""
    return field[0].partition(b":")[0].rstrip(b" \t").decode("ascii", "replace").lower()
