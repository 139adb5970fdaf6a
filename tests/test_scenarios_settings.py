"""Every setting of every page, with every kind of mistake: one line that names the key, exit 2.

The settings of a page are those of the example in its docstring, so that they are known to be
correct before one of them is made wrong.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import functools
import importlib
import math
import socket
import tomllib
from collections.abc import Iterator, Mapping
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from comms import settings
from comms.clock import Once, RealClock
from comms.errors import CommsError, SettingsError
from comms.host import RealHost
from scenarios import catalogue
from scenarios.catalogue import Page
from scenarios.jabber.im_templates import EXAMPLES as INSTANT
from scenarios.processing.autoresponder_samples import prepared
from scenarios.sending.template_mailer import EXAMPLES
from tests import drills
from tests.command import run_command

PAGES = catalogue.pages()
SERVERS = {name: name.lower() for name in ("SMTP", "POP3", "IMAP", "XMPP", "TOC", "IRC")}


def example(page: Page) -> Mapping[str, Any]:
    """The settings that the page's docstring shows."""
    return _example(page.path, page.name)


@functools.cache
def _example(path: Path, name: str) -> Mapping[str, Any]:
    doc = ast.get_docstring(ast.parse(path.read_text("utf-8"))) or ""
    return tomllib.loads(doc.partition(f"[scenario.{name}]\n")[2].partition("\n\n")[0])


SETTINGS = [(page, key) for page in PAGES for key in example(page)]
NAMES = [f"{page.name}.{key}" for page, key in SETTINGS]


def settings_of_type(*types: type) -> pytest.MarkDecorator:
    """Runs a test for each setting whose example is of one of these types."""
    found = [(page, key) for page, key in SETTINGS if type(example(page)[key]) in types]
    names = [f"{page.name}.{key}" for page, key in found]
    return pytest.mark.parametrize(("page", "key"), found, ids=names)


# Settings that name files which must exist.
EXISTING: dict[str, dict[str, Any]] = {
    "template-mailer": {"mails": str(EXAMPLES / "mails.toml"), "templates": str(EXAMPLES)},
    "im-templates": {"messages": str(INSTANT / "messages.toml"), "templates": str(INSTANT)},
    "order-receipt": {"templates": str(EXAMPLES)},
    "autoresponder": prepared(),
    "ship-notices": {
        "templates": str(EXAMPLES),
        "customers": str(EXAMPLES / "customers.csv"),
        "listen": None,  # else it sends nothing
    },
    # A port that is free: those of the settings may be in use here.
    "account-activation": {"templates": str(EXAMPLES), "listen": "127.0.0.1:0"},
    "tickets": {"templates": None, "login": None, "listen": "127.0.0.1:0"},
}

# A value of each type, and values of the right type that mean nothing.
TYPES: dict[str, Any] = {
    "text": "x",
    "number": 7,
    "fraction": 1.5,
    "truth": True,
    "list": ["x"],
    "table": {"x": "y"},
    "date": "1979-05-27",
}
WRONG_NUMBERS = [-1, -0.5, math.nan, math.inf, -math.inf, 10**400]
WRONG_TEXTS = [
    "",
    " ",
    "\0",
    "a\nb",
    "alice",
    "a@b@c",
    "@example.org",
    "a b@example.org",
    "[",
    "(",
    "a:b",
    "127.0.0.1:99999",
    "x" * 3000,
    "é" * 200,
    "\u2028",
    "$number $x ${",
    "no-such-folder/file",
    ".",
    "sqlite:///",
    "oracle+nothing://x",
]


@pytest.fixture(scope="module")
def closed_port() -> Iterator[int]:
    """A port of this machine at which nobody answers."""
    with socket.socket() as taken:  # bound but not listening, so that nobody else gets it
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def tables(page: Page, port: int, **changes: Any) -> dict[str, Any]:
    """Settings for a page, whose servers cannot be reached."""
    login = {
        "host": "127.0.0.1",
        "port": port,
        "tls": "none",
        "user": "bot@example.test",
        "password": "secret",
    }
    found: dict[str, Any] = {
        SERVERS[protocol]: dict(login) for protocol in page.doc.protocols if protocol in SERVERS
    }
    if "irc" in found:
        found["irc"]["nick"] = "bot"
    component = {"domain": "aim.example.test", "password": "secret"}
    found["component"] = {"host": "127.0.0.1", "port": port, **component}
    table = {**example(page), **EXISTING.get(page.name, {}), **changes}
    for optional in ("template", "tcp", "pidfile", "attach", "preview", "ca_file", "font"):
        if optional not in changes:
            table.pop(optional, None)
    found["scenario"] = {page.name: {key: item for key, item in table.items() if item is not None}}
    return found


