"""The extensions, each a file of its own. The core asks them through `Extension` and knows none of them by name."""

from __future__ import annotations

from fakes.xmpp.extensions.ping import Ping
from fakes.xmpp.service import Extension

EXTENSIONS: tuple[type[Extension], ...] = (Ping,)
