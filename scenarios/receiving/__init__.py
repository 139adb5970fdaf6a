"""Programs that fetch mail, and some that obey it (6.1.2)."""