def outcome(page: Page, content: dict[str, Any], folder: Path) -> str:
    """Runs a single round of the page's program; returns the text of a SettingsError, or "".

    Any exception that is not a CommsError is a failure of the test.
    """
    # Files that examples name.
    (folder / "commits").mkdir(exist_ok=True)
    (folder / "staff.toml").write_bytes(b'ann = { jabber = "ann@example.test" }\n')
    (folder / "faq.toml").write_bytes(b"[[question]]\nask = ['hours']\nanswer = '9 to 5'\n")
    (folder / "customers.toml").write_bytes(b"17 = { name = 'Ann' }\n")
    (folder / "phones.tsv").write_bytes(b"name\tphone\nann\t1\n")
    (folder / "message.eml").write_bytes(b"From: ann@example.test\r\n\r\nHello.\r\n")
    with contextlib.closing(RealClock()) as clock, (folder / "out").open("w") as out:
        try:
            loaded = settings.load(content, folder)
            page.run()(Once(clock), loaded, RealHost(out=out, err=out))
        except SettingsError as error:
            return str(error)
        except CommsError:
            pass
    return ""


def test_the_example_of_every_docstring_is_accepted(tmp_path: Path, closed_port: int) -> None:
    for page in PAGES:
        assert outcome(page, tables(page, closed_port), tmp_path) == "", page.name


# In `make test`, three settings of each page.
SOME_QUICK = [
    case
    for page in PAGES
    for case in drills.first_middle_last([(page, key) for key in example(page)], itemgetter(1))
]


@pytest.mark.parametrize(("page", "key"), SOME_QUICK, ids=NAMES)
def test_a_value_of_another_type_is_one_line_that_names_the_key(
    page: Page, key: str, tmp_path: Path, closed_port: int
) -> None:
    right = type(example(page)[key])
    for value in TYPES.values():
        if type(value) is right or {type(value), right} == {int, float}:
            continue
        error = outcome(page, tables(page, closed_port, **{key: value}), tmp_path)
        assert_names(error, page, key)


@settings_of_type(int, float)
def test_a_wrong_number_is_one_line_that_names_the_key(
    page: Page, key: str, tmp_path: Path, closed_port: int
) -> None:
    for wrong in WRONG_NUMBERS:
        error = outcome(page, tables(page, closed_port, **{key: wrong}), tmp_path)
        assert_names(error, page, key)


# The names in a table → the setting that uses them, which is wrong if a name is missing.
NAMED_BY = {
    ("many-networks", "commands"): "public",
    ("review-bot", "people"): "peers",
    ("secret-inbox", "commands"): "rights",
    ("services-by-mail", "services"): "rights",
}


@pytest.mark.slow
@settings_of_type(str, list, dict)
def test_no_text_in_any_setting_ends_in_a_traceback(
    page: Page, key: str, tmp_path: Path, closed_port: int
) -> None:
    value = example(page)[key]
    for wrong in WRONG_TEXTS:
        if isinstance(value, str):
            changed: Any = wrong
        elif isinstance(value, list):
            changed = [wrong]
        else:
            changed = {wrong: next(iter(value.values()), "x")}
        error = outcome(page, tables(page, closed_port, **{key: changed}), tmp_path)
        # A folder may exist, and lack a file: then the error names the file.
        if error and not error.startswith(str(tmp_path)):
            used_by = NAMED_BY.get((page.name, key), key)
            assert_names(error, page, used_by if f".{used_by}" in error else key)


ADDRESSES = {
    "apache-alert": ("admins", "sender"),
    "compose-message": ("sender", "to", "cc", "bcc", "reply_to"),
    "mysql-by-mail": ("inbox", "admins", "sender", "owner"),
    "secret-inbox": ("inbox", "admins", "sender", "owner"),
    "services-by-mail": ("inbox", "admins", "sender", "owner"),
    "phone-command": ("inbox", "phones", "sender", "owner"),
    "mysql-by-jabber": ("admins", "inbox", "sender"),
    "tickets": ("sender",),
    "template-mailer": ("sender", "redirect"),
    "build-mail": ("team", "sender"),
    "status-digest": ("team", "sender"),
}


@pytest.mark.parametrize("name", ADDRESSES)
def test_an_address_without_an_at_sign_is_named(
    name: str, tmp_path: Path, closed_port: int
) -> None:
    page = catalogue.named(name)
    for key in ADDRESSES[name]:
        wrong: Any = "alice" if isinstance(example(page)[key], str) else ["alice"]
        error = outcome(page, tables(page, closed_port, **{key: wrong}), tmp_path)
        assert_names(error, page, key)
        assert "alice" in error and "@" in error.partition("; ")[2]


