"""Log in to a mail server by each scheme: the strongest first, and no password in clear text.

Section 6.1.1 · SMTP · try: make scenario NAME=smtp-auth WIRE=smtp
Needs: trustme

The program tells the owner of an account by which schemes it can log in. SCRAM and CRAM-MD5 never
show the password, and in SCRAM the server proves that it knows it, too. PLAIN and LOGIN show it, so
they are used only inside TLS. With `auth` in [smtp], only that
scheme is tried. When the server refuses the password, the program ends, because more attempts could
lock the account.

[scenario.smtp-auth]
initial_response = true              # PLAIN in one command; some servers want to be asked first

Fault: AUTH split 1 -> all hold
Fault: AUTH reply "454 4.7.0 Later" times 1 -> breaks each scheme logs in, strongest first,
    the wire shows each exchange and no secret, the error names account, scheme and reply,
    it is not sent again by another scheme, only schemes that hide it are used,
    PLAIN alone is refused,
    no password crosses the wire, PLAIN waits for the challenge
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from comms import sasl, smtp
from comms.clock import Clock
from comms.errors import Refused, SettingsError
from comms.host import Host
from comms.settings import Server, Settings
from scenarios.play import Claim, Program, Scenario, equal, sent

if TYPE_CHECKING:
    from fakes import World

OPS, PASSWORD = "ops@yourco.test", "correct horse"
WORLD: dict[str, Any] = {
    "servers": ["smtp"],
    "tls": "optional",
    "off": {"smtp": ["SMTPUTF8", "DSN", "CHUNKING", "BINARYMIME", "EXPN", "HELP"]},
    "mail": {"scram": True},
    "program": OPS,
    "person": [{"address": OPS, "password": PASSWORD}],
    "host": {"name": "desk.yourco.test"},
    "scenario": {"smtp-auth": {}},
}
scenario = Scenario(WORLD)
REVEALING = ("PLAIN", "LOGIN")  # who can read the connection can read the password
# What the client sends by the others, as transcripts show it. The empty responses of SCRAM are to
# the server's own proof.
HIDING = [
    *(f"AUTH SCRAM-SHA-256 {{scram-sha-256 {OPS}}}", f"{{scram-sha-256 {OPS}}}", ""),
    *(f"AUTH SCRAM-SHA-1 {{scram-sha-1 {OPS}}}", f"{{scram-sha-1 {OPS}}}", ""),
    *("AUTH CRAM-MD5", f"{{cram-md5 {OPS}}}"),
]


@dataclass(frozen=True)
class Rules:
    """The settings."""

    initial_response: bool = True


def obstacles(offered: Sequence[str], server: Server) -> dict[str, str]:
    """Returns the schemes that the settings allow, strongest first, each with what prevents it."""
    found = {}
    for name in (*sasl.SCRAM, *sasl.MECHANISMS):
        if server.auth not in ("auto", name.lower()):
            continue
        if name not in offered:
            found[name] = "not offered by the server"
        elif name in REVEALING and server.tls == "none":
            found[name] = 'not without TLS; write tls = "starttls"'
        else:
            found[name] = ""
    return found


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Logs in by each scheme, and returns 0. Raises Refused if one is refused, or none is left."""
    rules, server = settings.table("smtp-auth", Rules), settings.server("smtp")
    if not server.user:
        raise SettingsError(f'{settings.source}: smtp.user: missing key; write user = "ops"')
    with smtp.Session(replace(server, user=""), clock, host) as session:
        offered = (session.extension("AUTH") or "").upper().split()
    schemes = obstacles(offered, server)
    for name, obstacle in schemes.items():
        if not obstacle:
            chosen = replace(server, auth=name.lower())
            smtp.Session(chosen, clock, host, rules.initial_response).close()
        host.say(f"{name}: {obstacle or 'logged in'}")
    if all(schemes.values()):
        raise Refused(
            f"{server.host}:{server.port}: no scheme is left to log in by "
            f"(offered: {' '.join(offered) or 'none'})"
        )
    return 0


def in_clear(world: World) -> list[str]:
    """The logins that were sent before TLS, as transcripts show them."""
    hidden = {record.session for record in world.records if record.verb == "tls"}
    logins = sent(world, "AUTH", "response")
    return [record.shown().decode().strip() for record in logins if record.session not in hidden]


@scenario.act("smtp-auth-matrix")
def matrix(world: World, program: Program) -> Iterator[Claim]:
    """The server offers five schemes, and TLS."""
    code = program()
    logins = sent(world, "AUTH", "response")
    wanted = [f"{name}: logged in" for name in (*sasl.SCRAM, *sasl.MECHANISMS)]
    yield equal(
        "each scheme logs in, strongest first", (code, world.said), (0, wanted), shows=world.said
    )
    exchanges = [*HIDING, f"AUTH PLAIN {{plain {OPS}}}"]
    exchanges += ["AUTH LOGIN", f"{{login {OPS}}}", f"{{password {OPS}}}"]
    yield equal(
        "the wire shows each exchange and no secret",
        [record.shown().decode().strip() for record in logins],
        exchanges,
        shows=logins,
    )
    yield equal("no login is sent in clear text", in_clear(world), [])
