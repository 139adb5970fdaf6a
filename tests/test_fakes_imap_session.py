"""The IMAP core: every command in every state, any chopping, any bytes, and every fault."""

from __future__ import annotations

import base64
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.imap.base import LITERALS, LITERALS_BEFORE_LOGIN
from fakes.imap.commands import ARGUMENTS
from fakes.imap.policy import BRINGS, NEEDS
from fakes.imap.session import Imap
from fakes.transcripts.recorder import render
from fakes.wire import Facts, TlsFacts, Want
from fakes.world import World
from tests.bare_core import ask, drain, exchanged
from tests.imap_raw import ALICE, LOGIN, MAIL, Raw, imap_world, selected
from tests.legality import failing, in_states

# What a client sends to reach each state.
WAY_TO = {
    "NOT-AUTHENTICATED": b"",
    "AUTH": b"a AUTHENTICATE LOGIN\r\n",
    "AUTHENTICATED": LOGIN,
    "SELECTED": LOGIN + b"s SELECT INBOX\r\n",
    "IDLE": LOGIN + b"s SELECT INBOX\r\ni IDLE\r\n",
}
ARGUMENTS_OF = {
    "ID": "NIL",
    "AUTHENTICATE": "LOGIN",
    "LOGIN": "alice secret",
    "SELECT": "INBOX",
    "EXAMINE": "INBOX",
    "CREATE": "new",
    "DELETE": "Trash",
    "RENAME": "Trash Bin",
    "SUBSCRIBE": "INBOX",
    "UNSUBSCRIBE": "INBOX",
    "LIST": '"" *',
    "LSUB": '"" *',
    "STATUS": "INBOX (MESSAGES)",
    "APPEND": "INBOX {2+}\r\nhi",
    "ENABLE": "CONDSTORE",
    "GETQUOTA": '""',
    "GETQUOTAROOT": "INBOX",
    "SETQUOTA": '"" (STORAGE 1)',
    "UID_EXPUNGE": "1",
    "SEARCH": "ALL",
    "UID_SEARCH": "ALL",
    "FETCH": "1 FLAGS",
    "UID_FETCH": "1 FLAGS",
    "STORE": "1 +FLAGS \\Seen",
    "UID_STORE": "1 +FLAGS \\Seen",
    "COPY": "1 Trash",
    "UID_COPY": "1 Trash",
    "MOVE": "1 Trash",
    "UID_MOVE": "1 Trash",
    "SORT": "(DATE) UTF-8 ALL",
    "UID_SORT": "(DATE) UTF-8 ALL",
    "THREAD": "REFERENCES UTF-8 ALL",
    "UID_THREAD": "REFERENCES UTF-8 ALL",
}
COMMANDS = [verb for verb in Imap.verbs if verb.isupper() and verb != "DONE"]
# A session that does a bit of everything, unit by unit.
DIALOGUE = [
    b"a CAPABILITY\r\n",
    b"b AUTHENTICATE PLAIN\r\n",
    b"AGFsaWNlAHdyb25n\r\n",
    b"c LOGIN {5}\r\n",
    b'alice "secret"\r\n',
    b"d SELECT inbox\r\n",
    b"e UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (SUBJECT)])\r\n",
    b"f FETCH 1 BODY[]<0.9>\r\n",
    b"g BANANA {5+}\r\nhello\r\n",
    b"h APPEND Trash (\\Seen) {13}\r\n",
    b"Subject: \r\n\r\n",
    b"\r\n",
    b"i STORE 2 +FLAGS.SILENT (\\Deleted Work)\r\n",
    b"j IDLE\r\n",
    b"done\r\n",
    b"k COPY 1 {4+}\r\nSent\r\n",
    b"l SEARCH SUBJECT {3}\r\n",
    b"one NOT SEEN\r\n",
    b"m EXPUNGE\r\n",
    b'n LIST "" {1+}\r\n%\r\n',
    b"o LOGOUT\r\n",
]
STREAM = b"".join(DIALOGUE)


def line_of(verb: str) -> str:
    return f"{verb.replace('_', ' ')} {ARGUMENTS_OF.get(verb, '')}".strip()


