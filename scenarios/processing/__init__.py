"""Programs that turn mail into something else (6.1.3)."""
