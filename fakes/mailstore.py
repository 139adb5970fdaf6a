"""One store of mail under SMTP, POP3 and IMAP: what was accepted, and the maildrops it was put in.

world.mail.wait_for(lambda mail: mail.subject == "hello")     # exactly one, or a failure that says what came
world.mail.inbox("alice@example.test")                        # the maildrop, as mails
world.mail.deliver("alice@example.test", b"Subject: hi\\r\\n\\r\\n")
"""

from __future__ import annotations

import email
import email.policy
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from fnmatch import fnmatchcase
from functools import cached_property
from html import unescape
from itertools import count

from fakes.arrivals import Arrivals
from fakes.bridge import Bridge
from fakes.dsn import Fate, report, wanted
from fakes.greylist import Greylist
from fakes.people import People, Person


@dataclass(frozen=True)
class Recipient:
    """A forward-path as the client gave it, with its RCPT parameters."""

    address: str
    params: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Envelope:
    """What SMTP said about a message; who it is for stands only here (RFC 5321 §2.3.1)."""

    sender: str
    recipients: tuple[Recipient, ...]
    params: Mapping[str, str | None] = field(default_factory=dict)
    helo: str = ""
    peer: str = "127.0.0.1"
    protocol: str = "ESMTP"  # the WITH of the Received line: ESMTPS, ESMTPA, ESMTPSA …
    login: str = ""

    @property
    def to(self) -> list[str]:
        """The recipients' addresses."""
        return [recipient.address for recipient in self.recipients]

    @property
    def tls(self) -> bool:
        """Whether the message came inside TLS."""
        return self.protocol.rstrip("A").endswith("S")


