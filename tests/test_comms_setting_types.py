"""What each type of a setting accepts and refuses, and that the refusal says what is wrong."""

from __future__ import annotations

import math
import typing
from pathlib import Path
from typing import Any

import pytest

from comms import setting_types as types
from comms.setting_types import Check, NonEmpty, between, shown


def problem(kind: Any, value: object) -> str:
    """Returns the first problem of a value, "" if there is none."""
    _, *checks = typing.get_args(kind)
    assert all(isinstance(check, Check) for check in checks)
    return next((found for check in checks if (found := check.problem(value))), "")


ACCEPTED: list[tuple[Any, list[Any]]] = [
    (types.Seconds, [0.001, 30, 86400.0, 1e9]),
    (types.SecondsOrZero, [0, 0.5, 1e9]),
    (types.Timeout, [0.02, 86400]),
    (types.Count, [1, 50_000_000]),
    (types.Module, ["json", "os.path", "comms.backoff"]),
    (types.CountOrZero, [0, 7]),
    (NonEmpty[str], ["x", " x "]),
    (NonEmpty[tuple[str, ...]], [("x",)]),
    (types.Line, ["", "one line", "ä"]),
    (
        types.HostName,
        ["mail.example.org", "localhost", "127.0.0.1", "::1", "büro.example", "a_b.x"],
    ),
    (types.HostAndPort, ["127.0.0.1:80", "[::1]:8080", "web1:65535"]),
    (types.Word, ["-k", " ", "two words"]),
    (types.MailAddress, ["you@example.org"]),
    (types.NamedAddress, ["you@example.org", "You <you@example.org>"]),
    (types.AddressPattern, ["robot+*@example.org", "*@returns.example.org"]),
    (types.JabberAddress, ["you@example.org", "example.org", "you@example.org/phone"]),
    (types.JabberLogin, ["you@example.org", "you@example.org/phone"]),
    (types.JabberAccount, ["you@example.org"]),
    (types.ScreenName, ["Old Friend"]),
]
REFUSED: list[tuple[Any, object, str]] = [
    *(
        (types.Module, name, f'unknown module "{name}"')
        for name in ("", "jsn", "jsn.decoder", "json.decodr", "math.x", "os; import this", ".os")
    ),
    (types.Seconds, 0, "expected more than 0 seconds, found 0"),
    (types.Seconds, -0.5, "expected more than 0 seconds, found -0.5"),
    (types.Seconds, math.nan, "expected more than 0 seconds, found nan"),
    (types.Seconds, math.inf, "expected at most 1000000000 seconds, found inf"),
    (types.SecondsOrZero, -1, "expected 0 seconds or more, found -1"),
    (types.SecondsOrZero, math.nan, "expected 0 seconds or more, found nan"),
    (types.Timeout, 86401, "expected at most 86400 seconds, found 86401"),
    (types.Count, 0, "expected a number from 1 to 1000000000000, found 0"),
    (types.CountOrZero, -1, "expected a number from 0 to 1000000000000, found -1"),
    (NonEmpty[str], " \n", "is empty"),
    (NonEmpty[tuple[str, ...]], (), "is empty"),
    (NonEmpty[dict[str, str]], {}, "is empty"),
    (types.Line, "a\nb", '"a\\nb" contains a control character'),
    (types.HostName, "", '"" is not a host name or an IP address'),
    (types.HostName, "mail.example.org:25", "is not a host name or an IP address"),
    (types.HostName, "smtp://mail.example.org", "is not a host name or an IP address"),
    (types.HostName, "a..b", "is not a host name or an IP address"),
    (types.HostName, "a b", "is not a host name or an IP address"),
    (types.HostName, "straße.example.org", "is not a host name or an IP address"),
    (types.HostAndPort, "127.0.0.1", 'expected HOST:PORT, found "127.0.0.1"'),
    (types.HostAndPort, "web1:65536", "expected a port from 1 to 65535, found"),
    (types.HostAndPort, "web1:0", "expected a port from 1 to 65535, found"),
    (types.HostAndPort, "web1:http", "expected HOST:PORT"),
    (types.HostAndPort, ":80", "expected HOST:PORT"),
    (types.Word, "", "is empty"),
    (types.Word, "a\0b", "contains a NUL character"),
    (types.MailAddress, "You <you@example.org>", "is not a bare mail address"),
    (types.MailAddress, "alice", '"alice" is not a bare mail address'),
    (types.AddressPattern, "robot@example.org", "is not an address with one * before the @"),
    (types.AddressPattern, "robot+*@*.example.org", "is not an address with one * before the @"),
    (types.AddressPattern, "robot@*.example.org", "is not an address with one * before the @"),
    (types.AddressPattern, "robot *@example.org", "is not an address with one * before the @"),
    (types.AddressPattern, "r" * 40 + "*@example.org", "too long with a number and a token"),
    (types.NamedAddress, "alice", "'alice' does not contain an address"),
    (types.NamedAddress, "a@b.test, c@d.test", "one address expected, 2 found"),
    (types.JabberAddress, "a b@example.org", "is not a Jabber address"),
    (types.JabberLogin, "example.org", '"example.org" is a server, not an account'),
    (types.JabberAccount, "example.org", "is a server, not an account"),
    (types.JabberAccount, "you@example.org/phone", "is one connection of an account"),
    (types.ScreenName, "  ", "is empty"),
    (types.ScreenName, "a\rb", "contains a control character"),
]


