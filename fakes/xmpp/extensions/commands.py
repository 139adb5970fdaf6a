"""XEP-0050 (1.3.0): ad-hoc commands of the domain, in one step or in several.

The server itself has the command `ping`. A test adds others to `commands`:

    commands = service.extensions.named("commands")
    commands.commands["greet"] = Command("Greet", greet)

A command is called with the number of the stage, from 0, and with the form that was submitted,
None at first. It returns a `Step`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from fakes.xmpp.addresses import Jid
from fakes.xmpp.extension import Extension, Information
from fakes.xmpp.forms import DATA, Form
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
    """What a stage of a command returns: a form to fill in, or its end with a note or a result."""

    form: Element | None = None
    note: str = ""
    done: bool = True


@dataclass(frozen=True)
class Command:
    """A command: its title, and what runs a stage of it."""

    title: str
    run: Callable[[int, Form | None], Step]


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
        self.commands = {"ping": Command("Ping", self._ping)}
        self._open: dict[str, _Execution] = {}

    def answers(self) -> Answers:
        return {("domain", COMMAND): self._answer}

    def domain_features(self) -> Iterable[str]:
        return (COMMANDS,)

    def node_items(self, node: str, to: Jid) -> Iterable[dict[str, str | None]] | None:
        if node != COMMANDS:
            return None
        return [
            {"jid": to.text, "node": name, "name": command.title}
            for name, command in self.commands.items()
        ]

    def node_information(self, node: str) -> Information | None:
        if node == COMMANDS:
            return Information("automation", "command-list", "Commands", (COMMANDS,))
        if node not in self.commands:
            return None
        title = self.commands[node].title
        return Information("automation", "command-node", title, (COMMANDS, DATA))

    # ── running a command ────────────────────────────────────────────────────

    def _answer(self, request: Request) -> Iterable[Element]:
        asked, user = request.payload, request.stanza.sender or ""
        node, action = asked.get("node", ""), asked.get("action", "execute")
        if request.stanza.type != "set":
            raise StanzaError("bad-request")
        if node not in self.commands:
            raise StanzaError("item-not-found", f"no command {node}")
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
        step = self.commands[node].run(len(execution.forms) - 1, form)
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
