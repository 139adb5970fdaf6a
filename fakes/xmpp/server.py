"""The XMPP server as a world sees it: its ports, its accounts, and its transcripts."""

from __future__ import annotations

from fakes.descriptor import Port, Server, deferred_codec, deferred_table
from fakes.people import Person
from fakes.xmpp.jabber import Jabber
from fakes.xmpp.manners import MANNERS
from fakes.xmpp.policy import Policy
from fakes.xmpp.stream import Xmpp


def _login(jabber: Jabber, person: Person, program: str) -> dict[str, str]:
    return {"jid": person.address, "password": person.password}


SERVER = Server(
    name="xmpp",
    session=Xmpp,
    make=lambda core, runtime, jabber, policy: core(runtime, jabber.service),
    ports=(Port("xmpp", 5222), Port("xmpps", 5223, tls=True)),
    store="jabber",
    policy=Policy,
    table="xmpp",
    codec=deferred_codec("fakes.xmpp.codec", "Stanzas"),
    manners=MANNERS,
    words=deferred_table("fakes.xmpp.codec", "WORDS"),
    cues=deferred_table("fakes.xmpp.codec", "CUES"),
    secrets=deferred_table("fakes.xmpp.codec", "SECRETS"),
    login=_login,
    brings=("webhook",),  # for uploads, and for streams over WebSocket
)
