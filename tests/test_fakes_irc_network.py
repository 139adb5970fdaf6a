"""The IRC network: people who act by cues, waits, splits, ghosts, and what a world needs of it."""

from __future__ import annotations

import socket

import pytest

from fakes import World
from fakes.config import WorldError
from fakes.irc.network import Irc
from tests.irc_core import Bench, hears, numerics, says


def test_people_and_clients_talk() -> None:
    bench = Bench()
    bot, ann = bench.registered("bot"), bench.irc.person("ann")
    ann.joins("#ops")
    says(bot, "JOIN #ops")
    ann.says("#ops", "hello")
    ann.notices("bot", "psst")
    ann.acts("#ops", "waves")
    assert hears(bot) == [
        ":ann!~ann@people.test PRIVMSG #ops :hello",
        ":ann!~ann@people.test NOTICE bot :psst",
        ":ann!~ann@people.test PRIVMSG #ops :\x01ACTION waves\x01",
    ]
    says(bot, "PRIVMSG ann :caf\udce9", "PRIVMSG #ops :all")
    assert [(one.target, one.text) for one in ann.hears] == [("ann", "café"), ("#ops", "all")]
    assert bench.irc.wait_for(lambda one: one.verb == "NOTICE").text == "psst"
    bench.irc.forget()
    bench.irc.assert_none()
    ann.quits("off")
    assert hears(bot) == [":ann!~ann@people.test QUIT :off"]
    ann.joins("#ops")
    assert bench.irc.channel("#OPS").members == ["bot", "ann"]


def test_who_0_is_everybody_and_lusers_tells_the_invisible_apart() -> None:
    bench = Bench()
    bot, ann = bench.registered("bot"), bench.irc.person("ann")
    ann.joins("#ops")
    says(bot, "MODE bot +i")
    assert numerics(says(bot, "WHO 0")) == ["352", "352", "315"]
    assert says(bot, "LUSERS")[0].endswith(" :There are 1 users and 1 invisible on 1 servers")


def test_a_refusal_of_a_person_raises_its_numeric() -> None:
    bench = Bench()
    ann, bob = bench.irc.person("ann"), bench.irc.person("bob")
    ann.joins("#ops")
    bob.joins("#ops")
    for act, numeric in [
        (lambda: bob.kicks("#ops", "ann"), "482"),
        (lambda: bob.sets("#ops", "+m"), "482"),
        (lambda: bob.says("nobody", "x"), "401"),
        (lambda: bob.becomes("ann"), "433"),
        (lambda: bob.becomes("1"), "432"),
        (lambda: bob.joins("ops"), "403"),
        (lambda: bob.parts("#none"), "403"),
    ]:
        with pytest.raises(LookupError, match=f"^.?{numeric} "):
            act()  # type: ignore[no-untyped-call]
    with pytest.raises(LookupError, match="no account 'ann'"):
        ann.logs_in()
    with pytest.raises(LookupError, match="cannot be a nick"):
        bench.irc.person("1")
    with pytest.raises(LookupError, match="nobody is not on IRC; users: ann, bob"):
        bench.irc.kill("nobody")
    with pytest.raises(LookupError, match="#none does not exist; channels: #ops"):
        bench.irc.channel("#none")
    with pytest.raises(LookupError, match="ann is not in #none"):
        bench.irc.kick("#none", "ann")


def test_what_people_do_to_channels() -> None:
    bench = Bench()
    ann = bench.irc.person("ann")
    ann.joins("#ops")
    bench.registered("bot")
    ann.invites("bot", "#ops")
    ann.sets_topic("#ops", "work")
    ann.sets("#ops", "+ik", "secret")
    ann.becomes("anna")
    channel = bench.irc.channel("#ops")
    assert (channel.topic, channel.key, channel.members) == ("work", "secret", ["@anna"])
    assert channel.invitations == ["bot"]
    ann.parts("#ops", "home")
    assert ":anna!~ann@people.test PART #ops :home" in ann.saw


def test_without_a_login_nobody_has_an_account() -> None:
    bench = Bench()
    alice = bench.irc.person("alice")
    alice.joins("#ops")
    alice.says("#ops", "one")
    alice.logs_in()
    alice.says("#ops", "two")
    assert [one.account for one in bench.irc.messages] == ["", "alice"]


