"""Commands that need no mailbox: logins, TLS, what the server can do, and waiting (IDLE)."""

from __future__ import annotations

import binascii
import hmac

from fakes import sasl
from fakes.imap.base import (
    BAD,
    NO_MECHANISM,
    TLS_FIRST,
    WRONG_CREDENTIALS,
    ImapBase,
    Reply,
)
from fakes.imap.commands import Authenticate, Enable, Id, Login
from fakes.imap.policy import BEFORE_LOGIN, BRINGS, CLEAR
from fakes.wire import Refuse, Unit

ID_PAIRS = 30  # RFC 2971 §3.3


class ImapLogin(ImapBase):
    """The part of an IMAP connection that is about who is connected."""

    # ── opening and closing ──────────────────────────────────────────────────

    def greet(self) -> None:
        if self.facts.crowded:
            self._bye("Too many connections, try later")
            return
        account = self.store.people.find(self.policy.preauth) if self.policy.preauth else None
        status = "OK"
        if account is not None:
            self.user, self.state, status = account.address, "AUTHENTICATED", "PREAUTH"
        text = f"{status} [{self._capability()}] {self.store.host} ready"
        self._untagged(text.encode(), section="RFC 3501 §7.1")

    def upgraded(self) -> None:
        """RFC 2595 §3.1: the server forgets everything it learnt before TLS."""
        super().upgraded()
        self._reader.reset()
        self.state, self.user, self.utf8 = self.unauthenticated, "", False
        self._in_records, self._pending = 0, None

    def abandoned(self) -> None:
        self._leave()
        self._pending = None

    def _leave(self) -> None:
        """Leaves the selected mailbox."""
        if self.view is not None:
            self.view.leave()
            self.view = None

    def idle(self) -> None:
        self._bye("Idle for too long", "RFC 3501 §5.4")

    # ── what the server can do ───────────────────────────────────────────────

    def do_CAPABILITY(self, unit: Unit) -> None:
        self._read(unit)
        self._untagged(self._capability().encode(), section="RFC 3501 §7.2.1")
        self._ok("That is all", "RFC 3501 §6.1.1")

    def _capability(self) -> str:
        words = ["CAPABILITY", "IMAP4rev1"]
        before = self.state in (self.unauthenticated, "AUTH")
        for name in BRINGS:
            offered = name in BEFORE_LOGIN or not before
            if name == "STARTTLS":
                offered = before and self.policy.tls != "off" and self.tls is None
            if offered and name not in self._off:
                minus = name == "LITERAL+" and self.policy.literal_minus
                words.append("LITERAL-" if minus else name)
        if before:
            in_clear = self._needs_tls()
            words += [
                f"AUTH={name}" for name in self._mechanisms() if not (in_clear and name in CLEAR)
            ]
            words += ["LOGINDISABLED"] if in_clear else []
        return " ".join(words)

    def _needs_tls(self) -> bool:
        return self.policy.tls == "required" and self.tls is None

    def _mechanisms(self) -> list[str]:
        return sasl.offered(self.policy.scram, self._off)

    def do_NOOP(self, unit: Unit) -> None:
        self._read(unit)
        self._ok("Done", "RFC 3501 §6.1.2")

    def do_ID(self, unit: Unit) -> None:
        found: Id = self._read(unit)
        if len(found.fields) > ID_PAIRS:
            raise Refuse(BAD._replace(text="Too many fields"), "RFC 2971 §3.3")
        self._untagged(b'ID ("name" "fakes")', section="RFC 2971 §3.2")
        self._ok("Pleased to meet you", "RFC 2971 §3.1")

    def do_ENABLE(self, unit: Unit) -> None:
        found: Enable = self._read(unit)
        words = {word.upper() for word in found.words} - self._off
        if "UTF8=ACCEPT" in words:
            if self.state == "SELECTED":
                text = "UTF8=ACCEPT comes before SELECT"
                raise Refuse(BAD._replace(text=text), "RFC 6855 §3")
            self.utf8 = True
        if "CONDSTORE" in words:
            self.enable_modseq()
        enabled = [word for word in ("CONDSTORE", "UTF8=ACCEPT") if word in words]
        if enabled or self.policy.empty_enabled:
            self._untagged(" ".join(["ENABLED", *enabled]).encode(), section="RFC 5161 §3.2")
        self._ok("Done", "RFC 5161 §3.1")

    def enable_modseq(self) -> None:
        """The client wants modification numbers (RFC 7162 §3.1)."""
        raise NotImplementedError

    def do_LOGOUT(self, unit: Unit) -> None:
        self._read(unit)
        self._leave()
        self._untagged(b"BYE Until next time", section="RFC 3501 §6.1.3")
        self._ok("Logged out", "RFC 3501 §6.1.3")
        self.close()

    # ── waiting ──────────────────────────────────────────────────────────────

    def do_IDLE(self, unit: Unit) -> None:
        self._read(unit)
        self.send(b"+ idling\r\n", "RFC 2177 §3")
        self._tell()
        if self.view is not None:
            self.view.is_idle = True

    def do_DONE(self, unit: Unit) -> None:
        self._end_idle()
        self._ok("Waited", "RFC 2177 §3")

    # ── TLS and logins ───────────────────────────────────────────────────────

    def do_STARTTLS(self, unit: Unit) -> None:
        self._read(unit)
        if self.tls is not None:
            raise Refuse(BAD._replace(text="TLS is active already"), "RFC 2595 §3.1")
        self._ok("Begin TLS negotiation", "RFC 3501 §6.2.1")
        if self.buffer and self.policy.starttls_pipelined == "hang-up":
            self.close()
            return
        self.start_tls()
        self._reader.reset()

    def do_LOGIN(self, unit: Unit) -> None:
        found: Login = self._read(unit)
        if self._needs_tls():
            raise Refuse(TLS_FIRST, "RFC 2595 §3.2")
        password = found.password.decode("utf-8", "surrogateescape")
        account = self.store.people.for_login(found.user.decode("utf-8", "replace"), password)
        # Unknown users take the same path and the same time: nobody learns which names exist.
        expected, given = (
            sasl.prepare(text).encode("utf-8", "surrogateescape")
            for text in (account.password if account is not None else "\0", password)
        )
        right = hmac.compare_digest(expected, given)
        if account is None or not right:
            raise Refuse(WRONG_CREDENTIALS, "RFC 5530 §3")
        self._log_in(account.address, "RFC 3501 §6.2.3")

    def _log_in(self, address: str, section: str) -> None:
        self.user, self.state = address, "AUTHENTICATED"
        self.note(user=address)
        self._ok("Logged in", section, self._capability())

    def do_AUTHENTICATE(self, unit: Unit) -> None:
        found: Authenticate = self._read(unit)
        mechanism, initial = found.mechanism.upper(), found.initial
        if mechanism not in self._mechanisms():
            raise Refuse(NO_MECHANISM, "RFC 3501 §6.2.2")
        if self._needs_tls() and mechanism in CLEAR:
            raise Refuse(TLS_FIRST, "RFC 5530 §3")
        if initial is not None and (
            "SASL-IR" in self._off or mechanism not in sasl.TAKES_INITIAL_RESPONSE
        ):
            if not self.policy.ignore_initial_response:
                text = f"{mechanism} takes no initial response here"
                raise Refuse(BAD._replace(text=text), "RFC 4959 §3")
            initial = None
        self.begin_exchange(mechanism, initial)

    def authenticated(self, exchange: sasl.Exchange) -> None:
        self._log_in(exchange.user, self.auth_section)

    def rejected(self, error: binascii.Error | sasl.SaslError) -> Refuse:
        if isinstance(error, sasl.WrongCredentials):
            return Refuse(WRONG_CREDENTIALS, "RFC 5530 §3")
        text = error.reason if isinstance(error, sasl.SaslError) else "Cannot decode base64"
        return Refuse(Reply("BAD", "", text), self.auth_section)

    def cancelled(self) -> Refuse:
        return Refuse(BAD._replace(text="Authentication cancelled"), self.auth_section)
