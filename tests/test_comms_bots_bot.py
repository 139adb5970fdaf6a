"""A bot that answers, on the networks of the world: what it hears, and how its answers arrive."""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from comms import settings as comms_settings
from comms.bots.aim import Aim
from comms.bots.bot import Bot
from comms.bots.company import Limits
from comms.bots.irc import LINES, Irc
from comms.bots.jabber import Jabber
from comms.bots.mail import Mail
from comms.bots.network import Heard, Network
from comms.bots.orders import Orders
from comms.commands import Commands, Verb
from comms.mail_door import MailRules
from comms.state import State
from fakes import World
from fakes.faults import FaultError
from tests.bots import BOT, CHANNEL, JEREMY, ROOM, WORLD, answer, opened
from tests.linenet import LineNetwork

MALLORY = "mallory@yourco.test"


def echo(heard: Heard) -> str:
    return f"{heard.who or '-'}|{heard.text}"


@contextmanager
def rehearsal(*faults: str, **config: Any) -> Iterator[World]:
    with World({**WORLD, **config}, rehearsal=True, faults=faults) as world:
        yield world


def networks(world: World) -> dict[str, Network]:
    config = {**world.settings, "irc": {**world.settings["irc"], "channels": [CHANNEL]}}
    site = comms_settings.load(config, world.folder)
    clock, host = world.clock, world.host
    return {
        "aim": Aim(site.server("toc"), clock, host),
        "jabber": Jabber(site.server("xmpp"), clock, host, contacts=[JEREMY], rooms=[ROOM]),
        "irc": Irc(site.server("irc"), clock, host),
    }


def play(world: World, *names: str, until: float = 30, said: Callable[[Heard], str] = echo) -> None:
    """Runs a bot on these networks until the time."""
    chosen = [networks(world)[name] for name in names]
    world.clock.until(until)
    Bot(chosen, said, world.clock, world.host, prefixes=["api "]).run()


def log(world: World, start: str) -> list[str]:
    return [event.text for event in world.events if event.text.startswith(start)]


def test_it_answers_on_every_network_where_it_was_asked() -> None:
    with rehearsal() as world:
        boss = opened(world)
        mallory, ann = world.aim.actor("Mallory"), world.irc.person("mallory")
        jeremy = world.jabber.actor(JEREMY)
        jeremy.joins(ROOM, "jez")
        world.clock.at(5, lambda: mallory.says("OpsBot", "<b>by AIM</b>"))
        world.clock.at(6, lambda: jeremy.says(BOT, "by XMPP"))
        world.clock.at(7, lambda: ann.joins(CHANNEL))
        world.clock.at(8, lambda: ann.says(CHANNEL, "bot: by IRC"))
        world.clock.at(9, lambda: ann.says("bot", "privately"))
        world.clock.at(10, lambda: jeremy.says(ROOM, "bot: in a room", "groupchat"))
        world.clock.at(11, lambda: boss.says(ROOM, "not for a bot", "groupchat"))
        play(world, "aim", "jabber", "irc")
        assert [(im.text, im.auto) for im in mallory.heard] == [("mallory|by AIM", True)]
        found = [stanza.body for stanza in jeremy.messages if stanza.body]
        assert f"{JEREMY}|by XMPP" in found and f"{JEREMY}|in a room" in found
        heard = [(message.verb, message.target, message.text) for message in ann.hears]
        assert heard == [
            ("NOTICE", CHANNEL, "-|by IRC"),
            ("NOTICE", "mallory", "-|privately"),
        ]


def test_a_handler_that_fails_and_one_that_is_silent_do_not_end_it() -> None:
    with rehearsal() as world:
        mallory = world.aim.actor("Mallory")

        def said(heard: Heard) -> str:
            if heard.text == "silence":
                return ""
            return str(1 / int(heard.text))

        for at, text in enumerate(("silence", "0", "1"), 3):
            world.clock.at(at, functools.partial(mallory.says, "OpsBot", text))
        play(world, "aim", said=said)
        assert [im.text for im in mallory.heard] == ["1.0"]


