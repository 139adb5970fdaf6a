"""Instant messages over Jabber, and commands by message (section 6.2.2)."""
