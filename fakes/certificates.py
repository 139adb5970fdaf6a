"""Certificates for the servers of a world, made by trustme.

Each world has its own authority. trustme is an extra: without it a world has no TLS.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.util
import ssl
import tempfile
from pathlib import Path

REMEDY = "TLS needs the package trustme: pip install 'comms-and-fakes[tls]'"


def available() -> bool:
    """Whether certificates can be made here."""
    return importlib.util.find_spec("trustme") is not None


class ServerContext(ssl.SSLContext):
    """A server's TLS context that knows the channel binding data of its certificate.

    `end_point` is the data of the type tls-server-end-point (RFC 5929 §4.1).
    """

    end_point = b""


class Authority:
    """A world's certificate authority, for servers with the given names and for localhost."""

    def __init__(self, names: list[str]) -> None:
        import trustme

        self._names = [*names, "localhost", "127.0.0.1", "::1"]
        self._ca = trustme.CA()
        self._untrusted_ca = trustme.CA()
        self._contexts: dict[str, ServerContext] = {}

    @property
    def pem(self) -> bytes:
        """The authority's own certificate, which a client has to trust."""
        return self._ca.cert_pem.bytes()

    def write(self, folder: Path) -> Path:
        """Writes the authority's certificate to ca.pem in a folder and returns the path."""
        path = folder / "ca.pem"
        path.write_bytes(self.pem)
        return path

    def context(self, flaw: str = "") -> ServerContext:
        """The context of a server.

        Its certificate is good, or has the given flaw: expired, other-name or self-signed.
        """
        if flaw not in self._contexts:
            self._contexts[flaw] = self._make(flaw)
        return self._contexts[flaw]

    def _make(self, flaw: str) -> ServerContext:
        context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
        # XEP-0368 §3. A client that asks for no protocol, or for another, is served anyway.
        context.set_alpn_protocols(["xmpp-client"])
        pem = (
            self._load_self_signed(context) if flaw == "self-signed" else self._issue(context, flaw)
        )
        # RFC 5929 §4.1: the hash is that of the certificate's signature. trustme signs by SHA-256.
        context.end_point = hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem.decode())).digest()
        return context

    def _issue(self, context: ServerContext, flaw: str) -> bytes:
        """Loads a certificate issued by the authority and returns it."""
        names = ["other.example"] if flaw == "other-name" else self._names
        first_day, last_day = (-20, -10) if flaw == "expired" else (-1, 365)
        now = datetime.datetime.now(datetime.UTC)
        certificate = self._ca.issue_cert(
            *names,
            not_before=now + datetime.timedelta(days=first_day),
            not_after=now + datetime.timedelta(days=last_day),
        )
        certificate.configure_cert(context)
        return certificate.cert_chain_pems[0].bytes()

    def _load_self_signed(self, context: ServerContext) -> bytes:
        """Loads the root certificate of an authority that no client trusts, and returns it."""
        pem = self._untrusted_ca.cert_pem.bytes()
        # ssl loads a key from a file only.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "self-signed.pem"
            path.write_bytes(self._untrusted_ca.private_key_pem.bytes() + pem)
            context.load_cert_chain(path)
        return pem
