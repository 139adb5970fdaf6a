"""Faults as data: where, when, and what goes wrong. One language for tests, transcripts, world files and FAULT=.

    [PROTOCOL] WHERE [arg PATTERN] [user NAME] [nth N] WHAT [times N]

    RCPT arg assaf* reply "451 4.3.0 try later" times 2
    smtp . lost stored
    smtp connect delay 30

Counted and ordered, no dice: the same faults and the same traffic give the same run. The cores meet faults in one
place (`wire.Session`); this module only says which one, if any, a unit meets.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fakes.world import World

PROTOCOLS = ("smtp", "pop3", "imap", "xmpp", "toc", "http")
EVERYWHERE = frozenset({"connect", "tls"})  # the two places that every server has

# What may go wrong: its first word → the words that may follow it (None: a value of that kind).
_KINDS: dict[str, tuple[str, ...] | type] = {
    "refuse": (),
    "reply": str,
    "hang_up": ("before", "within", "after"),
    "reset": (),
    "after": int,
    "stall": (),
    "delay": float,
    "split": int,
    "lost": ("stored", "unstored"),
    "off": (),
    "certificate": ("expired", "other-name", "self-signed"),
}

# The catalogue's drills that the wire can say; DRILLS, below, has them all. A name stands wherever a fault may.
_ON_THE_WIRE: dict[str, str] = {
    "smtp-421": 'smtp connect reply "421 4.3.2 Service shutting down" times 1',
    "smtp-450-then-ok": 'smtp RCPT reply "450 4.2.0 Greylisted, come back later" times 1',
    "smtp-552": 'smtp . reply "552 5.3.4 Message too big"',
    "smtp-drop-after-dot": "smtp . lost stored times 1",
    "toc-901": "toc toc_send_im reply 901 times 1",
    "toc-2048": "toc toc_send_im hang up before times 1",  # what a command that is too long meets
    "rcpt-550": 'smtp RCPT nth 1 reply "550 5.1.1 No such mailbox"',
    "pop-drop-before-quit": "pop3 QUIT hang up before times 1",
    "pop-drop-in-retr": "pop3 RETR after 100 times 1",
    "pop-dele-err": 'pop3 DELE reply "-ERR [SYS/TEMP] Cannot mark it now" times 1',
}


class FaultError(ValueError):
    """A fault that cannot be read or armed; the text says which word is wrong and what may stand there."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong: `Fault("RCPT", arg="assaf*", reply="451 4.3.0 try later", times=2)`.

    `where` is a verb, a capability (with `off`), `connect`, `tls` or `.` (end of data). `after` counts plaintext octets
    of the answer, `delay` seconds of the world's clock, `split` octets a write. Exactly one thing goes wrong a fault.
    Raises FaultError.
    """

    where: str
    protocol: str = ""
    arg: str = ""
    user: str = ""
    nth: int = 0
    times: int = 0
    refuse: bool = False
    reply: str | None = None
    hang_up: str = ""
    reset: bool = False
    after: int | None = None
    stall: bool = False
    delay: float | None = None
    split: int | None = None
    lost: str = ""
    off: bool = False
    certificate: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "where", self.where.replace(" ", "_").casefold())
        said = [kind for kind in _KINDS if _is_said(getattr(self, kind))]
        if len(said) != 1:
            raise FaultError(
                f"a fault says exactly one thing that goes wrong; this one, at {self.where!r}, says "
                f"{' and '.join(said) or 'nothing'} (choose from: {', '.join(_KINDS)})"
            )
        for name in ("nth", "times", "after", "delay"):
            if (getattr(self, name) or 0) < 0:
                raise FaultError(f"{name} counts from 0 up, not {getattr(self, name)}")
        if self.split is not None and self.split < 1:
            raise FaultError(f"split needs at least one octet a write, not {self.split}")
        allowed = _KINDS[said[0]]
        if isinstance(allowed, tuple) and allowed and getattr(self, said[0]) not in allowed:
            raise FaultError(f"{said[0]} is followed by {' or '.join(allowed)}, not {getattr(self, said[0])!r}")
        for kind, only in (("refuse", "connect"), ("certificate", "tls")):
            if said[0] == kind and self.where != only:
                raise FaultError(f"{kind} belongs to {only}, not to {self.where!r}")
        if self.where == "tls" and said[0] not in ("hang_up", "reset", "stall", "certificate"):
            raise FaultError(f"tls may hang up, reset, stall or show a certificate; {said[0]} means nothing there")
        if self.where == "connect" and said[0] in ("off", "lost"):
            raise FaultError(f"connect cannot be {said[0]}; it is no capability and stores nothing")

    @property
    def kind(self) -> str:
        """The one thing that goes wrong: a key of the grammar's WHAT, blanks as underscores."""
        return next(kind for kind in _KINDS if _is_said(getattr(self, kind)))

    def __str__(self) -> str:
        words = [self.protocol, self.where if self.where in (*EVERYWHERE, ".") else self.where.upper()]
        words += ["arg", _quoted(self.arg)] if self.arg else []
        words += ["user", _quoted(self.user)] if self.user else []
        words += ["nth", str(self.nth)] if self.nth else []
        value = getattr(self, self.kind)
        words.append(self.kind.replace("_", " "))
        if self.kind == "reply":
            words.append('"' + re.sub(r'(["\\])', r"\\\1", value) + '"')
        elif value is not True:
            words.append(f"{value:g}" if isinstance(value, float) else str(value))
        words += ["times", str(self.times)] if self.times else []
        return " ".join(word for word in words if word)


