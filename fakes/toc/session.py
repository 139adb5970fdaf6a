"""The server's side of one TOC connection: TOC 1.0 as AOL documented it, TOC2 as clients use it.

Read the legality table first. `units` splits the input into commands, `commands` holds one function
per command, `door` sends the client what others do, and `messages` words what the server sends.

AOL's document leaves some cases open. This server decides them as follows:

- A command that cannot be split into words, lacks an argument, or comes before the sign-on drops
  the connection.
- A command that only online users may send is ignored until `toc_init_done`.
- An unknown word that begins with `toc` is always ignored, because later clients have more words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeVar

from fakes.http import Http
from fakes.toc import frames, messages, units
from fakes.toc.aim import Aim
from fakes.toc.arguments import arguments
from fakes.toc.commands import COMMANDS
from fakes.toc.door import ClientDoor
from fakes.toc.masks import SIGN_ONS
from fakes.toc.messages import Form, error
from fakes.toc.pages import Pages
from fakes.toc.presence import Presence
from fakes.toc.rate import RateLimiter
from fakes.toc.refusals import Drop, Ignored
from fakes.toc.roasting import unroast
from fakes.toc.text import check_message
from fakes.wire import Handler, Refuse, Rule, Runtime, Secret, Session, Unit, rule

T = TypeVar("T", bound=type[Session])

# States: FLAPON (nothing received yet), SIGNON (the SIGNON frame comes next), LOGIN (the sign-on
# command comes next), SIGNED (signed on, but not online yet), ONLINE, PAUSED.
_BEFORE, _SIGNED, _ONLINE = "LOGIN", "SIGNED ONLINE", "ONLINE"
_AOL, _TOC2 = "TOC 1.0, client commands", "TOC2, client commands"

VERBS: dict[str, Rule] = {
    "FLAPON": rule("FLAPON", "TOC 1.0, sign-on", then="SIGNON"),
    "SIGNON": rule("SIGNON", "TOC 1.0, SFLAP", then="LOGIN"),
    "SIGNOFF": rule("LOGIN SIGNED ONLINE PAUSED", "TOC 1.0, SFLAP"),
    "KEEP_ALIVE": rule("LOGIN SIGNED ONLINE PAUSED", "TOC 1.0, SFLAP"),
    "toc_signon": rule(_BEFORE, "TOC 1.0, sign-on", then="SIGNED"),
    "toc2_signon": rule(_BEFORE, "TOC2, sign-on", then="SIGNED"),
    "toc2_login": rule(_BEFORE, "TOC2, sign-on", then="SIGNED"),
    "toc_init_done": rule("SIGNED", "TOC 1.0, sign-on", then="ONLINE"),
    "toc_set_config": rule(_SIGNED, _AOL),
    "toc_add_buddy": rule(_SIGNED, _AOL),
    "toc_remove_buddy": rule(_SIGNED, _AOL),
    "toc_add_permit": rule(_SIGNED, _AOL),
    "toc_add_deny": rule(_SIGNED, _AOL),
    "toc_set_away": rule(_SIGNED, _AOL),
    "toc_set_idle": rule(_SIGNED, _AOL),
    "toc_set_info": rule(_SIGNED, _AOL),
    "toc_set_dir": rule(_SIGNED, _AOL),
    "toc_set_caps": rule(_SIGNED, _AOL),
    "toc_format_nickname": rule(_SIGNED, _AOL),
    "toc_change_passwd": rule(_SIGNED, _AOL),
    "toc_send_im": rule(_ONLINE, _AOL),
    "toc_get_status": rule(_ONLINE, _AOL),
    "toc_get_info": rule(_ONLINE, _AOL),
    "toc_get_dir": rule(_ONLINE, _AOL),
    "toc_dir_search": rule(_ONLINE, _AOL),
    "toc_evil": rule(_ONLINE, _AOL),
    "toc_chat_join": rule(_ONLINE, _AOL),
    "toc_chat_accept": rule(_ONLINE, _AOL),
    "toc_chat_send": rule(_ONLINE, _AOL),
    "toc_chat_whisper": rule(_ONLINE, _AOL),
    "toc_chat_invite": rule(_ONLINE, _AOL),
    "toc_chat_leave": rule(_ONLINE, _AOL),
    "toc_chat_send_enc": rule(_ONLINE, _TOC2),
    "toc_chat_whisper_enc": rule(_ONLINE, _TOC2),
    "toc2_send_im_enc": rule(_ONLINE, _TOC2),
    "toc2_client_event": rule(_ONLINE, _TOC2),
    "toc2_new_group": rule(_SIGNED, _TOC2),
    "toc2_del_group": rule(_SIGNED, _TOC2),
    "toc2_new_buddies": rule(_SIGNED, _TOC2),
    "toc2_remove_buddy": rule(_SIGNED, _TOC2),
    "toc2_add_permit": rule(_SIGNED, _TOC2),
    "toc2_remove_permit": rule(_SIGNED, _TOC2),
    "toc2_add_deny": rule(_SIGNED, _TOC2),
    "toc2_remove_deny": rule(_SIGNED, _TOC2),
    "toc2_set_pdmode": rule(_SIGNED, _TOC2),
}


@dataclass(frozen=True)
class Policy:
    """How strict the server is. The defaults follow AOL's document.

    Each field is a key of the world file's `[toc]` table.
    """

    init_done: float = 30.0  # seconds from the sign-on to toc_init_done; 0: no limit
    reject_second_init_done: bool = True  # a second toc_init_done drops the connection
    sequence: bool = True  # a gap in the client's sequence numbers drops the connection
    command: int = frames.COMMAND_LIMIT  # bytes; a longer command drops the connection
    unavailable: bool = True  # answer 901 to an IM for an offline user; later servers send nothing
    rate_limit: bool = False  # answer 903 to a client that sends too fast
    keep_alive: float = 0.0  # seconds between keep-alives; 0: none, as some clients fail on them
    one_frame_per_write: bool = True  # for clients that read header and payload with one recv each


def with_all_handlers(core: T) -> T:
    """Class decorator. Raises TypeError if the legality table and the handlers do not agree."""
    methods = {name.removeprefix("do_") for name in dir(core) if name.startswith("do_")}
    for verb in core.verbs:
        if verb not in methods and verb not in COMMANDS:
            raise TypeError(
                f"{core.__name__}: {verb}: the verb is in the legality table but has no handler; "
                f"write a function {verb} in fakes/toc/commands, or a method do_{verb}"
            )
    for verb in sorted(methods | set(COMMANDS)):
        if verb not in core.verbs:
            raise TypeError(
                f"{core.__name__}: {verb}: the verb has a handler but no row in the legality "
                "table; add one to VERBS"
            )
    return core


@with_all_handlers
class Toc(Session):
    """One TOC connection, from FLAPON to the end of the session."""

    protocol: ClassVar[str] = "toc"
    states: ClassVar[str] = "FLAPON SIGNON LOGIN SIGNED ONLINE PAUSED"
    upgrades_to: ClassVar[tuple[type[Session], ...]] = (Http,)
    verbs: ClassVar[dict[str, Rule]] = VERBS

    def __init__(self, runtime: Runtime, aim: Aim, policy: Policy | None = None) -> None:
        super().__init__(runtime)
        self.aim = aim
        self.policy = policy or Policy()
        self.output.coalesce = not self.policy.one_frame_per_write
        self.form = Form.TOC1  # the client shows its form by the command that it signs on with
        self.rate = RateLimiter(runtime.now())
        self._presence: Presence | None = None
        self._reader = units.FrameReader(
            aim, check_sequence=self.policy.sequence, longest=self.policy.command
        )
        # The last sequence number sent. Any start is legal, so clients must not rely on one.
        self._sent = int(runtime.token(4), 36)
        self._first_argument = ""  # of the command being handled: some errors repeat it

    @property
    def presence(self) -> Presence:
        """The session as the service sees it. It exists from the sign-on to the end."""
        assert self._presence is not None
        return self._presence

    # ── from bytes to commands ───────────────────────────────────────────────

    def next_unit(self) -> Unit | None:
        if self.state != "FLAPON":
            unit = self._reader.next(self.buffer, self.user)
        elif units.speaks_http(self.buffer):
            self.hand_over_to(Http(self.runtime, Pages(self.aim)))
            return None
        else:
            unit = units.opening(self.buffer)
        self._first_argument = units.first_argument(unit) if unit is not None else ""
        return unit

    def secrets_in_fragment(self, raw: bytes) -> tuple[Secret, ...]:
        return units.secrets_in_fragment(raw)

    # ── dispatch and refusals ────────────────────────────────────────────────

    def handler(self, verb: str) -> Handler:
        """Returns what handles a verb: a function of `commands`, or a method of this class."""
        if verb in COMMANDS:
            return partial(COMMANDS[verb], self)
        return super().handler(verb)

    def unknown(self, unit: Unit) -> Refuse:
        if self.state in ("FLAPON", "SIGNON", "LOGIN"):
            return Drop("a sign-on comes first")
        return Ignored(f"unknown command {unit.verb}")

    def wrong_state(self, unit: Unit) -> Refuse:
        if self.state == "PAUSED":
            return Ignored("the server has paused")
        if self.state in ("FLAPON", "SIGNON", "LOGIN"):
            return Drop("a sign-on comes first")
        if unit.verb == "toc_init_done" and not self.policy.reject_second_init_done:
            return Ignored("already received in this session")
        if unit.verb in SIGN_ONS or unit.verb in ("SIGNON", "toc_init_done"):
            return Drop("already received in this session")
        return Ignored("not online yet: toc_init_done comes first")

    def refused(self, refusal: Refuse) -> None:
        if isinstance(refusal, Drop):
            self.note(dropped=refusal.reply)
            self.close()
        elif isinstance(refusal, Ignored):
            self.note(ignored=refusal.reply)
        else:
            self.say(refusal.reply, refusal.section)
            if messages.is_final(refusal.reply):
                self.close()

    def scripted_reply(self, text: str) -> None:
        """Sends the text of a `reply` fault. A bare number becomes an ERROR message.

        `toc_send_im reply 901` names the user that the command named, as the real error does.
        Raises ValueError for a text that cannot be a message.
        """
        if re.fullmatch("[0-9]{3}", text):
            code = int(text)
            text = error(code, *([self._first_argument] if code in messages.NAMING else []))
        else:
            check_message(text)
        self.refused(Refuse(text))

    # ── output ───────────────────────────────────────────────────────────────

    def say(self, message: str, section: str = "") -> None:
        """Sends a message, which fits into one frame (`messages.is_too_long`), to the client."""
        # Clients end a string at a NUL, so a NUL inside a message would hide what follows.
        text = message.encode("latin-1", "replace").replace(b"\0", b"")
        self._send_frame(frames.DATA, text, section)

    def _send_frame(self, kind: int, payload: bytes, section: str = "") -> None:
        assert len(payload) <= frames.MESSAGE_LIMIT, f"{len(payload)} bytes: {payload[:40]!r}"
        self._sent = (self._sent + 1) % 65536
        raw = frames.Frame(kind, self._sent, payload).packed()
        self.send(raw, section, (frames.HEADER, len(raw)))

    # ── sign-on ──────────────────────────────────────────────────────────────

    def do_FLAPON(self, unit: Unit) -> None:
        """Answers the client's first bytes with the server's SIGNON frame."""
        self._send_frame(frames.SIGNON, frames.signon())

    def do_SIGNON(self, unit: Unit) -> None:
        """Checks the client's SIGNON frame."""
        if frames.signon_name(unit.content) is None:
            raise Drop("a SIGNON frame holds version 1 and a TLV with the name")
        # The name in this frame is not trusted: the sign-on command says who the user is.

    def do_toc_signon(self, unit: Unit) -> None:
        """`host port user password language version …`: sign on, and send the stored lists."""
        _, _, name, password, *_ = arguments(unit, 4)
        self.form = Form(unit.verb)
        account = self.aim.authenticate(name, unroast(password))
        if account is None:
            raise Refuse(error(messages.WRONG_LOGIN))
        if self.facts.crowded:
            raise Refuse(error(messages.SERVICE_IS_DOWN))
        door = ClientDoor(self)
        self._presence = self.aim.sign_on(account, door, stored=self.form is not Form.TOC1)
        self.user = account.screen_name
        self.note(user=self.user)
        self.say(messages.sign_on(self.form))
        for message in messages.greeting(account, self.form):
            self.say(message)
        self._expect_init_done()
        self._plan_keep_alive()

    do_toc2_signon = do_toc2_login = do_toc_signon

    def do_toc_init_done(self, unit: Unit) -> None:
        """Makes the user visible: it has sent its lists."""
        self.timers.cancel("init_done")
        self.aim.go_online(self.presence)

    def _expect_init_done(self) -> None:
        if self.policy.init_done:
            self.timers.at("init_done", self.runtime.now() + self.policy.init_done, self.close)

    # ── the rest of the session ──────────────────────────────────────────────

    def do_KEEP_ALIVE(self, unit: Unit) -> None:
        """Does nothing: a keep-alive only keeps the connection busy."""

    def do_SIGNOFF(self, unit: Unit) -> None:
        """Ends the session. A client may also just close the connection."""
        self.close()

    def _plan_keep_alive(self) -> None:
        if self.policy.keep_alive:
            self.timers.at(
                "keep_alive", self.runtime.now() + self.policy.keep_alive, self._keep_alive
            )

    def _keep_alive(self) -> None:
        self._send_frame(frames.KEEP_ALIVE, b"")
        self._plan_keep_alive()

    def pause(self, seconds: float) -> None:
        """Sends PAUSE, and ignores the client for that many seconds."""
        self.say("PAUSE")
        self.aim.sign_off(self.presence)
        self.state = "PAUSED"
        self.timers.cancel("init_done")
        self.timers.at("resume", self.runtime.now() + seconds, self._end_pause)

    def _end_pause(self) -> None:
        """Begins again: after a new SIGN_ON the client sends its lists and toc_init_done again."""
        account, door = self.presence.account, self.presence.door
        if self.aim.sessions.of(account.screen_name):  # the user has signed on elsewhere meanwhile
            self.close()
            return
        self._presence = self.aim.sign_on(account, door, stored=self.form is not Form.TOC1)
        self.state = "SIGNED"
        self.say(messages.sign_on(self.form))
        self._expect_init_done()

    def end_replaced(self) -> None:
        """Ends this session because the same name has signed on again."""
        self._presence = None  # the service has forgotten this session already
        self.close()

    def abandoned(self) -> None:
        if self._presence is not None:
            self.aim.sign_off(self._presence)
            self._presence = None
