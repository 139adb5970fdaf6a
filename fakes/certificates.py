"""Certificates for the fakes, made afresh for each world by trustme (an extra: without it they speak in clear)."""

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
    """A server's context that knows what its certificate gives to bind a login to (RFC 5929 §4.1)."""

    end_point = b""


class Authority:
    """A world's certificate authority. Made when first needed: most tests need none."""

    def __init__(self, names: list[str]) -> None:
        import trustme

        self._names = [*names, "localhost", "127.0.0.1", "::1"]
        self._ca = trustme.CA()
        self._other = trustme.CA()
        self._contexts: dict[str, ServerContext] = {}

    @property
    def pem(self) -> bytes:
        """The authority's own certificate: what a client has to trust."""
        return self._ca.cert_pem.bytes()

    def write(self, folder: Path) -> Path:
        """Puts the certificate into a file `ca.pem`, for settings and for programs in other languages."""
        path = folder / "ca.pem"
        path.write_bytes(self.pem)
        return path

    def context(self, flaw: str = "") -> ServerContext:
        """The server's context: good, or with one flaw of the fault grammar (expired, other-name, self-signed)."""
        if flaw not in self._contexts:
            context = ServerContext(ssl.PROTOCOL_TLS_SERVER)
            context.set_alpn_protocols(["xmpp-client"])  # XEP-0368 §3; who asks for nothing, or for another, is not refused
            if flaw == "self-signed":
                # the root of an authority that nobody knows, shown as if it were a server's certificate
                with tempfile.TemporaryDirectory() as folder:
                    path = Path(folder) / "self.pem"
                    shown = self._other.cert_pem.bytes()
                    path.write_bytes(self._other.private_key_pem.bytes() + shown)
                    context.load_cert_chain(path)
            else:
                now = datetime.datetime.now(datetime.UTC)
                names = ["other.example"] if flaw == "other-name" else self._names
                first, last = (-20, -10) if flaw == "expired" else (-1, 365)
                leaf = self._ca.issue_cert(
                    *names,
                    not_before=now + datetime.timedelta(days=first),
                    not_after=now + datetime.timedelta(days=last),
                )
                leaf.configure_cert(context)
                shown = leaf.cert_chain_pems[0].bytes()
            # hashed as the certificate itself is signed: trustme signs with SHA-256
            context.end_point = hashlib.sha256(ssl.PEM_cert_to_DER_cert(shown.decode())).digest()
            self._contexts[flaw] = context
        return self._contexts[flaw]
