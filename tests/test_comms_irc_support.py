"""What a client takes from the tokens of a server."""

from __future__ import annotations

import pytest

from comms.irc.support import Support


def test_without_tokens_those_of_the_rfc_hold() -> None:
    support = Support()
    assert support.fold("A[]\\~") == "a{}|^"
    assert support.prefixes == "@+"
    assert support.nick_length == 9
    assert [support.is_channel(name) for name in ("#a", "&a", "a", "", "+a")] == [
        True, True, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("mapping", "folded"),
    [("ascii", "a[]\\~"), ("strict-rfc1459", "a{}|~"), ("rfc1459", "a{}|^"), ("new", "a{}|^")],
)
def test_names_compare_as_the_server_says(mapping: str, folded: str) -> None:
    support = Support()
    support.learn([f"CASEMAPPING={mapping}"])
    assert support.fold("A[]\\~") == folded


def test_tokens_are_learnt_and_forgotten() -> None:
    support = Support()
    support.learn(["CHANTYPES=#", "PREFIX=(qov)~@+", "NICKLEN=30", "BOT=b", "EXCEPTS"])
    assert not support.is_channel("&a")
    assert (support.prefixes, support.nick_length, support.value("BOT")) == ("~@+", 30, "b")
    assert "EXCEPTS" in support and support.value("EXCEPTS", "e") == "e"
    support.learn(["-EXCEPTS", "NICKLEN=many"])
    assert "EXCEPTS" not in support and support.nick_length == 9