def without_types(value: object) -> str:
    """The name of a case: the value, but not its type, which prints an address in memory."""
    return "" if typing.get_origin(value) else repr(value)[:40]


@pytest.mark.parametrize(("kind", "values"), ACCEPTED, ids=without_types)
def test_a_correct_value_has_no_problem(kind: Any, values: list[Any]) -> None:
    assert [value for value in values if problem(kind, value)] == []


@pytest.mark.parametrize(("kind", "value", "says"), REFUSED, ids=without_types)
def test_the_problem_of_a_wrong_value_names_it(kind: Any, value: object, says: str) -> None:
    assert says in problem(kind, value)


def test_a_range_includes_both_ends() -> None:
    check = between(2, 4)
    accepted = [value for value in range(7) if not check.problem(value)]
    assert (accepted, check.example) == ([2, 3, 4], "2")


def test_a_file_must_not_be_a_folder_and_a_state_file_needs_its_folder(tmp_path: Path) -> None:
    assert problem(types.FilePath, tmp_path / "absent" / "x") == ""
    assert problem(types.FilePath, tmp_path) == f"{tmp_path} is a folder, not a file"
    assert problem(types.StateFile, tmp_path / "x.sqlite3") == ""
    assert problem(types.StateFile, tmp_path) == f"{tmp_path} is a folder, not a file"
    absent = f"the folder {tmp_path / 'absent'} does not exist"
    assert problem(types.StateFile, tmp_path / "absent" / "x") == absent
    there = tmp_path / "there"
    there.write_text("-----BEGIN NOTHING-----")
    assert problem(types.StateFile, there / "x") == f"the folder {there} is not a folder"
    assert problem(types.ReadableFile, there) == ""
    device = "/dev/zero is a device, not a file"
    assert problem(types.ReadableFile, Path("/dev/zero")) == device
    assert problem(types.FilePath, Path("/dev/zero")) == device
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    assert problem(types.FilePath, loop) == ""
    missing = f"{tmp_path / 'x'} cannot be read: No such file or directory"
    assert problem(types.ReadableFile, tmp_path / "x") == missing
    assert problem(types.Certificates, tmp_path / "x") == missing
    wrong = f"{there} does not contain a certificate in PEM format"
    assert problem(types.Certificates, there) == wrong


def test_a_wrong_value_is_shown_as_toml_and_only_its_beginning() -> None:
    assert [shown(value) for value in ("x", True, 1.5, math.nan)] == ['"x"', "true", "1.5", "nan"]
    assert shown("x" * 100) == '"' + "x" * 59 + "…"
    assert shown(10**5000) == "a very long number"
