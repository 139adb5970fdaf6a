"""Sending mail by SMTP: one session, many mails, a result for each recipient.

    with Session(settings.server("smtp"), clock, host) as session:
        for address, error in session.send(sender, recipients, raw).items():
            ...                     # None: accepted; else TryLater, Refused or Unknown

This module uses smtplib through `Link`. Where smtplib guesses or falls back, it does not: TLS is
used exactly as the settings say, a refused password is not tried again with another mechanism, and
a connection that is lost after the final dot is distinguished from one that is lost before it.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import re
import smtplib
import types
from collections.abc import Iterable
from typing import TYPE_CHECKING

from comms import sasl
from comms.addresses import ascii_domain
from comms.clock import Clock
from comms.errors import Refused, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.link import MAYBE_TLS, Link, client_context, secure
from comms.numbers import number

if TYPE_CHECKING:
    from comms.settings import Server

Failure = TryLater | Refused | Unknown

# Seconds that a server may take to accept a mail. RFC 5321 §4.5.3.2.6 recommends 600, in which a
# program could do nothing else.
ACCEPTING = 120.0
STEPS = 5  # challenges of one login; no mechanism has more, and a server may go on for ever


class _Client(smtplib.SMTP):
    """smtplib's client on a link.

    The constructor needs both names. Without `local_hostname`, smtplib looks up the name of the
    machine in DNS and sends it to the server.
    """

    def __init__(self, link: Link, host: str, local_hostname: str) -> None:
        self.link = link
        super().__init__(host, 1, local_hostname=local_hostname)

    def _get_socket(self, host: str, port: int, timeout: float) -> Link:
        return self.link


class Session:
    """A connection after greeting, TLS as the settings say, and login if they name a user.

    Without `initial_response`, a login waits for the server's first challenge, as some servers
    demand. Raises Unreachable, TryLater or Refused.
    """

    def __init__(
        self, server: Server, clock: Clock, host: Host, initial_response: bool = True
    ) -> None:
        self.server = server
        self.usable = True  # in step: another mail may follow
        self._clock = clock
        self._initial_response = initial_response
        self._name = f"{server.host}:{server.port}"
        self._link = Link.connect(server.host, server.port, clock, server.timeout)
        self._link.reads_lines = server.tls == "starttls"
        try:
            if server.tls == "implicit":
                secure(self._name, server.host, self._upgrade)
            self._client = self._greeted(host)
            self._say_hello()
            if server.tls == "starttls":
                self._start_tls()
            if server.user:
                self._log_in(host)
        except BaseException:
            self._link.close()
            raise

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Sends QUIT if the session is in step, and closes the connection.

        Never raises: every mail has its results already.
        """
        if self.usable:
            self.usable = False
            try:
                self._client.docmd("QUIT")
            except (OSError, smtplib.SMTPException):
                pass
        self._link.close()

    def extension(self, name: str) -> str | None:
        """Returns the parameters of an extension that the server offers, or None.

        `extension("SIZE")` is "1000000", `extension("8BITMIME")` is "".
        """
        return self._client.esmtp_features.get(name.lower())

    def _give_up(self) -> None:
        """Closes the connection: it is out of step, or the server is about to close it."""
        self.usable = False
        self._link.close()

    def send(
        self, sender: str, recipients: Iterable[str], raw: bytes, utf8: bool | None = None
    ) -> dict[str, Failure | None]:
        """Sends one mail to bare addresses. Returns for each recipient None, or why it failed.

        `raw` has CRLF line ends and no dot-stuffing. `utf8` says whether its header has characters
        beyond ASCII, as RFC 6532 allows if the server offers SMTPUTF8; by default, the header is
        looked at. Domains never need that.
        Raises Unreachable if the connection is lost before the final dot: then nothing was sent to
        anybody.
        """
        if utf8 is None:  # an address that is in the header only, such as a Reply-To
            utf8 = not raw.partition(b"\r\n\r\n")[0].isascii()
        results: dict[str, Failure | None] = {}
        wanted = list(dict.fromkeys(recipients))
        try:
            path, *paths = [_path(address) for address in (sender, *wanted)]
            parameters = self._parameters(path, paths, raw, utf8)
            error = self._run("MAIL", f"FROM:<{path}>{parameters}")
            if error is not None:
                return dict.fromkeys(wanted, error)
            for address, path in zip(wanted, paths, strict=True):
                results[address] = self._run("RCPT", f"TO:<{path}>")
            accepted = [address for address in wanted if results[address] is None]
            if not accepted:
                self._reset()
                return results
            error = self._run("DATA", "", expected=354) or self._send_content(raw)
        except Refused as refusal:
            return dict.fromkeys(wanted, refusal)
        return results | dict.fromkeys(accepted, error)

    # ── greeting, TLS and login ──────────────────────────────────────────────

    def _greeted(self, host: Host) -> _Client:
        try:
            name = host.name if re.fullmatch(r"[A-Za-z0-9.-]+", host.name) else "localhost"
            return _Client(self._link, self.server.host, name)
        except smtplib.SMTPConnectError as error:
            raise self._refusal(
                error.smtp_code, _as_bytes(error.smtp_error), "the connection"
            ) from None
        except (OSError, smtplib.SMTPException) as error:
            hint = "" if self.server.tls == "implicit" else f"; {MAYBE_TLS}"
            raise Unreachable(f"{self._name} sent no SMTP greeting: {error}{hint}") from None

    def _say_hello(self) -> None:
        """Sends EHLO, and HELO if the server does not know EHLO (RFC 5321 §4.1.1.1)."""
        if self._exchange("EHLO", self._client.local_hostname)[0] == 250:
            self._client.does_esmtp = True
            self._client.ehlo_resp = self._last[1]  # else starttls of smtplib says EHLO again
            features = self._client.esmtp_features
            for line in self._last[1].decode("ascii", "replace").splitlines()[1:]:
                word, _, rest = line.strip().partition(" ")
                features[word.lower()] = rest.strip()
                if word.lower().startswith("auth="):  # as old servers write it
                    features["auth"] = f"{features.get('auth', '')} {word[5:]} {rest}"
            return
        if self._last[0] in (500, 501, 502, 504):
            self._exchange("HELO", self._client.local_hostname)
        if self._last[0] != 250:
            raise self._refusal(*self._last, "our greeting")

    def _start_tls(self) -> None:
        def upgrade() -> None:
            try:
                # This also forgets the capabilities that came in clear text (RFC 3207 §4.2).
                self._client.starttls(context=client_context(self.server.ca_file))
            except smtplib.SMTPResponseException as error:
                raise self._refusal(
                    error.smtp_code, _as_bytes(error.smtp_error), "STARTTLS"
                ) from None

        offered = self._client.has_extn("starttls")
        secure(self._name, self.server.host, upgrade, command="STARTTLS", offered=offered)
        self._say_hello()

    def _upgrade(self) -> None:
        self._link.start_tls(client_context(self.server.ca_file), self.server.host)

    def _log_in(self, host: Host) -> None:
        """Logs in with the mechanism in the settings, or else the strongest one on offer.

        If that fails, no second one is tried.
        """
        offered = self._client.esmtp_features.get("auth", "").upper().split()
        auth = self.server.auth
        wanted = [*sasl.SCRAM, *sasl.MECHANISMS] if auth == "auto" else [auth.upper()]
        mechanism = next((name for name in wanted if name in offered), None)
        if mechanism is None:
            raise Refused(
                f"{self._name} offers no way to log in that the settings allow "
                f"(offered: {' '.join(offered) or 'none'}; auth = {auth!r})"
            )
        nonce = host.token(24) if mechanism in sasl.SCRAM else ""
        responder = sasl.responder(mechanism, self.server.user, self.server.password, nonce)
        at_once = self._initial_response and mechanism in sasl.CLIENT_FIRST
        # RFC 4954 §4: an empty initial response is "=".
        initial = (_encoded(responder(b"")) or "=") if at_once else ""
        code, text = self._exchange("AUTH", f"{mechanism} {initial}".strip())
        for _ in range(STEPS):
            if code != 334:
                break
            try:
                challenge = base64.b64decode(text)
            except binascii.Error:
                challenge = b""
            code, text = self._exchange(_encoded(responder(challenge)), "")
        if code == 334:
            raise Unreachable(f"{self._name} sends one challenge after another in the login")
        if code != 235:
            raise self._refusal(code, text, f"the login of {self.server.user} by {mechanism}")
        if isinstance(responder, sasl.Scram):
            responder.require_proof(self._name)

    # ── commands and replies ─────────────────────────────────────────────────

    def _exchange(self, verb: str, argument: str) -> tuple[int, bytes]:
        """Sends one command and returns its reply. Raises Unreachable if there is none."""
        if not self.usable:
            raise Unreachable(f"{self._name}: the connection is no longer usable; open another one")
        try:
            self._client.putcmd(verb, argument)
            self._last = self._client.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self._give_up()
            raise Unreachable(self.server.masked(f"{self._name}: {error}")) from None
        # RFC 5321 §3.8: after 421 the server closes. Other codes out of range are not SMTP.
        if self._last[0] == 421 or not 200 <= self._last[0] < 600:
            self._give_up()
        return self._last

    def _run(self, verb: str, argument: str, expected: int = 250) -> Failure | None:
        """Sends one command. Returns None if it was accepted, else the error.

        A refused MAIL or DATA ends the mail, so the server is reset for the next one.
        """
        code, text = self._exchange(verb, argument)
        # RFC 5321 §4.2: of a code that is not expected, the first digit counts.
        if code // 100 == expected // 100:
            return None
        error = self._refusal(code, text, f"{verb} {argument}".strip())
        # RFC 5321 §4.5.3.1.10: so say some servers of too many recipients. 5.2 is about a mailbox.
        if verb == "RCPT" and code == 552 and not text.startswith(b"5.2."):
            return TryLater(str(error))
        if verb != "RCPT":
            self._reset()
        return error

    def _reset(self) -> None:
        """Ends a mail that was refused. That counts, whatever becomes of the connection."""
        if self.usable:
            with contextlib.suppress(Unreachable):
                self._exchange("RSET", "")

    def _send_content(self, raw: bytes) -> Failure | None:
        """Sends the mail and the final dot. Returns None if it was accepted, else the error.

        Raises Unreachable if the connection is lost before the dot: nothing was sent then. If it is
        lost after the dot, the error is Unknown, because the server may have accepted the mail.
        """
        # One look, without waiting. If the server has closed the connection, it is certain that
        # nothing was sent; a write could succeed and still be lost.
        self._clock.wait(self._link, self._clock.time())
        if self._link.ended:
            self._give_up()
            raise Unreachable(f"{self._name}: the connection was lost before the message")
        stuffed = re.sub(rb"(?m)^\.", b"..", raw)
        if stuffed and not stuffed.endswith(b"\r\n"):
            stuffed += b"\r\n"
        try:
            self._link.sendall(stuffed)
        except OSError as error:
            self._give_up()
            raise Unreachable(
                f"{self._name}: the connection was lost within the message: {error}"
            ) from None
        # Some servers check a mail before they answer. To give up before that would double it.
        self._link.settimeout(max(self.server.timeout, ACCEPTING))
        try:
            self._link.sendall(b".\r\n")
            code, text = self._client.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self._give_up()
            return Unknown(f"{self._name}: the connection was lost after the message: {error}")
        self._link.settimeout(self.server.timeout)
        if code // 100 == 2:  # to send a mail again that was accepted would double it
            return None
        if code == 421 or not 200 <= code < 600:
            self._give_up()
        if not 200 <= code < 600:
            return Unknown(f"{self._name}: the reply to the message is not SMTP: {code}")
        return self._refusal(code, text, "the message")

    def _parameters(self, sender: str, recipients: list[str], raw: bytes, utf8: bool) -> str:
        """Returns the MAIL parameters for a mail. Raises Refused if this server cannot take it."""
        parameters = ""
        limit = self._client.esmtp_features.get("size", "")
        if "size" in self._client.esmtp_features:
            # RFC 1870 §4: a limit of 0 means that there is none.
            if 0 < (number(limit) or 0) < len(raw):
                raise Refused(
                    f"{self._name} accepts at most {limit} bytes, the message has {len(raw)}"
                )
            parameters += f" SIZE={len(raw)}"
        if utf8 or not all(address.isascii() for address in (sender, *recipients)):
            if not self._client.has_extn("smtputf8"):
                what = "headers and addresses" if utf8 else "addresses"
                raise Refused(f"{self._name} accepts only ASCII {what} (it lacks SMTPUTF8)")
            self._client.command_encoding = "utf-8"
            parameters += " SMTPUTF8"
        if not raw.isascii() and self._client.has_extn("8bitmime"):
            parameters += " BODY=8BITMIME"
        return parameters

    def _refusal(self, code: int, text: bytes, what: str) -> TryLater | Refused:
        reply = f"{code} {' / '.join(text.decode('utf-8', 'replace').splitlines())}"
        kind = Refused if 500 <= code < 600 else TryLater
        # Some servers repeat the command that they refuse.
        return kind(self.server.masked(f"{self._name} refused {what}: {reply}"))


def _path(address: str) -> str:
    """Returns an address as it is in a command.

    Raises Refused if it could end the command, or the brackets around it.
    """
    local, at, domain = address.rpartition("@")
    try:
        path = f"{local}@{ascii_domain(domain)}" if at else address
    except UnicodeError:
        path = "<"
    if re.search(r"[\x00-\x1f\x7f<>]", path) or (path and not at):
        raise Refused(f"{address!r} is not an address that mail can be sent to")
    return path


def _encoded(response: bytes) -> str:
    return base64.b64encode(response).decode()


def _as_bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
