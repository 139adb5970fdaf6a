"""No error shows a password, in whatever form and wherever a user wrote it."""

from __future__ import annotations

import base64
import json
import urllib.parse
from collections.abc import Callable
from typing import Any

import pytest

from comms import settings
from comms.errors import SettingsError
from comms.secrecy import masked

SECRET = 'hun"ter/2 é\\'


def plain(user: str) -> str:
    return base64.b64encode(f"\0{user}\0{SECRET}".encode()).decode()


@pytest.mark.parametrize(
    "form",
    [
        str,
        str.upper,
        repr,
        json.dumps,
        lambda s: repr(s.encode()),
        lambda s: base64.b64encode(s.encode()).decode(),
        lambda s: urllib.parse.quote(s),
        lambda s: urllib.parse.quote_plus(s, safe=""),
        lambda s: s.encode().hex(),
        lambda s: f"PASS {s}",
    ],
)
def test_no_form_of_a_secret_is_left(form: Callable[[str], str]) -> None:
    text = form(SECRET)
    found = masked(f"535 {text} is wrong", SECRET)
    assert "…" in found and text.strip("'\"")[2:-2] not in found


@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "ops@example.test"])
def test_a_secret_within_base64_is_found_wherever_it_begins(user: str) -> None:
    found = masked(f"535 AUTH PLAIN {plain(user)}", SECRET)
    left = found.removeprefix("535 AUTH PLAIN ").split("…")
    assert len(left) == 2 and all(len(base64.b64decode(piece + "==")) <= 24 for piece in left[:1])


def test_without_a_secret_nothing_is_masked() -> None:
    assert masked("535 wrong", "") == masked("535 wrong") == "535 wrong"


WORD = "hunter2-secret"


@pytest.mark.parametrize(
    "table",
    [
        {"password": 12345678},
        {"password": [WORD]},
        {"password": {WORD: 1}},
        {"password": {"value": WORD}},
        {"password": 1234.5678},
        {"password": f"{WORD}\nx"},
        {"password_env": WORD},
        {"password_env": [WORD]},
        {"password_env": 12345678},
        {"password_file": WORD},
        {"password_file": [WORD]},
        {"password_file": f"{WORD}\0"},
        {"port": WORD},
        {"port": 12345678},
        {"port": [WORD]},
        {"timeout": WORD},
        {"timeout": -12345678},
        {"tls": WORD},
        {"auth": WORD},
        {"auth": [WORD]},
        {"password": WORD, "port": WORD},
    ],
)
def test_no_error_in_the_settings_shows_a_password(table: dict[str, Any]) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load({"smtp": {"host": "mail.example.test", **table}}).server("smtp")
    text = str(caught.value)
    assert WORD not in text and "12345678" not in text and "1234.5" not in text
    assert text.startswith("settings: smtp.") and ";" in text


def test_a_table_that_is_a_password_is_not_shown() -> None:
    with pytest.raises(SettingsError) as caught:
        settings.load({"smtp": WORD})
    assert WORD not in str(caught.value)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ({"port": "x"}, 'found "x"'),
        ({"port": 99999}, "found 99999"),
        ({"tls": "starttsl"}, "'starttsl'"),
        ({"auth": "plian"}, "'plian'"),
    ],
)
def test_a_slip_is_still_shown(table: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError, match=text):
        settings.load({"smtp": {"host": "mail.example.test", **table}}).server("smtp")


def test_settings_and_servers_can_be_printed_without_their_passwords() -> None:
    loaded = settings.load({"smtp": {"host": "x.test", "user": "a", "password": WORD}})
    assert WORD not in repr(loaded) + repr(loaded.server("smtp"))
