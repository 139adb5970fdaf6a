r"""How transcripts write XMPP: one piece of a stream per line, compared by meaning.

    romeo C: <message to='juliet@example.test'><body>Art thou not Romeo?</body></message>
    juliet S: <message to='juliet@example.test' from='romeo@example.test/orchard'>…</message>

The order of attributes and the prefixes do not matter. `*` stands for a value, or a part of one,
that depends on the clock or on ids; `\*` is an asterisk.

`C: (logs in juliet/balcony)` sends everything that leads to a bound resource, in one write, and
`S: (logged in)` is everything that answers it. `juliet@example.test/balcony` names the domain too.

The labels of secrets are `{plain juliet}`, `{scram-sha-1 juliet}`, `{scram-sha-256 juliet}` and
`{digest-md5 juliet}`; the last three stand for each response of the exchange. A label that ends in
` wrong` stands for the response of a client that does not know the password. `{ht-sha-256-none
juliet}` is a login with the token that the server gave last (XEP-0484).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from fakes.transcripts.codec import LINES, escaped
from fakes.transcripts.secrets import NONCE, scram_name, scram_proof
from fakes.transcripts.text import Step, split
from fakes.wire import Record
from fakes.xmpp.jabber import Jabber
from fakes.xmpp.markup import BIND, CLIENT, SASL, STREAMS
from fakes.xmpp.pieces import Piece
from fakes.xmpp.splitter import Splitter

if TYPE_CHECKING:
    from fakes.xmpp.extensions.fast import Fast

HEADER = f"<stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}' version='1.0'>"
_LOGIN = re.compile(r"\(logs in ([^/@)]+)(?:@([^/)]+))?/([^)]+)\)")
_CHALLENGE = re.compile(rb"<challenge[^>]*>([^<]*)<")
Secret = Callable[[str], bytes]


class Stanzas:
    """The codec of XMPP, one per connection, because a login goes on from response to response."""

    def __init__(self) -> None:
        self._challenge = b""  # the last one received

    def to_bytes(self, step: Step, secret: Secret) -> bytes:
        """The bytes that a `C` line sends, with the secrets filled in."""
        login = _LOGIN.fullmatch(step.text)
        if login:
            return _login(login[1], login[2], login[3], secret)
        first = "<auth" in step.text
        # XMPP has no lines: no CRLF is added.
        plain = Step(step.number, step.kind, step.text, step.who, whole=False)
        return LINES.to_bytes(plain, lambda label: self._response(label, first, secret))

    def complete(self, received: bytes) -> bool:
        """Whether at least one whole piece has arrived."""
        return first_piece(received) is not None

    def match(self, step: Step, received: bytes) -> int | None:
        """How many bytes of the input are the piece that an `S` line wants; None if it differs.

        Raises ValueError if the line is not one whole piece.
        """
        if step.text == "(logged in)":
            bound = re.search(rb"</bind></iq>", received)
            if bound is None or b"</failure>" in received or b"'error'" in received[: bound.end()]:
                return None
            return bound.end()
        piece, wanted = first_piece(received), first_piece(step.text.encode())
        if wanted is None:
            raise ValueError(f"{step.text!r} is not one whole piece of a stream; complete it")
        if piece is None or piece.kind != wanted.kind:
            return None
        if piece.kind == "close" or _same(_tree(wanted), _tree(piece)):
            return received.index(piece.raw) + len(piece.raw)
        return None

    def consumed(self, received: bytes) -> None:
        """Keeps the challenge of a login for the response that follows."""
        challenge = _CHALLENGE.search(received)
        if challenge:
            self._challenge = base64.b64decode(challenge[1])

    def to_lines(self, record: Record, masked: bool) -> Iterator[str]:
        """Writes a record as a line; with `masked`, labels stand for the secrets.

        A secret that the server has made up is different each time: `*` stands for it.
        """
        ours = record.direction == "S"
        text, last, special = "", 0, "*" if ours else "{"
        for secret in record.secrets if masked else ():
            label = "*" if ours else "{" + secret.label + "}"
            text += escaped(record.raw[last : secret.start], special) + label
            last = secret.end
        yield f"{record.direction}: {text}{escaped(record.raw[last:], special)}"

    # ── the responses of a login ─────────────────────────────────────────────

    def _response(self, label: str, first: bool, secret: Secret) -> bytes:
        """The response that a label stands for; `first`: it is in `<auth/>`."""
        kind, _, who = label.partition(" ")
        if kind == "scram-sha-1":
            return base64.b64encode(self._scram("sha1", who, first, secret))
        if kind == "scram-sha-256":
            return base64.b64encode(self._scram("sha256", who, first, secret))
        if kind == "digest-md5":
            return base64.b64encode(_digest(self._challenge, who, secret))
        return secret(label)

    def _scram(self, algorithm: str, who: str, first: bool, secret: Secret) -> bytes:
        name = who.partition(" ")[0]
        if first:
            return b"n,," + scram_name(name)
        password = base64.b64decode(secret(f"password {who}"))
        return scram_proof(algorithm, name, password, self._challenge)


def first_piece(received: bytes) -> Piece | None:
    """The first piece of a server's output; None while it is incomplete.

    The output begins at the boundary of a piece.
    """
    begins_with_header = re.match(rb"\s*<(?:\?xml|stream:stream)", received)
    head = b"" if begins_with_header else HEADER.encode()
    buffer = bytearray(head + received)
    splitter = Splitter(1 << 22)
    piece = splitter.next(buffer)
    if head and piece is not None:
        piece = splitter.next(buffer)
    return piece


def _login(name: str, domain: str | None, resource: str, secret: Secret) -> bytes:
    """Everything that leads to a bound resource."""
    who = f"{name}@{domain}" if domain else name
    header = HEADER.replace(" version", f" to='{domain}' version" if domain else " version")
    response = secret(f"plain {who}")
    auth = b"<auth xmlns='%b' mechanism='PLAIN'>%b</auth>" % (SASL.encode(), response)
    payload = f"<bind xmlns='{BIND}'><resource>{resource}</resource></bind>"
    bind = f"<iq type='set' id='bind'>{payload}</iq>"
    return header.encode() + auth + header.encode() + bind.encode()


def _tree(piece: Piece) -> Element:
    """A piece as a tree; of a header only the start tag."""
    if piece.kind == "open":
        return Element(piece.name, dict(piece.attributes))
    return ElementTree.fromstring(HEADER.encode() + piece.raw + b"</stream:stream>")[0]


def _same(wanted: Element, found: Element) -> bool:
    return (
        wanted.tag == found.tag
        and wanted.attrib.keys() == found.attrib.keys()
        and all(_fits(value, found.attrib[name]) for name, value in wanted.attrib.items())
        and _fits(wanted.text or "", found.text or "")
        and _fits(wanted.tail or "", found.tail or "")
        and len(wanted) == len(found)
        and all(_same(child, other) for child, other in zip(wanted, found, strict=True))
    )


def _fits(wanted: str, found: str) -> bool:
    r"""Whether a value fits; `*` fits one or more characters, `\*` is an asterisk."""
    if "*" not in wanted:
        return wanted == found
    parts = re.split(r"(?<!\\)\*", wanted)
    pattern = ".+".join(re.escape(part.replace("\\*", "*")) for part in parts)
    return re.fullmatch(pattern, found, re.S) is not None


def _digest(challenge: bytes, who: str, secret: Secret) -> bytes:
    """The client's side of DIGEST-MD5 (RFC 2831 §2.1.2)."""
    fields = dict(re.findall(rb'(?<![a-z-])([a-z-]+)="?([^",]*)"?', challenge))
    name, password = who.partition(" ")[0].encode(), base64.b64decode(secret(f"password {who}"))
    realm, nonce = fields[b"realm"], fields[b"nonce"]
    uri = b"xmpp/" + realm
    secret_hash = hashlib.md5(b":".join((name, realm, password))).digest()
    inner = _hex_md5(b":".join((secret_hash, nonce, NONCE)))
    outer = _hex_md5(b"AUTHENTICATE:" + uri)
    response = _hex_md5(b":".join((inner, nonce, b"00000001", NONCE, b"auth", outer)))
    return b",".join(
        (
            b"charset=utf-8",
            b'username="%b"' % name,
            b'realm="%b"' % realm,
            b'nonce="%b"' % nonce,
            b'cnonce="%b"' % NONCE,
            b"nc=00000001",
            b"qop=auth",
            b'digest-uri="%b"' % uri,
            b"response=%b" % response,
        )
    )


