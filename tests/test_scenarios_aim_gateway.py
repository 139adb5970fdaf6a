"""aim-gateway: both links cut at every unit, and names that become addresses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import SimpleNamespace
from typing import Any

import pytest

from comms import settings
from comms.link import Link
from comms.state import State
from comms.xmpp import Jid
from fakes import World
from fakes.wire import Record
from scenarios import catalogue, rehearsal
from scenarios.jabber.aim_gateway import GATE, JULIET, ROMEO, WORLD, run
from scenarios.jabber.aim_gateway_acts import NAME, returned, stored
from scenarios.jabber.aim_gateway_desk import contact_address, contact_name
from scenarios.jabber.aim_gateway_samples import conditions, registers, unregisters
from tests import drills
from tests.thorough import THOROUGH

PAGE = catalogue.named("aim-gateway")
ACT = PAGE.acts()[0]


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("Juliet", "juliet"),
        ("Romeo My Romeo", "romeomyromeo"),
        ("a@b.test", "a\\40b.test"),
        ("O'Hara", "o\\27hara"),
        ('"&/:<>', "\\22\\26\\2f\\3a\\3c\\3e"),
        ("a\\b\\27c\\", "a\\b\\5c27c\\"),
    ],
)
def test_a_screen_name_is_an_address_and_back(name: str, local: str) -> None:
    component: Any = SimpleNamespace(domain=Jid.parse(GATE))
    address = contact_address(name, component)
    assert str(address) == f"{local}@{GATE}"
    assert contact_name(address) == name.replace(" ", "").lower()


def buddies(*names: str) -> dict[str, Any]:
    """A WORLD in which Romeo has these buddies on AIM."""
    (romeo, *others), groups = WORLD["aim"], {"Friends": list(names)}
    strangers = [{"screen_name": name} for name in names if name != "Juliet"]
    return {**WORLD, "aim": [{**romeo, "buddies": groups}, *others, *strangers]}


def test_a_name_with_characters_that_no_address_has_is_a_contact_who_talks() -> None:
    with World(buddies("Juliet", "O'Hara"), rehearsal=True) as world:
        romeo, ohara = world.jabber.actor(ROMEO), world.aim.actor("O'Hara")
        romeo.comes()
        ohara.signs_on()
        world.clock.at(1, lambda: registers(romeo, NAME, "secret"))
        world.clock.at(5, lambda: ohara.says("romeomyromeo", "Hello"))
        world.clock.at(9, lambda: romeo.says(f"o\\27hara@{GATE}", "Good evening"))
        world.clock.until(20)
        assert run(world.clock, settings.load(world.settings, world.folder), world.host) == 0
        heard = [(message.sender, message.body) for message in romeo.messages]
        assert heard == [(f"o\\27hara@{GATE}", "Hello")]
        assert [im.text for im in ohara.heard] == ["Good evening"]


def test_a_name_that_cannot_be_an_address_ends_no_gateway() -> None:
    acute = "Joe\xb4s"  # prepared as an address (RFC 6122), the accent becomes a space and another
    with World(buddies("Juliet", acute), rehearsal=True) as world:
        romeo, juliet = world.jabber.actor(ROMEO), world.aim.actor("Juliet")
        stranger = world.aim.actor(acute)
        for person in (juliet, stranger):
            person.signs_on()
        romeo.comes()
        world.clock.at(1, lambda: registers(romeo, NAME, "secret"))
        world.clock.at(5, lambda: stranger.says("romeomyromeo", "Hello"))
        world.clock.at(9, lambda: romeo.says(JULIET, "Art thou there?"))
        world.clock.until(20)
        assert run(world.clock, settings.load(world.settings, world.folder), world.host) == 0
        assert [im.text for im in juliet.heard] == ["Art thou there?"]


def test_who_comes_while_aim_is_away_is_signed_on_when_it_is_back() -> None:
    with World(WORLD, rehearsal=True) as world:
        romeo, juliet = world.jabber.actor(ROMEO), world.aim.actor("Juliet")
        romeo.comes()
        world.clock.at(1, lambda: registers(romeo, NAME, "secret"))
        world.clock.at(5, lambda: romeo.accepts(GATE))
        world.clock.at(10, romeo.goes)
        world.clock.at(20, lambda: world.close_port("toc"))
        world.clock.at(30, romeo.comes)
        world.clock.at(400, lambda: world.open_port("toc"))
        world.clock.at(1200, juliet.signs_on)
        world.clock.at(1210, lambda: juliet.says("romeomyromeo", "Ay me!"))
        world.clock.until(1220)
        assert run(world.clock, settings.load(world.settings, world.folder), world.host) == 0
        assert [message.body for message in romeo.messages] == ["Ay me!"]
        tries = sum("aim-not-signed-on" in event.text for event in world.events)
        assert 2 <= tries <= 6, "with pauses that grow"


RECORDS = [one for one in rehearsal.rehearse(PAGE, ACT).recording if isinstance(one, Record)]


@pytest.mark.parametrize("fault", drills.none_quick(drills.cuts(RECORDS), "component"))
def test_a_cut_link_carries_nothing_twice_and_ends_no_gateway(fault: str) -> None:
    performance = rehearsal.rehearse(PAGE, ACT, [fault])
    assert performance.tracebacks == []
    sent = [
        (one.protocol, one.verb, one.raw)
        for one in performance.recording
        if isinstance(one, Record) and one.direction == "C"
    ]
    assert sum(b"thou" in raw for _, _, raw in sent) <= 1
    assert sum(verb == "message" and b"Ay" in raw for _, verb, raw in sent) <= 1
    ends = [event["text"] for event in performance.events if event["level"] == "end"]
    first = "component" in fault and any(
        part in fault for part in ("connect nth 1", "stream nth 1", "handshake nth 1")
    )
    assert ends == [] or first, ends


# ── the gateway is killed at every step, and started again ───────────────────


class Killed(BaseException):
    """Ends the program as SIGKILL would."""


@contextmanager
def killed_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Kills the program at a step: before or after it writes to a connection or to its state.

    Yields the steps that were taken. Whatever was killed writes nothing more.
    """
    taken: list[str] = []

    def passes(what: str) -> None:
        if not 0 < step <= len(taken):
            taken.append(what)
        if len(taken) == step:
            raise Killed

    write, transaction = Link.sendall, State.transaction

    def sendall(self: Link, data: bytes) -> None:
        passes("before it writes")
        write(self, data)
        passes("after it has written")

    @contextmanager
    def stores(self: State) -> Iterator[Any]:
        passes("before it stores")
        with transaction(self) as db:
            yield db
        passes("after it has stored")

    with monkeypatch.context() as patch:
        patch.setattr(Link, "sendall", sendall)
        patch.setattr(State, "transaction", stores)
        yield taken


