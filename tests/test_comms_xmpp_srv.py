"""Where the server of a domain is: SRV records, and the domain itself without them."""

from __future__ import annotations

import socket
import sys
import threading

import pytest

from comms.clock import RealClock
from comms.errors import Refused
from comms.settings import Server
from comms.xmpp import srv
from comms.xmpp.session import Session
from tests.scripted import Peer, RecordingHost
from tests.test_comms_xmpp_session import log_in


def candidates(domain: str, tls: str = "starttls", port: int = 5222) -> list[tuple[str, int]]:
    return srv.candidates(domain, tls, port, RecordingHost(), 2.0)


def test_without_records_the_domain_itself_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srv, "_look_up", lambda name, timeout: [])
    assert candidates("bücher.test") == [("xn--bcher-kva.test", 5222)]


def test_records_are_tried_by_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    records = [
        (20, 0, 5222, "last.test."),
        (10, 0, 5222, "light.test."),
        (10, 100, 5223, "heavy.test."),
    ]
    names = []

    def look_up(name: str, timeout: float) -> list[tuple[int, int, int, str]]:
        names.append(name)
        return records

    monkeypatch.setattr(srv, "_look_up", look_up)
    first, second, third = candidates("x.test", "implicit", 5223)
    assert {first, second} == {("light.test", 5222), ("heavy.test", 5223)}
    assert third == ("last.test", 5222)
    assert names == ["_xmpps-client._tcp.x.test."]


def test_among_equal_priorities_a_heavy_record_is_usually_first() -> None:
    host = RecordingHost()  # its tokens count up, so that each draw is another one
    records = [(10, 10, 1, "light."), (10, 90, 2, "heavy.")]
    firsts = [srv._in_order(records, host)[0][0] for _ in range(1010)]
    assert 800 < firsts.count("heavy.") < 1000


def test_a_domain_without_the_service_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srv, "_look_up", lambda name, timeout: [(0, 0, 0, ".")])
    with pytest.raises(Refused, match=r"x\.test has no Jabber service"):
        candidates("x.test")


def test_after_a_candidate_without_a_listener_the_next_is_tried(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = RealClock()
    with Peer(log_in) as peer:
        records = [(1, 0, 1, "127.0.0.1."), (2, 0, peer.port, "127.0.0.1.")]
        monkeypatch.setattr(srv, "_look_up", lambda name, timeout: records)
        server = Server(
            "xmpp", "", 5222, "none", None, "", "secret", "plain", 2.0, "bot@example.test"
        )
        session = Session(server, clock, RecordingHost())
        assert str(session.jid).startswith("bot@example.test/")
        session.close()
    clock.close()


def test_records_are_looked_up_by_dnspython(monkeypatch: pytest.MonkeyPatch) -> None:
    """The name server is a socket that answers one question."""
    import dns.message
    import dns.resolver
    import dns.rrset

    name_server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    name_server.bind(("127.0.0.1", 0))
    name_server.settimeout(5)

    def answer() -> None:
        data, client = name_server.recvfrom(4096)
        question = dns.message.from_wire(data)
        reply = dns.message.make_response(question)
        name = question.question[0].name
        record = "5 1 15222 xmpp.example.test."
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", record))
        name_server.sendto(reply.to_wire(), client)

    thread = threading.Thread(target=answer)
    thread.start()
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], name_server.getsockname()[1]
    monkeypatch.setattr(dns.resolver, "default_resolver", resolver)
    try:
        assert candidates("example.test") == [("xmpp.example.test", 15222)]
    finally:
        thread.join()
        name_server.close()


def test_without_dnspython_the_domain_itself_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dns.resolver", None)
    assert candidates("x.test") == [("x.test", 5222)]
