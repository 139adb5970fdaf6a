"""The command: `python -m fakes`. Real servers on real ports for whatever talks to them, until SIGTERM or SIGINT.

When everything listens, one JSON line on stdout says where; the wire, secrets masked, goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import secrets
import signal
import sys
import threading
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fakes import certificates
from fakes.faults import FaultError
from fakes.host import Event
from fakes.transcript import lines_of
from fakes.wire import Record
from fakes.world import LISTENERS, World, WorldError

DEFAULT_PORTS = {
    "smtp": 1025, "submission": 1587, "smtps": 1465, "pop3": 1110, "pop3s": 1995, "imap": 1143, "imaps": 1993,
    "xmpp": 5222, "xmpps": 5223, "toc": 9898,
}  # fmt: skip
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
WORDS = 2


def main(words: Sequence[str] | None = None) -> int:
    """Serves; gives the exit code."""
    options = _parser().parse_args(words)
    try:
        world = _world(options)
        with world:
            return _serve(world, options)
    except (WorldError, FaultError) as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:
        print(f"error: {error.strerror or error} (is another server running there? 0 takes any free port)", file=sys.stderr)
    return WORDS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fakes", description=(__doc__ or "").splitlines()[0],
        epilog="With no port, every server starts on its default; with any, only those named. Port 0 is any free one.",
    )  # fmt: skip
    for names in LISTENERS.values():
        for name in names:
            parser.add_argument(f"--{name}", metavar="PORT", type=int, help=f"default {DEFAULT_PORTS[name]}")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument("--domain", metavar="NAME", action="append", default=[], help="a domain of ours")
    parser.add_argument("--user", metavar="NAME@DOMAIN:PASSWORD", action="append", default=[], help="an account")
    parser.add_argument("--aim", metavar="'SCREEN NAME:PASSWORD'", action="append", default=[], help="an AIM account")
    parser.add_argument("--world", metavar="FILE.toml", type=Path, help="all this and more, in a file")
    parser.add_argument("--tls", choices=["off", "optional", "required"], help="STARTTLS/STLS (default optional)")
    parser.add_argument("--fault", metavar="TEXT", action="append", default=[], help="something that goes wrong")
    parser.add_argument("--port-file", metavar="FILE", type=Path, help="where to write the ready line too")
    parser.add_argument("--quiet", action="store_true", help="no wire on stderr")
    return parser


def _world(options: argparse.Namespace) -> World:
    """The world that the options ask for. Raises WorldError, FaultError."""
    config: dict[str, Any] = {}
    if options.world is not None:
        try:
            config = tomllib.loads(options.world.read_text("utf-8"))
        except OSError as error:
            raise WorldError(f"{options.world}: cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise WorldError(f"{options.world}: is not TOML: {error}") from None
    for text in options.user:
        address, colon, password = text.partition(":")
        if not colon or "@" not in address:
            raise WorldError(f"--user is NAME@DOMAIN:PASSWORD, not {text!r}")
        config.setdefault("person", []).append({"address": address, "password": password})
    for text in options.aim:
        name, colon, password = text.partition(":")
        if not colon:
            raise WorldError(f"--aim is 'SCREEN NAME:PASSWORD', not {text!r}")
        config.setdefault("aim", []).append({"screen_name": name, "password": password})
    if options.domain:
        config["mail"] = {**config.get("mail", {}), "domains": options.domain}
    named = {name: port for names in LISTENERS.values() for name in names if (port := getattr(options, name)) is not None}
    config["tls"] = options.tls or config.get("tls", "optional")
    implicit = [name for names in LISTENERS.values() for name, inside in names.items() if inside and name in named]
    if not certificates.available():
        if options.tls == "required" or implicit:
            raise WorldError(
                f"{'--tls required' if options.tls == 'required' else '--' + implicit[0]}: {certificates.REMEDY}"
            )
        print(f"no TLS here: {certificates.REMEDY}", file=sys.stderr)
        config["tls"] = "off"
    ports = named or {name: DEFAULT_PORTS[name] for names in LISTENERS.values() for name in names}
    config.setdefault("servers", [server for server, names in LISTENERS.items() if names.keys() & ports.keys()])
    return World(
        config, faults=options.fault, host=options.host, ports=ports,
        token=lambda length: "".join(secrets.choice(_DIGITS) for _ in range(length)),
        watch=(lambda one: None) if options.quiet else _show,
    )  # fmt: skip


def _show(one: Record | Event) -> None:
    if isinstance(one, Record):
        for line in lines_of(one):
            print(f"{one.protocol}-{one.session} {line}", file=sys.stderr)


def _serve(world: World, options: argparse.Namespace) -> int:
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    where = {name: list(address) for name, address in world.listeners.items()}
    ca = str(world.ca_file) if world.tls != "off" else None
    line = json.dumps({"ready": True, **where, "ca": ca})
    if options.port_file is not None:
        options.port_file.write_text(line + "\n", "utf-8")
    print(line, flush=True)
    over.wait()
    world.faults.disarm()  # whether they were met is a test's question
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
