"""Drills: the named failures of the catalogue.

Some are faults with a name (`smtp-421`). The others are failures that the wire cannot express, such
as a mail delivered twice; each is a function of the world. The name of a drill can be used wherever
a fault can. `Stage` lists what a drill needs of a world, so that this module is independent of
`world.py`, which looks the names up here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from fakes.faults import Drill, FaultError, Faults
from fakes.people import People, Person
from fakes.world_mail import WorldMail

STRIKES_AT = 45.0  # seconds into the play at which a drill strikes, or ends

# Broken in every way at once: encoded words, NUL, an unfinished boundary, an unknown charset.
POISON = (
    b"From: =?nonsense?b?!!!?= <\x00@\xff>\r\nSubject: =?utf-8?q?=00=0D=0A?=\r\n"
    b"Date: never\r\nMessage-ID: <\r\n"
    b'Content-Type: multipart/mixed; boundary="\r\n\r\n--\r\n'
    b"Content-Type: text/plain; charset=x-none\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\n=\x00\xfe=\r\n"
)

Met = Callable[[], None]


class Cues(Protocol):
    """The clock of a rehearsal, as far as drills use it."""

    def at(self, seconds: float, cue: Callable[[], object]) -> None:
        """Runs a cue that many seconds into the play."""

    def jump(self, seconds: float) -> None:
        """Sets the program's wall clock forward."""


class Stage(Protocol):
    """What drills use of a world."""

    mail: WorldMail
    people: People
    faults: Faults

    @property
    def jabber(self) -> Any:
        """fakes.xmpp.jabber.Jabber; a world without an XMPP server has one too."""

    @property
    def irc(self) -> Any:
        """fakes.irc.network.Irc."""

    @property
    def webhook(self) -> Any:
        """fakes.webhook.Webhook."""

    @property
    def program(self) -> Person:
        """The account of the program under test."""

    @property
    def clock(self) -> Cues:
        """The rehearsal's clock."""

    def cut(self, protocol: str = "") -> int:
        """Ends every connection of a protocol."""

    def tell(self, who: str, text: str) -> None:
        """Records an event."""


def _duplicate_delivery(world: Stage, met: Met) -> None:
    """Each mail for the program is delivered twice, as by a server that retries after a cut."""
    store, address = world.mail.store, world.program.address
    store.faults = store.faults._replace(duplicate_for=address, on_duplicate=met)


def _poison_mail(world: Stage, met: Met) -> None:
    """The first mail in the program's maildrop is malformed in many ways."""
    world.mail.deliver(world.program.address, POISON, sender="poison@evil.example")
    met()


def _long_line(world: Stage, met: Met) -> None:
    """The first mail in the program's maildrop has a line longer than poplib accepts."""
    mail = b"From: long@line.example\r\nSubject: long\r\n\r\n" + b"x" * 5000 + b"\r\n"
    world.mail.deliver(world.program.address, mail)
    met()


def _in_use(world: Stage, met: Met) -> None:
    """Another session holds the lock of the program's maildrop for a while."""
    drop, other = world.mail.maildrop(world.program.address), object()
    drop.holder = other
    met()

    def leave() -> None:
        drop.holder = None if drop.holder is other else drop.holder

    world.clock.at(STRIKES_AT, leave)


def _uidl_reused(world: Stage, met: Met) -> None:
    """A maildrop that becomes empty starts again with its first unique id."""
    store = world.mail.store
    store.faults = store.faults._replace(reuse_uids=True, on_reuse=met)


def _uidvalidity_changes(world: Stage, met: Met) -> None:
    """The INBOX of the program is restored from a backup: its unique ids mean nothing any more."""

    def restore() -> None:
        world.mail.folder(world.program.address).uidvalidity += 1000
        met()

    world.clock.at(STRIKES_AT, restore)


def _expunged_elsewhere(world: Stage, met: Met) -> None:
    """Another program removes the oldest mail in the INBOX of the program."""

    def remove() -> None:
        inbox = world.mail.folder(world.program.address)
        for mail in inbox.mails[:1]:
            inbox.remove(mail.uid)
            met()

    world.clock.at(STRIKES_AT, remove)


def _bye_in_idle(world: Stage, met: Met) -> None:
    """The server ends each session that waits for news of the program's INBOX."""

    def end() -> None:
        if world.mail.end_idling(world.program.address):
            met()

    world.clock.at(STRIKES_AT, end)


def _clock_jump(world: Stage, met: Met) -> None:
    """The program's wall clock is set forward by an hour in the middle of the play."""

    def jump() -> None:
        world.clock.jump(3600)
        world.tell("clock", "the program's clock is set forward by an hour")
        met()

    world.clock.at(STRIKES_AT, jump)


def _xmpp_cut(world: Stage, met: Met) -> None:
    """Every Jabber connection is lost in the middle of the play."""
    _on_jabber(world, met, lambda: world.cut("xmpp"))


def _xmpp_conflict(world: Stage, met: Met) -> None:
    """Another client logs in as the program (RFC 6120 §4.9.3.3)."""
    _on_jabber(world, met, lambda: world.jabber.conflict(world.program.address))


def _xmpp_delayed(world: Stage, met: Met) -> None:
    """A command was stored while the program was offline, and says so (XEP-0203)."""
    _require(world, "xmpp")
    sender, program = [person.address for person in world.people][-1], world.program.address
    world.jabber.inject(
        f"<message from='{sender}/before' to='{program}' type='chat'><body>restart</body></message>"
    )
    met()


