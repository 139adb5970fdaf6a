"""What a client learns of other users, up to the length of a message."""

from __future__ import annotations

import re

import pytest

from fakes.toc import Actor, Policy, Toc
from fakes.toc.frames import MESSAGE_LIMIT
from tests.test_fakes_toc_session import Bench, taken
from tests.toc_raw import Raw

FORMS = ("toc_signon", "toc2_signon", "toc2_login")
# Clients may send any command that a frame can carry, so that the limit is that of the messages.
LONG = Policy(command=65535)
LENGTHS = (*range(8184, 8188), 8191, 8192, 8193)


class Two:
    """Alice and bob, online in one form."""

    def __init__(self, form: str, policy: Policy = LONG) -> None:
        self.bench = Bench(policy)
        self.alice, self.bob = Raw("alice", form=form), Raw("bob", form=form)
        self.cores: dict[Raw, Toc] = {
            raw: self.bench.signed_on(raw) for raw in (self.alice, self.bob)
        }

    def say(self, raw: Raw, text: str) -> None:
        self.cores[raw].receive(raw.command(text))

    def heard(self, raw: Raw) -> list[str]:
        """The new messages; the client itself fails if one of them is too long."""
        return raw.feed(taken(self.cores[raw]))


def filled(shortest: str, length: int) -> str:
    """The text with which a message becomes `length` bytes long."""
    return "x" * (length - len(shortest))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("length", LENGTHS)
def test_an_im_that_is_too_long_for_a_message_is_reported_as_missed(form: str, length: int) -> None:
    two = Two(form)
    two.say(two.alice, 'toc_send_im bob "?"')
    [shortest] = two.heard(two.bob)
    text = filled(shortest[:-1], length)
    two.say(two.alice, f"toc_send_im bob {text}")
    fits = length <= MESSAGE_LIMIT
    assert two.heard(two.bob) == [shortest[:-1] + text if fits else "ERROR:961:alice"]
    assert two.heard(two.alice) == [], "the sender learns nothing, as in AOL's network"
    assert len(two.bench.aim.ims) == (2 if fits else 1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("command", ["toc_chat_send 1", "toc_chat_whisper 1 bob"])
@pytest.mark.parametrize("length", LENGTHS)
def test_a_room_message_that_is_too_long_is_reported_as_missed(
    form: str, command: str, length: int
) -> None:
    two = Two(form)
    for raw in (two.alice, two.bob):
        two.say(raw, "toc_chat_join 4 lobby")
    two.heard(two.alice)
    two.heard(two.bob)
    two.say(two.alice, f"{command} ?")
    [shortest] = two.heard(two.bob)
    text = filled(shortest[:-1], length)
    two.say(two.alice, f"{command} {text}")
    expected = shortest[:-1] + text if length <= MESSAGE_LIMIT else "ERROR:961:alice"
    assert two.heard(two.bob) == [expected]


@pytest.mark.parametrize("length", LENGTHS)
def test_an_invitation_that_is_too_long_is_reported_as_missed(length: int) -> None:
    two = Two("toc_signon")
    two.say(two.alice, "toc_chat_join 4 lobby")
    text = filled("CHAT_INVITE:lobby:1:alice:", length)
    two.say(two.alice, f"toc_chat_invite 1 {text} bob")
    fits = length <= MESSAGE_LIMIT
    expected = f"CHAT_INVITE:lobby:1:alice:{text}" if fits else "ERROR:961:alice"
    assert two.heard(two.bob) == [expected]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("toc_send_im {} hello", r"ERROR:901:x+"),
        ("toc_get_status {}", r"ERROR:901:x+"),
        ("toc_get_info {}", r"ERROR:901:x+"),
        ("toc_get_dir {}", r"ERROR:977"),
        ("toc_evil {} norm", r"ERROR:902:x+"),
        ("toc_chat_join 4 {}", r"(ERROR:950|CHAT_JOIN:1):x+"),
        ("toc_chat_accept {}", r"ERROR:950:x+"),
        ("toc_chat_send {} hello", r"ERROR:950:x+"),
        ("toc_format_nickname {}", r"ERROR:911"),
        ("toc2_new_group {}", r"ERROR:931:x+|"),
        ("toc_set_config {}", r"ERROR:911|"),
        ("toc_set_away {}", r""),
        ("toc_set_info {}", r""),
        ("toc_add_buddy {}", r""),
        ("toc_set_dir {}", r"DIR_STATUS:0"),
    ],
)
def test_an_argument_of_any_length_has_the_usual_answer(
    form: str, command: str, answer: str
) -> None:
    for length in (2047, 2048, 2049, *LENGTHS, 65000):
        two = Two(form)
        two.say(two.alice, command.format("x" * (length - len(command.format("")))))
        messages = two.heard(two.alice)
        assert re.fullmatch(answer, messages[0] if messages else ""), length
        assert not two.cores[two.alice].closed, length


@pytest.mark.parametrize("length", LENGTHS)
def test_an_actor_learns_whether_its_im_was_too_long(length: int) -> None:
    two = Two("toc_signon")
    actor: Actor = two.bench.aim.actor("sysadmin")
    text = filled("IM_IN:sysadmin:F:", length)
    assert actor.says("bob", text) == (length <= MESSAGE_LIMIT)
    [message] = two.heard(two.bob)
    assert message == (
        f"IM_IN:sysadmin:F:{text}" if length <= MESSAGE_LIMIT else "ERROR:961:sysadmin"
    )
    other = two.bench.aim.actor("Ops Bot")
    other.signs_on()
    assert actor.says("Ops Bot", text), "an actor has no client whose buffer could be too small"
