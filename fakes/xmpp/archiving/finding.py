"""How other extensions find the archive (XEP-0313)."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from fakes.xmpp.extensions.archive import Archive
    from fakes.xmpp.service import Service


def archive_of(service: Service) -> Archive | None:
    """The archive of a server; None if it has none."""
    active = (one for one in service.extensions.active if one.name == "archive")
    return cast("Archive | None", next(active, None))
