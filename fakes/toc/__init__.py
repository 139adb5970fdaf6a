"""A TOC server (AOL Instant Messenger's plain protocol), TOC 1.0 and TOC2, over SFLAP.

Read in this order: `frames` and `arguments` (octets and words), `session` (the legality table, and a handler a command),
`messages` (what is said back), `aim` (who is on line and who sees whom), `presence`, `lists`, `rooms`; then the small ones:
`roasting`, `masks` (what transcripts show of passwords), `speed`, `pages` (the web half), `actors` (people of the play),
`codec` (how transcripts write frames).

AOL shut the service in 2017, so the sources are AOL's own document of TOC 1.0 and what clients of both versions, and the
servers that outlived AOL's, are seen to do. Left out, because no client that still runs waits for it: file transfers
(`toc_rvous_…`), searching the directory (answered with 973), `toc_chat_evil`, `toc_locate_user`. Warning levels do not
decay by themselves, for nobody knows at which rate. A name is signed on once: the older session ends; so the TOC2 messages
that tell of a list edited elsewhere never arise by themselves (`world.aim.sends` says them, as any other).
"""

from fakes.toc.actors import Actor
from fakes.toc.aim import Aim
from fakes.toc.presence import Account, Im
from fakes.toc.session import Policy, Toc

__all__ = ["Account", "Actor", "Aim", "Im", "Policy", "Toc"]
