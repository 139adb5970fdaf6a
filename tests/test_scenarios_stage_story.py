"""A recording as a story: what is told, what is folded, and what never is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scenarios.stage.beats import Beat
from scenarios.stage.repetition import EACH
from scenarios.stage.story import story
from scenarios.stage.text import Teller, plain


@dataclass
class Wire:
    """A record of the wire, as far as a story needs it."""

    raw: bytes
    direction: str = "C"
    verb: str = ""
    at: float = 60.0
    session: int = 1
    protocol: str = "smtp"
    fault: str = ""
    person: str = ""
    section: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)

    def shown(self) -> bytes:
        return self.raw


@dataclass
class Happens:
    """An event."""

    who: str
    text: str
    level: str = "info"
    at: float = 60.0
    target: str = ""


MAIL = b"From: A <a@x.test>\r\nTo: b@x.test\r\nSubject: Hello\r\n\r\nGood morning.\r\n"


def smtp(session: int, at: float, reply: bytes = b"250 2.0.0 Queued\r\n", fault: str = "") -> Any:
    """The records of a session in which one mail is sent."""
    exchange: list[tuple[bytes, str, dict[str, str], bytes]] = [
        (b"EHLO a\r\n", "EHLO", {}, b"250-x\r\n250 SIZE\r\n"),
        (b"MAIL FROM:<a@x.test>\r\n", "MAIL", {"sender": "a@x.test"}, b"250 OK\r\n"),
        (b"RCPT TO:<b@x.test>\r\n", "RCPT", {"recipient": "b@x.test"}, b"250 OK\r\n"),
        (b"DATA\r\n", "DATA", {}, b"354 Go\r\n"),
        (MAIL + b".\r\n", ".", {}, reply),
        (b"QUIT\r\n", "QUIT", {}, b"221 Bye\r\n"),
    ]
    yield Wire(b"", "-", "connects", at, session)
    yield Wire(b"220 x\r\n", "S", "", at, session)
    for raw, verb, fields, answer in exchange:
        yield Wire(raw, "C", verb, at, session, fields=fields)
        yield Wire(answer, "S", "", at, session, fault=fault if verb == "." else "")
    yield Wire(b"", "-", "closes", at, session)


def look(session: int, at: float) -> Any:
    """The records of a POP3 session that finds nothing."""
    exchange = [
        (b"USER a\r\n", "USER", b"+OK\r\n"),
        (b"PASS {a}\r\n", "PASS", b"+OK\r\n"),
        (b"STAT\r\n", "STAT", b"+OK 0 0\r\n"),
        (b"QUIT\r\n", "QUIT", b"+OK\r\n"),
    ]
    yield Wire(b"", "-", "connects", at, session, "pop3")
    yield Wire(b"+OK ready\r\n", "S", "", at, session, "pop3")
    for raw, verb, answer in exchange:
        yield Wire(raw, "C", verb, at, session, "pop3")
        yield Wire(answer, "S", "", at, session, "pop3", person="a@x.test")
    yield Wire(b"", "-", "closes", at, session, "pop3")


def xmpp(raw: bytes, direction: str = "C", verb: str = "", at: float = 60.0) -> Wire:
    return Wire(raw, direction, verb, at, 1, "xmpp", person="bot@x.test")


def texts(beats: list[Beat]) -> list[str]:
    return [beat.text for beat in beats]


def test_a_session_that_only_logs_in_is_told_by_its_login() -> None:
    facts = {"mechanism": "PLAIN", "user": "a@x.test"}
    exchange = [
        Wire(b"", "-", "connects"),
        Wire(b"220 x\r\n", "S"),
        Wire(b"AUTH PLAIN {a}\r\n", "C", "AUTH", fields=facts),
        Wire(b"235 Yes\r\n", "S"),
        Wire(b"QUIT\r\n", "C", "QUIT"),
        Wire(b"221 Bye\r\n", "S"),
        Wire(b"", "-", "closes"),
    ]
    [beat] = story(exchange)
    assert beat.text == "connects, logs in as a@x.test by PLAIN"


def test_the_first_mail_is_told_with_details_and_later_ones_in_a_line() -> None:
    opening, first, second = story([*smtp(1, 60), *smtp(2, 90)])
    assert opening.text == "connects to send mail"
    assert first.text == second.text == 'mails b@x.test: "Hello"'
    assert "envelope: from <a@x.test> to b@x.test" in first.detail
    assert "Subject: Hello" in first.detail and "  Good morning." in first.detail
    assert second.detail == ()


def test_looks_that_find_nothing_are_one_line() -> None:
    _, looks = story([item for n in range(5) for item in look(n, 60.0 * n)])
    assert (looks.text, looks.count) == ("looks: nothing new", 5)
    assert (looks.at, looks.until) == (0.0, 240.0)


def test_every_item_is_told_exactly_once() -> None:
    recording = [*smtp(1, 60), Happens("web1.x.test", "apache2 dies"), *look(2, 70), *look(3, 80)]
    told = [item for beat in story(recording) for item in beat.items]
    assert sorted(told) == list(range(len(recording)))


def test_a_refusal_and_a_fault_are_never_folded() -> None:
    refused = [item for n in range(9) for item in smtp(n, n, b"554 No\r\n")]
    beats = [beat for beat in story(refused) if beat.trouble]
    assert texts(beats) == ['sends a mail: "Hello"'] * 9
    assert all("554 No" in beat.detail for beat in beats)
    struck = [beat for beat in story([*smtp(1, 0, fault=". delay 2")]) if beat.trouble]
    assert [beat.trouble for beat in struck] == ["fault"]
    assert "fault: . delay 2" in struck[0].detail


def test_a_program_that_dies_again_and_again_of_the_same_trouble_is_counted() -> None:
    recording = []
    for n in range(22):
        if n:
            recording.append(Happens("supervisor", "starts the program again", at=n * 5))
        trouble = "ends with exit code 3: unreachable" if n < 21 else "ends with exit code 70"
        recording.append(Happens("program", trouble, "end", at=n * 5))
    beats = story(recording)
    assert texts(beats) == [
        "ends with exit code 3: unreachable",
        *("starts the program again", "ends with exit code 3: unreachable"),
        "the same again",
        *("starts the program again", "ends with exit code 70"),
    ]
    assert (beats[3].count, beats[3].at, beats[3].until) == (19, 10, 100)
    assert sorted(item for beat in beats for item in beat.items) == list(range(len(recording)))


def test_an_event_is_the_end_of_a_program_by_its_level_not_by_its_text() -> None:
    text = "ends with exit code 4: Refused: no"
    end, log = story([Happens("program", text, "end"), Happens("program", text, "warning")])
    assert (end.kind, end.trouble) == ("event", "error")
    assert (log.kind, log.trouble) == ("warning", "")


def test_what_repeats_is_told_once_and_then_by_what_differs() -> None:
    recording = []
    for n in range(4):
        recording += [
            Happens("web1.x.test", "apache2 dies", at=n * 100),
            Happens("program", f"** down: {n}", "say", at=n * 100 + 5),
            Happens("web1.x.test", "apache2 starts", at=n * 100 + 9),
        ]
    beats = story(recording)
    assert texts(beats)[:3] == ["apache2 dies", "** down: 0", "apache2 starts"]
    assert texts(beats)[3:] == ["** down: 1", "** down: 2", "** down: 3"]


def asks(at: float, question: str, *commands: str) -> list[Happens]:
    """A user asks, the machine runs commands, and the program says that it has answered."""
    return [
        Happens("Ann", f"asks {question}", at=at),
        *(
            Happens("web1.x.test", f"runs: {command}", at=at + n)
            for n, command in enumerate(commands)
        ),
        Happens("program", "answered", "info", at=at + len(commands) - 1),
    ]


def test_the_end_of_one_thing_and_the_beginning_of_the_next_are_no_repetition() -> None:
    recording = [*asks(0, "all", "uptime", "df"), *asks(60, "one", "uptime"), *asks(62, "b", "df")]
    assert texts(story(recording)) == [
        *("asks all", "runs: uptime", "runs: df", "answered"),
        *("asks one", "runs: uptime", "answered"),
        *("asks b", "runs: df", "answered"),
    ]


def test_in_a_repetition_each_is_named_who_does_something_else() -> None:
    recording = [
        *[Happens("ann@yourco.test", "says a", at=0), Happens("program", "1 mail", "say", at=9)],
        *[Happens("eve@evil.test", "says b", at=60), Happens("program", "1 Mail", "say", at=69)],
        *[Happens("bob@yourco.test", "says a", at=90), Happens("program", "1 MAIL", "say", at=99)],
    ]
    *_, second, third = [plain(line) for line in Teller().tell(story(recording))]
    assert second == "00:01:00  eve@evil.test says b · program: says: 1 Mail"
    assert third == "00:01:39  program       says: 1 MAIL"


def test_of_many_repetitions_only_some_are_told_and_the_others_counted() -> None:
    recording = [Happens("program", f"number {n}", "say", at=n) for n in range(50)]
    beats = story(recording)
    assert len(beats) == EACH + 1
    assert "more like these" in beats[-2].text and beats[-1].text == "number 49"
    assert sum(len(beat.items) for beat in beats) == 50


def test_what_a_person_says_and_what_the_server_passes_on_are_one_thing() -> None:
    message = b"<message from='a@x.test/1' to='bot@x.test' type='chat'><body>hi</body></message>"
    beats = story([Happens("a@x.test", "says to bot@x.test: hi"), xmpp(message, "S")])
    assert texts(beats) == ["says to bot@x.test: hi"]
    assert beats[0].target == "program"


def test_stanzas_are_told_as_a_person_would_read_them() -> None:
    beats = story(
        [
            xmpp(b"<presence to='a@x.test' type='subscribe'/>"),
            xmpp(b"<message to='a@x.test/1' type='chat'><body>hello</body></message>", at=70),
            xmpp(
                b"<iq type='error' id='1'><error type='cancel'><item-not-found "
                b"xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
                "S",
                at=80,
            ),
        ]
    )
    assert "subscribe" in beats[0].text and "a@x.test" in beats[0].text
    assert beats[1].text == 'message to a@x.test: "hello"'
    assert (beats[2].text, beats[2].trouble) == ("refuses: item-not-found", "refused")


def test_what_is_no_xml_and_unknown_protocols_are_told_as_they_are() -> None:
    assert texts(story([xmpp(b"<<<")]))
    assert texts(story([Wire(b"HELLO 1\r\n", protocol="gopher")])) == ["HELLO 1"]


def test_an_unusual_word_is_explained_where_it_first_stands() -> None:
    teller = Teller()
    lines = [plain(line) for line in teller.tell(story([*smtp(1, 60), *smtp(2, 90)]))]
    explained = [line for line in lines if line.lstrip().startswith("(envelope: ")]
    assert len(explained) == 1


def test_lines_have_the_width_of_the_terminal() -> None:
    long = Happens("program", "word " * 100, "error")
    lines = [plain(line) for line in Teller(72).tell(story([*smtp(1, 60), long]))]
    assert max(map(len, lines)) <= 72


def test_only_people_of_the_company_are_named_without_their_domain() -> None:
    acts = [Happens("ann@yourco.test", "calls"), Happens("ann@notyourco.test", "calls", at=99)]
    ours, stranger = (plain(line) for line in Teller().tell(story(acts)))
    assert ours.split()[1] == "ann" and stranger.split()[1] == "ann@notyourco.test"


def test_what_a_browser_asks_for_at_a_moment_is_one_arrow_to_the_program() -> None:
    asked = ["POST /sign-up: 303", 'GET /sent: 200 "Sent"']
    [beat] = story(Happens("Ann", text, target="program") for text in asked)
    assert (beat.source, beat.target, beat.text) == ("Ann", "program", "; ".join(asked))
