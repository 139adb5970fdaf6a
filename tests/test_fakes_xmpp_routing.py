"""The queue of stanzas: a stanza that answers another waits for all effects of that one."""

from __future__ import annotations

import pytest

from fakes.xmpp.routing import Router
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
