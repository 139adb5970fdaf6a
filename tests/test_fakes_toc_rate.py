"""The limit on how fast a user may send: a moving average of the time between two messages."""

from __future__ import annotations

from fakes.toc.rate import RateLimiter


def accepted(interval: float, count: int) -> list[bool]:
    """Whether each of `count` messages is accepted; `interval` is the seconds between two."""
    limiter = RateLimiter(0.0)
    return [limiter.accept(number * interval) for number in range(1, count + 1)]


def test_nine_quick_messages_are_accepted_and_then_none() -> None:
    # The average begins at 6,000 ms. After n more messages, 100 ms apart, it is
    # 100 + 5,900 · 0.95^n, which is below 4,000 for the first time at n = 9.
    assert accepted(0.1, 30) == [True] * 9 + [False] * 21


def test_a_message_every_four_seconds_is_always_accepted() -> None:
    assert all(accepted(4.0, 1000))


def test_a_limited_user_is_served_again_when_the_average_is_high_enough() -> None:
    limiter = RateLimiter(0.0)
    now = 0.0
    while limiter.accept(now := now + 0.1):
        pass
    # The average is 3,818 ms now and must reach 5,100. With a message every six seconds it is
    # 6,000 - 2,182 · 0.95^n, which is that high at n = 18.
    answers = [limiter.accept(now := now + 6.0) for _ in range(20)]
    assert answers == [False] * 17 + [True] * 3
