"""Mails of ours that come back: for whom they were, and what that says about the address.

    paths = ReturnPaths("mysql+*@yourco.test", key)
    sender = paths.address(17)          # mysql+b17-…@yourco.test, the envelope's sender of mail 17
    back = returned(mail, paths)        # Returned(17, "hard", "550 5.1.1 no such mailbox"), or None

Each mail has a return path for itself (VERP, variable envelope return paths), so that even a report
which nobody can parse says what it is about. The path has a token that only we can compute. Without
it, or with a wrong one, a report is not believed. `report` reads any delivery report (RFC 3464).
"""

from __future__ import annotations

import hashlib
import hmac
import re
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from comms import addresses, header, replies, words
from comms.clock import Clock
from comms.comments import without_comments
from comms.header import MESSAGE_ID
from comms.host import Host
from comms.read import Mail
from comms.state import State

Kind = Literal["hard", "soft", "delayed", "delivered"]
TOKEN = 20  # characters of 4 bits: too many to guess, and short enough for an address
REASON = 200  # characters of a diagnostic that are shown
QUIET = 5 * 86400.0  # seconds in which a later mail must not come back; see Reachability
# RFC 3463 §3.2 and §3.3: no such mailbox, domain or address, or it has moved; it is disabled.
_HARD = re.compile(r"5\.1\.(?:[1236]|10)|5\.2\.1")
# Not a part of an IP address, such as that of the server that says it.
_STATUS = re.compile(r"(?<![0-9.])[245]\.[0-9]{1,3}\.[0-9]{1,3}(?!\.?[0-9])")
_TYPE = re.compile(r"\A[A-Za-z0-9-]+ ?; ?")  # of a diagnostic: "smtp; "
_VAGUE = re.compile(r"(?:[245]\.0\.0)?")  # servers that know more put it into their text
_WORST: tuple[Kind, ...] = ("hard", "soft", "delayed", "delivered")


# ── return paths ─────────────────────────────────────────────────────────────


class ReturnPaths:
    """The envelope senders of one program: its pattern with a number and a token for the star.

    The first key signs, and those after it are still accepted.
    """

    def __init__(self, pattern: str, *keys: str) -> None:
        local, at, domain = pattern.rpartition("@")  # which is in ASCII when a mail comes back
        pattern = f"{local}{at}{addresses.ascii_domain(domain)}"
        self._before, _, self._after = pattern.partition("*")
        self._keys = [key.encode() for key in keys]

    def address(self, number: int) -> str:
        """Returns the envelope sender of the mail with this number."""
        return f"{self._before}b{number}-{_token(self._keys[0], number)}{self._after}"

    def number(self, mail: Mail) -> int | None:
        """Returns the number of the mail that this one was returned for; None if it was for none.

        The token proves it, so that it does not matter who has written the field.
        """
        for address in (*replies.delivered_to(mail), *(to.address for to in mail.to)):
            key = address.strip().strip("<>").casefold()
            before, after = self._before.casefold(), self._after.casefold()
            if not (key.startswith(before) and key.endswith(after)):
                continue
            detail = key[len(before) : len(key) - len(after)]
            found = re.fullmatch(r"b([1-9][0-9]{0,11})-([0-9a-f]{1,40})", detail)
            number = int(found[1]) if found else 0
            tokens = [_token(key, number) for key in self._keys] if found else []
            if found and any(hmac.compare_digest(token, found[2]) for token in tokens):
                return number
        return None


def _token(key: bytes, number: int) -> str:
    text = f"return path\0{number}".encode()
    return hmac.new(key, text, hashlib.sha256).hexdigest()[:TOKEN]


@dataclass(frozen=True)
class Returned:
    """A mail of ours that a server has reported on, with a checked token.

    `hard`: there is no such mailbox. `soft`: it did not arrive, but another one may. `delayed`: it
    still may arrive. `delivered`: it did.
    """

    number: int
    kind: Kind
    reason: str


def returned(mail: Mail, paths: ReturnPaths) -> Returned | None:
    """Returns what came back; None if the token is missing or wrong, or if it is not a report.

    An absence notice goes to the return path, too (RFC 3834 §4), and is not a report.
    """
    number = paths.number(mail)
    found = verdict(mail) if number is not None else None
    return Returned(number, *found) if number is not None and found else None


def verdict(mail: Mail) -> tuple[Kind, str] | None:
    """Returns what a delivery report means, and why; None if it is not one."""
    found = report(mail)
    if found is None:
        if replies.return_path(mail) == "" and replies.is_mailer_daemon(mail):
            return "soft", words.one_line(mail.subject)[:REASON]
        return None
    kinds = {kind: one for one in reversed(found.recipients) if (kind := _kind(one))}
    for kind in _WORST:
        if kind in kinds:
            text = _TYPE.sub("", kinds[kind].diagnostic)
            return kind, words.one_line(text or kinds[kind].status)[:REASON]
    return None


