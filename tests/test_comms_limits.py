"""Limits: when the next mail may be sent, in all and to each domain."""

from __future__ import annotations

from comms.limits import KEPT, Limits


def test_without_limits_the_next_one_may_always_be_sent() -> None:
    limits = Limits()
    limits.count("a.example", 10.0)
    assert limits.due(10.0) <= 10.0 and limits.waiting(10.0) == {}


def test_the_rate_is_that_of_all_domains_together() -> None:
    limits = Limits(per_second=4)
    limits.count("a.example", 10.0)
    assert limits.due(10.0) == 10.25
    limits.count("b.example", 12.0)
    assert limits.due(12.0) == 12.25, "a pause that nobody used is not saved up"


def test_a_domain_waits_and_the_others_do_not() -> None:
    limits = Limits(per_domain=0.5)
    limits.count("a.example", 10.0)
    limits.count("b.example", 11.0)
    assert limits.waiting(11.0) == {"a.example": 12.0, "b.example": 13.0}
    assert limits.waiting(12.0) == {"b.example": 13.0}
    assert limits.due(12.0) <= 12.0


def test_domains_that_need_not_wait_are_forgotten() -> None:
    limits = Limits(per_domain=1)
    for number in range(10 * KEPT):
        limits.count(f"{number}.example", float(number))
    assert len(limits._domains) <= KEPT


def test_a_clock_that_is_set_back_makes_nothing_wait_for_longer() -> None:
    limits = Limits(per_second=1, per_domain=0.5)
    limits.count("a.example", 1000.0)
    assert limits.due(10.0) == 10.0 and limits.waiting(10.0) == {}