def killed(step: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], str]:
    """Plays from the registration to its end, with a kill; checks what holds whatever happens.

    Returns the steps, and which messages are lost without a word.
    """
    with World(WORLD, rehearsal=True) as world:
        romeo, juliet = world.jabber.actor(ROMEO), world.aim.actor("Juliet")
        romeo.comes()
        juliet.signs_on()
        clock, before_the_end = world.clock, list[tuple[int, str]]()

        def perseveres(act: Any, id: str) -> None:
            if not conditions(romeo, id):
                act(id)

        def register(id: str) -> None:
            registers(romeo, NAME, "secret", id)

        def looks() -> None:
            subscription = world.jabber.roster(ROMEO)[GATE].subscription
            before_the_end.append((len(stored(world)), subscription))

        clock.at(10, lambda: register("first"))
        clock.at(12, lambda: romeo.accepts(GATE))
        clock.at(14, lambda: perseveres(lambda id: register("again"), "first"))
        clock.at(15, lambda: romeo.accepts(GATE))
        clock.at(20, lambda: romeo.says(JULIET, "one"))
        clock.at(30, lambda: juliet.says("romeomyromeo", "two"))
        clock.at(38, looks)
        clock.at(40, lambda: unregisters(romeo, "remove"))
        clock.at(44, lambda: perseveres(lambda id: unregisters(romeo, "again"), "remove"))
        clock.at(48, lambda: romeo.comes("away"))
        clock.until(60)
        tables = settings.load(world.settings, world.folder)
        with killed_at(step, monkeypatch) as taken, suppress(Killed):
            run(clock, tables, world.host)
        if len(taken) == step:
            world.cut("component")
            world.cut("toc")
            assert run(clock, tables, world.host) == 0
        assert before_the_end == [(1, "from")], "registered, and among the contacts"
        assert stored(world) == [], "forgotten"
        left = {one.subscription for one in world.jabber.roster(ROMEO).values()}
        assert left == {"none"}, "the gateway and its contacts have taken their leave"
        heard = [im.text for im in juliet.heard]
        assert heard in ([], ["one"]), "nothing is sent twice"
        chats = [stanza for stanza in romeo.messages if stanza.type == "chat"]
        assert {one.body for one in chats} <= {"two"}
        assert len({one.id for one in chats}) <= 1, "what comes twice has the same id"
        silent = "" if heard or returned(romeo) else "one"
        return taken, silent + ("" if chats else "two")


@pytest.mark.slow
def test_a_gateway_that_is_killed_at_any_step_doubles_nothing_and_loses_nothing_silently(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps, lost = killed(0, monkeypatch)
    assert lost == "" and len(steps) > 40
    for step in range(1, len(steps) + 1, 1 if THOROUGH else 9):
        taken, lost = killed(step, monkeypatch)
        assert len(taken) == step
        # Neither XEP-0114 nor TOC acknowledges: what was read and not yet stored is lost.
        assert not lost or taken[-1] == "before it stores", (step, taken[-1], lost)
