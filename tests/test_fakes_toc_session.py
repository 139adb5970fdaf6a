"""The core of the TOC server: its table, its limits, and whatever octets may come."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import transcript
from fakes.toc import Account, Aim, Policy, Toc, frames
from fakes.toc.lists import LIST_LIMIT
from fakes.toc.session import with_all_handlers
from fakes.wire import Facts, Kit, Record, Session, Want, in_states
from fakes.world import World
from tests.toc_raw import DATA, KEEP_ALIVE, SIGNOFF, SIGNON, Raw, long_code, roasted

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("toc-*.txt"))
STATES = ("FLAPON", "SIGNON", "LOGIN", "SIGNED", "ONLINE", "PAUSED")
NAMES = ("alice", "bob", "Ops Bot", "sysadmin")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0


class Bench:
    """Cores of one service, without a shell: what they said is taken by hand."""

    def __init__(self, policy: Policy | None = None, accounts: Iterable[str] = NAMES) -> None:
        self.clock = Clock()
        self.records: list[Record] = []
        numbers = iter(range(1 << 30))
        self.kit = Kit(lambda: self.clock.now, lambda length: str(next(numbers)).zfill(length), record=self.records.append)
        self.aim = Aim([Account(name) for name in accounts], now=lambda: self.clock.now)
        self.policy = policy
        self._sessions = 0

    def core(self) -> Toc:
        core = Toc(self.kit, self.aim, self.policy)
        self._sessions += 1
        core.opened(Facts(self._sessions))
        return core

    def signed_on(self, raw: Raw) -> Toc:
        core = self.core()
        core.receive(raw.opening() + raw.command("toc_init_done"))
        raw.feed(taken(core))
        return core


def taken(core: Session) -> bytes:
    said = b""
    while write := core.take():
        said += write
    core.written()
    return said


def in_state(bench: Bench, state: str) -> tuple[Toc, Raw]:
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
PLAIN_FORMS = {
    "toc_signon": SIGN_ON,
    "toc2_signon": f"{SIGN_ON} 160 {long_code('alice', 'secret')}",
    "toc2_login": f'{SIGN_ON} 160 US "" "" 3 0 30303 -kentucky -utf8 {long_code("alice", "secret")}',
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


def said_as(raw: Raw, verb: str) -> bytes:
    """The simplest legal form of each verb."""
    if verb == "FLAPON":
        return b"FLAPON\r\n\r\n"
    if verb == "SIGNON":
        return raw.frame(SIGNON, b"\0\0\0\1\0\1\0\5alice")
    if verb in ("SIGNOFF", "KEEP_ALIVE"):
        return raw.frame(SIGNOFF if verb == "SIGNOFF" else KEEP_ALIVE)
    return raw.command(f"{verb} {PLAIN_FORMS.get(verb, '')}")


def expected(verb: str, state: str) -> str:
    """What the specification says of a verb in a state where the table does not allow it."""
    if state in ("FLAPON", "SIGNON", "LOGIN"):
        return "dropped"  # commands before the sign-on
    if verb == "FLAPON":
        return "dropped"  # it is no frame
    if state == "PAUSED":
        return "ignored"  # whatever comes after PAUSE
    if verb in ("SIGNON", "toc_signon", "toc2_signon", "toc2_login", "toc_init_done"):
        return "dropped"  # a second sign-on, a second toc_init_done
    return "ignored"  # not on line yet


@pytest.mark.parametrize(("verb", "state", "legal"), list(in_states(Toc.verbs, STATES)))
def test_every_verb_in_every_state(verb: str, state: str, legal: bool) -> None:
    bench = Bench()
    core, raw = in_state(bench, state)
    before = len(bench.records)
    core.receive(said_as(raw, verb))
    if state == "FLAPON" and verb != "FLAPON":  # whatever does not begin with FLAP is HTTP here
        assert core.wants is Want.BECOME
        return
    record = next(one for one in bench.records[before:] if one.direction == "C")
    if legal:
        assert record.verb == verb
        assert record.section
        assert "ignored" not in record.fields
        assert "dropped" not in record.fields
        assert core.closed == (verb == "SIGNOFF")
    else:
        assert expected(verb, state) in record.fields, record
        assert core.closed == (expected(verb, state) == "dropped")
        assert not taken(core)


def test_every_verb_occurs_in_a_transcript_in_its_legal_course_and_refused() -> None:
    legal: set[str] = set()
    refused: set[str] = set()
    for path in TRANSCRIPTS:
        for record in transcript.play_on_core(transcript.load(path)).records:
            if record.protocol == "toc" and record.direction == "C" and record.verb:
                away = {"dropped", "ignored"} & set(record.fields)
                (refused if away else legal).add(record.verb)
    assert set(Toc.verbs) - legal == set()
    assert set(Toc.verbs) - refused == {"FLAPON"}  # which is no frame: anywhere else it is only octets


def test_a_verb_without_a_handler_is_named_when_the_class_is_created() -> None:
    with pytest.raises(TypeError, match="Longer: toc_ping: the verb is in the legality table but"):

        @with_all_handlers
        class Longer(Toc):
            verbs: ClassVar = {**Toc.verbs, "toc_ping": Toc.verbs["toc_send_im"]}


def test_a_handler_without_a_row_in_the_table_is_named_when_the_class_is_created() -> None:
    with pytest.raises(TypeError, match="Shorter: toc_evil: the verb has a handler but no row"):

        @with_all_handlers
        class Shorter(Toc):
            verbs: ClassVar = {k: row for k, row in Toc.verbs.items() if k != "toc_evil"}


MESSAGES = """
    SIGN_ON CONFIG CONFIG2 NICK IM_IN IM_IN2 IM_IN_ENC2 UPDATE_BUDDY UPDATE_BUDDY2 BUDDY_CAPS2 ERROR EVILED CHAT_JOIN
    CHAT_IN CHAT_IN_ENC CHAT_UPDATE_BUDDY CHAT_INVITE CHAT_LEFT GOTO_URL DIR_STATUS ADMIN_NICK_STATUS ADMIN_PASSWD_STATUS
    PAUSE RVOUS_PROPOSE INSERTED2 DELETED2 UPDATED2 NEW_BUDDY_REPLY2 CLIENT_EVENT2 BART2
