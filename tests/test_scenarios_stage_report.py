"""report.html: one file without scripts, in which a claim leads to its arrow, and all is inert."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest

from fakes.mail import Envelope, Recipient
from scenarios import catalogue, output, rehearsal
from scenarios.__main__ import main
from scenarios.rehearsal import Played
from scenarios.stage import mails, report
from scenarios.stage.beats import Beat
from scenarios.stage.lanes import Lanes
from scenarios.stage.markup import Markup, tag
from scenarios.stage.words import WORDS

PAGE = catalogue.named("apache-alert")
CRASH = PAGE.acts()[:1]


class Elements(HTMLParser):
    """What an HTML file consists of, and whether its elements are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.handle_startendtag(tag, attrs)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.ids += [str(value) for key, value in attrs if key == "id"]
        self.links += [str(value) for key, value in attrs if key in ("href", "src")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report about the first act of apache-alert."""
    folder = tmp_path_factory.mktemp("report")
    played, printed = (rehearsal.play(PAGE, CRASH, book=book) for book in (False, True))
    output.keep(played, folder, printed)
    return (folder / "apache-crash-alert" / "report.html").read_text("utf-8")


def test_a_report_needs_neither_network_nor_script(page: str) -> None:
    elements = Elements(page)
    assert not {"script", "iframe", "link", "img", "object", "form"} & {*elements.names}
    assert all(link == "../index.html" or link.startswith("#") for link in elements.links)
    assert "default-src &#x27;none&#x27;" in page and "url(" not in page
    assert elements.open == []


def test_every_link_of_a_report_leads_to_one_element(page: str) -> None:
    elements = Elements(page)
    assert len(elements.ids) == len({*elements.ids})
    links = {link[1:] for link in elements.links if link.startswith("#")}
    assert links and links <= {*elements.ids}


def test_a_claim_leads_to_the_arrow_that_proves_it_and_the_arrow_to_its_bytes(page: str) -> None:
    _, claim, rest = page.partition("each administrator gets one mail")
    place = re.search(r'href="#(a\d+)"', rest)
    assert claim and place is not None
    arrow = page.partition(f'<details id="{place[1]}"')[2].partition("</details>")[0]
    assert "Apache is down on web1.yourco.test" in arrow
    assert "RFC 5321 §4.1.1.4" in page


def test_a_claim_without_evidence_leads_to_the_interval_that_it_is_about() -> None:
    outcome = rehearsal.play(PAGE, CRASH, book=True)
    text = report_of(outcome)
    assert "everything until 00:01:00" in text
    assert re.search(r":has\(#ac1:is\(.*\) \.ai1 time\{", text)


def report_of(played: Played) -> str:
    way = output._way(PAGE, played.performances[0], book=False)
    return report.act_page(PAGE, [way])


def test_ours_and_the_printed_way_are_marked_where_they_part(page: str) -> None:
    assert page.count("Here the two ways part") == 2
    printed = page.partition("As printed")[2]
    assert "MAIL FROM:&lt;Apache Notifier" in printed.partition("Here the two ways part")[2]


def test_a_broken_claim_names_the_mistake_and_its_place(page: str) -> None:
    assert "mistake 1: display names go into the envelope" in page
    assert "made in scenarios/book/apache_alert.py:" in page


def test_a_fault_is_named_at_the_arrow_that_it_hit() -> None:
    text = report_of(rehearsal.play(PAGE, CRASH, ['RCPT arg jeremy* reply "550 no"']))
    assert "trouble" in text
    assert "<strong>fault: " in text


def test_a_clock_that_jumps_is_seen() -> None:
    text = report_of(rehearsal.play(PAGE, CRASH, ["clock-jump"]))
    assert "clock: the program&#x27;s clock is set forward by an hour" in text


def test_sources_secrets_and_words_are_in_the_report(page: str) -> None:
    assert "{cram-md5 notifier@yourco.test}" in page
    assert "def run(clock: Clock" in page
    assert all(f"<dt>{word}</dt>" in page for word in WORDS)


TICKETS = "acts agents desk model outbox quotes replies samples web".split()


def test_the_sources_are_the_page_its_companions_and_the_listing() -> None:
    page = catalogue.named("tickets")
    assert [path.name for path in page.sources()] == [
        "tickets.py",
        *(f"tickets_{part}.py" for part in TICKETS),
    ]
    assert [path.name for path in page.sources(book=True)] == [
        *("tickets.py", "net_pop3.py", "net_smtp.py", "tmail.py"),
    ]
    played = rehearsal.play(page, page.acts()[:1])
    text = report.act_page(page, [output._way(page, played.performances[0], book=False)])
    folded = re.findall(r"<summary>(processing/.*?)</summary>", text)
    assert folded == [f"processing/{path.name}" for path in page.sources()]


def test_the_report_is_the_same_each_time() -> None:
    first, second = (report_of(rehearsal.play(PAGE, CRASH)) for _ in range(2))
    assert first == second


def test_make_report_says_where_the_index_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "aim-hello", "--act", "aim-send-im", "--out", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"report: {tmp_path / 'index.html'}\n"
    index = Elements((tmp_path / "index.html").read_text("utf-8"))
    assert index.links == ["aim-send-im/report.html"]
    assert all((tmp_path / link).exists() for link in index.links)


# ── mails ────────────────────────────────────────────────────────────────────


def test_what_differs_between_envelope_and_header_is_marked() -> None:
    raw = (
        b"From: Ann <ann@a.test>\r\nTo: bob@b.test\r\nSubject: =?utf-8?q?caf=C3=A9?=\r\n\r\nHi\r\n"
    )
    same = mails.render(raw, Envelope("ann@a.test", (Recipient("BOB@b.test"),)))
    assert "differs" not in same and "café" in same
    other = mails.render(raw, Envelope("", (Recipient("eve@b.test"),)))
    assert other.count('class="differs"') == 4
    assert "the null sender" in other


def test_html_in_a_mail_is_shown_as_its_source() -> None:
    raw = b"Content-Type: text/html\r\nSubject: <b>\r\n\r\n<script>alert(1)</script>\r\n"
    shown = mails.render(raw, Envelope("", ()))
    assert "<script" not in shown and "&lt;script&gt;" in shown and "<b>" not in shown


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0\xff\r\n\r\n",
        b"From: \xff <@\r\nTo: ,,\r\n\r\n",
        b"Content-Type: text/plain; charset=no\r\n\r\nx",
    ],
)
def test_any_bytes_can_be_shown_as_a_mail(raw: bytes) -> None:
    assert b"Envelope" in mails.render(raw, Envelope("", ())).encode()
    assert mails.subject(raw).encode()


# ── lanes and markup ─────────────────────────────────────────────────────────


def test_people_are_left_of_the_program_and_servers_right_of_it() -> None:
    beats = [
        Beat(at=0, kind="opening", source="program", target="mail server", text="connects"),
        Beat(at=1, kind="event", source="jeremy@yourco.test", text="sends"),
    ]
    lanes = Lanes.of(beats)
    assert lanes.names == ("jeremy@yourco.test", "program", "mail server")
    assert lanes.x("program") < lanes.x("mail server") < lanes.width


def test_labels_stay_inside_of_the_picture() -> None:
    beat = Beat(
        at=0, kind="mail", source="a", target="program", text="word " * 60, detail=("x" * 300,)
    )
    lanes = Lanes.of([beat])
    texts = re.findall(r'<text x="(-?\d+)".*?>(.*?)</text>', lanes.row(beat))
    assert len(texts) > 5
    assert all(0 <= int(x) <= lanes.width - 7 * len(text) for x, text in texts)


def test_names_of_lanes_are_not_cut_at_the_edge() -> None:
    names = ["jeremy@yourco.test", "db1", "web1", "a", "b"]
    lanes = Lanes.of([Beat(at=0, kind="event", source=name, text="x") for name in names])
    assert re.findall(r">([^<>]+)</text>", lanes.head())[:2] == ["jeremy", "@yourco.test"]


def test_a_text_without_end_is_cut() -> None:
    beat = Beat(at=0, kind="mail", source="a", target="program", text="x" * 100_000)
    assert len(Lanes.of([beat]).row(beat)) < 5_000
    raw = b"Subject: " + b"x" * 100_000 + b"\r\n\r\n"
    performance = SimpleNamespace(recording=[], mails=[raw], envelopes=[Envelope("", ())])
    title = re.search("<summary>(.*?)</summary>", report._mails(report.Way("a", "", performance)))
    assert title is not None and len(title[1]) < 200


def test_text_is_escaped_and_what_nobody_sees_is_shown() -> None:
    assert tag("p", "<&>\0\x1b", title='"') == ('<p title="&quot;">&lt;&amp;&gt;\\x00\\x1b</p>')
    assert tag("p", Markup("<b>"), ["a", "b"], hidden=True, lang=None) == "<p hidden><b>ab</p>"


def test_a_beat_before_the_last_one_shows_that_the_clock_was_set_back() -> None:
    beats = [Beat(at=at, kind="event", source="web1", text="x", items=()) for at in (60, 30)]
    performance = SimpleNamespace(recording=[], claims=[], mails=[], envelopes=[])
    way = report.Way("a", "Ours", performance)
    way.__dict__["beats"] = beats
    assert "jump" in report._row(way, 1, Lanes.of(beats), [])