class Mail:
    """A message, its octets as sent (dots unstuffed), and its envelope."""

    def __init__(self, raw: bytes, envelope: Envelope, at: float = 0.0, queue_id: str = "") -> None:
        self.raw = raw
        self.envelope = envelope
        self.at = at
        self.queue_id = queue_id

    def __repr__(self) -> str:
        return f"<Mail {self.envelope.sender or '<>'} → {', '.join(self.envelope.to)}: {self.subject!r}>"

    @cached_property
    def message(self) -> EmailMessage:
        """The parsed message."""
        parsed = email.message_from_bytes(self.raw, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed

    @property
    def subject(self) -> str:
        """The decoded subject, "" when there is none."""
        return self._header("subject")

    @property
    def sender(self) -> str:
        """The From header, decoded; the envelope's sender is `envelope.sender`."""
        return self._header("from")

    @property
    def text(self) -> str:
        """The plain text, else the HTML as it stands, else ""; lines end in \\n however they were sent."""
        part = self.message.get_body(("plain", "html"))
        if part is None:
            return ""
        try:
            content = part.get_content()
        except (LookupError, ValueError):  # a charset that does not exist
            return (part.get_payload(decode=True) or b"").decode("latin-1")  # type: ignore[union-attr]
        return content.replace("\r\n", "\n") if isinstance(content, str) else ""

    def links(self) -> list[str]:
        """Every http(s) address in the text and HTML parts, in order, each once."""
        return list(dict.fromkeys(unescape(link) for link in re.findall(r"https?://[^\s<>\"']+", self._all_text())))

    def codes(self) -> list[str]:
        """Every run of four to eight digits that stands alone: the codes that sign-up mails carry."""
        return re.findall(r"(?<![\w.])\d{4,8}(?![\w.]\w)", self.text)

    def attachment(self, pattern: str = "*") -> bytes:
        """The content of the one attachment whose name matches the glob. Raises AssertionError naming all."""
        parts = {part.get_filename() or "": part for part in self.message.walk() if part.get_filename()}
        found = [part for name, part in parts.items() if fnmatchcase(name, pattern)]
        if len(found) != 1:
            raise AssertionError(f"one attachment like {pattern!r} expected, {len(found)} found among {list(parts)}")
        payload = found[0].get_payload(decode=True)
        return payload if isinstance(payload, bytes) else b""

    def _header(self, name: str) -> str:
        try:
            return str(self.message[name] or "")
        except Exception:  # any octets may come by mail, and the parser raises on some
            match = re.search(rb"(?im)^" + name.encode() + rb":[ \t]*([^\r\n]*)", self.raw)
            return match[1].decode("latin-1") if match else ""

    def _all_text(self) -> str:
        texts = []
        for part in self.message.walk():
            if part.get_content_maintype() == "text":
                payload = part.get_payload(decode=True)
                texts.append(payload.decode("utf-8", "replace") if isinstance(payload, bytes) else "")
        return "\n".join(texts)


@dataclass
class Row:
    """A mail in a maildrop: `uid` is never used again there, `raw` has our trace lines on top."""

    uid: int
    raw: bytes
    at: float
    mail: Mail
    flags: set[str] = field(default_factory=set)

    @property
    def unique_id(self) -> str:
        """What POP3 calls it (RFC 1939 §7): the same in every session, never given again."""
        return f"{self.uid:08x}"

    @cached_property
    def stuffed(self) -> bytes:
        """As lines with a dot before each dot that begins one, the last line ended: what goes before CRLF . CRLF."""
        whole = self.raw if self.raw.endswith(b"\r\n") or not self.raw else self.raw + b"\r\n"
        return dot_stuffed(whole)

    @cached_property
    def international(self) -> bool:
        """Whether its header holds UTF-8 beyond ASCII (RFC 6532); octets that are not even that are sent as they are."""
        head = self.raw.partition(b"\r\n\r\n")[0]
        try:
            return not head.isascii() and bool(head.decode())
        except UnicodeDecodeError:
            return False

    @property
    def size(self) -> int:
        """Octets of what is sent, dots not stuffed (RFC 1939 §11)."""
        return len(self.raw) + (2 if self.raw and not self.raw.endswith(b"\r\n") else 0)


@dataclass
class Maildrop:
    """One mailbox's rows, oldest first."""

    address: str
    rows: list[Row] = field(default_factory=list)
    next_uid: int = 1
    holder: object = None  # the one session that has it to itself (RFC 1939 §4)
    logins: float = -math.inf  # when the last login was, in seconds since the epoch

    @property
    def size(self) -> int:
        """Octets in it."""
        return sum(len(row.raw) for row in self.rows)


class Mailstore(Arrivals[Mail]):
    """All mail of a world. Its state belongs to the world's loop; the methods of the test's side marshal themselves."""

    def __init__(
        self,
        people: People,
        *,
        domains: Iterable[str] = ("example.test",),
        catch_all: Iterable[str] = (),
        now: Callable[[], float] = lambda: 0.0,
        bridge: Bridge | None = None,
    ) -> None:
        self.people = people
        self.greylist = Greylist()
        self.domains = tuple(dict.fromkeys(domain.casefold() for domain in domains))
        self.catch_all = frozenset(domain.casefold() for domain in catch_all)
        self.host = f"mail.{self.domains[0]}"
        self.now = now
        super().__init__(bridge or Bridge(), "mail")
        self._drops: dict[str, Maildrop] = {}
        self._fates: dict[Mail, list[Fate]] = {}  # what is to be reported, once the 250 has been written
        self._numbers = count(1)
        self.duplicated = ""  # a fault: each mail for this maildrop is put into it twice,
        self.on_duplicate: Callable[[], None] | None = None  # and who did that hears of it
        self.on_reuse: Callable[[], None] | None = None  # a fault: an empty maildrop counts its unique ids from 1 again

    # ── what the servers use ─────────────────────────────────────────────────────────────────────────────────────

    def is_local(self, domain: str) -> bool:
        """Whether mail for this domain ends here."""
        return domain.casefold() in self.domains or domain.casefold() in self.catch_all

    def owners(self, address: str) -> list[Person] | None:
        """Whose maildrops an address reaches; None for an address of another domain; [] when nobody has it.

        A name without a domain is one of the first domain's.
        """
        address = address if "@" in address else f"{address}@{self.domains[0]}"
        domain = address.rpartition("@")[2]
        if not self.is_local(domain):
            return None
        found = self.people.reached_by(address)
        if not found and domain.casefold() in self.catch_all:
            found = [Person(address.casefold())]
        return found

    def drop(self, address: str) -> Maildrop:
        """The maildrop of an account, made when first needed."""
        key = address.casefold()
        if key not in self._drops:
            self._drops[key] = Maildrop(address)
        return self._drops[key]

    def full(self, address: str, octets: int) -> bool:
        """Whether a maildrop has no room for so much more."""
        person = self.people.find(address)
        return person is not None and person.quota is not None and self.drop(address).size + octets > person.quota

    def unreachable(self, mail: Mail) -> list[Fate]:
        """The recipients here that this message cannot be put before: nobody has the address, or the maildrop is full."""
        fates = []
        for recipient in mail.envelope.recipients:
            owners = self.owners(recipient.address)
            if owners == [] and recipient.address.casefold() != "postmaster":
                fates.append(Fate(recipient, "failed", "5.1.1", f"550 5.1.1 No such mailbox here: <{recipient.address}>"))
            elif owners and all(self.full(owner.address, len(mail.raw)) for owner in owners):
                fates.append(Fate(recipient, "failed", "5.2.2", "552 5.2.2 Mailbox full"))
        return fates

    def accept(self, mail: Mail) -> None:
        """Stores a message: into the maildrops of local recipients, and among the relayed ones for the others.

        What cannot be delivered is reported to the sender once the message is acknowledged.
        """
        fates = self.unreachable(mail)
        failed = {fate.recipient.address for fate in fates}
        reached: dict[str, str] = {}  # maildrop → the recipient it was reached by; each maildrop once
        for recipient in mail.envelope.recipients:
            owners = self.owners(recipient.address)
            if recipient.address in failed:
                continue
            for person in owners or ():
                if not self.full(person.address, len(mail.raw)):
                    reached.setdefault(person.address, recipient.address)
            fates.append(Fate(recipient, "relayed" if owners is None else "delivered", "2.1.5", "250 2.1.5 Recipient OK"))
        for address, known_as in reached.items():
            self._put(address, known_as, mail)
        self._fates[mail] = fates

    def acknowledged(self, mail: Mail) -> None:
        """Called when the 250 has been written: a test may see the message from now on.

        RFC 5321 §6.1: 250 means that the message is stored.
        """
        fates = self._fates.pop(mail, [])
        actions = ("failed", "relayed", "delivered")
        notices = [self._report(mail, [fate for fate in fates if fate.action == action]) for action in actions]
        self.add_arrival(mail, *(notice for notice in notices if notice is not None))

    def _report(self, mail: Mail, fates: list[Fate]) -> Mail | None:
        """Sends the notification that these fates call for: never to `<>` (RFC 5321 §6.1), only if it is wanted."""
        fates = wanted(fates)
        sender = mail.envelope.sender
        if not fates or not sender:
            return None
        number = f"{next(self._numbers)}.{mail.queue_id or 'direct'}"
        raw = report(mail.raw, sender, mail.envelope.params, fates, self.host, self.now(), number)
        params = {"SMTPUTF8": None} if "SMTPUTF8" in mail.envelope.params else {}
        notice = Mail(raw, Envelope("", (Recipient(sender),), params, self.host), self.now(), number)
        self.accept(notice)
        self._fates.pop(notice)  # no report is ever sent about a report
        return notice

    def remove(self, address: str, rows: Iterable[Row]) -> None:
        """Takes rows out of a maildrop for good; those that are gone already are gone."""
        drop, uids = self.drop(address), {row.uid for row in rows}
        drop.rows = [row for row in drop.rows if row.uid not in uids]
        if self.on_reuse and uids and not drop.rows:
            drop.next_uid = 1
            self.on_reuse()

    def _put(self, address: str, recipient: str, mail: Mail) -> None:
        drop = self.drop(address)
        twice = self.on_duplicate is not None and address == self.duplicated
        for _ in range(2 if twice else 1):
            drop.rows.append(Row(drop.next_uid, self.traced(mail, recipient), mail.at, mail))
            drop.next_uid += 1
        if twice and self.on_duplicate:
            self.on_duplicate()

    def traced(self, mail: Mail, recipient: str) -> bytes:
        """The message with Return-Path on top (exactly one), Delivered-To and our Received (RFC 5321 §4.4)."""
        envelope = mail.envelope
        # never two paths after FOR: a Bcc recipient must not be told to the others (RFC 5321 §7.2)
        for_path = f"\r\n\tfor <{recipient}>" if len(envelope.recipients) == 1 else ""
        stamp = format_datetime(datetime.fromtimestamp(mail.at, UTC))
        trace = (
            f"Return-Path: <{envelope.sender}>\r\n"
            f"Delivered-To: {recipient}\r\n"
            f"Received: from {envelope.helo or 'unknown'} ([{envelope.peer}])\r\n"
            f"\tby {self.host} with {envelope.protocol} id {mail.queue_id or next(self._numbers)}{for_path};\r\n"
            f"\t{stamp}\r\n"
        )
        return trace.encode() + _without_return_path(mail.raw)

    # ── the test's side ──────────────────────────────────────────────────────────────────────────────────────────

    @property
    def messages(self) -> list[Mail]:
        """Every message accepted so far, in order."""
        return self.all

    @property
    def relayed(self) -> list[Mail]:
        """Messages accepted for at least one recipient of another domain."""
        return [mail for mail in self.messages if any(self.owners(address) is None for address in mail.envelope.to)]

    def inbox(self, address: str) -> list[Mail]:
        """The mails that lie in a maildrop now, oldest first, raw with our trace lines. An alias names its owner's."""

        def read() -> list[Mail]:
            owners = self.owners(address) or []
            drop = self.drop(owners[0].address if len(owners) == 1 else address)
            return [Mail(row.raw, row.mail.envelope, row.at, row.mail.queue_id) for row in drop.rows]

        return self._bridge.call(read)

    def deliver(self, to: str, message: bytes | EmailMessage, sender: str | None = None) -> Mail:
        """Puts a message into maildrops without SMTP. Raises LookupError when nobody here has the address.

        `sender` is the envelope's, by default the address in From; "" is that of a bounce.
        """
        raw = message if isinstance(message, bytes) else message.as_bytes(policy=email.policy.SMTP)

        def put() -> Mail:
            if not self.owners(to):
                raise LookupError(f"nobody has the address {to}; this world has {[p.address for p in self.people]}")
            mail = Mail(raw, Envelope(sender or "", (Recipient(to),), helo="localhost", protocol="LMTP"), self.now())
            if sender is None:
                found = _ADDRESS.findall(mail.sender)
                mail.envelope = replace(mail.envelope, sender=found[-1] if found else "")
            self.accept(mail)
            self.acknowledged(mail)
            return mail

        return self._bridge.call(put)

    def bounce(
        self, mail: Mail, *addresses: str, action: str = "failed", status: str = "5.0.0", text: str = ""
    ) -> Mail | None:
        """Has the world report a message to its sender, for all its recipients or these: failed, delayed, delivered …

        None when the sender is `<>`, or does not want to hear of it (NOTIFY). Raises LookupError for no recipient of it.
        """
        recipients = {one.address: one for one in mail.envelope.recipients}
        missing = [address for address in addresses if address not in recipients]
        if missing:
            raise LookupError(f"{missing[0]} is no recipient of {mail!r}")
        fates = [Fate(recipients[address], action, status, text) for address in addresses or recipients]

        def report() -> Mail | None:
            notice = self._report(mail, fates)
            if notice is not None:
                self.add_arrival(notice)
            return notice

        return self._bridge.call(report)

    def purge(self) -> None:
        """Forgets all mail; UIDs go on counting."""

        def forget() -> None:
            self._arrivals.clear()
            for drop in self._drops.values():
                drop.rows.clear()

        self._bridge.call(forget)


def dot_stuffed(lines: bytes) -> bytes:
    """Each line that begins with a dot gets another one (RFC 5321 §4.5.2, RFC 1939 §3)."""
    if b"." not in lines:
        return lines
    stuffed = lines.replace(b"\r\n.", b"\r\n..")
    return b"." + stuffed if stuffed.startswith(b".") else stuffed


_ADDRESS = re.compile(r"[^\s<>()\[\]\",:;@]+@[^\s<>()\",:;@]+")
_RETURN_PATH = re.compile(rb"Return-Path:[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*\r?\n", re.I)


def _without_return_path(raw: bytes) -> bytes:
    """RFC 5321 §4.4: exactly one Return-Path, and it is that of the final delivery."""
    head, blank, body = raw.partition(b"\r\n\r\n")
    if b"eturn-" not in head and b"ETURN-" not in head:
        return raw
    lines = re.split(rb"(?<=\n)(?![ \t])", head + blank)
    return b"".join(line for line in lines if not _RETURN_PATH.match(line)) + body
