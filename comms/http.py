"""Sending a request to a web server that the settings name, and to no other.

    client = Client(clock, host, timeout=30, allow=["10.1.0.0/16"])
    answer = client.post("https://hooks.example.org/in", body, {"Content-Type": "text/plain"})
    answer.status, answer.text

The name is resolved once for each request, and the connection goes to the address that was checked.
Without that, a name could be public when it is checked and private when it is connected to (DNS
rebinding). Addresses inside of private networks are refused, unless `allow` has them. A redirect is
followed only to the same server, and only if it repeats the request (RFC 9110 §15.4.8, §15.4.9).

This module uses http.client through `Link`, for what is on the wire.
"""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

from comms.clock import Clock
from comms.errors import Refused, Unknown, Unreachable
from comms.host import Host
from comms.link import Link, client_context, secure
from comms.words import one_line

PORTS = {"http": 80, "https": 443}
TEXT = 2048  # bytes of an answer's body that are kept
TRIED = 4  # addresses of a name that are tried
REDIRECTS = 3
INTERIM = 10  # responses before the final one
_SHOWN = 200  # characters of a server's words in an error


@dataclass(frozen=True)
class Url:
    """The address of a page: http or https, a host, and nothing hidden in it."""

    scheme: str
    host: str  # in lower case
    port: int
    target: str  # path and query, percent-encoded

    @classmethod
    def parse(cls, text: str) -> Url:
        """Returns the address in a text. Raises ValueError, whose text says what is wrong."""
        # Parsers disagree about what these mean, and urlsplit removes some of them.
        if not re.fullmatch(r"[!-\[\]-~]+", text):
            raise ValueError("it contains a space, a backslash or a character beyond ASCII")
        parts = urlsplit(text)  # raises ValueError for brackets in a wrong place
        if parts.scheme not in PORTS:
            raise ValueError("it does not begin with http:// or https://")
        if "@" in parts.netloc:
            raise ValueError("it contains a user name or a password")
        host = (parts.hostname or "").rstrip(".")
        if not re.fullmatch(r"[a-z0-9._-]+", host):
            try:
                host = str(ipaddress.IPv6Address(host))
            except ValueError:
                raise ValueError("it has no valid host name") from None
            if "%" in host:
                raise ValueError("its host has a zone")
        port = PORTS[parts.scheme] if parts.port is None else parts.port
        if not port:
            raise ValueError("its port is 0")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(parts.scheme, host, port, target)

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authority(self) -> str:
        """Host and port as the Host field has them: the usual port is left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The server, without the page."""
        return f"{self.scheme}://{self.authority}"

    def with_query(self, values: Mapping[str, str]) -> Url:
        """Returns the address with these values added to its query, encoded as UTF-8."""
        between = "&" if "?" in self.target else "?"
        return replace(self, target=f"{self.target}{between}{urlencode(values)}")

    def redirected(self, location: str) -> Url:
        """Returns where a Location field leads. Raises Refused unless that is the same server.

        The same server with https in place of http, each on its usual port, is allowed.
        """
        try:
            there = Url.parse(urljoin(str(self), location))
        except ValueError as error:
            shown = one_line(location)[:_SHOWN]
            raise Refused(f"{self.origin} redirects to {shown!r}: {error}") from None
        upgraded = replace(self, scheme="https", port=PORTS["https"])
        same = [self.origin] + [upgraded.origin] * (self.origin == f"http://{self.host}")
        if there.origin not in same:
            raise Refused(
                f"{self.origin} redirects to {there}, another server, which is not followed; "
                "write that address into the settings if it is right"
            )
        return there


@dataclass(frozen=True)
class Answer:
    """What a server has answered. The names in `headers` are in lower case.

    `text` is the beginning of the body, in one line, of an answer that is no success.
    """

    status: int
    reason: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    def __str__(self) -> str:
        return f"{self.status} {self.reason}".strip() + (f": {self.text}" if self.text else "")


