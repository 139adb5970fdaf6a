"""Several networks at once, and what of all that is said there a bot should see.

    with Company([Aim(…), Irc(…)], clock, host, Limits()) as company:
        for heard in company.heard():       # in every round
            ...

A network that is down does not stop the others; it is tried again with back-off and jitter. With a
single network, the first attempt to connect must succeed.
"""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from comms.backoff import Backoff
from comms.bots.network import Heard, Network, addressed
from comms.clock import Clock
from comms.errors import CommsError, Refused, Unreachable
from comms.host import Host

FIRST_PAUSE, LONGEST_PAUSE = 5.0, 300.0  # seconds between attempts to connect
KNOWN = 1000  # senders whose last messages are remembered


@dataclass(frozen=True)
class Limits:
    """How many messages are heard within `seconds`, from each sender, and in each place.

    A place is a room, or all senders together for whom a network does not vouch. A sender who goes
    on is not heard until there was silence for that long, so that two programs that answer each
    other come to an end.
    """

    messages: int = 10
    in_place: int = 30
    seconds: float = 60.0


class Flood:
    """Counts messages, and says which ones are too many."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits, self._clock = limits, clock
        self._times: dict[tuple[str, str], deque[float]] = {}

    def is_over(self, heard: Heard) -> bool:
        """Counts a message; whether there were too many before it."""
        sender = heard.who or f"{heard.room}/{heard.name}"
        if self._counts((heard.network.name, f"from {sender}"), self._limits.messages):
            return True  # and it does not use up what others may say in that place
        place = (heard.network.name, f"in {heard.room}")
        is_shared = heard.room or not heard.who
        return bool(is_shared and self._counts(place, self._limits.in_place))

    def _counts(self, key: tuple[str, str], most: int) -> bool:
        now = self._clock.monotonic()
        times = self._times.pop(key, None) or deque(maxlen=most + 1)
        while times and now - times[0] >= self._limits.seconds:
            times.popleft()
        times.append(now)
        self._times[key] = times  # as the latest
        while len(self._times) > KNOWN:
            del self._times[next(iter(self._times))]
        return len(times) > most


class Company:
    """The networks of one bot. `prefixes` are the beginnings that address it in a room."""

    def __init__(
        self,
        networks: Sequence[Network],
        clock: Clock,
        host: Host,
        limits: Limits | None = None,
        prefixes: Collection[str] = (),
    ) -> None:
        self.networks = list(networks)
        self._clock, self._host, self._prefixes = clock, host, prefixes
        self._flood = Flood(limits or Limits(), clock)
        self._backoffs = {
            network.name: Backoff(clock, host, first=FIRST_PAUSE, longest=LONGEST_PAUSE, jitter=0.5)
            for network in networks
        }
        self._online: set[str] = set()
        self._over: dict[str, Refused] = {}  # networks that do not accept us

    def __enter__(self) -> Company:
        try:
            for network in self.networks:
                self._connect(network)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leaves every network."""
        for network in self.networks:
            if network.name in self._online:
                network.close()
        self._online.clear()

    def named(self, name: object) -> Network | None:
        """Returns the network of this name, None if there is none."""
        return next((network for network in self.networks if network.name == name), None)

    def is_online(self, network: Network) -> bool:
        """Whether we have connected to it; its client keeps the connection."""
        return network.name in self._online

    def sees(self, network: Network, account: str) -> bool:
        """Whether an account is online, as far as we can know."""
        if not self.is_online(network):
            return False
        try:
            return network.present(account)
        except (CommsError, ValueError):  # the link was lost, or it is not a name
            return False

    def heard(self) -> Iterator[Heard]:
        """Yields what was said to us since the last call, as `text` without our name.

        Raises Refused if no network accepts us any more.
        """
        for network in self.networks:
            if network.name not in self._online:
                self._connect(network)
                continue
            try:
                for heard in network.heard():
                    text = addressed(heard, self._prefixes)
                    if text is not None and not self._is_flood(heard):
                        yield replace(heard, text=text)
            except Unreachable as error:
                self._host.log("network-lost", "warning", network=network.name, trouble=error)
            except Refused as error:
                self._refused(network, error)

    def said_by(self, person: Callable[[Network, str], str]) -> Iterator[tuple[Heard, str]]:
        """Yields what people have said just now, and who: `person` is as `known_by` returns it.

        Strangers are logged. A person is asked to say again what was said while we were away.
        """
        for heard in self.heard():
            who = person(heard.network, heard.who) if heard.who else ""
            if not who:
                sender = heard.who or f"{heard.network.name}:{heard.name}"
                self._host.log("stranger", "warning", who=sender)
            elif heard.unreadable or heard.delayed:
                away = "You said this while I was away. If it still holds, say it again."
                heard.network.put(heard.to, heard.unreadable or away, self._clock.time())
            else:
                yield heard, who

    def flush(self, event: str) -> None:
        """Says what waits, where we are online. Each result is logged as an event, EVENT-STATUS."""
        for network in filter(self.is_online, self.networks):
            for result in network.flush(self._clock.time()):
                level = "info" if result.status == "sent" else "warning"
                facts = {"to": result.address, "trouble": result.error}
                self._host.log(f"{event}-{result.status}", level, **facts)

    def _is_flood(self, heard: Heard) -> bool:
        if not self._flood.is_over(heard):
            return False
        facts = {"network": heard.network.name, "who": heard.who or heard.name}
        self._host.log("flood", "warning", **facts)
        return True

    def _connect(self, network: Network) -> None:
        backoff = self._backoffs[network.name]
        if network.name in self._over or self._clock.monotonic() < backoff.due:
            return
        try:
            network.connect()
        except CommsError as error:
            network.close()
            if len(self.networks) == 1:
                raise
            if isinstance(error, Refused):
                self._refused(network, error)
                return
            pause = backoff.failed()
            facts = {"network": network.name, "trouble": error, "again": f"{pause:.0f}s"}
            self._host.log("network-away", "warning", **facts)
        else:
            if backoff.due:
                self._host.log("network-online", network=network.name)
            backoff.succeeded()
            self._online.add(network.name)

    def _refused(self, network: Network, error: Refused) -> None:
        """Goes on without a network: a wrong password does not become right by waiting."""
        self._over[network.name] = error
        if len(self._over) == len(self.networks):
            raise error
        self._online.discard(network.name)
        self._host.log("network-refused", "error", network=network.name, trouble=error)
