"""The queue of stanzas: a stanza that answers another waits for all effects of that one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from fakes.wire import Runtime
from fakes.xmpp.routing import SHARE, WAITING, Router
from fakes.xmpp.sessions import Resource
from fakes.xmpp.stanzas import Stanza


def message(id: str) -> Stanza:
    return Stanza("message", id=id)


def test_what_is_routed_during_a_delivery_is_delivered_after_it() -> None:
    router = Router()
    order: list[str] = []

    def deliver(stanza: Stanza, asker: Resource | None) -> None:
        order.append(f"{stanza.id} begins")
        if stanza.id == "question":
            router.route(message("answer"))
            router.route(message("second answer"))
        order.append(f"{stanza.id} ends")

    router.deliver = deliver
    router.route(message("question"))
    assert order == [
        "question begins",
        "question ends",
        "answer begins",
        "answer ends",
        "second answer begins",
        "second answer ends",
    ]


def test_what_one_turn_routes_is_delivered_at_its_end_even_if_turns_nest() -> None:
    router = Router()
    order: list[str] = []
    router.deliver = lambda stanza, asker: order.append(str(stanza.id))

    def inner() -> None:
        router.route(message("routed"))
        order.append("inner turn")

    def outer() -> None:
        router.turn(inner)
        order.append("outer turn")

    router.turn(outer)
    assert order == ["inner turn", "outer turn", "routed"]


def test_after_an_exception_the_queue_is_empty_and_the_router_works() -> None:
    router = Router()
    order: list[str] = []

    def deliver(stanza: Stanza, asker: Resource | None) -> None:
        if stanza.id == "bad":
            router.route(message("never"))
            raise ZeroDivisionError
        order.append(str(stanza.id))

    router.deliver = deliver
    with pytest.raises(ZeroDivisionError):
        router.route(message("bad"))
    router.route(message("good"))
    assert order == ["good"]


def loop_and_router(order: list[str]) -> tuple[list[Callable[[], None]], Router]:
    """Returns what waits for another turn of the event loop, and a router."""
    waiting: list[Callable[[], None]] = []
    runtime = Runtime(lambda: 0.0, str)
    runtime.later = waiting.append
    router = Router(runtime)
    router.deliver = lambda stanza, asker: order.append(str(stanza.id))
    return waiting, router


def test_what_is_much_is_delivered_in_shares_in_order() -> None:
    order: list[str] = []
    waiting, router = loop_and_router(order)
    router.route_all(message(f"m{number}") for number in range(2 * SHARE + 1))
    assert len(order) == SHARE
    # What comes meanwhile waits behind it.
    router.route(message("later"))
    router.turn(lambda: router.route(message("last")))
    for share in (2 * SHARE, 2 * SHARE + 3):
        assert len(waiting) == 1
        waiting.pop()()
        assert len(order) == share
    assert not waiting
    assert order == [*(f"m{number}" for number in range(2 * SHARE + 1)), "later", "last"]
    router.route(message("at once"))
    assert order[-1] == "at once"


def test_stanzas_are_made_when_they_are_delivered() -> None:
    order: list[str] = []
    waiting, router = loop_and_router(order)

    def made() -> Iterator[Stanza]:
        for _ in range(SHARE + 1):
            order.append("made")
            yield message("delivered")

    router.turn(lambda: router.route_all(made()))
    assert order == ["made", "delivered"] * SHARE
    waiting.pop()()
    assert order == ["made", "delivered"] * (SHARE + 1)


def test_what_waits_cannot_grow_without_end() -> None:
    order: list[str] = []
    _, router = loop_and_router(order)
    router.route_all(message("many") for _ in range(SHARE + 1))
    for _ in range(WAITING):
        router.route(message("more"))
    assert len(order) == SHARE + 1 + WAITING


def test_without_an_event_loop_everything_is_delivered_at_once() -> None:
    order: list[str] = []
    router = Router(Runtime(lambda: 0.0, str))
    router.deliver = lambda stanza, asker: order.append(str(stanza.id))
    router.route_all(message("many") for _ in range(3 * SHARE))
    assert len(order) == 3 * SHARE


def test_what_waits_is_forgotten_when_the_service_closes() -> None:
    order: list[str] = []
    waiting, router = loop_and_router(order)
    router.route_all(message("many") for _ in range(2 * SHARE))
    router.clear()
    waiting.pop()()
    assert len(order) == SHARE


def test_what_is_passed_on_is_delivered_at_once_unless_it_answers_or_others_wait() -> None:
    router = Router()
    order: list[str] = []

    def deliver(stanza: Stanza, asker: Resource | None) -> None:
        order.append(f"{stanza.id} begins")
        if stanza.id == "question":
            router.turn(router.pass_on, message("answer"))
        order.append(f"{stanza.id} ends")

    def question_after_another() -> None:
        router.route(message("first"))
        router.pass_on(message("second"))
        order.append("turn")

    router.deliver = deliver
    router.turn(router.pass_on, message("question"))
    assert order == ["question begins", "question ends", "answer begins", "answer ends"]
    order.clear()
    router.turn(question_after_another)
    assert order == ["turn", "first begins", "first ends", "second begins", "second ends"]
