"""What a program gets: a message that a person has sent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from comms.irc.client import Client


@dataclass(frozen=True)
class Message:
    """A message to us, or in one of our channels. `text` is without colours and bold.

    `account` is the account to which the sender has logged in, as the server vouches for it; ""
    if it does not. The nick vouches for nothing.
    """

    client: Client
    nick: str
    account: str
    channel: str  # "" for a message to us alone
    text: str
    is_action: bool = False

    @property
    def where(self) -> str:
        """Where an answer goes: the channel, or else the sender."""
        return self.channel or self.nick

    def reply(self, text: str) -> None:
        """Answers where the message was written. Raises as `Client.say` does."""
        self.client.say(self.where, text)
