"""Programs that talk over Jabber, and one that obeys it (6.2.2)."""
