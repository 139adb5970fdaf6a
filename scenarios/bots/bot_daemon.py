"""Run a bot beside the web application, as a daemon that shares its models and its database.

Section 6.2.1 · XMPP, TOC · try: make scenario NAME=bot-daemon
Needs: sqlalchemy

The application's tickets are in a database. The daemon tells the staff of each new one, lists them,
and closes them. It runs in the foreground under a supervisor such as systemd, which starts it, ends
it by SIGTERM and keeps its log; bot_daemon.service beside this page is the unit. It does not fork,
and has no file with its process id.

[scenario.bot-daemon]
staff = "staff.toml"                 # required; lines such as ann = { jabber = "ann@yourco.test" }
models = "scenarios.processing.tickets_model"  # of the application: a module with Base and Ticket
database = "sqlite:///tickets.sqlite3"         # or postgresql+psycopg://…
poll = 1                             # seconds between two looks at database and networks
state = "bot-daemon.sqlite3"

The file of the staff is read again after SIGHUP. The bot is on those networks that the settings
file has a table for. AIM keeps nothing for those who are offline; they say `open` when they come.

Fault: xmpp message split 1 -> all hold
Fault: toc toc_send_im reply 903 times 1 -> all hold
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from comms.bots.company import Company
from comms.bots.messengers import messengers
from comms.bots.network import Heard
from comms.clock import Clock
from comms.errors import SettingsError
from comms.host import Host
from comms.setting_types import ReadableFile, Seconds, StateFile
from comms.settings import Settings
from comms.state import State
from scenarios.bots.bot_daemon_desk import Models, Staff, Tickets
from scenarios.bots.bot_daemon_samples import DATABASE, Application, world_of_staff
from scenarios.models import DatabaseUrl, opened
from scenarios.play import Claim, Program, Scenario, equal, told

if TYPE_CHECKING:
    from fakes import World

WORLD: dict[str, Any] = world_of_staff()
scenario = Scenario(WORLD)


@dataclass(frozen=True)
class Rules:
    """The settings. Times are in seconds."""

    staff: ReadableFile
    models: Models = "scenarios.processing.tickets_model"
    database: DatabaseUrl = DATABASE
    poll: Seconds = 1
    state: StateFile = Path("bot-daemon.sqlite3")


class Daemon:
    """One round after the other: what was asked, what is new, what waits to be said."""

    def __init__(
        self, company: Company, tickets: Tickets, staff: Staff, clock: Clock, host: Host
    ) -> None:
        self._company, self._tickets, self._staff = company, tickets, staff
        self._clock, self._host, self._is_ready = clock, host, False

    def run(self, poll: float) -> None:
        """Works until stopped. What a round has begun is finished first."""
        for _ in self._clock.every(poll):
            if self._host.reload_asked():
                self._reload()
            self.look()
            # Only now is it known that the database can be read, and the bot be asked.
            if not self._is_ready and any(map(self._company.is_online, self._company.networks)):
                self._is_ready = True
                self._host.notify("READY=1")
        self._host.notify("STOPPING=1")

    def look(self) -> None:
        """Answers the staff, and tells them what is new."""
        for heard, person in self._company.said_by(self._staff.person):
            heard.network.put(heard.to, self._answer(heard, person), self._clock.time())
        accounts = self._staff.accounts(self._company)
        if new := self._tickets.tell_new(accounts, self._clock.time()):
            self._host.log("told", tickets=new, people=len(accounts))
        self._company.flush("message")

    def _answer(self, heard: Heard, person: str) -> str:
        answer, closed = self._tickets.answer(heard.text, self._clock.time())
        if closed:
            self._host.log("closed", ticket=closed, by=person)
        return answer

    def _reload(self) -> None:
        """Reads the staff again. If there is a mistake in the file, the old staff remains."""
        self._host.notify("RELOADING=1")
        try:
            self._staff.read()
        except SettingsError as error:
            self._host.log("not-reloaded", "error", trouble=error)
        else:
            self._host.log("reloaded", people=len(self._staff.people))
        self._host.notify("READY=1")


def run(clock: Clock, settings: Settings, host: Host) -> int:
    """Runs the daemon until it is stopped. Raises CommsError."""
    host.reload_asked()  # from now on, SIGHUP does not end the program
    rules = settings.table("bot-daemon", Rules)
    staff, models = Staff(rules.staff), importlib.import_module(rules.models)
    with State(rules.state) as state:
        state.lock()  # before anything is done that another daemon may be doing
        networks = messengers(settings, clock, host, state)
        with opened(rules.database, settings.path, models.Base.metadata) as engine:
            tickets = Tickets(engine, models.Ticket, state, clock.time())
            with Company(networks, clock, host) as company:
                Daemon(company, tickets, staff, clock, host).run(rules.poll)
    return 0


@scenario.act("im-daemon-app")
def daemon(world: World, program: Program) -> Iterator[Claim]:
    """Customers open tickets in the application; Ann and Bob hear of them, and Ann closes one."""
    app = Application(world.folder, world.clock.time)
    ann, bob = world.jabber.actor("ann@yourco.test"), world.aim.actor("Bob")
    ann.comes()
    bob.signs_on()
    world.clock.at(12, lambda: app.opens("The printer is on fire"))
    world.clock.at(12, lambda: app.opens("Is the shop closed?"))
    world.clock.at(30, lambda: ann.says("bot@yourco.test", "Close 2"))
    world.clock.at(50, lambda: bob.says("TicketBot", "open"))
    world.clock.until(60)
    code = program()
    fire = "#1 The printer is on fire (carol@customer.test)"
    news = f"New tickets:\n{fire}\n#2 Is the shop closed? (carol@customer.test)"
    bodies, texts = [one.body for one in ann.messages], [im.text for im in bob.heard]
    yield equal("new tickets are told once", bodies[:1], [news], shows=ann.messages[:1])
    yield equal("on each network", texts[:1], [news.replace("\n", "<br>")], shows=bob.heard[:1])
    yield equal("a message closes a ticket", bodies[1:], ["#2 is closed"], shows=ann.messages[1:])
    yield equal("in the application, too", app.open_tickets(), [1], shows=ann.messages[1:])
    yield equal("open tickets are listed", texts[1:], [f"1 open:<br>{fire}"], shows=bob.heard[1:])
    reported, shows = world.host.notified, told(world, "the program reports")
    yield equal("systemd learns of start and end", reported, ["READY=1", "STOPPING=1"], shows)
    yield equal("its exit code is 0", code, 0)
