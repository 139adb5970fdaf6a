"""What the world needs to know of the IMAP server: ports, policy, words of transcripts."""

from __future__ import annotations

from fakes.descriptor import Port, Server, deferred_table
from fakes.imap.policy import Policy
from fakes.imap.session import Imap
from fakes.mail_manners import IMAP_MANNERS

SERVER = Server(
    name="imap",
    session=Imap,
    ports=(Port("imap", 1143), Port("imaps", 1993, tls=True)),
    make=lambda core, runtime, mail, policy: core(runtime, mail.store, policy),
    store="mail",
    policy=Policy,
    table="imap",
    words=deferred_table("fakes.transcripts.mail", "WORDS"),
    on_request=True,
    manners=IMAP_MANNERS,
)
