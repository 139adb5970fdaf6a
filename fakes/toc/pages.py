"""The web half: the pages that GOTO_URL names, served over HTTP on the TOC port.

Each user has two pages: its profile, and its entry in the directory.
"""

from __future__ import annotations

from html import escape
from urllib.parse import parse_qsl, quote

from fakes.http import Request, Response
from fakes.toc.aim import Aim
from fakes.toc.lists import fold
from fakes.toc.presence import Presence, Unavailable

PROFILE, DIRECTORY = "info", "dir_info"


def url(page: str, asker: Presence, name: str) -> str:
    """Returns the relative address of a page about a user, for the session that asked.

    It holds no colon, because some clients split the message at every colon.
    """
    user = quote(fold(name).encode("latin-1"), safe="")
    return f"{page}?cookie={asker.cookie}&user={user}"


class Pages:
    """The pages of one world: a function from `Request` to `Response`."""

    def __init__(self, aim: Aim) -> None:
        self._aim = aim

    def __call__(self, request: Request) -> Response:
        """Answers 400 without a cookie, 403 for an unknown cookie, 404 for an offline user."""
        page = request.path.strip("/")
        if page not in (PROFILE, DIRECTORY):
            return Response(404, "There is no such page.")
        query = dict(parse_qsl(request.target.partition("?")[2], True, encoding="latin-1"))
        if "cookie" not in query:
            return Response(400, "Ask through your client: the address needs its cookie.")
        asker = self._aim.owner_of(query["cookie"])
        if asker is None:
            return Response(403, "This cookie is no longer valid.")
        name = query.get("user", "")
        return self._entry(name) if page == DIRECTORY else self._profile(asker, name)

    def _entry(self, name: str) -> Response:
        account = self._aim.known.find(name)
        if account is None or not account.directory:
            return Response(404, "The directory has no such entry.")
        fields = [escape(field) for field in account.directory if field]
        return _page(account.screen_name, "<br>".join(fields))

    def _profile(self, asker: Presence, name: str) -> Response:
        try:
            other = self._aim.reachable(asker, name)
        except Unavailable:
            return Response(404, "That person is not online.")
        status = other.status(self._aim.now())
        facts = f"Warning level: {status.warning} %<br>Idle: {status.idle} minutes"
        away = f"<p>Away: {other.away}</p>" if other.away else ""
        return _page(other.name, f"<p>{facts}</p>{away}<p>{other.account.profile}</p>")


def _page(name: str, body: str) -> Response:
    """A page. Profiles and away messages are HTML already, so the body is not escaped."""
    title = escape(name)
    html = f"<html><head><title>{title}</title></head><body><h1>{title}</h1>{body}</body></html>\n"
    return Response(200, html, "text/html; charset=iso-8859-1", "latin-1")
