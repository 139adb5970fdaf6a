"""Which servers a world has, and which of their ports open."""

from __future__ import annotations

from typing import Any

import pytest

from fakes.config import Reader, WorldError
from fakes.servers import SERVERS
from fakes.wiring import Wiring


def wired(config: dict[str, Any], ports: dict[str, int] | None = None, tls: str = "off") -> Wiring:
    return Wiring(SERVERS, Reader(SERVERS).read(config), ports or {}, tls)


def opening(wiring: Wiring) -> list[tuple[str, int]]:
    return [(port.name, number) for _, port, number in wiring.listeners()]


def test_without_a_choice_the_first_port_of_each_server_opens() -> None:
    assert opening(wired({})) == [("smtp", 0), ("pop3", 0), ("toc", 0), ("xmpp", 0)]


def test_servers_are_in_the_order_of_the_world_file() -> None:
    assert list(wired({"servers": ["pop3", "smtp"]}).servers) == ["pop3", "smtp"]


def test_only_the_named_ports_open_and_only_their_servers_exist() -> None:
    wiring = wired({}, {"submission": 2525, "pop3": 0})
    assert opening(wiring) == [("submission", 2525), ("pop3", 0)]
    assert list(wiring.servers) == ["smtp", "pop3"]


def test_a_port_inside_tls_needs_tls() -> None:
    assert opening(wired({}, {"smtps": 0}, tls="optional")) == [("smtps", 0)]
    with pytest.raises(WorldError, match="ports: smtps needs TLS, which is off"):
        wired({}, {"smtps": 0})


def test_the_policy_of_a_port_overrides_that_of_its_server() -> None:
    wiring = wired({"mail": {"size": 10}})
    (smtp, first), (_, submission) = wiring.find("smtp"), wiring.find("submission")
    assert (wiring.policy(smtp, first).login, wiring.policy(smtp, first).size) == ("optional", 10)
    assert wiring.policy(smtp, submission).login == "required"


def test_an_unknown_port_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(WorldError, match=r"ports: unknown listener 'smpt' .did you mean 'smtp'"):
        wired({}, {"smpt": 0})
    with pytest.raises(WorldError, match=r"no listener 'toc'.*it has: smtp, submission, smtps"):
        wired({"servers": ["smtp"]}).find("toc")


def test_a_core_that_takes_over_a_connection_sees_neither_connect_nor_tls() -> None:
    vocabulary = wired({"servers": ["toc"]}).vocabulary()
    assert "connect" in vocabulary["toc"] and "connect" not in vocabulary["http"]