""".split()


def test_every_message_occurs_in_a_transcript() -> None:
    texts = "\n".join(path.read_text("utf-8") for path in TRANSCRIPTS)
    said = set(re.findall(r"^(?:\w+ )?S: ([A-Z_0-9]+)(?::|$)", texts, re.M))
    assert set(MESSAGES) - said == set()


# ── chopping ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Chopped(transcript.OnCore):
    """The player's connection to a bare core, with each write in pieces."""

    pieces = staticmethod(lambda raw: iter([raw]))

    def send(self, raw: bytes) -> None:
        for piece in self.pieces(raw):
            super().send(piece)


def played(path: Path, pieces: Any) -> str:
    """The recording of a transcript, played in pieces."""
    script = transcript.load(path)
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

    transcript.play(script, connect, world, tick)
    return transcript.render(world.recording)


def in_pieces_of(size: int) -> Any:
    return lambda raw: (raw[at : at + size] for at in range(0, len(raw), size))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_every_chopping_of_the_octets_gives_the_same_transcript(path: Path) -> None:
    whole = played(path, lambda raw: iter([raw]))
    for size in (1, 2, 3, 7, 11):
        assert played(path, in_pieces_of(size)) == whole


@given(st.lists(st.integers(1, 40), min_size=1))
def test_any_chopping_does(sizes: list[int]) -> None:
    def pieces(raw: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(raw):
            for size in sizes:
                yield raw[at : at + size]
                at += size

    path = next(path for path in TRANSCRIPTS if path.stem == "toc-info")
    assert played(path, pieces) == played(path, lambda raw: iter([raw]))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_a_recording_is_a_transcript_that_plays_again(path: Path) -> None:
    script = transcript.load(path)
    if any(step.kind == "cue" for step in script.steps):
        return  # what the world does of itself is no part of a recording of the wire
    given = [line.removeprefix("given: ") for line in path.read_text("utf-8").splitlines() if line.startswith("given: ")]
    recorded = played(path, lambda raw: iter([raw]))
    again = transcript.parse(recorded.replace("\n\n", "\n" + "".join(f"given: {line}\n" for line in given) + "\n", 1))
    assert transcript.render(transcript.play_on_core(again).recording) == recorded


# ── limits ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("length", "nuls", "stays"), [(2048, 1, True), (2048, 300, True), (2049, 1, False), (2049, 0, False)]
)
def test_a_command_has_2048_octets_without_its_nul(length: int, nuls: int, stays: bool) -> None:
    bench, raw = Bench(), Raw("alice")
    core = bench.signed_on(raw)
    command = b"toc_send_im alice "
    core.receive(raw.frame(DATA, command + b"x" * (length - len(command)) + b"\0" * nuls))
    assert core.closed is not stays
    if stays:
        assert raw.feed(taken(core)) == ["IM_IN:alice:F:" + "x" * (length - len(command))]


