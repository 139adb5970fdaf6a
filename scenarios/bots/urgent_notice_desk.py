"""The notices of urgent-notice: read, told by one channel after the other, ended, reported."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from sqlite3 import Connection
from typing import TYPE_CHECKING

from comms import sms
from comms.bots.network import Heard
from comms.bots.notices import Notice as Said
from comms.bots.notices import Notices, Outcome
from comms.clock import Clock
from comms.compose import Message
from comms.host import Host
from comms.hours import Hours
from comms.outbox import Outbox
from comms.settings import Server
from comms.state import State
from comms.suggest import did_you_mean
from comms.words import one_line
from scenarios.growing import Place

if TYPE_CHECKING:
    from scenarios.bots.urgent_notice import Rules

CHANNELS = ("message", "sms", "mail")
NEXT = {"message": "sms", "sms": "mail", "mail": "end"}
HELP = "You may say: ok disk-7, open, report disk-7"
LONGEST = 1000  # characters of a notice
SHOWN = 20  # open notices, or acknowledgements of one, that are listed
DAY = 86400.0
ON_ITS_WAY, NOT_NEEDED = "on its way", "not needed"
_ID = re.compile(r"[a-z0-9._-]{1,20}")
_SERVER = re.compile(r"\S+:[0-9]+:? (?:refused )?")  # what errors begin with
_WORDS = re.compile(r"(?:ok|ack)(?: ([a-z0-9._-]{1,20}))?|report ([a-z0-9._-]{1,20})|(open)")
_SCHEMA = """
CREATE TABLE IF NOT EXISTS urgent (
    id TEXT PRIMARY KEY, person TEXT NOT NULL, text TEXT NOT NULL, wakes INTEGER NOT NULL,
    made REAL NOT NULL, step TEXT NOT NULL DEFAULT 'message', due REAL NOT NULL,
    ended TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS urgent_open ON urgent (due) WHERE ended = '';
CREATE TABLE IF NOT EXISTS urgent_result (
    id TEXT NOT NULL, channel TEXT NOT NULL, result TEXT NOT NULL, message_id TEXT NOT NULL,
    at REAL NOT NULL, PRIMARY KEY (id, channel));
CREATE TABLE IF NOT EXISTS urgent_ack (
    id TEXT NOT NULL, person TEXT NOT NULL, at REAL NOT NULL, verdict TEXT NOT NULL);
"""
_COLUMNS = "id, person, text, wakes, made, step, due, ended"


@dataclass(frozen=True)
class Notice:
    """A notice: its next channel is `step`, used when it is `due`. It is open until `ended`."""

    id: str
    person: str
    text: str
    wakes: bool = False
    made: float = 0.0
    step: str = "message"
    due: float = 0.0
    ended: str = ""


def parse(line: bytes, people: Mapping[str, object]) -> Notice:
    """Reads a line. Raises ValueError."""
    try:
        table = json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(table, dict):
        raise ValueError("expected an object")
    id, to, text, wakes = (table.get(key) for key in ("id", "to", "text", "wakes"))
    if not isinstance(id, str) or not _ID.fullmatch(id.casefold()):
        raise ValueError("id: expected 1 to 20 letters, digits, dots, hyphens and underscores")
    if not isinstance(to, str) or to not in people:
        hint = did_you_mean(to, people) if isinstance(to, str) else ""
        raise ValueError(f"to: unknown person {one_line(str(to))[:40]!r}{hint}")
    if not isinstance(text, str) or not (shown := one_line(text).strip()):
        raise ValueError("text: expected a text")
    if wakes not in (None, True, False):
        raise ValueError("wakes: expected true or false")
    shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]}…"
    return Notice(id.casefold(), to, shown, bool(wakes))


def _at(now: float) -> str:
    return f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _reason(error: str) -> str:
    """Returns an error without the server's address: a report says why. The log has the rest."""
    found = _SERVER.match(error)
    return error[found.end() :] if found else error


class Desk:
    """The state of the program: what follows from one thing is stored together with it."""

    def __init__(
        self, state: State, rules: Rules, phones: Mapping[str, str], clock: Clock, host: Host
    ) -> None:
        self._state, self._rules, self._phones = state, rules, phones
        self._clock, self._host, self._mails = clock, host, Outbox(state)
        self._quiet = Hours(rules.quiet, rules.zone, "quiet")
        self._place = Place(state, rules.notices)
        self.notices = Notices(state, self._settle)
        with state.transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
        self._recover()

    def _recover(self) -> None:
        """Notes what is unknown because an earlier run ended in the middle."""
        self.notices.recover(self._clock.time())
        rows = self._state.rows(
            "SELECT id, channel, message_id FROM urgent_result "
            "WHERE result = ? AND message_id != ''",
            ON_ITS_WAY,
        )
        for id, channel, message_id in rows:
            if not self._mails.knows(str(message_id)):
                trouble = "in doubt: the program ended before its outcome was noted"
                with self._state.transaction() as db:
                    self._result(db, str(id), str(channel), trouble)

    # ── notices ──────────────────────────────────────────────────────────────

    def read(self) -> None:
        """Takes in what was appended to the file since the last look."""
        try:
            for line, end in self._place.lines():
                self._take_in(line, end)
        except FileNotFoundError:
            pass  # there was no notice yet
        except OSError as error:
            self._host.log("notices-unreadable", "warning", trouble=str(error.strerror))

    def _take_in(self, line: bytes, end: int) -> None:
        with self._state.transaction() as db:
            self._place.move(db, end)
            try:
                notice = parse(line, self._rules.people)
            except ValueError as error:
                self._host.log("line-skipped", "warning", before=end, trouble=error)
                return
            now = self._clock.time()
            row = (notice.id, notice.person, notice.text, notice.wakes, now, now)
            new = db.execute(
                "INSERT OR IGNORE INTO urgent (id, person, text, wakes, made, due) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                row,
            )
        event, level = ("notice", "info") if new.rowcount else ("notice-known", "warning")
        self._host.log(event, level, id=notice.id, to=notice.person)

    def _find(self, where: str, *values: object) -> list[Notice]:
        query = f"SELECT {_COLUMNS} FROM urgent WHERE {where} ORDER BY rowid"
        return [
            Notice(str(i), str(p), str(t), bool(w), float(str(m)), str(s), float(str(d)), str(e))
            for i, p, t, w, m, s, d, e in self._state.rows(query, *values)
        ]

    def open_notices(self) -> list[Notice]:
        """Returns the notices that have not ended."""
        return self._find("ended = ''")

    def advance(self, online: Mapping[str, tuple[str, str] | None]) -> None:
        """Goes on to the next channel of each notice for which it is time."""
        now = self._clock.time()
        # No channel waits for longer than a day and a half: what is due later was set by a clock
        # that was wrong.
        longest = max(self._rules.message, self._rules.sms, self._rules.mail)
        for notice in self._find("ended = '' AND (due <= ? OR due > ?)", now, now + longest):
            current = notice
            while current.due <= now or current.due > now + longest:
                with self._state.transaction() as db:
                    self._step(db, current, online.get(current.person), now)
                (after,) = self._find("id = ?", current.id)
                if after.ended or after.step == current.step:
                    break
                current = after

    def _step(
        self, db: Connection, notice: Notice, place: tuple[str, str] | None, now: float
    ) -> None:
        """Uses the next channel, or ends the notice."""
        step, due = notice.step, now
        if step == "end" or notice.person not in self._rules.people:
            self._end(db, notice, "nobody has acknowledged it", now)
            return
        if step != "mail" and not notice.wakes and self._quiet.are_now(now):
            self._mail(db, notice)  # it wakes nobody; the other channels wait
            return
        if step == "message":
            if place is not None:
                text = f"URGENT {notice.id}: {notice.text}\nSay: ok {notice.id}"
                self.notices.put(*place, text, notice.id, now, db)
                due = now + self._rules.message
            self._result(db, notice.id, step, ON_ITS_WAY if place is not None else "not online")
        elif step == "sms":
            if phone := self._phones.get(notice.person):
                text = sms.cut(sms.plain(f"{notice.id}: {notice.text}"))
                self._post(db, notice.id, step, Message(self._rules.sender, [phone], text=text))
                due = now + self._rules.sms
            else:
                self._result(db, notice.id, step, "no phone is known")
        else:
            self._mail(db, notice)
            due = now + self._rules.mail
        db.execute("UPDATE urgent SET step = ?, due = ? WHERE id = ?", (NEXT[step], due, notice.id))

    def _mail(self, db: Connection, notice: Notice) -> None:
        """Mails a notice, once."""
        query = "SELECT 1 FROM urgent_result WHERE id = ? AND channel = 'mail'"
        if db.execute(query, (notice.id,)).fetchone() is None:
            subject = f"URGENT {notice.id}: {notice.text[:100]}"
            text = f"{notice.text}\n\nTo acknowledge it, say by Jabber or AIM: ok {notice.id}\n"
            to = [self._rules.people[notice.person]["mail"]]
            self._post(db, notice.id, "mail", Message(self._rules.sender, to, subject, text))

    def _post(self, db: Connection, id: str, channel: str, mail: Message) -> None:
        mail.add_header("Auto-Submitted", "auto-generated")  # RFC 3834 §5
        mail = mail.stamped(self._clock, self._host)
        self._mails.put(mail, self._clock.time(), db=db)
        if channel:
            self._result(db, id, channel, ON_ITS_WAY, mail.message_id)

    def _end(self, db: Connection, notice: Notice, why: str, now: float) -> None:
        """Ends a notice: what still waits is not sent, and the report is."""
        self.notices.withdraw(notice.id, db)
        for channel in CHANNELS:
            query = "SELECT message_id, result FROM urgent_result WHERE id = ? AND channel = ?"
            row = db.execute(query, (notice.id, channel)).fetchone()
            if row is not None and row[0]:
                self._mails.withdraw(row[0], db)
            if row is None:
                self._result(db, notice.id, channel, NOT_NEEDED)
            elif row[1].startswith((ON_ITS_WAY, "waits")) and not self._mails.knows(row[0]):
                self._result(db, notice.id, channel, "withdrawn")
        db.execute("UPDATE urgent SET ended = ? WHERE id = ?", (why, notice.id))
        self._host.log("notice-ended", id=notice.id, why=why)
        if self._rules.report:
            text = self._report(notice.id)
            head = text.partition("\n")[0]
            self._post(db, "", "", Message(self._rules.sender, [self._rules.report], head, text))

    # ── what becomes of each channel ─────────────────────────────────────────

    def _result(
        self, db: Connection, id: str, channel: str, result: str, message_id: str = ""
    ) -> None:
        db.execute(
            "INSERT INTO urgent_result VALUES (?, ?, ?, ?, ?) ON CONFLICT (id, channel) "
            "DO UPDATE SET result = excluded.result, at = excluded.at, "
            "message_id = coalesce(nullif(excluded.message_id, ''), message_id)",
            (id, channel, result, message_id, self._clock.time()),
        )

    def _hurry(self, db: Connection, id: str, channel: str) -> None:
        """Lets the next channel be used at once, because this one has failed."""
        db.execute(
            "UPDATE urgent SET due = ? WHERE id = ? AND step = ? AND ended = ''",
            (self._clock.time(), id, NEXT[channel]),
        )

    def _settle(self, db: Connection, said: Said, outcome: Outcome, error: str) -> None:
        texts = {"said": f"sent by {said.network}", "absent": "not online"}
        doubt = "in doubt" if outcome == "unknown" else outcome
        why = f"{doubt}: {said.network}: {_reason(error)}"
        self._result(db, said.about, "message", texts.get(outcome, why))
        if outcome != "said":
            self._hurry(db, said.about, "message")
        level = "info" if outcome == "said" else "warning"
        self._host.log(f"message-{outcome}", level, id=said.about, trouble=error)

    def send(self, server: Server) -> None:
        """Sends the mails that are due, texts among them."""
        for result in self._mails.flush(server, self._clock, self._host):
            known = "SELECT id, channel FROM urgent_result WHERE message_id = ?"
            rows = self._state.rows(known, result.message_id)
            level = "info" if result.status == "sent" else "warning"
            for id, channel in rows:
                doubt = {"sent": "sent", "unknown": "in doubt", "waiting": "waits"}
                text = doubt.get(result.status, result.status)
                text = f"{text}: {_reason(result.error)}" if result.error else text
                with self._state.transaction() as db:
                    self._result(db, str(id), str(channel), text)
                    if result.status not in ("sent", "waiting"):
                        self._hurry(db, str(id), str(channel))
            what = str(rows[0][1]) if rows else "report"
            facts = {"to": result.address, "trouble": result.error}
            self._host.log(f"{what}-{result.status}", level, **facts)

    def _report(self, id: str) -> str:
        (notice,) = self._find("id = ?", id)
        rows = self._state.rows("SELECT channel, result, at FROM urgent_result WHERE id = ?", id)
        results = {str(channel): (str(text), float(str(at))) for channel, text, at in rows}
        found = [f"{notice.id} for {notice.person}: {notice.ended or 'not acknowledged yet'}"]
        for channel in CHANNELS:
            text, at = results.get(channel, ("not yet", 0.0))
            found.append(f"{channel}: {text}" + (f" ({_at(at)})" if at else ""))
        acks = "SELECT person, at, verdict FROM urgent_ack WHERE id = ? ORDER BY rowid LIMIT ?"
        for person, said_at, verdict in self._state.rows(acks, id, SHOWN):
            found.append(f"{person} said ok, {verdict} ({_at(float(str(said_at)))})")
        return "\n".join([*found, f"it was: {notice.text}"])

    # ── what people say ──────────────────────────────────────────────────────

    def answer(self, heard: Heard, person: str) -> None:
        """Does what a person says, and stores the answer with it."""
        words = " ".join(one_line(heard.text[:LONGEST]).casefold().split())
        match = _WORDS.fullmatch(words)
        with self._state.transaction() as db:
            if match is None:
                text = HELP if words in ("help", "?") else f"I do not understand that. {HELP}"
            elif match[3]:
                found = self.open_notices()
                rows = [f"{one.id} for {one.person}: {one.text[:60]}" for one in found[:SHOWN]]
                text = "\n".join([f"{len(found)} open", *rows])
            elif match[2]:
                known = self._find("id = ?", match[2])
                text = self._report(match[2]) if known else f"There is no notice {match[2]}"
            else:
                text = self._acknowledge(db, person, match[1] or "")
            heard.network.put(heard.to, text, self._clock.time(), db)

    def _acknowledge(self, db: Connection, person: str, id: str) -> str:
        mine = self._find("ended = '' AND person = ?", person)
        if not id:
            if len(mine) != 1:
                which = ", ".join(f"ok {one.id}" for one in mine[:SHOWN])
                return f"Which one? Say: {which}" if mine else "No notice waits for you."
            id = mine[0].id
        found = self._find("id = ?", id)
        if not found:
            return f"There is no notice {id}"
        notice, now = found[0], self._clock.time()
        verdict = "whom it is not for" if notice.person != person else "too late"
        if notice.person == person and not notice.ended:
            verdict = "in time"
        db.execute("INSERT INTO urgent_ack VALUES (?, ?, ?, ?)", (id, person, now, verdict))
        if verdict == "in time":
            self._end(db, notice, f"acknowledged by {person} after {now - notice.made:.0f} s", now)
            return f"Thank you: {id} is acknowledged, and goes no further."
        self._host.log("acknowledgement", "warning", id=id, by=person, verdict=verdict)
        if notice.ended:
            return f"Recorded. {id} has ended before: {notice.ended}."
        return f"Recorded. {id} is for {notice.person}, and goes on until {notice.person} says ok."
