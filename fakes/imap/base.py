"""What all commands of IMAP use: how input is split into units, answers, and what is told unasked.

A command is one unit, or several if it has literals: `literal` for each piece up to a literal that
is announced, `.` for the message of APPEND, and then the command itself with the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from typing import Any, ClassVar, Literal, NamedTuple

from fakes.folders import Folders
from fakes.imap.commands import ARGUMENTS
from fakes.imap.grammar import Arguments, BadCommand, LenientArguments
from fakes.imap.names import decode_name
from fakes.imap.policy import BRINGS, MECHANISMS, NEEDS, Policy
from fakes.imap.reader import Announced, Command, Reader
from fakes.imap.view import View
from fakes.mailstore import Mailstore
from fakes.wire import Refuse, Runtime, Secret, Unit
from fakes.wire.lines import LONGEST_LINE, LineSession

LITERALS = 65_536  # bytes of all literals of a command but the message of APPEND
LITERALS_BEFORE_LOGIN = 4096
LITERAL_MINUS = 4096  # bytes of a literal without continuation under LITERAL- (RFC 7888 §5)
BATCH = 1 << 16  # bytes of untagged responses that are sent as one

# In these, a session keeps its numbers (RFC 3501 §7.4.1). Of the UID forms it need not.
_WITHOUT_REMOVALS = frozenset({"FETCH", "STORE", "SEARCH", "SORT", "THREAD"})
# These look for news of the selected mailbox, although they can do without one.
_LOOKING = frozenset({"NOOP", "IDLE", "APPEND"})


class Reply(NamedTuple):
    """OK, NO or BAD, a response code (RFC 3501 §7.1, RFC 5530) or "", and a text."""

    status: str
    code: str
    text: str


BAD = Reply("BAD", "", "Bad command")
UNKNOWN = Reply("BAD", "", "Unknown command")
NO = Reply("NO", "", "Cannot do that")
NO_MECHANISM = Reply("NO", "", "No such mechanism")
WRONG_CREDENTIALS = Reply("NO", "AUTHENTICATIONFAILED", "Authentication failed")
TLS_FIRST = Reply("NO", "PRIVACYREQUIRED", "Start TLS first")
TOO_BIG = Reply("NO", "TOOBIG", "The message is too big")
_ENDED = "The selected mailbox is not available any more"
_DROPPED = object()  # the problem of a command that a fault has answered


class _Parsed(NamedTuple):
    """A command that has been read up to its verb, with what the handler has to read."""

    tag: str
    arguments: Arguments


class ImapBase(LineSession):
    """The part of an IMAP connection that knows no command."""

    protocol: ClassVar[str] = "imap"
    needs_input: ClassVar[bool] = False  # APPEND is a unit after the message that it brings
    idle_timeout: ClassVar[float] = 1800.0  # seconds; at least 30 minutes (RFC 3501 §5.4)
    unauthenticated: ClassVar[str] = "NOT-AUTHENTICATED"
    auth_section: ClassVar[str] = "RFC 3501 §6.2.2"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {*BRINGS, *MECHANISMS, *(f"AUTH={name}" for name in MECHANISMS)}
    )

    def __init__(self, runtime: Runtime, store: Mailstore, policy: Policy | None = None) -> None:
        super().__init__(runtime, store.people, store.host)
        self.store = store
        self.policy = policy or Policy()
        off = self.policy.off | self.lacking()
        off |= {one for one, other in NEEDS.items() if other in off}
        self._off = off | {name.removeprefix("AUTH=") for name in off if name[:5] == "AUTH="}
        # A capability that is off removes its commands.
        self._missing = {verb for name in self._off for verb in BRINGS.get(name, ())}
        self.view: View | None = None  # the selected mailbox
        self.utf8 = False  # UTF8=ACCEPT is enabled
        self._reader = Reader(self.buffer)
        self._in_records = 0  # bytes of the current command that are in the records already
        self._pending: Command | None = None  # APPEND, whose message was a unit of its own
        self._tag = ""  # of the command that is being handled; "": there is none, as in a greeting
        self._bad_in_a_row = 0
        self._bad_before_login = 0
        self._arguments = LenientArguments if self.policy.lenient_syntax else Arguments
        if self.policy.bare_lf:
            self.bare_lf = self._reader.bare_lf = True

    # ── units ────────────────────────────────────────────────────────────────

    def next_unit(self) -> Unit | None:
        if self._pending is not None:
            command, self._pending = self._pending, None
            return self._unit(command)
        if self.state in ("AUTH", "IDLE"):
            return self._next_line()
        while True:
            found = self._reader.next()
            if isinstance(found, Announced):
                problem = self._problem_of(found)
                if problem is None:
                    return self._literal_unit(found)
                self._reader.refuse(problem, swallow=not self._runs_literal(found))
            elif found is None:
                return None
            elif found.problem is _DROPPED:
                self._in_records = 0
            else:
                return self._command_unit(found)

    def _next_line(self) -> Unit | None:
        """The next unit where a line is no command."""
        line = self.next_line(LONGEST_LINE)
        if line is None:
            return None
        too_long = Refuse(BAD._replace(text="Line too long"), "RFC 3501 §2.2.1")
        if self.state == "AUTH":
            secrets = self.response_secret(line, 0)
            refusal = too_long if self.too_long else None
            return Unit(line, "response", secrets=secrets, refusal=refusal)
        if line.upper() == b"DONE\r\n":
            return Unit(line, "DONE")
        return Unit(line, "", refusal=Refuse(BAD._replace(text="Expected DONE"), "RFC 2177 §3"))

    def _literal_unit(self, announced: Announced) -> Unit:
        # Not `so_far` each time: copying all that came before takes quadratic time.
        raw = self._reader.read_since(self._in_records)
        is_secret = _SECRET.match(announced.line)
        secrets = self._secrets(self._reader.so_far()) if is_secret else ()
        self._in_records += len(raw)
        self._tag = _tag_of(announced.line)
        return Unit(raw, "literal", secrets=secrets)

    def do_literal(self, unit: Unit) -> None:
        """A literal is announced that is not refused."""
        announced = self._reader.next()
        assert isinstance(announced, Announced)
        self._reader.accept()
        if announced.is_sync:
            self.send(b"+ Ready for the literal\r\n", "RFC 3501 §7.5")

    def _command_unit(self, command: Command) -> Unit:
        """Returns the command, or first the message that APPEND brings."""
        last = max(command.literals, default=None)
        if last is not None and command.problem is None and _is_append(command.raw):
            start, end = command.literals[last]
            if start == self._in_records:
                self._pending, self._in_records = command, end
                return Unit(command.raw[start:end], ".")
        return self._unit(command)

    def do_end_of_data(self, unit: Unit) -> None:
        """The message of APPEND is complete. Nothing happens before the command is."""

    def _unit(self, command: Command) -> Unit:
        raw, secrets = command.raw[self._in_records :], self._secrets(command)
        self._in_records = 0
        if b"\n" in raw.replace(b"\r\n", b""):
            whole = Secret(0, len(raw) - 2, "unfinished")
            secrets = (whole,) if secrets else self.secrets_in_fragment(raw)
        arguments = self._arguments(command.raw, command.literals, self.utf8)
        self._tag = ""
        try:
            tag = arguments.tag()
            if arguments.next_is(b" ") or arguments.at_end():
                self._tag = tag  # else it has a character that no tag has, as in `a+ NOOP`
            verb = arguments.verb()
        except BadCommand as error:
            secrets = secrets or self.secrets_in_fragment(raw)
            return Unit(raw, "", secrets=secrets, refusal=_refusal(error))
        if not _name_of(verb):
            secrets = secrets or self.secrets_in_fragment(raw)
        refusal = command.problem
        if refusal is not None and not isinstance(refusal, Refuse):
            refusal = Refuse(BAD._replace(text=str(refusal)), "RFC 3501 §2.2.1")
        end = command.raw.find(b"\r\n", arguments.at)
        arg = command.raw[arguments.at + 1 : end].decode("utf-8", "surrogateescape")
        if verb in self.verbs and not _name_of(verb):
            return Unit(raw, "", secrets=secrets, refusal=Refuse(UNKNOWN, "RFC 3501 §6"))
        name = verb.replace(" ", "_")
        content = _Parsed(self._tag, arguments)
        return Unit(raw, name, arg, secrets, content=content, refusal=refusal)

    def _problem_of(self, announced: Announced) -> Refuse | None:
        """Why a literal is refused before it is sent, None if it is not."""
        arguments = Arguments(announced.line)
        try:
            arguments.tag()
            verb = _name_of(arguments.verb())
        except BadCommand as error:
            return _refusal(error)
        row = self.verbs.get(verb)
        if row is None or self.state not in row.states or not self.offers(verb):
            return Refuse(BAD, "RFC 3501 §6")  # the dispatcher says why
        if not announced.is_sync:
            if "LITERAL+" in self._off:
                text = "Literals without continuation are not offered"
                return Refuse(BAD._replace(text=text), "RFC 7888 §3")
            if self.policy.literal_minus and announced.size > LITERAL_MINUS:
                return Refuse(Reply("BAD", "TOOBIG", "The literal is too big"), "RFC 7888 §5")
        if verb == "APPEND":
            so_far = self._reader.so_far()
            message = self.message_announced(
                self._arguments(so_far.raw, so_far.literals, self.utf8, arguments.at),
                announced.size,
            )
            if message is not False:
                return message
        most = LITERALS_BEFORE_LOGIN if self.state == self.unauthenticated else LITERALS
        if announced.total > most:
            return Refuse(Reply("BAD", "TOOBIG", "The literal is too big"), "RFC 7888 §4")
        return None

    def _runs_literal(self, announced: Announced) -> bool:
        """Whether a literal that is refused is a line of its own."""
        if self.policy.unknown_literals == "swallow" or not self.user:
            return False
        arguments = Arguments(announced.line)
        try:
            arguments.tag()
            verb = _name_of(arguments.verb())
        except BadCommand:
            return False
        return verb not in self.verbs or not self.offers(verb)

    def message_announced(self, arguments: Arguments, size: int) -> Refuse | Literal[False] | None:
        """Why the announced message of APPEND is refused; False if the literal is not the message.

        `size` is that of the literal.
        """
        raise NotImplementedError

    # ── dispatch ─────────────────────────────────────────────────────────────

    def handler(self, verb: str) -> Any:
        names = {".": "end_of_data"}
        return getattr(self, "do_" + names.get(verb, verb))

    def permits(self, unit: Unit) -> None:
        if self.view is not None and self.view.ended and self._looks(unit.verb):
            # RFC 3501 has no other way to say that the selected mailbox is gone.
            self._bye(_ENDED)
            raise Refuse(BAD)

    def _looks(self, verb: str) -> bool:
        """Whether a command looks at the selected mailbox, if only for news."""
        row = self.verbs.get(verb)
        needs_it = row is not None and row.states == {"SELECTED"} and verb != "UNSELECT"
        return needs_it or verb in _LOOKING

    def offers(self, verb: str) -> bool:
        if verb == "STARTTLS" and self.policy.tls == "off" and self.tls is None:
            return False
        if verb in ("THREAD", "UID_THREAD"):
            return not {"THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES"} <= self._off
        return verb not in self._missing

    def unknown(self, unit: Unit) -> Refuse:
        return Refuse(UNKNOWN, "RFC 3501 §6")

    def wrong_state(self, unit: Unit) -> Refuse:
        text = "Select a mailbox first"
        if self.state == self.unauthenticated:
            text = "Log in first"
        elif self.verbs[unit.verb].states == {self.unauthenticated}:
            text = "You are logged in"
        return Refuse(BAD._replace(text=text), "RFC 3501 §3")

    def refused(self, refusal: Refuse) -> None:
        wrong_login = refusal.reply.code == WRONG_CREDENTIALS.code
        if wrong_login and self.policy.wrong_login_delay:
            self.delay(self.policy.wrong_login_delay, partial(self._refused, refusal))
        else:
            self._refused(refusal)

    def _refused(self, refusal: Refuse) -> None:
        if self.state == "AUTH":
            self.end_exchange()
        elif self.state == "IDLE":
            self._end_idle()
        if self.ending:
            return
        reply = refusal.reply
        if reply.status == "BAD" and not self.user and refusal.section != self.auth_section:
            self._bad_before_login += 1
            if self._bad_before_login == self.policy.bad_commands_before_login:
                self._bye("Too many bad commands")
                return
        self._answer(reply.status, reply.code, reply.text, refusal.section)
        if reply.status != "BAD":
            self._bad_in_a_row = 0
            return
        self._bad_in_a_row += 1
        if self._bad_in_a_row == self.policy.bad_commands:
            self._bye("Too many bad commands")

    def scripted_reply(self, text: str) -> None:
        """The command has no effect. A text without `* ` or `+ ` is the answer to the command."""
        greeting = self.current is None
        prefix = "* " if greeting else f"{self._tag or '*'} "
        line = text if text.startswith(("* ", "+ ")) else prefix + text
        self.send_lines(line)
        self.heard = self.runtime.now()
        if self.current is not None and self.current.verb == "literal":
            self._reader.refuse(_DROPPED)
        self._pending, self._in_records = None, 0
        if self.state == "AUTH":
            self.end_exchange()
        elif self.state == "IDLE":
            self._end_idle()
        if line.upper().startswith("* BYE") or (greeting and not line.startswith("* OK")):
            self.close()

    def _end_idle(self) -> None:
        self.state = "AUTHENTICATED"
        if self.view is not None:
            self.state, self.view.is_idle = "SELECTED", False

    def _read(self, unit: Unit) -> Any:
        """Returns the arguments of a command as a value. Raises Refuse."""
        try:
            return ARGUMENTS[unit.verb.replace("_", " ")](unit.content.arguments)
        except BadCommand as error:
            if self.policy.fewer_codes:
                error.code = error.code.partition(" ")[0]  # BADCHARSET
            takes_none = ARGUMENTS[unit.verb.replace("_", " ")] is Arguments.end
            if takes_none and self.policy.lenient_syntax:
                return None
            if unit.verb in (
                "LOGIN",
                "AUTHENTICATE",
            ):  # the text may show what is wrong: a password
                error.text = "Bad arguments"
            raise _refusal(error) from None

    # ── answers ──────────────────────────────────────────────────────────────

    def _untagged(self, *responses: bytes, section: str = "") -> None:
        if responses:
            self.send(b"".join(b"* %b\r\n" % response for response in responses), section)

    def _send_all(self, responses: Iterable[bytes], section: str) -> None:
        """Sends untagged responses, of which there may be many."""
        batch: list[bytes] = []
        size = 0
        for response in responses:
            batch.append(response)
            size += len(response)
            if size > BATCH:
                self._untagged(*batch, section=section)
                batch.clear()
                size = 0
        self._untagged(*batch, section=section)

    def _answer(self, status: str, code: str, text: str, section: str = "") -> None:
        """Sends news, and the tagged answer. Without a tag, that is untagged."""
        if self.current is not None:
            verb = self.current.verb
            self._tell(removals=verb not in _WITHOUT_REMOVALS, with_uid=verb == "UID_STORE")
        code = f"[{code}] " if code else ""
        self.send(f"{self._tag or '*'} {status} {code}{text}\r\n".encode(), section)

    def _ok(self, text: str, section: str = "", code: str = "") -> None:
        self._answer("OK", code, text, section)
        self._bad_in_a_row = 0

    def _bye(self, text: str, section: str = "RFC 3501 §7.1.5") -> None:
        self._untagged(b"BYE " + text.encode(), section=section)
        self.close()

    def _tell(self, *, removals: bool = True, with_uid: bool = False) -> None:
        """Tells the client what has changed in the selected mailbox."""
        if self.view is not None and not self.view.ended:
            news = self.view.news(removals=removals, with_uid=with_uid)
            self._send_all(news, "RFC 3501 §7")

    def _on_news(self) -> None:
        """Something has changed. Only a client that waits in IDLE is told at once."""
        if self.state == "IDLE" and not self._stalled and not self._delayed and not self.closed:
            if self.view is not None and self.view.ended:
                self._bye(_ENDED)
            else:
                self._tell()

    # ── names and folders ────────────────────────────────────────────────────

    @property
    def folders(self) -> Folders:
        """The folders of the account."""
        return self.store.folders(self.user)

    def _name(self, raw: bytes) -> str:
        """Decodes the name of a mailbox. Raises Refuse."""
        try:
            return decode_name(raw, utf8=self.utf8)
        except ValueError:
            what = "UTF-8" if self.utf8 else "modified UTF-7"
            reply = Reply("NO", "CANNOT", f"The name of the mailbox is not {what}")
            raise Refuse(reply, "RFC 3501 §5.1.3") from None

    # ── secrets ──────────────────────────────────────────────────────────────

    def _secrets(self, command: Command) -> tuple[Secret, ...]:
        """Returns the secret spans in what of a command is not recorded yet."""
        start = _SECRET.match(command.raw)
        if start is None:
            return ()
        raw, done = command.raw, self._in_records
        if start["mechanism"] is not None:
            if done:
                return (Secret(0, len(raw) - done, "unfinished"),)
            return self.response_secret(raw, start.end(), start["mechanism"].decode().upper())
        return self._password(Arguments(raw, command.literals, at=start.end()), done)

    def _password(self, arguments: Arguments, done: int) -> tuple[Secret, ...]:
        """Returns the span of the password of LOGIN; without one, that of all arguments."""
        raw, start = arguments.raw, arguments.at
        try:
            user = arguments.astring(eight_bit=True)
            arguments.space()
            start = arguments.at
            password = arguments.astring(eight_bit=True)
            end = arguments.at
        except BadCommand:
            # Everything is hidden but the announcement of a literal.
            begin = max(start, done)
            announced = ANNOUNCED.search(raw, begin)
            end = announced.start() if announced else len(raw) - 2
            return (Secret(begin - done, end - done, "unfinished"),) if end > begin else ()
        if start in arguments.literals:
            start, end = arguments.literals[start]
        elif raw[start : start + 1] == b'"':
            start, end = start + 1, end - 1
        if end <= done:
            return ()
        name = user.decode("utf-8", "replace")
        account = self.store.people.for_login(name, password.decode("utf-8", "replace"))
        right = account is not None and account.password.encode() == raw[start:end] == password
        return (Secret(start - done, end - done, f"pass {name}{'' if right else ' wrong'}"),)

    def secrets_in_fragment(self, raw: bytes) -> tuple[Secret, ...]:
        """Hides an incomplete login, too."""
        if self._in_records and _SECRET.match(self._reader.so_far().raw):
            return (Secret(0, len(raw), "unfinished"),)
        match = _LOGIN.match(raw)
        if match is not None:
            return (Secret(match.end(), len(raw), "unfinished"),)
        return super().secrets_in_fragment(raw)


def _refusal(error: BadCommand) -> Refuse:
    return Refuse(Reply(error.status, error.code, error.text), "RFC 3501 §9")


def _name_of(verb: str) -> str:
    """Returns the name of a command in the table, "" if it is none.

    Others in the table are no commands, such as `.` and DONE, and no client may write `UID_FETCH`.
    """
    return verb.replace(" ", "_") if verb in ARGUMENTS else ""


def _tag_of(raw: bytes) -> str:
    try:
        return Arguments(raw).tag()
    except BadCommand:
        return ""


_APPEND = re.compile(rb"\S+ APPEND ", re.I)
_LOGIN = re.compile(rb"\S+ +LOGIN +", re.I)
_SECRET = re.compile(rb"\S+ +(?:LOGIN|AUTHENTICATE +(?P<mechanism>[\w-]+)) +", re.I)
ANNOUNCED = re.compile(rb"~?\{[0-9]+\+?\}\r\n\Z")


def _is_append(raw: bytes) -> bool:
    return _APPEND.match(raw) is not None
