"""A TOC server's side of one connection: TOC 1.0 as AOL's document has it, TOC2 as its clients showed it.

Read the legality table first; then one handler a command. Commands work, messages answer: `messages.py` writes them.
What AOL's document leaves open is settled here: a command that cannot be parted into words, lacks an argument, or comes
before the sign-on drops the connection; one that only those on line may use is ignored until `toc_init_done`; unknown
words that begin with `toc` are ignored always, since later clients have words of their own.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

from fakes.http import Http
from fakes.toc import frames, messages
from fakes.toc.aim import Aim
from fakes.toc.arguments import Malformed, words
from fakes.toc.lists import FIRST_GROUP, add, fold, is_name
from fakes.toc.masks import NOT_READABLE, SECRETIVE, SIGN_ONS, masks
from fakes.toc.messages import Form, error
from fakes.toc.pages import DIRECTORY, PROFILE, Pages, url
from fakes.toc.presence import Im, Presence, Status, Unavailable
from fakes.toc.roasting import unroast
from fakes.toc.rooms import EXCHANGE, Room
from fakes.toc.speed import Meter
from fakes.wire import Refuse, Rule, Runtime, Secret, Session, Unit, rule

ALIASES = {"toc2_send_im": "toc_send_im"}  # one command under two names: one row, one place for faults
_VERBS = {frames.SIGNON: "SIGNON", frames.SIGNOFF: "SIGNOFF", frames.KEEP_ALIVE: "KEEP_ALIVE"}
_COMMAND = re.compile(r"[ \t\r\n]*([^ \t\r\n]*)[ \t\r\n]*(.*)", re.S)


class Drop(Refuse):
    """The connection is dropped, without a word."""


class Ignored(Refuse):
    """Nothing happens."""


@dataclass(frozen=True)
class Policy:
    """How strict this server is, and how AOL's was; a test may want another."""

    init_done: float = 30.0  # seconds from the sign-on to toc_init_done; 0: no limit
    one_init_done: bool = True  # a second one drops the connection
    sequence: bool = True  # a gap in the client's frames drops the connection
    command: int = frames.COMMAND  # octets; more drops the connection
    unavailable: bool = True  # 901 to who writes to somebody off line; later servers say nothing
    rate_limit: bool = False  # 903 to who writes too fast
    keep_alive: float = 0.0  # seconds between frames that only keep the line busy; 0: none, since clients stumble on them
    one_frame_a_write: bool = True  # clients that read header and payload at one go need it


_BEFORE, _SIGNED, _ONLINE = "LOGIN", "SIGNED ONLINE", "ONLINE"
_AOL, _TOC2 = "TOC 1.0, client commands", "TOC2, client commands"


