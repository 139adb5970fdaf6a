"""The web half: what GOTO_URL points at, on the same port. One page a person: the profile, or the directory's entry."""

from __future__ import annotations

from html import escape
from urllib.parse import quote

from fakes.http import Request, Response
from fakes.toc.aim import Aim
from fakes.toc.lists import fold
from fakes.toc.presence import Presence, Unavailable

PROFILE, DIRECTORY = "info", "dir_info"


def url(page: str, asker: Presence, name: str) -> str:
    """The relative address of a page about somebody; it holds no colon, for clients that part fields by it."""
    return f"{page}?cookie={asker.cookie}&user={quote(fold(name).encode('latin-1'), safe='')}"


class Pages:
    """Answers requests of one world."""

    def __init__(self, aim: Aim) -> None:
        self._aim = aim

    def __call__(self, request: Request) -> Response:
        """400 without a cookie, 403 with one that is nobody's, 404 when the other is not on line."""
        page = request.path.strip("/")
        if page not in (PROFILE, DIRECTORY):
            return Response(404, "There is no such page.")
        if "cookie" not in request.query:
            return Response(400, "Ask through your client: the address needs its cookie.")
        asker = self._aim.admitted(request.query["cookie"])
        if asker is None:
            return Response(403, "This cookie is no longer valid.")
        name = request.query.get("user", "").encode("latin-1", "replace").decode("latin-1")
        if page == DIRECTORY:
            account = self._aim.known.find(name)
            if account is None or not account.directory:
                return Response(404, "The directory has no such entry.")
            return _page(account.screen_name, "<br>".join(escape(field) for field in account.directory if field))
        try:
            other = self._aim.reachable(asker, name)
        except Unavailable:
            return Response(404, "That person is not on line.")
        status = other.status(self._aim.now())
        facts = [f"Warning level: {status.warning} %", f"Idle: {status.idle} minutes"]
        away = f"<p>Away: {other.away}</p>" if other.away else ""
        return _page(other.name, f"<p>{'<br>'.join(facts)}</p>{away}<p>{other.account.profile}</p>")


def _page(name: str, body: str) -> Response:
    """A page; what people wrote of themselves is HTML already, as TOC carries it."""
    html = f"<html><head><title>{escape(name)}</title></head><body><h1>{escape(name)}</h1>{body}</body></html>\n"
    return Response(200, html, "text/html; charset=iso-8859-1", "latin-1")
