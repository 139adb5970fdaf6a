"""The core of the TOC server: its legality table, its limits, and arbitrary input."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.toc import Account, Aim, Policy, Toc
from fakes.toc.session import with_all_handlers
from fakes.transcripts.connections import OnCore
from fakes.transcripts.player import play, play_on_core
from fakes.transcripts.recorder import render
from fakes.transcripts.text import load, parse
from fakes.wire import Facts, Record, Runtime, Session, Want
from fakes.world import World
from tests.legality import failing, in_states
from tests.toc_raw import DATA, KEEP_ALIVE, SIGNOFF, SIGNON, Raw, long_code, roasted

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("toc-*.txt"))
STATES = ("FLAPON", "SIGNON", "LOGIN", "SIGNED", "ONLINE", "PAUSED")
NAMES = ("alice", "bob", "Ops Bot", "sysadmin")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0


class Bench:
    """Cores of one service without a shell: a test takes their output itself."""

    def __init__(self, policy: Policy | None = None, accounts: Iterable[str] = NAMES) -> None:
        self.clock = Clock()
        self.records: list[Record] = []
        numbers = iter(range(1 << 30))

        def token(length: int) -> str:
            return str(next(numbers)).zfill(length)

        self.runtime = Runtime(lambda: self.clock.now, token, record=self.records.append)
        self.aim = Aim([Account(name) for name in accounts], now=lambda: self.clock.now)
        self.policy = policy
        self._sessions = 0

    def core(self) -> Toc:
        core = Toc(self.runtime, self.aim, self.policy)
        self._sessions += 1
        core.opened(Facts(self._sessions))
        return core

    def signed_on(self, raw: Raw) -> Toc:
        """A core whose client is online and has read everything so far."""
        core = self.core()
        core.receive(raw.opening() + raw.command("toc_init_done"))
        raw.feed(taken(core))
        return core


def taken(core: Session) -> bytes:
    """Take all output of a core."""
    output = b""
    while write := core.take():
        output += write
    core.written()
    return output


# ── the legality table ───────────────────────────────────────────────────────


def in_state(bench: Bench, state: str) -> tuple[Toc, Raw]:
    """A core in the given state, and the client that goes on from there."""
    core, raw = bench.core(), Raw("alice", form="toc2_signon")
    if state == "FLAPON":
        return core, raw
    opening = raw.opening()
    if state == "SIGNON":
        core.receive(opening[:10])
        raw = Raw("alice", form="toc2_signon")
    elif state == "LOGIN":
        core.receive(opening[: 10 + 6 + 8 + len("alice")])
        raw = Raw("alice", form="toc2_signon", start=1)
    else:
        core.receive(opening)
        if state != "SIGNED":
            core.receive(raw.command("toc_init_done"))
        if state == "PAUSED":
            bench.aim.pauses("alice", 10)
    assert core.state == state
    taken(core)
    return core, raw


SIGN_ON = f"login.example.test 5190 alice {roasted('secret')} english raw"
CODE = long_code("alice", "secret")
ARGUMENTS = {
    "toc_signon": SIGN_ON,
    "toc2_signon": f"{SIGN_ON} 160 {CODE}",
    "toc2_login": f'{SIGN_ON} 160 US "" "" 3 0 30303 -kentucky -utf8 {CODE}',
    "toc_set_config": "{m 1\n}",
    "toc_set_idle": "60",
    "toc_set_info": "hello",
    "toc_set_dir": '"a:b"',
    "toc_format_nickname": "Alice",
    "toc_change_passwd": "secret other",
    "toc_send_im": "bob hello",
    "toc_get_status": "bob",
    "toc_get_info": "bob",
    "toc_get_dir": "bob",
    "toc_evil": "bob norm",
    "toc_chat_join": "4 lobby",
    "toc_chat_accept": "1",
    "toc_chat_send": "1 hello",
    "toc_chat_whisper": "1 bob hello",
    "toc_chat_invite": "1 hello bob",
    "toc_chat_leave": "1",
    "toc_chat_send_enc": "1 A hello",
    "toc_chat_whisper_enc": "1 A bob hello",
    "toc2_send_im_enc": "bob F U en hello",
    "toc2_client_event": "bob 2",
    "toc2_new_group": "friends",
    "toc2_del_group": "friends",
    "toc2_new_buddies": "{g:friends\nb:bob\n}",
    "toc2_remove_buddy": "bob friends",
    "toc2_set_pdmode": "1",
}


def simplest_form(raw: Raw, verb: str) -> bytes:
    """The simplest legal form of a verb."""
    if verb == "FLAPON":
        return b"FLAPON\r\n\r\n"
    if verb == "SIGNON":
        return raw.frame(SIGNON, b"\0\0\0\1\0\1\0\5alice")
    if verb in ("SIGNOFF", "KEEP_ALIVE"):
        return raw.frame(SIGNOFF if verb == "SIGNOFF" else KEEP_ALIVE)
    return raw.command(f"{verb} {ARGUMENTS.get(verb, '')}")


def refusal(verb: str, state: str) -> str:
    """How the specification refuses a verb in a state in which it is not legal."""
    if state in ("FLAPON", "SIGNON", "LOGIN"):
        return "dropped"  # commands before the sign-on
    if verb == "FLAPON":
        return "dropped"  # it is not a frame
    if state == "PAUSED":
        return "ignored"  # everything after PAUSE
    if verb in ("SIGNON", "toc_signon", "toc2_signon", "toc2_login", "toc_init_done"):
        return "dropped"  # a second sign-on, a second toc_init_done
    return "ignored"  # not online yet


@pytest.mark.parametrize("verb", Toc.verbs)
def test_a_verb_in_every_state(verb: str) -> None:
    assert failing(check_verb, in_states({verb: Toc.verbs[verb]}, STATES)) == []


def check_verb(verb: str, state: str, legal: bool) -> None:
    bench = Bench()
    core, raw = in_state(bench, state)
    before = len(bench.records)
    core.receive(simplest_form(raw, verb))
    if state == "FLAPON" and verb != "FLAPON":  # input that does not begin with FLAPON is HTTP
        assert core.wants is Want.HAND_OVER
        return
    record = next(record for record in bench.records[before:] if record.direction == "C")
    if legal:
        assert record.verb == verb
        assert record.section
        assert not {"ignored", "dropped"} & set(record.fields)
        assert core.closed == (verb == "SIGNOFF")
    else:
        assert refusal(verb, state) in record.fields, record
        assert core.closed == (refusal(verb, state) == "dropped")
        assert not taken(core)


def test_a_verb_without_a_handler_is_named_when_the_class_is_created() -> None:
    with pytest.raises(TypeError, match="Longer: toc_ping: the verb is in the legality table but"):

        @with_all_handlers
        class Longer(Toc):
            verbs: ClassVar = {**Toc.verbs, "toc_ping": Toc.verbs["toc_send_im"]}


def test_a_handler_without_a_row_is_named_when_the_class_is_created() -> None:
    with pytest.raises(TypeError, match="Shorter: toc_evil: the verb has a handler but no row"):

        @with_all_handlers
        class Shorter(Toc):
            verbs: ClassVar = {verb: row for verb, row in Toc.verbs.items() if verb != "toc_evil"}


# ── what the transcripts must show ───────────────────────────────────────────


def outcomes() -> tuple[set[str], set[str]]:
    """The verbs that a transcript shows in their legal course, and those it shows refused.

    The legal course means: no fault strikes, and no ERROR follows in the same session.
    """
    succeeded: set[str] = set()
    refused: set[str] = set()
    for path in TRANSCRIPTS:
        world = play_on_core(load(path))
        records = [
            record
            for record in world.records
            if record.protocol == "toc" and record.direction in "CS"
        ]
        for at, record in enumerate(records):
            if record.direction != "C" or not record.verb or record.fault:
                continue
            later = (after for after in records[at + 1 :] if after.session == record.session)
            answer = next(later, None)
            if {"dropped", "ignored"} & set(record.fields):
                refused.add(record.verb)
            elif answer is None or not answer.shown().startswith(b"ERROR"):
                succeeded.add(record.verb)
    return succeeded, refused


def test_every_verb_occurs_in_a_transcript_in_its_legal_course_and_refused() -> None:
    succeeded, refused = outcomes()
    # This server cannot search the directory, so it answers every search with an error.
    assert set(Toc.verbs) - succeeded == {"toc_dir_search"}
    # FLAPON is not a frame; after the first one the server sees only bytes.
    assert set(Toc.verbs) - refused == {"FLAPON"}


MESSAGES = """
    SIGN_ON CONFIG CONFIG2 NICK IM_IN IM_IN2 IM_IN_ENC2 UPDATE_BUDDY UPDATE_BUDDY2 BUDDY_CAPS2 ERROR
    EVILED CHAT_JOIN CHAT_IN CHAT_IN_ENC CHAT_UPDATE_BUDDY CHAT_INVITE CHAT_LEFT GOTO_URL DIR_STATUS
    ADMIN_NICK_STATUS ADMIN_PASSWD_STATUS PAUSE RVOUS_PROPOSE INSERTED2 DELETED2 UPDATED2
    NEW_BUDDY_REPLY2 CLIENT_EVENT2 BART2
