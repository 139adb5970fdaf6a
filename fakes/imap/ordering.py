"""SORT and THREAD (RFC 5256)."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from fakes.imap.addresses import read_addresses
from fakes.imap.subjects import M, Message, Subject, decode_value

_MESSAGE_ID = re.compile(rb'<((?:[^<>"\s]++|"(?:[^"\\<>]|\\.)*")+)>')
_SPACES = re.compile(r"[ \t\r\n]+")
_BLOB = r"\[[^\[\]]*\] *"
_BLOBS = re.compile(_BLOB)
_REPLY = re.compile(rf"(?:{_BLOB})?(?:re|fwd?) *(?:{_BLOB})?:")
REFERENCES_MOST = 100  # of a mail; the last ones count


# ── base subjects (RFC 5256 §2.1) ────────────────────────────────────────────


def base_subject(subject: bytes) -> str:
    """Returns the subject without `Re:`, `[list]` and `(fwd)`, to be compared."""
    return _base(subject)[0]


def is_reply(subject: bytes) -> bool:
    """Whether the subject says that the mail is a reply or was forwarded."""
    return _base(subject)[1]


def _base(subject: bytes) -> tuple[str, bool]:
    text = _SPACES.sub(" ", decode_value(subject)).casefold()
    replied = False
    start, end = 0, len(text)
    while True:
        while end > start and (text[end - 1] == " " or text.endswith("(fwd)", start, end)):
            is_space = text[end - 1] == " "
            replied |= not is_space
            end -= 1 if is_space else len("(fwd)")
        start, found = _without_leaders(text, start, end)
        replied |= found
        # RFC 5256 §2.1 (6): [Fwd: subject]
        if text.startswith("[fwd:", start, end) and text.endswith("]", start, end):
            start, end, replied = start + len("[fwd:"), end - 1, True
        else:
            return _decomposed(text[start:end]), replied


def _decomposed(text: str) -> str:
    """RFC 5051 §2: a letter with an accent is compared as the letter and the accent."""
    if text.isascii():
        return text
    # One by one: of a whole text, the accents would be ordered, which can take quadratic time.
    return "".join(unicodedata.normalize("NFKD", character) for character in text)


def _without_leaders(text: str, start: int, end: int) -> tuple[int, bool]:
    """Returns where the text begins after `Re:` and `[list]`, and whether there is a `Re:`."""
    replied = False
    while start < end:
        reply = _REPLY.match(text, start, end)
        blob = _BLOBS.match(text, start, end)
        if text[start] == " ":
            start += 1
        elif reply is not None:
            start, replied = reply.end(), True
        elif blob is not None and blob.end() < end:  # a subject that is only [list] stays
            start = blob.end()
        else:
            break
    return start, replied


# ── SORT (RFC 5256 §3) ───────────────────────────────────────────────────────


def sort(messages: Sequence[M], keys: Sequence[tuple[str, bool]]) -> list[M]:
    """Returns the messages in the order that the keys ask for; ties by number."""
    subjects = [(Subject(message), message) for message in messages]
    # The least important key first: sorting keeps the order of what is equal, in reverse too.
    for name, reverse in reversed(keys):
        value = _VALUES[name]
        subjects.sort(key=lambda pair: value(pair[0]), reverse=reverse)
    return [message for _, message in subjects]


def _mailbox(name: bytes) -> Callable[[Subject], str]:
    """The mailbox of the first address in a field, "" if there is none."""

    def value(subject: Subject) -> str:
        for raw in subject.raw_header(name):
            for address in read_addresses(raw):
                return _decomposed((address.mailbox or b"").decode("utf-8", "replace").upper())
        return ""

    return value


def _sent(subject: Subject) -> float:
    """RFC 5256 §2.2: without a Date, the internal date."""
    return subject.sent.at if subject.sent else subject.message.at


def _subject(subject: Subject) -> str:
    values = subject.raw_header(b"subject")
    return base_subject(values[-1]).upper() if values else ""


# Texts are in capitals: so `[` comes after the letters (RFC 4790 §9.2, RFC 5051 §2).
_VALUES: dict[str, Callable[[Subject], Any]] = {
    "ARRIVAL": lambda subject: subject.message.at,
    "CC": _mailbox(b"cc"),
    "DATE": _sent,
    "FROM": _mailbox(b"from"),
    "SIZE": lambda subject: subject.message.size,
    "SUBJECT": _subject,
    "TO": _mailbox(b"to"),
}


# ── THREAD (RFC 5256 §3) ─────────────────────────────────────────────────────


class _Node:
    """A message in a thread, or the place of one that is not there."""

    __slots__ = ("children", "parent", "subject")

    def __init__(self, subject: Subject | None = None, children: Iterable[_Node] = ()) -> None:
        self.subject = subject
        self.parent: _Node | None = None
        self.children = dict.fromkeys(children)  # in order, and quickly removed

    def link(self, child: _Node) -> None:
        """Becomes the parent of a node, unless it is among its descendants."""
        ancestor: _Node | None = self if child.children or child is self else None
        while ancestor is not None:
            if ancestor is child:
                return
            ancestor = ancestor.parent
        child.unlink()
        child.parent = self
        self.children[child] = None

    def unlink(self) -> None:
        """Has no parent any more."""
        if self.parent is not None:
            del self.parent.children[self]
            self.parent = None

    def sort(self) -> None:
        """Sorts the children by their dates."""
        self.children = dict.fromkeys(sorted(self.children, key=_time))


def thread(messages: Sequence[Message], algorithm: str, *, uid: bool) -> bytes:
    """Returns the threads as they are written after `* THREAD `: `(1)(2 3)(4 (5)(6))`."""
    subjects = [Subject(message) for message in messages]
    roots = _by_subject(subjects) if algorithm == "ORDEREDSUBJECT" else _by_references(subjects)
    return b"".join(_write(root, uid) for root in roots)


def _write(root: _Node, uid: bool) -> bytes:
    pieces: list[bytes] = []
    waiting: list[_Node | bytes] = [b")", root, b"("]
    while waiting:
        each = waiting.pop()
        if isinstance(each, bytes):
            pieces.append(each)
            continue
        if each.subject is not None:
            message = each.subject.message
            pieces.append(b"%d" % (message.uid if uid else message.number))
            if each.children:
                pieces.append(b" ")
        if len(each.children) == 1:
            waiting += each.children
        else:
            waiting += (one for child in reversed(each.children) for one in (b")", child, b"("))
    return b"".join(pieces)


def _time(node: _Node) -> tuple[float, int]:
    """When a message was sent, or the first child of one that is not there; ties by number."""
    while node.subject is None:
        node = next(iter(node.children))
    return _sent(node.subject), node.subject.message.number


def _by_subject(subjects: Iterable[Subject]) -> list[_Node]:
    """ORDEREDSUBJECT: a thread for each base subject. All others are replies to the first."""
    threads: dict[str, list[_Node]] = {}
    for subject in subjects:
        threads.setdefault(_subject(subject), []).append(_Node(subject))
    roots = []
    for nodes in threads.values():
        first, *others = sorted(nodes, key=_time)
        first.children = dict.fromkeys(others)
        roots.append(first)
    return sorted(roots, key=_time)


def _by_references(subjects: Sequence[Subject]) -> list[_Node]:
    """REFERENCES, in the six steps of the RFC."""
    roots = _pruned(_linked(subjects))
    return _sorted(_merged(_sorted(roots)))


def _linked(subjects: Sequence[Subject]) -> list[_Node]:
    """Steps 1 and 2: returns the nodes that have no parent, after all have been linked."""
    nodes: dict[bytes, _Node] = {}
    unnamed: list[_Node] = []  # messages without Message-ID, or with one that another has
    for subject in subjects:
        ids = _ids(subject, b"message-id")
        node = nodes.setdefault(ids[0], _Node()) if ids else None
        if node is None or node.subject is not None:
            node = _Node()
            unnamed.append(node)
        node.subject = subject
        references = _ids(subject, b"references") or _ids(subject, b"in-reply-to")[:1]
        ancestors = [nodes.setdefault(each, _Node()) for each in references[-REFERENCES_MOST:]]
        for parent, child in itertools.pairwise(ancestors):
            if child.parent is None:
                parent.link(child)
        node.unlink()
        if ancestors:
            ancestors[-1].link(node)
    return [node for node in (*nodes.values(), *unnamed) if node.parent is None]


def _ids(subject: Subject, name: bytes) -> list[bytes]:
    values = subject.raw_header(name)
    return _MESSAGE_ID.findall(values[-1]) if values else []


def _descendants(roots: Iterable[_Node]) -> list[_Node]:
    """Returns the nodes and all below them, each before its children."""
    found = list(roots)
    for node in found:
        found += node.children
    return found


def _pruned(roots: list[_Node]) -> list[_Node]:
    """Step 3: replaces nodes without message by their children. A root keeps several children."""
    for node in reversed(_descendants(roots)):
        children: dict[_Node, None] = {}
        for child in node.children:
            children |= {child: None} if child.subject else child.children
        node.children = children
    found: list[_Node] = []
    for root in roots:
        if root.subject is None and len(root.children) < 2:
            found += root.children
        else:
            found.append(root)
    return found


def _sorted(roots: list[_Node]) -> list[_Node]:
    """Steps 4 and 6: sorts siblings by date, the deepest first."""
    for node in reversed(_descendants(roots)):
        node.sort()
    return sorted(roots, key=_time)


def _merged(roots: list[_Node]) -> list[_Node]:
    """Step 5: threads that have the same base subject become one."""
    table: dict[str, _Node] = {}
    for root in roots:
        text, replied = _thread_subject(root)
        known = table.setdefault(text, root)
        if known.subject is not None and (
            root.subject is None or (_thread_subject(known)[1] and not replied)
        ):
            table[text] = root
    places: dict[_Node, int] = {}
    found: list[_Node] = []
    for root in roots:
        text, replied = _thread_subject(root)
        known = table[text]
        if not text or known is root:
            places[root] = len(found)
            found.append(root)
        elif known.subject is None and root.subject is None:
            known.children |= root.children
        elif known.subject is None or (replied and not _thread_subject(known)[1]):
            known.children[root] = None
        else:
            table[text] = _Node(None, (known, root))
            found[places[known]] = table[text]
    return found


def _thread_subject(root: _Node) -> tuple[str, bool]:
    """Returns the base subject of a thread, and whether its first message says it is a reply."""
    node = root if root.subject is not None else next(iter(root.children))
    assert node.subject is not None
    values = node.subject.raw_header(b"subject")
    return _base(values[-1]) if values else ("", False)
