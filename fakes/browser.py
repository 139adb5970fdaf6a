"""A person's web browser, which visits the site of the program in a rehearsal.

    ann = world.browser("ann@customer.test")
    world.clock.at(10, lambda: ann.open("http://127.0.0.1:8025/sign-up"))
    world.clock.at(20, lambda: ann.submit(address="ann@customer.test"))
    ann.page.status, ann.page.title, ann.page.text

It calls the web application (PEP 3333) that the program serves, keeps cookies, follows redirects,
and sends a form with its hidden fields. It runs no scripts and loads no images. Each request is an
event of the recording, without its query, in which a secret may be.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urljoin, urlsplit

from fakes.html_text import read_html

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

REDIRECTS = 5  # that are followed
FORM = "application/x-www-form-urlencoded"


@dataclass
class Form:
    """A form of a page: where it goes, and what is filled in already."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """What a browser shows. Names in `headers` are in lower case; without an answer, status is 0.

    The values of a header that occurs several times are joined by line feeds.
    """

    url: str
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    title: str = ""
    forms: tuple[Form, ...] = ()

    @property
    def html(self) -> str:
        """The source of the page."""
        return self.body.decode("utf-8", "replace")

    @property
    def text(self) -> str:
        """What a person reads on it."""
        return read_html(self.html).text


class Browser:
    """The browser of one person, at one address of the network.

    `site` returns the application that is served now, None if there is none. `record` is called
    with each line of what happens.
    """

    def __init__(
        self,
        address: str,
        site: Callable[[], WSGIApplication | None],
        record: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.address = address
        self.cookies: dict[str, str] = {}
        self.page = Page("")
        self._site, self._record = site, record

    def open(
        self,
        url: str,
        method: str = "GET",
        data: Mapping[str, str] | bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Page:
        """Requests a page, and shows it. `data` are the fields of a form, or any body."""
        for _ in range(REDIRECTS):
            self.page = self._request(url, method, data, headers or {})
            location = self.page.headers.get("location")
            if location is None or self.page.status not in (301, 302, 303, 307, 308):
                break
            url = urljoin(url, location)
            if self.page.status == 303:
                method, data = "GET", b""
        return self.page

    def submit(self, page: Page | None = None, form: int = 0, /, **fields: str) -> Page:
        """Fills in a form and sends it: the first one of the page that is shown, or another.

        Raises LookupError if there is none, or if it does not have these fields.
        """
        shown = page or self.page
        if form >= len(shown.forms):
            raise LookupError(f"{shown.url}: the page has {len(shown.forms)} forms")
        chosen = shown.forms[form]
        for name in fields:
            if name not in chosen.fields:
                known = ", ".join(chosen.fields) or "none"
                raise LookupError(f"{shown.url}: the form has no field {name!r}; it has: {known}")
        url = urljoin(shown.url, chosen.action)
        return self.open(url, chosen.method, {**chosen.fields, **fields})

    def _request(
        self, url: str, method: str, data: Mapping[str, str] | bytes, headers: Mapping[str, str]
    ) -> Page:
        parts, app = urlsplit(url), self._site()
        path = parts.path or "/"
        if app is None:
            self._record(f"{method} {path}: no answer")
            return Page(url)
        body = data if isinstance(data, bytes) else urlencode(data).encode()
        given = {"Host": parts.netloc, **headers}
        if self.cookies:
            given["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": parts.query,
            "REMOTE_ADDR": self.address,
            "SERVER_NAME": parts.hostname or "",
            "SERVER_PORT": str(parts.port or (443 if parts.scheme == "https" else 80)),
            "SERVER_PROTOCOL": "HTTP/1.1",
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": "" if isinstance(data, bytes) else FORM,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": parts.scheme,
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for name, value in given.items():
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        page = self._shown(url, *_call(app, environ))
        leads_on = "location" in page.headers
        title = f' "{page.title}"' if page.title and not leads_on else ""
        self._record(f"{method} {path}: {page.status}{title}")
        return page

    def _shown(self, url: str, status: str, pairs: list[tuple[str, str]], body: bytes) -> Page:
        headers: dict[str, str] = {}
        for name, value in pairs:
            key = name.lower()
            headers[key] = f"{headers[key]}\n{value}" if key in headers else value
            if key == "set-cookie":
                for cookie in SimpleCookie(value).values():
                    self.cookies[cookie.key] = cookie.value
        content = _Content()
        if headers.get("content-type", "").startswith("text/html"):
            content.feed(body.decode("utf-8", "replace"))
        title = content.title.strip()
        return Page(url, int(status[:3]), headers, body, title, tuple(content.forms))


def _call(
    app: WSGIApplication, environ: dict[str, Any]
) -> tuple[str, list[tuple[str, str]], bytes]:
    """Returns status, headers and body of an application's answer."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], exc_info: object = None
    ) -> Callable[[bytes], object]:
        started.append((status, headers))
        return lambda data: None

    pieces: Iterable[bytes] = app(environ, start_response)
    try:
        body = b"".join(pieces)
    finally:
        getattr(pieces, "close", lambda: None)()
    return (*started[-1], body)


class _Content(HTMLParser):
    """The title and the forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.forms: list[Form] = []
        self._in_title = self._in_form = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "title":
            self._in_title = True
        elif tag == "form":
            method = given.get("method", "get").upper()
            self.forms.append(Form(given.get("action", ""), method))
            self._in_form = True
        elif tag in ("input", "textarea", "button") and self._in_form and given.get("name"):
            self.forms[-1].fields[given["name"]] = given.get("value", "")

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag == "form":
            self._in_form = False

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