def test_a_long_answer_on_a_channel_goes_to_the_asker() -> None:
    with rehearsal() as world:
        ann = world.irc.person("mallory")
        ann.joins(CHANNEL)
        long = "\n".join(f"line {number}" for number in range(30))
        world.clock.at(5, lambda: ann.says(CHANNEL, "api x"))
        play(world, "irc", said=lambda heard: long, until=60)
        first, *others = [(message.target, message.text) for message in ann.hears]
        assert first == (CHANNEL, "mallory: that is long; I send it to you alone")
        assert [target for target, _ in others] == ["mallory"] * LINES
        assert others[-1][1] == f"… ({30 - LINES + 1} lines more)"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "answered"),
    [
        ("bot: \x02bold\x0f \x0304,01red\x03", "-|bold red"),
        ("bot: \x07bell", "-|bell"),
        ("\x01VERSION\x01", None),
        ("\x01DCC SEND x 1 2 3\x01", None),
        ("\x01ACTION bot: waves\x01", "-|waves"),
        ("bot: " + "x" * 10_000, "-|xxx"),
        ("bot: \u202eevil", "-|evil"),
        ("bot: \udcff caf\udce9", "-|\xff caf\xe9"),  # bytes that are not UTF-8
    ],
    ids=["colours", "bell", "ctcp", "dcc", "action", "long", "bidi", "latin-1"],
)
def test_odd_texts_on_a_channel(text: str, answered: str | None) -> None:
    with rehearsal() as world:
        ann = world.irc.person("mallory")
        ann.joins(CHANNEL)
        world.clock.at(5, lambda: ann.says(CHANNEL, text))
        play(world, "irc")
        # The server has cut the line, and the answer takes two.
        found = [message.text for message in ann.hears if message.target == CHANNEL][:1]
        assert [said[: len(answered or "")] for said in found] == ([answered] if answered else [])


@pytest.mark.slow
@pytest.mark.parametrize("drill", ["irc-netsplit", "irc-ghost", "irc-killed", "irc-kicked"])
def test_after_a_drill_it_is_there_again(drill: str) -> None:
    with rehearsal(drill) as world:
        ann = world.irc.person("mallory")
        world.clock.at(5, lambda: ann.joins(CHANNEL))
        world.clock.at(200, lambda: ann.joins(CHANNEL))
        world.clock.at(201, lambda: ann.says(CHANNEL, "bot: there?"))
        play(world, "irc", until=230)
        assert [message.text for message in ann.hears] == ["-|there?"]


@pytest.mark.slow
def test_a_nick_that_is_taken_is_another_one_and_it_answers_to_that() -> None:
    with rehearsal() as world:
        thief = world.irc.person("bot")
        thief.joins("#other")
        ann = world.irc.person("mallory")
        ann.joins(CHANNEL)
        world.clock.at(5, lambda: ann.says(CHANNEL, "bot_: hello"))
        world.clock.at(6, lambda: ann.says(CHANNEL, "bot: hello"))
        play(world, "irc")
        assert [message.text for message in ann.hears] == ["-|hello"]


@pytest.mark.slow
def test_a_room_that_throws_it_out_is_entered_again_and_a_ban_is_not_fought() -> None:
    with rehearsal() as world:
        boss, admin = opened(world), "http://jabber.org/protocol/muc#admin"

        def changes(item: str) -> None:
            query = f"<query xmlns='{admin}'><item {item}/></query>"
            boss.sends(f"<iq type='set' id='k' to='{ROOM}'>{query}</iq>")

        world.clock.at(10, lambda: changes("nick='bot' role='none'"))
        world.clock.at(120, lambda: boss.says(ROOM, "bot: there?", "groupchat"))
        world.clock.at(130, lambda: changes(f"jid='{BOT}' affiliation='outcast'"))
        play(world, "jabber", until=400)
        found = [stanza.body for stanza in boss.messages if stanza.body]
        assert "bot2@yourco.test|there?" in found
        refused = log(world, "room-not-entered")
        assert 3 <= len(refused) <= 5 and "forbidden" in refused[0]


@pytest.mark.slow
def test_an_answer_that_cannot_be_said_is_logged() -> None:
    with rehearsal("toc toc_send_im reply 901") as world:
        mallory = world.aim.actor("Mallory")
        world.clock.at(3, lambda: mallory.says("OpsBot", "hello"))
        with contextlib.suppress(FaultError):
            play(world, "aim")
        assert len(log(world, "not-said network=aim to=Mallory")) == 1


@pytest.mark.slow
def test_who_is_there() -> None:
    with rehearsal() as world:
        jeremy, aim = world.jabber.actor(JEREMY), world.aim.actor("Jeremy Admin")
        irc = world.irc.person("jeremy")
        found: dict[str, list[bool]] = {"aim": [], "jabber": [], "irc": []}
        chosen = networks(world)
        accounts = {"aim": "jeremy admin", "jabber": JEREMY, "irc": "JEREMY"}

        def look() -> None:
            for name, network in chosen.items():
                found[name].append(network.present(accounts[name]))

        def come() -> None:
            jeremy.comes()
            aim.signs_on()
            irc.joins(CHANNEL)
            irc.logs_in()

        world.jabber.befriend(BOT, JEREMY)
        rounds = iter([look, come, lambda: None, look])

        def once_a_round(heard: Heard) -> str:
            next(rounds)()
            return ""

        line = LineNetwork()
        with contextlib.ExitStack() as stack:
            bot = Bot([*chosen.values(), line], once_a_round, world.clock, world.host)
            stack.enter_context(bot.company)
            for _ in range(4):
                line.hears("next")
                bot.look()
                world.clock.wait(None, world.clock.time() + 2)
        assert found == {name: [False, True] for name in found}