def is_public(address: str) -> bool:
    """Returns whether an IP address belongs to a machine on the public internet.

    That excludes loopback, private, link-local, shared, multicast and reserved addresses, and IPv6
    addresses with an IPv4 address inside, as whose route they could be used.
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is not None:  # the system connects to the IPv4 address
            return is_public(str(ip.ipv4_mapped))
        # RFC 4291 §2.4: all others have other purposes, such as 64:ff9b::/96 of NAT64.
        unicast = ip in ipaddress.ip_network("2000::/3")
        tunnel = ip.sixtofour is not None or ip.teredo is not None
        return unicast and not tunnel and ip.is_global
    return ip.is_global and not ip.is_multicast


class Client:
    """Sends requests, each over a connection of its own.

    `allow` are networks (`10.1.0.0/16`) that may be connected to although they are not public.
    `redirects` is how many are followed at most.
    """

    def __init__(
        self,
        clock: Clock,
        host: Host,
        *,
        timeout: float = 30.0,
        allow: Iterable[str] = (),
        redirects: int = REDIRECTS,
        ca_file: Path | None = None,
    ) -> None:
        self._clock, self._host, self._timeout = clock, host, timeout
        self._allow = [ipaddress.ip_network(network) for network in allow]
        self._redirects, self._ca_file = redirects, ca_file

    def post(self, url: str | Url, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Posts a body, and returns the answer, whatever its status is.

        Raises Unreachable if nothing was sent, Unknown if there is no answer to what was sent, and
        Refused for an address, or a redirect, that is not allowed.
        """
        there = Url.parse(url) if isinstance(url, str) else url
        for _ in range(self._redirects + 1):
            answer = self._exchange(there, body, headers)
            # Only these two repeat the request as it is. Others would turn it into a GET.
            if answer.status not in (307, 308):
                return answer
            there = there.redirected(answer.headers.get("location", ""))
        raise Refused(f"{there.origin} redirects more than {self._redirects} times")

    def _exchange(self, url: Url, body: bytes, headers: Mapping[str, str]) -> Answer:
        link = self._connected(url)
        try:
            if url.scheme == "https":
                self._secure(link, url)
            connection = _Connection(link, url)
            try:
                connection.send_request(url, body, headers)
                return connection.answer()
            except (OSError, http.client.HTTPException, ValueError) as error:
                reason = one_line(str(error))[:_SHOWN] or type(error).__name__
                raise Unknown(f"{url.origin}: no answer to the request: {reason}") from None
        finally:
            link.close()

    def _connected(self, url: Url) -> Link:
        """Connects to the first address that accepts. Raises Unreachable, Refused."""
        try:
            found = self._host.addresses(url.host, url.port)
        except OSError as error:
            reason = error.strerror or error
            raise Unreachable(f"{url.host}: its address is not known: {reason}") from None
        for address, _ in found:
            if not self._may_reach(address):
                raise Refused(
                    f"{url.host} leads to {address}, which is not on the public internet; "
                    f'if that is right, write allow = ["{address}"]'
                )
        failure = Unreachable(f"{url.host}: it has no address")
        for address, port in found[:TRIED]:
            try:
                return Link.connect(address, port, self._clock, self._timeout)
            except Unreachable as error:
                text = str(error).replace(f"{address}:{port}", url.origin, 1)
                failure = Unreachable(text)
        raise failure

    def _may_reach(self, address: str) -> bool:
        if is_public(address):
            return True
        ip = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(ip, "ipv4_mapped", None)
        return any((mapped or ip) in network for network in self._allow)

    def _secure(self, link: Link, url: Url) -> None:
        context = client_context(self._ca_file)
        try:
            secure(url.origin, url.host, lambda: link.start_tls(context, url.host))
        except Refused as error:
            # A certificate that has expired is renewed sooner or later, so trying again may help.
            raise Unreachable(str(error)) from None


class _Response(http.client.HTTPResponse):
    """http.client's response, which is always the final one."""

    def begin(self) -> None:
        """Reads the head. http.client skips 100 only; RFC 9110 §15.2: others may come, too."""
        for _ in range(INTERIM):
            super().begin()
            if self.status >= 200 or self.status == http.HTTPStatus.SWITCHING_PROTOCOLS:
                return
            self.headers = self.msg = None  # type: ignore[assignment]
        raise http.client.HTTPException(f"more than {INTERIM} interim responses")


class _Connection(http.client.HTTPConnection):
    """http.client's connection on a link, for one request."""

    response_class = _Response

    def __init__(self, link: Link, url: Url) -> None:
        super().__init__(url.host, url.port)
        self.auto_open = 0
        self.sock = link
        self._link = link

    def send_request(self, url: Url, body: bytes, headers: Mapping[str, str]) -> None:
        """Sends a request. Raises OSError, http.client.HTTPException, ValueError."""
        self.putrequest("POST", url.target, skip_host=True, skip_accept_encoding=True)
        fixed = {"Host": url.authority, "User-Agent": "comms", "Connection": "close"}
        for name, value in {**fixed, "Content-Length": str(len(body)), **headers}.items():
            self.putheader(name, value)
        self.endheaders()
        # A server that refuses a long body closes early, and its answer says why.
        with contextlib.suppress(ConnectionError):
            self._link.sendall(body)

    def answer(self) -> Answer:
        """Reads the answer. Raises OSError, http.client.HTTPException, ValueError."""
        with self.getresponse() as response:
            headers = {name.lower(): value for name, value in response.getheaders()}
            text = b""
            if response.status >= 300:
                # The status says what became of the request, even if the rest is lost.
                with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                    text = response.read(TEXT)
            words = one_line(text.decode("utf-8", "replace"))[:_SHOWN]
            return Answer(response.status, one_line(response.reason)[:_SHOWN], headers, words)
