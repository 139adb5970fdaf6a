"""Instant messages, and what goes with them: typing events and warnings."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from fakes.toc import messages
from fakes.toc.arguments import arguments, encoding_and_language
from fakes.toc.messages import error
from fakes.toc.presence import Unavailable
from fakes.toc.refusals import Drop
from fakes.wire import Refuse, Unit

if TYPE_CHECKING:
    from fakes.toc.session import Toc


def toc_send_im(session: Toc, unit: Unit) -> None:
    """`user message [auto]`: deliver an IM."""
    to, text, *rest = arguments(unit, 2)
    _deliver(session, to, text, auto=rest[:1] == ["auto"])


def toc2_send_im_enc(session: Toc, unit: Unit) -> None:
    """`user F encoding language message [auto]`: deliver an IM with its encoding."""
    to, _, encoding, language, text, *rest = arguments(unit, 5)
    _deliver(session, to, text, rest[:1] == ["auto"], *encoding_and_language(encoding, language))


def toc2_client_event(session: Toc, unit: Unit) -> None:
    """`user event`: report typing to another TOC2 client."""
    to, event, *_ = arguments(unit, 2)
    if event not in ("0", "1", "2"):
        raise Drop("a client event is 0, 1 or 2")
    # Clients send these events unasked while the user types; an absent recipient is not an error.
    with contextlib.suppress(Unavailable):
        recipient = session.aim.reachable(session.presence, to)
        recipient.door.on_typing(session.presence.name, int(event))


def toc_evil(session: Toc, unit: Unit) -> None:
    """`user norm|anon`: warn a user who has sent an IM."""
    name, how, *_ = arguments(unit, 2)
    if how not in ("norm", "anon"):
        raise Drop("a warning is norm or anon")
    try:
        session.aim.warn(session.presence, name, how == "anon")
    except Unavailable:
        raise Refuse(error(messages.CANNOT_WARN, name)) from None


def _deliver(
    session: Toc, to: str, text: str, auto: bool, encoding: str = "L", language: str = "en"
) -> None:
    if session.policy.rate_limit and not session.rate.accept(session.runtime.now()):
        raise Refuse(error(messages.TOO_FAST))
    raw = text.encode("latin-1")
    try:
        session.aim.send(session.presence, to, raw, auto=auto, encoding=encoding, language=language)
    except Unavailable:
        if session.policy.unavailable:
            raise Refuse(error(messages.UNAVAILABLE, to)) from None