""".split()


def test_every_message_occurs_in_a_transcript() -> None:
    texts = "\n".join(path.read_text("utf-8") for path in TRANSCRIPTS)
    found = set(re.findall(r"^(?:\w+ )?S: ([A-Z_0-9]+)(?::|$)", texts, re.M))
    assert set(MESSAGES) - found == set()


# ── input in pieces ──────────────────────────────────────────────────────────

Pieces = Callable[[bytes], Iterable[bytes]]


class Chopped(OnCore):
    """The player's connection to a bare core, which splits each write into pieces."""

    pieces: Pieces = staticmethod(lambda raw: [raw])

    def send(self, raw: bytes) -> None:
        for piece in self.pieces(raw):
            super().send(piece)


def whole(raw: bytes) -> Iterable[bytes]:
    return [raw]


def in_pieces_of(size: int) -> Pieces:
    return lambda raw: (raw[at : at + size] for at in range(0, len(raw), size))


def recording_of(path: Path, pieces: Pieces) -> str:
    """The recording of a transcript that is played in pieces."""
    script = load(path)
    world = World(script.config(), rehearsal=True, faults=script.faults)
    wires: list[Chopped] = []

    def connect(listener: str, number: int) -> Chopped:
        wires.append(Chopped(world.core(listener), number))
        wires[-1].pieces = pieces
        return wires[-1]

    def tick(seconds: float) -> None:
        world.clock.skip(seconds)
        for wire in wires:
            wire.tick()

    play(script, connect, world, tick)
    return render(world.recording)