def test_a_room_full_of_people_is_told_in_messages_below_8185_octets() -> None:
    names = [f"{n:04}" + "x" * 44 for n in range(400)]
    bench = Bench(accounts=names)
    clients = [(raw, bench.signed_on(raw)) for raw in map(Raw, names)]
    for raw, core in clients:
        core.receive(raw.command("toc_chat_join 4 lobby"))
    raw, core = clients[-1]
    told = [message.split(":")[3:] for message in raw.feed(taken(core)) if message.startswith("CHAT_UPDATE_BUDDY")]
    assert len(told) > 1
    assert [name for names in told for name in names] == names


def test_a_list_that_would_no_longer_fit_one_message_is_refused_with_931() -> None:
    bench, raw = Bench(), Raw("alice", form="toc2_signon")
    core = bench.signed_on(raw)
    for n in range(400):
        core.receive(raw.command(f"toc2_new_buddies {{g:g{n}\nb:b{n:040}\n}}"))
    messages = raw.feed(taken(core))
    assert any(message.startswith("ERROR:931") for message in messages)
    for n in range(400):
        core.receive(raw.command(f"toc2_add_permit p{n:040}"))
        core.receive(raw.command(f"toc2_add_deny d{n:040}"))
    core.receive(raw.command("toc2_set_pdmode 1"))
    core.eof()
    again = Raw("alice", form="toc2_signon")
    bench.signed_on(again)  # the referee looks at the length
    assert len(again.messages[2]) <= frames.MESSAGE_LIMIT
    assert again.messages[2].count("\nb:") + 1 > 100


def test_a_name_of_any_form_is_longer_than_48_octets_never() -> None:
    bench, raw = Bench(), Raw("alice")
    core = bench.signed_on(raw)
    core.receive(raw.command("toc_format_nickname " + " ".join("alice") + " " * 60))
    core.receive(raw.command(f'toc_format_nickname "{"alice".ljust(48)}"'))
    core.receive(raw.command(f'toc_format_nickname "{"alice".ljust(49)}"'))
    assert raw.feed(taken(core))[-3:] == ["ADMIN_NICK_STATUS:0", "NICK:" + "alice".ljust(48), "ERROR:911"]


