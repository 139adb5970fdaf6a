"""Plays an SMTP transcript at a server that is not ours, and compares the reply codes.

Where the referee answers differently, the transcript says so under its line, with the section that
decides: `aiosmtpd: 250 (ours 501: RFC 5321 §4.1.2)`, or `aiosmtpd: stops here` where the states of
the two servers part ways.
"""

from __future__ import annotations

import itertools
import re
from functools import partial

from fakes.transcripts.codec import LINES, escaped
from fakes.transcripts.connections import Connection, OnSocket
from fakes.transcripts.secrets import challenge_in, response
from fakes.transcripts.text import Step, Transcript
from fakes.world import World

STOPS = "stops here"


def play_at_referee(transcript: Transcript, address: tuple[str, int]) -> list[str]:
    """Plays a transcript at a server, and returns the differences that the transcript notes.

    Raises TranscriptError for a difference that is not noted, and for a note that no longer holds.
    """
    people = World(transcript.config(), rehearsal=True).people
    connections: dict[str, Connection] = {}
    differences: list[str] = []
    challenge = b""
    steps = [*transcript.steps, Step(0, "end", "")]
    for step, following in itertools.pairwise(steps):
        if step.kind == "aiosmtpd":
            if step.text == STOPS:
                break
            continue
        if step.kind not in "CS" or step.event:
            continue
        if step.who not in connections:
            connections[step.who] = OnSocket(address)
        connection = connections[step.who]
        if step.kind == "C":
            secret = partial(response, people=people, challenge=challenge)
            connection.send(LINES.to_bytes(step, secret))
        elif step.text[3:4] != "-":  # the last line of a reply
            reply = _reply(connection)
            challenge = challenge_in(reply) or challenge
            noted = ""
            if following.kind == "aiosmtpd" and following.text != STOPS:
                noted = following.text
                differences.append(noted)
            if reply[:3].decode("latin-1") != (noted or step.text)[:3]:
                came = escaped(reply.strip()) or "(nothing)"
                text = (
                    f"the referee sends {came}\n  ours: {step.text}\n  noted: {noted or 'nothing'}"
                )
                raise transcript.error(step.number, text)
    for connection in connections.values():
        connection.close()
    return differences


_REPLY = re.compile(rb"(?:[^\r\n]{3}-[^\r\n]*\r\n)*[^\r\n]{3}(?: [^\r\n]*)?\r\n")


def _reply(connection: Connection) -> bytes:
    """Returns one complete reply, of one or more lines."""
    received = connection.read(lambda so_far: bool(_REPLY.match(so_far)))
    match = _REPLY.match(received)
    if match is None:
        return received
    connection.put_back(received[match.end() :])
    return match[0]
