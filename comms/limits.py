"""Limits on how many mails are sent in a second, in all and to each domain.

    limits = Limits(per_second=10, per_domain=2)
    limits.count("example.org", now)     # one is sent now
    limits.due(now)                      # when the next one may be sent at all
    limits.waiting(now)                  # the domains that must wait, and until when

This module only computes. Servers that are sent too much at once answer 421 or 450, or take the
sender for a spammer.
"""

from __future__ import annotations

KEPT = 1000  # domains, before those that may be sent to again are forgotten


class Limits:
    """The limits of one sender. 0 means that there is no limit; times are in seconds.

    Nothing waits for longer than its pause, even if the clock was set back.
    """

    def __init__(self, per_second: float = 0, per_domain: float = 0) -> None:
        self._due = 0.0  # when the next one may be sent
        self._pause = 1 / per_second if per_second else 0.0
        self._domain_pause = 1 / per_domain if per_domain else 0.0
        self._domains: dict[str, float] = {}  # when each may be sent to again

    @property
    def limited(self) -> bool:
        """Whether there is any limit."""
        return bool(self._pause or self._domain_pause)

    def count(self, domain: str, now: float) -> None:
        """Counts one that is sent now."""
        if self._pause:
            self._due = now + self._pause
        if self._domain_pause:
            self._domains[domain] = now + self._domain_pause
            if len(self._domains) > KEPT:
                self._domains = self.waiting(now)

    def due(self, now: float) -> float:
        """Returns when the next one may be sent."""
        return self._due if self._due <= now + self._pause else now

    def waiting(self, now: float) -> dict[str, float]:
        """Returns the domains that must wait, and until when."""
        latest = now + self._domain_pause
        return {domain: due for domain, due in self._domains.items() if now < due <= latest}
