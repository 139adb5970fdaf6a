"""The servers that others wrote, for tests/conform.py: each with the account alice@example.test."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import AuthResult, LoginPassword

from fakes import World
from tests.bench_measure import Missing
from tests.bench_servers import PASSWORD, USER, dovecot, ejabberd, installed, prosody
from tests.conform import Target, main, ours
from tests.real import dovecot_auth, free_port, postfix


@contextmanager
def _postfix() -> Iterator[list[Target]]:
    with installed("Postfix"), World({"servers": ["smtp"], "tls": "off"}) as world:
        deliver_to = world.address("smtp")[1]
        with postfix([USER, "postmaster@mail.yourco.test"], deliver_to, sasl=True) as found:
            server, _, place = found
            with dovecot_auth(place / "queue" / "private" / "auth", {USER: PASSWORD}):
                yield [Target("smtp", "Postfix", ("127.0.0.1", server.port))]


@contextmanager
def _aiosmtpd() -> Iterator[list[Target]]:
    def check(server: object, session: object, envelope: object, kind: str, data: object) -> object:
        right = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
        return AuthResult(success=right, handled=False)

    port = free_port()  # its Controller cannot take port 0
    controller = Controller(
        Sink(),
        "127.0.0.1",
        port,
        server_kwargs={"authenticator": check, "auth_require_tls": False, "enable_SMTPUTF8": True},
    )
    controller.start()
    try:
        yield [Target("smtp", "aiosmtpd", ("127.0.0.1", port))]
    finally:
        controller.stop()


@contextmanager
def _dovecot() -> Iterator[list[Target]]:
    with dovecot() as running:
        pop3, imap = (("127.0.0.1", running.ports[protocol]) for protocol in ("pop3", "imap"))
        yield [Target("pop3", "Dovecot", pop3), Target("imap", "Dovecot", imap, pop3=pop3)]


@contextmanager
def _xmpp(name: str) -> Iterator[list[Target]]:
    with {"Prosody": prosody, "ejabberd": ejabberd}[name]() as running:
        yield [Target("xmpp", name, ("127.0.0.1", running.ports["xmpp"]))]


SERVERS: dict[str, Callable[[], AbstractContextManager[list[Target]]]] = {
    "Postfix": _postfix,
    "aiosmtpd": _aiosmtpd,
    "Dovecot": _dovecot,
    "Prosody": lambda: _xmpp("Prosody"),
    "ejabberd": lambda: _xmpp("ejabberd"),
}


def everybody(stack: ExitStack) -> Iterator[Target]:
    """Yields ours and those that can run here; says which cannot."""
    yield from ours(stack)
    for name, server in SERVERS.items():
        try:
            yield from stack.enter_context(server())
        except Missing as missing:
            print(f"{name} is not asked: {missing}", file=sys.stderr)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:], everybody))
