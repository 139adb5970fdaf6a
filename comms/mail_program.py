"""A program that takes commands by mail: the settings that all of them share, and its rounds.

    @dataclass(frozen=True, kw_only=True)
    class Rules(AdminRules):
        state: StateFile = Path("mysql-by-mail.sqlite3")

    rules = settings.table("mysql-by-mail", Rules)
    with MailProgram("mysql-by-mail", rules, settings, clock, host) as program:
        program.offer(verbs, rules.granted(verbs))
        return program.obey()

Who may run what is decided in commands.py; mail_door.py reads the mail and answers it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from comms.alarm import alarm
from comms.clock import Clock
from comms.commands import Commands, Verb, is_offered, normalized
from comms.doorbell import Doorbell
from comms.errors import SettingsError
from comms.host import Host
from comms.mail_door import FRESH, MailDoor, MailRules, sender_problem
from comms.read import Mail
from comms.script import from_mail
from comms.setting_types import (
    AddressPattern,
    MailAddress,
    MailProtocol,
    NamedAddress,
    NonEmpty,
    Seconds,
    SecondsOrZero,
    StateFile,
    shown,
)
from comms.settings import Settings
from comms.state import State


@dataclass(frozen=True, kw_only=True)
class CommonRules:
    """The settings that every program with commands by mail has. Times are in seconds."""

    inbox: MailAddress  # the secret address
    sender: NamedAddress = ""  # of receipts; by default the account's address
    returns: AddressPattern = ""  # with it, each receipt has a return path for itself
    owner: MailAddress = ""  # is warned of refused mail, hourly, and of receipts that came back
    mailbox: MailProtocol = None  # by default the one with a table
    poll: Seconds = 30
    timeout: Seconds = 60  # that a command may take
    fresh: Seconds = FRESH  # an older mail is refused, as a replay
    again: SecondsOrZero = 60  # in which the same command is asked about
    state: StateFile

    def __post_init__(self) -> None:
        if problem := sender_problem(self.sender, self.inbox):
            raise ValueError(problem)


@dataclass(frozen=True, kw_only=True)
class AdminRules(CommonRules):
    """The settings of a program whose administrators have rights."""

    admins: NonEmpty[tuple[MailAddress, ...]]
    rights: dict[MailAddress, tuple[str, ...]] = field(default_factory=dict)  # else all

    def __post_init__(self) -> None:
        super().__post_init__()
        admins = {*map(str.casefold, self.admins)}
        for who in self.rights:
            # A mistyped address would leave an administrator with all rights.
            if who.casefold() not in admins:
                raise ValueError(f"rights: {shown(who)} is not an administrator; add it to admins")

    def granted(self, verbs: Iterable[str]) -> dict[str, list[str]]:
        """Returns which of these verbs each administrator may use: all, or what `rights` says."""
        every = list(verbs)
        limited = {who.casefold(): rights for who, rights in self.rights.items()}
        return {
            admin: [
                verb
                for right in limited.get(admin, ("*",))
                for verb in (every if right == "*" else [right])
            ]
            for admin in map(str.casefold, self.admins)
        }


class MailProgram:
    """A run of a program. A context manager, in which nothing else uses its state.

    `commands` and `door` are there after `offer`. Raises CommsError.
    """

    commands: Commands
    door: MailDoor

    def __init__(
        self, name: str, rules: CommonRules, settings: Settings, clock: Clock, host: Host
    ) -> None:
        self._name, self._rules, self._source = name, rules, settings.source
        self._mailbox = settings.mailbox(name, rules.mailbox)
        self._smtp = settings.server("smtp")
        self.clock, self.host = clock, host
        self.state = State(rules.state)

    def __enter__(self) -> MailProgram:
        try:
            self.state.lock()
        except BaseException:
            self.state.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.state.close()

    def offer(
        self, verbs: Mapping[str, Verb], rights: Mapping[str, Collection[str]], **door: Any
    ) -> None:
        """Sets what may be ordered, and by whom. `door` are further arguments of the MailDoor."""
        rules = self._rules
        for right in {right for allowed in rights.values() for right in allowed}:
            if not is_offered(right, verbs):
                names = [
                    name if name.isprintable() and len(name) < 80 else shown(name) for name in verbs
                ]
                raise SettingsError(
                    f"{self._source}: scenario.{self._name}.rights: {shown(right)} allows nothing; "
                    f"choose from: {', '.join(names)}"
                )
        self.commands = Commands(
            self.state, verbs, rights, self.clock, self.host, again=rules.again
        )
        inbox = "" if "addressed" in door else rules.inbox
        admins, more = tuple(rights), {"returns": rules.returns, "owner": rules.owner}
        mail = MailRules(
            self._mailbox, self._smtp, inbox, admins, rules.sender, rules.fresh, **more
        )
        refused = partial(alarm, rules.owner, self.state, self.clock, self.host)
        self.door = MailDoor(mail, self.commands, self.clock, self.host, refused=refused, **door)

    def commands_in(self, mail: Mail) -> list[str]:
        """Returns the command in the subject of a mail, or those in its text, one per line."""
        return from_mail(mail, lambda line: self.commands.find(normalized(line)) is not None)

    def obey(self) -> int:
        """Obeys until stopped. Returns 0 if the last poll went well."""
        code = 0
        self.door.recover()
        with Doorbell(self._mailbox, self.clock, self.host) as doorbell:
            for _ in doorbell.every(self._rules.poll):
                code = self.door.work()
        return code


def command_lines(commands: Mapping[str, tuple[str, ...]], timeout: float) -> dict[str, Verb]:
    """Returns verbs that run these command lines, all on one target, so that none overlap."""
    return {name: Verb(line, "", timeout) for name, line in commands.items()}
