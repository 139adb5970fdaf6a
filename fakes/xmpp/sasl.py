"""Login to a stream: SASL as XMPP uses it (RFC 6120 §6), around the exchanges of fakes/sasl.

A `Profile` is how a version of SASL is written on a stream: the one here is that of RFC 6120, and
an extension may add another (XEP-0388). All else is the same for both: which mechanisms there are,
who may log in, how often, and what transcripts show.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, NamedTuple
from xml.etree.ElementTree import Element

from fakes import sasl
from fakes.wire import Refuse, Secret, TlsFacts, Unit
from fakes.xmpp.addresses import jid, parse_or_none
from fakes.xmpp.markup import SASL, element
from fakes.xmpp.pieces import Piece
from fakes.xmpp.refusals import SaslFailure, StreamError
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Account

if TYPE_CHECKING:
    from fakes.xmpp.stream import Xmpp

# In the server's order of preference. The client follows its own (RFC 6120 §6.3.3).
OFFERED = (
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1",
    "PLAIN",
    "DIGEST-MD5",
    "ANONYMOUS",
)
_BASE64 = re.compile(rb"(?:[A-Za-z0-9+/]{4})*+(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
# What a response, or another password, follows in an element that is not whole or not well-formed.
_BEFORE_SECRET = re.compile(
    rb"<(?:[\w.-]++:)?(?:auth|(?:initial-)?response)\b[^<>]*+>"
    rb"|(<(?:[\w.-]++:)?password\b[^<>]*+>|\bpassword\s*+="
    rb"|[\"'](?:password(?:-verify)?|muc#roomconfig_roomsecret)[\"'])"
)


def mechanisms(service: Service, tls: TlsFacts | None) -> list[str]:
    """The mechanisms that a stream can use now (RFC 6120 §6.3.4).

    PLAIN is offered in clear too: our deviation from §13.8.3, because the fake runs on loopback.
    """
    bound = (
        tls is not None
        and bool(tls.bindings)
        and (tls.version != "TLSv1.3" or service.policy.plus_on_tls13)
    )
    return [
        name
        for name in OFFERED
        if service.offers(name)
        and (bound or not name.endswith("-PLUS"))
        and (service.policy.anonymous or name != "ANONYMOUS")
    ]


class Step(NamedTuple):
    """What a client sends in a login.

    `content` is a response in base64, None if there is none, and `start` its offset in the unit.
    """

    profile: Profile
    mechanism: str = ""
    content: bytes | None = None
    span: tuple[int, int] = (0, 0)  # where the response is in the unit
    element: Element | None = None  # the whole request, of a profile whose requests say more


class Profile:
    """How SASL is written on a stream: as RFC 6120 §6 has it."""

    space: ClassVar[str] = SASL
    # The name of an element → the verb of the stream.
    verbs: ClassVar[Mapping[str, str]] = {
        f"{{{SASL}}}{name}": name for name in ("auth", "response", "abort")
    }
    # Whether nothing but a response may come during an exchange, not even white space.
    strict: ClassVar[bool] = False

    def read(self, verb: str, piece: Piece) -> Step:
        """Reads an element that a client has sent."""
        content, end = element_content(piece)
        given = content if content or verb == "response" else None
        mechanism = piece.attributes.get("mechanism", "")
        return Step(self, mechanism, given, (piece.tag_end, end))

    def start(self, stream: Xmpp, step: Step) -> bytes | None:
        """Starts the exchange that a client has asked for, as `Login.start` does."""
        return stream.login.start(step.mechanism, step.content, stream.domain, stream.tls)

    def challenge(self, data: bytes) -> Element:
        """Builds the element of a challenge."""
        return challenge_element(data)

    def failure(self, failure: SaslFailure) -> Element:
        """Builds the element of a failure."""
        return failure.element()

    def succeed(self, stream: Xmpp, exchange: sasl.Exchange) -> None:
        """The login has succeeded: tells the client, and the stream goes on. Raises Refuse."""
        stream.check_claimed(exchange.user, "the header said another address")
        stream.note(user=exchange.user, mechanism=exchange.mechanism)
        stream.send_element(success_element(exchange.data), "RFC 6120 §6.4.6")
        stream.logged_in(exchange.user, "AGAIN")
        stream.restart()


RFC_6120 = Profile()


class Login:
    """The login of one stream: the exchange that is under way, and the failures so far.

    `extra` are the verbs of other profiles: by the name of the element, the verb, the profile, and
    the name of the extension that it belongs to.
    """

    def __init__(
        self, service: Service, extra: Mapping[str, tuple[str, Profile, str]] | None = None
    ) -> None:
        self._service = service
        self._extra = extra or {}
        self._failures = 0
        self.exchange: sasl.Exchange | None = None
        self.begun = Step(RFC_6120)  # the last request for a login

    def unit(self, piece: Piece) -> Unit | None:
        """Returns the unit of an element that belongs to a login; None if it does not."""
        verb, profile, owner = self._extra.get(piece.name, ("", RFC_6120, ""))
        if not verb:
            verb = RFC_6120.verbs.get(piece.name, "")
        elif not self._service.offers(owner):
            return None
        if not verb:
            return None
        step = profile.read(verb, piece)
        secrets = self.secrets(verb, step.mechanism, step.span, step.content or b"")
        return Unit(piece.raw, verb, step.mechanism, secrets, content=step)

    def check_turn(self, verb: str, step: Step) -> None:
        """Raises Refuse for an element that an exchange under way has no place for.

        An exchange goes on in the profile in which it has begun.
        """
        profile = self.begun.profile
        if step.profile is not profile or (profile.strict and verb == "auth"):
            text = f"{verb} is out of turn"
            raise Refuse(StreamError("policy-violation", text), "XEP-0388 §2.4")

    def start(
        self,
        mechanism: str,
        content: bytes | None,
        domain: str,
        tls: TlsFacts | None,
        own: sasl.Mechanism | None = None,
    ) -> bytes | None:
        """Starts an exchange; returns the first challenge, or None if the login has succeeded.

        `content` is the initial response in base64, None if there is none. `own` runs the mechanism
        if it is an extension's. Raises Refuse if the request is wrong, and SaslError if the login
        fails.
        """
        if own is None and mechanism not in mechanisms(self._service, tls):
            raise Refuse(SaslFailure("invalid-mechanism"), "RFC 6120 §6.5.7")
        if own is None and content is not None and mechanism not in sasl.CLIENT_FIRST:
            text = f"{mechanism} takes no initial response"
            raise Refuse(SaslFailure("malformed-request", text), "RFC 6120 §6.5.8")
        initial = None if content is None else decode(content)
        context = sasl.Context(
            _Accounts(self._service, domain),
            nonce=lambda: self._service.runtime.token(24),
            host=domain,
            service="xmpp",
            bindings=tls.bindings if tls is not None else {},
            plus=any(name.endswith("-PLUS") for name in mechanisms(self._service, tls)),
            identity=_identity,
            anonymous=lambda: self._service.open_anonymous(domain),
        )
        self.exchange = sasl.Exchange(mechanism, context, own)
        return self._admitted(self.exchange.start(initial))

    def respond(self, content: bytes) -> bytes | None:
        """Goes on with a response; returns the next challenge, or None on success.

        Raises Refuse if the response is not base64, and SaslError if the login fails.
        """
        assert self.exchange is not None
        return self._admitted(self.exchange.answer(decode(content)))

    def _admitted(self, challenge: bytes | None) -> bytes | None:
        """Returns the challenge. Raises Refuse after the last one if the account may not log in."""
        if challenge is None and self.exchange is not None:
            account = self._service.accounts.find(jid(self.exchange.user))
            if account is not None and not self._service.extensions.admit(account):
                raise Refuse(SaslFailure("account-disabled"), "RFC 6120 §6.5.2")
        return challenge

    def drop(self) -> None:
        """Ends the exchange that is under way."""
        self.exchange = None

    def fail(self, failure: SaslFailure) -> bool:
        """Ends the exchange and counts the failure; returns whether the client may try again."""
        self.exchange = None
        # A client that aborts has not guessed wrong.
        self._failures += failure.condition != "aborted"
        return self._failures < self._service.policy.attempts

    def secrets(
        self, verb: str, mechanism: str, span: tuple[int, int], content: bytes
    ) -> tuple[Secret, ...]:
        """The part of a request or response that transcripts must not show.

        `span` is where the content is in the unit.
        """
        if content in (b"", b"="):
            return ()
        name, challenge = "", b""
        if verb == "response" and self.exchange is not None:
            mechanism = self.exchange.mechanism
            name, challenge = self.exchange.name, self.exchange.challenge
        if mechanism == "ANONYMOUS":
            return ()
        label = "not base64"
        known = mechanism in OFFERED or mechanism in sasl.HASHED_TOKEN
        if known and _BASE64.fullmatch(content):
            people = self._service.accounts.people
            label = sasl.label(mechanism, decode(content), people, name, challenge)
        return (Secret(*span, label),)


def element_content(piece: Piece) -> tuple[bytes, int]:
    """What stands between the tags of an element, as it was written, and where it ends."""
    if piece.raw[piece.tag_end - 2] == ord("/"):
        return b"", piece.tag_end
    end = piece.raw.rfind(b"<")
    return piece.raw[piece.tag_end : end], end


def secrets_of_broken(raw: bytes) -> tuple[Secret, ...]:
    """What transcripts must not show of an element that was cut off, or could not be read.

    Where a response or a password ends there is not known, so that it is all that follows.
    """
    found = _BEFORE_SECRET.search(raw)
    if found is None or found.end() == len(raw):
        return ()
    return (Secret(found.end(), len(raw), "pass" if found[1] else "not base64"),)


def marked_wrong(secret: Secret) -> Secret:
    """The secret, with a label that says that the password was wrong."""
    if secret.label.endswith(" wrong"):
        return secret
    return secret._replace(label=secret.label + " wrong")


def challenge_element(challenge: bytes) -> Element:
    """Builds the `<challenge/>` element (RFC 6120 §6.4.3)."""
    return element(f"{{{SASL}}}challenge", text=encode(challenge) if challenge else "")


def success_element(data: bytes | None) -> Element:
    """Builds the `<success/>` element; `data` are the server's last words (RFC 6120 §6.4.6)."""
    return element(f"{{{SASL}}}success", text=encode(data) if data is not None else "")


