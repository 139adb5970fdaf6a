"""Servers of IRC that a test writes line by line, and the settings of a client for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from comms.settings import Server
from tests.scripted import Peer


def server(peer: Peer, **changes: Any) -> Server:
    """Returns the settings of a bot without a password on a scripted server."""
    keys: dict[str, Any] = {"tls": "none", "nick": "bot", "timeout": 2.0, "channels": ()}
    found = Server("irc", "127.0.0.1", peer.port, password=changes.pop("password", ""), **keys)
    return dataclasses.replace(found, **changes)


def send(peer: Peer, *lines: str) -> None:
    """Sends lines."""
    peer.send("".join(f"{line}\r\n" for line in lines).encode())


def welcome(peer: Peer, *tokens: str, nick: str = "bot") -> None:
    """Completes a registration."""
    send(peer, f":s 001 {nick} :Welcome {nick}!~b@host.test")
    if tokens:
        send(peer, f":s 005 {nick} {' '.join(tokens)} :are supported")
    send(peer, f":s 422 {nick} :No MOTD")


def without_capabilities(*then: Callable[[Peer], object]) -> Callable[[Peer], object]:
    """Returns a script: an old server, and what follows the welcome."""

    def script(peer: Peer) -> None:
        peer.expect(b"USER ")
        send(peer, ":s 421 bot CAP :Unknown command")
        welcome(peer)
        for act in then:
            act(peer)
        peer.read_to_end()

    return script


def with_capabilities(
    names: str, *then: Callable[[Peer], object], tokens: tuple[str, ...] = ()
) -> Callable[[Peer], object]:
    """Returns a script: a server with these capabilities, and what follows the welcome."""

    def script(peer: Peer) -> None:
        peer.expect(b"CAP LS 302\r\n", b"USER ")
        send(peer, f":s CAP * LS :{names}")
        peer.expect(b"CAP REQ :")
        send(peer, f":s CAP bot ACK :{names}")
        peer.expect(b"CAP END\r\n")
        welcome(peer, *tokens)
        for act in then:
            act(peer)
        peer.read_to_end()

    return script
