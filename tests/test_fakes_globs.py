"""What a glob fits."""

from __future__ import annotations

from itertools import count

import pytest

from fakes import World
from fakes.globs import fits
from tests.growth import FACTOR_MOST, factor


@pytest.mark.parametrize(
    ("glob", "is_fit"),
    [
        ("[Shop] Order 7", True),
        ("[Shop] Order *", True),
        ("[[]Shop] Order ?", True),
        ("[[]Shop] Order [0-9]", True),
        ("[Shop] Order", False),
        ("[Desk] Order *", False),
        ("S*", False),
    ],
)
def test_a_bracket_may_stand_for_itself(glob: str, is_fit: bool) -> None:
    assert fits("[Shop] Order 7", glob) == is_fit


def test_so_it_may_in_waits_and_attachments() -> None:
    disposition = b'Content-Disposition: attachment; filename="a[1].csv"'
    header = b"Subject: [Shop] Order 7\r\n" + disposition + b"\r\n"
    with World(servers=["smtp"], tls="off") as world:
        world.mail.deliver("bob@example.test", header + b"\r\nx")
        mail = world.mail.wait_for(subject="[shop] order *")
        assert mail.attachment("a[1].*") == b"x"


def test_in_a_long_glob_each_bracket_stands_for_itself() -> None:
    long = "[" * 16_000
    assert fits(f"{long}a]b", f"{long}a]*") and not fits("a", f"{long}*]")


@pytest.mark.slow
def test_a_glob_costs_time_in_proportion_to_its_size() -> None:
    # A new glob each time, because fnmatch keeps those that it has read.
    new = count()
    cost = factor(lambda size: lambda: fits("x", f"{next(new)}{'[' * size}"), 4_000)
    assert cost <= FACTOR_MOST
