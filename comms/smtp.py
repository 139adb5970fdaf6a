"""Sending mail: one session, many messages, an answer for every recipient. It stands on smtplib, through the link.

    with Session(settings.server("smtp"), clock, host) as session:
        for address, trouble in session.send(sender, recipients, octets).items():
            ...                                   # None: accepted; else TryLater, Refused or Unknown

Where smtplib guesses or falls back, this does not: TLS is what the settings say, a refused password is not tried again
with another mechanism, and a link lost behind the final dot is told apart from one lost before it.
"""

from __future__ import annotations

import base64
import binascii
import re
import smtplib
import types
from collections.abc import Iterable

from comms import sasl
from comms.clock import Clock
from comms.errors import Refused, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.link import Link, client_context, secure
from comms.settings import Server

Failure = TryLater | Refused | Unknown


class _Client(smtplib.SMTP):
    """smtplib's client on a link. Its constructor connects, and needs both names: its look-ups would leave the machine."""

    def __init__(self, link: Link, host: str, local_hostname: str) -> None:
        self.link = link
        self.greeting: tuple[int, bytes] = (0, b"")
        super().__init__(host, 1, local_hostname=local_hostname)

    def _get_socket(self, host: str, port: int, timeout: float) -> Link:
        return self.link


class Session:
    """A connection that is greeted, encrypted as the settings say, and logged in if they name a user.

    Raises Unreachable, TryLater or Refused.
    """

    def __init__(self, server: Server, clock: Clock, host: Host) -> None:
        self.server = server
        self._clock = clock
        self._name = f"{server.host}:{server.port}"
        link = Link.connect(server.host, server.port, clock, server.timeout)
        self._link = link
        link.reads_lines = server.tls == "starttls"
        self.usable = True  # the dialogue is in step: another message may follow
        try:
            if server.tls == "implicit":
                secure(self._name, server.host, self._upgrade)
            self._client = self._greeted(host)
            self._hello()
            if server.tls == "starttls":
                self._start_tls()
            if server.user:
                self._log_in()
        except BaseException:
            link.close()
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
        """QUIT, if the dialogue is in step, and close. Never raises: what was to be said has been said."""
        if self.usable:
            self.usable = False
            try:
                self._client.docmd("QUIT")
            except (OSError, smtplib.SMTPException):
                pass
        self._link.close()

    def _give_up(self) -> None:
        """The dialogue is out of step, or the server is leaving: nothing more is said on this link."""
        self.usable = False
        self._link.close()

    def send(
        self, sender: str, recipients: Iterable[str], data: bytes
    ) -> dict[str, Failure | None]:
        """One message (CRLF, dots not stuffed) to bare addresses; per recipient None, or what stands in the way.

        Raises Unreachable when the link is lost before the final dot: then nothing was sent to anybody.
        """
        results: dict[str, Failure | None] = {}
        wanted = list(dict.fromkeys(recipients))
        try:
            for address in (sender, *wanted):
                _check_address(address)
            options = self._options(sender, wanted, data)
            refusal = self._said("MAIL", f"FROM:<{sender}>{options}")
            if refusal is not None:
                return dict.fromkeys(wanted, refusal)
            for address in wanted:
                results[address] = self._said("RCPT", f"TO:<{address}>")
            accepted = [address for address in wanted if results[address] is None]
            if not accepted:
                self._said("RSET", "")
                return results
            refusal = self._said("DATA", "", expected=354) or self._content(data)
        except Refused as refusal:
            return dict.fromkeys(wanted, refusal)
        return results | dict.fromkeys(accepted, refusal)

    # ── opening ──────────────────────────────────────────────────────────────

    def _greeted(self, host: Host) -> _Client:
        try:
            name = host.name if re.fullmatch(r"[A-Za-z0-9.-]+", host.name) else "localhost"
            return _Client(self._link, self.server.host, name)
        except smtplib.SMTPConnectError as error:
            raise self._trouble(
                error.smtp_code, _octets(error.smtp_error), "the connection"
            ) from None
        except (OSError, smtplib.SMTPException) as error:
            raise Unreachable(f"{self._name} sent no SMTP greeting: {error}") from None

    def _hello(self) -> None:
        """EHLO, and HELO where that is not known (RFC 5321 §4.1.1.1)."""
        if self._exchange("EHLO", self._client.local_hostname)[0] == 250:
            self._client.does_esmtp = True
            for line in self._last[1].decode("ascii", "replace").splitlines()[1:]:
                word, _, rest = line.strip().partition(" ")
                self._client.esmtp_features[word.lower()] = rest.strip()
            return
        if self._last[0] in (500, 501, 502, 504):
            self._exchange("HELO", self._client.local_hostname)
        if self._last[0] != 250:
            raise self._trouble(*self._last, "our greeting")

    def _upgrade(self) -> None:
        self._link.start_tls(client_context(self.server.ca_file), self.server.host)

    def _start_tls(self) -> None:
        def upgrade() -> None:
            try:
                # forgets the capabilities learnt in clear, by RFC 3207 §4.2
                self._client.starttls(context=client_context(self.server.ca_file))
            except smtplib.SMTPResponseException as error:
                raise self._trouble(
                    error.smtp_code, _octets(error.smtp_error), "STARTTLS"
                ) from None

        offered = self._client.has_extn("starttls")
        secure(self._name, self.server.host, upgrade, command="STARTTLS", offered=offered)
        self._hello()

    def _log_in(self) -> None:
        """The one mechanism that the settings name, or the strongest that is offered. Never a second one."""
        offered = self._client.esmtp_features.get("auth", "").upper().split()
        wanted = sasl.MECHANISMS if self.server.auth == "auto" else {self.server.auth.upper(): None}
        mechanism = next((name for name in wanted if name in offered), None)
        if mechanism is None:
            raise Refused(
                f"{self._name} offers no way to log in that the settings allow "
                f"(offered: {' '.join(offered) or 'none'}; auth = {self.server.auth!r})"
            )
        answer = sasl.MECHANISMS[mechanism](self.server.user, self.server.password)
        initial = _encoded(answer(b"")) if mechanism in sasl.CLIENT_FIRST else ""
        code, text = self._exchange("AUTH", f"{mechanism} {initial}".strip())
        while code == 334:
            try:
                challenge = base64.b64decode(text)
            except binascii.Error:
                challenge = b""
            code, text = self._exchange(_encoded(answer(challenge)), "")
        if code != 235:
            raise self._trouble(code, text, f"the login of {self.server.user} by {mechanism}")

    # ── the dialogue ─────────────────────────────────────────────────────────

    def _exchange(self, verb: str, argument: str) -> tuple[int, bytes]:
        """One command and its reply. Raises Unreachable when there is none."""
        if not self.usable:
            raise Unreachable(f"{self._name}: the connection is no longer usable; open another")
        try:
            self._client.putcmd(verb, argument)
            self._last = self._client.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self._give_up()
            raise Unreachable(f"{self._name}: {error}") from None
        if self._last[0] == 421 or not 200 <= self._last[0] < 600:
            self._give_up()  # RFC 5321 §3.8: the server closes
        return self._last

    def _said(self, verb: str, argument: str, expected: int = 250) -> Failure | None:
        code, text = self._exchange(verb, argument)
        # 251: will forward; 252: cannot tell, but takes it
        if code == expected or (verb == "RCPT" and code in (251, 252)):
            return None
        trouble = self._trouble(code, text, f"{verb} {argument}".strip())
        if verb != "RSET" and verb != "RCPT" and self.usable:
            self._exchange("RSET", "")
        return trouble

    def _content(self, data: bytes) -> Failure | None:
        """The message and the dot. Lost before the dot: nothing was sent. Lost behind it: nobody knows."""
        self._clock.wait(self._link, self._clock.time())  # a look, no waiting
        if self._link.ended:
            self._give_up()
            raise Unreachable(f"{self._name}: the link was lost before the message")
        stuffed = re.sub(rb"(?m)^\.", b"..", data)
        try:
            self._link.sendall(
                stuffed if stuffed.endswith(b"\r\n") or not stuffed else stuffed + b"\r\n"
            )
        except OSError as error:
            self._give_up()
            raise Unreachable(
                f"{self._name}: the link was lost within the message: {error}"
            ) from None
        try:
            self._link.sendall(b".\r\n")
            code, text = self._client.getreply()
        except (OSError, smtplib.SMTPException) as error:
            self._give_up()
            return Unknown(f"{self._name}: the link was lost behind the message: {error}")
        if code == 250:
            return None
        if code == 421 or not 200 <= code < 600:
            self._give_up()
        if not 200 <= code < 600:
            return Unknown(
                f"{self._name}: what was answered behind the message is no reply: {code}"
            )
        return self._trouble(code, text, "the message")

    def _options(self, sender: str, recipients: list[str], data: bytes) -> str:
        """The MAIL parameters that this message needs. Raises Refused for what this server cannot take."""
        options = ""
        limit = self._client.esmtp_features.get("size", "")
        if "size" in self._client.esmtp_features:
            if limit.isdigit() and 0 < int(limit) < len(data):  # 0: no limit (RFC 1870 §4)
                raise Refused(
                    f"{self._name} takes at most {limit} octets, the message has {len(data)}"
                )
            options += f" SIZE={len(data)}"
        if not all(address.isascii() for address in (sender, *recipients)):
            if not self._client.has_extn("smtputf8"):
                raise Refused(f"{self._name} takes no addresses beyond ASCII (no SMTPUTF8)")
            self._client.command_encoding = "utf-8"
            options += " SMTPUTF8"
        if not data.isascii() and self._client.has_extn("8bitmime"):
            options += " BODY=8BITMIME"
        return options

    def _trouble(self, code: int, text: bytes, what: str) -> TryLater | Refused:
        said = f"{code} {' / '.join(text.decode('utf-8', 'replace').splitlines())}"
        kind = Refused if 500 <= code < 600 else TryLater
        return kind(f"{self._name} refused {what}: {said}")


def _check_address(address: str) -> None:
    """Nothing that could end a command or a bracket may be in an address. Raises Refused."""
    if re.search(r"[\x00-\x1f\x7f<>]", address) or (address and "@" not in address):
        raise Refused(f"{address!r} is not an address that can be sent to")


def _encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode() or "="


def _octets(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()
