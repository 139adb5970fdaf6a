"""The pytest plugin: worlds as fixtures, and what happened in them next to each failure.

    def test_something(world):
        smtplib.SMTP(*world.address("smtp")).sendmail(…)
        assert world.mail.wait_for(to="bob@example.test", text="hello")

| fixture | what it is |
|---|---|
| `world` | a World that serves during the test |
| `session_world` | one World for all tests of the run, which share it, with all servers |
| `world_factory` | makes further worlds: `world_factory({"tls": "off"})` |
| `inbox` | an Inbox: an account of its own for each test, in the world that the test uses |
| `smtp_server`, `pop3_server`, … | the host and port of a server of that world |
| `webhook` | what was posted to the web server of that world |

The world that a test uses is `session_world` if the test asks for it, and `world` if not.

Worlds run in real time. The marker `@pytest.mark.world(tls="off", faults=["RCPT reset"])`
configures `world`, with keys of the world file, arguments of `World`, or both. The markers of a
module, a class and a function are merged, the nearest last: tables key by key, and any other value
as a whole. In the ini file, `fakes_world = tests/world.toml` is a world file for all of them, and
`fakes_fixture = mail_world` renames `world`, if another plugin has that name.
"""

from __future__ import annotations

import inspect
import os
import re
import tomllib
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from fakes.config import WorldError, text_of
from fakes.faults import FaultError
from fakes.inbox import Inbox
from fakes.mail import Mail
from fakes.servers import SERVERS
from fakes.transcripts.recorder import render
from fakes.wire import Record
from fakes.world import World, on_start

if TYPE_CHECKING:
    from fakes.webhook import Webhook

# `servers` is a key of the world file, too, and that is what a test needs.
_OPTIONS = set(inspect.signature(World).parameters) - {"config", "servers"}
_ASKED = ("component", "xmpp-server")  # servers that a test has to name
FOLD = 12  # lines of one unit on the wire that a failure shows
_LONG = re.compile(r"(?m)^(.{1000}).+$")  # a line of which it shows that many characters


_WIRES = pytest.StashKey["_Wires"]()
_DEFAULTS = pytest.StashKey[Mapping[str, Any]]()


class ServerAddress(NamedTuple):
    """Where a server listens: `smtplib.SMTP(*smtp_server)`."""

    host: str
    port: int


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds the keys of the ini file."""
    parser.addini("fakes_world", "a world file for the worlds of all tests", type="paths")
    parser.addini("fakes_fixture", "the name of the fixture `world`", default="world")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the marker and the fixtures, and begins to notice worlds."""
    config.addinivalue_line(
        "markers",
        "world(config, faults=…, rehearsal=…, tls=…): configures the fixture `world`, "
        "with arguments of World and keys of the world file",
    )
    config.stash[_DEFAULTS] = _read(config.getini("fakes_world"))
    wires = config.stash[_WIRES] = _Wires()
    on_start.append(wires.add)
    # pytest looks for fixtures in modules, and these have names that are not known before.
    fixtures = ModuleType("fakes_fixtures")
    for server in SERVERS:
        name = f"{server.name}_server"
        setattr(fixtures, name, pytest.fixture(name=name)(_address(server.name)))
    name = config.getini("fakes_fixture")
    setattr(fixtures, name, pytest.fixture(name=name)(_world_of_a_test))
    config.pluginmanager.register(fixtures)


def _read(paths: list[Path]) -> dict[str, Any]:
    """Returns the world file of the ini file. Raises UsageError."""
    found: dict[str, Any] = {}
    for path in paths:
        try:
            found = _merged(found, tomllib.loads(text_of(path)))
        except OSError as error:
            problem = f"{error.strerror}; correct the path"
        except ValueError as error:
            problem = f"is not TOML: {error}; correct this place"
        else:
            continue
        raise pytest.UsageError(f"fakes_world: {path}: {problem}")
    return found


# ── fixtures ─────────────────────────────────────────────────────────────────


