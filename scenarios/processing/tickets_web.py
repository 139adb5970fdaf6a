"""The pages of tickets: a list, conversations, answers; and the same as JSON for programs."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import category

from flask import Flask, Response, abort, g, jsonify, make_response, redirect, request, url_for
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.wrappers import Response as Redirect

from comms.clock import Clock
from comms.errors import SettingsError
from comms.host import Host
from scenarios.processing.tickets_agents import STATES, Agents, Entry, Impossible, Repeated
from scenarios.processing.tickets_model import Ticket
from scenarios.web import client, form_id, make_app, page, served, signing_keys

if TYPE_CHECKING:
    from scenarios.processing.tickets import Rules

PAGES = Path(__file__).parent / "pages"
# One script, which loads what has changed; and frames, in which the HTML of mails is.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
# A mail runs no script, sends no form, and loads nothing from anywhere.
MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'self'"
)
# Elements that make some browsers open a connection, although they then load nothing through it.
CONNECTS = re.compile(
    r"(</?)(iframe|frame|frameset|fencedframe|portal|object|embed|link|meta|base)(?![\w-])", re.I
)
GUESSES, HOUR = 10, 3600.0  # wrong passwords from one client, in that many seconds
TYPES = {"tickets.css": "text/css", "tickets.js": "text/javascript"}


@contextmanager
def serve_pages(rules: Rules, agents: Agents, clock: Clock, host: Host) -> Iterator[None]:
    """Serves the pages within a block, if the settings say where."""
    if not rules.listen:
        yield
        return
    app = pages(rules, agents, signing_keys(rules.secret, host), clock, host)
    with served(app, rules.listen, host):
        yield


def pages(rules: Rules, agents: Agents, keys: list[str], clock: Clock, host: Host) -> Flask:
    """Returns the web application."""
    app = make_app(PAGES, rules.site, keys, host, rules.proxies)
    app.jinja_env.filters["time"] = _time
    logins = Logins(rules.login, clock, host) if rules.login else None

    @app.before_request
    def check_login() -> Response | None:
        g.agent = "agent"
        if logins is None:
            return None
        given = request.authorization
        name, password = (given.username, given.password) if given else (None, None)
        if name is not None and password is not None and logins.accepts(name, password, client()):
            g.agent = name
            return None
        refused = page("message.html", 401, title="Log in", text="Load the page again to log in.")
        refused.headers["WWW-Authenticate"] = 'Basic realm="Tickets", charset="UTF-8"'
        return refused

    @app.after_request
    def add_policy(response: Response) -> Response:
        response.headers.setdefault("Content-Security-Policy", POLICY)
        return response

    # ── looking ──────────────────────────────────────────────────────────────

    @app.get("/")
    def start() -> Redirect:
        return redirect(url_for("tickets"), 302)

    def listed() -> dict[str, Any]:
        words = _clean(request.args.get("q", ""))[:200]
        state = request.args.get("state", "open")
        number = request.args.get("page", "1")
        if state not in STATES or not (number.isascii() and number.isdecimal()):
            abort(404)
        found = agents.find(words, state, int(number[:6]))
        return {"q": words, "state": state, "found": found, "states": STATES}

    @app.get("/tickets")
    def tickets() -> Response:
        values = listed()
        shown = [(one.id, one.changed, one.closed) for one in values["found"].tickets]
        return page("list.html", version=_version(values["found"].total, shown), **values)

    @app.get("/tickets.json")
    def tickets_json() -> Response:
        found = listed()["found"]
        rows = [_as_json(ticket) for ticket in found.tickets]
        return jsonify(tickets=rows, total=found.total, page=found.page, pages=found.pages)

    def looked_up(number: int) -> tuple[Ticket, list[Entry], list[Ticket]]:
        found = agents.ticket(number)
        if found is None:
            abort(404)
        return found

    def conversation(number: int, problem: str = "", text: str = "") -> Response:
        ticket, entries, merged = looked_up(number)
        states = [(answer.id, answer.outcome) for one in entries for answer in one.answers]
        version = _version(ticket.changed, ticket.closed, states)
        values = {"ticket": ticket, "entries": entries, "merged": merged, "version": version}
        values["agent"] = g.agent
        code = 400 if problem else 200
        return page("ticket.html", code, problem=problem, text=text, **values)

    @app.get("/tickets/<int(max=999999999):number>")
    def ticket(number: int) -> Response:
        return conversation(number)

    @app.get("/tickets/<int(max=999999999):number>.json")
    def ticket_json(number: int) -> Response:
        found, entries, _ = looked_up(number)
        people = [one.address for one in found.participants]
        mails = [_entry_as_json(entry) for entry in entries]
        return jsonify(**_as_json(found), participants=people, mails=mails)

    @app.get("/mails/<int(max=999999999):number>/html")
    def mail_html(number: int) -> Response:
        html = agents.html(number) or abort(404)
        # Under another name, an element means nothing; and to replace a name takes little time.
        response = make_response(CONNECTS.sub(r"\1x-\2", html))
        response.headers["Content-Security-Policy"] = MAIL_POLICY
        response.headers["X-Frame-Options"] = "SAMEORIGIN"
        response.headers["X-DNS-Prefetch-Control"] = "off"
        return response

    @app.get("/mails/<int(max=999999999):number>.eml")
    def mail_raw(number: int) -> Response:
        raw = agents.raw(number)
        return _file(f"mail-{number}.eml", abort(404) if raw is None else raw)

    @app.get("/attachments/<int(max=999999999):number>")
    def attachment(number: int) -> Response:
        return _file(*(agents.attachment(number) or abort(404)))

    @app.get("/<any('tickets.css', 'tickets.js'):name>")
    def beside(name: str) -> Response:
        response = make_response((PAGES / name).read_text("utf-8"))
        response.headers.update({"Content-Type": TYPES[name], "Cache-Control": "max-age=3600"})
        return response

    # ── doing ────────────────────────────────────────────────────────────────

    acts = "any(answer, close, reopen, merge, split, take, leave)"

    @app.post(f"/tickets/<int(max=999999999):number>/<{acts}:act>")
    def change(number: int, act: str) -> Response | Redirect:
        form, agent, text = form_id(), g.agent, ""
        goes_on_at = number
        try:
            if act == "answer":
                text = _clean(request.form.get("text", "").replace("\r\n", "\n")).strip()
                if not text:
                    raise Impossible("Please write something.")
                close, seen = "close" in request.form, request.form.get("seen")
                agents.answer(number, f"{text}\n", agent, form, close, seen)
            elif act == "merge":
                goes_on_at = _number(request.form.get("into", "").strip().removeprefix("#"))
                agents.merge(number, goes_on_at, agent, form)
            elif act == "split":
                letter = _number(request.form.get("letter", ""))
                goes_on_at = agents.split(number, letter, agent, form)
            elif act in ("take", "leave"):
                agents.assign(number, act == "take", agent, form)
            else:
                agents.close(number, act == "close", agent, form)
        except Impossible as error:
            return conversation(number, str(error), text)
        except Repeated:
            goes_on_at = number  # it was done when the form came first
        # After a redirect, loading the page again sends no form again.
        return redirect(url_for("ticket", number=goes_on_at), 303)

    return app


class Logins:
    """The agents, and who of them has shown a password. Raises SettingsError for a bad file."""

    def __init__(self, file: Path, clock: Clock, host: Host) -> None:
        self._hashes: dict[str, str] = {}
        for number, line in enumerate(file.read_text("utf-8-sig", "replace").splitlines(), 1):
            name, _, hashed = line.strip().partition(":")
            if line.strip() and not (name and _is_hash(hashed)):
                raise SettingsError(
                    f"{file}:{number}: expected NAME:HASH; write what "
                    "werkzeug.security.generate_password_hash returns"
                )
            self._hashes[name] = hashed
        self._nobody = generate_password_hash("")  # an unknown name takes as long as a known one
        self._key, self._known = host.token(40).encode(), set[str]()
        self._clock, self._wrong = clock, dict[str, list[float]]()

    def accepts(self, name: str, password: str, where: str) -> bool:
        """Returns whether this is the password of an agent. Aborts with 429 after many guesses."""
        # The hash is slow on purpose, and each request of a browser has the password.
        text = f"{name}\0{password}".encode()
        known = hmac.new(self._key, text, hashlib.sha256).hexdigest()
        if known in self._known:
            return True
        now = self._clock.monotonic()
        wrong = [at for at in self._wrong.get(where, []) if at > now - HOUR]
        if len(wrong) >= GUESSES:
            abort(429)
        fits = check_password_hash(self._hashes.get(name, self._nobody), password)
        if fits and name in self._hashes:
            self._known.add(known)
            return True
        if len(self._wrong) > 10_000:
            self._wrong.clear()  # it is only a brake, and must not grow without end
        self._wrong[where] = [*wrong, now]
        return False


def _is_hash(text: str) -> bool:
    try:
        check_password_hash(text, "")  # raises for a method that it does not know
        return text.count("$") == 2
    except ValueError:
        return False


def _clean(text: str) -> str:
    """Returns a text without characters that no database takes and no page shows."""
    return "".join(c for c in text if c in "\n\t" or category(c) not in ("Cc", "Cs", "Co", "Cn"))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise Impossible("Please write the number of a ticket.")
    return int(text)


def _version(*values: object) -> str:
    """Returns what tells the script that a page has changed."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


def _file(name: str, content: bytes) -> Response:
    """Returns a file that is kept and never shown: it could be a page with a script."""
    response = make_response(content)
    response.headers["Content-Type"] = "application/octet-stream"
    response.headers["Content-Security-Policy"] = "sandbox"
    response.headers.set("Content-Disposition", "attachment", filename=name)
    return response


def _time(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M}"


def _as_json(ticket: Ticket) -> dict[str, Any]:
    names = "id owner subject text opened changed closed agent merged_into follows".split()
    return {name: getattr(ticket, name) for name in names}


def _entry_as_json(entry: Entry) -> dict[str, Any]:
    found: dict[str, Any] = {"at": entry.at, "who": entry.who, "text": entry.whole or entry.text}
    if entry.letter is not None:
        files = [{"id": file.id, "name": file.name} for file in entry.letter.attachments]
        found |= {"mail": entry.letter.id, "attachments": files, "automatic": entry.automatic}
    else:
        found["to"] = {answer.address: answer.outcome for answer in entry.answers}
    return found
