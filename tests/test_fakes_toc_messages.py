"""The text of each message of the server, in the three forms of TOC."""

from __future__ import annotations

import pytest

from fakes.toc import messages
from fakes.toc.frames import MESSAGE_LIMIT
from fakes.toc.messages import Form
from fakes.toc.presence import Account, Im, Status
from fakes.toc.rooms import Room

LOBBY = Room(7, "Lobby", "lobby")
TOC1, TOC2, ENCODED = Form.TOC1, Form.TOC2, Form.ENCODED


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (TOC1, "IM_IN:Alice:T:a:b \xe9"),
        (TOC2, "IM_IN2:Alice:T:F:a:b \xe9"),
        (ENCODED, "IM_IN_ENC2:Alice:T:F:T: O :F:L:de:a:b \xe9"),
    ],
)
def test_an_im_has_its_text_last_because_it_may_hold_colons(form: Form, text: str) -> None:
    im = Im(0.0, "Alice", "Bob", b"a:b \xe9", auto=True, encoding="L", language="de")
    assert messages.im(im, form) == text


@pytest.mark.parametrize(
    ("status", "toc1", "toc2"),
    [
        (
            Status("Bob", True, warning=5, since=1000, idle=3, away=True, capabilities=("A", "B")),
            ["UPDATE_BUDDY:Bob:T:5:1000:3: OU"],
            ["UPDATE_BUDDY2:Bob:T:5:1000:3: OU:", "BUDDY_CAPS2:Bob:A,B"],
        ),
        (
            Status("Bob", True),
            ["UPDATE_BUDDY:Bob:T:0:0:0: O "],
            ["UPDATE_BUDDY2:Bob:T:0:0:0: O :"],
        ),
        # An offline user has an empty class of three characters, which clients index.
        (Status("Bob"), ["UPDATE_BUDDY:Bob:F:0:0:0:   "], ["UPDATE_BUDDY2:Bob:F:0:0:0:   :"]),
    ],
    ids=["away", "online", "offline"],
)
def test_a_status_has_a_class_of_three_characters(
    status: Status, toc1: list[str], toc2: list[str]
) -> None:
    assert list(messages.status(status, TOC1)) == toc1
    assert list(messages.status(status, TOC2)) == list(messages.status(status, ENCODED)) == toc2


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (TOC1, "CHAT_IN:7:Alice:T:hi"),
        (TOC2, "CHAT_IN:7:Alice:T:hi"),
        (ENCODED, "CHAT_IN_ENC:7:Alice:T:A:en:hi"),
    ],
)
def test_a_message_in_a_room_says_whether_it_is_whispered(form: Form, text: str) -> None:
    assert messages.room_message(LOBBY, Im(0.0, "Alice", "Lobby", b"hi"), True, form) == text


def test_a_sign_on_is_followed_by_the_name_and_the_lists() -> None:
    account = Account("Alice")
    account.lists.add_buddy("Friends", "Bob")
    assert messages.sign_on(TOC1) == "SIGN_ON:TOC1.0"
    assert messages.sign_on(ENCODED) == "SIGN_ON:TOC2.0"
    toc1 = ["CONFIG:m 1\ng Friends\nb Bob\n", "NICK:Alice"]
    toc2 = ["NICK:Alice", "CONFIG2:g:Friends\nb:Bob\nm:1\ndone:\n"]
    assert list(messages.greeting(account, TOC1)) == toc1
    assert list(messages.greeting(account, TOC2)) == toc2


def test_many_members_are_listed_in_several_messages_of_the_greatest_length() -> None:
    names = [f"name{number:03}" for number in range(2000)]
    found = list(messages.room_members(LOBBY, True, names))
    head = "CHAT_UPDATE_BUDDY:7:T:"
    assert all(message.startswith(head) for message in found)
    lengths = [len(message) for message in found]
    assert max(lengths) <= MESSAGE_LIMIT
    assert all(length + 1 + len("name000") > MESSAGE_LIMIT for length in lengths[:-1])
    listed = [name for message in found for name in message.removeprefix(head).split(":")]
    assert listed == names


def test_a_list_without_members_is_one_message() -> None:
    assert list(messages.room_members(LOBBY, False, [])) == ["CHAT_UPDATE_BUDDY:7:F"]


def test_only_the_errors_from_980_to_989_end_the_session() -> None:
    assert messages.error(901, "bob") == "ERROR:901:bob"
    assert not messages.is_final(messages.error(901, "bob"))
    assert messages.is_final(messages.error(980)) and messages.is_final(messages.error(989, "x"))
