r"""How transcripts write XML: a line is one piece of a stream, compared by what it says and not by how it is written.

    romeo C: <message to='juliet@example.test'><body>Art thou not Romeo?</body></message>
    juliet S: <message to='juliet@example.test' from='romeo@example.test/orchard'><body>Art thou not Romeo?</body></message>

The order of attributes and the prefixes do not matter; `*` stands for a value, or a part of one, that clock or ids do not
fix. `C: (logs in juliet/balcony)` says all that leads to a bound resource, in one write, `S: (logged in)` is all that
answers it; `juliet@example.test/balcony` says the domain too.

Secrets: `{plain juliet}`, `{scram-sha-1 juliet}`, `{scram-sha-256 juliet}` and `{digest-md5 juliet}`, the last three in
each of their answers; ` wrong` behind makes it the answer of one who does not know the password.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from fakes.transcripts.codec import LINES
from fakes.transcripts.codec import escaped as shown
from fakes.transcripts.text import Step
from fakes.wire import Record
from fakes.xmpp.jabber import Jabber
from fakes.xmpp.markup import BIND, CLIENT, SASL, STREAMS
from fakes.xmpp.splitter import Piece, Splitter

HEADER = f"<stream:stream xmlns='{CLIENT}' xmlns:stream='{STREAMS}' version='1.0'>"
NONCE = b"transcript"
_LOGIN = re.compile(r"\(logs in ([^/@)]+)(?:@([^/)]+))?/([^)]+)\)")
_CHALLENGE = re.compile(rb"<challenge[^>]*>([^<]*)<")
Secret = Callable[[str], bytes]


class Stanzas:
    """XMPP: see transcript.Codec. One for each connection, since a login goes on from answer to answer."""

    def __init__(self) -> None:
        self._challenge = b""
        self._first = b""

    def to_bytes(self, step: Step, secret: Secret) -> bytes:
        """See Codec."""
        login = _LOGIN.fullmatch(step.text)
        if login:
            name, domain, resource = login.groups()
            who = f"{name}@{domain}" if domain else name
            header = HEADER.replace(" version", f" to='{domain}' version" if domain else " version")
            auth = b"<auth xmlns='%b' mechanism='PLAIN'>%b</auth>" % (SASL.encode(), secret(f"plain {who}"))
            bind = f"<iq type='set' id='bind'><bind xmlns='{BIND}'><resource>{resource}</resource></bind></iq>"
            return header.encode() + auth + header.encode() + bind.encode()
        first = "<auth" in step.text
        plain = Step(step.number, step.kind, step.text, step.who, whole=False)
        return LINES.to_bytes(plain, lambda label: self._answer(label, first, secret))

    def _answer(self, label: str, first: bool, secret: Secret) -> bytes:
        kind, _, who = label.partition(" ")
        if kind == "scram-sha-1":
            return base64.b64encode(self._scram("sha1", who, first, secret))
        if kind == "scram-sha-256":
            return base64.b64encode(self._scram("sha256", who, first, secret))
        if kind == "digest-md5":
            return base64.b64encode(_digest(self._challenge, who, secret))
        return secret(label)

    def _scram(self, algorithm: str, who: str, first: bool, secret: Secret) -> bytes:
        """RFC 5802 §3, the client's side."""
        if first:
            self._first = b"n=%b,r=%b" % (who.partition(" ")[0].encode(), NONCE)
            return b"n,," + self._first
        fields = dict(part.split(b"=", 1) for part in self._challenge.split(b","))
        password = base64.b64decode(secret(f"password {who}"))
        salted = hashlib.pbkdf2_hmac(algorithm, password, base64.b64decode(fields[b"s"]), int(fields[b"i"]))
        key = hmac.digest(salted, b"Client Key", algorithm)
        final = b"c=biws,r=" + fields[b"r"]
        said = b",".join((self._first, self._challenge, final))
        signature = hmac.digest(hashlib.new(algorithm, key).digest(), said, algorithm)
        return final + b",p=" + base64.b64encode(bytes(a ^ b for a, b in zip(key, signature, strict=True)))

    def complete(self, said: bytes) -> bool:
        """See Codec."""
        return first_piece(said) is not None

    def match(self, step: Step, said: bytes) -> int | None:
        """See Codec."""
        if step.text == "(logged in)":
            bound = re.search(rb"</bind></iq>", said)
            return bound.end() if bound and b"</failure>" not in said and b"'error'" not in said[: bound.end()] else None
        piece, wanted = first_piece(said), first_piece(step.text.encode())
        if wanted is None:
            raise AssertionError(f"{step.text!r} is not one piece of a stream")
        if piece is None or piece.kind != wanted.kind:
            return None
        if piece.kind == "close" or _same(_tree(wanted), _tree(piece)):
            return said.index(piece.raw) + len(piece.raw)
        return None

    def consumed(self, said: bytes) -> None:
        """See Codec."""
        challenge = _CHALLENGE.search(said)
        if challenge:
            self._challenge = base64.b64decode(challenge[1])

    def to_lines(self, record: Record, masked: bool) -> Iterator[str]:
        """See Codec."""
        text, last = "", 0
        for one in record.secrets if masked else ():
            text += shown(record.raw[last : one.start], "{") + "{" + one.label + "}"
            last = one.end
        yield f"{record.direction}: {text}{shown(record.raw[last:], '{' if record.direction == 'C' else '*')}"


