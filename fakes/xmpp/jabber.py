"""The test's side of a world's Jabber: who is there as values, what was said, and people who act.

world.jabber.wait_for(lambda stanza: stanza.body == "hello")     # exactly one, or a failure that says what came
world.jabber.roster("alice@example.test")["bob@example.test"].subscription
ops = world.jabber.person("ops@example.test")
world.clock.at(60, lambda: ops.says("bot@example.test", "restart"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from fakes.bridge import Bridge
from fakes.chat import Heard
from fakes.people import People
from fakes.wire import Kit, Want
from fakes.xmpp.addresses import domain_of, jid
from fakes.xmpp.extensions import EXTENSIONS
from fakes.xmpp.markup import CLIENT, element
from fakes.xmpp.policy import SWITCHES, Policy
from fakes.xmpp.service import Service
from fakes.xmpp.sessions import Account, Resource
from fakes.xmpp.stanzas import Stanza, StanzaError, made, parsed
from fakes.xmpp.subscriptions import ASKING

TELL = Callable[[str, str], None]


@dataclass(frozen=True)
class Contact:
    """An item of a roster. `ask`: our request is not answered yet; `asking`: theirs is not."""

    jid: str
    name: str = ""
    groups: tuple[str, ...] = ()
    subscription: str = "none"
    ask: bool = False
    asking: bool = False
    approved: bool = False


@dataclass(frozen=True)
class Shown:
    """What one resource shows: `show` is "", away, chat, dnd or xa."""

    show: str = ""
    status: str = ""
    priority: int = 0


class Jabber(Heard[Stanza]):
    """All Jabber of a world. Its state belongs to the world's loop; the methods here marshal themselves.

    What is heard are the stanzas that anybody says, in order, as the server stamps them: `all`, `wait_for`, `arrival`,
    `assert_none`. A number in `wait_for(2)` counts messages only, and `assert_none()` means no message.
    """

    def __init__(
        self,
        kit: Kit,
        people: People,
        *,
        config: Mapping[str, Any] | None = None,
        domains: Iterable[str] = (),
        tls: str = "off",
        off: Iterable[str] = (),
        bridge: Bridge | None = None,
        tell: TELL = lambda who, text: None,
    ) -> None:
        table = config or {}
        named = table.get("domains") or _possible([*domains, *(person.address.rpartition("@")[2] for person in people)])
        switches: dict[str, Any] = {key: table[key] for key in SWITCHES if key in table}
        switches["tls"] = tls
        policy = Policy(**switches, off=frozenset(off))
        self.service = Service(kit, people, named, policy, EXTENSIONS)
        super().__init__(bridge or Bridge(), "stanza")
        self.service.told = self.tell
        self._report = tell
        self._people: dict[str, Somebody] = {}

    # ── what there is ────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def messages(self) -> list[Stanza]:
        """The messages that anybody said so far, in order."""
        return [stanza for stanza in self.all if _is_message(stanza)]

    @property
    def accounts(self) -> list[str]:
        """The bare address of everybody who has an account now."""
        return self._bridge.call(lambda: [account.address for account in self.service.accounts()])

    def roster(self, address: str) -> dict[str, Contact]:
        """The roster of an account, as its clients see it, and whoever waits for an answer."""
        return self._bridge.call(
            lambda: {
                item.jid: Contact(
                    item.jid, item.name, item.groups, item.subscription, item.ask, item.state in ASKING, item.approved
                )
                for item in self._account(address).roster.items.values()
            }
        )

    def sessions(self, address: str) -> list[str]:
        """The full addresses that an account is connected with."""
        return self._bridge.call(lambda: [one.jid.text for one in self._account(address).resources.values()])

    def presence(self, address: str) -> dict[str, Shown]:
        """What each available resource of an account shows, by the resource's name."""
        return self._bridge.call(
            lambda: {
                one.jid.resource: Shown(one.presence.text("show"), one.presence.text("status"), one.priority)
                for one in self._account(address).available()
                if one.presence is not None
            }
        )

    def offline(self, address: str) -> list[Stanza]:
        """The messages that wait for an account, oldest first."""
        return self._bridge.call(lambda: list(self._account(address).offline))

    # ── what a test does ─────────────────────────────────────────────────────────────────────────────────────────

    def person(self, address: str, resource: str = "play") -> Somebody:
        """A person of the play, who acts without a client. Raises LookupError when nobody has the address."""
        self._bridge.call(lambda: self._account(address))
        key = f"{jid(address).bare}/{resource}"
        return self._people.setdefault(key, Somebody(self, jid(key).bare, resource))

    def befriend(self, user: str, contact: str, subscription: str = "both") -> None:
        """Puts two accounts into each other's rosters, nobody being asked or told. Raises ValueError."""
        self._bridge.call(lambda: self.service.befriend(user, contact, subscription))

    def inject(self, stanza: Stanza | str) -> None:
        """A stanza comes from anybody: the sender that it names is believed, and may be of any other domain.

        Raises ValueError for a text that is no stanza, or names no sender or recipient.
        """
        said = parsed(stanza) if isinstance(stanza, str) else stanza
        if not said.sender or not said.to:
            raise ValueError(f"a stanza that is injected says from whom and to whom: {said}")
        sender, _ = jid(said.sender), jid(said.to)

        def put() -> None:
            if not self.service.is_here(sender):
                self.service.peers.add(sender.domain)
            self.tell(said)
            self.service.router.route(said)

        self._bridge.call(put)

    def end(self, address: str = "", condition: str = "conflict", text: str = "") -> int:
        """Ends the sessions of an address (bare or full; of everybody without one) with a stream error; says how many."""

        def end() -> int:
            hit = self._sessions(address)
            for resource in hit:
                self.service.unbind(resource)
                resource.outlet.end(condition, text)
            return len(hit)

        return self._bridge.call(end)

    def cut(self, address: str = "", want: Want = Want.CLOSE) -> int:
        """Cuts the connections of an address (bare or full; everybody's without one), FIN or RST; says how many."""

        def cut() -> int:
            hit = self._sessions(address)
            for resource in hit:
                self.service.unbind(resource)
                resource.outlet.cut(want)
            return len(hit)

        return self._bridge.call(cut)

    def close(self) -> None:
        """The world is over: nobody is told any more who has gone. Called on the loop's thread."""
        self.service.close()

    def conflict(self, address: str) -> int:
        """Somebody else takes the resource: conflict (RFC 6120 §4.9.3.3)."""
        return self.end(address, "conflict")

    def shutdown(self) -> int:
        """The server goes down: system-shutdown for everybody (RFC 6120 §4.9.3.20)."""
        return self.end("", "system-shutdown")

    def remove(self, address: str) -> None:
        """Deletes an account: from now on it is `gone` (RFC 6120 §8.3.3.5)."""
        self._bridge.call(lambda: self.service.remove(self._account(address)))

    def assert_none(self, unwanted: Callable[[Stanza], bool] | None = None, within: float = 0.0) -> None:
        """Fails if a stanza that fits (any message, without a predicate) has come, or comes within so many real seconds."""
        super().assert_none(unwanted or _is_message, within)

    def _found(self, wanted: int | Callable[[Stanza], bool]) -> list[Stanza] | None:
        if callable(wanted):
            return super()._found(wanted)
        messages = [stanza for stanza in self._heard if _is_message(stanza)]
        return messages if len(messages) >= wanted else None

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────

    def _account(self, address: str) -> Account:
        account = self.service.account(jid(address))
        if account is None:
            known = [one.address for one in self.service.accounts()]
            raise LookupError(f"nobody has the address {address}; this world has {', '.join(known)}")
        return account

    def _sessions(self, address: str) -> list[Resource]:
        accounts = [self._account(address)] if address else self.service.accounts()
        name = jid(address).resource if address else ""
        return [one for account in accounts for one in account.resources.values() if name in ("", one.jid.resource)]


