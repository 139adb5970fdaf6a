"""The hint for a misspelled word."""

from __future__ import annotations

from comms.suggest import did_you_mean


def test_the_nearest_known_word_is_suggested() -> None:
    assert did_you_mean("smpt", ["pop3", "smtp"]) == " (did you mean 'smtp'?)"


def test_the_case_of_letters_makes_no_word_less_near() -> None:
    assert did_you_mean("APACHE-ALRT", ["apache-alert"]) == " (did you mean 'apache-alert'?)"
    assert did_you_mean("Starttls", ["STARTTLS"]) == " (did you mean 'STARTTLS'?)"


def test_nothing_is_suggested_if_no_known_word_is_near() -> None:
    assert did_you_mean("xmpp", ["pop3", "smtp"]) == ""
    assert did_you_mean("xmpp", []) == ""


def test_any_iterable_of_words_will_do() -> None:
    assert did_you_mean("porrt", {"port": 25}) == " (did you mean 'port'?)"
    assert did_you_mean("porrt", (word for word in ["port"])) == " (did you mean 'port'?)"