# ── commands and states ──────────────────────────────────────────────────────


def test_every_command_has_a_handler_and_arguments() -> None:
    assert all(callable(getattr(Imap, f"do_{verb}")) for verb in COMMANDS)
    assert {verb.replace("_", " ") for verb in COMMANDS} <= ARGUMENTS.keys()


def test_every_state_of_the_table_is_tried() -> None:
    assert set(WAY_TO) == set(Imap.states.split())
    for state, way in WAY_TO.items():
        client = Raw(imap_world())
        client.send(way)
        assert client.session.state == state


@pytest.mark.parametrize("verb", COMMANDS)
def test_a_command_is_accepted_in_the_states_of_its_rule_and_in_no_other(verb: str) -> None:
    assert failing(check_command, in_states({verb: Imap.verbs[verb]}, WAY_TO)) == []


def check_command(verb: str, state: str, legal: bool) -> None:
    person = [{"address": ALICE, "quota": 100_000}]
    world = imap_world(tls="optional", person=person)
    world.mail.folder(ALICE).deliver(MAIL)
    client = Raw(world)
    client.send(WAY_TO[state])
    before = (client.session.user, world.mail.folders(ALICE), client.session.view)
    answer = client.ask(line_of(verb))
    if state in ("AUTH", "IDLE"):
        assert " BAD " in answer, "it is no command, but a response or DONE"
        return
    wrong_state = answer.endswith(
        ("t BAD Log in first", "t BAD You are logged in", "t BAD Select a mailbox first")
    )
    assert wrong_state != legal, f"{verb} in {state}: {answer!r}"
    if wrong_state:
        after = (client.session.user, world.mail.folders(ALICE), client.session.view)
        assert after == before, "a refused command changes nothing"
    else:
        assert answer.startswith("+ ") or "t OK" in answer or verb == "SETQUOTA", answer


@pytest.mark.parametrize(
    ("capability", "verb"), [(name, verb) for name, verbs in BRINGS.items() for verb in verbs]
)
def test_without_its_capability_a_command_is_unknown(capability: str, verb: str) -> None:
    client = Raw(imap_world(tls="optional", off={"imap": [capability]}))
    assert capability.encode() not in client.greeting.split()
    state = "NOT-AUTHENTICATED" if verb == "STARTTLS" else "SELECTED"
    client.send(WAY_TO[state])
    assert client.ask(line_of(verb)) == "t BAD Unknown command"


@pytest.mark.parametrize("capability", sorted(BRINGS))
def test_what_is_switched_off_is_not_listed(capability: str) -> None:
    for config in ({"off": {"imap": [capability]}}, {"fault": [f"imap {capability} off"]}):
        client = Raw(imap_world(tls="optional", **config))
        listed = client.ask("CAPABILITY").split() + client.send(LOGIN).decode().split()
        assert capability not in listed
        assert not {name for name, other in NEEDS.items() if other == capability} & {*listed}
    assert capability in Raw(imap_world(tls="optional")).greeting.decode().split() + (
        selected()[1].ask("CAPABILITY").split()
    )


