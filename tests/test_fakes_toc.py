"""The TOC server on sockets: the referee talks to it, people of the play do, and a rehearsal's clock counts all of it."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from typing import Any

import pytest

from comms.link import Link
from fakes import Fault, World
from fakes.faults import FaultError
from fakes.transcript import render
from fakes.world import WorldError
from tests.toc_raw import Raw, RawOnSocket, ServerError

FORMS = ("toc_signon", "toc2_signon", "toc2_login")
TOC: dict[str, Any] = {
    "servers": ["toc"],
    "aim": [{"screen_name": "OpsBot", "buddies": {"Admins": ["SysAdmin"]}}, {"screen_name": "SysAdmin"}],
}


# ── two programs talk ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("one", FORMS)
@pytest.mark.parametrize("other", FORMS)
def test_clients_of_every_form_talk_with_each_other(one: str, other: str) -> None:
    with World(TOC) as world, RawOnSocket(world.address("toc"), "OpsBot", form=one) as bot:
        with RawOnSocket(world.address("toc"), "SysAdmin", form=other) as admin:
            bot.sign_on()
            bot.say("toc_add_buddy sysadmin")
            admin.sign_on()
            bot.until(lambda message: message.startswith("UPDATE_BUDDY"))
            assert bot.online("SysAdmin")
            admin.send(admin.im("Ops Bot", "uptime: now?", auto=True))
            assert bot.until(lambda message: message.startswith("IM_IN")).endswith(":uptime: now?")
            bot.send(bot.im("SYSADMIN", '$ [5] (days) {up} \\o/ "yes"'))
            assert admin.until(lambda message: message.startswith("IM_IN")).endswith(':$ [5] (days) {up} \\o/ "yes"')
            for raw in (bot, admin):
                raw.say("toc_chat_join 4 lobby")
                raw.until(lambda message: message.startswith("CHAT_UPDATE_BUDDY"))
            bot.say('toc_chat_send 1 "all: well"')
            assert admin.until(lambda message: message.startswith("CHAT_IN")).endswith(":all: well")
            assert [str(im) for im in world.aim.ims.wait_for(2)] == [
                "SysAdmin → OpsBot (auto): 'uptime: now?'",
                "OpsBot → SysAdmin: '$ [5] (days) {up} \\\\o/ \"yes\"'",
            ]
        bot.until(lambda message: message.endswith((":F:0:0:0:   ", ":F:0:0:0:   :")))
        assert world.aim.online == ["OpsBot"]


def test_what_two_threads_send_at_once_all_arrives_in_order() -> None:
    many = 500
    with World(TOC) as world:
        clients = [RawOnSocket(world.address("toc"), name) for name in ("OpsBot", "SysAdmin")]
        for client in clients:
            client.sign_on()
        for client in clients:
            client.say("toc_get_status sysadmin")
            client.until(lambda message: message.startswith("UPDATE_BUDDY"))

        def talk(client: RawOnSocket, to: str) -> None:
            for number in range(many):
                client.send(client.im(to, str(number)))
            client.until(lambda message: message.startswith("IM_IN") and message.endswith(f":{many - 1}"))

        threads = [threading.Thread(target=talk, args=args) for args in zip(clients, ("SysAdmin", "OpsBot"), strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for client in clients:
            got = [message.rpartition(":")[2] for message in client.messages if message.startswith("IM_IN")]
            assert got == [str(number) for number in range(many)]
            client.__exit__(None, None, None)
        assert len(world.aim.ims.all) == 2 * many


def test_the_referee_notices_what_a_server_may_not_say() -> None:
    def frame(payload: bytes, kind: int = 2, number: int = 2) -> bytes:
        return struct.pack(">cBHH", b"*", kind, number, len(payload)) + payload

    begun = frame(b"\0\0\0\1", 1, 1)
    for said, why in [
        (b"+", "begins with"),
        (frame(b"SIGN_ON:TOC1.0"), "first frame"),
        (begun + frame(b"SIGN_ON:TOC1.0\0"), "NUL"),
        (begun + frame(b"SIGN_ON:TOC1.0", number=3), "number 3 after 1"),
        (begun + frame(b"SIGN_ON:TOC2.0"), "not in its form"),
        (begun + frame(b"SIGN_ON:TOC1.0") + frame(b"NICK:a", number=3), "out of order"),
        (begun + frame(b"IM_IN:a:F:b"), "before SIGN_ON"),
        (begun + frame(b"HELLO:a"), "no message"),
        (begun + frame(b"x" * 8186), "8186 octets"),
        (begun + frame(b"ERROR:980") + frame(b"SIGN_ON:TOC1.0", number=3), "after an error"),
    ]:
        with pytest.raises(ServerError, match=why):
            Raw("alice").feed(said.ljust(6, b" "))
    signed = Raw("alice")
    signed.command("toc_init_done")
    signed.feed(begun + frame(b"SIGN_ON:TOC1.0") + frame(b"CONFIG:", number=3) + frame(b"NICK:a", number=4))
    for wrong in ("a:T:0:1:0: O", "a:F:0:0:0:", "a:F:0:0:0: OU", "a:T:0:1:0: O :", "a:T:101:1:0: O "):
        with pytest.raises(ServerError, match="not in its form"):
            signed._message(f"UPDATE_BUDDY:{wrong}".encode())


async def test_everything_works_on_the_test_s_own_loop() -> None:
    async with World(TOC) as world:
        reader, writer = await asyncio.open_connection(*world.address("toc"))
        raw = Raw("SysAdmin")
        writer.write(raw.opening() + raw.command("toc_init_done"))
        while len(raw.messages) < 3:
            raw.feed(await reader.read(4096))
        bot = world.aim.actor("OpsBot")
        bot.says("SysAdmin", "hello")
        assert (await world.aim.ims.arrival(lambda im: im.to == "SysAdmin")).text == "hello"
        assert "IM_IN:OpsBot:F:hello" in raw.feed(await reader.read(4096))
        writer.write(raw.im("OpsBot", "and you?"))
        await world.aim.ims.arrival(2)
        assert [im.text for im in bot.heard] == ["and you?"]
        writer.close()
        await writer.wait_closed()


# ── people of the play ───────────────────────────────────────────────────────────────────────────────────────────


def test_people_of_the_play_do_what_clients_do() -> None:
    with World(TOC) as world, RawOnSocket(world.address("toc"), "OpsBot") as bot:
        bot.sign_on()
        bot.say("toc_add_buddy carol")
        bot.say("toc_get_status opsbot")
        bot.until(lambda message: message.startswith("UPDATE_BUDDY"))
        carol = world.aim.actor("Carol")  # she has an account from now on
        carol.signs_on()
        assert bot.until(lambda message: message.startswith("UPDATE_BUDDY:Carol")).split(":")[2] == "T"
        carol.goes_away("lunch")
        bot.until(lambda message: message.endswith(" OU"))
        carol.comes_back()
        bot.until(lambda message: message.endswith(" O "))
        carol.idles(600)
        assert bot.until(lambda message: message.startswith("UPDATE_BUDDY:Carol")).split(":")[5] == "10"
        carol.idles(0)
        bot.until(lambda message: message.startswith("UPDATE_BUDDY:Carol") and message.split(":")[5] == "0")
        with pytest.raises(LookupError, match="'a:b' cannot be a screen name"):
            world.aim.actor("a:b")
        assert carol.says("OpsBot", "naïve", auto=True)
        bot.until("IM_IN:Carol:T:na\xefve")
        assert carol.says("OpsBot", "5 €")
        bot.until(f"IM_IN:Carol:F:{'5 €'.encode().decode('latin-1')}")
        assert not carol.says("Nobody", "hello")
        bot.send(bot.im("carol", "caf\xe9"))
        assert world.aim.ims.wait_for(lambda im: im.to == "Carol").text == "café"
        assert carol.warns("OpsBot")
        bot.until("EVILED:10:Carol")
        assert not carol.warns("OpsBot", anonymous=True)
        carol.watches("OpsBot", "Nobody")
        assert [(status.name, status.warning) for status in carol.statuses] == [("OpsBot", 10)]
        bot.say("toc_evil carol anon")
        bot.say("toc_chat_join 4 Lobby")
        bot.until(lambda message: message.startswith("CHAT_UPDATE"))
        carol.joins("lobby")
        bot.until("CHAT_UPDATE_BUDDY:1:T:Carol")
        carol.says_in("lobby", "hi: all")
        bot.until("CHAT_IN:1:Carol:F:hi: all")
        bot.say('toc_chat_invite 1 "come" carol')
        bot.say("toc_chat_leave 1")
        bot.until("CHAT_LEFT:1")
        assert carol.notices == [
            "warned 3 by nobody",
            "joined Lobby",
            "in Lobby: OpsBot, Carol",
            "invited to Lobby by OpsBot: come",
            "out of Lobby: OpsBot",
        ]
        with pytest.raises(LookupError, match="cannot be the name"):
            carol.joins(" ")
        with pytest.raises(LookupError, match="Carol is not in a room 'elsewhere'"):
            carol.says_in("elsewhere", "hello")
        carol.blocks("OpsBot")
        bot.until("UPDATE_BUDDY:Carol:F:0:0:0:   ")
        carol.signs_off()
        assert world.aim.online == ["OpsBot"]
        assert [event.text for event in world.events if event.who == "Carol"][:3] == [
            "signs on", "goes away: lunch", "comes back"
        ]  # fmt: skip


def test_a_cue_may_do_anything_as_anybody_and_force_any_word() -> None:
    with World(TOC) as world, RawOnSocket(world.address("toc"), "OpsBot") as bot:
        bot.sign_on()
        bot.say("toc_get_status opsbot")
        bot.until(lambda message: message.startswith("UPDATE_BUDDY"))
        admin = world.aim.actor("SysAdmin")
        admin.signs_on()
        assert world.aim.actor("OpsBot").says("SysAdmin", "in the name of the bot")
        assert [str(im) for im in admin.heard] == ["OpsBot → SysAdmin: 'in the name of the bot'"]
        world.aim.sends("OpsBot", "ERROR:960:sysadmin")
        bot.until("ERROR:960:sysadmin")
        world.aim.warns("opsbot", 42)
        bot.until("EVILED:42:")
        with pytest.raises(LookupError, match="nobody is not signed on; users online: OpsBot, SysAdmin"):
            world.aim.sends("nobody", "ERROR:903")
        world.aim.actor("OpsBot").signs_off()
        assert bot.ended()


def test_a_pause_on_real_time_ends_with_a_new_sign_on() -> None:
    with World(TOC) as world, RawOnSocket(world.address("toc"), "OpsBot") as bot:
        bot.sign_on()
        bot.say("toc_get_status opsbot")
        bot.until(lambda message: message.startswith("UPDATE_BUDDY"))
        world.aim.pauses("OpsBot", 0.01)
        bot.until("PAUSE")
        assert world.aim.online == []
        bot.until("SIGN_ON:TOC1.0")
        bot.say("toc_init_done")
        bot.say("toc_get_status opsbot")
        bot.until(lambda message: message.startswith("UPDATE_BUDDY"))
        assert world.aim.online == ["OpsBot"]


# ── what goes wrong ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "then"),
    [
        ("toc_send_im reply 901", "ERROR:901:nobody"),
        ("toc_send_im reply 903", "ERROR:903"),
        ('toc_send_im reply "ERROR:960:someone"', "ERROR:960:someone"),
        ("toc-901", "ERROR:901:nobody"),
        ("toc_send_im arg nobody* user OpsBot split 1", "ERROR:901:nobody"),
        ("toc_send_im delay 0.01", "ERROR:901:nobody"),
    ],
)
def test_a_fault_answers_or_slows_down(fault: str, then: str) -> None:
    with World(TOC, faults=[fault]) as world, RawOnSocket(world.address("toc"), "OpsBot") as bot:
        bot.sign_on()
        bot.send(bot.im("nobody", "hello"))
        bot.until(then)


@pytest.mark.parametrize(
    "fault",
    ["toc_send_im hang up before", "toc_send_im reset", "toc_send_im after 3", "toc_send_im hang up within", "toc-2048",
     "toc_send_im lost stored", "FLAPON hang up before", "connect reset", "toc_init_done reply 981"],
)  # fmt: skip
def test_a_fault_ends_the_connection(fault: str) -> None:
    with World(TOC, faults=[fault]) as world:
        try:
            with RawOnSocket(world.address("toc"), "OpsBot") as bot:
                bot.sign_on()
                bot.send(bot.im("nobody", "hello"))
                assert bot.ended()
        except ConnectionError:
            pass
        except AssertionError as error:
            assert "never came" in str(error)


def test_a_fault_may_strike_the_web_half() -> None:
    with World(TOC, faults=['http GET reply "503 Service Unavailable"']) as world:
        with socket.create_connection(world.address("toc"), 5) as web:
            web.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert web.recv(4096).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")


def test_a_place_that_toc_does_not_know_is_refused_by_name() -> None:
    with pytest.raises(FaultError, match=r"toc knows no 'toc_sendim' \(did you mean 'toc_send_im'\?\)"):
        World(TOC, faults=[Fault("toc_sendim", protocol="toc", reset=True)])


# ── the world file ───────────────────────────────────────────────────────────────────────────────────────────────


def test_settings_name_the_first_screen_name_or_the_program_s() -> None:
    with World(TOC) as world:
        host, port = world.address("toc")
        wanted = {"host": host, "port": port, "tls": "none", "screen_name": "OpsBot", "password": "secret", "timeout": 2}
        assert world.settings["toc"] == wanted
    with World({**TOC, "program": "sys admin"}) as world:
        assert world.settings["toc"]["screen_name"] == "SysAdmin"
    with World() as world:
        assert world.settings["toc"]["screen_name"] == "alice"


@pytest.mark.parametrize(
    ("aim", "error"),
    [
        ({"name": "bob"}, "aim has no key 'name'"),
        ({"screen_name": 5}, "aim.screen_name is a str, not 5"),
        ({"screen_name": ""}, "aim.screen_name is a name like OpsBot"),
        ({"screen_name": "a:b"}, "no colon"),
        ({"screen_name": "Žižka"}, "Latin-1"),
        ({"password": "x"}, "aim.screen_name is a name like OpsBot"),
        ({"screen_name": "bob", "buddies": {"Work": "ops"}}, r'write|groups: \{ Admins = \["SysAdmin"\] \}, not Work'),
        ({"screen_name": "bob", "buddies": {"Work": [1]}}, "not Work"),
        ({"screen_name": "bob", "buddies": {"Work": [f"{n:048}" for n in range(300)]}}, "8,185 octets"),
    ],
)
def test_what_cannot_be_an_account_is_refused_with_the_remedy(aim: dict[str, Any], error: str) -> None:
    with pytest.raises(WorldError, match=error):
        World({"aim": [aim]})


def test_two_accounts_that_fold_alike_are_one_too_many() -> None:
    with pytest.raises(WorldError, match="opsbot is in this world twice"):
        World({"aim": [{"screen_name": "Ops Bot"}, {"screen_name": "opsbot"}]})
    with pytest.raises(WorldError, match=r"write \[\[aim\]\]"):
        World({"aim": {"screen_name": "OpsBot"}})
    with pytest.raises(WorldError, match="toc has no key 'rate'"):
        World({"toc": {"rate": 5}})


# ── rehearsal ────────────────────────────────────────────────────────────────────────────────────────────────────


def rehearsed(rounds: int, burst: int) -> tuple[str, list[list[str]], list[list[int]]]:
    """Two clients on one clock, polled every three seconds, each writing a burst a round: transcript, what each got, and
    how many IMs each held whenever it looked."""
    with World(TOC, rehearsal=True) as world:
        host, port = world.address("toc")
        clock = world.clock
        raws = [Raw("OpsBot"), Raw("SysAdmin", form="toc2_signon")]
        links = [Link.connect(host, port, clock) for _ in raws]
        for raw, link in zip(raws, links, strict=True):
            link.sendall(raw.opening() + raw.command("toc_init_done"))
        clock.until(3 * rounds - 1)
        held: list[list[int]] = [[], []]
        number = 0
        for _ in clock.every(3):
            for at, (raw, link) in enumerate(zip(raws, links, strict=True)):
                while link.readable():
                    raw.feed(link.recv(1 << 16))
                held[at].append(sum(1 for message in raw.messages if message.startswith("IM_IN")))
            for raw, link, to in zip(raws, links, ("SysAdmin", "OpsBot"), strict=True):
                for _ in range(burst):
                    number += 1
                    link.sendall(raw.im(to, str(number)))
        for raw, link in zip(raws, links, strict=True):
            while link.readable():
                raw.feed(link.recv(1 << 16))
            link.close()
        got = [[one.rpartition(":")[2] for one in raw.messages if one.startswith("IM_IN")] for raw in raws]
        recording = list(world.recording)
    return render(recording), got, held


def test_in_a_rehearsal_two_clients_lose_nothing_and_each_look_finds_all_that_was_written_before() -> None:
    burst = 50
    transcript, got, held = rehearsed(40, burst)
    rounds = len(held[0])
    assert rounds > 40
    whole = [str(number) for number in range(1, 2 * rounds * burst + 1)]
    pairs = [whole[at : at + burst] for at in range(0, len(whole), burst)]
    assert got[1] == [number for pair in pairs[0::2] for number in pair]
    assert got[0] == [number for pair in pairs[1::2] for number in pair]
    assert held == [[burst * look for look in range(rounds)]] * 2
    assert rehearsed(40, burst) == (transcript, got, held)


def test_a_rehearsal_polled_by_callback_of_the_clock_wakes_for_what_a_cue_says() -> None:
    with World(TOC, rehearsal=True) as world:
        admin = world.aim.actor("SysAdmin")
        world.clock.at(60, lambda: admin.says("OpsBot", "uptime"))
        world.clock.at(61.5, lambda: world.aim.sends("OpsBot", "ERROR:903"))
        world.clock.at(100, admin.signs_off)
        raw = Raw("OpsBot")
        link = Link.connect(*world.address("toc"), world.clock)
        link.sendall(raw.opening() + raw.command("toc_add_buddy sysadmin") + raw.command("toc_init_done"))
        heard: list[tuple[float, str]] = []
        while world.clock.wait(link, None):
            heard += [(world.clock.elapsed, message) for message in raw.feed(link.recv(1 << 16))]
        assert heard[3:] == [
            (60.0, "UPDATE_BUDDY:SysAdmin:T:0:1767571260:0: O "),
            (60.0, "IM_IN:SysAdmin:F:uptime"),
            (61.5, "ERROR:903"),
            (100.0, "UPDATE_BUDDY:SysAdmin:F:0:0:0:   "),
        ]
        link.close()


def test_the_server_s_own_timers_run_on_the_rehearsal_s_clock() -> None:
    with World({**TOC, "toc": {"keep_alive": 20}}, rehearsal=True) as world:
        world.clock.until(65)
        late, raw = Raw("SysAdmin"), Raw("OpsBot")
        links = [Link.connect(*world.address("toc"), world.clock) for _ in range(2)]
        links[0].sendall(raw.opening() + raw.command("toc_init_done"))
        links[1].sendall(late.opening())
        pinged: list[float] = []
        while world.clock.wait(links[0], None):
            raw.feed(links[0].recv(1 << 16))
            pinged += [world.clock.elapsed] * (raw.pings - len(pinged))
        assert pinged == [20.0, 40.0, 60.0]
        assert links[1].ended  # thirty seconds without toc_init_done
        for link in links:
            link.close()
