"""Web pages of programs, by Flask: what every one of them needs, whatever it is about.

    app = make_app(folder, "https://accounts.example.org", keys, host)

    @app.get("/sign-up")
    def sign_up() -> str:
        return render_template("sign_up.html")

    with served(app, "127.0.0.1:8025", host):
        ...                                  # the program's own work

Templates are in the folder, and extend `layout.html`. Every value in them is escaped. Each form has
`{{ form_fields() }}`: what it sends is refused unless it comes from a page of ours. Links in mails
begin with the settings' URL, never with what a client has put into its Host header.

The server is that of `Host.serve`. It listens on loopback, unless the settings say otherwise, and
has no TLS: that is the work of a reverse proxy such as nginx.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from flask import Flask, Response, abort, make_response, render_template, request, session
from itsdangerous import BadData, TimestampSigner
from itsdangerous.encoding import base64_decode, base64_encode
from jinja2 import ChoiceLoader, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from sqlalchemy.exc import OperationalError
from werkzeug.exceptions import HTTPException
from werkzeug.middleware.proxy_fix import ProxyFix

from comms.clock import Clock
from comms.errors import SettingsError
from comms.host import Host
from comms.setting_types import Check, shown

PAGES = Path(__file__).parent / "web_pages"
KEY = 32  # characters of a key at least
LARGEST = 65536  # bytes of a form
ID = 20  # characters of the id of a form
OPEN = "forms-from-anywhere"
HOST = re.compile(r"(\[[^\]]+\]|[^:]+)(:[0-9]*)?")  # of a Host field (RFC 9110 §7.2)
HEADERS = {
    # Nothing is loaded but our style sheet, no script runs, and no other site frames a page.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # an address may have a token in it
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
TEXTS = {
    400: ("This did not work", "The form was too old, or not ours. Go back, and load it again."),
    404: ("There is no such page", "Look at the address."),
    405: ("This did not work", "The page cannot be used in this way."),
    413: ("This is too long", "Go back, and write less."),
    429: ("Too many requests", "Please try again in an hour."),
    500: ("Something is wrong here", "It is not your fault. Please try again later."),
    503: ("The database is busy or out of reach", "Please try again in a minute."),
}


def _no_site(value: str) -> str:
    try:
        parts = urlsplit(value)
        host, plain = parts.hostname or "", f"{parts.scheme}://{parts.netloc}"
        named = host.isascii() and parts.port != 0 and not parts.username
    except ValueError:  # a port that is none, or a bracket too many
        host, plain, named = "", "", False
    if not (host and named and value == plain and value.isprintable()):
        return f"{shown(value)} is not the URL of a site, without a path"
    if parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host)):
        return ""
    return "links over http would be in clear text"


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _no_address(value: str) -> str:
    host, _, port = value.rpartition(":")
    try:
        ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        host = ""
    if host and port.isascii() and port.isdecimal() and len(port) <= 5 and int(port) < 65536:
        return ""
    return f"expected IP-ADDRESS:PORT, found {shown(value)}"


SiteUrl = Annotated[str, Check(_no_site, '"https://accounts.example.org"')]
ListenAddress = Annotated[str, Check(_no_address, '"127.0.0.1:8025"')]  # port 0: any that is free


def is_private(listen: str, site: str) -> bool:
    """Returns whether pages can be seen on this machine only, and not through a proxy either."""
    hosts = listen.rpartition(":")[0].strip("[]"), urlsplit(site).hostname or ""
    return all(map(_is_loopback, hosts))


# ── secrets ──────────────────────────────────────────────────────────────────


def signing_keys(path: Path, host: Host) -> list[str]:
    """Returns the keys in a file, one in each line; makes the file, with one key, if there is none.

    The first key signs. All are accepted, so that a new one may be written above the old one.
    Several machines need a copy of the same file. Raises SettingsError, which shows no key.
    """
    try:
        if not path.exists():
            _make_keys(path, host)
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SettingsError(f"{path}: others can use the file; chmod 600 {path}")
        keys = path.read_text("utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file in UTF-8"
        raise SettingsError(f"{path}: {reason}; write the path of a file for keys") from None
    if not keys or min(map(len, keys)) < KEY:
        problem = f"a key has fewer than {KEY} characters" if keys else "no key"
        raise SettingsError(f"{path}: {problem}; remove the file, and a new one is made")
    return keys


def _make_keys(path: Path, host: Host) -> None:
    # Complete before it has its name, and never over a file that another program has just made.
    draft = path.with_name(f"{path.name}.{host.token(8)}")
    with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{host.token(64)}\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


class Tokens:
    """Signed texts that expire, for links in mails. Each purpose has signatures of its own.

    By itsdangerous, which Flask is built on. It compares in constant time (hmac.compare_digest),
    and knows the time of signing; with hmac alone, both would have to be written here.
    """

    def __init__(self, keys: Sequence[str], purpose: str, clock: Clock) -> None:
        class Signer(TimestampSigner):
            """Signs with the time of the program's clock."""

            def get_timestamp(self) -> int:
                return int(clock.time())

        self._signer = Signer(
            list(reversed(keys)), purpose, key_derivation="hmac", digest_method=hashlib.sha256
        )

    def sign(self, text: str) -> str:
        """Returns a token for a text. It needs no escaping in a URL if the text needs none."""
        return self._signer.sign(text).decode()

    def read(self, token: str, valid: float) -> str:
        """Returns the text; "" if the token is not ours, or older than `valid` seconds."""
        signature = token.rpartition(".")[2]
        try:
            text = self._signer.unsign(token, max_age=int(valid)).decode()
            # The last character of base64 has bits that mean nothing; they could be changed.
            return text if base64_encode(base64_decode(signature)).decode() == signature else ""
        except BadData:  # BadSignature and SignatureExpired among others
            return ""


