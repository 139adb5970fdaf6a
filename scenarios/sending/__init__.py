"""Compose, submit, alert: programs that send mail (section 6.1.1)."""