def test_a_split_and_its_end() -> None:
    bench = Bench()
    for nick in ("ann", "bob"):
        bench.irc.person(nick).joins("#ops")
    bench.irc.person("ann").sets("#ops", "+v", "bob")
    bot = bench.registered("bot")
    says(bot, "JOIN #ops")
    assert bench.irc.netsplit() == ["ann", "bob"]
    assert [line.partition(" ")[2] for line in hears(bot)] == ["QUIT :hub.test leaf.test"] * 2
    assert bench.irc.users == ["bot"]
    says(bot, "NICK bob")
    bench.irc.netjoin()
    assert bench.irc.channel("#ops").members == ["bob", "@ann"]
    with pytest.raises(LookupError, match="bob has a connection"):
        bench.irc.netsplit("bob")


def test_nobody_is_heard_from_the_other_side_of_a_split() -> None:
    bench = Bench()
    ann, bot = bench.irc.person("ann"), bench.registered("bot")
    ann.joins("#ops")
    says(bot, "JOIN #ops")
    bench.irc.netsplit()
    hears(bot)
    ann.says("#ops", "on the other side")
    ann.notices("bot", "on the other side")
    ann.sets_topic("#ops", "split")
    assert (hears(bot), bench.irc.users) == ([], ["bot"])
    bench.irc.netjoin()
    ann.says("#ops", "back")
    told = [line.split(" ", 1)[1] for line in hears(bot)]
    assert told == ["JOIN #ops", "MODE #ops +o ann", "TOPIC #ops :split", "PRIVMSG #ops :back"]


def test_a_ghost_keeps_its_nick_until_the_ping_timeout() -> None:
    bench = Bench()
    bot, other = bench.registered("bot"), bench.registered("other")
    says(bot, "JOIN #ops")
    says(other, "JOIN #ops")
    bench.irc.ghost("bot")
    assert bot.closed
    assert numerics(says(other, "NICK bot", "PRIVMSG bot :hello?")) == ["433"]
    bench.passes(170)
    says(other, "PONG x")
    bench.passes(11)
    assert hears(other)[-1] == ":bot!~bot@127.0.0.1 QUIT :Ping timeout: 180 seconds"
    assert bench.irc.users == ["other"]


def test_a_lost_connection_is_a_quit() -> None:
    bench = Bench()
    bot, other = bench.registered("bot"), bench.registered("other")
    for core in (bot, other):
        says(core, "JOIN #ops")
    hears(bot)
    other.eof()
    assert hears(bot) == [":other!~other@127.0.0.1 QUIT :Connection closed"]


def test_queries_do_not_show_what_is_hidden() -> None:
    bench = Bench()
    ann, bot = bench.irc.person("ann"), bench.registered("bot")
    ann.joins("#secret")
    ann.sets("#secret", "+s")
    ann.sets("ann", "+i")
    assert numerics(says(bot, "LIST", "NAMES #secret", "WHO #secret", "WHO a*")) == [
        "321", "323", "366", "315", "315",
    ]  # fmt: skip
    assert numerics(says(bot, "TOPIC #secret")) == ["442"]
    assert "319" not in numerics(says(bot, "WHOIS ann"))
    assert numerics(says(bot, "WHO ann")) == ["352", "315"]
    ann.joins("#open")
    bench.irc.person("ben").joins("#open")
    assert says(bot, "NAMES #open")[0].endswith(" 353 bot = #open :ben")
    assert numerics(says(bot, "WHO #open")) == ["352", "315"]
    says(bot, "JOIN #secret")
    assert says(bot, "NAMES #open")[0].endswith(" 353 bot = #open :@ann ben")
    assert numerics(says(bot, "WHO a*")) == ["352", "315"]
    assert says(bot, "NAMES #secret")[0].endswith(" 353 bot @ #secret :@ann bot")


def test_who_throws_itself_out_of_a_channel_throws_out_nobody_after_it() -> None:
    bench = Bench()
    bot, ann = bench.registered("bot"), bench.irc.person("ann")
    says(bot, "JOIN #ops")
    ann.joins("#ops")
    hears(bot)
    assert numerics(says(bot, "KICK #ops bot,ann")) == ["KICK", "442"]
    assert bench.irc.channel("#ops").members == ["ann"]