@pytest.mark.slow
@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_recording_is_the_same_for_input_in_pieces_of_equal_size(path: Path) -> None:
    expected = recording_of(path, whole)
    for size in (1, 2, 3, 7, 11):
        assert recording_of(path, in_pieces_of(size)) == expected


@given(st.lists(st.integers(1, 40), min_size=1))
def test_the_recording_is_the_same_for_input_in_pieces_of_any_sizes(sizes: list[int]) -> None:
    def pieces(raw: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(raw):
            for size in sizes:
                yield raw[at : at + size]
                at += size

    path = next(path for path in TRANSCRIPTS if path.stem == "toc-info")
    assert recording_of(path, pieces) == recording_of(path, whole)


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_recording_plays_again_as_a_transcript(path: Path) -> None:
    script = load(path)
    if any(step.kind == "cue" for step in script.steps):
        return  # a recording of the wire does not show what the world did by itself
    lines = path.read_text("utf-8").splitlines()
    given = "".join(f"{line}\n" for line in lines if line.startswith("given: "))
    recorded = recording_of(path, whole)
    again = parse(recorded.replace("\n\n", f"\n{given}\n", 1))
    assert render(play_on_core(again).recording) == recorded


# ── limits ───────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("length", "nuls", "accepted"),
    [(2048, 1, True), (2048, 300, True), (2049, 1, False), (2049, 0, False)],
)
def test_a_command_has_at_most_2048_bytes_without_its_nul(
    length: int, nuls: int, accepted: bool
) -> None:
    bench, raw = Bench(), Raw("alice")
    core = bench.signed_on(raw)
    command = b"toc_send_im alice "
    text = "x" * (length - len(command))
    core.receive(raw.frame(DATA, command + text.encode() + b"\0" * nuls))
    assert core.closed is not accepted
    if accepted:
        assert raw.feed(taken(core)) == [f"IM_IN:alice:F:{text}"]


