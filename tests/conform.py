"""Whether a server does what its RFC says: `make conform`, `make conform SERVER=smtp://HOST:PORT`.

Each probe of tests/tables/conform.txt is sent to a server on a connection of its own, as bytes, and
cites the section that decides. Without SERVER, ours are asked, and those of other authors that are
installed here. With it, any server of yours: `SERVER=pop3://alice:secret@mail.example.org:110`,
whose account and domain the probes use. No probe sends a mail to anybody but that account.
"""

from __future__ import annotations

import argparse
import base64
import re
import socket
import ssl
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

TABLE = Path(__file__).parent / "tables" / "conform.txt"
PATIENCE = 3.0  # seconds for an answer
LATE, LATER = "(late)", "(a little late)"  # what is shown of an answer that took too long
PORTS = {"smtp": 25, "pop3": 110, "imap": 143, "xmpp": 5222}
LEVELS = ("must", "should", "may")


@dataclass(frozen=True)
class Target:
    """A server, with an account on it."""

    protocol: str
    name: str
    address: tuple[str, int]
    user: str = "alice@example.test"
    password: str = "secret"
    pop3: tuple[str, int] | None = None  # of the same maildrops, if this is IMAP

    def words(self) -> dict[str, str]:
        """What stands for names in braces in a probe."""
        plain = f"\0{self.user}\0{self.password}"
        return {
            "user": self.user,
            "password": self.password,
            "domain": self.user.rpartition("@")[2],
            "plain": base64.b64encode(plain.encode()).decode(),
            "wrong": base64.b64encode(f"\0{self.user}\0wrong".encode()).decode(),
        }


@dataclass
class Probe:
    """One row: what is sent, and the patterns of the answers, in order.

    A step `~` has the seconds within which the answer must have come; `>>` and `pop3>>` are sent on
    a second connection, and `tls` begins the handshake. `others` maps names of servers to what they
    are known to answer instead.
    """

    protocol: str
    level: str
    section: str
    title: str
    steps: list[tuple[str, str]] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)

    def suits(self, target: Target) -> bool:
        """Whether a server can be asked."""
        needs_pop3 = any(kind == "pop3>>" for kind, _ in self.steps)
        return self.protocol == target.protocol and (target.pop3 is not None or not needs_pop3)


def read(text: str) -> list[Probe]:
    """Returns the probes of a table. Raises ValueError for a line that cannot be read."""
    probes: list[Probe] = []
    for number, line in enumerate(text.splitlines(), 1):
        head = re.fullmatch(r"\[(\w+)\] (\w+) ((?:RFC|XEP)[^:]+): (.+)", line)
        known = re.fullmatch(r"(\w+) answers: (.+)", line)
        step = re.fullmatch(r"([<+~]|>|>>|pop3>>|tls)(?: (.*)|(?<=tls))", line)
        if not line or line.startswith("#"):
            continue
        if head and head[1] in PORTS and head[2] in LEVELS:
            probes.append(Probe(head[1], head[2], head[3], head[4]))
        elif probes and step:
            probes[-1].steps.append((step[1], step[2]))
        elif probes and known:
            probes[-1].others[known[1]] = known[2]
        else:
            raise ValueError(f"{TABLE.name}: line {number}: cannot be read: {line!r}")
    return probes


# ── one probe at one server ──────────────────────────────────────────────────

# Where an answer is complete, so that a wrong one need not be waited for.
_COMPLETE = {
    "smtp": rb"\A(?:[^\r\n]{3}-[^\r\n]*\r?\n)*[^\r\n]{3}(?: [^\r\n]*)?\r?\n",
    "pop3": rb"[^\r\n]*\r?\n",
    "imap": rb"\A(?:\* [^\n]*\n)*?(?:\+[^\n]*|(?!\* )[^\n]*)\n",
    "xmpp": rb"(?!)",
}
_CONTEXT = ssl.create_default_context()  # any certificate is as good as another
_CONTEXT.check_hostname = False
_CONTEXT.verify_mode = ssl.CERT_NONE


def play(probe: Probe, target: Target) -> str:
    """Returns "" if the server answers as the probe says, else what it answers."""
    answer = _play(probe, target)
    # What is a little slow twice is not slow by chance.
    answer = _play(probe, target) if answer == LATER else answer
    return LATE if answer == LATER else answer


def _play(probe: Probe, target: Target) -> str:
    words = target.words()
    with ExitStack() as stack:
        connections = {}

        def connect(kind: str) -> tuple[str, socket.socket]:
            protocol = "pop3" if kind == "pop3>>" else probe.protocol
            address = target.pop3 if kind == "pop3>>" and target.pop3 else target.address
            try:
                connection = socket.create_connection(address, PATIENCE)
            except OSError as error:
                raise OSError(f"{target.name}: {error.strerror or error}") from None
            stack.enter_context(closing(connection))
            connection.settimeout(PATIENCE)
            return protocol, connection

        connections[">"] = connect(">")
        received = b"" if probe.protocol == "xmpp" else _answer(*connections[">"], b"")
        began = time.monotonic()
        for kind, text in probe.steps:
            if kind == "~":
                took = time.monotonic() - began
                if took > float(text):
                    return LATE if took > 3 * float(text) else LATER
                continue
            if kind == "tls":
                protocol, connection = connections[">"]
                try:
                    wrapped = _CONTEXT.wrap_socket(connection)
                except OSError:
                    continue  # what is sent next gets no answer
                connections[">"] = protocol, stack.enter_context(closing(wrapped))
                continue
            filled = re.sub(r"\{(\w+)\}", lambda found: words.get(found[1], found[0]), text)
            if kind.endswith(">"):
                end = "" if probe.protocol == "xmpp" else "\r\n"
                sent = filled.encode().decode("unicode_escape").encode("latin-1") + end.encode()
                began = time.monotonic()
                try:
                    if kind not in connections:
                        connections[kind] = connect(kind)
                        _answer(*connections[kind], b"")
                    connections[kind][1].sendall(sent)
                    # Where an answer of XMPP ends is for its pattern to say.
                    received = b"" if end == "" else _answer(*connections[kind], sent)
                except OSError:
                    received = b""
                continue
            pattern = re.compile(filled.encode(), re.S)
            if kind == "+" or probe.protocol == "xmpp":
                received = _until(connections[">"][1], pattern, received)
            if not pattern.search(received):
                return _shown(received)
    return ""


