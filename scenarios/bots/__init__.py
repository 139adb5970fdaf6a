"""Bots for chat: the list of uses in section 6.2 of the chapter."""
