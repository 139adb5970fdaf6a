"""An act as one HTML file: a picture of what happened, claims that lead to their proofs, the wire.

The file needs no network and no script, and is the same from run to run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scenarios.stage import mails
from scenarios.stage.beats import Beat
from scenarios.stage.lanes import Lanes, clock, stamp
from scenarios.stage.markup import Content, Markup, tag
from scenarios.stage.parting import Parting, partings
from scenarios.stage.story import story
from scenarios.stage.words import WORDS

CSP = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
LINKS = 6  # to arrows, of one claim
LONG = 12  # lines of a unit; a longer one is folded
SUBJECT = 100  # letters of one in the list of mails; a mail shows all
FRAMES = {1: "signon", 2: "data", 3: "error", 4: "signoff", 5: "keep-alive"}  # of TOC


@dataclass
class Way:
    """One way in which an act was played: with our program, or as printed.

    `key` begins the ids of its elements. `performance` has a recording, claims, mails
    and envelopes.
    """

    key: str
    title: str
    performance: Any
    sources: Sequence[Path] = ()

    @cached_property
    def beats(self) -> list[Beat]:
        """What happened."""
        return story(self.performance.recording)

    @cached_property
    def rows(self) -> dict[int, int]:
        """Position in the recording → number of the beat that has it."""
        return {item: row for row, beat in enumerate(self.beats) for item in beat.items}

    def proofs(self, claim: Any) -> list[int]:
        """The numbers of the beats that prove a claim."""
        return sorted({self.rows[item] for item in claim.items if item in self.rows})

    def last(self, claim: Any) -> int:
        """The number of the last beat that had begun when a claim was made, or -1."""
        return max((row for item, row in self.rows.items() if item < claim.until), default=-1)


def act_page(page: Any, ways: Sequence[Way]) -> str:
    """Returns the file about an act that was played in one way or two."""
    act, doc = ways[0].performance.act, page.doc
    lanes = Lanes.of([beat for way in ways for beat in way.beats])
    parts: Sequence[Parting | None] = [None]
    if len(ways) == 2:
        one, other = (way.performance.recording for way in ways)
        parts = partings(one, other) or [None, None]
    facts = f"{doc.section} · {', '.join(doc.protocols)}"
    body = [
        tag("a", "Skip to the claims", href=f"#{ways[0].key}claims", class_="skip"),
        tag(
            "header",
            tag("p", tag("a", page.name, href="../index.html"), f" · {facts}"),
            tag("h1", act.title),
            tag("p", f"act {act.name}", class_="kind"),
        ),
        tag("main", [_way(way, lanes, part) for way, part in zip(ways, parts, strict=True)]),
        tag(
            "section",
            tag("h2", "Programs"),
            [_source(path) for way in ways for path in way.sources],
        ),
        tag("section", tag("h2", "Words"), _glossary()),
    ]
    return _document(f"{page.name}: {act.name}", body, [*map(_rules, ways)])


def index_page(title: str, played: Sequence[tuple[str, Any]]) -> str:
    """Returns the file that leads to the acts. `played` has a folder and a scenario for each."""
    body: list[Content] = [tag("header", tag("h1", title))]
    for folder, one in played:
        rows = []
        for performance in one.performances:
            link = f"{folder}{performance.act.name}/report.html"
            name = tag("a", performance.act.name, href=link)
            row = [tag("td", name), tag("td", performance.act.title)]
            rows.append(tag("tr", row, tag("td", _score(performance), class_="score")))
        doc = one.page.doc
        body.append(tag("h2", f"{one.page.name}: {doc.title}"))
        body.append(tag("p", f"{doc.section} · {', '.join(doc.protocols)}", class_="kind"))
        body.append(tag("div", tag("table", rows), class_="scroll"))
    return _document(title, body, [])


def _score(performance: Any) -> str:
    held = sum(claim.holds for claim in performance.claims)
    mark = "✓" if held == len(performance.claims) else "✗"
    return f"{mark} {held} of {len(performance.claims)} claims"


def _document(title: str, body: Content, rules: Sequence[str]) -> str:
    style = (Path(__file__).parent / "report.css").read_text("utf-8") + "".join(rules)
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name_="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="Content-Security-Policy", content=CSP),
        tag("title", title),
        tag("style", Markup(style)),
    ]
    return f"<!doctype html>\n{tag('html', tag('head', head), tag('body', body), lang='en')}\n"


# ── one way ──────────────────────────────────────────────────────────────────


def _way(way: Way, lanes: Lanes, parting: Parting | None) -> Markup:
    key, performance = way.key, way.performance
    about: dict[int, list[str]] = {}  # row → the classes by which claims light it
    for number, claim in enumerate(performance.claims):
        proofs = way.proofs(claim)
        for row in proofs or range(way.last(claim) + 1):
            about.setdefault(row, []).append(f"{key}p{number}" if proofs else f"{key}i{number}")
    rows: list[Content] = []
    for number in range(len(way.beats)):
        apart = ["apart"] if parting and parting.differs(way.beats[number]) else []
        rows.append(_row(way, number, lanes, [*apart, *about.get(number, [])]))
    if parting:
        banner = "Here the two ways part; what only this one does is tinted."
        rows.insert(parting.row(way.beats), tag("p", banner, class_="parting", id=f"{key}parting"))
    picture = tag(
        "div",
        tag("div", lanes.head(), class_="head"),
        rows,
        class_="lanes",
        tabindex="0",
        role="group",
        aria_label="what happened",
    )
    link = [tag("a", "where the two ways part", href=f"#{key}parting")] if parting else []
    return tag(
        "section",
        tag("h2", way.title, tag("span", _score(performance), class_="score")),
        tag(
            "p",
            "Open an arrow to see what crossed the wire. Braces {…} stand for what is masked. ",
            link,
            class_="kind",
        ),
        tag("div", picture, _claims(way), class_="sides"),
        _mails(way),
        class_="printed" if key == "b" else "ours",
    )


def _row(way: Way, number: int, lanes: Lanes, classes: Sequence[str]) -> Markup:
    beat = way.beats[number]
    back = number and beat.at < way.beats[number - 1].at
    moved = ["jump"] if back else []
    kinds = ["beat", f"is-{beat.kind}", beat.trouble and "trouble", *moved, *classes]
    first, *last = stamp(beat).split("–")
    when = tag("time", first, [tag("br"), "–", last] if last else "")
    recording = way.performance.recording
    units = [_unit(way, item, recording[item]) for item in beat.items]
    return tag(
        "details",
        tag("summary", when, lanes.row(beat)),
        tag("div", units, class_="wire"),
        id=f"{way.key}{number}",
        class_=" ".join(kind for kind in kinds if kind),
    )


def _unit(way: Way, position: int, item: Any) -> Markup:
    """An item of the recording: a unit of the wire with its section, or an event."""
    where = f"{way.key}r{position}"
    if not hasattr(item, "direction"):
        return tag(
            "div",
            tag("span", item.who, class_="who"),
            tag("pre", item.text),
            class_="unit",
            id=where,
        )
    remark = item.fields.get("remark", "")
    if item.direction == "-":
        text = f"({item.verb}{f': {remark}' if remark else ''})"
    else:
        text = item.shown().decode("utf-8", "backslashreplace").removesuffix("\r\n")
    raw = bytes(item.raw[:6])
    if item.protocol == "toc" and len(raw) == 6 and raw[:1] == b"*":
        size, number = len(item.raw) - 6, int.from_bytes(raw[2:4], "big")
        remark = f"frame {number}: {FRAMES.get(raw[1], raw[1])}, {size} bytes"
    lines = text.replace("\r\n", "\n").split("\n")
    content = tag("pre", text)
    if len(lines) > LONG:
        title = f"{lines[0]} … {len(lines) - 1} more lines"
        content = tag("details", tag("summary", title), content)
    who = f"{item.protocol} {item.session} {item.direction}"
    struck = tag("strong", f"fault: {item.fault}") if item.fault else ""
    notes = tag(
        "span", item.section, tag("small", remark) if remark else "", struck, class_="section"
    )
    kind = (
        "unit"
        + (" trouble" if item.fault else "")
        + (f" {item.direction}" * (item.direction in "CS"))
    )
    return tag("div", tag("span", who, class_="who"), content, notes, class_=kind, id=where)


# ── claims ───────────────────────────────────────────────────────────────────


def _claims(way: Way) -> Markup:
    items = []
    for number, claim in enumerate(way.performance.claims):
        place = f"{way.key}c{number}"
        mark = "✓ " if claim.holds else "✗ "
        wanted = claim.text in way.performance.expected
        mistake = way.performance.mistakes.get(claim.text) if not claim.holds else None
        told = [*claim.shape, *(mistake.lines if mistake else ())]
        found = [tag("p", line, class_="found") for line in told]
        lines = [tag("a", mark, claim.text, href=f"#{place}"), *found, _where(way, claim)]
        kind = "holds" if claim.holds else "breaks"
        items.append(tag("li", lines, id=place, class_=f"{kind} {'wanted' if wanted else ''}"))
    return tag("aside", tag("h3", "Claims"), tag("ul", items), id=f"{way.key}claims")


def _where(way: Way, claim: Any) -> Markup:
    """The links from a claim to the arrows that prove it, or to the interval it is about."""
    proofs, last = way.proofs(claim), way.last(claim)
    if not proofs:
        if last < 0:
            return tag("p", "before anything happens", class_="where")
        until = clock(max(way.beats[last].at, way.beats[last].until))
        link = tag("a", f"everything until {until}", href=f"#{way.key}{last}")
        return tag("p", link, class_="where")
    links: list[Content] = []
    for row in proofs if len(proofs) <= LINKS else [*proofs[: LINKS - 1], proofs[-1]]:
        if len(proofs) > LINKS and row == proofs[-1]:
            links.append("… ")
        links += [
            tag("a", clock(way.beats[row].at), href=f"#{way.key}{row}", title=way.beats[row].text),
            " ",
        ]
    return tag("p", "→ ", links, class_="where")


def _rules(way: Way) -> str:
    """The style rules by which a claim lights what proves it, or the interval it is about."""
    rules = []
    for number, _ in enumerate(way.performance.claims):
        lit = f":root:has(#{way.key}c{number}:is(:target,:hover,:focus-within))"
        rules.append(f"{lit} .{way.key}p{number}{{background:var(--lit);--under:var(--lit)}}\n")
        rules.append(f"{lit} .{way.key}i{number} time{{box-shadow:inset 5px 0 var(--mark)}}\n")
    return "".join(rules)


# ── beneath ──────────────────────────────────────────────────────────────────


def _mails(way: Way) -> Markup:
    performance = way.performance
    items = [(way.rows.get(n), item) for n, item in enumerate(performance.recording)]
    # Where a mail crossed the wire. What is shorter than any mail need not be searched.
    least = min(map(len, performance.mails), default=0)
    units = [
        (row, item.raw)
        for row, item in items
        if row is not None and hasattr(item, "direction") and len(item.raw) >= least
    ]
    shown = []
    for number, (raw, envelope) in enumerate(
        zip(performance.mails, performance.envelopes, strict=True), 1
    ):
        to = ", ".join(envelope.to)
        subject = mails.subject(raw)
        if len(subject) > SUBJECT:
            subject = f"{subject[: SUBJECT - 1]}…"
        title = f"{number}. {subject}: {envelope.sender or '<>'} → {to}"
        row = next((row for row, unit in units if raw in unit), None)
        link = (
            tag("p", tag("a", "where it was sent", href=f"#{way.key}{row}"))
            if row is not None
            else ""
        )
        place = f"{way.key}m{number}"
        shown.append(
            tag("details", tag("summary", title), link, mails.render(raw, envelope), id=place)
        )
    return Markup(tag("h3", "Mails") + tag("div", shown)) if shown else Markup()


def _source(path: Path) -> Markup:
    lines = [tag("span", line) + "\n" for line in path.read_text("utf-8").splitlines()]
    title = f"{path.parent.name}/{path.name}"
    return tag(
        "details", tag("summary", title), tag("pre", Markup("".join(lines)), class_="source")
    )


def _glossary() -> Markup:
    pairs = [tag("dt", word) + tag("dd", WORDS[word]) for word in sorted(WORDS, key=str.lower)]
    return tag("details", tag("summary", "what the words mean"), tag("dl", Markup("".join(pairs))))