class Somebody(Heard[Stanza]):
    """A person of the play, with a session but no connection. Whoever acts is online from then on.

    What is heard is all that comes for this session: `all`, `wait_for`, `arrival`, `assert_none`.
    """

    def __init__(self, jabber: Jabber, address: str, resource: str) -> None:
        super().__init__(jabber._bridge, "stanza")
        self.jabber = jabber
        self.address = address
        self.resource = resource
        self._session: Resource | None = None

    @property
    def messages(self) -> list[Stanza]:
        """The messages among what was heard."""
        return [stanza for stanza in self.all if stanza.kind == "message"]

    def comes(self, show: str = "", status: str = "", priority: int = 0) -> None:
        """Comes online, or shows something else."""
        inside = [element(f"{{{CLIENT}}}{name}", text=text) for name, text in (("show", show), ("status", status)) if text]
        if priority:
            inside.append(element(f"{{{CLIENT}}}priority", text=str(priority)))
        self._do(made("presence", inside=inside), f"shows {show}" if show else "comes online")

    def goes(self, status: str = "") -> None:
        """Goes offline."""
        inside = [element(f"{{{CLIENT}}}status", text=status)] if status else []

        def go() -> None:
            if self._session is not None:
                self.jabber.service.router.said(self._session, made("presence", type="unavailable", inside=inside))
                self.jabber.service.unbind(self._session)
                self._session = None

        self.jabber._report(self.address, "goes offline")
        self.jabber._bridge.call(go)

    def says(self, to: str, text: str, type: str = "chat") -> None:
        """Says something to somebody."""
        body = element(f"{{{CLIENT}}}body", text=text)
        self._online()
        self._do(made("message", to=to, type=type, inside=[body]), f"says to {to}: {text}")

    def asks(self, whom: str) -> None:
        """Asks to see somebody's presence."""
        self._online()
        self._do(made("presence", to=whom, type="subscribe"), f"asks to see {whom}")

    def accepts(self, whom: str) -> None:
        """Lets somebody see one's presence."""
        self._online()
        self._do(made("presence", to=whom, type="subscribed"), f"accepts {whom}")

    def refuses(self, whom: str) -> None:
        """Refuses it, or takes it back."""
        self._online()
        self._do(made("presence", to=whom, type="unsubscribed"), f"refuses {whom}")

    def drops(self, whom: str) -> None:
        """Wants to see somebody's presence no more."""
        self._online()
        self._do(made("presence", to=whom, type="unsubscribe"), f"drops {whom}")

    def sends(self, stanza: Stanza | str) -> None:
        """Says any stanza; its sender is stamped as a client's would be. Raises ValueError for a text that is none."""
        said = parsed(stanza) if isinstance(stanza, str) else stanza
        self._do(said, f"sends {said!r}")

    # ── what an outlet is ────────────────────────────────────────────────────────────────────────────────────────

    def deliver(self, stanza: Stanza) -> None:
        """See Outlet. Requests are answered, as RFC 6120 §8.2.3 wants it."""
        self.tell(stanza)
        if stanza.kind == "iq" and stanza.type in ("get", "set") and self._session is not None:
            own = stanza.sender in (None, self.address)
            answer = stanza.result() if own else stanza.error(StanzaError("service-unavailable"))
            self.jabber.service.router.said(self._session, answer)

    def end(self, condition: str, text: str = "") -> None:
        """See Outlet."""
        self._session = None

    def cut(self, want: Want) -> None:
        """See Outlet."""
        self._session = None

    def _online(self) -> None:
        if self._session is None or self._session.presence is None:
            self.comes()

    def _do(self, stanza: Stanza, told: str) -> None:
        def act() -> None:
            service = self.jabber.service
            if self._session is None:
                self._session = service.bind(self.jabber._account(self.address), self.resource, self)
            service.router.said(self._session, stanza)

        self.jabber._report(self.address, told)
        self.jabber._bridge.call(act)


def _possible(domains: Iterable[str]) -> list[str]:
    """Those that can be part of a Jabber address: a mail domain may be one that cannot."""
    found = []
    for domain in domains:
        try:
            found.append(domain_of(domain))
        except ValueError:
            continue
    return found or ["localhost"]


def _is_message(stanza: Stanza) -> bool:
    return stanza.kind == "message"
