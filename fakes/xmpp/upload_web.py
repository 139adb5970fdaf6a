"""The web side of uploads (XEP-0363 §7 to §9): PUT into a slot, and GET what is there."""

from __future__ import annotations

from collections.abc import Mapping
from hmac import compare_digest
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from fakes.http import Request, Response
from fakes.xmpp.extensions.upload import PATH, VALID, SharedFile, Slot, is_type

if TYPE_CHECKING:
    from fakes.xmpp.extensions.upload import Upload

# §8: pages of any site may use it.
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "OPTIONS, HEAD, GET, PUT",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
}
# §9.1: no browser runs what was uploaded.
SAFE = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none';",
    "X-Content-Type-Options": "nosniff",
}
OCTETS = "application/octet-stream"
SHOWN = ("image/", "audio/", "video/", "text/plain")  # in the browser; all else is saved
ACTIVE = ("image/svg+xml",)


def answer(upload: Upload, request: Request) -> Response:
    """Answers a request for a path below /file_share/."""
    token, name = _place(request)
    if request.method == "OPTIONS":
        return Response(204, headers=CORS)
    if request.method == "PUT":
        return _put(upload, request, token, name)
    if request.method in ("GET", "HEAD"):
        return _get(upload, token, name)
    return _error(405, "Files are put and got here\n", {"Allow": "OPTIONS, HEAD, GET, PUT"})


def _place(request: Request) -> tuple[str, str]:
    """The token and the file name in the path, of which each is one segment."""
    token, _, name = request.raw_path.removeprefix(PATH).partition("/")
    return token, unquote(name, errors="surrogateescape")


def _put(upload: Upload, request: Request, token: str, name: str) -> Response:
    file, slot = upload.stored.get(token), upload.slots.get(token)
    if file is not None and file.name == name:
        return _error(409, "The slot has its file\n")
    if slot is None or slot.name != name:
        return _error(404, "There is no such slot\n")
    if slot.secret and not _proves(request, slot):
        return _error(401, "The slot came with an Authorization\n", {"WWW-Authenticate": "Bearer"})
    if upload.service.runtime.now() >= slot.at + VALID:
        return _error(410, f"The slot was valid for {VALID:.0f} seconds\n")
    if "content-length" not in request.headers:
        return _error(411, f"The slot is for {slot.size} bytes\n")
    if len(request.body) != slot.size:
        status = 413 if len(request.body) > slot.size else 400
        return _error(status, f"The slot is for {slot.size} bytes\n")
    type = request.headers.get("content-type", "")
    if type and not is_type(type):
        return _error(400, "That is not a content type\n")
    if type and slot.type and _essence(type) != _essence(slot.type):
        return _error(415, f"The slot is for {slot.type}\n")
    upload.keep(token, slot, type or slot.type or OCTETS, request.body)
    return Response(201, headers=CORS)


def _get(upload: Upload, token: str, name: str) -> Response:
    file = upload.stored.get(token)
    if file is None or file.name != name:
        return _error(404, "There is no such file\n")
    if file.until is not None and upload.service.runtime.now() >= file.until:
        return _error(410, "The file has expired\n")  # §5.3
    headers = {"Content-Disposition": _disposition(file), **SAFE, **CORS}
    return Response(200, type=file.type, headers=headers, content=file.content)


def _proves(request: Request, slot: Slot) -> bool:
    given = request.headers.get("authorization", "")
    return compare_digest(given.encode(), f"Bearer {slot.secret}".encode())


def _essence(type: str) -> str:
    """A media type without its parameters, which browsers add."""
    return type.partition(";")[0].strip().lower()


def _disposition(file: SharedFile) -> str:
    """How a browser treats the file, and its name (RFC 6266 §4)."""
    type = _essence(file.type)
    shown = type.startswith(SHOWN) and type not in ACTIVE
    return f"{'inline' if shown else 'attachment'}; filename*=UTF-8''{quote(file.name, safe='')}"


def _error(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, text, headers={**(headers or {}), **CORS})
