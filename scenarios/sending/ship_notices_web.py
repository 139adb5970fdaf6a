"""The page of ship-notices on which customers unsubscribe, by one click in their mail program.

List-Unsubscribe-Post tells a mail program that it may send a POST, without cookies, to the address
in List-Unsubscribe. A GET must change nothing, because programs that check mails open every link;
it shows a button.
"""

from __future__ import annotations

from pathlib import Path

from flask import Flask, Response, abort, request
from sqlalchemy import Engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from comms.clock import Clock
from comms.host import Host
from scenarios.sending.ship_notices_model import Notice, unwanted
from scenarios.web import make_app, page, taken_from_anywhere

PAGES = Path(__file__).parent / "pages"
BODY = "List-Unsubscribe", "One-Click"  # what a mail program sends
PATH = "/unsubscribe"


def headers(site: str, token: str, mail: str) -> list[tuple[str, str]]:
    """Returns the headers by which a customer unsubscribes: by mail, and on a site if any."""
    if not site:
        return [("List-Unsubscribe", f"<{mail}>")]
    url = f"{site}{PATH}?token={token}"
    return [
        ("List-Unsubscribe", f"<{url}>, <{mail}>"),
        ("List-Unsubscribe-Post", "=".join(BODY)),
    ]


def pages(site: str, engine: Engine, clock: Clock, host: Host) -> Flask:
    """Returns the web application. Its forms need no key that outlives it."""
    app = make_app(PAGES, site, [host.token(64)], host)
    taken_from_anywhere(app, "unsubscribe")

    def found(db: Session) -> Notice:
        token = request.args.get("token", "")
        if not token.isalnum():  # PostgreSQL takes no NUL
            abort(404)
        notice = db.scalar(select(Notice).where(Notice.token == token))
        return notice or abort(404)

    @app.get(PATH)
    def show() -> Response:
        with Session(engine) as db, db.begin():
            found(db)
        return page("unsubscribe.html", name=BODY[0], value=BODY[1], done=False)

    @app.post(PATH)
    def unsubscribe() -> Response:
        if request.form.get(BODY[0]) != BODY[1]:
            abort(400)
        try:
            with Session(engine) as db, db.begin():
                notice = found(db)
                unwanted(db, notice, "the customer has unsubscribed", clock.time())
                line = notice.line
            host.log("unsubscribed", line=line)
        except IntegrityError:
            pass  # another click was faster
        return page("unsubscribe.html", done=True)

    return app
