"""What a server does where the standards leave it a choice, found out over the wire.

Each question is asked of a real server and of ours with that server's manners. An answer is what a
client sees, without ids and times.
"""

from __future__ import annotations

import base64
import socket
from collections.abc import Callable
from itertools import count
from typing import Any
from xml.etree.ElementTree import Element, XMLPullParser

PATIENCE = 10.0  # seconds that a server may take
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
PING = "<ping xmlns='urn:xmpp:ping'/>"
_NUMBERS = count(1)


class Raw:
    """A client that sends what a test writes."""

    def __init__(self, server: Server, name: str, resource: str, bind: bool = True) -> None:
        self.server, self.name, self.resource = server, name, resource
        self.socket = socket.create_connection(server.address, PATIENCE)
        self.heard: list[Element] = []
        self._begin()
        self.next("features")
        response = base64.b64encode(f"\0{name}\0{server.password}".encode()).decode()
        self.send(f"<auth xmlns='{SASL}' mechanism='PLAIN'>{response}</auth>")
        self.next("success")
        self._begin()
        self.next("features")
        inside = f"<resource>{resource}</resource>"
        self.send(f"<iq type='set' id='bind'><bind xmlns='{BIND}'>{inside}</bind></iq>")
        self.bound = self.next("iq").get("type")
        self.heard.clear()

    def _begin(self) -> None:
        self._parser: Any = XMLPullParser(("start", "end"))
        self._depth = 0
        self.send(
            f"<stream:stream to='{self.server.domain}' version='1.0' xmlns='jabber:client'"
            " xmlns:stream='http://etherx.jabber.org/streams'>"
        )

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, text: str) -> None:
        self.socket.sendall(text.encode())

    def _read(self) -> bool:
        """Reads what has come; returns False at the end of the connection."""
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            return False
        self._parser.feed(data)
        for event, element in self._parser.read_events():
            self._depth += 1 if event == "start" else -1
            if event == "end" and self._depth == 1:
                self.heard.append(element)
        return bool(data)

    def next(self, name: str) -> Element:
        """Waits for the next element of this name."""
        while True:
            for element in self.heard:
                if element.tag.endswith(f"}}{name}"):
                    self.heard.remove(element)
                    return element
            assert self._read(), f"no <{name}> came"

    def rest(self) -> list[Element]:
        """Everything that has come when the server has answered one more request."""
        id = f"end{next(_NUMBERS)}"
        try:
            self.send(f"<iq type='get' id='{id}' to='{self.server.domain}'>{PING}</iq>")
        except OSError:
            pass
        while not any(element.get("id") == id for element in self.heard) and self._read():
            pass
        heard, self.heard = self.heard, []
        return [element for element in heard if element.get("id") != id]

    def sees(self) -> list[str]:
        """The same, in short: kind, type, who it is from, the condition of an error, a delay."""
        return [self._short(element) for element in self.rest()]

    def _short(self, element: Element) -> str:
        name = element.tag.rpartition("}")[2]
        type = element.get("type", "")
        words = [name, "" if type == "normal" else type]
        sender = (element.get("from") or "").removesuffix(self.server.domain)
        words.append(sender)
        for child in element.iter():
            tag = child.tag.rpartition("}")[2]
            if "xmpp-stanzas" in child.tag or "xmpp-streams" in child.tag:
                words.append(tag if tag != "text" else "")
            elif tag == "delay":
                words.append("delayed")
            elif tag == "body" and element.get("type") != "error":
                words.append(f"“{child.text}”")
            elif tag == "query" and name == "iq":
                pushed = type == "set" and child.tag == "{jabber:iq:roster}query"
                words = ["roster push"] if pushed else words
        return " ".join(word for word in words if word)


class Server:
    """Where to ask."""

    def __init__(self, address: tuple[str, int], domain: str, password: str) -> None:
        self.address, self.domain, self.password = address, domain, password

    def at(self, name: str) -> str:
        return f"{name}@{self.domain}"

    def client(self, name: str, resource: str = "one", presence: str = "<presence/>") -> Raw:
        """A client that is online. What it has heard until then is forgotten."""
        client = Raw(self, name, resource)
        client.send(presence)
        client.rest()
        return client


Question = Callable[[Server], list[str]]


def sender_that_is_not_ones_own(server: Server) -> list[str]:
    """RFC 6120 §8.1.2.1: a client writes another `from`."""
    with server.client("bot") as bot, server.client("jeremy") as jeremy:
        to, other = server.at("jeremy"), server.at("mallory")
        bot.send(f"<message to='{to}' from='{other}' type='chat'><body>hi</body></message>")
        return ["sender:", *bot.sees(), "receiver:", *jeremy.sees()]


def resource_in_use(server: Server) -> list[str]:
    """RFC 6120 §7.7.2.2."""
    with server.client("bot") as first, Raw(server, "bot", "one") as second:
        return [f"second: {second.bound}", *first.sees()]