# ── grammar ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"\r\n", b"* BAD"),
        (b"*\r\n", b"* BAD"),
        (b"a+ NOOP\r\n", b"* BAD"),
        (b" NOOP\r\n", b"* BAD"),
        (b"a\r\n", b"a BAD"),
        (b"a  NOOP\r\n", b"a BAD"),
        (b"a NOOP \r\n", b"a BAD"),
        (b"a NOOP x\r\n", b"a BAD"),
        (b"a noop\r\n", b"a OK"),
        (b"a] NoOp\r\n", b"a] OK"),
        (b"a UID\r\n", b"a BAD"),
        (b"a UID NOOP\r\n", b"a BAD"),
        (b"a UID BANANA\r\n", b"a BAD"),
        (b"a .\r\n", b"a BAD"),
        (b"a DONE\r\n", b"a BAD Unknown"),
        (b"a UID_FETCH 1 UID\r\n", b"a BAD Unknown"),
        (b"a \xff\r\n", b"a BAD"),
        (b"a NOOP\nb NOOP\r\n", b"a BAD"),
        (b"a LOGIN alice  secret\r\n", b"a BAD"),
        (b"a LIST (((((( *\r\n", b"a BAD"),
        (b"a SELECT " + b"(" * 9999 + b"\r\n", b"a BAD"),
        (b"a SELECT " + b"x" * 70_000 + b"\r\n", b"a BAD"),
    ],
)
def test_what_is_not_in_the_grammar_is_bad_and_the_session_goes_on(
    line: bytes, answer: bytes
) -> None:
    _, client = selected()
    found = client.send(line)
    assert found.startswith(answer) and found.count(b"\r\n") == 1 and len(found.split()) > 2
    assert client.status("NOOP") == "OK"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"t SELECT {65537}\r\n", b"t BAD [TOOBIG]"),
        (b"t APPEND INBOX {999999999}\r\n", b"t NO [TOOBIG]"),
        (b"t SELECT " + b"x" * 1_000_000 + b"\r\n", b"t BAD Line too long"),
        (b"t STATUS &AOk (MESSAGES)\r\n", b"t NO [CANNOT]"),
        (b"t CREATE &!!-\r\n", b"t NO [CANNOT]"),
        (b"t FETCH 1 (FLAGS\r\n", b"t BAD "),
        (b"t SEARCH ((ALL)\r\n", b"t BAD "),
        (b't SELECT "\xc3\xa9"\r\n', b"t BAD 8-bit data"),
        (b"t EXPUNGE\r\n", b"t NO "),
    ],
)
def test_bad_input_is_answered_and_both_this_and_other_sessions_are_served(
    line: bytes, answer: bytes
) -> None:
    world, client = selected()
    other = Raw(world, 2, select="INBOX")
    client.ask("EXAMINE INBOX")
    assert client.send(line).startswith(answer)
    assert other.status("STORE 1 +FLAGS (\\Flagged)") == "OK"
    assert client.status("SELECT INBOX") == "OK [READ-WRITE]"
    assert "\\Flagged" in client.ask("FETCH 1 FLAGS")


def test_too_many_bad_commands_in_a_row_end_the_session() -> None:
    _, client = selected()
    for _ in range(19):
        assert client.status("BANANA") == "BAD"
    assert client.status("NOOP") == "OK"
    for _ in range(19):
        assert client.status("BANANA") == "BAD"
    lines = client.send(b"t BANANA\r\n").split(b"\r\n")
    assert lines[0].startswith(b"t BAD") and lines[1].startswith(b"* BYE")
    assert client.session.closed
    _, patient = selected(imap={"bad_commands": 0})
    assert all(patient.status("BANANA") == "BAD" for _ in range(50))


# ── literals ─────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"a BANANA {5}\r\n", b"a BAD Unknown command\r\n"),
        (b"a UID_FETCH {5}\r\n", b"a BAD Unknown command\r\n"),
        (b"a LOGIN {5}\r\n", b"a BAD You are logged in\r\n"),
        (b"a APPEND none {5}\r\n", b"a NO [TRYCREATE] No such mailbox: none\r\n"),
        (b"a APPEND INBOX (\\Recent) {5}\r\n", b"a BAD "),
        (b'a APPEND INBOX "1-Jan-2026" {5}\r\n', b"a BAD "),
        (b"a APPEND INBOX {0}\r\n", b"a NO The message is empty\r\n"),
        (b"a APPEND INBOX {1001}\r\n", b"a NO [TOOBIG] The message is too big\r\n"),
        (b"a APPEND INBOX {900}\r\n", b"a NO [OVERQUOTA] Not enough room\r\n"),
        (b"a SELECT {65537}\r\n", b"a BAD [TOOBIG] The literal is too big\r\n"),
        (b"a SELECT {99999999999999999999}\r\n", b"a BAD [TOOBIG] The literal is too big\r\n"),
    ],
)
def test_a_literal_that_is_refused_is_never_asked_for(line: bytes, answer: bytes) -> None:
    person = [{"address": ALICE, "quota": 950}]
    _, client = selected(imap={"size": 1000}, person=person)
    found = client.send(line)
    assert found.startswith(answer) and found.endswith(b"\r\n")
    assert client.send(b"b NOOP\r\n") == b"b OK Done\r\n"


