"""The core of the IRC server: its legality table, its limits, and arbitrary input."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import World
from fakes.irc.commands import COMMANDS
from fakes.irc.session import NEEDED, VERBS, IrcSession
from fakes.transcripts.player import play_on_core
from fakes.transcripts.recorder import render
from fakes.transcripts.text import load, parse
from fakes.wire import Facts, Record
from tests.bare_core import ask, drain
from tests.irc_core import Bench, hears, numerics, says
from tests.legality import in_states

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("irc-*.txt"))
FORMS = {"PASS": "PASS x", "USER": "USER a 0 * :A", "CAP_LS": "CAP LS", "CAP_LIST": "CAP LIST"}
FORMS |= {"CAP_REQ": "CAP REQ batch", "CAP_END": "CAP END", "CAP": "CAP NONSENSE"}


# ── the legality table ───────────────────────────────────────────────────────


def simplest_form(verb: str) -> str:
    return FORMS.get(verb, f"{verb} {' '.join('x' * NEEDED.get(verb, 0))}".strip())


@pytest.mark.parametrize(("verb", "state", "legal"), list(in_states(VERBS, ("NEW", "ON"))))
def test_every_verb_in_every_state(verb: str, state: str, legal: bool) -> None:
    bench = Bench()
    core = bench.core() if state == "NEW" else bench.registered("bot")
    answer = says(core, simplest_form(verb))
    refused = {"451", "462"} & set(numerics(answer))
    assert refused == (set() if legal else {"451"} if state == "NEW" else {"462"})
    record = next(one for one in reversed(bench.world.records) if one.direction == "C")
    assert record.verb == verb and record.section


def test_every_verb_has_a_handler_and_every_handler_a_row() -> None:
    methods = {name.removeprefix("do_") for name in dir(IrcSession) if name.startswith("do_")}
    assert methods.isdisjoint(COMMANDS)
    assert methods | set(COMMANDS) == set(VERBS)


@pytest.mark.parametrize("verb", NEEDED)
def test_a_missing_or_empty_parameter_is_461(verb: str) -> None:
    bench = Bench()
    for state in VERBS[verb].states:
        core = bench.core() if state == "NEW" else bench.registered(f"bot{verb}")
        for words in (["x"] * (NEEDED[verb] - 1), ["x"] * (NEEDED[verb] - 1) + [":"]):
            answer = says(core, " ".join([verb, *words]))
            assert [line.split()[1:4:2] for line in answer] == [["461", verb]], answer


@pytest.mark.slow
def test_every_verb_is_in_a_transcript() -> None:
    verbs = {
        record.verb
        for path in TRANSCRIPTS
        for record in play_on_core(load(path)).records
        if record.direction == "C"
    }
    assert verbs >= set(VERBS)


# ── input in pieces, and recordings ──────────────────────────────────────────

DIALOGUE = (
    b"CAP LS 302\r\nNICK bot\nUSER bot 0 * :A bot\r\nCAP END\r\n\r\nJOIN #a,#b k\r\n"
    b"MODE #a +b x\r\nPRIVMSG #a,bot :caf\xe9\r\n" + b"y" * 600 + b"\r\nWHO\r\nNS IDENTIFY a b\n"
    b"PING \r\nPRIVMSG bot :last\r\n"
)


def answers(pieces: list[bytes]) -> bytes:
    core = Bench().core()
    answer = b""
    for piece in pieces:
        core.receive(piece)
        answer += drain(core)
    return answer


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_the_answer_is_the_same_for_input_in_pieces_of_equal_size(size: int) -> None:
    pieces = [DIALOGUE[at : at + size] for at in range(0, len(DIALOGUE), size)]
    assert answers(pieces) == answers([DIALOGUE])


@pytest.mark.slow
@given(st.lists(st.integers(1, 900), max_size=6))
def test_the_answer_is_the_same_for_input_in_pieces_of_any_sizes(ends: list[int]) -> None:
    cuts = [0, *sorted({min(end, len(DIALOGUE)) for end in ends}), len(DIALOGUE)]
    pieces = [DIALOGUE[start:end] for start, end in itertools.pairwise(cuts)]
    assert answers(pieces) == answers([DIALOGUE])


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_recording_plays_again_as_a_transcript(path: Path) -> None:
    script = load(path)
    if any(step.kind == "cue" for step in script.steps) or path.stem == "irc-flood":
        # A recording shows neither what the world did by itself, nor when lines came that waited.
        return
    lines = path.read_text("utf-8").splitlines()
    given = "\n".join(line.removeprefix("given: ") for line in lines if line.startswith("given: "))
    text = render(play_on_core(script).recording, script.title, given)
    assert play_on_core(parse(text)).irc.users is not None


# ── limits ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("size", "accepted"), [(512, True), (513, False)])
@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_line_has_at_most_512_bytes(size: int, accepted: bool, end: bytes) -> None:
    core = Bench().registered("bot")
    raw = b"PING :" + b"x" * (size - 8)
    answer = ask(core, raw + end + b"PING :after\r\n")
    assert (b" 417 bot :Input line was too long\r\n" in answer) is not accepted
    assert answer.endswith(b" :after\r\n")


@pytest.mark.parametrize(("size", "accepted"), [(4096, True), (4097, False)])
def test_tags_have_at_most_4096_bytes(size: int, accepted: bool) -> None:
    core = Bench().registered("bot")
    answer = ask(core, b"@a=" + b"x" * (size - 4) + b" PING 1\r\n")
    assert (b"417" not in answer) is accepted


def test_an_endless_line_is_refused_once_and_takes_no_memory() -> None:
    core = Bench().registered("bot")
    answer = b"".join(ask(core, b"x" * 5000) for _ in range(40))
    assert answer.count(b" 417 ") == 1
    assert len(core.buffer) < 10_000
    assert says(core, "", "PING 1") == [":irc.example.test PONG irc.example.test :1"]


def test_a_server_may_cut_lines_instead() -> None:
    core = Bench(cut=True).registered("bot")
    assert numerics(says(core, "PING :" + "x" * 700)) == ["PONG"]
    assert b"417" not in ask(core, b"y" * 9000)
    assert numerics(says(core, "z", "PING 1"))[-1] == "PONG"


def test_what_is_relayed_is_cut_at_512_bytes() -> None:
    bench = Bench()
    ann, bot = bench.registered("ann"), bench.registered("bot")
    says(ann, "PRIVMSG bot :" + "é" * 245)
    (line,) = hears(bot)
    assert 510 <= len(line.encode()) + 2 <= 512 and line.endswith("é")


def test_a_user_is_in_at_most_50_channels() -> None:
    core = Bench().registered("bot")
    for number in range(50):
        says(core, f"JOIN #{number}")
    assert numerics(says(core, "JOIN #more")) == ["405"]


def test_a_channel_has_at_most_100_masks() -> None:
    core = Bench().registered("bot")
    says(core, "JOIN #a")
    for number in range(100):
        says(core, f"MODE #a +{'beI'[number % 3]} {number}")
    assert numerics(says(core, "MODE #a +b more")) == ["478"]
    assert numerics(says(core, "MODE #a -b 0", "MODE #a +e more")) == ["MODE", "MODE"]


def test_only_six_modes_with_parameters_are_taken() -> None:
    core = Bench().registered("bot")
    says(core, "JOIN #a")
    assert says(core, "MODE #a +bbbbbbbm 1 2 3 4 5 6 7") == [
        ":bot!~bot@127.0.0.1 MODE #a +bbbbbbm 1!*@* 2!*@* 3!*@* 4!*@* 5!*@* 6!*@*"
    ]


def test_modes_that_do_not_fit_one_line_are_told_in_several() -> None:
    core = Bench().registered("bot")
    says(core, "JOIN #a")
    masks = [f"{number}{'x' * 77}" for number in range(6)]
    lines = says(core, f"MODE #a +bbbbbb {' '.join(masks)}")
    assert len(lines) == 2
    assert all(f"{mask}!*@*" in " ".join(lines) for mask in masks)


@pytest.mark.parametrize(("verb", "number"), [("ISON", 303), ("USERHOST", 302)])
def test_who_is_asked_about_is_named_whole_if_in_two_lines(verb: str, number: int) -> None:
    bench = Bench()
    nicks = [f"{'n' * 26}{number:02d}" for number in range(17)]
    cores = [bench.registered(nick) for nick in nicks]
    for nick in nicks:
        bench.world.irc.changes_host(nick, "h" * 63)
    for core in cores:
        hears(core)
    asked = nicks if verb == "ISON" else nicks[:5]
    lines = says(cores[0], f"{verb} {' '.join(asked)}")
    assert len(lines) == 2 and all(len(line) <= 510 for line in lines)
    named = " ".join(line.partition(" :")[2] for line in lines).split()
    assert [one.partition("=")[0] for one in named] == asked
    assert says(cores[0], f"{verb} nobody") == [f":irc.example.test {number} {nicks[0]} :"]


def test_a_silent_client_is_not_told_before_its_time() -> None:
    bench = Bench()
    core = bench.registered("bot")
    bench.passes(119)
    assert hears(core) == []
    says(core, "PONG x")
    bench.passes(119)
    assert hears(core) == []
    bench.passes(2)
    assert numerics([f"x {line}" for line in hears(core)]) == ["PING"]
    bench.passes(59)
    assert not core.closed
    bench.passes(2)
    assert core.closed and bench.irc.users == []


def test_a_crowded_server_sends_an_error() -> None:
    core = Bench().world.core("irc")
    core.opened(Facts(1, crowded=True))
    assert drain(core).startswith(b"ERROR :Closing link: (unknown@127.0.0.1)") and core.closed


# ── faults ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        ('PRIVMSG reply "404 #a :No"', ":irc.example.test 404 bot #a :No\r\n"),
        ("PRIVMSG user bot hang up before", ""),
        ("PRIVMSG user alice hang up before", ""),
        ('PRIVMSG arg "bot :*" reply "ERROR :out"', "ERROR :out\r\n"),
        ("PRIVMSG lost stored", ""),
        ("PRIVMSG after 5", ":bot!"),
    ],
)
def test_a_fault_strikes_at_a_command_of_a_nick_or_an_account(fault: str, answer: str) -> None:
    bench = Bench()
    core = bench.registered("bot")
    says(core, "NS IDENTIFY alice secret")
    bench.world.faults.arm(f"irc {fault}")
    assert ask(core, b"PRIVMSG bot :hello\r\n").decode() == answer
    assert len(bench.irc.messages) == (fault in ("PRIVMSG lost stored", "PRIVMSG after 5"))
    assert not bench.world.faults.unmet()


@pytest.mark.parametrize("name", ["batch", "PLAIN", "EXCEPTS"])
def test_what_is_off_is_not_announced(name: str) -> None:
    for bench in (Bench(), Bench()):
        bench.world.faults.arm(f"irc {name} off")
        text = "\n".join(says(bench.core(), "CAP LS 302", "NICK a", "USER a 0 * :A", "CAP END"))
        assert name not in text and "chghost" in text and "INVEX" in text


def test_without_mechanisms_there_is_no_sasl() -> None:
    with World({"servers": ["irc"], "off": {"irc": ["PLAIN", "SCRAM-SHA-256"]}}) as world:
        core = world.core("irc")
        core.opened(Facts(1))
        assert b"sasl" not in ask(core, b"CAP LS 302\r\n")


# ── arbitrary input ──────────────────────────────────────────────────────────

WORDS = "#a|,| |:|\r\n|\n|bot|@label=x |+o|-k|ann|*|\0|\x01|!|PLAIN|=|+|302|sasl".split("|")
PIECE = st.sampled_from([*(f"{verb.replace('_', ' ')} " for verb in VERBS), *WORDS]).map(str.encode)
INPUT = st.lists(PIECE | st.binary(max_size=6), max_size=40).map(b"".join)


@given(INPUT, st.booleans())
def test_arbitrary_bytes_raise_no_exception_and_do_not_affect_other_clients(
    data: bytes, registered: bool
) -> None:
    bench = Bench(oper=("bot:x",), flood=False)
    other = bench.registered("other")
    everything = ("labeled-response", "batch", "sasl", "echo-message", "message-tags")
    core = bench.registered("bot", *everything) if registered else bench.core()
    answer = ask(core, data.replace(b"KILL", b"").replace(b"\n", b"\r\n") + b"\r\n")
    for line in answer.split(b"\r\n")[:-1]:
        tags, space, rest = line.partition(b" ") if line.startswith(b"@") else (b"", b"", line)
        assert rest and len(rest) <= 510 and len(tags + space) <= 8191
        assert b"\r" not in rest and b"\n" not in rest and b"\0" not in rest
    drain(other)
    assert says(other, "PING 1") == [":irc.example.test PONG irc.example.test :1"]
    core.eof()
    assert bench.irc.users == ["other"]


def test_no_record_of_a_message_is_lost() -> None:
    bench = Bench()
    core = bench.registered("bot")
    says(core, "PRIVMSG bot :hello")
    kinds = [one.direction for one in bench.world.records if isinstance(one, Record)]
    assert kinds[-2:] == ["C", "S"]
