"""The users of aim-gateway: registrations (XEP-0100 §4.1 to 4.3), and who is signed on to AIM."""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, SubElement

from comms.backoff import Backoff
from comms.clock import Clock
from comms.errors import CommsError, Refused, TryLater, Unknown, Unreachable
from comms.host import Host
from comms.settings import Server
from comms.state import State
from comms.toc.client import Client as Aim
from comms.toc.markup import Html
from comms.toc.messages import normalize
from comms.xmpp import Jid, about, stanzas
from comms.xmpp.component import Component
from comms.xmpp.stanzas import IQ, MESSAGE, PRESENCE, STANZA_ERRORS
from comms.xmpp.stream import CLIENT

REGISTER = "jabber:iq:register"
QUERY = f"{{{REGISTER}}}query"
GROUP = "Jabber"  # of buddies that a user adds
SHOWS = {"available": "", "away": "away", "idle": "xa"}
USERS = 1000  # that may be registered
FIRST_PAUSE, LONGEST_PAUSE = 60.0, 600.0  # seconds after which AIM, which was away, is tried again
WAITING = 1000  # messages from AIM that wait for the Jabber server
# XEP-0106: what cannot be in the local part of an address, or looks like an escape; and escapes.
_CODES = "20|22|26|27|2f|3a|3c|3e|40|5c"
_TO_BE_ESCAPED, _ESCAPE = re.compile(rf"[ \"&'/:<>@]|\\(?={_CODES})"), re.compile(rf"\\({_CODES})")
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS registrations ("
    "jid TEXT PRIMARY KEY, screen_name TEXT NOT NULL, password TEXT NOT NULL)",
    # Messages for AIM that are being sent, and messages from AIM that were not sent on yet.
    "CREATE TABLE IF NOT EXISTS leaving ("
    "id INTEGER PRIMARY KEY, sender TEXT NOT NULL, contact TEXT NOT NULL, stanza TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS arrived (id INTEGER PRIMARY KEY AUTOINCREMENT,"
    "jid TEXT NOT NULL, contact TEXT NOT NULL, text TEXT NOT NULL)",
)


@dataclass
class User:
    """A user who is registered, and perhaps signed on to AIM."""

    jid: Jid
    server: Server
    aim: Aim | None = None
    waits: bool = False  # for AIM, which could not be reached
    devices: set[str] = field(default_factory=set)  # resources that are online
    shown: dict[str, str] = field(default_factory=dict)  # contact → the status that was sent
    offered: set[str] = field(default_factory=set)  # contacts that have asked to be one


