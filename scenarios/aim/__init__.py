"""Instant messages over AIM (section 6.2.1)."""