def test_what_one_session_may_fill_is_bounded() -> None:
    bench, raw = Bench(), Raw("alice")
    core = bench.signed_on(raw)
    for n in range(300):
        core.receive(raw.command("toc_add_buddy " + " ".join(f"buddy{n}x{m}" for m in range(100))))
        core.receive(raw.command("toc_add_deny " + " ".join(f"buddy{n}x{m}" for m in range(100))))
        core.receive(raw.command(f"toc_chat_join 4 room{n}"))
    assert len(core.presence.watched) == LIST_LIMIT
    assert len(core.presence.permissions.denied) == LIST_LIMIT
    assert len(core.presence.rooms) == 100
    messages = raw.feed(taken(core))
    assert "ERROR:950:room100" in messages
    core.eof()
    assert bench.aim.rooms.find("1") is None


def test_who_is_one_too_many_is_told_981() -> None:
    bench, raw = Bench(), Raw("alice")
    core = Toc(bench.kit, bench.aim)
    core.opened(Facts(1, crowded=True))
    core.receive(raw.opening())
    assert raw.feed(taken(core)) == ["ERROR:981"]
    assert core.closed


def test_each_frame_is_one_write_unless_the_policy_joins_them() -> None:
    for alone in (True, False):
        bench, raw = Bench(Policy(one_frame_per_write=alone)), Raw("alice")
        core = bench.core()
        core.receive(raw.opening())
        writes = []
        while write := core.take():
            writes.append(write)
        assert len(writes) == (4 if alone else 1)
        raw.feed(b"".join(writes))


# ── sequence numbers ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("start", [0, 1, 65534, 65535])
def test_the_client_s_numbers_may_begin_anywhere_and_wrap(start: int) -> None:
    bench, raw = Bench(), Raw("alice", start=start)
    core = bench.signed_on(raw)
    core.receive(raw.frame(KEEP_ALIVE) + raw.command("toc_get_status alice"))
    assert raw.feed(taken(core))[-1].startswith("UPDATE_BUDDY:alice:T")


@pytest.mark.parametrize("step", [0, 2, 3, 65535])
@pytest.mark.parametrize("strict", [True, False])
def test_a_gap_drops_the_connection_unless_the_policy_is_lenient(step: int, strict: bool) -> None:
    bench, raw = Bench(Policy(sequence=strict)), Raw("alice")
    core = bench.signed_on(raw)
    raw._out += step - 1
    core.receive(raw.command("toc_get_status alice"))
    assert core.closed is strict
    if strict:
        assert bench.records[-2].fields["dropped"] == f"the sequence number is {step} further, not 1"
    else:
        assert raw.feed(taken(core))[-1].startswith("UPDATE_BUDDY")
        assert bench.records[-2].fields["step"] == step


def test_the_server_s_numbers_wrap_after_65535() -> None:
    bench, raw = Bench(), Raw("alice")
    bench.kit = Kit(lambda: 0.0, lambda length: "1eke")  # 65,534 in base 36
    core = bench.core()
    core.receive(raw.opening())
    said = taken(core)
    assert said[2:4] == b"\xff\xff"
    assert said[12:14] == b"\0\0"
    assert len(raw.feed(said)) == 3


# ── whatever comes ───────────────────────────────────────────────────────────────────────────────────────────────


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_any_octets_at_all_raise_nothing(pieces: list[bytes]) -> None:
    core: Session = Bench().core()
    for piece in pieces:
        core.receive(piece)
        if core.wants is Want.BECOME:
            core = core.succeeded()
    core.eof()
    assert core.closed


VERBS = [verb for verb in Toc.verbs if verb.startswith("toc")]
ARGUMENTS = st.lists(
    st.one_of(
        st.sampled_from(
            ["alice", "bob", "1", "4", '""', "lobby", "norm", "F", "U", "en", "{g:a\nb:b\n}", "auto", "-1", "²"]
        ),
        st.text(st.characters(max_codepoint=255), max_size=20),
    ),
    max_size=6,
)


