"""The text form of faults: what it means, and what is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.drills import DRILLS
from fakes.faults import Fault, FaultError, parse
from fakes.servers import read_faults
from fakes.world import World
from tests.growth import FACTOR_MOST, factor


@pytest.mark.parametrize(
    "text",
    [
        'RCPT arg assaf* reply "451 4.3.0 try later" times 2',
        "RETR nth 2 after 100",
        "pop3 QUIT hang up before",
        "smtp . lost stored",
        "smtp . lost unstored nth 3 times 2",
        "smtp connect refuse times 2",
        "smtp connect stall",
        "smtp connect delay 2.5",
        "smtp tls certificate self-signed",
        'RCPT arg "a b; c" user alice hang up within',
        "EHLO split 1",
        "smtp connect bandwidth 1000",
        "MAIL above 10 per 0.5 reset times 3",
        "PIPELINING off",
        "MAIL reset",
        "MAIL after 0",
        r'MAIL reply "say \"no\" \\ now"',
        "toc toc_send_im reset",
        "RCPT arg o'brien* reset",
        'RCPT arg "\'x" reset',
    ],
)
def test_a_fault_is_written_as_it_is_read(text: str) -> None:
    (fault,) = read_faults(text)
    assert read_faults(str(fault)) == [fault]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("MAIL hang up", Fault("mail", hang_up="before")),
        ("toc toc send im reset", Fault("toc_send_im", "toc", reset=True)),
        ("RSET reset", Fault("rset", reset=True)),
        ("reset reset", Fault("reset", reset=True)),
        ("TOC toc_get_info stall", Fault("toc_get_info", "toc", stall=True)),
    ],
)
def test_what_a_text_means(text: str, fault: Fault) -> None:
    assert read_faults(text) == [fault]


def test_semicolons_outside_quotes_separate_faults() -> None:
    assert [str(fault) for fault in read_faults('MAIL reset; RCPT reply "a; b";NOOP stall')] == [
        "MAIL reset",
        'RCPT reply "a; b"',
        "NOOP stall",
    ]


def test_the_name_of_a_drill_stands_for_its_faults() -> None:
    assert len(read_faults("MAIL reset; smtp-421; pop-in-use")) == 3
    for name, drill in DRILLS.items():
        assert read_faults(name) == (read_faults(drill) if isinstance(drill, str) else [drill])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MAIL", "neither a fault nor a drill; write .PROTOCOL. WHERE"),
        ("MAIL reset stall", "reset and stall"),
        ("MAIL resett", "unknown word 'resett' .did you mean 'reset'"),
        ('MAIL rply "x"', "unknown word 'rply' .did you mean 'reply'"),
        ("connect bandwith 10", "unknown word 'bandwith' .did you mean 'bandwidth'"),
        ("MAIL reset tims 2", "unknown word 'tims' .did you mean 'times'"),
        ("MAIL reply", "reply has no value; write a text after it"),
        ("MAIL nth two reset", "nth expects a number, found 'two'; write nth 2"),
        ("MAIL delay", "delay has no value; write a number after it"),
        ("MAIL lost", "lost has no value; write stored or unstored"),
        ("MAIL lost sometimes", "unknown value 'sometimes'; write stored or unstored"),
        ("MAIL refuse", "write connect refuse"),
        ("MAIL certificate expired", "write tls certificate"),
        ("tls delay 3", "delay does not apply to tls"),
        ("MAIL split 0", "split: 0 is not possible; write a number from 1 up"),
        ("MAIL reset reset", "reset is given twice; write it once"),
        ('MAIL reply "451', "the quote at '\"451' is never closed; add a quote"),
        (";", "a fault is empty; write .PROTOCOL. WHERE"),
        ("smtp-412", "neither a fault nor a drill .did you mean 'smtp-421'"),
    ],
)
def test_a_text_that_is_not_a_fault_is_refused_with_the_word_and_the_remedy(
    text: str, message: str
) -> None:
    with pytest.raises(FaultError, match=message):
        read_faults(text)


def test_without_a_catalogue_of_drills_a_place_alone_is_a_fault_without_a_failure() -> None:
    with pytest.raises(FaultError, match="'mail' has no failure; give exactly one of"):
        parse("MAIL")


@given(st.text(max_size=60))
def test_any_text_arms_faults_or_raises_fault_error(text: str) -> None:
    try:
        faults = World({"servers": ["smtp"]}, rehearsal=True, faults=[text]).faults
    except FaultError as error:
        assert str(error)
    else:
        assert faults.unmet() == read_faults(text)


def test_single_quotes_are_read_as_double_quotes() -> None:
    text = """RCPT arg 'a "b"; c' reply '550 it\\'s full' times 2; DATA reset"""
    reply = Fault("RCPT", arg='a "b"; c', reply="550 it's full", times=2)
    assert read_faults(text) == [reply, Fault("DATA", reset=True)]


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("RCPT reply 550 no", 'write reply "550 no"'),
        ("RCPT reply 550 no such user times 2", 'write reply "550 no such user"'),
        ("RCPT nth 2 reply 550 no such user", 'write reply "550 no such user"'),
    ],
)
def test_a_reply_without_quotes_is_shown_with_them(text: str, remedy: str) -> None:
    with pytest.raises(FaultError) as caught:
        read_faults(text)
    assert str(caught.value).endswith(f"the reply is not in quotes; {remedy}")


def test_an_unknown_drill_is_answered_with_all_drills() -> None:
    with pytest.raises(FaultError) as caught:
        read_faults("poison-mial")
    assert "did you mean 'poison-mail'?" in str(caught.value)
    assert str(caught.value).endswith(f"choose a drill from: {', '.join(DRILLS)}")


@pytest.mark.slow
@pytest.mark.parametrize("words", ["a ", "RCPT reset ; ", "x reply a "])
def test_eight_times_the_words_take_at_most_sixteen_times_as_long(words: str) -> None:
    def prepared(size: int) -> Callable[[], object]:
        text = words * (size // len(words))

        def run() -> None:
            with contextlib.suppress(FaultError):
                read_faults(text)

        return run

    assert factor(prepared, 16_000) <= FACTOR_MOST