@pytest.mark.parametrize("line", [b"a BANANA", b"a APPEND none", b"a APPEND INBOX (\\Recent)"])
def test_a_refused_literal_that_comes_anyway_is_no_command(line: bytes) -> None:
    _, client = selected()
    found = client.send(line + b" {10+}\r\nx LOGOUT\r\n\r\nb NOOP\r\n")
    answers = found.split(b"\r\n")
    assert answers[0][:4] in (b"a BA", b"a NO") and answers[1:] == [b"b OK Done", b""]


def test_literals_together_have_a_limit_which_is_lower_before_the_login() -> None:
    world = imap_world()
    client = Raw(world)
    assert client.send(b"a LOGIN {%d}\r\n" % (LITERALS_BEFORE_LOGIN + 1)).startswith(b"a BAD [TOOB")
    client.send(LOGIN)
    assert client.send(b"a SELECT {%d}\r\n" % LITERALS).startswith(b"+ ")
    client.send(b"x" * LITERALS + b"\r\n")
    client.send(b"a RENAME {%d}\r\n" % LITERALS + b"x" * LITERALS)
    assert client.send(b" {1}\r\n") == b"a BAD [TOOBIG] The literal is too big\r\n"


def test_literals_without_continuation_can_be_limited_or_switched_off() -> None:
    client = Raw(imap_world(off={"imap": ["LITERAL+"]}))
    client.send(LOGIN)
    found = client.send(b"a SELECT {5+}\r\nINBOX\r\nb NOOP\r\n")
    assert found.startswith(b"a BAD Literals without") and found.endswith(b"\r\nb OK Done\r\n")
    client = Raw(imap_world(imap={"literal_minus": True}))
    assert b"LITERAL- " in client.greeting and b"LITERAL+" not in client.greeting
    client.send(LOGIN)
    assert client.send(b"a SELECT {5+}\r\nINBOX\r\n").endswith(b"Selected\r\n")
    found = client.send(b"a SELECT {4097+}\r\n" + b"x" * 4097 + b"\r\nb NOOP\r\n")
    assert found == b"a BAD [TOOBIG] The literal is too big\r\nb OK Done\r\n"


# ── any bytes, chopped in any way ────────────────────────────────────────────


def play(chunks: list[bytes]) -> tuple[list[tuple[str, str, bytes]], bytes]:
    """Sends the chunks one by one. Returns what was recorded and what the server sent."""
    world = imap_world()
    for _ in range(2):
        world.mail.folder(ALICE).deliver(MAIL)
    client = Raw(world)
    output = client.greeting
    for chunk in chunks:
        client.session.receive(chunk)
        output += drain(client.session)
    return exchanged(world), output


WHOLE = play(DIALOGUE)


def test_the_dialogue_is_understood() -> None:
    _, output = WHOLE
    answers = [line for line in output.split(b"\r\n") if line[1:3] in (b" O", b" N", b" B")]
    failed = [line[:1] for line in answers if line[:1] != b"*" and line[2:4] != b"OK"]
    assert failed == [b"b", b"g"], output.decode()


def test_the_dialogue_is_the_same_byte_by_byte() -> None:
    assert play([bytes([byte]) for byte in STREAM]) == WHOLE


@pytest.mark.slow
def test_the_dialogue_is_the_same_wherever_it_is_cut_in_two() -> None:
    for at in range(len(STREAM)):
        assert play([STREAM[:at], STREAM[at:]]) == WHOLE, f"cut at byte {at}"


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_the_dialogue_is_the_same_in_any_pieces(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(STREAM)]
    assert play([STREAM[start:end] for start, end in itertools.pairwise(edges)]) == WHOLE