def _hex_md5(data: bytes) -> bytes:
    return hashlib.md5(data).hexdigest().encode()


def hashed_token(jabber: Jabber, label: str) -> bytes:
    """The response of a client to which the server has given a token (XEP-0484)."""
    kind, _, who = label.partition(" ")
    name, _, wrong = who.partition(" ")
    person = jabber.service.accounts.people.find(name)
    fast = cast("Fast", jabber.service.extensions.named("fast"))
    token = "wrong" if wrong or person is None else fast.last_token(person.address, kind.upper())
    proof = hmac.digest(token.encode(), b"Initiator", "sha256")
    return base64.b64encode(name.encode() + b"\0" + proof)


SECRETS = {"ht-sha-256-none": hashed_token}


# ── what must hold ───────────────────────────────────────────────────────────


def _roster(jabber: Jabber, rest: str) -> str:
    """`then: roster juliet@example.test romeo@example.test both, nurse@example.test none ask`."""
    address, _ = split(rest, "ADDRESS …")
    items = [
        f"{contact.jid} {contact.subscription}"
        f"{' ask' if contact.ask else ''}{' asking' if contact.asking else ''}"
        for contact in jabber.roster(address).values()
    ]
    return f"{address} {', '.join(items) or 'empty'}"


def _available(jabber: Jabber, rest: str) -> str:
    """`then: available juliet@example.test balcony chamber`; `-` if none is available."""
    address, _ = split(rest, "ADDRESS …")
    return f"{address} {' '.join(jabber.presence(address)) or '-'}"