class Toc(Session):
    """One TOC connection, and the door of whoever signs on through it.

    States: FLAPON (nothing has come), SIGNON (the frame of that type is next), LOGIN (a sign-on command is), SIGNED (and
    not yet on line), ONLINE, PAUSED.
    """

    protocol: ClassVar[str] = "toc"
    states: ClassVar[str] = "FLAPON SIGNON LOGIN SIGNED ONLINE PAUSED"
    upgrades_to: ClassVar[tuple[type[Session], ...]] = (Http,)
    verbs: ClassVar[dict[str, Rule]] = {
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

    def __init__(self, runtime: Runtime, aim: Aim, policy: Policy | None = None) -> None:
        super().__init__(runtime)
        self.aim = aim
        self.policy = policy or Policy()
        self.output.coalesce = not self.policy.one_frame_a_write
        self.state = "FLAPON"
        self.form = Form.TOC1
        self._presence: Presence | None = None
        self._meter = Meter(runtime.now())
        self._sent = int(runtime.token(4), 36)  # the last sequence number of ours; any start will do
        self._came: int | None = None  # the last one of the client's
        self._about = ""  # the first argument of the command in hand: what an error may have to name

    @property
    def presence(self) -> Presence:
        """Whoever is signed on here; the legality table lets no handler ask earlier."""
        assert self._presence is not None
        return self._presence

    # ── units ────────────────────────────────────────────────────────────────────────────────────────────────────

    def next_unit(self) -> Unit | None:
        if self.state == "FLAPON":
            return self._next_opening()
        if self.buffer and not self.buffer.startswith(b"*"):
            return self._broken(1, "no frame begins like this")
        frame = frames.first(self.buffer)
        if frame is None:
            return None
        raw = frame.packed()
        del self.buffer[: len(raw)]
        step = 1 if self._came is None else (frame.sequence - self._came) % 65536
        self._came = frame.sequence
        unit = self._read(frame, raw)
        if step != 1:
            unit.fields["step"] = step
            if self.policy.sequence:
                unit.verb, unit.refusal = "", Drop(f"the sequence number is {step} further, not 1")
        return unit

    def _next_opening(self) -> Unit | None:
        """FLAPON, or something else that this port speaks; decided at the first octet that tells them apart."""
        for opening in frames.FLAPON:
            if self.buffer.startswith(opening):
                del self.buffer[: len(opening)]
                return Unit(opening, "FLAPON", visible=(0, len(b"FLAPON")))
        come = bytes(self.buffer[: len(frames.FLAPON[0])])
        alike = next(n for n in range(len(come), -1, -1) if any(one.startswith(come[:n]) for one in frames.FLAPON))
        if alike == len(come):
            return None
        if alike < len(b"FLAP"):
            self.hand_over_to(Http(self.runtime, Pages(self.aim)))
            return None
        return self._broken(alike + 1, "FLAPON is followed by an empty line")

    def _broken(self, length: int, why: str) -> Unit:
        raw = bytes(self.buffer[:length])
        del self.buffer[:length]
        return Unit(raw, "", refusal=Drop(why))

    def _read(self, frame: frames.Frame, raw: bytes) -> Unit:
        """A frame as a unit: its value is the words behind the verb, or why there are none."""
        visible = (frames.HEADER, len(raw))
        self._about = ""
        if frame.type in _VERBS:
            return Unit(raw, _VERBS[frame.type], content=frame.payload, visible=visible)
        if frame.type != frames.DATA:
            return Unit(raw, "", refusal=Drop(f"there is no frame of type {frame.type}"), visible=visible)
        command = frame.payload.rstrip(b"\0")
        text = command.decode("latin-1")
        verb, arg = _COMMAND.match(text).groups()  # type: ignore[union-attr]  # it matches any text
        unit = Unit(raw, ALIASES.get(verb, verb), arg, visible=(frames.HEADER, frames.HEADER + len(command)))
        try:
            said = words(text)[1:]
        except Malformed as error:
            unit.refusal = Drop(str(error))
            said = []
        else:
            unit.content = said
            self._about = said[0].text if said else ""
        if verb.lower() in SECRETIVE:
            unit.secrets = tuple(masks(verb.lower(), text, said, self.aim, self.user))
        if len(command) > self.policy.command:
            unit.verb, unit.refusal = "", Drop(f"a command of {len(command)} octets; {self.policy.command} is the limit")
        elif not verb.startswith("toc"):
            unit.verb, unit.refusal = "", Drop("a command begins with toc")
        return unit

    def secrets_in_fragment(self, raw: bytes) -> tuple[Secret, ...]:
        verb = _COMMAND.match(raw[frames.HEADER :].decode("latin-1"))[1]  # type: ignore[index]  # it matches any text
        start = raw.find(verb.encode("latin-1")) + len(verb)
        return (Secret(start, len(raw), NOT_READABLE),) if verb.lower() in SECRETIVE and start < len(raw) else ()

    # ── dispatch ─────────────────────────────────────────────────────────────────────────────────────────────────

    def unknown(self, unit: Unit) -> Refuse:
        if self.state in ("FLAPON", "SIGNON", "LOGIN"):
            return Drop("a sign-on comes first")
        return Ignored(f"there is no command {unit.verb}")

    def wrong_state(self, unit: Unit) -> Refuse:
        if self.state == "PAUSED":
            return Ignored("the server has paused")
        if self.state in ("FLAPON", "SIGNON", "LOGIN"):
            return Drop("a sign-on comes first")
        if unit.verb == "toc_init_done" and not self.policy.one_init_done:
            return Ignored("once was enough")
        if unit.verb in SIGN_ONS or unit.verb in ("SIGNON", "toc_init_done"):
            return Drop("once was enough")
        return Ignored("not on line yet: toc_init_done comes first")

    def refused(self, refusal: Refuse) -> None:
        if isinstance(refusal, Drop):
            self.note(dropped=refusal.reply)
            self.close()
        elif isinstance(refusal, Ignored):
            self.note(ignored=refusal.reply)
        else:
            self._say(refusal.reply, refusal.section)
            if messages.is_final(refusal.reply):
                self.close()

    def scripted_reply(self, text: str) -> None:
        """`toc_send_im reply 901` names whom the command names; any other text is said as it stands."""
        if re.fullmatch("[0-9]{3}", text):
            text = error(int(text), *([self._about] if int(text) in messages.NAMING else []))
        self.refused(Refuse(text))

    def abandoned(self) -> None:
        if self._presence is not None:
            self.aim.sign_off(self._presence)
            self._presence = None

    def _send_frame(self, kind: int, payload: bytes, section: str = "") -> None:
        assert len(payload) <= frames.MESSAGE, f"a message of {len(payload)} octets: {payload[:40]!r}"
        self._sent = (self._sent + 1) % 65536
        raw = frames.Frame(kind, self._sent, payload).packed()
        self.send(raw, section, (frames.HEADER, len(raw)))

    def _say(self, message: str, section: str = "") -> None:
        text = message.encode("latin-1", "replace").replace(b"\0", b"")  # clients would end their string there
        self._send_frame(frames.DATA, text, section)

    def _arguments(self, unit: Unit, least: int = 0) -> list[str]:
        """The words behind the verb. Raises Drop when there are none to be had, or too few."""
        said = [word.text for word in unit.content]
        if len(said) < least:
            raise Drop(f"{unit.verb} needs {least} argument(s)")
        return said

    def _number(self, text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise Drop(f"{text!r} is no number")
        return int(text)

    # ── sign-on ──────────────────────────────────────────────────────────────────────────────────────────────────

    def do_FLAPON(self, unit: Unit) -> None:
        self.state = "SIGNON"
        self._send_frame(frames.SIGNON, frames.signon())

    def do_SIGNON(self, unit: Unit) -> None:
        if frames.signon_name(unit.content) is None:
            raise Drop("a SIGNON frame holds version 1 and a TLV with the name")
        self.state = "LOGIN"  # the name is not trusted: the command that follows says who it is

    def do_toc_signon(self, unit: Unit) -> None:
        said = self._arguments(unit, 4)
        self.form = Form(unit.verb)
        account = self.aim.authenticate(said[2], unroast(said[3]))
        if account is None:
            raise Refuse(error(messages.WRONG_LOGIN))
        if self.facts.crowded:
            raise Refuse(error(messages.SERVICE_IS_DOWN))
        self._presence = self.aim.sign_on(account, self, stored=self.form is not Form.TOC1)
        self.user, self.state = account.screen_name, "SIGNED"
        self.note(user=self.user)
        self._say(messages.sign_on(self.form))
        nick, lists = f"NICK:{account.screen_name}", account.lists
        for message in [f"CONFIG:{lists.text}", nick] if self.form is Form.TOC1 else [nick, f"CONFIG2:{lists.config2}"]:
            self._say(message)
        self._await_init_done()
        self._plan_keep_alive()

    do_toc2_signon = do_toc2_login = do_toc_signon

    def _await_init_done(self) -> None:
        if self.policy.init_done:
            self.timers.at("init_done", self.runtime.now() + self.policy.init_done, self.close)

    def _plan_keep_alive(self) -> None:
        if self.policy.keep_alive:
            self.timers.at("keep_alive", self.runtime.now() + self.policy.keep_alive, self._keep_alive)

    def _keep_alive(self) -> None:
        self._send_frame(frames.KEEP_ALIVE, b"")
        self._plan_keep_alive()

    def do_toc_init_done(self, unit: Unit) -> None:
        self.timers.cancel("init_done")
        self.state = "ONLINE"
        self.aim.appear(self.presence)

    def do_SIGNOFF(self, unit: Unit) -> None:
        self.close()

    def do_KEEP_ALIVE(self, unit: Unit) -> None:
        """It was traffic, and that is all that it is for."""

    # ── messages ─────────────────────────────────────────────────────────────────────────────────────────────────

    def do_toc_send_im(self, unit: Unit) -> None:
        to, text, *rest = self._arguments(unit, 2)
        self._deliver(to, text, auto=rest[:1] == ["auto"])

    def do_toc2_send_im_enc(self, unit: Unit) -> None:
        to, _, encoding, language, text, *rest = self._arguments(unit, 5)
        self._deliver(to, text, rest[:1] == ["auto"], *_encoded(encoding, language))

    def _deliver(self, to: str, text: str, auto: bool, encoding: str = "L", language: str = "en") -> None:
        if self.policy.rate_limit and not self._meter.passes(self.runtime.now()):
            raise Refuse(error(messages.TOO_FAST))
        try:
            self.aim.send(
                self.presence, to, text.encode("latin-1"), auto=auto, encoding=encoding, language=language
            )  # fmt: skip
        except Unavailable:
            if self.policy.unavailable:
                raise Refuse(error(messages.UNAVAILABLE, to)) from None

    def do_toc2_client_event(self, unit: Unit) -> None:
        to, event, *_ = self._arguments(unit, 2)
        if event not in ("0", "1", "2"):
            raise Drop("a client event is 0, 1 or 2")
        with contextlib.suppress(Unavailable):  # nobody complains of a keystroke that was not seen
            self.aim.reachable(self.presence, to).door.on_typing(self.presence.name, int(event))

    def do_toc_evil(self, unit: Unit) -> None:
        whom, how, *_ = self._arguments(unit, 2)
        if how not in ("norm", "anon"):
            raise Drop("one warns norm or anon")
        try:
            self.aim.warn(self.presence, whom, how == "anon")
        except Unavailable:
            raise Refuse(error(messages.CANNOT_WARN, whom)) from None

    def _reachable(self, name: str) -> Presence:
        """Somebody on line. Raises Refuse."""
        try:
            return self.aim.reachable(self.presence, name)
        except Unavailable:
            raise Refuse(error(messages.UNAVAILABLE, name)) from None

    # ── what others are told of him ──────────────────────────────────────────────────────────────────────────────

    def do_toc_set_away(self, unit: Unit) -> None:
        said = self._arguments(unit)
        with self.aim.changing(self.presence, news=True):
            self.presence.away = said[0] if said else ""

    def do_toc_set_idle(self, unit: Unit) -> None:
        seconds = self._number(self._arguments(unit, 1)[0])
        with self.aim.changing(self.presence, news=True):
            self.presence.idle_since = self.runtime.now() - seconds if seconds else None

    def do_toc_set_caps(self, unit: Unit) -> None:
        said = [one for word in self._arguments(unit) for one in word.split(",") if one]
        with self.aim.changing(self.presence, news=True):
            self.presence.capabilities = tuple(_capability(one) for one in said)

    def do_toc_set_info(self, unit: Unit) -> None:
        self.presence.account.profile = self._arguments(unit, 1)[0]

    def do_toc_set_dir(self, unit: Unit) -> None:
        fields = self._arguments(unit, 1)[0].split(":")
        self.presence.account.directory = tuple(field.strip('"') for field in fields[:9])
        self._say("DIR_STATUS:0")

    def do_toc_format_nickname(self, unit: Unit) -> None:
        name = " ".join(self._arguments(unit, 1))
        if fold(name) != fold(self.user) or not is_name(name):
            raise Refuse(error(messages.INVALID_INPUT))
        self.presence.account.screen_name = self.user = name
        self._say("ADMIN_NICK_STATUS:0")
        self._say(f"NICK:{name}")

    def do_toc_change_passwd(self, unit: Unit) -> None:
        old, new, *_ = self._arguments(unit, 2)
        if not self.aim.authenticate(self.user, old.encode("latin-1")) or not new:
            raise Refuse(error(messages.INVALID_INPUT))
        self.presence.account.password = new
        self._say("ADMIN_PASSWD_STATUS:0")

    # ── what he is told of others ────────────────────────────────────────────────────────────────────────────────

    def do_toc_get_status(self, unit: Unit) -> None:
        self.on_status(self._reachable(self._arguments(unit, 1)[0]).status(self.runtime.now()))

    def do_toc_get_info(self, unit: Unit) -> None:
        name = self._arguments(unit, 1)[0]
        self._reachable(name)
        self._go_to("profile", PROFILE, name)

    def do_toc_get_dir(self, unit: Unit) -> None:
        account = self.aim.known.find(self._arguments(unit, 1)[0])
        if account is None or not account.directory:
            raise Refuse(error(messages.NO_DIRECTORY_ENTRY))
        self._go_to("directory info", DIRECTORY, account.screen_name)

    def do_toc_dir_search(self, unit: Unit) -> None:
        raise Refuse(error(messages.DIRECTORY_IS_DOWN))

    def _go_to(self, window: str, page: str, name: str) -> None:
        self.presence.cookie = self.presence.cookie or self.runtime.token(16)
        self._say(f"GOTO_URL:{window}:{url(page, self.presence, name)}")

    def do_toc_add_buddy(self, unit: Unit) -> None:
        self._watch(self._arguments(unit))

    def do_toc_remove_buddy(self, unit: Unit) -> None:
        self.presence.unwatch(self._arguments(unit))

    def _watch(self, names: list[str]) -> None:
        new = self.presence.watch(names)
        if self.presence.visible:
            self.aim.show(self.presence, new)

    # ── his lists ────────────────────────────────────────────────────────────────────────────────────────────────

    def do_toc_set_config(self, unit: Unit) -> None:
        with self.aim.changing(self.presence):
            self.presence.account.lists.text = _unwrapped(" ".join(self._arguments(unit)))

    def do_toc_add_permit(self, unit: Unit) -> None:
        names = [name for name in self._arguments(unit) if name]
        self._permit(lambda: self.presence.permissions.permit(names))

    def do_toc_add_deny(self, unit: Unit) -> None:
        names = [name for name in self._arguments(unit) if name]
        self._permit(lambda: self.presence.permissions.deny(names))

    def do_toc2_add_permit(self, unit: Unit) -> None:
        names = self._arguments(unit)
        self._permit(lambda: add(self.presence.permissions.permitted, names))

    def do_toc2_remove_permit(self, unit: Unit) -> None:
        names = self._arguments(unit)
        self._permit(lambda: _remove(self.presence.permissions.permitted, names))

    def do_toc2_add_deny(self, unit: Unit) -> None:
        names = self._arguments(unit)
        self._permit(lambda: add(self.presence.permissions.denied, names))

    def do_toc2_remove_deny(self, unit: Unit) -> None:
        names = self._arguments(unit)
        self._permit(lambda: _remove(self.presence.permissions.denied, names))

    def do_toc2_set_pdmode(self, unit: Unit) -> None:
        mode = self._arguments(unit, 1)[0]
        if mode not in ("1", "2", "3", "4", "5"):
            raise Drop("a mode is 1 to 5")
        self._permit(lambda: setattr(self.presence.permissions, "mode", int(mode)))

    def do_toc2_new_group(self, unit: Unit) -> None:
        self._new_group(_line(" ".join(self._arguments(unit, 1))))

    def _new_group(self, group: str) -> None:
        self._edit(lambda: self.presence.account.lists.groups.setdefault(group, {}), about=group)

    def do_toc2_del_group(self, unit: Unit) -> None:
        group = _line(" ".join(self._arguments(unit, 1)))
        self._edit(lambda: self.presence.account.lists.groups.pop(group, None))

    def do_toc2_new_buddies(self, unit: Unit) -> None:
        group = FIRST_GROUP
        for line in _unwrapped(" ".join(self._arguments(unit, 1))).split("\n"):
            kind, _, entry = line.strip("\r").partition(":")
            if kind == "g" and entry:
                group = entry
                self._new_group(group)
            elif kind == "b" and is_name(entry.partition(":")[0]):
                self._new_buddy(group, entry)

    def _new_buddy(self, group: str, entry: str) -> None:
        name = entry.partition(":")[0]
        known = self.presence.watches(name)
        self._edit(lambda: self.presence.account.lists.add_buddy(group, entry), about=name)
        if self.form is not Form.TOC1:
            self._say(f"NEW_BUDDY_REPLY2:{name}:added")
        if self.presence.visible and self.presence.watches(name) and not known:
            self.aim.show(self.presence, [name])

    def do_toc2_remove_buddy(self, unit: Unit) -> None:
        *said, last = self._arguments(unit, 2)
        lists, group = self.presence.account.lists, last
        for length in range(1, len(said)):  # one client writes the group without quotes, blanks and all
            longer = " ".join([*said[-length:], last])
            if longer in lists.groups:
                said, group = said[:-length], longer
                break
        self._edit(lambda: lists.remove_buddies(group, said))

    def _permit(self, edit: Callable[[], object]) -> None:
        """Changes whom he lets see him. In TOC 1.0 this ends with the session, and the stored text stays as it is."""
        if self.presence.stored:
            self._edit(edit)
        else:
            with self.aim.changing(self.presence):
                edit()

    def _edit(self, edit: Callable[[], object], about: str = "") -> None:
        """Changes his lists; whom it lets see him, or no longer, is told. Raises Refuse when there is no room."""
        with self.aim.changing(self.presence):
            room = self.presence.account.lists.change(edit)
        if not room:
            raise Refuse(error(messages.LIST_IS_FULL, *([about] if about else [])))

    # ── rooms ────────────────────────────────────────────────────────────────────────────────────────────────────

    def do_toc_chat_join(self, unit: Unit) -> None:
        exchange, *name = self._arguments(unit, 2)
        room = self.aim.rooms.named(" ".join(name)) if exchange == EXCHANGE else None
        if room is None or not self.aim.rooms.join(room, self.presence):
            raise Refuse(error(messages.NO_CHAT, " ".join(name)))

    def do_toc_chat_accept(self, unit: Unit) -> None:
        number = self._arguments(unit, 1)[0]
        room = self.aim.rooms.numbered(number)
        if room is None or not self.aim.rooms.join(room, self.presence):
            raise Refuse(error(messages.NO_CHAT, number))

    def do_toc_chat_send(self, unit: Unit) -> None:
        number, text, *_ = self._arguments(unit, 2)
        room = self._room(number)
        room.say(self._in_room(room, text))

    def do_toc_chat_send_enc(self, unit: Unit) -> None:
        number, encoding, text, *_ = self._arguments(unit, 3)
        room = self._room(number)
        room.say(self._in_room(room, text, encoding))

    def do_toc_chat_whisper(self, unit: Unit) -> None:
        number, to, text, *_ = self._arguments(unit, 3)
        self._whisper(self._room(number), to, text)

    def do_toc_chat_whisper_enc(self, unit: Unit) -> None:
        number, encoding, to, text, *_ = self._arguments(unit, 4)
        self._whisper(self._room(number), to, text, encoding)

    def _whisper(self, room: Room, to: str, text: str, encoding: str = "L") -> None:
        for person in room.people:
            if fold(person.name) == fold(to):
                person.door.on_room_text(room, self._in_room(room, text, encoding), whisper=True)
                return
        raise Refuse(error(messages.UNAVAILABLE, to))

    def _in_room(self, room: Room, text: str, encoding: str = "L") -> Im:
        return Im(self.runtime.now(), self.presence.name, room.name, text.encode("latin-1"), False, *_encoded(encoding, "en"))

    def do_toc_chat_invite(self, unit: Unit) -> None:
        number, text, *names = self._arguments(unit, 3)
        room = self._room(number)
        for name in names:
            try:
                self.aim.reachable(self.presence, name).door.on_invited(room, self.presence.name, text)
            except Unavailable:
                self._say(error(messages.UNAVAILABLE, name))

    def do_toc_chat_leave(self, unit: Unit) -> None:
        room = self._room(self._arguments(unit, 1)[0])
        self.aim.rooms.leave(room, self.presence)
        self.on_left(room)

    def _room(self, number: str) -> Room:
        """A room that he is in. Raises Refuse."""
        room = self.aim.rooms.numbered(number)
        if room is None or self.presence not in room.people:
            raise Refuse(error(messages.NO_CHAT, number))
        return room

    # ── his door (see presence.Door) ─────────────────────────────────────────────────────────────────────────────

    def on_im(self, im: Im) -> None:
        self._say(messages.im(im, self.form))
        self.when_written(lambda: self.aim.add_arrival(im))

    def on_status(self, status: Status) -> None:
        for message in messages.status(status, self.form):
            self._say(message)

    def on_warned(self, level: int, by: str) -> None:
        self._say(f"EVILED:{level}:{by}")

    def on_typing(self, name: str, event: int) -> None:
        if self.form is not Form.TOC1:
            self._say(f"CLIENT_EVENT2:{name}:{event}")

    def on_joined(self, room: Room) -> None:
        self._say(f"CHAT_JOIN:{room.number}:{room.name}")

    def on_left(self, room: Room) -> None:
        self._say(f"CHAT_LEFT:{room.number}")

    def on_people(self, room: Room, inside: bool, names: list[str]) -> None:
        for message in messages.room_people(room, inside, names):
            self._say(message)

    def on_room_text(self, room: Room, im: Im, whisper: bool) -> None:
        self._say(messages.room_text(room, im, whisper, self.form))

    def on_invited(self, room: Room, by: str, text: str) -> None:
        self._say(f"CHAT_INVITE:{room.name}:{room.number}:{by}:{text}")

    def on_replaced(self) -> None:
        self._presence = None
        self.close()

    def on_words(self, words: str) -> None:
        self._say(words)

    def on_pause(self, seconds: float) -> None:
        self._say("PAUSE")
        self.aim.sign_off(self.presence)
        self.state = "PAUSED"
        self.timers.cancel("init_done")
        self.timers.at("resume", self.runtime.now() + seconds, self._resume_session)

    def _resume_session(self) -> None:
        """TOC 1.0, PAUSE: a new SIGN_ON, then buddies, permissions and toc_init_done again."""
        account = self.presence.account
        if self.aim.sessions.of(account.screen_name):  # he has signed on anew elsewhere meanwhile
            self.close()
            return
        self._presence = self.aim.sign_on(account, self, stored=self.form is not Form.TOC1)
        self.state = "SIGNED"
        self._say(messages.sign_on(self.form))
        self._await_init_done()


def _encoded(encoding: str, language: str) -> tuple[str, str]:
    """An encoding and a language that can stand in a field. Raises Drop."""
    if encoding not in ("A", "L", "U") or not re.fullmatch(r"[A-Za-z-]{0,16}", language):
        raise Drop("an encoding is A, L or U, a language a short word")
    return encoding, language or "en"


def _unwrapped(text: str) -> str:
    """Some clients put quotes around the braces."""
    return text[1:-1] if text[:1] == "{" and text[-1:] == "}" else text


def _line(text: str) -> str:
    """The name of a group: one line, and something on it. Raises Drop."""
    if not text or "\n" in text or "\r" in text:
        raise Drop("a group has a name of one line")
    return text


def _remove(names: dict[str, str], gone: list[str]) -> None:
    for name in gone:
        names.pop(fold(name), None)


def _capability(text: str) -> str:
    """A capability as a UUID: one to four digits are a short form, the dashes may be missing."""
    digits = text.upper().replace("-", "")
    if re.fullmatch(r"[0-9A-F]{1,4}", digits):
        return f"0946{digits:0>4}-4C7F-11D1-8222-444553540000"
    if not re.fullmatch(r"[0-9A-F]{32}", digits):
        raise Drop(f"{text!r} is no capability")
    return "-".join([digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]])
