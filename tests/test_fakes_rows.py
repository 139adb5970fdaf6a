"""Rows in blocks: like a list, and what was seen of it never changes."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from fakes.rows import BLOCK, FEW, Rows, Seen
from tests.growth import factor

FACTOR_FLAT = 3  # eight times as many rows may cost that many times as much


@dataclass(eq=False)
class One:
    """A row."""

    uid: int


def uids(seen: Seen[One]) -> list[int]:
    return [one.uid for one in seen]


@pytest.mark.parametrize("seed", range(3))
def test_rows_are_like_a_list_and_what_was_seen_stays(seed: int) -> None:
    random_ = random.Random(seed)
    rows, model = Rows[One](), list[int]()
    seen: list[tuple[Seen[One], list[int]]] = []
    for uid in range(1, 3 * BLOCK, 2):
        if model and random_.random() < 0.4:
            at = random_.choice([0, len(model) - 1, random_.randrange(len(model))])
            # One, or many of which some are not there; a lot in a row, or here and there.
            count = random_.choice([1] * 60 + [3, FEW, 3 * FEW, BLOCK])
            near = range(model[at], model[at] + count)
            gone = set(
                near
                if random_.random() < 0.5
                else random_.sample(range(1, uid), k=min(count, uid - 1))
            )
            gone.add(model[at])
            assert [one.uid for one in rows.remove(gone)] == [one for one in model if one in gone]
            model = [one for one in model if one not in gone]
        else:
            rows.append(One(uid))
            model.append(uid)
        if random_.random() < 0.02:
            seen.append((rows.seen(), list(model)))
        if not random_.randrange(700):
            while model:
                assert [one.uid for one in rows.remove([model[-1]])] == [model.pop()]
    for now, then in (*seen, (rows.seen(), model)):
        assert uids(now) == [now[at].uid for at in range(len(now))] == then
        assert [now.at(uid) for uid in then] == list(range(len(then)))
        assert all(now.at(uid - 1) == at for at, uid in enumerate(then))
        assert now.at(10 * BLOCK) == len(then) and now.find(10 * BLOCK) is None


def test_rows_begin_with_those_of_another_list() -> None:
    rows = Rows(One(uid) for uid in range(2 * BLOCK + 1))
    seen = rows.seen()
    assert (len(seen), seen[-1].uid, uids(seen)[5:7]) == (2 * BLOCK + 1, 2 * BLOCK, [5, 6])
    assert [one.uid for one in seen[BLOCK : BLOCK + 2]] == [BLOCK, BLOCK + 1]
    assert seen == list(seen) and seen != list(seen)[1:] and repr(seen[:1]) == "[One(uid=0)]"
    with pytest.raises(IndexError):
        seen[2 * BLOCK + 1]


def test_a_look_knows_whether_something_was_removed_since() -> None:
    rows = Rows([One(1)])
    seen = rows.seen()
    rows.append(One(2))
    assert seen.is_of(rows)
    assert not rows.remove([3]) and not rows.remove([]) and seen.is_of(rows)
    rows.remove([2, 2])
    assert not seen.is_of(rows) and uids(seen) == [1]


def test_blocks_of_which_little_is_left_become_one() -> None:
    rows = Rows(One(uid) for uid in range(3 * BLOCK))
    for _ in range(3 * (BLOCK - 1)):
        rows.remove([rows.seen()[len(rows.seen()) // 2].uid])
    assert len(rows.seen()) == 3 and len(rows.blocks) < 3


@pytest.mark.slow
@pytest.mark.parametrize("where", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("count", [1, 3 * FEW])
def test_removing_costs_nearly_the_same_however_many_rows_there_are(
    count: int, where: float
) -> None:
    def prepared(size: int) -> Callable[[], object]:
        rows, uids = Rows(One(uid) for uid in range(size)), itertools.count(size)

        def run() -> None:
            for _ in range(50):
                seen = rows.seen()
                at = int(where * (len(seen) - count))
                rows.remove([seen[at + number].uid for number in range(count)])
                for uid in itertools.islice(uids, count):
                    rows.append(One(uid))

        return run

    assert factor(prepared, 12_500, FACTOR_FLAT) < FACTOR_FLAT