# ── the application ──────────────────────────────────────────────────────────


def make_app(folder: Path, url: str, keys: Sequence[str], host: Host, proxies: int = 0) -> Flask:
    """Returns an application without pages, whose templates are in the folder.

    `proxies` is how many reverse proxies are in front of it: only then are their headers believed.
    """
    app = Flask(__name__, static_folder=None)
    secure, port = url.startswith("https:"), urlsplit(url).port
    # A browser has one jar of cookies for all ports of a host, where other programs may be.
    session_name = f"session-{port}" if port else "session"
    app.config.update(
        SECRET_KEY=keys[0],
        SECRET_KEY_FALLBACKS=list(keys[1:]),
        SESSION_COOKIE_NAME=f"__Host-{session_name}" if secure else session_name,
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=LARGEST,
        MAX_FORM_PARTS=50,
    )
    app.jinja_loader = ChoiceLoader([FileSystemLoader(folder), FileSystemLoader(PAGES)])
    app.jinja_env.undefined = StrictUndefined
    if proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=0)  # type: ignore[method-assign]

    def form_fields() -> Markup:
        session.setdefault("csrf", host.token(40))
        hidden = Markup('<input type="hidden" name="{}" value="{}">')
        fields = {"csrf": session["csrf"], "form": host.token(ID)}
        return Markup("").join(hidden.format(*field) for field in fields.items())

    app.add_template_global(form_fields)
    app.extensions[OPEN] = set[str]()
    ours = {urlsplit(url).hostname, "localhost", "127.0.0.1", "::1"}

    @app.before_request
    def check_host() -> None:
        # Another name for our address could be that of a site whose scripts read our pages.
        # TRUSTED_HOSTS of Flask cannot name an IPv6 address.
        found = HOST.fullmatch(request.host)
        if found is None or found[1].strip("[]").lower() not in ours:
            abort(400)

    @app.before_request
    def check_origin() -> None:
        if request.method in ("GET", "HEAD", "OPTIONS") or request.endpoint in app.extensions[OPEN]:
            return
        ours, theirs = session.get("csrf", ""), request.form.get("csrf", "")
        if not ours or not hmac.compare_digest(ours.encode(), theirs.encode()):
            abort(400)

    @app.after_request
    def add_headers(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    @app.errorhandler(Exception)
    def show_error(error: Exception) -> Response:
        if isinstance(error, HTTPException):
            code = error.code or 500
        else:
            code = 503 if isinstance(error, OperationalError) else 500
            # The text of an error of the database may quote what is in it.
            host.log("web-error", "error", path=request.path, trouble=type(error).__name__)
        title, text = TEXTS.get(code, TEXTS[400])
        response = page("message.html", code, title=title, text=text)
        if code == 503:
            response.headers["Retry-After"] = "60"  # seconds
        return response

    @app.get("/style.css")
    def style() -> Response:
        css = make_response((PAGES / "style.css").read_text("utf-8"))
        css.headers.update({"Content-Type": "text/css", "Cache-Control": "max-age=3600"})
        return css

    return app


def taken_from_anywhere(app: Flask, endpoint: str) -> None:
    """Lets a view take forms that are not ours, because a token in them says enough."""
    app.extensions[OPEN].add(endpoint)


def page(template: str, status: int = 200, **values: Any) -> Response:
    """Returns a page with a status."""
    return make_response(render_template(template, **values), status)


def form_id() -> str:
    """Returns the id of the form that was sent: a double click sends it twice. Aborts with 400."""
    given = request.form.get("form", "")
    if len(given) != ID or not (given.isascii() and given.isalnum()):
        abort(400)
    return given


def client() -> str:
    """Returns the network address that the request comes from; of IPv6, the network of a home."""
    try:
        address = ipaddress.ip_address(request.remote_addr or "")
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


@contextmanager
def served(app: Flask, listen: str, host: Host) -> Iterator[None]:
    """Serves the application at HOST:PORT within the block. Raises SettingsError if it cannot."""
    address, _, number = listen.rpartition(":")
    with ExitStack() as stack:
        try:
            stack.enter_context(host.serve(app, address.strip("[]"), int(number)))
        except OSError as error:
            problem = f"{listen}: {error.strerror or error}"
            raise SettingsError(f"listen: {problem}; choose another port") from None
        yield