def decode(text: bytes) -> bytes:
    """Decodes base64; `=` stands for an empty response (RFC 6120 §6.4.2). Raises Refuse."""
    if text == b"=":
        return b""
    if not _BASE64.fullmatch(text):
        words = "this is not base64, or contains spaces"
        raise Refuse(SaslFailure("incorrect-encoding", words), "RFC 6120 §6.5.5")
    return base64.b64decode(text)


def encode(data: bytes) -> str:
    """Encodes base64; `=` stands for no data (RFC 6120 §6.4.6)."""
    return base64.b64encode(data).decode() or "="


def failure(error: sasl.SaslError) -> SaslFailure:
    """What a client learns about an error (RFC 6120 §6.5)."""
    if isinstance(error, sasl.Malformed):
        return SaslFailure("malformed-request", error.reason)
    if isinstance(error, sasl.Expired):
        return SaslFailure("credentials-expired", error.reason)  # §6.5.3
    if isinstance(error, sasl.ForeignIdentity):
        return SaslFailure("invalid-authzid")
    return SaslFailure("not-authorized")  # §6.5.10: the same for an unknown name


def _identity(authzid: str) -> str:
    """RFC 6120 §6.3.8: an authorization identity is a bare address; "" for anything else."""
    address = parse_or_none(authzid)
    if address is None or not address.local or address.resource:
        return ""
    return address.bare


class _Accounts:
    """The accounts that may log in to one domain (implements sasl.Accounts)."""

    def __init__(self, service: Service, domain: str) -> None:
        self._service = service
        self._domain = domain

    def find(self, login: str) -> Account | None:
        """The account with this login: a local part (RFC 6120 §6.3.7) or the whole address.

        Returns None for an anonymous account, which has no password.
        """
        try:
            address = jid(login if "@" in login else f"{login}@{self._domain}")
        except ValueError:
            return None
        if address.resource or address.domain != self._domain:
            return None
        account = self._service.accounts.find(address)
        return account if account is not None and account.person is not None else None

    def for_login(self, login: str, password: str) -> Account | None:
        """The account with this login: passwords are always checked here."""
        return self.find(login)