def _answer(protocol: str, connection: socket.socket, sent: bytes) -> bytes:
    """Returns what comes until the answer is complete, the connection ends, or it takes too long.

    That is the answer to the last line of what was sent.
    """
    a_line = (not sent and protocol != "smtp") or sent.startswith(b"* ")
    complete = re.compile(rb"\n" if a_line else _COMPLETE[protocol])
    if protocol == "imap" and re.match(rb"[a-z]\d* ", sent):
        tag = sent.split(b" ", 1)[0]
        complete = re.compile(rb"\A(?:[^\n]*\n)*?(?:" + tag + rb" |\+)[^\n]*\n")
    several = rb"(?i)(?:(?:CAPA|LIST|UIDL|AUTH|LANG)|RETR \d+)\r\n"
    if protocol == "pop3" and re.match(several, sent):
        complete = re.compile(rb"\A(?:-[^\r\n]*\r?\n|\+(?:[^\n]*\n)*?\.\r?\n)")
    return _until(connection, complete, b"")


def _until(connection: socket.socket, pattern: re.Pattern[bytes], received: bytes) -> bytes:
    while not pattern.search(received):
        try:
            more = connection.recv(65536)
        except OSError:  # it takes too long, or is reset
            break
        if not more:
            break
        received += more
    return received


def _shown(received: bytes) -> str:
    """Returns the end of an answer as one short line."""
    text = received.decode("utf-8", "replace").strip() or "(nothing)"
    if text.startswith("<"):  # XML
        text = str(re.findall(r"<[^/<][^<]*", text)[-1])
    return text.splitlines()[-1][:60]


# ── many probes at many servers ──────────────────────────────────────────────


def compare(probes: Iterable[Probe], targets: Sequence[Target]) -> Iterator[str]:
    """Yields the lines of a table: a row for each probe, a column for each server."""
    for protocol in PORTS:
        servers = [target for target in targets if target.protocol == protocol]
        rows = [probe for probe in probes if probe.protocol == protocol]
        if not servers or not rows:
            continue
        yield ""
        yield f"{protocol}: " + ", ".join(f"{at} {one.name}" for at, one in enumerate(servers, 1))
        wrong = dict.fromkeys((server.name for server in servers), 0)
        for probe in rows:
            answers = {one.name: play(probe, one) for one in servers if probe.suits(one)}
            shown = {name: "✗" if answer else "✓" for name, answer in answers.items()}
            marks = " ".join(shown.get(one.name, "–") for one in servers)
            yield f"  {marks}  {probe.level:6}  {probe.section:22}  {probe.title}"
            for name, answer in answers.items():
                if answer:
                    wrong[name] += probe.level == "must"
                    yield f"  {' ' * len(marks)}  {name}: {answer}"
        for name, count in wrong.items():
            yield f"  {name}: {count} of {sum(p.level == 'must' for p in rows)} musts do not hold"


def target_of(url: str) -> Target:
    """Returns the server of a URL. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in PORTS or not parts.hostname:
        raise ValueError(f"{url!r}: write smtp://HOST:PORT, or pop3, imap or xmpp")
    port = parts.port or PORTS[parts.scheme]
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    name, address = f"{parts.hostname}:{port}", (parts.hostname, port)
    if not user:
        return Target(parts.scheme, name, address)
    return Target(parts.scheme, name, address, user, password)


def ours(stack: ExitStack) -> Iterator[Target]:
    """Yields our servers, which run until the stack is closed."""
    from fakes import World

    world = stack.enter_context(World({"servers": list(PORTS), "tls": "optional"}))
    for protocol in PORTS:
        pop3 = world.address("pop3") if protocol == "imap" else None
        yield Target(protocol, "ours", world.address(protocol), pop3=pop3)


def main(arguments: Sequence[str], others: Callable[[ExitStack], Iterator[Target]] = ours) -> int:
    """Prints the table. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="make conform")
    parser.add_argument("server", nargs="*", help="smtp://USER:PASSWORD@HOST:PORT")
    options = parser.parse_args(arguments)
    probes = read(TABLE.read_text("utf-8"))
    with ExitStack() as stack:
        try:
            targets = [target_of(url) for url in options.server] or list(others(stack))
        except ValueError as error:
            print(f"error: {error}", file=sys.stderr)
            return 2
        try:
            for line in compare(probes, targets):
                print(line, flush=True)
        except OSError as error:
            print(f"error: {error}; is the server running?", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
