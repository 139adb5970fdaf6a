"""What has happened so far, looked at without copies."""

from __future__ import annotations

import pytest

from fakes.history import History, Snapshot


def test_a_snapshot_is_used_like_a_list() -> None:
    items = Snapshot([1, 2, 3])
    plain = [1, 2, 3]
    assert items == plain and plain == items and items == Snapshot(plain)
    assert items != [1, 2] and items != [1, 2, 4] and items != (1, 2, 3)
    assert (len(items), list(items), items[0], items[-1]) == (3, [1, 2, 3], 1, 3)
    assert (items[1:], items[-2:], items[::-1], items[:9]) == ([2, 3], [2, 3], [3, 2, 1], [1, 2, 3])
    assert 2 in items and 4 not in items and items.index(3) == 2 and items.count(1) == 1
    assert list(reversed(items)) == [3, 2, 1] and sum(items) == 6
    assert repr(items) == "[1, 2, 3]" and not Snapshot([])
    with pytest.raises(IndexError):
        items[3]
    with pytest.raises(TypeError):
        hash(items)


def test_a_snapshot_does_not_change_when_items_are_added_and_dropped() -> None:
    history: History[int] = History(limit=4)
    history.extend([0, 1])
    before = history.snapshot()
    for n in range(2, 20):
        history.extend([n])
    assert before == [0, 1] and list(before) == [0, 1] and before[-1] == 1
    history.clear()
    assert before == [0, 1] and history.snapshot() == []


def test_without_a_limit_everything_is_kept() -> None:
    history: History[int] = History()
    history.extend(range(1000))
    assert (len(history.snapshot()), history.dropped, history.end) == (1000, 0, 1000)


def test_with_a_limit_the_oldest_items_are_dropped_and_positions_stay_the_same() -> None:
    history: History[int] = History(limit=4)
    for n in range(100):
        history.extend([n])
        kept = history.snapshot()
        assert kept == list(range(history.dropped, n + 1)) and min(n + 1, 4) <= len(kept) <= 5
    assert history.end == 100
    assert history.since(99) == [99] and history.since(0) == history.snapshot()


def test_with_a_limit_of_0_nothing_is_kept() -> None:
    history: History[int] = History(limit=0)
    history.extend([1])
    assert history.snapshot() == [] and history.end == 1