def _world_of_a_test(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world whose servers run during the test.

    An exception in a fake fails the test, and so does a fault that was armed and never met.
    """
    given = _Given(request.config.stash[_DEFAULTS])
    markers = list(request.node.iter_markers("world"))
    for marker in reversed(markers):
        given = given.and_then(*marker.args, **marker.kwargs)
    files = [os.path.relpath(path) for path in request.config.getini("fakes_world")]
    places = [*files, *(["@pytest.mark.world"] if markers else [])]
    try:
        made = given.with_servers(request.fixturenames).world(" and ".join(places) or "world")
    except (WorldError, FaultError) as error:
        # A mistake in these places: the lines of this file would say nothing.
        raise pytest.fail.Exception(str(error), pytrace=False) from None
    with made as world:
        yield world


@pytest.fixture(scope="session")
def session_world(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world whose servers run during all tests. `inbox` keeps the mail of tests apart.

    It has every server for which there is a fixture: which ones the tests need is not known yet.
    """
    defaults = request.config.stash[_DEFAULTS]
    every = [one.name for one in SERVERS if one.name not in _ASKED]
    with World({"servers": every, **defaults}) as world:
        yield world


@pytest.fixture
def world_factory(request: pytest.FixtureRequest) -> Iterator[Callable[..., World]]:
    """Makes worlds whose servers run until the test ends; takes what the marker takes."""
    with ExitStack() as worlds:

        def make(config: Mapping[str, Any] | None = None, /, **keywords: Any) -> World:
            given = _Given(request.config.stash[_DEFAULTS]).and_then(config, **keywords)
            return worlds.enter_context(given.world())

        yield make


@pytest.fixture
def inbox(request: pytest.FixtureRequest) -> Inbox:
    """An account of the test's own."""
    world = _used(request)
    domain = world.mail.store.domains[0]
    names = (f"inbox-{number}@{domain}" for number in count(1))
    address = next(name for name in names if world.people.find(name) is None)
    return Inbox(world, address, world.add_person(address).password)


@pytest.fixture
def webhook(request: pytest.FixtureRequest) -> Webhook:
    """What was posted to the web server, and what it answers."""
    return _used(request).webhook


def _address(server: str) -> Callable[[pytest.FixtureRequest], ServerAddress]:
    def address(request: pytest.FixtureRequest) -> ServerAddress:
        return ServerAddress(*_used(request).address(server))

    address.__doc__ = f"Where {server.upper()} listens."
    return address


def _used(request: pytest.FixtureRequest) -> World:
    """Returns the world that a test uses."""
    shared = "session_world" in request.fixturenames
    name = "session_world" if shared else request.config.getini("fakes_fixture")
    world: World = request.getfixturevalue(name)
    return world


@dataclass(frozen=True)
class _Given:
    """A world file and arguments of World, as markers give them."""

    file: Mapping[str, Any]
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def and_then(
        self, file: Mapping[str, Any] | None = None, /, *more: object, **keywords: Any
    ) -> _Given:
        """Merges a marker. Keywords that are not arguments of World are keys of the world file."""
        if more:
            number = 1 + len(more)
            raise TypeError(f"world takes one mapping and keywords, not {number}; merge them")
        if file is None:  # the first argument of World, by its name
            file = keywords.pop("config", None)
        if not isinstance(file, Mapping | None):
            raise TypeError(f'world takes a mapping first, not {file!r}; or write servers=["smtp"]')
        arguments = {name: keywords.pop(name) for name in _OPTIONS if name in keywords}
        if isinstance(arguments.get("host"), Mapping):  # the table [host], not an interface
            keywords["host"] = arguments.pop("host")
        merged = _merged(_merged(self.file, file or {}), keywords)
        return _Given(merged, {**self.arguments, **arguments})

    def with_servers(self, fixtures: list[str]) -> _Given:
        """Adds the servers that a test's fixtures need, such as `imap_server` or `webhook`."""
        needed = [
            server.name
            for server in SERVERS
            if server.name in fixtures or f"{server.name}_server" in fixtures
        ]
        if not needed:
            return self
        usual = [server.name for server in SERVERS if not server.on_request]
        given = self.file.get("servers", usual)
        if isinstance(given, str):  # a mistake, which the world reports
            return self
        servers = list(dict.fromkeys([*given, *needed]))
        return _Given({**self.file, "servers": servers}, self.arguments)

    def world(self, source: str = "world") -> World:
        """Returns the world; `source` names it in errors. Raises WorldError and FaultError."""
        return World(self.file, **{"source": source, **self.arguments})


def _merged(outer: Mapping[str, Any], inner: Mapping[str, Any]) -> dict[str, Any]:
    """Returns both: tables merged key by key, any other value from `inner` if it is in both."""
    merged = dict(outer)
    for key, value in inner.items():
        known = merged.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            merged[key] = _merged(known, value)
        else:
            merged[key] = value
    return merged


# ── what happened, beside a failure ──────────────────────────────────────────


class _Since(NamedTuple):
    """What is older than a test: how many entries of the recording, and marks of arrivals."""

    entries: int = 0
    marks: Mapping[int, int] = MappingProxyType({})


class _Wires:
    """What arrived and crossed the wire during one test, in every world that served meanwhile.

    A world may be in a fixture of any name and scope, or in the test itself. Of one that is older
    than the test and outlives it, only what happened during the test is shown.
    """

    def __init__(self) -> None:
        self._since: dict[World, _Since] = {}

    def add(self, world: World) -> None:
        """A world begins to serve during the test."""
        self._since[world] = _Since()

    def next_test(self) -> None:
        """Another test begins: worlds that have ended are forgotten."""
        worlds = [world for world in self._since if world.running]
        self._since = {
            world: _Since(
                len(world.recording), {id(record): record.mark() for record in world.arrivals}
            )
            for world in worlds
        }

    def sections(self) -> Iterator[tuple[str, str]]:
        """Yields titles and texts for each world: what arrived, then the wire, secrets masked."""
        shown = {}
        for world, since in self._since.items():
            # What an older world needs explained when it ends may have happened long ago.
            from_here = since if world.running else _Since()
            entries = world.recording[from_here.entries :]
            if entries or not since.entries:
                shown[world] = (from_here.marks, entries)
        for number, (world, (marks, entries)) in enumerate(shown.items(), 1):
            which = f" (world {number} of {len(shown)})" if len(shown) > 1 else ""
            arrived = [
                f"{record.noun}: {one}"
                for record in world.arrivals
                for one in record.since(marks.get(id(record), 0))
            ]
            if arrived:
                lines = "".join(f"{line}\n" for line in arrived)
                yield f"what arrived{which}", _LONG.sub(r"\1…", lines)
            records = any(isinstance(entry, Record) for entry in entries)
            text = render(entries, fold=FOLD) if records else "(nothing)\n"
            yield f"what crossed the wire{which}", _LONG.sub(r"\1…", text)

    def mails(self) -> Iterator[Mail]:
        """Yields the mails that arrived."""
        for world, since in self._since.items():
            mark = since.marks.get(id(world.mail), 0) if world.running else 0
            yield from world.mail.since(mark)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Notices no more worlds."""
    wires = config.stash.get(_WIRES, None)
    if wires is not None and wires.add in on_start:
        on_start.remove(wires.add)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Forgets the wires of the test before."""
    item.config.stash[_WIRES].next_test()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Adds what happened to the report of a failure: of the test, its set-up, its tear-down."""
    report = yield
    if report.failed:
        wires = item.config.stash[_WIRES]
        report.sections.extend(wires.sections())
        if item.config.pluginmanager.hasplugin("html"):
            known = getattr(report, "extras", [])
            vars(report)["extras"] = [*known, *map(_attached, wires.mails())]
    return report


def _attached(mail: Mail) -> dict[str, str]:
    """Returns a mail as what pytest_html.extras makes of a text."""
    name = f"{mail.subject or 'mail'}.eml"
    content = mail.raw.decode("utf-8", "replace")
    kind = {"format_type": "text", "mime_type": "message/rfc822", "extension": "eml"}
    return {"name": name, "content": content, **kind}