class Desk:
    """All users of the gateway. `component` is set once it is connected."""

    component: Component

    def __init__(
        self, state: State, aim: Server, domains: Collection[str], clock: Clock, host: Host
    ) -> None:
        self._state, self._aim, self._clock, self._host = state, aim, clock, host
        self._domains = {Jid.parse(domain).domain for domain in domains}
        self._users: dict[Jid, User] = {}
        self._greets = False
        # One for all: while a server does not answer, an attempt keeps everybody waiting.
        self._backoff = Backoff(clock, host, first=FIRST_PAUSE, longest=LONGEST_PAUSE, jitter=0.5)
        with state.transaction() as db:
            for table in _SCHEMA:
                db.execute(table)
        rows = state.rows("SELECT jid, screen_name, password FROM registrations ORDER BY jid")
        for jid, name, password in rows:
            self._add(Jid.parse(str(jid)), str(name), str(password))

    def greet(self) -> None:
        """A connection to the Jabber server begins: who is online is asked for at the next tick."""
        self._greets = True

    def tick(self) -> None:
        """Takes in what has come from AIM, and shows who has changed."""
        if self._greets:
            self._greets = False
            for user in self._users.values():
                # In case that we ended before; a server that knows the answer sends it.
                self._send(stanzas.presence(user.jid, "subscribe"))
                self._send(stanzas.presence(user.jid, "probe"))
            self._return_left()
        self._deliver_arrived()
        for user in list(self._users.values()):
            if user.aim is None:
                if user.waits and user.devices and self._clock.monotonic() >= self._backoff.due:
                    self._sign_on(user)
                continue
            try:
                user.aim.wait(0)
            except CommsError as error:
                self._signed_off(user, str(error))
            else:
                self._show_contacts(user)

    def close(self) -> None:
        """Signs everybody off, because the gateway ends."""
        for user in self._users.values():
            self._signed_off(user, "the gateway ends")

    # ── what users send ──────────────────────────────────────────────────────

    def handle(self, stanza: Element) -> bool:
        """Handles a stanza for the gateway or for one of the contacts."""
        who, to = Jid.parse(stanza.get("from", "")), Jid.parse(stanza.get("to", ""))
        if stanza.get("type") == "error":
            return True  # an error is never answered
        if stanza.tag == IQ:
            return not to.local and self._asked(stanza, who)
        user = self._users.get(who.bare)
        if user is None:
            if stanza.tag == PRESENCE and stanza.get("type", "") in ("subscribe", "", "probe"):
                # An error about presence does not reach every client; this does. Who still has us
                # as a contact did not hear that the registration is over.
                self._send(stanzas.presence(who.bare, "unsubscribed"), to.bare)
                if stanza.get("type") is None:
                    self._send(stanzas.presence(who.bare, "unsubscribe"), to.bare)
            elif stanza.tag == MESSAGE and stanza.get("type", "normal") in ("chat", "normal"):
                self._return(stanza, "registration-required", "auth")
        elif stanza.tag == PRESENCE and to.local:
            self._contact_presence(user, stanza, contact_name(to))
        elif stanza.tag == PRESENCE:
            self._own_presence(user, stanza, who)
        elif stanza.tag == MESSAGE:
            self._message(user, stanza, to)
        return True

    def _asked(self, query: Element, who: Jid) -> bool:
        """Answers disco and registration; returns whether that was asked."""
        content = query[0].tag if len(query) else ""
        if content == f"{{{about.INFO}}}query" and query.get("type") == "get":
            found = Element(content)
            identity = {"category": "gateway", "type": "aim", "name": "AIM"}
            SubElement(found, f"{{{about.INFO}}}identity", identity)
            for feature in (about.INFO, REGISTER):
                SubElement(found, f"{{{about.INFO}}}feature", {"var": feature})
            self._send(stanzas.result(query, found))
        elif content != QUERY:
            return False
        elif who.domain not in self._domains or not who.is_account:
            self._host.log("registration-refused", "warning", who=str(who))
            self._send(stanzas.error(query, "forbidden", "auth"))
        elif query.get("type") == "get":
            self._send(stanzas.result(query, self._form(who)))
        elif query[0].find(f"{{{REGISTER}}}remove") is not None:
            self._unregister(query, who)
        else:
            self._register(query, who)
        return True

    def _form(self, who: Jid) -> Element:
        form = Element(QUERY)
        text = "Write your AIM screen name and your password."
        SubElement(form, f"{{{REGISTER}}}instructions").text = text
        user = self._users.get(who.bare)
        if user is not None:
            SubElement(form, f"{{{REGISTER}}}registered")
        name = SubElement(form, f"{{{REGISTER}}}username")
        name.text = user.server.screen_name if user is not None else None
        SubElement(form, f"{{{REGISTER}}}password")  # never the one that we know
        return form

    def _register(self, query: Element, who: Jid) -> None:
        """Tries the screen name and the password, and keeps them if AIM takes them."""
        name = (query[0].findtext(f"{{{REGISTER}}}username") or "").strip()
        password = query[0].findtext(f"{{{REGISTER}}}password") or ""
        before = self._users.get(who.bare)
        if not normalize(name) or not password or (before is None and len(self._users) >= USERS):
            self._send(stanzas.error(query, "not-acceptable", "modify"))
            return
        user = User(who.bare, self._account(name, password))
        with contextlib.ExitStack() as undo:
            aim = self._tried(query, who, user.server, undo)
            if aim is not None:
                self._keep(query, who, user, aim)
                undo.pop_all()  # all of it is done

    def _tried(
        self, query: Element, who: Jid, server: Server, undo: contextlib.ExitStack
    ) -> Aim | None:
        """Tries a screen name and a password; returns None, and says why, if AIM refuses them."""
        try:
            aim = Aim(server, self._clock, self._host)
            undo.callback(aim.disconnect)
            aim.connect()
        except (TryLater, Unreachable) as error:
            self._host.log("aim-away", "warning", who=str(who.bare), trouble=error)
            self._send(stanzas.error(query, "remote-server-timeout", "wait"))
        except (CommsError, ValueError) as error:  # AIM does not take them (XEP-0100 §4.1.2)
            self._host.log("registration-refused", "warning", who=str(who), trouble=error)
            self._send(stanzas.error(query, "not-acceptable", "modify"))
        else:
            return aim
        return None

    def _keep(self, query: Element, who: Jid, user: User, aim: Aim) -> None:
        """Keeps a registration, and the connection to AIM."""
        before = self._users.get(who.bare)
        if before is not None:
            self._signed_off(before, "registered again")
        with self._state.transaction() as db:
            row = (str(user.jid), user.server.screen_name, user.server.password)
            db.execute("INSERT OR REPLACE INTO registrations VALUES (?, ?, ?)", row)
        self._users[user.jid] = user
        self._host.log("registered", who=str(user.jid), screen_name=user.server.screen_name)
        self._send(stanzas.result(query))
        self._send(stanzas.presence(user.jid, "subscribe"))
        user.devices.add(who.resource)
        self._signed_on(user, aim)

    def _unregister(self, query: Element, who: Jid) -> None:
        user = self._users.get(who.bare)
        if user is None:
            self._send(stanzas.error(query, "registration-required", "auth"))
            return
        with self._state.transaction() as db:
            for table in ("registrations", "arrived"):
                db.execute(f"DELETE FROM {table} WHERE jid = ?", (str(user.jid),))
        self._send(stanzas.result(query))
        contacts = [contact_address(name, self.component) for name in sorted(user.offered)]
        self._signed_off(user, "unregistered")
        del self._users[user.jid]
        for sender in (*contacts, self.component.domain):
            for kind in ("unsubscribe", "unsubscribed"):
                self._send(stanzas.presence(user.jid, kind), sender)
        self._host.log("unregistered", who=str(user.jid))

    # ── presence (XEP-0100 §4.4 to 4.7) ──────────────────────────────────────

    def _own_presence(self, user: User, presence: Element, who: Jid) -> None:
        """Handles presence for the gateway: the user comes, goes, or asks to see it."""
        kind = presence.get("type")
        if kind == "subscribe":
            self._send(stanzas.presence(user.jid, "subscribed"))
            self._show_gateway(user)
        elif kind == "unsubscribe":
            self._send(stanzas.presence(user.jid, "unsubscribed"))
        elif kind == "probe":
            self._show_gateway(user)
        elif kind is None:
            user.devices.add(who.resource)
            if user.aim is None:
                self._sign_on(user)
        elif kind == "unavailable":
            # From the account as a whole it only acknowledges a request (RFC 6121 §3.1.3).
            user.devices.discard(who.resource)
            if not user.devices:
                self._signed_off(user, "the user is offline")

    def _contact_presence(self, user: User, presence: Element, name: str) -> None:
        """Handles presence for a contact: the user adds or removes it, or asks for its status."""
        kind, address = presence.get("type"), contact_address(name, self.component)
        if kind not in ("subscribe", "unsubscribe", "probe"):
            return
        if user.aim is None:
            if kind == "subscribe":
                self._send(stanzas.presence(user.jid, "unsubscribed"), address)
            return
        try:
            if kind == "subscribe":
                user.aim.buddy_list.add_buddy(GROUP, name)
                user.offered.add(name)
                self._send(stanzas.presence(user.jid, "subscribed"), address)
            elif kind == "unsubscribe":
                for group, buddies in list(user.aim.buddy_list.groups.items()):
                    if any(buddy.name == name for buddy in buddies):
                        user.aim.buddy_list.remove_buddy(group, name)
                user.offered.discard(name)
                self._send(stanzas.presence(user.jid, "unsubscribed"), address)
        except (CommsError, ValueError) as error:
            self._host.log("contact-not-changed", "warning", who=str(user.jid), trouble=error)
            self._send(stanzas.presence(user.jid, "unsubscribed"), address)
            return
        user.shown.pop(name, None)
        self._show_contacts(user)

    def _sign_on(self, user: User) -> None:
        try:
            aim = Aim(user.server, self._clock, self._host)
            aim.connect()
        except (CommsError, ValueError) as error:
            self._host.log("aim-not-signed-on", "warning", who=str(user.jid), trouble=error)
            text = "AIM has refused the password; register again."
            refused = isinstance(error, Refused)
            status = text if refused else "AIM cannot be reached."
            self._send(stanzas.presence(user.jid, "unavailable", text=status))
            user.waits = isinstance(error, TryLater | Unreachable)
            if user.waits:
                self._backoff.failed()
            return
        self._backoff.succeeded()
        self._signed_on(user, aim)

    def _signed_on(self, user: User, aim: Aim) -> None:
        user.aim, user.waits = aim, False

        @aim.on_im
        def hear(message: Html, buddy: object, auto_response: bool) -> None:
            address = contact_address(normalize(str(buddy)), self.component)
            rows = self._state.rows("SELECT count(*) FROM arrived")
            if rows[0][0] >= WAITING:  # type: ignore[operator]
                self._host.log("too-many-wait", "warning", to=str(user.jid), sender=str(address))
                return
            with self._state.transaction() as db:
                row = (str(user.jid), str(address), message.text)
                db.execute("INSERT INTO arrived (jid, contact, text) VALUES (?, ?, ?)", row)
            self._deliver_arrived()

        self._show_gateway(user)
        self._show_contacts(user)

    def _signed_off(self, user: User, why: str) -> None:
        aim, user.aim = user.aim, None
        if aim is None:
            return
        aim.disconnect()
        self._host.log("aim-signed-off", who=str(user.jid), trouble=why)
        for name, status in user.shown.items():
            if status != "offline":
                sender = contact_address(name, self.component)
                self._send(stanzas.presence(user.jid, "unavailable"), sender)
        user.shown.clear()
        user.devices.clear()
        self._show_gateway(user)

    def _show_gateway(self, user: User) -> None:
        kind = "unavailable" if user.aim is None else ""
        self._send(stanzas.presence(user.jid, kind))

    def _show_contacts(self, user: User) -> None:
        """Sends what has changed. A buddy of AIM that is new asks to be a contact, once."""
        assert user.aim is not None
        for buddies in list(user.aim.buddy_list.groups.values()):
            for buddy in buddies:
                name, address = buddy.name, contact_address(buddy.name, self.component)
                if name not in user.offered:
                    user.offered.add(name)
                    self._send(stanzas.presence(user.jid, "subscribe"), address)
                if user.shown.get(name, "offline") != buddy.status:
                    user.shown[name] = buddy.status
                    kind = "unavailable" if buddy.status == "offline" else ""
                    show = SHOWS.get(buddy.status, "")
                    self._send(stanzas.presence(user.jid, kind, show), address)

    # ── messages (XEP-0100 §4.8) ─────────────────────────────────────────────

    def _message(self, user: User, message: Element, to: Jid) -> None:
        text = message.findtext(f"{{{CLIENT}}}body") or ""
        if message.get("type", "normal") not in ("chat", "normal") or not text.strip():
            return  # a sign that the user types, say
        if not to.local:
            self._return(message, "service-unavailable", "cancel")
        elif user.aim is None:
            self._return(message, "recipient-unavailable", "wait")
        else:
            row = (message.get("from", ""), message.get("to", ""), message.get("id", ""))
            with self._state.transaction() as db:
                left = db.execute("INSERT INTO leaving VALUES (NULL, ?, ?, ?)", row).lastrowid
            try:
                user.aim.send_im(contact_name(to), text)
            except Refused:  # AIM's error 901: nobody of that name is online
                self._return(message, "recipient-unavailable", "wait")
            except TryLater:
                self._return(message, "resource-constraint", "wait")
            except (Unreachable, Unknown) as error:
                self._host.log("im-in-doubt", "warning", who=str(user.jid), trouble=error)
                self._return(message, "remote-server-timeout", "wait")
            except ValueError:
                self._return(message, "not-acceptable", "modify")
            with self._state.transaction() as db:
                db.execute("DELETE FROM leaving WHERE id = ?", (left,))

    def _return_left(self) -> None:
        """Returns messages that were being sent when we ended: it is unknown whether they were."""
        rows = self._state.rows("SELECT id, sender, contact, stanza FROM leaving ORDER BY id")
        for id, sender, contact, stanza in rows:
            attributes = {"from": str(sender), "to": str(contact), "id": str(stanza)}
            self._host.log("im-in-doubt", "warning", who=sender, trouble="the gateway had ended")
            self._return(Element(MESSAGE, attributes), "remote-server-timeout", "wait")
            with self._state.transaction() as db:
                db.execute("DELETE FROM leaving WHERE id = ?", (id,))

    def _deliver_arrived(self) -> None:
        """Sends on what has come from AIM. One that is sent again has the same id (XEP-0359)."""
        for id, jid, contact, text in self._state.rows("SELECT * FROM arrived ORDER BY id"):
            message = stanzas.message(Jid.parse(str(jid)), str(text))
            message.set("id", f"aim-{id}")
            try:
                self.component.send(message, str(contact))
            except CommsError:
                return  # until the next connection
            except ValueError as error:
                self._host.log("not-sent", "warning", to=jid, trouble=error)
            with self._state.transaction() as db:
                db.execute("DELETE FROM arrived WHERE id = ?", (id,))

    # ── inside ───────────────────────────────────────────────────────────────

    def _add(self, jid: Jid, name: str, password: str) -> None:
        self._users[jid] = User(jid, self._account(name, password))

    def _account(self, name: str, password: str) -> Server:
        return dataclasses.replace(self._aim, screen_name=name, user="", password=password)

    def _return(self, stanza: Element, condition: str, kind: str) -> None:
        """Returns a message with an error (RFC 6120 §8.3)."""
        error = Element(stanza.tag, {"type": "error", "to": stanza.get("from", "")})
        if stanza.get("id"):
            error.set("id", stanza.get("id", ""))
        inside = SubElement(error, f"{{{CLIENT}}}error", {"type": kind})
        SubElement(inside, f"{{{STANZA_ERRORS}}}{condition}")
        self._send(error, stanza.get("to", ""))

    def _send(self, stanza: Element, sender: Jid | str = "") -> None:
        """Sends a stanza, if the server can be reached. Presence is asked for again later."""
        try:
            # As text, which is checked: the server ends the stream for what is not an address.
            self.component.send(stanza, str(sender))
        except (CommsError, ValueError) as error:
            self._host.log("not-sent", "warning", to=stanza.get("to", ""), trouble=error)


def contact_address(name: str, component: Component) -> Jid:
    """Returns the address of a screen name (XEP-0100 §6.2), with the escapes of XEP-0106.

    It is not an address if the name has characters that no address can have.
    """
    local = _TO_BE_ESCAPED.sub(lambda found: f"\\{ord(found[0]):02x}", normalize(name))
    return Jid(local, component.domain.domain)


def contact_name(address: Jid) -> str:
    """Returns the screen name that an address stands for, as AIM compares it."""
    return normalize(_ESCAPE.sub(lambda found: chr(int(found[1], 16)), address.local))