def first_piece(said: bytes) -> Piece | None:
    """The first piece of what a server says, from a boundary on; None when it is not whole."""
    head = b"" if re.match(rb"\s*<(?:\?xml|stream:stream)", said) else HEADER.encode()
    buffer = bytearray(head + said)
    splitter = Splitter(1 << 22)
    piece = splitter.next(buffer)
    if head and piece is not None:
        piece = splitter.next(buffer)
    return piece


def _tree(piece: Piece) -> Element:
    """What a piece says; of a header, only the start tag, and which namespace it is for."""
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
        and all(_same(one, other) for one, other in zip(wanted, found, strict=True))
    )


def _fits(wanted: str, found: str) -> bool:
    """Whether a value is what is wanted; `*` fits anything but nothing, `\\*` is a star."""
    if "*" not in wanted:
        return wanted == found
    pattern = ".+".join(re.escape(part.replace("\\*", "*")) for part in re.split(r"(?<!\\)\*", wanted))
    return re.fullmatch(pattern, found, re.S) is not None


def _digest(challenge: bytes, who: str, secret: Secret) -> bytes:
    """RFC 2831 §2.1.2, the client's side."""
    fields = dict(re.findall(rb'([a-z-]+)="?([^",]*)"?', challenge))
    name, password = who.partition(" ")[0].encode(), base64.b64decode(secret(f"password {who}"))
    realm, nonce = fields[b"realm"], fields[b"nonce"]
    uri = b"xmpp/" + realm
    secret_hash = hashlib.md5(b":".join((name, realm, password))).digest()
    inner = hashlib.md5(b":".join((secret_hash, nonce, NONCE))).hexdigest().encode()
    outer = hashlib.md5(b"AUTHENTICATE:" + uri).hexdigest().encode()
    response = hashlib.md5(b":".join((inner, nonce, b"00000001", NONCE, b"auth", outer))).hexdigest().encode()
    return (
        b'charset=utf-8,username="%b",realm="%b",nonce="%b",cnonce="%b",nc=00000001,qop=auth,digest-uri="%b",response=%b'
        % (name, realm, nonce, NONCE, uri, response)
    )




def _roster(jabber: Jabber, rest: str) -> str:
    """`then: roster juliet@example.test romeo@example.test both, nurse@example.test none ask`."""
    address = rest.split()[0]
    items = [
        f"{one.jid} {one.subscription}{' ask' if one.ask else ''}{' asking' if one.asking else ''}"
        for one in jabber.roster(address).values()
    ]
    return f"{address} {', '.join(items) or 'empty'}"


def _available(jabber: Jabber, rest: str) -> str:
    """`then: available juliet@example.test balcony chamber`; nobody: `-`."""
    address = rest.split()[0]
    return f"{address} {' '.join(jabber.presence(address)) or '-'}"


def _offline(jabber: Jabber, rest: str) -> str:
    """`then: offline juliet@example.test 2`."""
    address = rest.split()[0]
    return f"{address} {len(jabber.offline(address))}"


WORDS = {"roster": _roster, "available": _available, "offline": _offline}


def _says(jabber: Jabber, text: str) -> None:
    who, to, words = text.split(" ", 2)
    jabber.person(who).says(to, words)


def _accepts(jabber: Jabber, text: str) -> None:
    who, whom = text.split()
    jabber.person(who).accepts(whom)


def _ends(jabber: Jabber, text: str) -> None:
    address, _, condition = text.partition(" ")
    jabber.end(address, condition or "conflict")


# `cue: jabber-says juliet@example.test romeo@example.test hello`, `cue: jabber-ends romeo@example.test conflict` …
CUES = {
    "jabber-says": _says,
    "jabber-comes": lambda jabber, text: jabber.person(text).comes(),
    "jabber-accepts": _accepts,
    "jabber-goes": lambda jabber, text: jabber.person(text).goes(),
    "jabber-ends": _ends,
    "jabber-injects": lambda jabber, text: jabber.inject(text),
    "jabber-removes": lambda jabber, text: jabber.remove(text),
}
