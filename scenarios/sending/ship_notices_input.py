"""The list of customers: a CSV file, read line by line, so that a bad line does not end it."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from comms import addresses
from comms.errors import SettingsError
from comms.header import check_line

LONGEST = 65536  # bytes of a line
NEEDED = ("order", "name", "address")


@dataclass(frozen=True)
class Customer:
    """A line of the list: who is notified of which order. `values` are all of its columns."""

    line: int
    order: str
    address: str
    values: dict[str, str]


@dataclass(frozen=True)
class BadLine:
    """A line that cannot become a notice, and why."""

    line: int
    problem: str


def read(path: Path) -> Iterator[Customer | BadLine]:
    """Yields the lines of the list; the first one names the columns. Raises SettingsError."""
    try:
        with path.open("rb") as file:
            lines = _lines(file)
            try:
                first = _decoded(next(lines, (1, b""))[1].removeprefix(b"\xef\xbb\xbf"))
                # Spreadsheets write semicolons where the comma is the decimal point.
                delimiter = ";" if first.count(";") > first.count(",") else ","
                columns = [name.strip() for name in _split(first, delimiter)]
                _check_columns(columns)
            except ValueError as error:
                raise SettingsError(
                    f"{path}:1: {error}; write a first line such as order,name,address,parcel"
                ) from None
            for number, raw in lines:
                try:
                    if raw.strip():
                        yield _customer(number, _split(_decoded(raw), delimiter), columns)
                except ValueError as error:
                    yield BadLine(number, str(error))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror}; write a CSV file") from None


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yields (number, line). Of a line that is too long, only enough to see that it is."""
    for number in itertools.count(1):
        line = rest = file.readline(LONGEST + 1)
        if not line:
            return
        while len(rest) >= LONGEST and not rest.endswith(b"\n"):
            rest = file.readline(LONGEST)
        yield number, line


def _decoded(raw: bytes) -> str:
    if len(raw) > LONGEST:
        raise ValueError(f"the line is longer than {LONGEST} bytes")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("the line is not in UTF-8") from None


def _split(line: str, delimiter: str) -> list[str]:
    try:
        # One line at a time: a quotation mark that is never closed costs no other line.
        return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter, strict=True), [])
    except csv.Error as error:
        raise ValueError(f"not CSV: {error}") from None


def _check_columns(columns: list[str]) -> None:
    for name in NEEDED:
        if name not in columns:
            raise ValueError(f"no column {name!r}")
    if len(set(columns)) < len(columns):
        raise ValueError("two columns have the same name")


def _customer(number: int, fields: list[str], columns: list[str]) -> Customer:
    """Raises ValueError."""
    if len(fields) != len(columns):
        raise ValueError(f"{len(fields)} fields for {len(columns)} columns")
    values = {name: field.strip() for name, field in zip(columns, fields, strict=True)}
    for name, value in values.items():
        check_line(name, value)
    for name in NEEDED:
        if not values[name]:
            raise ValueError(f"{name} is empty")
    if not addresses.is_address(values["address"]):
        raise ValueError(f"{values['address'][:100]!r} is not a mail address")
    return Customer(number, values["order"], values["address"], values)