def refused(text: str) -> Returned:
    """Returns the same for a mail of ours that our own server has refused, in these words."""
    found = _STATUS.search(text)
    kind: Kind = "hard" if found and _HARD.fullmatch(found[0]) else "soft"
    return Returned(0, kind, words.one_line(text)[:REASON])


def _kind(one: RecipientStatus) -> Kind | None:
    """Returns what happened to one recipient. What was passed on to other systems says nothing."""
    if one.action == "delayed":
        return "delayed"
    if one.action == "delivered":
        return "delivered"
    if one.action != "failed":
        return None
    status = one.status
    if _VAGUE.fullmatch(status) and (found := _STATUS.search(one.diagnostic)):
        status = found[0]
    return "hard" if _HARD.fullmatch(status) else "soft"


# ── who can be reached ───────────────────────────────────────────────────────


class Reachability:
    """Which people our mails do not reach, in a state file. Every method raises StateError.

    A person is unreachable from the first mail that has failed, because that one is lost, whether
    the reason was hard or soft. A delay changes nothing. It ends when a report says that a mail was
    delivered, or when a later mail has not come back for five days: servers try no longer than that
    (RFC 5321 §4.5.4.1).
    """

    def __init__(self, state: State, clock: Clock, host: Host) -> None:
        self._state, self._clock, self._host = state, clock, host

    def sent(self, db: sqlite3.Connection, who: str) -> None:
        """Notes that a mail to a person is on its way, in the caller's transaction."""
        since, sent = self._known(who)
        if since and not sent:
            self._store(db, who, since, self._clock.time())
        elif since and self._has_ended(sent):
            self._reached(db, who)

    def note(self, db: sqlite3.Connection, who: str, back: Returned) -> bool:
        """Notes what came back, in the caller's transaction.

        Returns whether the person has become unreachable just now, which its owner must be told.
        """
        since, sent = self._known(who)
        facts = {"who": who, "kind": back.kind, "reason": back.reason}
        if back.kind == "delayed":
            self._host.log("mail-delayed", **facts)
            return False
        if back.kind == "delivered":
            if since:
                self._reached(db, who)
            return False
        news = not since or self._has_ended(sent)
        self._store(db, who, self._clock.time() if news else since, 0.0)
        self._host.log("unreachable" if news else "mail-returned", "warning", **facts)
        return news

    def since(self, who: str) -> float | None:
        """Returns since when a person is unreachable; None if it can be reached."""
        since, sent = self._known(who)
        return since if since and not self._has_ended(sent) else None

    def failed(self, who: str) -> bool:
        """Returns whether the last mail to a person did not arrive, as far as is known."""
        since, sent = self._known(who)
        return bool(since) and not sent

    def _has_ended(self, sent: float) -> bool:
        return bool(sent) and self._clock.time() - sent > QUIET

    def _reached(self, db: sqlite3.Connection, who: str) -> None:
        self._state.remember(db, f"returned {who}", None)
        self._host.log("reachable", who=who)

    def _known(self, who: str) -> tuple[float, float]:
        """When the person became unreachable, and when it was sent a mail after that; 0 for not."""
        like = {"since": 0.0, "sent": 0.0}
        known = self._state.recall(f"returned {who}", like) or {}
        return float(known.get("since", 0.0)), float(known.get("sent", 0.0))

    def _store(self, db: sqlite3.Connection, who: str, since: float, sent: float) -> None:
        self._state.remember(db, f"returned {who}", {"since": since, "sent": sent})


# ── delivery reports ─────────────────────────────────────────────────────────


@dataclass(frozen=True)
class RecipientStatus:
    """What a delivery report says about one recipient (RFC 3464 §2.3).

    The action decides what happened, even if the status contradicts it.
    """

    address: str
    action: str  # failed, delayed, delivered, relayed, expanded
    status: str = ""  # as in RFC 3463: 5.1.1
    diagnostic: str = ""


@dataclass(frozen=True)
class Report:
    """A delivery report. `message_id` is that of the mail it is about, "" if it does not say."""

    recipients: tuple[RecipientStatus, ...]
    message_id: str = ""

    @property
    def failed(self) -> tuple[str, ...]:
        """The addresses that the mail will not reach. A delay is not a failure."""
        return tuple(item.address for item in self.recipients if item.action == "failed")


