"""An IRC server: RFC 2812 and RFC 1459, as today's networks have changed them, with IRCv3.

Read the modules in this order: `lines` (from bytes to words, and back), `names` (which names are
the same), `users` and `channels` (the state), `network` (the service: who is there, who is told
what; `world.irc`), `policy`, `session` (the legality table, the registration, the limits of a
connection), `capabilities` and `login` (CAP and SASL), `commands` (one function per command).
The rest is small: `numerics` (the texts of replies), `actors` (people who act without a client),
`masks` (how transcripts hide passwords), `server` (ports, cues, and words of transcripts).

Commands work on a `Client`, which is a connection or a person who acts by cues. So a cue does
exactly what the command of a client would do.

Left out: links between servers (a netsplit is a cue), WHOX, MONITOR, STATUSMSG, history, WALLOPS,
ADMIN, STS, WebSocket, and SASL EXTERNAL, because the shell knows no certificate of a client.
"""

from fakes.irc.actors import Person
from fakes.irc.network import Irc
from fakes.irc.policy import Policy
from fakes.irc.session import IrcSession
from fakes.irc.users import Message

__all__ = ["Irc", "IrcSession", "Message", "Person", "Policy"]
