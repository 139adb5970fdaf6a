"""A message and its envelope, as plain values. The servers store them and a test reads them.

mail = world.mail.wait_for()
mail.subject, mail.text, mail.html     # decoded
mail.to, mail.cc, mail.headers
mail.links(), mail.codes()             # what a sign-up mail carries
mail.attachment("*.pdf"), mail.attachments
mail.envelope.sender, mail.envelope.to
mail.as_dict(), mail.raw               # to compare with what it was last time
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.message import EmailMessage, Message
from functools import cache, lru_cache, partial
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from fakes import globs
from fakes.empty import EMPTY
from fakes.mail_header import Headers, decode_bytes, decode_words

# What reads the content of a mail is imported when the content is first read: most worlds never
# do that, and the parser of the email package, the patterns of codes and the characters of HTML
# take longer to import than everything else here.
if TYPE_CHECKING:
    from email.policy import EmailPolicy

    from fakes.html_text import Page

T = TypeVar("T")

PARAMETERS = 2048  # characters of each of these fields that are read
_NAMING = ("content-disposition", "content-type")
_OF_A_PART = (*_NAMING, "content-transfer-encoding")
NO_PARAMETERS: Mapping[str, str | None] = EMPTY  # of a MAIL or RCPT command
_RAW_NAME = re.compile(r'name[ \t]*=[ \t]*"?([^";\r\n]+)', re.I)
_UNQUOTED_NAME = re.compile(r"name[ \t]*=[ \t]*[^\";\s]", re.I)
# RFC 2231 §4; it takes precedence over a name that every program can read.
_ENCODED_NAME = re.compile(r"name\*=[ \t]*\"?([\w-]*)'[^']*'([^\";\s]+)", re.I)


# Envelopes and recipients are not frozen: it would take three times as long to make them, which is
# 3 % of what our side of a mail costs.


@dataclass(slots=True)
class Recipient:
    """A forward-path as the client wrote it, with its RCPT parameters."""

    address: str
    params: Mapping[str, str | None] = field(default_factory=lambda: NO_PARAMETERS)


@dataclass(slots=True)
class Envelope:
    """What the SMTP client sent about a message.

    Only the envelope names all recipients (RFC 5321 §2.3.1). The header of the message may name
    others, and leaves out the recipients of blind copies. `login` is the address of the account
    that has logged in, "" if none has. Where any login is right (`mail.accept_any`), a name without
    a domain gets that of the world: `shop` is `shop@example.test`.
    """

    sender: str
    recipients: tuple[Recipient, ...]
    # Of the MAIL command.
    params: Mapping[str, str | None] = field(default_factory=lambda: NO_PARAMETERS)
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
        """Whether the message was sent inside TLS."""
        return self.protocol.rstrip("A").endswith("S")


class Attachment(NamedTuple):
    """A file in a message. `name` is "" if it has none, `type` is such as `application/pdf`."""

    name: str
    type: str
    content: bytes

    def __repr__(self) -> str:
        return f"<Attachment {self.name or '(no name)'} {self.type} {len(self.content)} bytes>"


@cache
def _policy() -> EmailPolicy[Any]:
    """How the email package reads a mail: its default, but the fields of a part have a limit.

    The time that it takes for them is quadratic: 9 seconds for 16 kB of quotation marks. It reads
    them again whenever it asks for one, and that was most of the time in which a mail is read. It
    raises errors of many kinds for some: then the field counts as empty.
    """
    from email.policy import EmailPolicy

    parse = EmailPolicy().header_fetch_parse

    @lru_cache(256)
    def read(name: str, value: str) -> Any:
        try:
            return parse(name, value)
        except Exception:
            return parse(name, "")

    class Limited(EmailPolicy):
        def header_source_parse(self, sourcelines: list[str]) -> tuple[str, str]:
            name, value = super().header_source_parse(sourcelines)
            return name, value[:PARAMETERS] if name.lower() in _OF_A_PART else value

        def header_fetch_parse(self, name: str, value: str) -> Any:
            of_a_part = name.lower() in _OF_A_PART
            return (read if of_a_part else super().header_fetch_parse)(name, value)

    return Limited()


class _read_once(Generic[T]):
    """A property of a Mail that is computed when it is first asked for.

    functools.cached_property needs a dict in each instance, which most mails would have for
    nothing. Here the dict is made with its first entry.
    """

    def __init__(self, read: Callable[[Mail], T]) -> None:
        self.read = read
        self.__doc__ = read.__doc__

    def __get__(self, mail: Mail, kind: type[Mail]) -> T:
        if mail._known is None:
            mail._known = {}
        name = self.read.__name__
        if name not in mail._known:
            mail._known[name] = self.read(mail)
        found: T = mail._known[name]
        return found


class Mail:
    """A message and its envelope. `raw` holds the bytes as sent, without dot-stuffing."""

    __slots__ = ("_known", "at", "envelope", "queue_id", "raw")

    def __init__(self, raw: bytes, envelope: Envelope, at: float = 0.0, queue_id: str = "") -> None:
        self.raw = raw
        self.envelope = envelope
        self.at = at
        self.queue_id = queue_id
        self._known: dict[str, Any] | None = None  # what has been read so far (_read_once)

    def __repr__(self) -> str:
        sender, to = self.envelope.sender or "<>", ", ".join(self.envelope.to)
        return f"<Mail {sender} → {to}: {self.subject!r}>"

    def __reduce__(self) -> tuple[Any, ...]:  # what has been read so far cannot be pickled
        return Mail, (self.raw, self.envelope, self.at, self.queue_id)

    if not TYPE_CHECKING:  # else a misspelt attribute would be one for type checkers, too

        def __getattr__(self, name: str) -> Any:
            if name in Envelope.__slots__:
                there = "to" if name == "recipients" else name
                raise AttributeError(f"a Mail has no {name!r}; write mail.envelope.{there}")
            return object.__getattribute__(self, name)

    @_read_once
    def message(self) -> EmailMessage:
        """The parsed message."""
        from email import message_from_bytes
        from email.parser import BytesHeaderParser

        policy = _policy()
        try:
            parsed = message_from_bytes(self.raw, policy=policy)
        except Exception:  # the parser raises errors of many kinds for some mails
            parsed = BytesHeaderParser(policy=policy).parsebytes(self.raw)
        assert isinstance(parsed, EmailMessage)
        return parsed

    # ── the header ───────────────────────────────────────────────────────────

    @_read_once
    def headers(self) -> Headers:
        """The decoded fields of the header, by name in any case: `headers["Reply-To"]`."""
        return Headers(self.raw)

    @property
    def subject(self) -> str:
        """The decoded subject, "" if there is none."""
        return self.headers.get("subject", "")

    @property
    def sender(self) -> str:
        """The decoded From header. The sender of the envelope is `envelope.sender`."""
        return self.headers.get("from", "")

    @property
    def to(self) -> list[str]:
        """The addresses in the To header. Those that the mail was sent to are `envelope.to`."""
        return self.headers.addresses("to")

    @property
    def cc(self) -> list[str]:
        """The addresses in the Cc header."""
        return self.headers.addresses("cc")

    # ── the content ──────────────────────────────────────────────────────────

    @property
    def text(self) -> str:
        """The plain text, else the text that a reader of the HTML sees, else "".

        Lines end in \\n. Cells of a table are separated by tabs.
        """
        texts = self._bodies.get("plain") or [page.text for page in self._pages]
        return "\n".join(texts or self._bodies.get("other", []))

    @property
    def html(self) -> str:
        """The source of the HTML part, "" if there is none."""
        return "\n".join(self._bodies.get("html", []))

    def links(self) -> list[str]:
        """Every http and https address that a reader can follow or copy, in order, each once.

        That is what is written out in the text, and what words of the HTML lead to. Images such
        as tracking pixels, style sheets and attachments are not followed, so they do not count.
        """
        from fakes.confirmations import find_urls, is_url

        found = [url for text in self._bodies.get("plain", []) for url in find_urls(text)]
        for page in self._pages:
            for is_href, text in page.links:
                if not is_href:
                    found += find_urls(text)
                elif is_url(text):
                    found.append(text)
        return list(dict.fromkeys(found))

    def codes(self) -> list[str]:
        """Every code that a reader is to type, such as a confirmation code, in order, each once.

        It is looked for in the subject, the text and the HTML. Digits are returned without what
        separates them: `482 913` as 482913. fakes/confirmations.py says what is taken for a code.
        """
        from fakes.confirmations import find_codes

        plain = self._bodies.get("plain", [])
        return find_codes([self.subject, *plain, *(page.text for page in self._pages)])

    # ── attachments ──────────────────────────────────────────────────────────

    @_read_once
    def attachments(self) -> list[Attachment]:
        """The files in the message, in order: the parts with a file name, and attached messages."""
        return [
            Attachment(_name(part), part.get_content_type(), _content(part))
            for part in self._leaves()
            if _is_attached(part)
        ]

    def attachment(self, pattern: str = "*") -> bytes:
        """The content of the one attachment whose name is, or matches, the glob pattern.

        Raises AssertionError if none or several match, and names all attachments.
        """
        __tracebackhide__ = True
        found = [one for one in self.attachments if one.name == pattern]
        found = found or [one for one in self.attachments if globs.fits(one.name, pattern)]
        if len(found) != 1:
            names = ", ".join(one.name or "(no name)" for one in self.attachments)
            hint = "; mail.attachments has each of them" if len(found) > 1 else ""
            raise AssertionError(
                f"expected one attachment like {pattern!r}, but {len(found)} match; "
                f"the attachments are: {names or '(none)'}{hint}"
            )
        return found[0].content

    # ── the whole ────────────────────────────────────────────────────────────

    def as_dict(self) -> dict[str, Any]:
        """The mail as values of JSON, without what differs from one run to the next.

        That is all that a reader sees, and the envelope: no dates, ids or boundaries. Two mails
        that were written in the same way are equal.
        """
        return {
            "envelope": {
                "sender": self.envelope.sender,
                "to": self.envelope.to,
                "login": self.envelope.login,
            },
            "subject": self.subject,
            "sender": self.sender,
            "to": self.to,
            "cc": self.cc,
            "text": self.text,
            "html": self.html,
            "links": self.links(),
            "codes": self.codes(),
            "attachments": [
                {"name": one.name, "type": one.type, "size": len(one.content)}
                for one in self.attachments
            ],
        }

    # ── parts ────────────────────────────────────────────────────────────────

    def _leaves(self) -> Iterator[Message[Any, Any]]:
        """Yields the parts that have no parts, in order. An attached message is one part."""
        parts: list[Message[Any, Any]] = [self.message]
        while (
            parts
        ):  # not `walk`, which is recursive: parts may be nested as deep as a sender likes
            part = parts.pop()
            if part.get_content_maintype() != "message" and part.is_multipart():
                parts += reversed(_parts(part))
            else:
                yield part

    @_read_once
    def _bodies(self) -> dict[str, list[str]]:
        """The texts that are no attachments and not empty, by kind: plain, html, other."""
        bodies: dict[str, list[str]] = {}
        for part in self._leaves():
            if part.get_content_maintype() != "text" or _is_attached(part):
                continue
            charset = _safely(part.get_content_charset) or ""
            text = decode_bytes(_content(part), str(charset)).removeprefix("\ufeff")
            subtype = part.get_content_subtype()
            if text.strip():
                kind = subtype if subtype in ("plain", "html") else "other"
                bodies.setdefault(kind, []).append(text.replace("\r\n", "\n"))
        return bodies

    @_read_once
    def _pages(self) -> list[Page]:
        from fakes.html_text import read_html

        return [read_html(source) for source in self._bodies.get("html", [])]


def _parts(part: Message[Any, Any]) -> list[Message[Any, Any]]:
    """The parts of a multipart. Of other parts, get_payload raises errors for some charsets."""
    payload = part.get_payload()
    return [one for one in payload if isinstance(one, Message)] if isinstance(payload, list) else []


def _safely(read: Callable[[], T]) -> T | None:
    """Returns what `read` returns, None if the email package cannot read this field."""
    try:
        return read()
    except Exception:
        return None


def _name(part: Message[Any, Any]) -> str:
    """The file name of a part, "" if it has none."""
    from urllib.parse import unquote_to_bytes

    name = _safely(part.get_filename) or ""
    for key, value in part.raw_items():
        if key.lower() not in _NAMING:
            continue
        if encoded := _ENCODED_NAME.search(str(value)):
            sent = encoded[2].encode("utf-8", "surrogateescape")
            return decode_bytes(unquote_to_bytes(sent), encoded[1])
        # The email package loses raw bytes, and cuts a name without quotes at its first space.
        raw = _RAW_NAME.search(str(value))
        if raw and ("\ufffd" in name or _UNQUOTED_NAME.search(str(value))):
            name = raw[1].strip()
            break
    return decode_words(decode_bytes(name.encode("utf-8", "surrogateescape")))


def _is_attached(part: Message[Any, Any]) -> bool:
    attached = part.get_content_maintype() == "message" and part.is_multipart()
    return attached or bool(_name(part)) or _safely(part.get_content_disposition) == "attachment"


def _content(part: Message[Any, Any]) -> bytes:
    if part.is_multipart():  # an attached message
        as_sent = partial(in_bytes, refold_source="none")
        return b"".join(_safely(partial(as_sent, one)) or b"" for one in _parts(part))
    decoded = _safely(lambda: part.get_payload(decode=True))
    return decoded if isinstance(decoded, bytes) else b""


def in_bytes(message: Message[Any, Any], **policy: Any) -> bytes:
    """Returns a message as it is sent; the keywords are those of the email package's policies."""
    import email.policy

    return message.as_bytes(policy=email.policy.SMTP.clone(**policy))


def message_bytes(message: bytes | Message[Any, Any]) -> bytes:
    """Returns a message of a test in bytes. Raises TypeError if it is neither form."""
    if isinstance(message, bytes):
        return message
    if not isinstance(message, Message):
        raise TypeError(
            f"a message is bytes or an EmailMessage, not {type(message).__name__}; "
            'write b"Subject: hi\\r\\n\\r\\nHello!\\r\\n", or text.encode()'
        )
    return in_bytes(message)
