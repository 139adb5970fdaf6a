"""The pages of account-activation: sign up, get another mail, activate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from unicodedata import category

from flask import Flask, Response, abort, redirect, request
from werkzeug.wrappers import Response as Redirect

from comms.addresses import is_address
from comms.compose import Message
from comms.host import Host
from scenarios.sending.account_activation_desk import Desk
from scenarios.web import client, form_id, make_app, page

if TYPE_CHECKING:
    from scenarios.sending.account_activation import Rules

PAGES = Path(__file__).parent / "pages"
LONGEST = {"name": 100, "address": 254}  # characters; RFC 5321 §4.5.3.1.3 for the address


def problem(name: str, value: str) -> str:
    """Returns what is wrong with a field of a form, or "". It depends on the field alone."""
    if not value:
        return f"Please write your {'mail address' if name == 'address' else 'name'}."
    if len(value) > LONGEST[name]:
        return f"The {name} is too long."
    if any(category(c)[0] == "C" for c in value):
        return f"The {name} has characters that cannot be shown."
    if name == "address":
        try:
            if not is_address(value):
                return "This is not a mail address. Write it like you@example.org."
            Message(value, [value]).to_bytes()
        except ValueError:
            return "No mail can be written to this address."
    return ""


def pages(rules: Rules, desk: Desk, keys: Sequence[str], host: Host) -> Flask:
    """Returns the web application."""
    app = make_app(PAGES, rules.site, keys, host, rules.proxies)

    def ask(*names: str) -> Response | Redirect:
        """Shows the form of these fields, or takes one that was sent."""
        given = {name: request.form.get(name, "").strip() for name in ("name", "address")}
        problems = [wrong for name in names if (wrong := problem(name, given[name]))]
        if request.method != "POST" or problems:
            wrong = problems[0] if request.method == "POST" else ""
            values = {**given, "problem": wrong, "signs_up": "name" in names}
            return page("sign_up.html", 400 if wrong else 200, **values)
        name = given["name"] if "name" in names else ""
        if not desk.ask(given["address"], name, client(), form_id()):
            abort(429)
        # After a redirect, loading the page again sends no form again.
        return redirect("/sent", 303)

    @app.get("/")
    def start() -> Redirect:
        return redirect("/sign-up", 302)

    @app.route("/sign-up", methods=["GET", "POST"])
    def sign_up() -> Response | Redirect:
        return ask("name", "address")

    @app.route("/resend", methods=["GET", "POST"])
    def resend() -> Response | Redirect:
        return ask("address")

    @app.get("/sent")
    def sent() -> Response:
        return page("sent.html")

    @app.get("/activate")
    def show() -> Response:
        # Programs that check mails open every link in them, so a GET or HEAD changes nothing.
        token = request.args.get("token", "")
        asked = desk.signed_up(token)
        if asked is None:
            return page("refused.html", 410)
        return page("activate.html", name=asked.name, address=asked.address, token=token)

    @app.post("/activate")
    def activate() -> Response | Redirect:
        if not desk.activate(request.form.get("token", ""), form_id()):
            return page("refused.html", 410)
        return redirect("/active", 303)

    @app.get("/active")
    def active() -> Response:
        return page("active.html")

    return app