@dataclass(frozen=True)
class Drill:
    """What goes wrong off the wire: a function of the world, which says when it has come true."""

    name: str
    play: Callable[[World, Callable[[], None]], None] = field(compare=False)

    def __str__(self) -> str:
        return self.name


def parse(text: str) -> list[Fault | Drill]:
    """Faults from text, parted by `;`; a drill's name gives what it is. Raises FaultError."""
    faults: list[Fault | Drill] = []
    for words in _statements(text):
        drill = DRILLS.get(words[0]) if len(words) == 1 else None
        if isinstance(drill, str):
            faults += parse(drill)
        elif drill is not None:
            faults.append(drill)
        else:
            faults.append(_fault(words))
    return faults


def from_mapping(table: Mapping[str, Any]) -> Fault:
    """A fault from a world file's [[fault]] table: the same names as in Python. Raises FaultError."""
    names = [field.name for field in dataclasses.fields(Fault)]
    for key in table:
        if key not in names:
            raise FaultError(f"a fault has no {key!r}{_nearest(key, names)}; it has: {', '.join(names)}")
    if not isinstance(table.get("where"), str):
        raise FaultError("a fault needs `where`: a verb, `connect`, `tls` or `.`")
    return Fault(**table)


@dataclass
class _Armed:
    fault: Fault
    seen: int = 0  # matching units so far
    met: int = 0  # how often it came true