def test_the_text_of_a_fault_must_fit_one_message() -> None:
    bench, raw = Bench(), Raw("alice")
    core = bench.signed_on(raw)
    core.scripted_reply("x" * 8185)
    assert len(taken(core)) == 6 + 8185
    with pytest.raises(ValueError, match="has 8186 bytes; a message of the server has at most"):
        core.scripted_reply("x" * 8186)


def test_a_sign_on_to_a_crowded_server_is_answered_with_981() -> None:
    bench, raw = Bench(), Raw("alice")
    core = Toc(bench.runtime, bench.aim)
    core.opened(Facts(1, crowded=True))
    core.receive(raw.opening())
    assert raw.feed(taken(core)) == ["ERROR:981"]
    assert core.closed


@pytest.mark.parametrize(("one_frame_per_write", "writes"), [(True, 4), (False, 1)])
def test_each_frame_is_one_write_unless_the_policy_joins_them(
    one_frame_per_write: bool, writes: int
) -> None:
    raw = Raw("alice")
    core = Bench(Policy(one_frame_per_write=one_frame_per_write)).core()
    core.receive(raw.opening())
    found = []
    while write := core.take():
        found.append(write)
    assert len(found) == writes
    raw.feed(b"".join(found))


# ── sequence numbers ─────────────────────────────────────────────────────────


@pytest.mark.parametrize("start", [0, 1, 65534, 65535])
def test_the_numbers_of_the_client_may_begin_anywhere_and_wrap(start: int) -> None:
    bench, raw = Bench(), Raw("alice", start=start)
    core = bench.signed_on(raw)
    core.receive(raw.frame(KEEP_ALIVE) + raw.command("toc_get_status alice"))
    assert raw.feed(taken(core))[-1].startswith("UPDATE_BUDDY:alice:T")


@pytest.mark.parametrize("step", [0, 2, 3, 65535])
@pytest.mark.parametrize("strict", [True, False])
def test_a_gap_drops_the_connection_unless_the_policy_is_lenient(step: int, strict: bool) -> None:
    bench, raw = Bench(Policy(sequence=strict)), Raw("alice")
    core = bench.signed_on(raw)
    raw.skip(step - 1)
    core.receive(raw.command("toc_get_status alice"))
    fields = bench.records[-2].fields
    assert core.closed is strict
    assert fields["step"] == step
    if strict:
        assert fields["dropped"] == f"the sequence number is {step} further, not 1"
    else:
        assert raw.feed(taken(core))[-1].startswith("UPDATE_BUDDY")


def test_the_numbers_of_the_server_wrap_after_65535() -> None:
    bench, raw = Bench(), Raw("alice")
    bench.runtime = Runtime(lambda: 0.0, lambda length: "1eke")  # 65,534 in base 36
    core = bench.core()
    core.receive(raw.opening())
    output = taken(core)
    assert output[2:4] == b"\xff\xff"
    assert output[12:14] == b"\0\0"
    assert len(raw.feed(output)) == 3


# ── arbitrary input ──────────────────────────────────────────────────────────


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_arbitrary_bytes_raise_no_exception(pieces: list[bytes]) -> None:
    core: Session = Bench().core()
    for piece in pieces:
        core.receive(piece)
        if core.wants is Want.HAND_OVER:
            core = core.hand_over()
    core.eof()
    assert core.closed


VERBS = [verb for verb in Toc.verbs if verb.startswith("toc")]
LIKELY = [*"alice bob 1 4 lobby norm F U en auto -1 ²".split(), '""', "{g:a\nb:b\n}"]
WORDS = st.lists(
    st.one_of(st.sampled_from(LIKELY), st.text(st.characters(max_codepoint=255), max_size=20)),
    max_size=6,
)
KINDS = st.sampled_from([DATA, DATA, DATA, DATA, KEEP_ALIVE, 3])  # 3 is an ERROR frame


