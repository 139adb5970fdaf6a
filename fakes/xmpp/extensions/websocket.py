"""XEP-0156 (1.4.0): streams over WebSocket (RFC 7395), and where clients find their address.

The world's web server has them at /xmpp-websocket. Its host-meta says so inside TLS only, because
it may not be read, nor name an address, without (XEP-0156 §2.2).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from fakes.xmpp.extension import Extension
from fakes.xmpp.markup import escape

if TYPE_CHECKING:
    from fakes.http import Request, Response

PATH = "/xmpp-websocket"
HOST_META = "/.well-known/host-meta"
XRD = "http://docs.oasis-open.org/ns/xri/xrd-1.0"
RELATION = "urn:xmpp:alt-connections:websocket"


class WebSocket(Extension):
    """Opens connections for streams, and says where that is done."""

    name = "websocket"
    section = "XEP-0156"
    paths = (PATH, HOST_META)

    def serve(self, request: Request) -> Response | None:
        from fakes.http import Response

        if request.path == PATH:
            from fakes.websocket import handshake
            from fakes.xmpp.framed import PROTOCOL, FramedXmpp

            service = self.service
            return handshake(request, PROTOCOL, lambda: FramedXmpp(service.runtime, service))
        if request.path not in (HOST_META, f"{HOST_META}.json"):
            return None
        if not request.secure:
            return Response(404, "host-meta is read inside TLS only\n")
        base = self.service.web_url(self.service.domains[0])
        link = {"rel": RELATION, "href": websocket_url(base)}
        open_to_all = {"Access-Control-Allow-Origin": "*"}  # XEP-0156 §3
        if request.path == HOST_META:
            text = _xrd(link)
            return Response(200, text, "application/xrd+xml", headers=open_to_all)
        text = json.dumps({"links": [link]})
        return Response(200, text, "application/jrd+json", headers=open_to_all)


def websocket_url(base: str) -> str:
    """The address for streams on the web server at `base`, which begins with http: or https:."""
    return f"ws{base.removeprefix('http')}{PATH}"


def _xrd(link: dict[str, str]) -> str:
    """Writes a document with one link (RFC 6415 §2)."""
    attributes = "".join(f" {name}='{escape(value)}'" for name, value in link.items())
    return f"<?xml version='1.0' encoding='utf-8'?>\n<XRD xmlns='{XRD}'><Link{attributes}/></XRD>\n"
