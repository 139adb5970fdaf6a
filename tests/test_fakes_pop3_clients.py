"""poplib, which was not written here, does real work on our POP3 server."""

from __future__ import annotations

import contextlib
import poplib
import socket
import ssl

import pytest

from fakes.world import World

ALICE = "alice@example.test"


@pytest.mark.world(servers=["pop3"])
def test_poplib_can_use_every_command_that_it_knows(world: World) -> None:
    world.mail.deliver(ALICE, b"Subject: one\r\n\r\n.\r\n..dots\r\n.x\r\nlast")
    world.mail.deliver(ALICE, b"Subject: two\r\n\r\n")
    client = poplib.POP3(*world.address("pop3"), timeout=5)
    assert "UIDL" in client.capa()
    with contextlib.suppress(poplib.error_proto):
        client.apop("alice", "wrong")
    assert client.apop("alice", "secret").startswith(b"+OK")
    count, total = client.stat()
    _, lines, _ = client.list()
    assert count == 2 and total == sum(int(line.split()[1]) for line in lines)
    _, content, size = client.retr(1)
    assert content[-4:] == [b".", b"..dots", b".x", b"last"]
    assert size == int(lines[0].split()[1])
    assert client.top(2, 0)[1][-2:] == [b"Subject: two", b""]
    assert client.uidl()[1] == [b"1 00000001", b"2 00000002"]
    client.dele(1)
    client.rset()
    client.dele(2)
    assert client.noop()
    client.quit()
    assert [mail.subject for mail in world.mail.inbox(ALICE)] == ["one"]


# Mails that a client which ends lines at LF, as poplib does, would take for ended too early.
LONE_DOTS = [
    b"one\n.\ntwo\r\n",
    b"one\n.\r\ntwo\r\n",
    b"one\n\n.\n\ntwo\n",
    b"one\n.\n.\n.\ntwo",
    b"one\n..\n.x\ntwo\r\n",
    b"\n.\ntwo\r\n",
    b".\ntwo\n.",
]


@pytest.mark.world(servers=["pop3"])
@pytest.mark.parametrize("body", LONE_DOTS)
def test_poplib_gets_the_whole_of_a_mail_with_lone_dots_between_bare_lfs(
    world: World, body: bytes
) -> None:
    raw = b"Subject: x\r\n\r\n" + body
    world.mail.deliver(ALICE, raw)
    client = poplib.POP3(*world.address("pop3"), timeout=5)
    client.user("alice")
    client.pass_("secret")
    for lines in (client.retr(1)[1], client.top(1, 100)[1]):
        assert b"\n".join(lines).rstrip().endswith(b"\n".join(raw.splitlines()))
    assert client.noop() == b"+OK Done", "the client is not out of step"
    client.quit()


@pytest.mark.world(servers=["pop3"], tls="required")
def test_poplib_starts_tls_and_can_log_in_only_then(world: World) -> None:
    context = ssl.create_default_context(cafile=str(world.ca_file))
    client = poplib.POP3("localhost", world.address("pop3")[1], timeout=5)
    with pytest.raises(poplib.error_proto):
        client.user("alice")
    client.stls(context)
    client.user("alice")
    client.pass_("secret")
    client.quit()


def test_on_the_port_for_implicit_tls_the_greeting_is_encrypted() -> None:
    with World({"servers": ["pop3"], "tls": "optional"}, ports={"pop3s": 0}) as world:
        context = ssl.create_default_context(cafile=str(world.ca_file))
        port = world.address("pop3s")[1]
        client = poplib.POP3_SSL("localhost", port, context=context, timeout=5)
        assert "STLS" not in client.capa()
        client.user("alice")
        client.pass_("secret")
        client.quit()


@pytest.mark.slow
# Nothing is recorded: each answer would be kept, 30 MB at a time.
@pytest.mark.world(servers=["pop3"], mail={"size": 100_000_000}, watch=lambda entry: None)
def test_a_mail_of_thirty_megabytes_is_fetched_also_by_a_client_that_pipelines(
    world: World,
) -> None:
    raw = b"Subject: big\r\n\r\n" + (b"." * 998 + b"\r\n") * 30_000
    world.mail.deliver(ALICE, raw)
    client = poplib.POP3(*world.address("pop3"), timeout=30)
    client.user("alice")
    client.pass_("secret")
    _, lines, size = client.retr(1)
    assert size == world.mail.maildrop(ALICE).rows[0].size and lines[-1] == b"." * 998
    client.quit()
    with socket.create_connection(world.address("pop3"), 30) as eager:
        eager.sendall(b"USER alice\r\nPASS secret\r\nRETR 1\r\nRETR 1\r\nQUIT\r\n")
        got = 0
        while more := eager.recv(1 << 20):
            got, last = got + len(more), more
    assert got > 2 * size and last.endswith(b"+OK Bye\r\n")