FRAGMENTS = [
    *DIALOGUE,
    *(f"t {line_of(verb)}\r\n".encode() for verb in COMMANDS if verb != "LOGOUT"),
    *(b"\r\n", b"\n", b"\r", b" ", b"\0", b"\xff", b"(", b")", b'"', b"\\", b"*", b"%", b"{"),
    *(b"{3}\r\n", b"{3+}\r\n", b"{0}\r\n", b"~{3}\r\n", b"{99999999999}\r\n", b"t ", b"UID "),
    *(b"DONE\r\n", b"=\r\n", b"t AUTHENTICATE CRAM-MD5\r\n", b"t AUTHENTICATE PLAIN =\r\n"),
    *(b"t AUTHENTICATE SCRAM-SHA-1 biwsbj1hbGljZSxyPXg=\r\n", b"t ENABLE UTF8=ACCEPT\r\n"),
    *(b"t FETCH 1:* BODY[1.2.HEADER.FIELDS (a)]<1.2>\r\n", b"t FETCH *:4294967295 ALL\r\n"),
    *(b"t SELECT &AOk-\r\n", b"t SELECT &\r\n", b"t CREATE a/b/c/\r\n", b"t RENAME INBOX x\r\n"),
    *(b"t DELETE a/b\r\n", b't LIST "a" (%*)\r\n', b"t STORE 1:* FLAGS (\\Deleted k1 k2)\r\n"),
]


@given(
    st.lists(st.one_of(st.sampled_from(FRAGMENTS), st.binary(max_size=40)), max_size=25),
    st.sampled_from(list(WAY_TO.values())),
)
def test_any_bytes_are_answered_and_raise_nothing(pieces: list[bytes], way: bytes) -> None:
    world = imap_world(tls="optional")
    for _ in range(2):
        world.mail.folder(ALICE).deliver(MAIL)
    other = Raw(world, 2, select="INBOX")
    other.ask("IDLE")
    client = Raw(world)
    output = b""
    for piece in (way, *pieces):
        client.session.receive(piece)
        output += drain(client.session)
        if client.session.wants is Want.START_TLS:
            client.session.wants = None
            client.session.secured(TlsFacts())
    for answer in (output, *(line.encode() + b"\r\n" for line in other.news())):
        assert not answer or (answer[:2] in (b"* ", b"+ ") or b" " in answer)
        assert not answer or answer.endswith(b"\r\n")
    assert b"Traceback" not in output
    client.session.eof()
    other.session.eof()
    folders = world.mail.store.folders(ALICE)
    assert not any(folder.followers for folder in folders.maildrops)
    # The password is in the transcript only if the client sent it where no password belongs.
    text = render(world.recording).replace("{", "").encode()
    assert b"secret" not in text or b"secret" in b"".join(pieces)


def test_an_endless_line_is_not_kept_and_is_refused_when_it_ends() -> None:
    _, client = selected()
    for _ in range(100):
        client.session.receive(b"x" * 10_000)
        assert len(client.session.buffer) <= LITERALS + 10_000
    found = client.send(b"\r\nt NOOP\r\n").split(b"\r\n")
    assert b" BAD " in found[0] and found[1:] == [b"t OK Done", b""]


@pytest.mark.parametrize(
    "commands",
    [
        b"a LOGIN alice hidden\r\n",
        b'a login "alice" "hidden"\r\n',
        b"a LOGIN {5}\r\nalice {6}\r\nhidden\r\n",
        b"a LOGIN {5+}\r\nalice {6+}\r\nhidden\r\n",
        b'a LOGIN alice "hidden\r\n',
        b"a LOGIN alice hidden more\r\n",
        b"a LOGIN  alice hidden\r\n",
        b"a LOGIN alice hidden",
        b'a LOGIN alice "hidden',
        b"a LOGIN {5}\r\nalice hidden",
        b"a AUTHENTICATE PLAIN\r\nhidden\r\n",
        b"a AUTHENTICATE PLAIN hidden\r\n",
        b"a AUTHENTICATE PLAIN " + base64.b64encode(b"\0alice\0hidden") + b"\r\n",
        b"a AUTHENTICATE PLAIN hidden",
        b"a CAPABILITY\nb LOGIN alice hidden\n\r\n",
        b"a LOGIN alice secret\nb LOGIN alice hidden\r\n",
        b"a LOGIN {5}\r\nalice hidden\nb NOOP\r\n",
        b"a AUTHENTICATE PLAIN\nhidden\r\n",
        b" a LOGIN alice hidden\r\n",
        b"a\tLOGIN alice hidden\r\n",
        b"LOGIN alice hidden\r\n",
        b"AUTHENTICATE PLAIN hidden\r\n",
    ],
)
def test_a_transcript_shows_no_password_however_it_was_sent(commands: bytes) -> None:
    world = imap_world()
    client = Raw(world)
    for piece in commands.replace(b"\r\n", b"\r\n\0").split(b"\0"):
        client.send(piece)
    client.session.eof()
    text = render(world.recording)
    assert "hidden" not in text and base64.b64encode(b"\0alice\0hidden").decode() not in text