@settings_of_type(str)
def test_an_empty_value_is_refused_where_it_means_nothing(
    page: Page, key: str, tmp_path: Path, closed_port: int
) -> None:
    error = outcome(page, tables(page, closed_port, **{key: ""}), tmp_path)
    # Of a mail, everything may be empty but the sender; and nobody listens by default.
    if (page.name, key) in {
        ("compose-message", "subject"),
        ("compose-message", "text"),
        ("compose-message", "html"),
        ("jabber-hello", "listen"),
        ("mail-trap", "subject"),
        ("mail-trap", "text"),
        ("smtp-by-socket", "subject"),
        ("smtp-by-socket", "text"),
    }:
        assert error == ""
    else:
        assert_names(error, page, key)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_an_unknown_key_and_a_missing_one_are_named(
    page: Page, tmp_path: Path, closed_port: int
) -> None:
    unknown = outcome(page, tables(page, closed_port, **{"tpyo\n": 1}), tmp_path)
    assert f'scenario.{page.name}."tpyo\\n": unknown key' in unknown and "\n" not in unknown
    rules = importlib.import_module(page.module).Rules
    for key in required(rules):
        error = outcome(page, tables(page, closed_port, **{key: None}), tmp_path)
        assert_names(error, page, key)
        assert f"{key}: missing key; write {key} = " in error


def required(rules: type[Any]) -> list[str]:
    """The fields of a dataclass that have no default."""
    return [
        field.name
        for field in dataclasses.fields(rules)
        if field.default is field.default_factory is dataclasses.MISSING
    ]


def assert_names(error: str, page: Page, key: str) -> None:
    """Checks that an error is one line `FILE: KEY: PROBLEM; REMEDY` about a key."""
    assert error.startswith(f"settings: scenario.{page.name}.{key}"), (key, error)
    assert len(error.splitlines()) == 1 and "; " in error, error
    assert len(error) < 1000, error


# ── the server, and the file itself ──────────────────────────────────────────

SERVER_KEYS = (
    "host",
    "port",
    "tls",
    "ca_file",
    "user",
    "password",
    "password_env",
    "password_file",
    "auth",
    "timeout",
    "jid",
    "screen_name",
    "folder",
    "trash",
)
PROTOCOLS = {"smtp": "apache-alert", "pop3": "inbox-count", "xmpp": "jabber-hello"}
PROTOCOLS |= {"imap": "inbox-count", "toc": "aim-hello"}


@pytest.mark.slow
@pytest.mark.parametrize("key", SERVER_KEYS)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_no_value_of_a_server_s_key_ends_in_a_traceback(
    protocol: str, key: str, tmp_path: Path, closed_port: int
) -> None:
    page = catalogue.named(PROTOCOLS[protocol])
    is_number = key in ("port", "timeout")
    for wrong in [*TYPES.values(), *WRONG_NUMBERS, *WRONG_TEXTS]:
        chosen = {"mailbox": protocol} if protocol in settings.MAILBOXES else {}
        content = tables(page, closed_port, **chosen)
        if key.startswith("password"):
            del content[protocol]["password"]
        content[protocol][key] = wrong
        error = outcome(page, content, tmp_path)
        is_right_type = isinstance(wrong, int | float if is_number else str)
        if error or not is_right_type or isinstance(wrong, bool):
            assert error.startswith(f"settings: {protocol}."), (wrong, error)
            assert len(error.splitlines()) == 1 and "; " in error and len(error) < 1000, error


FILES = {
    "a missing file": (None, "cannot be read: No such file or directory; write the path"),
    "not TOML": (b"[smtp\n", "not a TOML file: "),
    "not UTF-8": (b'[smtp]\nhost = "a"\nuser = "\xff"\n', "line 3: not UTF-8; save the file"),
    "a number of 5,000 digits": (b"smtp = " + b"9" * 5000, "not a TOML file: "),
    "ten thousand brackets": (b"smtp = " + b"[" * 10_000, "not a TOML file: "),
    "no table": (b"smtp = 1\n", "smtp: expected a table, found 1; write [smtp]"),
    "an unknown table": (b"[smtpp]\n", "smtpp: unknown table (did you mean 'smtp'?)"),
    "a scenario that is not a table": (
        b"[scenario]\ninbox-count = 1\n",
        "scenario.inbox-count: expected a table, found 1; write [scenario.inbox-count]",
    ),
    "no table of scenarios": (b"scenario = []\n", "scenario: expected a table, found []; write"),
    "an unknown scenario": (
        b"[scenario.inbox-cuont]\nlisting = true\n",
        "scenario.inbox-cuont: unknown scenario (did you mean 'inbox-count'?); choose from: ",
    ),
    "a wrong value": (
        b"[scenario.inbox-count]\nlisting = 1\n",
        "scenario.inbox-count.listing: expected true or false, found 1; write listing = false",
    ),
    "no server": (b"", 'pop3: missing table; write [pop3] with host = "mail.example.org"'),
}


@pytest.mark.parametrize("mistake", FILES)
def test_a_mistake_in_the_file_of_a_live_run_is_one_line_and_exit_2(
    mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content, message = FILES[mistake]
    path = tmp_path / "site.toml"
    if content is not None:
        path.write_bytes(content)
    assert_live(path, message)


def test_a_folder_in_place_of_the_file_of_a_live_run_is_one_line_and_exit_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = "cannot be read: Is a directory; write the path of a readable file"
    assert_live(tmp_path, message)


def assert_live(path: Path, message: str) -> None:
    done = run_command("run", "inbox-count", "--live", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {path}: {message}"), done.stderr
    assert len(done.stderr.splitlines()) == 1
