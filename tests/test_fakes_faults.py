"""The fault grammar: what it says, what it refuses, and how faults are counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.config import Reader, WorldError
from fakes.drills import DRILLS
from fakes.faults import Fault, FaultError, Faults
from fakes.servers import SERVERS, protocols, read_faults
from fakes.smtp import Smtp
from fakes.world import World

SMTP = {"smtp": Smtp.vocabulary()}


@pytest.mark.parametrize("text", [
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
    "PIPELINING off",
    "MAIL reset",
    "MAIL after 0",
    r'MAIL reply "say \"no\" \\ now"',
    "toc toc_send_im reset",
])  # fmt: skip
def test_a_fault_reads_back_as_it_was_written(text: str) -> None:
    (fault,) = read_faults(text)
    assert read_faults(str(fault)) == [fault]


def test_blanks_and_underscores_are_one() -> None:
    assert read_faults("toc toc send im reset") == read_faults("toc toc_send_im reset")


def test_a_bare_hang_up_is_before_and_nth_alone_is_that_one_only() -> None:
    assert read_faults("MAIL hang up") == read_faults("MAIL hang up before")
    faults = Faults(vocabulary=dict(SMTP))
    faults.arm("MAIL nth 2 reset")
    assert [bool(faults.meet("smtp", "MAIL")) for _ in range(4)] == [False, True, False, False]


def test_times_and_nth_together_are_a_window() -> None:
    faults = Faults(vocabulary=dict(SMTP))
    faults.arm("MAIL nth 2 times 2 reset")
    assert [bool(faults.meet("smtp", "MAIL")) for _ in range(5)] == [
        False,
        True,
        True,
        False,
        False,
    ]


def test_only_what_fits_is_counted() -> None:
    faults = Faults(vocabulary=dict(SMTP))
    faults.arm("RCPT arg *bob* user alice nth 2 reset")
    assert not faults.meet("smtp", "RCPT", "TO:<carol@x>", "alice@example.test")
    assert not faults.meet("smtp", "RCPT", "TO:<bob@x>", "ops@example.test")
    assert not faults.meet("smtp", "RCPT", "TO:<Bob@x>", "alice@example.test")
    assert faults.meet("smtp", "rcpt", "TO:<bob@x>", "ALICE")


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [("assaf*", True), ("*assaf*", True), ("TO:<assaf@x>", True), ("assaf", False)],
)
def test_an_arg_is_the_text_behind_the_verb_or_the_address_in_it(pattern: str, fits: bool) -> None:
    faults = Faults(vocabulary=dict(SMTP))
    faults.arm(Fault("RCPT", arg=pattern, reset=True))
    assert bool(faults.meet("smtp", "RCPT", "TO:<Assaf@x>")) is fits


def test_the_first_armed_takes_the_unit_and_both_count_it() -> None:
    faults = Faults(vocabulary=dict(SMTP))
    faults.arm("MAIL times 1 reset; MAIL nth 2 stall")
    first, second = faults.meet("smtp", "MAIL"), faults.meet("smtp", "MAIL")
    assert first and first.reset and second and second.stall


def test_faults_are_parted_by_semicolons_outside_quotes_and_drills_stand_for_theirs() -> None:
    assert len(read_faults('MAIL reset; RCPT reply "a; b"; smtp-421')) == 3
    for name, drill in DRILLS.items():
        assert read_faults(name) == (read_faults(drill) if isinstance(drill, str) else [drill])


def test_what_was_never_met_is_known() -> None:
    faults = Faults(vocabulary=dict(SMTP))
    faults.arm("MAIL reset; RCPT reset")
    faults.meet("smtp", "MAIL")
    assert [str(fault) for fault in faults.unmet()] == ["smtp RCPT reset"]


@pytest.mark.parametrize(("text", "says"), [
    ("smtp RCTP reset", "did you mean 'rcpt'"),
    ("RCTP reset", "did you mean 'rcpt'"),
    ("MAIL", "no failure; give exactly one of"),
    ("MAIL reset stall", "reset and stall"),
    ("MAIL rply \"x\"", "no failure"),
    ("MAIL reset tims 2", "did you mean 'times'"),
    ("MAIL reply", "reply has no value; write a text after it"),
    ("MAIL nth two reset", "nth expects a number, found 'two'"),
    ("MAIL lost", "lost has no value; write stored or unstored"),
    ("MAIL lost sometimes", "unknown value 'sometimes'; write stored or unstored"),
    ("MAIL refuse", "write connect refuse"),
    ("MAIL certificate expired", "write tls certificate"),
    ("tls delay 3", "delay does not apply to tls"),
    ("MAIL split 0", "at least 1 byte"),
    ("MAIL reset reset", "given twice"),
    ('MAIL reply "451', "never closed"),
    ("pop3 RETR reset", "no pop3 server"),
    (";", "a fault is empty"),
])  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_the_word_and_the_remedy(text: str, says: str) -> None:
    faults = Faults(dict(SMTP), protocols())
    with pytest.raises(FaultError, match=says):
        faults.arm(text)


def test_a_place_that_two_servers_know_needs_its_protocol() -> None:
    faults = Faults(
        vocabulary={"smtp": Smtp.vocabulary(), "pop3": frozenset({"quit", "connect", "tls"})}
    )
    with pytest.raises(
        FaultError,
        match="smtp and pop3 both have a place 'quit'; name the protocol: smtp QUIT reset",
    ):
        faults.arm("QUIT reset")
    faults.arm("pop3 QUIT reset")


def test_a_table_of_a_world_file_says_the_same() -> None:
    def read(table: dict[str, object]) -> tuple[Fault, ...]:
        return Reader(SERVERS).read({"fault": [table]}).fault

    assert read({"where": "RCPT", "reply": "451 4.3.0 try later", "times": 2}) == (
        Fault("RCPT", reply="451 4.3.0 try later", times=2),
    )
    with pytest.raises(WorldError, match=r"fault.repyl: unknown key .did you mean 'reply'"):
        read({"where": "RCPT", "repyl": "451"})
    with pytest.raises(WorldError, match=r"fault.where: missing"):
        read({"reply": "451"})


@given(st.text(max_size=60))
def test_any_text_is_faults_or_a_fault_error(text: str) -> None:
    try:
        World({"servers": ["smtp"]}, rehearsal=True, faults=[text])
    except FaultError:
        pass
