"""The reference in fakes/README.md, written from signatures and docstrings.

    python -m tests.reference    # writes it again

A test compares the two, so that the reference cannot differ from the code.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, get_type_hints

from fakes import Fault, World
from fakes.arrivals import Arrivals
from fakes.browser import Browser, Page
from fakes.config import AimTable, Config
from fakes.faults import Faults
from fakes.host import Host
from fakes.inbox import Inbox
from fakes.irc import Irc
from fakes.irc.actors import Person as IrcPerson
from fakes.irc.users import Message
from fakes.mail import Attachment, Envelope, Mail
from fakes.people import Person
from fakes.servers import SERVERS
from fakes.toc import Aim
from fakes.toc.actors import Actor as AimActor
from fakes.toc.presence import Im
from fakes.webhook import Post, Webhook
from fakes.world_folder import StoredMail, WorldFolder
from fakes.world_mail import WorldMail
from fakes.xmpp import Jabber
from fakes.xmpp.jabber import Actor, Availability, ChatRoom, Contact, RoomUser
from fakes.xmpp.stanzas import Stanza

README = Path(__file__).parent.parent / "fakes" / "README.md"
TITLE = "## Reference"
INTRODUCTION = """\
Everything that a test may use. `help(fakes.World)` and its like show the rest of what is documented
there. `python -m tests.reference` writes this section.
"""
CLASSES = {  # where a test meets values of the class → the class
    "`World(…)`": World,
    "Waiting, for each kind of arrival": Arrivals,
    "`world.mail`": WorldMail,
    "A mail": Mail,
    "`mail.envelope`": Envelope,
    "`mail.attachments`": Attachment,
    "`world.mail.folder(…)`": WorldFolder,
    "A mail in a folder": StoredMail,
    "The fixture `inbox`": Inbox,
    "`world.jabber`": Jabber,
    "`world.jabber.actor(…)`": Actor,
    "A stanza": Stanza,
    "`world.jabber.roster(…)`": Contact,
    "`world.jabber.presence(…)`": Availability,
    "`world.jabber.room(…)`": ChatRoom,
    "`room.users`": RoomUser,
    "`world.aim`": Aim,
    "`world.aim.actor(…)`": AimActor,
    "An IM": Im,
    "`world.irc`": Irc,
    "`world.irc.person(…)`": IrcPerson,
    "A message on IRC": Message,
    "`world.webhook`": Webhook,
    "A request": Post,
    "`world.host`": Host,
    "`world.browser(…)`": Browser,
    "`browser.page`": Page,
    "`world.people`": Person,
    "`world.faults`": Faults,
    "`Fault(…)`": Fault,
}
# What a test uses of a class of which the servers use more.
USED = {
    Actor: "messages comes goes says joins asks accepts refuses drops sends",
    Faults: "arm disarm unmet",
    Stanza: "kind type to sender id lang text body subject thread child child_text payload element "
    "condition delayed to_bytes replace",
}
KEYS = "The keys of `config` are those of the world file, which fakes/README.md explains:"
FOR_TESTS = re.compile(r"    # ── for tests ─")


def keys() -> str:
    """Returns the end of the docstring of World: the keys of its `config`, by table."""
    hints, tables = get_type_hints(Config), dict[str, list[str]]()
    for table, kind in (*hints.items(), ("person", Person), ("aim", AimTable), ("fault", Fault)):
        if dataclasses.is_dataclass(kind):
            tables[table] = [one.name for one in dataclasses.fields(kind)]
    for server in SERVERS:
        if server.table and server.policy is not None:
            tables[server.table] = [*tables.get(server.table, []), *server.switches]
    tables["manners"] = [server.name for server in SERVERS if server.manners]
    plain = [name for name in hints if name not in (*tables, "switches")]
    lines = [", ".join(plain)]
    lines += [f"{table}: {', '.join(dict.fromkeys(names))}" for table, names in tables.items()]
    wrapped = [textwrap.fill(line, 96, subsequent_indent="    ") for line in lines]
    return "\n".join([KEYS, "", *wrapped])


def reference() -> str:
    """Returns the section, with its title."""
    return f"{TITLE}\n\n{INTRODUCTION}" + "".join(map(_of_class, CLASSES))


def _of_class(name: str) -> str:
    kind = CLASSES[name]
    used = USED[kind].split() if kind in USED else None
    rows = "".join(
        f"| `{call}` | {text} |\n"
        for call, text in _members(kind)
        if used is None or call.partition("(")[0] in used
    )
    # The keys of the world file have a section of their own there.
    text = inspect.cleandoc(kind.__doc__ or "").partition(f"\n\n{KEYS}")[0]
    where = f"Class `{kind.__module__}.{kind.__name__}`."
    return f"\n### {name}\n\n{where}\n\n{text}\n\n| name | what it is |\n|---|---|\n{rows}"


def _members(kind: type) -> Iterator[tuple[str, str]]:
    """Yields the attributes with their types, then the others with their documentation."""
    fields = (
        [one.name for one in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    )
    for name, annotation in inspect.get_annotations(kind).items():
        if not name.startswith("_") and (name in fields or not fields):
            # A named tuple wraps the text of an annotation.
            text = getattr(annotation, "__forward_arg__", annotation)
            yield name, f"`{text}`".replace("|", "\\|")
    lines, first = inspect.getsourcelines(kind)
    # What the servers call comes before this line, in classes that have both.
    begin = next((first + at for at, line in enumerate(lines) if FOR_TESTS.match(line)), first)
    for name, value in vars(kind).items():
        function: Any = value.fget if isinstance(value, property) else value
        function = function.func if isinstance(function, cached_property) else function
        function = inspect.unwrap(getattr(function, "read", function))  # `read` of fakes/mail.py
        if name.startswith("_") or not inspect.isfunction(function) or not value.__doc__:
            continue
        if function.__code__.co_firstlineno >= begin:
            yield name + _arguments(value), _paragraph(value.__doc__)


def _arguments(value: object) -> str:
    """Returns the arguments of a method without their types, "" for an attribute."""
    if not inspect.isfunction(value):
        return ""
    shown = []
    for one in inspect.signature(value).parameters.values():
        # Otherwise the text would contain the address of an object, or more than one can read.
        default = _Any() if repr(one.default).startswith("<") else one.default
        default = one.default if one.default is inspect.Parameter.empty else default
        if one.name != "self":
            shown.append(one.replace(annotation=inspect.Parameter.empty, default=default))
    return str(inspect.Signature(shown))


class _Any:
    def __repr__(self) -> str:
        return "…"


def _paragraph(text: str | None) -> str:
    """Returns the first paragraph of a docstring as one line of a table."""
    paragraph = inspect.cleandoc(text or "").partition("\n\n")[0]
    return " ".join(paragraph.split()).replace("|", "\\|")


def rewritten(text: str) -> str:
    """Returns a README with the section as it should be."""
    before, _, rest = text.partition(f"{TITLE}\n")
    _, heading, after = rest.partition("\n## ")
    return f"{before}{reference()}{heading}{after}"


if __name__ == "__main__":
    README.write_text(rewritten(README.read_text("utf-8")), "utf-8", newline="\n")