@given(
    st.sampled_from(["toc_signon", "toc2_signon", "toc2_login"]),
    st.lists(st.tuples(st.sampled_from(VERBS), WORDS, KINDS), max_size=25),
)
def test_arbitrary_commands_raise_no_exception_and_do_not_affect_other_clients(
    form: str, commands: list[tuple[str, list[str], int]]
) -> None:
    bench = Bench()
    watcher = Raw("bob", form="toc_signon")
    watching = bench.signed_on(watcher)
    raw = Raw("alice", form=form)
    core = bench.signed_on(raw)
    for verb, words, kind in commands:
        if core.closed:
            raw = Raw("alice", form=form)
            raw.password = next(iter(bench.aim.known)).password  # it may have been changed
            core = bench.signed_on(raw)
        core.receive(raw.frame(kind, " ".join([verb, *words]).encode("latin-1") + b"\0"))
        raw.feed(taken(core))
    watcher.feed(taken(watching))
    watching.receive(watcher.command("toc_get_status bob"))
    assert watcher.feed(taken(watching))[-1].startswith("UPDATE_BUDDY:bob:T")


def test_the_buffer_never_holds_more_than_one_frame() -> None:
    core = Bench().core()
    core.receive(b"FLAPON\r\n\r\n*\1\0\1\xff\xff")
    for _ in range(100):
        core.receive(b"x" * 4096)
    assert core.closed or len(core.buffer) <= 6 + 65535


@pytest.mark.parametrize(
    "text",
    [
        "toc_signon",
        "toc_send_im",
        "toc_send_im bob",
        'toc_send_im bob "open',
        "toc_send_im bob {open",
        "toc_set_idle -1",
        "toc_set_idle 1.5",
        "toc_set_idle",
        "toc_evil bob",
        "toc_evil bob maybe",
        "toc_chat_join 4",
        "toc_chat_invite 1 hello",
        "toc2_set_pdmode 0",
        "toc2_new_group",
        "toc2_client_event bob 3",
        "toc2_send_im_enc bob F U e:n hello",
        "toc2_remove_buddy bob",
        "toc_set_caps zzz",
        "toc_change_passwd secret",
        "hello",
        "",
        "Toc_send_im bob hello",
    ],
)
def test_a_malformed_command_drops_the_connection_and_changes_nothing(text: str) -> None:
    bench, raw, bob = Bench(), Raw("alice", form="toc2_signon"), Raw("bob")
    other = bench.signed_on(bob)
    core = bench.signed_on(raw)
    core.receive(raw.command(text))
    assert core.closed
    record = next(record for record in reversed(bench.records) if record.direction == "C")
    assert record.fields["dropped"]
    assert bench.aim.online == ["bob"]
    assert bob.feed(taken(other)) == []


# ── secrets ──────────────────────────────────────────────────────────────────

ROASTED = roasted("secret")


@pytest.mark.parametrize(
    "text",
    [
        f"toc_signon a 1 alice {ROASTED} english raw",
        f'  toc_signon a 1 "Al ice" "{ROASTED}" english raw',
        f"toc2_signon a 1 alice {ROASTED} english raw 160 {CODE}",
        f"toc2_login a 1 alice {ROASTED} english raw 160 US {CODE}",
        f"toc_signon a 1 alice {ROASTED} english {{raw",
        f"toc_signon\ta\t1\talice\t{ROASTED}",
        f"TOC_SIGNON a 1 alice {ROASTED}",
        f"toc_signon a 1 mallory {ROASTED} english raw",
        f"toc_signon a 1 alice {ROASTED} english " + "x" * 3000,
        "toc_change_passwd secret secret2",
        "toc_change_passwd secret {secret2",
    ],
)
@pytest.mark.parametrize("complete", [True, False])
def test_no_transcript_shows_a_secret(text: str, complete: bool) -> None:
    bench = Bench()
    signs_on = "sign" in text.lower() or "login" in text
    core, raw = in_state(bench, "LOGIN" if signs_on else "ONLINE")
    sent = raw.command(text)
    core.receive(sent if complete else sent[:-2])
    core.eof()
    rendered = render(bench.records)
    for secret in (ROASTED, ROASTED[2:], str(CODE), "secret"):
        assert secret not in rendered
    shown = b"".join(record.shown() for record in bench.records if record.direction != "S")
    assert b"secret" not in shown
    assert ROASTED[2:].encode() not in shown