@dataclass
class Faults:
    """The faults of one world, counted. Empty, it costs a truth test."""

    armed: list[_Armed] = field(default_factory=list)
    drills: dict[Drill, bool] = field(default_factory=dict)  # whether it has come true
    stage: Callable[[Drill, Callable[[], None]], None] = lambda drill, met: None  # the world's, which plays a drill
    vocabulary: dict[str, frozenset[str]] = field(default_factory=dict)  # protocol → what its server knows

    def arm(self, *faults: Fault | Drill | str) -> None:
        """Arms faults given as values or text. Raises FaultError if no server, or more than one, knows the place."""
        for fault in faults:
            for one in parse(fault) if isinstance(fault, str) else (fault,):
                if isinstance(one, Drill):
                    self.drills[one] = False
                    self.stage(one, functools.partial(self.drills.__setitem__, one, True))
                    continue
                self.armed.append(_Armed(self._placed(one)))

    def disarm(self) -> None:
        """Forgets all faults; what was not met by now is no longer complained about."""
        self.armed.clear()
        self.drills.clear()

    def __bool__(self) -> bool:
        return bool(self.armed)

    def meet(self, protocol: str, where: str, arg: str = "", user: str = "") -> Fault | None:
        """The fault that this unit meets, counted as met; None for most units. `off` is asked for by `lacks`."""
        where = where.casefold()
        hit: _Armed | None = None
        for armed in self.armed:
            fault = armed.fault
            if fault.where != where or fault.protocol != protocol or fault.off or fault.refuse:
                continue
            if fault.arg and not _fits(fault.arg.casefold(), arg.casefold()):
                continue
            if fault.user and not _same_login(fault.user, user):
                continue
            armed.seen += 1  # every matching unit counts, also one that an earlier fault takes
            if hit is None and armed.seen in _window(fault):
                hit = armed
        if hit is None:
            return None
        hit.met += 1
        return hit.fault

    def lacks(self, protocol: str, capability: str) -> bool:
        """Whether a fault switches this capability off; asking counts as meeting."""
        name = capability.casefold()
        for armed in self.armed:
            if armed.fault.off and armed.fault.protocol == protocol and armed.fault.where == name:
                armed.met += 1
                return True
        return False

    def may_refuse(self, protocol: str) -> bool:
        """Whether a `refuse` fault is armed for this protocol's ports."""
        return any(armed.fault.refuse and armed.fault.protocol == protocol for armed in self.armed)

    def refuses(self, protocol: str) -> bool:
        """Whether the port is closed to the connection that is about to be tried; counted."""
        hit = False
        for armed in self.armed:
            if armed.fault.refuse and armed.fault.protocol == protocol:
                armed.seen += 1
                if not hit and armed.seen in _window(armed.fault):
                    armed.met += 1
                    hit = True
        return hit

    def unmet(self) -> list[Fault | Drill]:
        """Faults that never came true: a test that arms one and never meets it tests nothing."""
        faults: list[Fault | Drill] = [armed.fault for armed in self.armed if not armed.met]
        return faults + [drill for drill, met in self.drills.items() if not met]

    def _placed(self, fault: Fault) -> Fault:
        """The fault with its protocol filled in. Raises FaultError."""
        if fault.protocol:
            known = self.vocabulary.get(fault.protocol)
            if known is None:
                raise FaultError(
                    f"{fault}: this world has no {fault.protocol} server; it has: {', '.join(self.vocabulary)}"
                )
            if fault.where not in known:
                raise FaultError(
                    f"{fault}: {fault.protocol} knows no {fault.where!r}{_nearest(fault.where, known)}; "
                    f"it knows: {', '.join(sorted(known))}"
                )
            return fault
        having = [protocol for protocol, known in self.vocabulary.items() if fault.where in known]
        if not having:
            every = sorted(frozenset().union(*self.vocabulary.values()))
            raise FaultError(f"{fault}: no server of this world knows {fault.where!r}{_nearest(fault.where, every)}")
        if len(having) > 1:
            raise FaultError(f"{fault}: {' and '.join(having)} both know {fault.where!r}; say which: `{having[0]} {fault}`")
        return dataclasses.replace(fault, protocol=having[0])


class UnmetFault(AssertionError):
    """A fault was armed and never met: the play went another way than its author thought."""


def _is_said(value: object) -> bool:
    return value is not None and value is not False and value != ""  # `after 0` is said: 0 is a number here


def _window(fault: Fault) -> range:
    first = fault.nth or 1
    times = fault.times or (1 if fault.nth else 10**9)
    return range(first, first + times)


