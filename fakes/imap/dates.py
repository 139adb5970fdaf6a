"""The Date field of a mail (RFC 5322 §3.3, and the obsolete forms of §4.3)."""

from __future__ import annotations

import re
from datetime import date
from typing import NamedTuple

from fakes.imap.grammar import DAY, EPOCH, MONTHS

_DATE = re.compile(
    rb"\s*(?:[A-Za-z]{2,9}\.?,?\s*)?([0-9]{1,2})[\s-]+([A-Za-z]{3})[A-Za-z]*[\s,-]+([0-9]{2,4})\b"
    rb"(?:\s+([0-9]{1,2})\s*:\s*([0-9]{1,2})(?:\s*:\s*([0-9]{1,2}))?"
    rb"\s*(?:([+-])([0-9]{2})([0-9]{2})|([A-Za-z]{1,5}))?)?"
)
_COMMENT = re.compile(rb"\([^()]*\)")
_ZONES = {"EST": -5, "EDT": -4, "CST": -6, "CDT": -5, "MST": -7, "MDT": -6, "PST": -8, "PDT": -7}


class Sent(NamedTuple):
    """When a mail was sent: the day where its sender was, and the seconds since 1970, UTC."""

    day: int  # its ordinal, as of `datetime.date.toordinal`
    at: float


def read_date(value: bytes) -> Sent | None:
    """Reads the value of a Date field; None if it is not a date."""
    match = _DATE.match(_COMMENT.sub(b" ", value[:200]))
    if match is None:
        return None
    day, month, year, hour, minute, second, sign, hours, minutes, zone = (
        (found or b"").decode() for found in match.groups()
    )
    full_year = int(year)
    if len(year) == 2:  # RFC 5322 §4.3
        full_year += 2000 if full_year < 50 else 1900
    elif len(year) == 3:
        full_year += 1900
    try:
        ordinal = date(full_year, MONTHS.index(month.title()) + 1, int(day)).toordinal()
    except ValueError:
        return None
    # RFC 5256 §2.2: an invalid time is 00:00:00, and an invalid zone is UTC.
    if int(hour or 0) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:
        hour = minute = second = ""
    if int(hours or 0) > 23 or int(minutes or 0) > 59:
        hours = minutes = ""
    seconds = int(hour or 0) * 3600 + int(minute or 0) * 60 + int(second or 0)
    offset = int(hours or 0) * 3600 + int(minutes or 0) * 60
    offset = -offset if sign == "-" else offset
    offset += _ZONES.get(zone.upper(), 0) * 3600
    return Sent(ordinal, float((ordinal - EPOCH) * DAY + seconds - offset))
