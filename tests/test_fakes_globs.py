"""What a glob fits."""

from __future__ import annotations

import pytest

from fakes import World
from fakes.globs import fits


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


def test_a_long_glob_matches_itself_without_being_read() -> None:
    long = "[" * 1_000_000  # reading it would take hours
    assert fits(long, long) and not fits("a", long)
