"""XEP-0050 (1.3.0): ad-hoc commands of the domain, in one step or in several.

The server itself has the command `ping`, and other extensions may have commands. A test adds its
own to `added`:

    commands = service.extensions.named("commands")
    commands.added["greet"] = Command("Greet", greet)

A command is called with the number of the stage, from 0, and with the form that was submitted,
None at first. It returns a `Step`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid, jid
from fakes.xmpp.extension import Extension, Information
from fakes.xmpp.forms import DATA, Form, X
from fakes.xmpp.markup import element
from fakes.xmpp.requests import Answers, Request
from fakes.xmpp.service import Service
from fakes.xmpp.stanzas import StanzaError

COMMANDS = "http://jabber.org/protocol/commands"
COMMAND = f"{{{COMMANDS}}}command"
ACTIONS = ("execute", "next", "prev", "complete", "cancel")
OPEN = 100  # commands that are under way


@dataclass(frozen=True)
class Step:
    """What a stage of a command returns: a form to fill in, or its end with a note or a result.

    `after` is called when the answer is sent.
    """

    form: Element | None = None
    note: str = ""
    done: bool = True
    after: Callable[[], object] | None = None


def _anybody(user: Jid) -> bool:
    return True


@dataclass(frozen=True)
class Command:
    """A command: its title, what runs a stage of it, and who may run it and see it in the list."""

    title: str
    run: Callable[[int, Form | None], Step]
    allows: Callable[[Jid], bool] = _anybody


@dataclass
class _Execution:
    """A command under way: who runs it, and the forms submitted so far."""

    user: str
    node: str
    forms: list[Form | None] = field(default_factory=list)


class Commands(Extension):
    """The commands, and those that are under way, by the ids of their sessions."""

    name = "commands"
    section = "XEP-0050"

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self.added: dict[str, Command] = {}  # by a test
        self._open: dict[str, _Execution] = {}

    def answers(self) -> Answers:
        return {("domain", COMMAND): self._answer}

    def domain_features(self) -> Iterable[str]:
        return (COMMANDS,)

    def commands(self) -> Mapping[str, Command]:
        return {"ping": Command("Ping", self._ping), **self.added}

    def node_items(self, node: str, asker: Jid, to: Jid) -> Iterable[dict[str, str | None]] | None:
        if node != COMMANDS:
            return None
        return [
            {"jid": to.text, "node": name, "name": command.title}
            for name, command in self._all().items()
            if command.allows(asker)
        ]

    def node_information(self, node: str) -> Information | None:
        if node == COMMANDS:
            return Information("automation", "command-list", "Commands", (COMMANDS,))
        command = self._all().get(node)
        if command is None:
            return None
        return Information("automation", "command-node", command.title, (COMMANDS, DATA))

    def _all(self) -> dict[str, Command]:
        """The commands of all extensions, by their nodes."""
        active = self.service.extensions.active
        return {node: one for extension in active for node, one in extension.commands().items()}

    # ── running a command ────────────────────────────────────────────────────

    def _answer(self, request: Request) -> Iterable[Element]:
        try:
            return self._run(request)
        except StanzaError as error:
            # There may be a password in the form.
            error.repeats = request.payload.find(X) is None
            raise

    def _run(self, request: Request) -> Iterable[Element]:
        asked, user = request.payload, request.stanza.sender or "x"
        node, action = asked.get("node", ""), asked.get("action", "execute")
        if request.stanza.type != "set":
            raise StanzaError("bad-request")
        command = self._all().get(node)
        if command is None:
            raise StanzaError("item-not-found", f"no command {node}")
        if not command.allows(jid(user)):
            raise StanzaError("forbidden")
        if action not in ACTIONS:
            raise _wrong("malformed-action")
        id = asked.get("sessionid")
        if id is None:
            if action not in ("execute", "next", "complete"):
                raise _wrong("bad-action")
            if len(self._open) >= OPEN:
                del self._open[next(iter(self._open))]  # the oldest is abandoned
            id, execution = self.service.runtime.token(16), _Execution(user, node)
        else:
            found = self._open.get(id)
            # A session belongs to the user who has begun it.
            if found is None or (found.user, found.node) != (user, node):
                raise _wrong("bad-sessionid")
            execution = found
        if action == "cancel":
            self._open.pop(id, None)
            return [_command(node, id, "canceled")]
        if action == "prev":
            if len(execution.forms) < 2:
                raise _wrong("bad-action")
            del execution.forms[-2:]
        form = Form.read(asked) if action != "prev" else None
        if execution.forms and action == "prev":
            form = execution.forms[-1]
        execution.forms.append(form)
        try:
            step = command.run(len(execution.forms) - 1, form)
        except StanzaError:
            execution.forms.pop()  # the stage can be tried again
            raise
        if step.after is not None:
            request.after.append(step.after)
        if step.done:
            self._open.pop(id, None)
            return [_command(node, id, "completed", step)]
        self._open[id] = execution
        return [_command(node, id, "executing", step, back=len(execution.forms) > 1)]

    def _ping(self, stage: int, form: Form | None) -> Step:
        return Step(note=f"Pong: {int(self.service.runtime.now())}")


def _command(
    node: str, id: str, status: str, step: Step | None = None, back: bool = False
) -> Element:
    command = element(COMMAND, {"node": node, "sessionid": id, "status": status})
    if step is not None and not step.done:
        names = (["prev"] if back else []) + ["next", "complete"]
        children = (f"{{{COMMANDS}}}{name}" for name in names)
        command.append(element(f"{{{COMMANDS}}}actions", {"execute": "next"}, *children))
    if step is not None and step.note:
        command.append(element(f"{{{COMMANDS}}}note", {"type": "info"}, text=step.note))
    if step is not None and step.form is not None:
        command.append(step.form)
    return command


def _wrong(name: str) -> StanzaError:
    """XEP-0050 §4.4: an error with a more exact condition."""
    return StanzaError("bad-request", "", element(f"{{{COMMANDS}}}{name}"))