def _xmpp_domain_sender(world: Stage, met: Met) -> None:
    """The server itself sends a message: its address has no local part."""
    program = world.program.address
    domain = program.partition("@")[2]
    message = f"<message from='{domain}' to='{program}'><body>restart</body></message>"
    _on_jabber(world, met, lambda: world.jabber.inject(message))


def _on_jabber(world: Stage, met: Met, strike: Callable[[], object]) -> None:
    """Strikes in the middle of the play. Raises FaultError in a world without an XMPP server."""
    _require(world, "xmpp")

    def cue() -> None:
        strike()
        met()

    world.clock.at(STRIKES_AT, cue)


def _require(world: Stage, protocol: str) -> None:
    if protocol not in world.faults.vocabulary:
        servers = ", ".join(world.faults.vocabulary)
        raise FaultError(f"this drill needs a server of {protocol}; this world has: {servers}")


def _irc_netsplit(world: Stage, met: Met) -> None:
    """The people on IRC are on the other side of a split for half a minute."""

    def split() -> None:
        if world.irc.netsplit():
            met()

    _require(world, "irc")
    world.clock.at(STRIKES_AT, split)
    world.clock.at(STRIKES_AT + 30.0, world.irc.netjoin)


def _irc_ghost(world: Stage, met: Met) -> None:
    """The program's connection is lost, and the server keeps its nick until the ping timeout."""
    _on_irc(world, met, lambda nick: world.irc.ghost(nick))


def _irc_killed(world: Stage, met: Met) -> None:
    """An operator ends the program's session."""
    _on_irc(world, met, lambda nick: world.irc.kill(nick, "drill"))


def _irc_kicked(world: Stage, met: Met) -> None:
    """The program is removed from each of its channels."""
    _on_irc(world, met, lambda nick: world.irc.kick_everywhere(nick))


def _on_irc(world: Stage, met: Met, strike: Callable[[str], object]) -> None:
    """Strikes the program's user in the middle of the play. Raises FaultError without IRC."""
    _require(world, "irc")

    def cue() -> None:
        nick = world.irc.nick_of(world.program.address)
        if nick:
            strike(nick)
            met()

    world.clock.at(STRIKES_AT, cue)


def _http_redirect(world: Stage, met: Met) -> None:
    """The first request is sent on to another path of the same server (RFC 9110 §15.4.8)."""
    _answer(world, met, 307, {"Location": "/moved"})


def _http_redirect_inside(world: Stage, met: Met) -> None:
    """The first request is sent on to an address inside of the program's own network."""
    _answer(world, met, 307, {"Location": "http://10.0.0.1/"})


def _http_429(world: Stage, met: Met) -> None:
    """The first request is one too many: the next one may come after two minutes."""
    _answer(world, met, 429, {"Retry-After": "120"})


def _answer(world: Stage, met: Met, status: int, headers: dict[str, str]) -> None:
    """Answers the first request. Raises FaultError in a world without a web server."""
    _require(world, "webhook")
    world.webhook.answer(status, headers=headers, on_used=met)


DRILLS: dict[str, str | Drill] = {
    # Faults with a name.
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
    "irc-throttled": (
        'irc connect reply "ERROR :Closing link: (unknown@127.0.0.1) [Throttled: Reconnecting too '
        'fast]" times 2'
    ),
    "irc-sasl-gone": "irc sasl off",
    "http-503": 'webhook POST reply "503 Service Unavailable" times 2',
    "http-406": 'webhook POST reply "406 Not Acceptable" times 1',
    "http-timeout": "webhook POST stall times 1",
    "http-lost": "webhook POST lost stored times 1",
    # Functions of the world.
    "pop-in-use": Drill("pop-in-use", _in_use, ("pop3",)),
    "pop-long-line": Drill("pop-long-line", _long_line, ("pop3",)),
    "pop-uidl-reused": Drill("pop-uidl-reused", _uidl_reused, ("pop3",)),
    "imap-uidvalidity-changes": Drill("imap-uidvalidity-changes", _uidvalidity_changes, ("imap",)),
    "imap-expunged-elsewhere": Drill("imap-expunged-elsewhere", _expunged_elsewhere, ("imap",)),
    "imap-bye-in-idle": Drill("imap-bye-in-idle", _bye_in_idle, ("imap",)),
    "duplicate-delivery": Drill("duplicate-delivery", _duplicate_delivery, ("pop3",)),
    "poison-mail": Drill("poison-mail", _poison_mail, ("pop3",)),
    "irc-netsplit": Drill("irc-netsplit", _irc_netsplit, ("irc",)),
    "irc-ghost": Drill("irc-ghost", _irc_ghost, ("irc",)),
    "irc-killed": Drill("irc-killed", _irc_killed, ("irc",)),
    "irc-kicked": Drill("irc-kicked", _irc_kicked, ("irc",)),
    "http-redirect": Drill("http-redirect", _http_redirect, ("webhook",)),
    "http-redirect-inside": Drill("http-redirect-inside", _http_redirect_inside, ("webhook",)),
    "http-429": Drill("http-429", _http_429, ("webhook",)),
    "clock-jump": Drill("clock-jump", _clock_jump),
    "xmpp-cut": Drill("xmpp-cut", _xmpp_cut, ("xmpp",)),
    "xmpp-conflict": Drill("xmpp-conflict", _xmpp_conflict, ("xmpp",)),
    "xmpp-delayed": Drill("xmpp-delayed", _xmpp_delayed, ("xmpp",)),
    "xmpp-domain-sender": Drill("xmpp-domain-sender", _xmpp_domain_sender, ("xmpp",)),
}
