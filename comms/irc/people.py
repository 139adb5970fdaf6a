"""Who is in which of our channels, and who is logged in to which account.

An account is known of those who have joined while we were there, if the server tells us about every
change of it. Nothing else says who a user is: nick, user name and host can be chosen.
"""

from __future__ import annotations

from collections.abc import Callable


class People:
    """The members of our channels. `fold` is the server's rule by which names compare."""

    def __init__(self, fold: Callable[[str], str]) -> None:
        self._fold = fold
        self._rooms: dict[str, dict[str, str]] = {}  # channel → folded nick → nick
        self._accounts: dict[str, str] = {}  # folded nick → account; "" if it is not logged in
        self.tells = False  # whether the server tells us about joins with accounts, and changes

    def channels(self) -> list[str]:
        """The folded names of our channels."""
        return list(self._rooms)

    def present(self, channel: str) -> list[str]:
        """The nicks in a channel, in the order in which we learnt of them."""
        return list(self._rooms.get(self._fold(channel), {}).values())

    def shares(self, nick: str) -> bool:
        """Whether a user is in one of our channels."""
        return any(self._fold(nick) in room for room in self._rooms.values())

    def account(self, nick: str) -> str:
        """Returns the account of a user, "" if it is not known, or if the user has none."""
        return self._accounts.get(self._fold(nick), "") if self.tells else ""

    # ── what happens ─────────────────────────────────────────────────────────

    def enter(self, channel: str) -> None:
        """We have joined a channel."""
        self._rooms[self._fold(channel)] = {}

    def leave(self, channel: str) -> None:
        """We have left a channel: what we knew of its members ends there."""
        for nick in self._rooms.pop(self._fold(channel), {}):
            self._forget(nick)

    def listed(self, channel: str, nick: str) -> None:
        """A user was in a channel before us."""
        room = self._rooms.get(self._fold(channel))
        if room is not None:
            room[self._fold(nick)] = nick

    def joined(self, channel: str, nick: str, account: str | None) -> None:
        """A user has joined a channel; `account` is None if the server does not say it."""
        self.listed(channel, nick)
        if account is not None and self.tells:
            self._accounts[self._fold(nick)] = account
        else:
            self._accounts.pop(self._fold(nick), None)

    def left(self, channel: str, nick: str) -> None:
        """A user has left a channel. Its account must be told again."""
        self._rooms.get(self._fold(channel), {}).pop(self._fold(nick), None)
        self._forget(self._fold(nick))

    def quit(self, nick: str) -> None:
        """A user has left the network."""
        for room in self._rooms.values():
            room.pop(self._fold(nick), None)
        self._forget(self._fold(nick))

    def renamed(self, old: str, new: str) -> None:
        """A user has another nick, and is the same."""
        account = self._accounts.pop(self._fold(old), None)
        self._accounts.pop(self._fold(new), None)
        for room in self._rooms.values():
            if room.pop(self._fold(old), None) is not None:
                room[self._fold(new)] = new
        if account is not None:
            self._accounts[self._fold(new)] = account

    def logged_in(self, nick: str, account: str) -> None:
        """A user in one of our channels has logged in, or with "" out."""
        if self.tells and self.shares(nick):
            self._accounts[self._fold(nick)] = account

    def forget_accounts(self) -> None:
        """The server no longer tells us about accounts."""
        self.tells = False
        self._accounts.clear()

    def _forget(self, folded: str) -> None:
        self._accounts.pop(folded, None)