def _offline(jabber: Jabber, rest: str) -> str:
    """`then: offline juliet@example.test 2`: the number of stored messages."""
    address, _ = split(rest, "ADDRESS …")
    return f"{address} {len(jabber.offline(address))}"


WORDS: dict[str, Callable[[Jabber, str], str]] = {
    "roster": _roster,
    "available": _available,
    "offline": _offline,
}

# ── what the world does ──────────────────────────────────────────────────────


def _says(jabber: Jabber, text: str) -> None:
    """`cue: jabber-says juliet@example.test romeo@example.test hello`."""
    sender, to, words = split(text, "FROM TO TEXT")
    jabber.actor(sender).says(to, words)


def _accepts(jabber: Jabber, text: str) -> None:
    """`cue: jabber-accepts juliet@example.test romeo@example.test`."""
    actor, contact = split(text, "ADDRESS CONTACT")
    jabber.actor(actor).accepts(contact)


def _ends(jabber: Jabber, text: str) -> None:
    """`cue: jabber-ends romeo@example.test conflict`."""
    jabber.end(*split(text, "ADDRESS CONDITION"))


CUES: dict[str, Callable[[Jabber, str], object]] = {
    "jabber-says": _says,
    "jabber-comes": lambda jabber, text: jabber.actor(text).comes(),
    "jabber-accepts": _accepts,
    "jabber-goes": lambda jabber, text: jabber.actor(text).goes(),
    "jabber-ends": _ends,
    "jabber-injects": lambda jabber, text: jabber.inject(text),
    "jabber-removes": lambda jabber, text: jabber.remove(text),
}
