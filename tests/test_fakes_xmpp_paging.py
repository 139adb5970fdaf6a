"""Pages of a long list, and how they are asked for (XEP-0059)."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

import pytest

from fakes.xmpp.markup import serialize
from fakes.xmpp.paging import RSM, Asked, cut, cut_counted
from fakes.xmpp.stanzas import StanzaError

IDS = tuple("abcdefg")


def page(asked: str, ids: Sequence[str] = IDS, most: int = 5) -> tuple[str, str, bool]:
    """The items of a page, its `<set/>`, and whether it is complete."""
    query = ElementTree.fromstring(f"<q><set xmlns='{RSM}'>{asked}</set></q>")
    found = cut(Asked.read(query), ids, most)
    shown = ids[found.start : found.stop]
    written = serialize(found.element(shown)).replace(f" xmlns='{RSM}'", "")
    return "".join(shown), written, found.complete


@pytest.mark.parametrize(
    ("asked", "shown", "index", "complete"),
    [
        ("", "abcde", 0, False),  # §2.1, limited by the server
        ("<max>3</max>", "abc", 0, False),
        ("<max>100</max>", "abcde", 0, False),
        ("<max> 3 </max><after/>", "abc", 0, False),
        ("<max>3</max><after>c</after>", "def", 3, False),  # §2.2
        ("<max>3</max><after>d</after>", "efg", 4, True),
        ("<max>3</max><before>e</before>", "bcd", 1, False),  # §2.3
        ("<max>3</max><before>d</before>", "abc", 0, True),
        ("<max>3</max><before/>", "efg", 4, False),  # §2.5
        ("<before/>", "cdefg", 2, False),
        ("<max>2</max><after>a</after><before>e</before>", "cd", 2, False),
        ("<max>3</max><after>a</after><before>e</before>", "bcd", 1, True),
        ("<max>3</max><index>2</index>", "cde", 2, False),  # §2.6
        ("<index>5</index>", "fg", 5, True),
    ],
)
def test_a_page_has_the_items_that_were_asked_for(
    asked: str, shown: str, index: int, complete: bool
) -> None:
    written = (
        f"<set><first index='{index}'>{shown[0]}</first><last>{shown[-1]}</last>"
        "<count>7</count></set>"
    )
    assert page(asked) == (shown, written, complete)


@pytest.mark.parametrize(
    ("asked", "complete"),
    [
        ("<max>0</max>", False),  # §2.7
        ("<max>0</max><before/>", False),
        ("<after>g</after>", True),
        ("<before>a</before>", True),
        ("<after>e</after><before>b</before>", True),
        ("<index>7</index>", True),
        ("<index>1000000</index>", True),
    ],
)
def test_an_empty_page_has_a_count_only(asked: str, complete: bool) -> None:
    assert page(asked) == ("", "<set><count>7</count></set>", complete)


def test_an_empty_list_is_complete() -> None:
    for asked in ("", "<before/>", "<index>0</index>", "<max>0</max>"):
        assert page(asked, "") == ("", "<set><count>0</count></set>", True)


@pytest.mark.parametrize("asked", ["<after>x</after>", "<before>x</before>"])
def test_an_unknown_id_is_an_error(asked: str) -> None:
    with pytest.raises(StanzaError, match="item-not-found"):
        page(asked)


@pytest.mark.parametrize("most", ["", "-1", "1.5", "many", "\u0661", "9" * 5000])
@pytest.mark.parametrize("name", ["max", "index"])
def test_what_is_not_a_number_is_refused(name: str, most: str) -> None:
    with pytest.raises(StanzaError, match="bad-request"):
        page(f"<{name}>{most}</{name}>")


@pytest.mark.parametrize("more", ["<after>a</after>", "<before>a</before>", "<before/>"])
def test_a_page_has_one_beginning(more: str) -> None:
    with pytest.raises(StanzaError, match="bad-request"):
        page(f"<index>1</index>{more}")


def test_without_a_set_everything_is_asked_for_up_to_the_limit() -> None:
    asked = Asked.read(ElementTree.fromstring("<q/>"))
    assert asked == Asked()
    assert cut(asked, IDS, 5).stop == 5


def test_a_counted_list_is_not_read() -> None:
    def place(id: str) -> tuple[int, int]:
        return int(id), int(id) + 1

    found = cut_counted(Asked(most=2, after="499999"), 1_000_000, 100, place)
    assert (found.start, found.stop, found.count) == (500_000, 500_002, 1_000_000)
