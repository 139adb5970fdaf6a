"""The file of messages of im-templates: `[[message]]`, with `to`, `template`, and the values."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from comms.conversion import WrongValue, check_type, convert, convert_table
from comms.errors import SettingsError
from comms.setting_types import JabberAddress, ScreenName, Word

KINDS = {"xmpp": JabberAddress, "aim": ScreenName}


@dataclass(frozen=True)
class Row:
    """A message to be written: over which network, to whom, in which template and language."""

    network: str
    to: str
    template: str
    language: str
    values: dict[str, Any]


def rows(file: Path) -> list[Row]:
    """Reads the file. Raises SettingsError, which names the message and the key."""
    try:
        tables = tomllib.loads(file.read_text("utf-8-sig")).get("message", [])
        check_type("message", tables, list, "write [[message]] before each one")
        found = [_row(f"message {number}", table) for number, table in enumerate(tables, 1)]
    except OSError as error:
        raise SettingsError(f"{file}: cannot be read: {error.strerror}") from None
    except (WrongValue, ValueError, RecursionError) as error:  # not TOML, or not UTF-8, too
        raise SettingsError(f"{file}: {error}") from None
    if not found:
        raise SettingsError(f"{file}: no messages; write [[message]] and its keys for each")
    return found


def _row(name: str, table: Any) -> Row:
    """Returns a message of the file. Raises WrongValue."""
    check_type(name, table, dict, "write [[message]] before each one")
    head = {"to": "", "template": "", "language": ""}
    head |= {key: table[key] for key in head if key in table}
    kinds = {"to": str, "template": Word, "language": str}
    read = convert_table(name, head, kinds, Path())
    network, _, to = read["to"].partition(":")
    if network not in KINDS:
        remedy = 'write to = "xmpp:you@example.org", or to = "aim:YourScreenName"'
        raise WrongValue(f"{name}.to", f"{read['to'][:60]!r} names no messenger; {remedy}")
    to = convert(f"{name}.to", to, KINDS[network], f'write to = "{network}:…"', Path())
    values = {key: value for key, value in table.items() if key not in head}
    return Row(network, to, read["template"], read["language"], values)
