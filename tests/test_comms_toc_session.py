"""One connection to a TOC server: the sign-on, and when a command is known to be handled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from comms.errors import Refused, TryLater, Unknown
from comms.toc.messages import Complaint, signon_command
from comms.toc.session import SYNC, Session
from tests.toc_peer import PASSWORD, Peer


@pytest.fixture
def peer() -> Iterator[Peer]:
    peer = Peer()
    yield peer
    peer.close()


def signed_on(peer: Peer) -> Session:
    session = Session(peer.server(), peer.clock, peer.host)
    assert session.sign_on("OpsBot", signon_command("OpsBot", PASSWORD)) is None
    return session


def test_a_refused_sign_on_returns_the_complaint(peer: Peer) -> None:
    peer.refusal = "ERROR:980"
    session = Session(peer.server(), peer.clock, peer.host)
    refusal = session.sign_on("OpsBot", signon_command("OpsBot", PASSWORD))
    assert refusal == Complaint(980)
    session.close()


def test_sync_returns_the_complaints_about_earlier_commands(peer: Peer) -> None:
    session = signed_on(peer)
    assert session.sync() == []
    peer.on["toc_send_im"] = lambda session, rest: session.send("ERROR:901:bob")
    session.send("toc_send_im bob hi")
    assert session.sync() == [Complaint(901, "bob")]
    session.close()


def test_a_server_that_never_answers_is_not_asked_again(peer: Peer) -> None:
    del peer.on["toc_get_status"]
    session = signed_on(peer)
    start = peer.clock.time()
    assert session.sync() == [] and peer.clock.time() - start == SYNC
    assert session.sync() == [] and peer.clock.time() - start == SYNC
    assert not session.answers_status
    assert not session.request("toc_send_im bob hi", {901}), "sent, but the outcome is unknown"
    session.close()


def test_a_request_raises_the_complaints_that_are_about_it(peer: Peer) -> None:
    session = signed_on(peer)
    assert session.request("toc_send_im bob hi", {901})
    peer.on["toc_send_im"] = lambda session, rest: session.send("ERROR:901:bob")
    with pytest.raises(Refused, match="901 bob is not available"):
        session.request("toc_send_im bob hi", {901})
    assert session.request("toc_send_im bob hi", {902}), "901 is not about it"
    peer.on["toc_send_im"] = lambda session, rest: session.hang_up()
    with pytest.raises(Unknown, match="may have arrived or not"):
        session.request("toc_send_im bob hi", {901})
    session.close()


def test_messages_that_arrive_during_a_request_wait_in_the_inbox(peer: Peer) -> None:
    session = signed_on(peer)
    peer.on["toc_send_im"] = lambda session, rest: session.send("IM_IN2:Ann:F:F:hi")
    session.request("toc_send_im bob hi", {901})
    kinds = [message.kind for message in session.pending()]
    assert kinds == ["NICK", "CONFIG2", "IM_IN2"]
    assert not session.inbox
    session.close()


@pytest.mark.parametrize(
    ("complaint", "kind"),
    [
        (Complaint(903), TryLater),
        (Complaint(981), TryLater),
        (Complaint(983), TryLater),
        (Complaint(989, "0"), TryLater),
        (Complaint(989, "7"), Refused),
        (Complaint(980), Refused),
        (Complaint(901, "bob"), Refused),
    ],
)
def test_temporary_complaints_are_try_later(
    peer: Peer, complaint: Complaint, kind: type[Exception]
) -> None:
    session = signed_on(peer)
    assert type(session.error_for(complaint)) is kind
    session.close()


@pytest.mark.parametrize("code", [911, 913, 914, 989])
def test_a_complaint_about_any_command_leaves_the_outcome_open(peer: Peer, code: int) -> None:
    session = signed_on(peer)
    peer.on["toc_send_im"] = lambda session, rest: session.send(f"ERROR:{code}:x")
    assert not session.request("toc_send_im bob hi", {901})
    peer.on["toc_send_im"] = lambda session, rest: session.send("ERROR:962:eve")
    assert session.request("toc_send_im bob hi", {901}), "962 is about a message to us"
    session.close()


def test_a_program_that_is_asked_to_stop_does_not_wait_for_the_rate_limit(
    peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = signed_on(peer)
    peer.on["toc_send_im"] = lambda session, rest: session.send("ERROR:903")
    monkeypatch.setattr(peer.clock, "stopping", lambda: True)
    with pytest.raises(TryLater, match="asked to stop"):
        session.request("toc_send_im bob hi", {901, 903})
    assert len(peer.session.commands()) == 1
    session.close()
