"""A TOC server, TOC 1.0 and TOC2 over SFLAP. TOC was AOL Instant Messenger's text protocol.

Read the modules in this order: `frames` and `arguments` (from bytes to words), `units` (from words
to commands), `session` (the legality table and the sign-on), `commands` (one function per command),
`messages` (what the server sends), `door` (how a client learns what others do), `aim` (the service:
who is online, who sees whom), `presence`, `lists`, `rooms`. The rest is small: `refusals`,
`roasting`, `text` (from text to bytes), `masks` (how transcripts hide passwords), `rate`, `pages`
(the web half), `actors` (users who act without a client), `codec` (how transcripts write frames).

AOL closed the service in 2017. The sources are AOL's own document of TOC 1.0, and what clients of
both versions and the servers that outlived AOL's are seen to do. Left out, because no client that
still runs depends on it: file transfers (`toc_rvous_…`), searching the directory (answered with
973), `toc_chat_evil`, `toc_locate_user`. Warning levels do not decay by themselves, because the
rate is unknown. A name has one session: a second sign-on ends the first. Therefore the TOC2
messages that report a list edited in another session never occur by themselves (`world.aim.sends`
sends any message).
"""

from fakes.toc.actors import Actor
from fakes.toc.aim import Aim
from fakes.toc.presence import Account, Im
from fakes.toc.session import Policy, Toc

__all__ = ["Account", "Actor", "Aim", "Im", "Policy", "Toc"]
