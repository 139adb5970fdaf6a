"""Commands for instant messages, typing events and warnings."""

from __future__ import annotations

import pytest

from fakes.toc import Policy, Toc
from tests.test_fakes_toc_session import Bench, taken
from tests.toc_raw import Raw


class Pair:
    """Alice and bob, online. `say` sends a command; it returns what alice and bob receive."""

    def __init__(self, alice: str, bob: str, policy: Policy | None = None) -> None:
        self.bench = Bench(policy)
        self.alice, self.bob = Raw("alice", form=alice), Raw("bob", form=bob)
        self.cores: dict[Raw, Toc] = {
            raw: self.bench.signed_on(raw) for raw in (self.alice, self.bob)
        }

    def say(self, raw: Raw, text: str) -> tuple[list[str], list[str]]:
        self.cores[raw].receive(raw.command(text))
        heard = [raw.feed(taken(self.cores[raw])) for raw in (self.alice, self.bob)]
        return heard[0], heard[1]


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ("toc_signon", "IM_IN:alice:{}:caf\xe9: 5"),
        ("toc2_signon", "IM_IN2:alice:{}:F:caf\xe9: 5"),
        ("toc2_login", "IM_IN_ENC2:alice:{}:F:T: O :F:L:en:caf\xe9: 5"),
    ],
)
@pytest.mark.parametrize(
    ("rest", "auto"), [("", "F"), (" auto", "T"), (" other", "F"), (" other auto", "F")]
)
def test_an_im_arrives_in_the_form_of_the_recipient(
    form: str, message: str, rest: str, auto: str
) -> None:
    two = Pair("toc_signon", form)
    heard = two.say(two.alice, f'toc_send_im " B ob" "caf\xe9: 5"{rest}')
    assert heard == ([], [message.format(auto)])


@pytest.mark.parametrize("command", ["toc_send_im", "toc2_send_im"])
def test_both_words_for_an_im_mean_the_same(command: str) -> None:
    two = Pair("toc2_signon", "toc_signon")
    assert two.say(two.alice, f"{command} bob hello") == ([], ["IM_IN:alice:F:hello"])


def test_an_encoding_reaches_a_client_that_knows_encodings() -> None:
    two = Pair("toc2_login", "toc2_login")
    heard = two.say(two.alice, 'toc2_send_im_enc bob "F" U de "\xe2\x82\xac" auto')
    assert heard == ([], ["IM_IN_ENC2:alice:T:F:T: O :F:U:de:\xe2\x82\xac"])


@pytest.mark.parametrize(("unavailable", "answer"), [(True, ["ERROR:901:N O"]), (False, [])])
def test_an_im_for_nobody_is_an_error_unless_the_policy_is_silent(
    unavailable: bool, answer: list[str]
) -> None:
    two = Pair("toc_signon", "toc_signon", Policy(unavailable=unavailable))
    assert two.say(two.alice, 'toc_send_im "N O" hello') == (answer, [])


@pytest.mark.parametrize("event", "012")
@pytest.mark.parametrize(
    ("form", "shown"), [("toc_signon", False), ("toc2_signon", True), ("toc2_login", True)]
)
def test_typing_is_shown_to_clients_of_toc2_only(form: str, shown: bool, event: str) -> None:
    two = Pair("toc2_signon", form)
    heard = two.say(two.alice, f"toc2_client_event bob {event}")
    assert heard == ([], [f"CLIENT_EVENT2:alice:{event}"] if shown else [])
    assert two.say(two.alice, f"toc2_client_event nobody {event}") == ([], [])


@pytest.mark.parametrize(("how", "points", "by"), [("norm", 10, "bob"), ("anon", 3, "")])
def test_a_sender_of_an_im_can_be_warned_once_for_it(how: str, points: int, by: str) -> None:
    two = Pair("toc_signon", "toc_signon")
    assert two.say(two.bob, f"toc_evil alice {how}") == ([], ["ERROR:902:alice"])
    two.say(two.alice, "toc_send_im bob spam")
    assert two.say(two.bob, f"toc_evil alice {how}") == ([f"EVILED:{points}:{by}"], [])
    assert two.say(two.bob, f"toc_evil alice {how}") == ([], ["ERROR:902:alice"])


def test_nobody_can_warn_itself_or_a_user_who_is_offline() -> None:
    two = Pair("toc_signon", "toc_signon")
    two.say(two.bob, "toc_send_im bob me")
    assert two.say(two.bob, "toc_evil bob norm") == ([], ["ERROR:902:bob"])
    assert two.say(two.bob, "toc_evil sysadmin norm") == ([], ["ERROR:902:sysadmin"])


def test_ims_above_the_rate_limit_are_dropped_with_903() -> None:
    two = Pair("toc_signon", "toc_signon", Policy(rate_limit=True))
    heard = [two.say(two.alice, "toc_send_im bob spam") for _ in range(30)]
    accepted = heard.count(([], ["IM_IN:alice:F:spam"]))
    assert accepted > 5
    assert heard == [([], ["IM_IN:alice:F:spam"])] * accepted + [(["ERROR:903"], [])] * (
        30 - accepted
    )
    two.bench.clock.now += 600
    assert two.say(two.alice, "toc_send_im bob spam") == ([], ["IM_IN:alice:F:spam"])


@pytest.mark.parametrize(
    "word", ["utf-8", "UTF8", "us-ascii", "iso-8859-1", "a", "u", "AU", "?", '""', "unicode-2-0"]
)
@pytest.mark.parametrize(
    ("language", "kept"),
    [("en", "en"), ("x-pirate", "x-pirate"), ("en_US", "en"), ("i18n", "en"), ('""', "en"),
     ("a-language-with-a-long-name", "en")],
)  # fmt: skip
def test_an_unknown_encoding_counts_as_ascii(word: str, language: str, kept: str) -> None:
    two = Pair("toc2_login", "toc2_login")
    heard = two.say(two.alice, f'toc2_send_im_enc bob "F" {word} {language} "hi"')
    assert heard == ([], [f"IM_IN_ENC2:alice:F:F:T: O :F:A:{kept}:hi"])