def report(mail: Mail) -> Report | None:
    """Returns what a delivery report says; None if this is not one.

    Anybody can write such a report. A program should check that it has sent the mail with that
    Message-ID.
    """
    recipients: list[RecipientStatus] = []
    original = ""
    for attachment in mail.attachments:
        if attachment.type in ("message/delivery-status", "message/global-delivery-status"):
            recipients += _recipients(attachment.content)
        elif attachment.type in (
            "message/rfc822",
            "text/rfc822-headers",
            "message/global",
            "message/global-headers",
        ):
            original = original or _message_id(attachment.content)
    return Report(tuple(recipients), original) if recipients else _older_report(mail)


_ONCE = ("final-recipient", "original-recipient", "action")  # in a group
_FIELD = re.compile(rb"(?:\xef\xbb\xbf)?[!-9;-~]+[ \t]*:")
_ACTIONS = {"2": "delivered", "4": "delayed", "5": "failed"}  # by the class of the status


def _recipients(content: bytes) -> list[RecipientStatus]:
    """Parses the fields of a delivery status (RFC 3464 §2.1).

    There should be a group for each recipient, and an empty line between two of them. If there is
    none, a field of which the group has one already begins another group.
    """
    groups: list[dict[str, str]] = []
    for fields in _fields_in_a_row(content):
        group: dict[str, str] = {}
        for field, raw in fields:
            name = field.casefold()
            if name in _ONCE and name in group:
                groups.append(group)
                group = {}
            value = header.text_of(field, raw)
            if name != "diagnostic-code":  # what a server has said has parentheses of its own
                value = without_comments(value)  # RFC 3464 §2.1.1
            group.setdefault(name, value)
        groups.append(group)
    found: list[RecipientStatus] = []
    without_action: list[str] = []
    for group in groups:
        listed = _addresses_of(group)
        status = "".join(group.get("status", "").split()[:1])
        action = "".join(group.get("action", "").split()[:1]).casefold()
        action = action or (_ACTIONS.get(status[:1], "") if listed else "")
        if not action:
            # Some programs name all the recipients, and then what happened to them.
            without_action += listed
            continue
        for address in dict.fromkeys(
            [*without_action, *(listed or ([] if without_action else [""]))]
        ):
            found.append(
                RecipientStatus(
                    address, action, status, " ".join(group.get("diagnostic-code", "").split())
                )
            )
        without_action = []
    # Or they come after it.
    found += [replace(found[-1], address=address) for address in without_action if found]
    return found


def _fields_in_a_row(content: bytes) -> Iterator[list[tuple[str, bytes]]]:
    """Yields the fields of each group. A line that is not a field ends it, and is left out."""
    lines: list[bytes] = []
    for line in (*content.split(b"\n"), b""):
        if _FIELD.match(line) or (lines and line[:1] in (b" ", b"\t")):
            lines.append(line)
        elif lines:
            yield header.split(b"\n".join(lines))[0]
            lines = []


def _addresses_of(group: Mapping[str, str]) -> list[str]:
    value = group.get("final-recipient") or group.get("original-recipient") or ""
    address = value.partition(";")[2] or value
    return [item.strip().strip("<>").strip() for item in address.split(",") if item.strip()]


_QUOTED_ID = re.compile(
    rb"^[> ]{0,4}message-id:[ \t]*(?:\r?\n[ \t]{1,9})?(<[^\r\n<> ]{1,900}>)", re.I | re.M
)


def _message_id(content: bytes) -> str:
    """Returns the first Message-ID that a text quotes."""
    for match in _QUOTED_ID.finditer(content):
        if found := MESSAGE_ID.fullmatch(match[1].decode("ascii", "replace")):
            return found[0]
    return ""


def _older_report(mail: Mail) -> Report | None:
    """Parses reports that are older than RFC 3464.

    Exim names the recipients in a header, qmail in its text. Both quote the mail.
    """
    listed = (value.replace(",", " ").split() for value in mail.get_all("x-failed-recipients"))
    failed = [address.strip("<>") for values in listed for address in values]
    if not failed and replies.return_path(mail) == "" and mail.text.lstrip().startswith("Hi. "):
        said = mail.text.partition("\n--- Below this line")[0]  # the mail may look the same
        failed = re.findall(r"^<([^<>@\s]{1,250}@[^<>@\s]{1,250})>:[ \t]{0,9}$", said, re.M)
    if not failed:
        return None
    valid = [address for address in failed if addresses.is_address(address)]
    statuses = tuple(RecipientStatus(address, "failed") for address in valid)
    return Report(statuses, _message_id(mail.raw[header.split(mail.raw)[1] :]))
