"""The TOC server on sockets: two programs, a pause, faults, the world file, and a rehearsal."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from comms.link import Link
from fakes import Fault, World
from fakes.faults import FaultError
from fakes.transcripts.recorder import render
from fakes.world import WorldError
from tests.streams import open_stream
from tests.toc_raw import Raw, RawOnSocket, ServerError

FORMS = ("toc_signon", "toc2_signon", "toc2_login")
TOC: dict[str, Any] = {
    "servers": ["toc"],
    "aim": [
        {"screen_name": "OpsBot", "buddies": {"Admins": ["SysAdmin"]}},
        {"screen_name": "SysAdmin"},
    ],
}


def is_im(message: str) -> bool:
    return message.startswith("IM_IN")


def is_update(message: str) -> bool:
    return message.startswith("UPDATE_BUDDY")


def go_online(client: RawOnSocket) -> None:
    """Sign on, and wait until the server has handled toc_init_done."""
    client.sign_on()
    client.say(f"toc_get_status {client.name}")
    client.until(is_update)


# ── two programs talk ────────────────────────────────────────────────────────


@pytest.mark.parametrize("bot_form", FORMS)
@pytest.mark.parametrize("admin_form", FORMS)
def test_clients_of_all_forms_talk_to_each_other(bot_form: str, admin_form: str) -> None:
    text = '$ [5] (days) {up} \\o/ "yes"'
    with World(TOC) as world:
        address = world.address("toc")
        with RawOnSocket(address, "OpsBot", form=bot_form) as bot:
            with RawOnSocket(address, "SysAdmin", form=admin_form) as admin:
                bot.sign_on()
                bot.say("toc_add_buddy sysadmin")
                admin.sign_on()
                bot.until(is_update)
                assert bot.online("SysAdmin")
                admin.send(admin.im("Ops Bot", "uptime: now?", auto=True))
                assert bot.until(is_im).endswith(":uptime: now?")
                bot.send(bot.im("SYSADMIN", text))
                assert admin.until(is_im).endswith(f":{text}")
                for client in (bot, admin):
                    client.say("toc_chat_join 4 lobby")
                    client.until(lambda message: message.startswith("CHAT_UPDATE_BUDDY"))
                bot.say('toc_chat_send 1 "all: well"')
                chat = admin.until(lambda message: message.startswith("CHAT_IN"))
                assert chat.endswith(":all: well")
                assert [str(im) for im in world.aim.wait_for_n(2)] == [
                    "SysAdmin → OpsBot (auto): 'uptime: now?'",
                    f"OpsBot → SysAdmin: {text!r}",
                ]
            bot.until(lambda message: message.endswith((":F:0:0:0:   ", ":F:0:0:0:   :")))
            assert world.aim.online == ["OpsBot"]


def test_ims_that_two_threads_send_at_the_same_time_arrive_in_order() -> None:
    count = 500
    with World(TOC) as world:
        clients = [RawOnSocket(world.address("toc"), name) for name in ("OpsBot", "SysAdmin")]
        for client in clients:
            client.sign_on()
        for client in clients:
            client.say("toc_get_status sysadmin")
            client.until(is_update)

        def talk(client: RawOnSocket, to: str) -> None:
            for number in range(count):
                client.send(client.im(to, str(number)))
            client.until(lambda message: is_im(message) and message.endswith(f":{count - 1}"))

        threads = [
            threading.Thread(target=talk, args=arguments)
            for arguments in zip(clients, ("SysAdmin", "OpsBot"), strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for client in clients:
            texts = [message.rpartition(":")[2] for message in client.messages if is_im(message)]
            assert texts == [str(number) for number in range(count)]
            client.close()
        assert len(world.aim.ims) == 2 * count


def test_the_checking_client_notices_what_a_server_must_not_send() -> None:
    def frame(payload: bytes, kind: int = 2, number: int = 2) -> bytes:
        return struct.pack(">cBHH", b"*", kind, number, len(payload)) + payload

    signon = frame(b"\0\0\0\1", 1, 1)
    for sent, why in [
        (b"+", "begins with"),
        (frame(b"SIGN_ON:TOC1.0"), "first frame"),
        (signon + frame(b"SIGN_ON:TOC1.0\0"), "NUL"),
        (signon + frame(b"SIGN_ON:TOC1.0", number=3), "number 3 after 1"),
        (signon + frame(b"SIGN_ON:TOC2.0"), "malformed"),
        (signon + frame(b"SIGN_ON:TOC1.0") + frame(b"NICK:a", number=3), "out of order"),
        (signon + frame(b"IM_IN:a:F:b"), "before SIGN_ON"),
        (signon + frame(b"HELLO:a"), "not a message"),
        (signon + frame(b"x" * 8186), "8186 bytes"),
        (signon + frame(b"ERROR:980") + frame(b"SIGN_ON:TOC1.0", number=3), "after an error"),
    ]:
        with pytest.raises(ServerError, match=why):
            Raw("alice").feed(sent.ljust(6, b" "))
    online = Raw("alice")
    online.command("toc_init_done")
    online.feed(signon + frame(b"SIGN_ON:TOC1.0"))
    online.feed(frame(b"CONFIG:", number=3) + frame(b"NICK:a", number=4))
    for wrong in (
        "a:T:0:1:0: O",
        "a:F:0:0:0:",
        "a:F:0:0:0: OU",
        "a:T:0:1:0: O :",
        "a:T:101:1:0: O ",
    ):
        with pytest.raises(ServerError, match="malformed"):
            online.message(f"UPDATE_BUDDY:{wrong}")


async def test_a_world_runs_on_the_event_loop_of_the_test() -> None:
    async with World(TOC) as world:
        reader, writer = await asyncio.open_connection(*world.address("toc"))
        raw = Raw("SysAdmin")
        writer.write(raw.opening() + raw.command("toc_init_done"))
        while len(raw.messages) < 3:
            raw.feed(await reader.read(4096))
        bot = world.aim.actor("OpsBot")
        bot.says("SysAdmin", "hello")
        assert (await world.aim.arrival(lambda im: im.to == "SysAdmin")).text == "hello"
        assert "IM_IN:OpsBot:F:hello" in raw.feed(await reader.read(4096))
        writer.write(raw.im("OpsBot", "and you?"))
        await world.aim.arrival_n(2)
        assert [im.text for im in bot.heard] == ["and you?"]
        writer.close()
        await writer.wait_closed()


# ── a pause ──────────────────────────────────────────────────────────────────


def test_a_pause_in_real_time_ends_with_a_new_sign_on() -> None:
    with World(TOC) as world, RawOnSocket(world.address("toc"), "OpsBot") as bot:
        go_online(bot)
        world.aim.pauses("OpsBot", 0.01)
        bot.until("PAUSE")
        assert world.aim.online == []
        bot.until("SIGN_ON:TOC1.0")
        bot.say("toc_init_done")
        bot.say("toc_get_status opsbot")
        bot.until(is_update)
        assert world.aim.online == ["OpsBot"]


# ── faults ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ("toc_send_im reply 901", "ERROR:901:nobody"),
        ("toc_send_im reply 903", "ERROR:903"),
        ('toc_send_im reply "ERROR:960:someone"', "ERROR:960:someone"),
        ("toc-901", "ERROR:901:nobody"),
        ("toc_send_im arg nobody* user OpsBot split 1", "ERROR:901:nobody"),
        ("toc_send_im delay 0.01", "ERROR:901:nobody"),
    ],
)
def test_a_fault_changes_or_delays_the_answer(fault: str, answer: str) -> None:
    with World(TOC, faults=[fault]) as world, RawOnSocket(world.address("toc"), "OpsBot") as bot:
        bot.sign_on()
        bot.send(bot.im("nobody", "hello"))
        bot.until(answer)


# Without a fault, the answer to the IM is ERROR:901:nobody, a frame of 22 bytes.
@pytest.mark.parametrize(
    ("fault", "answers", "unread", "ending"),
    [
        ("toc_send_im hang up before", [], 0, "closes"),
        ("toc_send_im hang up within", [], 11, "closes"),
        ("toc_send_im hang up after", ["ERROR:901:nobody"], 0, "closes"),
        ("toc_send_im after 3", [], 3, "closes"),
        ("toc_send_im lost stored", [], 0, "closes"),
        ("toc_send_im lost unstored", [], 0, "closes"),
        ("toc-2048", [], 0, "closes"),
        ("FLAPON hang up before", [], 0, "closes"),
        ("toc_init_done reply 981", ["ERROR:981"], 0, "closes"),
        ("toc_send_im reset", [], 0, "resets"),
    ],
)
def test_a_fault_ends_the_connection_in_its_own_way(
    fault: str, answers: list[str], unread: int, ending: str
) -> None:
    with World(TOC, faults=[fault]) as world, RawOnSocket(world.address("toc"), "OpsBot") as bot:
        bot.send(bot.opening() + bot.command("toc_init_done") + bot.im("nobody", "hello"))
        assert bot.ending() == ending
        greeting = 3  # SIGN_ON, CONFIG, NICK
        assert bot.messages[greeting:] == answers
        assert len(bot.unread) == unread


def test_a_fault_resets_the_connection_at_once() -> None:
    with World(TOC, faults=["connect reset"]) as world:
        with pytest.raises(ConnectionResetError):  # already by connecting, or by reading
            with RawOnSocket(world.address("toc"), "OpsBot") as bot:
                bot.receive()


def test_a_fault_strikes_the_web_half() -> None:
    with World(TOC, faults=['http GET reply "503 Service Unavailable"']) as world:
        with socket.create_connection(world.address("toc"), 5) as web:
            web.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert web.recv(4096).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")


def test_an_unknown_place_for_a_fault_is_refused_by_name() -> None:
    hint = r"toc has no place 'toc_sendim' \(did you mean 'toc_send_im'"
    with pytest.raises(FaultError, match=hint):
        World(TOC, faults=[Fault("toc_sendim", protocol="toc", reset=True)])


# ── the world file ───────────────────────────────────────────────────────────


def test_the_settings_name_the_first_account_or_the_one_of_the_program() -> None:
    with World(TOC) as world:
        host, port = world.address("toc")
        assert world.settings["toc"] == {
            "host": host,
            "port": port,
            "tls": "none",
            "screen_name": "OpsBot",
            "password": "secret",
            "timeout": 2,
        }
    with World({**TOC, "program": "sys admin"}) as world:
        assert world.settings["toc"]["screen_name"] == "SysAdmin"
    with World() as world:
        assert world.settings["toc"]["screen_name"] == "alice"


@pytest.mark.parametrize(
    ("aim", "error"),
    [
        ({"name": "bob"}, "aim.name: unknown key"),
        ({"screen_name": 5}, "aim.screen_name: expected a string, found 5"),
        ({"screen_name": ""}, "write a name like OpsBot"),
        ({"screen_name": "a:b"}, "no colon"),
        ({"screen_name": "Žižka"}, "Latin-1"),
        ({"password": "x"}, "aim.screen_name: missing; write screen_name ="),
        (
            {"screen_name": "bob", "buddies": {"Work": "ops"}},
            r'write|groups: \{ Admins = \["SysAdmin"\] \}, not Work',
        ),
        (
            {"screen_name": "bob", "buddies": {"Work": [1]}},
            "aim.buddies.Work: expected a list of strings",
        ),
        (
            {"screen_name": "bob", "buddies": {"Work": [f"{n:048}" for n in range(300)]}},
            "8,185 bytes",
        ),
    ],
)
def test_an_invalid_account_is_refused_with_the_remedy(aim: dict[str, Any], error: str) -> None:
    with pytest.raises(WorldError, match=error):
        World({"aim": [aim]})


def test_two_accounts_with_the_same_folded_name_are_refused() -> None:
    with pytest.raises(WorldError, match="opsbot is in this world twice"):
        World({"aim": [{"screen_name": "Ops Bot"}, {"screen_name": "opsbot"}]})


def test_wrong_tables_of_the_world_file_are_refused_with_the_remedy() -> None:
    with pytest.raises(WorldError, match=r"write \[\[aim\]\]"):
        World({"aim": {"screen_name": "OpsBot"}})
    with pytest.raises(WorldError, match=r"toc\.rate: unknown key"):
        World({"toc": {"rate": 5}})


# ── rehearsal ────────────────────────────────────────────────────────────────


def receive(link: Link) -> bytes:
    """Return what has come on a link. Fails if the server has closed it, instead of looping."""
    data = link.recv(1 << 16)
    assert data, "the server has closed the connection"
    return data


def rehearse(rounds: int, burst: int) -> tuple[str, list[list[str]], list[list[int]]]:
    """Run two clients on one clock; each sends `burst` IMs every three seconds.

    Returns the transcript, the IMs that each client received, and how many IMs each client held
    whenever it looked.
    """
    with World(TOC, rehearsal=True) as world:
        host, port = world.address("toc")
        clock = world.clock
        raws = [Raw("OpsBot"), Raw("SysAdmin", form="toc2_signon")]
        links = [open_stream(host, port, clock) for _ in raws]
        for raw, link in zip(raws, links, strict=True):
            link.sendall(raw.opening() + raw.command("toc_init_done"))
        clock.until(3 * rounds - 1)
        held: list[list[int]] = [[], []]
        number = 0
        for _ in clock.every(3):
            for raw, link, counts in zip(raws, links, held, strict=True):
                while link.readable():
                    raw.feed(receive(link))
                counts.append(sum(map(is_im, raw.messages)))
            for raw, link, to in zip(raws, links, ("SysAdmin", "OpsBot"), strict=True):
                for _ in range(burst):
                    number += 1
                    link.sendall(raw.im(to, str(number)))
        for raw, link in zip(raws, links, strict=True):
            while link.readable():
                raw.feed(receive(link))
            link.close()
        arrived = [
            [message.rpartition(":")[2] for message in raw.messages if is_im(message)]
            for raw in raws
        ]
        recording = list(world.recording)
    return render(recording), arrived, held


@pytest.mark.slow
def test_in_a_rehearsal_each_look_finds_all_ims_sent_before_it() -> None:
    burst = 50
    transcript, arrived, held = rehearse(40, burst)
    rounds = len(held[0])
    assert rounds > 40
    numbers = [str(number) for number in range(1, 2 * rounds * burst + 1)]
    bursts = [numbers[at : at + burst] for at in range(0, len(numbers), burst)]
    # The bot sends the first burst of each round, the administrator the second.
    assert arrived[1] == [number for sent in bursts[0::2] for number in sent]
    assert arrived[0] == [number for sent in bursts[1::2] for number in sent]
    assert held == [[burst * look for look in range(rounds)]] * 2
    assert rehearse(40, burst) == (transcript, arrived, held)


def received(world: World, link: Link) -> Iterator[bytes]:
    """What comes on a link, piece by piece, until the play is over."""
    while world.clock.wait(link, None):
        yield receive(link)


def test_in_a_rehearsal_a_cue_wakes_a_client_that_waits() -> None:
    with World(TOC, rehearsal=True) as world:
        admin = world.aim.actor("SysAdmin")
        world.clock.at(60, lambda: admin.says("OpsBot", "uptime"))
        world.clock.at(61.5, lambda: world.aim.sends("OpsBot", "ERROR:903"))
        world.clock.at(100, admin.signs_off)
        raw = Raw("OpsBot")
        link = open_stream(*world.address("toc"), world.clock)
        commands = ("toc_add_buddy sysadmin", "toc_init_done")
        link.sendall(raw.opening() + b"".join(map(raw.command, commands)))
        log: list[tuple[float, str]] = []
        for data in received(world, link):
            log += [(world.clock.elapsed, message) for message in raw.feed(data)]
        assert log[3:] == [
            (60.0, "UPDATE_BUDDY:SysAdmin:T:0:1767571260:0: O "),
            (60.0, "IM_IN:SysAdmin:F:uptime"),
            (61.5, "ERROR:903"),
            (100.0, "UPDATE_BUDDY:SysAdmin:F:0:0:0:   "),
        ]
        link.close()


def test_in_a_rehearsal_the_timers_of_the_server_follow_the_simulated_clock() -> None:
    with World({**TOC, "toc": {"keep_alive": 20}}, rehearsal=True) as world:
        world.clock.until(65)
        late, raw = Raw("SysAdmin"), Raw("OpsBot")
        links = [open_stream(*world.address("toc"), world.clock) for _ in range(2)]
        links[0].sendall(raw.opening() + raw.command("toc_init_done"))
        links[1].sendall(late.opening())
        pinged: list[float] = []
        for data in received(world, links[0]):
            raw.feed(data)
            pinged += [world.clock.elapsed] * (raw.pings - len(pinged))
        assert pinged == [20.0, 40.0, 60.0]
        assert links[1].ended  # thirty seconds without toc_init_done
        for link in links:
            link.close()
