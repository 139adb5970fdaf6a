"""The IRC server as a world sees it: its ports, its accounts, and its transcripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakes.descriptor import Port, Server
from fakes.irc import actors
from fakes.irc.masks import SECRETS
from fakes.irc.network import Irc
from fakes.irc.policy import Policy
from fakes.irc.session import IrcSession
from fakes.people import Person


def _login(network: Irc, person: Person, program: str) -> dict[str, Any]:
    """The account that the world's `program` names; its nick is the same."""
    name = person.address.partition("@")[0]
    login = {"nick": name, "user": name, "password": person.password}
    return login | ({"server_password": network.policy.password} if network.policy.password else {})


def split(text: str, form: str) -> list[str]:
    """Splits the words of a cue; the last one takes the rest. Raises ValueError."""
    words = text.split(" ", len(form.split()) - 1)
    if len(words) < len(form.split()):
        raise ValueError(f"{text!r}: expected {form}")
    return words


def _acts(network: Irc, text: str, form: str, act: Callable[..., object]) -> None:
    """A cue whose first word is the nick of who acts."""
    nick, *words = split(text, form)
    act(network.person(nick), *words)


def _says(network: Irc, text: str) -> None:
    """`cue: irc-says ann #ops hello`."""
    nick, target, words = split(text, "NICK TARGET TEXT")
    network.person(nick).says(target, words)


def _kicks(network: Irc, text: str) -> None:
    """`cue: irc-kicks #ops bot`: the server removes bot from #ops."""
    network.kick(*split(text, "CHANNEL NICK"))


def _sets(network: Irc, text: str) -> None:
    """`cue: irc-sets ann #ops +o bot`."""
    nick, target, modes = split(text, "NICK TARGET MODES")
    network.person(nick).sets(target, *modes.split())


CUES: dict[str, Callable[[Irc, str], object]] = {
    "irc-joins": lambda irc, text: _acts(irc, text, "NICK CHANNEL", actors.Person.joins),
    "irc-parts": lambda irc, text: _acts(irc, text, "NICK CHANNEL", actors.Person.parts),
    "irc-says": _says,
    "irc-sets": _sets,
    "irc-becomes": lambda irc, text: _acts(irc, text, "NICK NICK", actors.Person.becomes),
    "irc-away": lambda irc, text: irc.person(text).goes_away(),
    "irc-logs-in": lambda irc, text: irc.person(text).logs_in(),
    "irc-quits": lambda irc, text: irc.person(text).quits(),
    "irc-kicks": _kicks,
    "irc-kill": lambda irc, text: irc.kill(text),
    "irc-netsplit": lambda irc, text: irc.netsplit(*text.split()),
    "irc-netjoin": lambda irc, text: irc.netjoin(),
    "irc-host": lambda irc, text: irc.changes_host(*split(text, "NICK HOST")),
    "irc-withdraws": lambda irc, text: irc.withdraws(text),
    "irc-offers": lambda irc, text: irc.offers(text),
}
# What `then:` can check: `irc-users ann, bot`, `irc-members #ops @ann bot` and `irc-messages 2`.
WORDS: dict[str, Callable[[Irc, str], str]] = {
    "irc-users": lambda irc, _: ", ".join(irc.users),
    "irc-members": lambda irc, text: " ".join(
        [text.partition(" ")[0], *irc.channel(text.partition(" ")[0]).members]
    ),
    "irc-messages": lambda irc, _: str(len(irc.messages)),
}

SERVER = Server(
    name="irc",
    session=IrcSession,
    ports=(Port("irc", 6667), Port("ircs", 6697, tls=True)),
    store="irc",
    policy=Policy,
    table="irc",
    words=WORDS,
    cues=CUES,
    secrets=SECRETS,
    login=_login,
    on_request=True,
)
