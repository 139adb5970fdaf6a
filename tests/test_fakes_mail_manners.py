"""The manners of real mail servers: with them, ours answer as tests/tables/conform.txt notes."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from fakes import World
from tests.conform import TABLE, Probe, Target, play, read

PROBES = read(TABLE.read_text("utf-8"))
SERVERS = {"smtp": "Postfix", "pop3": "Dovecot"}
each_protocol = pytest.mark.parametrize("protocol", SERVERS)


def differences(protocol: str, asked: Callable[[str], bool]) -> list[str]:
    """What ours answers otherwise, with the manners of a server, than the table notes of it."""
    name = SERVERS[protocol]
    manners = {protocol: name.lower()}
    with World({"servers": [protocol], "tls": "off", "manners": manners}) as world:
        target = Target(protocol, name, world.address(protocol))

        def differs(probe: Probe) -> str:
            answer, known = play(probe, target), probe.others.get(name, "")
            right = re.search(known, answer) if known and answer else answer == known
            return "" if right else f"{probe.section}: {probe.title}: {answer or 'as it must'}"

        probes = [
            one for one in PROBES if one.protocol == protocol and asked(one.others.get(name, ""))
        ]
        assert probes
        return [found for found in map(differs, probes) if found]


@each_protocol
def test_with_manners_ours_differs_from_the_rfcs_as_that_server_does(protocol: str) -> None:
    assert differences(protocol, bool) == []


@pytest.mark.slow
@each_protocol
def test_manners_change_nothing_else(protocol: str) -> None:
    assert differences(protocol, lambda known: not known) == []