@given(
    st.sampled_from(["toc_signon", "toc2_signon", "toc2_login"]),
    st.lists(st.tuples(st.sampled_from(VERBS), ARGUMENTS, st.sampled_from([1, 1, 1, 1, 5, 2])), max_size=25),
)
def test_any_commands_at_all_raise_nothing_and_the_others_are_served_on(form: str, commands: list[Any]) -> None:
    bench = Bench()
    watcher = Raw("bob", form="toc_signon")
    served = bench.signed_on(watcher)
    raw = Raw("alice", form=form)
    core = bench.signed_on(raw)
    for verb, arguments, kind in commands:
        if core.closed:
            raw = Raw("alice", form=form)
            raw.password = next(iter(bench.aim.known)).password
            core = bench.signed_on(raw)
        text = " ".join([verb, *arguments]).encode("latin-1")
        core.receive(raw.frame(DATA if kind == 1 else kind, text + b"\0"))
        raw.feed(taken(core))
    watcher.feed(taken(served))
    served.receive(watcher.command("toc_get_status bob"))
    assert watcher.feed(taken(served))[-1].startswith("UPDATE_BUDDY:bob:T")


def test_half_a_frame_and_silence_holds_no_more_than_a_frame() -> None:
    core = Bench().core()
    core.receive(b"FLAPON\r\n\r\n*\1\0\1\xff\xff")
    for _ in range(100):
        core.receive(b"x" * 4096)
    assert core.closed or len(core._in) <= 6 + 65535


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
        "toc2_send_im_enc bob F Q en hello",
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
    record = next(one for one in reversed(bench.records) if one.direction == "C")
    assert record.fields["dropped"]
    assert bench.aim.online == ["bob"]
    assert bob.feed(taken(other)) == []


def test_a_client_of_toc_1_may_use_words_of_toc2_and_is_told_nothing_in_them() -> None:
    bench, raw, bob = Bench(), Raw("alice"), Raw("bob", form="toc2_signon")
    other, core = bench.signed_on(bob), bench.signed_on(raw)
    for text in (
        "toc2_new_buddies {g:friends\nb:bob\n}",
        "toc2_send_im bob hello",
        "toc2_set_pdmode 2",
        "toc2_add_deny bob",
    ):
        core.receive(raw.command(text))
    other.receive(bob.command("toc2_client_event alice 2"))
    assert raw.feed(taken(core)) == []
    assert bob.feed(taken(other)) == ["IM_IN2:alice:F:F:hello"]
    assert core.presence.account.lists.text == "m 1\ng friends\nb bob\n"


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "text",
    [
        f"toc_signon a 1 alice {roasted('secret')} english raw",
        f'  toc_signon a 1 "Al ice" "{roasted("secret")}" english raw',
        f"toc2_signon a 1 alice {roasted('secret')} english raw 160 {long_code('alice', 'secret')}",
        f"toc2_login a 1 alice {roasted('secret')} english raw 160 US {long_code('alice', 'secret')}",
        f"toc_signon a 1 alice {roasted('secret')} english {{raw",
        f"toc_signon\ta\t1\talice\t{roasted('secret')}",
        f"TOC_SIGNON a 1 alice {roasted('secret')}",
        f"toc_signon a 1 mallory {roasted('secret')} english raw",
        f"toc_signon a 1 alice {roasted('secret')} english " + "x" * 3000,
        "toc_change_passwd secret secret2",
        "toc_change_passwd secret {secret2",
    ],
)
def test_no_secret_is_shown(text: str) -> None:
    for piece in (1, 2):
        bench = Bench()
        core, raw = in_state(bench, "LOGIN" if "sign" in text.lower() or "login" in text else "ONLINE")
        sent = raw.command(text)
        core.receive(sent if piece == 1 else sent[:-2])
        core.eof()
        shown = transcript.render(bench.records)
        for secret in (roasted("secret"), roasted("secret")[2:], str(long_code("alice", "secret")), "secret"):
            assert secret not in shown
        said = b"".join(record.shown() for record in bench.records if record.direction != "S")
        assert b"secret" not in said
        assert roasted("secret")[2:].encode() not in said