def test_a_right_password_is_shown_by_its_name() -> None:
    world = imap_world()
    client = Raw(world)
    client.send(b'a LOGIN alice "secret"\r\n')
    assert 'C: a LOGIN alice "{pass alice}"' in render(world.recording)


# ── opening, TLS, ending ─────────────────────────────────────────────────────


def test_one_session_too_many_is_sent_away() -> None:
    session = imap_world().core("imap")
    session.opened(Facts(1, crowded=True))
    assert session.take().startswith(b"* BYE ") and session.closed


def test_a_session_may_be_logged_in_from_the_start() -> None:
    client = Raw(imap_world(imap={"preauth": ALICE}))
    assert client.greeting.startswith(b"* PREAUTH [CAPABILITY IMAP4rev1 ")
    assert client.status("SELECT INBOX") == "OK [READ-WRITE]"


def test_starttls_forgets_all_that_was_before_and_drops_what_was_pipelined() -> None:
    world = imap_world(tls="optional")
    client = Raw(world)
    assert b" STARTTLS " in client.greeting
    assert client.ask("STARTTLS x").startswith("t BAD ")
    found = client.send(b"t STARTTLS\r\nu LOGIN alice secret\r\n")
    assert found == b"t OK Begin TLS negotiation\r\n"
    assert client.session.wants is Want.START_TLS
    client.session.wants = None
    client.session.secured(TlsFacts())
    assert "STARTTLS" not in client.ask("CAPABILITY")
    assert client.ask("STARTTLS") == "t BAD TLS is active already"
    assert client.status("SELECT INBOX") == "BAD"


def test_without_tls_starttls_is_unknown() -> None:
    assert Raw(imap_world()).ask("STARTTLS") == "t BAD Unknown command"


def test_a_silent_client_is_sent_away_after_30_minutes_of_idle_too() -> None:
    for way in (b"", WAY_TO["IDLE"]):
        world = imap_world()
        client = Raw(world)
        client.send(way)
        world.clock.skip(1799)
        client.session.tick()
        assert not client.session.closed
        world.clock.skip(1)
        client.session.tick()
        assert client.news() == ["* BYE Idle for too long"] and client.session.closed


def test_what_comes_after_logout_is_not_run() -> None:
    world, client = selected()
    found = client.send(b"t LOGOUT\r\nu DELETE Trash\r\n")
    assert found == b"* BYE Until next time\r\nt OK Logged out\r\n" and client.session.closed
    assert "Trash" in world.mail.folders(ALICE)


def test_a_lost_connection_leaves_no_half_message_and_removes_nothing() -> None:
    world, client = selected()
    client.ask("STORE 1 +FLAGS \\Deleted")
    client.send(b"t APPEND INBOX {100}\r\nhalf")
    client.session.eof()
    assert world.mail.folder(ALICE).flags == {1: ["\\Deleted"], 2: []}


# ── every fault at every command ─────────────────────────────────────────────

# Each failure, and whether a command that meets it still has its effect.
FAILURES = {
    "hang up before": False,
    "hang up within": True,
    "hang up after": True,
    "reset": False,
    "after 0": True,
    "after 5": True,
    "stall": False,
    "delay 7": True,
    "split 1": True,
    "lost stored": True,
    "lost unstored": False,
    'reply "NO [UNAVAILABLE] later"': False,
    'reply "* BYE gone"': False,
    'reply "what is this"': False,
}
EFFECTS = {
    "APPEND": b"t APPEND INBOX {14+}\r\nSubject: x\r\n\r\n\r\n",
    "UID STORE": b"t UID STORE 1 +FLAGS \\Flagged\r\n",
    "COPY": b"t COPY 1 INBOX\r\n",
    "MOVE": b"t MOVE 2 Trash\r\n",
    "EXPUNGE": b"t EXPUNGE\r\n",
    "CLOSE": b"t CLOSE\r\n",
}


