# apt-get install: postfix dovecot-core dovecot-imapd dovecot-pop3d dovecot-lmtpd prosody
"""The probes of tests/tables/conform.txt at servers that others wrote: what it says they answer."""

from __future__ import annotations

import re

import pytest

from tests.conform import TABLE, Probe, Target, play, read
from tests.conform_servers import SERVERS

pytestmark = pytest.mark.real


@pytest.mark.parametrize(
    "name", [name for name in SERVERS if name != "ejabberd"]
)  # it starts slowly
def test_a_server_answers_as_the_table_says(name: str) -> None:
    probes = read(TABLE.read_text("utf-8"))

    def differs(probe: Probe, target: Target) -> str:
        answer, known = play(probe, target), probe.others.get(name, "")
        right = re.search(known, answer) if known else not answer
        return "" if right else f"{probe.section}: {probe.title}: {answer or 'as it must'}"

    # One after the other: they share an account, and on a busy machine Dovecot answered two of them
    # otherwise, in 2 of 52 runs, when four were asked at once.
    with SERVERS[name]() as targets:
        found = [
            differs(probe, target) for target in targets for probe in probes if probe.suits(target)
        ]
    assert [difference for difference in found if difference] == []
