"""The TOC server as a world sees it: its port, its accounts, and its transcripts."""

from __future__ import annotations

from typing import Any

from fakes.descriptor import Port, Server, deferred_codec, deferred_table
from fakes.people import Person
from fakes.toc.aim import Aim
from fakes.toc.session import Policy, Toc


def _login(aim: Aim, person: Person, program: str) -> dict[str, Any]:
    """The AIM account that the world's `program` names, or the first one. TOC knows no TLS."""
    account = aim.known.find(program) or next(iter(aim.known))
    return {"screen_name": account.screen_name, "password": account.password}


SERVER = Server(
    name="toc",
    session=Toc,
    ports=(Port("toc", 9898),),
    store="aim",
    policy=Policy,
    table="toc",
    codec=deferred_codec("fakes.toc.codec", "Frames"),
    words=deferred_table("fakes.toc.codec", "WORDS"),
    cues=deferred_table("fakes.toc.codec", "CUES"),
    secrets=deferred_table("fakes.toc.codec", "SECRETS"),
    login=_login,
)
