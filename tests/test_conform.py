"""tests/conform.py: its table, and what it prints about a server."""

from __future__ import annotations

import re
from contextlib import ExitStack

import pytest

from fakes import World
from tests.conform import TABLE, Target, compare, main, ours, play, read, target_of
from tests.real import free_port

PROBES = read(TABLE.read_text("utf-8"))


def test_each_probe_expects_something_and_cites_a_section() -> None:
    assert len({(probe.protocol, probe.title) for probe in PROBES}) == len(PROBES) >= 124
    for probe in PROBES:
        assert re.search(r" §\d", probe.section), probe.title
        assert any(kind != ">" for kind, _ in probe.steps), probe.title


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["smtp", "pop3", "imap", "xmpp"])
def test_all_probes_hold_for_our_servers(protocol: str) -> None:
    with ExitStack() as stack:
        (target,) = (one for one in ours(stack) if one.protocol == protocol)
        probes = [probe for probe in PROBES if probe.suits(target)]
        assert [f"{one.title}: {found}" for one in probes if (found := play(one, target))] == []


@pytest.mark.world(tls="off", faults=['smtp NOOP reply "599 no" optional'])
def test_a_row_that_does_not_hold_shows_what_came(world: World) -> None:
    table = "[smtp] must RFC 5321 §4.1.1.9: NOOP is 250\n> NOOP\n< ^250\n"
    target = Target("smtp", "mine", world.address("smtp"))
    assert list(compare(read(table), [target])) == [
        "",
        "smtp: 1 mine",
        "  ✗  must    RFC 5321 §4.1.1.9       NOOP is 250",
        "     mine: 599 no",
        "  mine: 1 of 1 musts do not hold",
    ]


def test_a_url_names_a_server_and_its_account(capsys: pytest.CaptureFixture[str]) -> None:
    target = target_of("pop3://ann%40shop.test:p%3Aw@mail.shop.test:1110")
    assert (target.address, target.user) == (("mail.shop.test", 1110), "ann@shop.test")
    assert target.password == "p:w" and target.words()["domain"] == "shop.test"
    assert target_of("imap://mail.shop.test").address == ("mail.shop.test", 143)
    assert main(["http://mail.shop.test"], ours) == 2
    assert capsys.readouterr().err.startswith("error: 'http://mail.shop.test': write smtp://HOST")
    assert main([f"smtp://127.0.0.1:{free_port()}"], ours) == 2
    assert re.fullmatch(
        r"error: 127\.0\.0\.1:\d+: Connection refused; is the server running\?\n",
        capsys.readouterr().err,
    )
    with pytest.raises(ValueError, match=r"conform.txt: line 2: cannot be read: '>NOOP'"):
        read("[smtp] must RFC 5321 §4.1.1.9: NOOP is 250\n>NOOP\n")