@pytest.mark.parametrize("place", EFFECTS)
@pytest.mark.parametrize("failure", FAILURES)
def test_a_command_has_its_effect_only_if_it_was_handled(place: str, failure: str) -> None:
    world, client = selected()
    client.ask("STORE 2 +FLAGS \\Deleted")
    before = world.mail.folder(ALICE).flags
    world.faults.arm(f"imap {place} {failure}")
    client.session.receive(EFFECTS[place])
    drain(client.session)
    world.clock.skip(10)
    client.session.tick()
    output = drain(client.session)
    assert world.faults.unmet() == []
    assert (world.mail.folder(ALICE).flags != before) == FAILURES[failure]
    if failure.startswith("reply") and "BYE" not in failure:
        assert client.status("NOOP") == "OK", "the session goes on"
    elif failure not in ("stall", "delay 7", "split 1"):
        assert client.session.closed, output


def test_a_scripted_reply_gets_the_tag_unless_it_is_untagged() -> None:
    world, client = selected()
    world.faults.arm('imap NOOP reply "NO [UNAVAILABLE] later" times 1')
    assert client.ask("NOOP") == "t NO [UNAVAILABLE] later"
    world.faults.arm('imap NOOP reply "* 5 EXISTS" times 1')
    assert client.ask("NOOP") == "* 5 EXISTS"
    world.faults.arm('imap IDLE reply "NO not now" times 1')
    assert client.ask("IDLE") == "t NO not now" and client.session.state == "SELECTED"
    world.faults.arm('imap DONE reply "NO not now" times 1')
    client.ask("IDLE")
    assert client.send(b"DONE\r\n") == b"t NO not now\r\n" and client.session.state == "SELECTED"


@pytest.mark.parametrize("announced", [b"{13}", b"{13+}"])
def test_a_fault_may_strike_before_and_after_the_message_of_append(announced: bytes) -> None:
    message = b"Subject: \r\n\r\n"
    line = b"t APPEND INBOX " + announced + b"\r\n"
    for place in ("literal", "."):
        world, client = selected(0)
        world.faults.arm(f'imap {place} reply "NO [UNAVAILABLE] later" times 1')
        output = client.send(line)
        if place == "." or announced == b"{13+}":
            output += client.send(message + b"\r\n")
        assert output.removeprefix(b"+ Ready for the literal\r\n") == (
            b"t NO [UNAVAILABLE] later\r\n"
        )
        assert client.status("NOOP") == "OK"
        assert not world.mail.folder(ALICE).mails
    world, client = selected(0)
    world.faults.arm("imap . lost stored")
    client.send(line + message + b"\r\n")
    assert client.session.closed and not world.mail.folder(ALICE).mails


def test_a_scripted_greeting_that_is_no_ok_ends_the_session() -> None:
    client = Raw(imap_world(fault=['imap connect reply "* BYE busy"']))
    assert client.greeting == b"* BYE busy\r\n" and client.session.closed


def test_a_uid_form_is_a_place_of_its_own() -> None:
    world, client = selected()
    world.faults.arm('imap UID FETCH reply "NO no"')
    assert client.ask("FETCH 1 UID").endswith("t OK Done")
    assert client.ask("UID FETCH 1 UID") == "t NO no"


def test_the_argument_of_a_fault_is_the_text_after_the_verb() -> None:
    world, client = selected()
    world.faults.arm('imap SELECT arg "Tr*" reply "NO no"')
    assert client.status("SELECT INBOX") == "OK [READ-WRITE]"
    assert client.ask("SELECT Trash") == "t NO no"


def test_ask_is_the_shell_of_the_core() -> None:
    assert ask(Raw(World({"servers": ["imap"]}, rehearsal=True)).session, b"t NOOP\r\n") == (
        b"t OK Done\r\n"
    )