def test_who_gets_no_messages_is_not_there() -> None:
    with rehearsal() as world:
        world.jabber.befriend(BOT, JEREMY)
        jeremy, jabber = world.jabber.actor(JEREMY), networks(world)["jabber"]
        jabber.connect()
        found = []
        for priority in (-1, 0):
            jeremy.comes(priority=priority)
            list(jabber.heard())
            found.append(jabber.present(JEREMY))
        jabber.close()
        assert found == [False, True]


# ── two bots ─────────────────────────────────────────────────────────────────

TWO: dict[str, Any] = {
    **WORLD,
    "person": [
        {"address": f"{name}@yourco.test", "aliases": [f"{name}-secret@yourco.test"]}
        for name in ("bot", "bot2")
    ],
    "aim": [{"screen_name": name} for name in ("OpsBot", "Bot2")],
}
NAMES = {
    "bot": {"aim": "opsbot", "jabber": "bot@yourco.test", "irc": "bot", "mail": "bot@yourco.test"},
    "bot2": {
        "aim": "bot2",
        "jabber": "bot2@yourco.test",
        "irc": "bot2",
        "mail": "bot2@yourco.test",
    },
}
PAIRS = list(itertools.combinations_with_replacement(("aim", "jabber", "irc", "mail"), 2))


def bot_that_trusts_the_other(world: World, own: str, state: State, names: set[str]) -> Orders:
    """A bot on these networks, on all of which the other bot may order everything."""
    (other,) = NAMES.keys() - {own}
    tables = {name: dict(table) for name, table in world.settings.items()}
    tables["toc"]["screen_name"] = {"bot": "OpsBot", "bot2": "Bot2"}[own]
    tables["xmpp"]["jid"] = f"{own}@yourco.test"
    tables["irc"] |= {"nick": own, "user": own, "channels": [CHANNEL]}
    for table in (tables["smtp"], tables["pop3"]):
        table["user"] = f"{own}@yourco.test"
    site = comms_settings.load(tables, world.folder)
    clock, host = world.clock, world.host
    verbs = {"uptime": Verb(("uptime",), "host", repeatable=True, public=True)}
    rights = {name: ["*"] for name in NAMES[other].values()}
    commands = Commands(state, verbs, rights, clock, host)
    rules = MailRules(
        site.server("pop3"),
        site.server("smtp"),
        f"{own}-secret@yourco.test",
        (NAMES[other]["mail"],),
        NAMES[own]["mail"],
    )
    known = {
        "aim": Aim(site.server("toc"), clock, host, state),
        "jabber": Jabber(site.server("xmpp"), clock, host, state),
        "irc": Irc(site.server("irc"), clock, host, state),
        "mail": Mail(rules, commands, clock, host, poll=20),
    }
    chosen = [network for name, network in known.items() if name in names]
    return Orders(commands, chosen, clock, host, answer=answer, limits=Limits(messages=5))


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_two_bots_that_obey_each_other_fall_silent(pair: tuple[str, str]) -> None:
    # On every network of the pair, the first bot says something that the other must answer.
    with (
        World(TWO, rehearsal=True) as world,
        State(world.folder / "1.sqlite3") as one_state,
        State(world.folder / "2.sqlite3") as other_state,
    ):
        one = bot_that_trusts_the_other(world, "bot", one_state, set(pair))
        other = bot_that_trusts_the_other(world, "bot2", other_state, set(pair))
        counts = []
        with one.company, other.company:
            for network in one.company.networks:
                to = {"to": NAMES["bot2"][network.name], "kind": "chat"}
                if network.name == "mail":
                    head = (
                        f"From: {NAMES['bot']['mail']}\r\nSubject: hello\r\nMessage-ID: <1@x>\r\n"
                    )
                    world.mail.deliver("bot2-secret@yourco.test", f"{head}\r\n".encode())
                elif network.name == "aim":
                    network.client.send_im(to["to"], "hello")  # type: ignore[attr-defined]
                elif network.name == "irc":
                    network.client.say(to["to"], "hello")  # type: ignore[attr-defined]
                else:
                    network.say(to, "hello")
            for _ in range(10):
                for _ in range(30):
                    one.look()
                    other.look()
                    world.clock.wait(None, world.clock.time() + 2)
                said = len(world.aim.ims) + len(world.irc.messages) + len(world.mail.messages)
                counts.append(said + sum(stanza.body != "" for stanza in world.jabber.messages))
        # On IRC the server marks bots, so that not even the first message is answered.
        assert counts[-1] >= len({*pair} - {"irc"}) * 2, counts
        assert counts[-1] == counts[1], counts
        assert counts[-1] <= 20, counts