def _fits(pattern: str, arg: str) -> bool:
    """Whether the text behind the verb fits, or the address that stands in brackets there."""
    _, bracket, rest = arg.partition("<")
    return fnmatchcase(arg, pattern) or (bool(bracket) and fnmatchcase(rest.partition(">")[0], pattern))


def _same_login(wanted: str, user: str) -> bool:
    user = user.casefold()
    return wanted.casefold() in (user, user.partition("@")[0])


def _nearest(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _quoted(text: str) -> str:
    if not re.search(r'[\s;"\\]', text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


_WORD = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|(;)|([^\s;"]+))', re.S)


def _statements(text: str) -> Iterator[list[str]]:
    """The words of each fault; quotes hold blanks and semicolons together."""
    words: list[str] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _WORD.match(text, at)
        if match is None:
            raise FaultError(f"{text!r}: a quote is opened at {text[at:].strip()[:20]!r} and never closed")
        quoted, semicolon, bare = match.groups()
        if semicolon:
            yield words
            words = []
        elif quoted is not None:
            words.append(re.sub(r"\\(.)", r"\1", quoted))
        else:
            words.append(bare)
        at = match.end()
    if words:
        yield words


def _fault(words: list[str]) -> Fault:
    said = " ".join(words)
    if not words:
        raise FaultError("a fault is empty; its form is: [PROTOCOL] WHERE [arg PATTERN] … WHAT [times N]")
    rest = list(words)
    keywords = {"arg", "user", "nth", "times", "hang", *_KINDS}
    keys: dict[str, Any] = {}
    if rest[0].casefold() in PROTOCOLS and len(rest) > 1:
        keys["protocol"] = rest.pop(0).casefold()
    where = [rest.pop(0)] if rest else []  # the first word is a place even if it looks like a keyword (`reset`)
    while rest and rest[0] not in keywords:
        where.append(rest.pop(0))
    while rest:
        word = rest.pop(0)
        if word == "hang" and rest and rest[0] == "up":
            word = "hang_up"
            rest.pop(0)
        if word not in keywords or word == "hang":
            choices = [*keywords - {"hang", "hang_up"}, "hang up"]
            raise FaultError(f"{said!r}: {word!r} is no word of the fault grammar{_nearest(word, choices)}")
        if word in keys:
            raise FaultError(f"{said!r}: {word!r} is said twice")
        keys[word] = _value(said, word, rest)
    try:
        return Fault(where="_".join(where), **keys)
    except FaultError as error:
        raise FaultError(f"{said!r}: {error}") from None


def _value(said: str, word: str, rest: list[str]) -> object:
    kind = _KINDS.get(word) or (int if word in ("nth", "times") else str if word in ("arg", "user") else ())
    if kind == ():
        return True
    if word == "hang_up" and (not rest or rest[0] not in ("before", "within", "after")):
        return "before"
    if not rest:
        wanted = "a number" if kind in (int, float) else " or ".join(kind) if isinstance(kind, tuple) else "a text"
        raise FaultError(f"{said!r}: {word} needs {wanted} behind it")
    value = rest.pop(0)
    if kind not in (int, float):
        return value
    try:
        return int(value) if kind is int else float(value)
    except ValueError:
        raise FaultError(f"{said!r}: {word} needs a number, not {value!r}") from None


# ── drills off the wire ──────────────────────────────────────────────────────────────────────────────────────────

WHILE = 45.0  # seconds into the play when such a drill strikes, or ends
POISON = (
    b"From: =?nonsense?b?!!!?= <\x00@\xff>\r\nSubject: =?utf-8?q?=00=0D=0A?=\r\nDate: never\r\nMessage-ID: <\r\n"
    b'Content-Type: multipart/mixed; boundary="\r\n\r\n--\r\nContent-Type: text/plain; charset=x-none\r\n'
    b"Content-Transfer-Encoding: base64\r\n\r\n=\x00\xfe=\r\n"
)


def _duplicate_delivery(world: World, met: Callable[[], None]) -> None:
    """Each mail for the program is put into its maildrop twice, as by a server that was cut off and tried again."""
    world.mail.store.faults.duplicate_for = world.program.address
    world.mail.store.faults.on_duplicate = met


def _poison_mail(world: World, met: Callable[[], None]) -> None:
    """The first mail in the program's maildrop is broken in every way at once."""
    world.mail.deliver(world.program.address, POISON, sender="poison@evil.example")
    met()


def _long_line(world: World, met: Callable[[], None]) -> None:
    """The first mail in the program's maildrop has a line longer than poplib takes."""
    mail = b"From: long@line.example\r\nSubject: long\r\n\r\n" + b"x" * 5000 + b"\r\n"
    world.mail.deliver(world.program.address, mail)
    met()


def _in_use(world: World, met: Callable[[], None]) -> None:
    """Another session has the program's maildrop for a while."""
    drop, other = world.mail.maildrop(world.program.address), object()
    drop.holder = other
    met()

    def leave() -> None:
        drop.holder = None if drop.holder is other else drop.holder

    world.clock.at(WHILE, leave)


def _uidl_reused(world: World, met: Callable[[], None]) -> None:
    """A maildrop that becomes empty begins again with its first unique id."""
    world.mail.store.faults.reuse_uids = True
    world.mail.store.faults.on_reuse = met


def _clock_jump(world: World, met: Callable[[], None]) -> None:
    """The program's wall clock is set forward by an hour in the middle of the play."""

    def jump() -> None:
        world.clock.jump(3600)
        met()

    world.clock.at(WHILE, jump)


def _xmpp_cut(world: World, met: Callable[[], None]) -> None:
    """Every Jabber link is lost in the middle of the play."""
    _meanwhile(world, met, lambda: world.cut("xmpp"))


def _xmpp_conflict(world: World, met: Callable[[], None]) -> None:
    """Somebody else logs in as the program (RFC 6120 §4.9.3.3)."""
    _meanwhile(world, met, lambda: world.jabber.conflict(world.program.address))


def _xmpp_delayed(world: World, met: Callable[[], None]) -> None:
    """An order has been waiting for the program since before it came, and says so (XEP-0203)."""
    _needs_xmpp(world)
    sender, program = [person.address for person in world.people][-1], world.program.address
    world.jabber.inject(f"<message from='{sender}/before' to='{program}' type='chat'><body>restart</body></message>")
    met()


def _xmpp_domain_sender(world: World, met: Callable[[], None]) -> None:
    """The server itself has something to say: a message from an address without a local part."""
    program = world.program.address
    said = f"<message from='{program.partition('@')[2]}' to='{program}'><body>restart</body></message>"
    _meanwhile(world, met, lambda: world.jabber.inject(said))


def _meanwhile(world: World, met: Callable[[], None], strike: Callable[[], object]) -> None:
    """Something befalls the world's Jabber in the middle of the play. Raises FaultError where there is none."""
    _needs_xmpp(world)

    def cue() -> None:
        strike()
        met()

    world.clock.at(WHILE, cue)


def _needs_xmpp(world: World) -> None:
    if "xmpp" not in world.faults.vocabulary:
        raise FaultError(f"this world has no xmpp server; it has: {', '.join(world.faults.vocabulary)}")


DRILLS: dict[str, str | Drill] = {
    **_ON_THE_WIRE,
    **{
        name: Drill(name, play)
        for name, play in (
            ("pop-in-use", _in_use),
            ("pop-long-line", _long_line),
            ("pop-uidl-reused", _uidl_reused),
            ("duplicate-delivery", _duplicate_delivery),
            ("poison-mail", _poison_mail),
            ("clock-jump", _clock_jump),
            ("xmpp-cut", _xmpp_cut),
            ("xmpp-conflict", _xmpp_conflict),
            ("xmpp-delayed", _xmpp_delayed),
            ("xmpp-domain-sender", _xmpp_domain_sender),
        )
    },
}
