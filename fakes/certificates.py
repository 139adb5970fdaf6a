"""Certificates for the servers of a world, made by trustme.

Each world has its own authority. trustme is an extra: without it a world has no TLS.
"""

from __future__ import annotations

import datetime
import hashlib
import ssl
import threading
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from fakes.config import WorldError, text_of
from fakes.extras import installed

if TYPE_CHECKING:
    from pathlib import Path

REMEDY = "TLS needs the package trustme: pip install trustme"


def available() -> bool:
    """Whether certificates can be made here."""
    return installed("trustme")


def authorities(path: Path) -> str:
    """Reads the certificates of authorities, in PEM, from a file. Raises ValueError."""
    try:
        text = text_of(path, "ascii")
        ssl.create_default_context(cadata=text)
    except (ssl.SSLError, UnicodeDecodeError):
        why = "there is no certificate in it"
    except OSError as error:
        why = str(error.strerror)
    else:
        return text
    raise ValueError(f"{path}: {why}; name a file in PEM")


class ServerContext(ssl.SSLContext):
    """A server's TLS context that knows the channel binding data of its certificate.

    `end_point` is the data of the type tls-server-end-point (RFC 5929 §4.1).
    """

    end_point = b""


def _load(certificate: Path, key: Path) -> Any:
    """Returns an authority that was kept in two files."""
    if not available():
        raise WorldError(REMEDY)
    import trustme

    return trustme.CA.from_pem(certificate.read_bytes(), key.read_bytes())


class Authority:
    """A world's certificate authority, for servers with the given names and for localhost.

    It is made when it is first used, because most worlds never need it. With `kept`, a folder, it
    is the one that was kept there, or is kept there from now on: a client that trusts it need not
    be told again.
    """

    def __init__(self, names: list[str], kept: Path | None = None) -> None:
        self._kept = kept
        self._names = [*dict.fromkeys(names), "localhost", "127.0.0.1", "::1"]
        self._contexts: dict[str, ServerContext] = {}
        # Of servers that verify each other: own names, flaw, whether as a client.
        self._peer_contexts: dict[tuple[tuple[str, ...], str, bool], ServerContext] = {}
        self._peers = ""  # the authorities that these servers trust
        # The loop and a test may ask at once, and must get certificates of the same authority.
        self._lock = threading.Lock()

    @cached_property
    def _ca(self) -> Any:
        if self._kept is None:
            return self._new()
        certificate, key = self._kept / "ca.pem", self._kept / "ca-key.pem"
        try:
            return _load(certificate, key) if key.exists() else self._keep(certificate, key)
        except (OSError, ValueError) as error:
            text = error.strerror if isinstance(error, OSError) else "is not a key of an authority"
            raise WorldError(
                f"{self._kept}: {text}; name a folder that can be written, or remove ca.pem and "
                "ca-key.pem from it"
            ) from None

    def _keep(self, certificate: Path, key: Path) -> Any:
        authority = self._new()
        certificate.parent.mkdir(parents=True, exist_ok=True)
        certificate.write_bytes(authority.cert_pem.bytes())
        key.touch(mode=0o600)
        key.write_bytes(authority.private_key_pem.bytes())
        return authority

    @cached_property
    def _untrusted_ca(self) -> Any:
        return self._new()

    def _new(self) -> Any:
        """Returns an authority. Raises WorldError if trustme is not installed."""
        if not available():
            raise WorldError(REMEDY)
        import trustme

        return trustme.CA()

    @property
    def pem(self) -> bytes:
        """The authority's own certificate, which a client has to trust."""
        with self._lock:
            pem: bytes = self._ca.cert_pem.bytes()
            return pem

    def write(self, folder: Path) -> Path:
        """Writes the authority's certificate to ca.pem in a folder and returns the path.

        Raises WorldError if trustme is not installed.
        """
        path, pem = folder / "ca.pem", self.pem
        if folder != self._kept or path.read_bytes() != pem:  # what is kept may be read-only
            path.write_bytes(pem)
        return path

    def context(self, flaw: str = "") -> ServerContext:
        """The context of a server.

        Its certificate is good, or has the given flaw: expired, other-name or self-signed. Raises
        WorldError if trustme is not installed.
        """
        with self._lock:
            if flaw not in self._contexts:
                self._contexts[flaw] = self._make(flaw)
            return self._contexts[flaw]

    def trust(self, *authorities: str) -> None:
        """Adds authorities, in PEM, whose certificates servers of this world accept from others."""
        with self._lock:
            self._peers += "".join(authorities)
            self._peer_contexts.clear()

    def peer_context(self, names: tuple[str, ...], flaw: str, client: bool) -> ServerContext:
        """The context of a server with these names, for a connection with another server.

        Certificates are verified if there are authorities to trust. Without, the connection is
        only encrypted.
        """
        with self._lock:
            key = (names, flaw, client)
            if key not in self._peer_contexts:
                self._peer_contexts[key] = self._make_for_peers(*key)
            return self._peer_contexts[key]

    def _make_for_peers(self, names: tuple[str, ...], flaw: str, client: bool) -> ServerContext:
        purpose = ssl.PROTOCOL_TLS_CLIENT if client else ssl.PROTOCOL_TLS_SERVER
        context = ServerContext(purpose)
        if flaw == "self-signed":
            self._load_self_signed(context)
        else:
            self._issue(context, flaw, names)
        if self._peers:
            context.load_verify_locations(cadata=self._peers)
            # A client may have no certificate. If it has one, it must be good.
            context.verify_mode = ssl.CERT_REQUIRED if client else ssl.CERT_OPTIONAL
        elif client:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _make(self, flaw: str) -> ServerContext:
        context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
        # XEP-0368 §3. A client that asks for no protocol, or for another, is served anyway.
        context.set_alpn_protocols(["xmpp-client"])
        pem = (
            self._load_self_signed(context)
            if flaw == "self-signed"
            else self._issue(context, flaw, self._names)
        )
        # RFC 5929 §4.1: the hash is that of the certificate's signature. trustme signs by SHA-256.
        context.end_point = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).digest()
        return context

    def _issue(self, context: ServerContext, flaw: str, names: Iterable[str]) -> bytes:
        """Loads a certificate issued by the authority and returns it."""
        names = ["other.example"] if flaw == "other-name" else names
        first_day, last_day = (-20, -10) if flaw == "expired" else (-1, 365)
        now = datetime.datetime.now(datetime.UTC)
        certificate = self._ca.issue_cert(
            *names,
            not_before=now + datetime.timedelta(days=first_day),
            not_after=now + datetime.timedelta(days=last_day),
        )
        certificate.configure_cert(context)
        pem: bytes = certificate.cert_chain_pems[0].bytes()
        return pem

    def _load_self_signed(self, context: ServerContext) -> bytes:
        """Loads the root certificate of an authority that no client trusts, and returns it."""
        pem: bytes = self._untrusted_ca.cert_pem.bytes()
        # ssl loads a key from a file only.
        import tempfile
        from pathlib import Path

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "self-signed.pem"
            path.write_bytes(self._untrusted_ca.private_key_pem.bytes() + pem)
            context.load_cert_chain(path)
        return pem
