"""Commands for what a user shows of itself, and for questions about others."""

from __future__ import annotations

import pytest

from fakes.toc import Policy
from tests.test_fakes_toc_door import FORMS, Two
from tests.test_fakes_toc_session import Bench, taken
from tests.toc_raw import Raw


def test_a_screen_name_has_at_most_48_bytes() -> None:
    bench, raw = Bench(), Raw("alice")
    core = bench.signed_on(raw)
    core.receive(raw.command("toc_format_nickname " + " ".join("alice") + " " * 60))
    core.receive(raw.command(f'toc_format_nickname "{"alice".ljust(48)}"'))
    core.receive(raw.command(f'toc_format_nickname "{"alice".ljust(49)}"'))
    assert raw.feed(taken(core))[-3:] == [
        "ADMIN_NICK_STATUS:0",
        "NICK:" + "alice".ljust(48),
        "ERROR:911",
    ]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("count", [1, 217, 218, 219, 220, 1000])
def test_more_capabilities_than_a_message_holds_are_refused(form: str, count: int) -> None:
    two = Two(form, Policy(command=65535))
    longest = "alice".ljust(48)  # a name of the greatest length
    two.say(two.alice, f'toc_format_nickname "{longest}"')
    two.say(two.bob, "toc_add_buddy alice")
    two.heard(two.alice), two.heard(two.bob)
    two.say(two.alice, "toc_set_caps " + " ".join(f"{n:x}" for n in range(count)))
    refused = ["ERROR:911"] if count > 219 else []
    assert two.heard(two.alice) == refused
    shown = [text for text in two.heard(two.bob) if text.startswith("BUDDY_CAPS2")]
    assert len(shown) == (form != "toc_signon" and not refused)