def test_a_list_of_names_takes_as_many_lines_as_it_needs() -> None:
    bench = Bench()
    bot, channel = bench.registered("b" * 30), "#" + "c" * 63
    people = [f"{'p' * 28}{number:02}" for number in range(30)]
    rooms = [f"#{'é' * 30}{number:02}" for number in range(20)]
    for name in people:
        bench.irc.person(name).joins(channel)
    for room in rooms:
        bench.irc.person("ann").joins(room)
    *lines, _ = says(bot, f"NAMES {channel}")
    assert [word for line in lines for word in line.split(" :")[1].split()] == [
        f"@{people[0]}", *people[1:],
    ]  # fmt: skip
    shown = [line for line in says(bot, "WHOIS ann") if " 319 " in line]
    assert [word for line in shown for word in line.split(" :")[1].split()] == [
        f"@{room}" for room in rooms
    ]
    assert all(len(f"{line}\r\n".encode()) <= 512 for line in [*lines, *shown])


def test_names_and_accounts_follow_the_policy() -> None:
    bench = Bench(casemapping="ascii", name="hub.test", nickserv=False)
    core = bench.registered("a[")
    assert bench.registered("a{")
    assert says(core, "PRIVMSG NickServ :IDENTIFY x") == [
        ":hub.test 401 a[ NickServ :No such nick/channel"
    ]
    assert numerics(says(core, "NS LOGOUT", "OPER a b")) == ["421", "491"]


def test_a_second_login_may_be_refused() -> None:
    core = Bench(sasl_once=True).registered("bot", "sasl")
    login = ["AUTHENTICATE PLAIN", "AUTHENTICATE AGFsaWNlAHNlY3JldA=="]
    assert says(core, *login)[-1].split()[1] == "903"
    assert numerics(says(core, login[0])) == ["907"]


# ── on sockets, and in a world ───────────────────────────────────────────────


def read_until(client: socket.socket, end: bytes) -> bytes:
    client.settimeout(5)
    data = b""
    while end not in data:
        more = client.recv(4096)
        assert more, data
        data += more
    return data


def test_a_client_on_a_socket_meets_a_person() -> None:
    with World({"servers": ["irc"], "tls": "off"}) as world:
        with socket.create_connection(world.address("irc")) as client:
            client.sendall(b"NICK bot\r\nUSER bot 0 * :A bot\r\nJOIN #ops\r\n")
            read_until(client, b" 366 ")
            world.irc.person("ann").says("bot", "hello")
            read_until(client, b"PRIVMSG bot :hello\r\n")
            client.sendall(b"QUIT :done\r\n")
            assert read_until(client, b"[done]\r\n")
        assert world.irc.users == ["ann"]
        assert world.settings["irc"]["nick"] == "alice"


@pytest.mark.slow
def test_the_port_inside_tls_is_secure() -> None:
    import ssl

    with World({"servers": ["irc"]}) as world:
        context = ssl.create_default_context(cafile=str(world.ca_file))
        raw = socket.create_connection(world.address("ircs"))
        with context.wrap_socket(raw, server_hostname="localhost") as client:
            client.sendall(b"NICK bot\r\nUSER bot 0 * :A bot\r\nWHOIS bot\r\n")
            assert b" 671 bot bot :" in read_until(client, b" 318 ")


@pytest.mark.parametrize(
    ("table", "error"),
    [
        ({"casemapping": "ascci"}, "irc.casemapping: unknown value 'ascci' .did you mean 'ascii'"),
        ({"operr": ["a:b"]}, "irc.operr: unknown key .did you mean 'oper'"),
        ({"flood": 1}, "irc.flood: expected true or false"),
    ],
)
def test_a_mistake_in_the_world_file_is_named(table: dict[str, object], error: str) -> None:
    with pytest.raises(WorldError, match=error):
        World({"servers": ["irc"], "irc": table})


def test_a_world_that_ends_tells_nobody() -> None:
    with World({"servers": ["irc"], "tls": "off"}, rehearsal=True) as world:
        assert isinstance(world.irc, Irc)
        ann = world.irc.person("ann")
        ann.joins("#ops")
        before = len(ann.saw)
    assert len(ann.saw) == before
