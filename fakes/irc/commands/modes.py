"""MODE, of channels and of users."""

from __future__ import annotations

from collections import deque

from fakes.irc.channels import FLAGS, LIST_LENGTH, LISTS, Channel, Entry
from fakes.irc.lines import LINE, Command, Line, encode
from fakes.irc.names import full_mask, is_key
from fakes.irc.tokens import MODES, USER_MODES
from fakes.irc.users import Client

_LIST_NUMERICS = {"b": (367, 368), "e": (348, 349), "I": (346, 347)}


def mode(client: Client, command: Command) -> None:
    """`#channel [modes [parameter …]]`, or `nick [modes]`."""
    target, *words = command.parameters
    if target.startswith("#"):
        channel = client.network.find_channel(target)
        if channel is None:
            client.numeric(403, target)
        elif not words:
            client.numeric(324, channel.name, *channel.mode_words(client.user in channel))
            client.numeric(329, channel.name, f"{channel.created:.0f}")
        else:
            _Changes(client, channel, words).make()
        return
    user = client.network.find(target)
    if user is None:
        client.numeric(401, target)
    elif user is not client.user:
        client.numeric(502)
    elif not words:
        client.numeric(221, f"+{''.join(sorted(user.modes))}")
    else:
        _change_own(client, words[0])


def _change_own(client: Client, letters: str) -> None:
    user, sign, unknown = client.user, "+", False
    changes: list[tuple[str, str]] = []
    for letter in letters:
        if letter in "+-":
            sign = letter
        elif letter not in USER_MODES:
            unknown = True
        elif (letter in user.modes) == (sign == "+"):
            pass
        elif letter == "o" and sign == "+":
            client.numeric(481)
        else:
            (user.modes.add if sign == "+" else user.modes.discard)(letter)
            changes.append((sign, letter))
    if unknown:
        client.numeric(501)
    if changes:
        client.tell(Line(user.source, "MODE", (user.nick,), _signed(changes)))


def _signed(changes: list[tuple[str, str]]) -> str:
    """Writes changes as `+a-bc`."""
    text, last = "", ""
    for sign, letter in changes:
        text += letter if sign == last else sign + letter
        last = sign
    return text


class _Changes:
    """The changes of one MODE of a channel, in order."""

    def __init__(self, client: Client, channel: Channel, words: list[str]) -> None:
        self._client, self._channel = client, channel
        self._letters, self._words = words[0], deque(words[1:])
        self._taken = 0  # modes with a parameter
        self._made: list[tuple[str, str, str]] = []  # sign, letter, parameter

    def make(self) -> None:
        """Makes what is allowed, and tells the channel in one line."""
        sign = "+"
        for letter in self._letters:
            if letter in "+-":
                sign = letter
            elif letter in LISTS and not self._words and sign == "+":
                self._show_list(letter)
            elif not self._channel.is_operator(self._client.user):
                self._client.numeric(482, self._channel.name)
                break
            else:
                self._change(sign, letter)
        self._tell()

    def _change(self, sign: str, letter: str) -> None:
        adds = sign == "+"
        if letter in FLAGS:
            modes = self._channel.modes
            if (letter in modes) != adds:
                (modes.add if adds else modes.discard)(letter)
                self._made.append((sign, letter, ""))
            return
        if letter not in f"{LISTS}klov":
            self._client.numeric(472, letter)
            return
        parameter = ""
        if letter != "l" or adds:
            parameter = self._words.popleft() if self._words else ""
            self._taken += bool(parameter)
            if self._taken > MODES:
                return
        if not parameter and (adds or letter not in "kl"):
            self._wrong(letter, "You must give a parameter")
        elif letter in LISTS:
            self._change_list(sign, letter, full_mask(parameter))
        elif letter in "ov":
            self._change_member(sign, letter, parameter)
        elif letter == "k":
            self._change_key(adds, parameter)
        else:
            self._change_limit(adds, parameter)

    def _wrong(self, letter: str, text: str) -> None:
        self._client.numeric(696, self._channel.name, letter, "*", text=text)

    def _change_key(self, adds: bool, key: str) -> None:
        if adds and not is_key(key):
            self._wrong("k", "A key has 1 to 23 octets, without spaces and commas")
        elif adds and key != self._channel.key:
            self._channel.key = key
            self._made.append(("+", "k", key))
        elif not adds and self._channel.key:
            self._channel.key = ""
            self._made.append(("-", "k", "*"))

    def _change_limit(self, adds: bool, text: str) -> None:
        is_number = text.isascii() and text.isdigit() and len(text) < 10 and int(text) > 0
        if adds and not is_number:
            self._wrong("l", "A limit is a number, at least 1")
        elif adds and int(text) != self._channel.limit:
            self._channel.limit = int(text)
            self._made.append(("+", "l", str(int(text))))
        elif not adds and self._channel.limit:
            self._channel.limit = 0
            self._made.append(("-", "l", ""))

    def _change_member(self, sign: str, letter: str, nick: str) -> None:
        user = self._client.network.find(nick)
        if user is None:
            self._client.numeric(401, nick)
            return
        member = self._channel.member(user)
        if member is None:
            self._client.numeric(441, user.nick, self._channel.name)
        elif (letter in member.modes) != (sign == "+"):
            (member.modes.add if sign == "+" else member.modes.discard)(letter)
            self._made.append((sign, letter, user.nick))

    def _change_list(self, sign: str, letter: str, mask: str) -> None:
        network, entries = self._client.network, self._channel.lists[letter]
        same = [entry for entry in entries if network.same(entry.mask, mask)]
        if sign == "-" and same:
            entries.remove(same[0])
            self._made.append(("-", letter, same[0].mask))
        elif sign == "+" and not same:
            if sum(map(len, self._channel.lists.values())) >= LIST_LENGTH:
                self._client.numeric(478, self._channel.name, mask, text="Channel list is full")
                return
            entries.append(Entry(mask, self._client.user.nick, network.now()))
            self._made.append(("+", letter, mask))

    def _show_list(self, letter: str) -> None:
        number, end = _LIST_NUMERICS[letter]
        name = self._channel.name
        for entry in self._channel.lists[letter]:
            words = (name, entry.mask, entry.setter, f"{entry.at:.0f}")
            self._client.numeric(number, *words)
        self._client.numeric(end, name)

    def _tell(self) -> None:
        network, user, made = self._client.network, self._client.user, self._made
        while made:
            # A mask may have become longer than it was in the command, so that one line is full.
            count = len(made)
            while True:
                letters = _signed([(sign, letter) for sign, letter, _ in made[:count]])
                words = (word for _, _, word in made[:count] if word)
                tags = network.tags_of(user)
                line = Line(user.source, "MODE", (self._channel.name, letters, *words), tags=tags)
                size = len(encode(f":{line.source} MODE {' '.join(line.words)}\r\n"))
                if size <= LINE or count == 1:
                    break
                count -= 1
            network.tell_channel(self._channel, line)
            made = made[count:]


COMMANDS = {"MODE": mode}