def message_to_nobody(server: Server) -> list[str]:
    """RFC 6121 §8.5.1."""
    with server.client("bot") as bot:
        for type in ("chat", "normal", "headline", "groupchat"):
            to = server.at("nobody")
            bot.send(f"<message to='{to}' type='{type}'><body>{type}</body></message>")
        return bot.sees()


def request_to_nobody(server: Server) -> list[str]:
    """RFC 6121 §3.1.3, §8.5.1."""
    with server.client("bot") as bot:
        bot.send(f"<presence type='subscribe' to='{server.at('nobody')}'/>")
        seen = bot.sees()
        bot.send(f"<presence type='unsubscribe' to='{server.at('nobody')}'/>")
        bot.rest()
        return seen


def message_for_a_resource_that_is_not_there(server: Server) -> list[str]:
    """RFC 6121 §8.5.3.2.1."""
    with server.client("bot") as bot, server.client("jeremy") as jeremy:
        to = f"{server.at('jeremy')}/none"
        for type in ("chat", "normal", "headline", "groupchat"):
            bot.send(f"<message to='{to}' type='{type}'><body>{type}</body></message>")
        return ["sender:", *bot.sees(), "receiver:", *jeremy.sees()]


def message_for_several_resources(server: Server) -> list[str]:
    """RFC 6121 §8.5.2.1.1: a message to the bare address."""
    high = "<presence><priority>5</priority></presence>"
    with (
        server.client("bot") as bot,
        server.client("jeremy") as first,
        server.client("jeremy", "two") as second,
        server.client("jeremy", "three", high) as third,
    ):
        for one in (first, second, third):
            one.rest()
        to = server.at("jeremy")
        for type in ("chat", "normal", "headline"):
            bot.send(f"<message to='{to}' type='{type}'><body>{type}</body></message>")
        bot.rest()
        return ["0:", *first.sees(), "0:", *second.sees(), "5:", *third.sees()]


def request_of_the_roster_without_an_id(server: Server) -> list[str]:
    """RFC 6120 §8.1.3: what old clients send, and whether they hear of changes."""
    item = f"<query xmlns='jabber:iq:roster'><item jid='friend@{server.domain}'{{}}/></query>"
    with server.client("bot", "old") as old, server.client("bot", "new") as new:
        new.rest()
        old.rest()
        old.send("<iq type='get'><query xmlns='jabber:iq:roster'/></iq>")
        seen = old.sees()
        new.send(f"<iq type='set' id='add'>{item.format('')}</iq>")
        new.rest()
        seen += old.sees()
        remove = item.format(" subscription='remove'")
        new.send(f"<iq type='set' id='remove'>{remove}</iq>")
        new.rest()
        return seen


def request_to_see_somebody(server: Server) -> list[str]:
    """RFC 6121 §3.1.3: what comes before the answer."""
    with server.client("bot") as bot, server.client("michael") as michael:
        bot.send(f"<presence type='subscribe' to='{server.at('michael')}'/>")
        seen = bot.sees()
        bot.send(f"<presence type='unsubscribe' to='{server.at('michael')}'/>")
        bot.rest()
        michael.rest()
        return [one for one in seen if one != "roster push"]


def presence_that_was_there_before(server: Server) -> list[str]:
    """RFC 6121 §4.3.2: what a contact is shown at login."""
    with server.client("michael") as michael:
        bot = server.client("bot")
        bot.send(f"<presence type='subscribe' to='{server.at('michael')}'/>")
        bot.rest()
        michael.rest()
        michael.send(f"<presence type='subscribed' to='{server.at('bot')}'/>")
        michael.rest()
        bot.rest()
        bot.send("<presence type='unavailable'/>")
        bot.rest()
        bot.send("<presence/>")
        seen = [one for one in bot.sees() if "michael" in one]
        bot.send(f"<presence type='unsubscribe' to='{server.at('michael')}'/>")
        bot.rest()
        michael.rest()
        bot.socket.close()
        return seen


def request_for_a_resource(server: Server) -> list[str]:
    """RFC 6121 §8.5.3.1: an iq of a stranger for a resource."""
    with server.client("bot") as bot, server.client("jeremy") as jeremy:
        to = f"{server.at('jeremy')}/one"
        bot.send(f"<iq type='get' id='v' to='{to}'><query xmlns='jabber:iq:version'/></iq>")
        bot.rest()
        return jeremy.sees()


QUESTIONS: tuple[Question, ...] = (
    sender_that_is_not_ones_own,
    resource_in_use,
    message_to_nobody,
    request_to_nobody,
    message_for_a_resource_that_is_not_there,
    message_for_several_resources,
    request_of_the_roster_without_an_id,
    request_to_see_somebody,
    presence_that_was_there_before,
    request_for_a_resource,
)
