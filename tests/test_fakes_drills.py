"""The drills of the catalogue: a name may be written wherever a fault may."""

from __future__ import annotations

import pytest

from fakes.drills import DRILLS
from fakes.faults import Drill, FaultError
from fakes.servers import SERVERS, read_faults
from fakes.world import World
from tests.imap_raw import ALICE, MAIL, Raw, imap_world


@pytest.mark.parametrize("name", DRILLS)
def test_a_name_stands_for_its_fault_or_its_function(name: str) -> None:
    drill = DRILLS[name]
    assert read_faults(name) == ([drill] if isinstance(drill, Drill) else read_faults(drill))
    assert not isinstance(drill, Drill) or drill.name == name == str(drill)


@pytest.mark.parametrize("name", DRILLS)
def test_every_drill_can_be_armed_in_a_world_with_all_servers(name: str) -> None:
    every = [server.name for server in SERVERS]
    world = World({"servers": every}, rehearsal=True, faults=[name])
    # Not `unmet`, because some drills happen at once.
    faults = "; ".join(map(str, read_faults(name)))
    assert repr(world.faults) == f"<Faults {faults}>"


@pytest.mark.parametrize(
    ("name", "server"),
    [(name, "xmpp") for name in DRILLS if name.startswith("xmpp-")]
    + [(name, "webhook") for name in ("http-redirect", "http-redirect-inside", "http-429")],
)
def test_a_drill_for_a_missing_server_is_refused(name: str, server: str) -> None:
    with pytest.raises(FaultError, match=f"needs a server of {server}; this world has: smtp"):
        World({"servers": ["smtp"]}, rehearsal=True, faults=[name])


def test_a_misspelt_drill_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        FaultError, match=r"neither a fault nor a drill \(did you mean 'smtp-421'\?\)"
    ):
        World(rehearsal=True, faults=["smtp-412"])


def test_a_drill_that_nothing_met_is_reported() -> None:
    world = World(rehearsal=True, faults=["duplicate-delivery"])
    assert [str(drill) for drill in world.faults.unmet()] == ["duplicate-delivery"]


def test_a_mail_is_delivered_twice_to_the_program_only() -> None:
    world = World(rehearsal=True, faults=["duplicate-delivery"])
    for address in ("alice@example.test", "bob@example.test"):
        world.mail.deliver(address, b"Subject: hi\r\n\r\n")
    assert len(world.mail.inbox("alice@example.test")) == 2, "alice is the program"
    assert len(world.mail.inbox("bob@example.test")) == 1
    assert world.faults.unmet() == []


def strike(world: World) -> None:
    """Lets the time come at which a drill strikes."""
    world.clock.until(60)
    for _ in world.clock.every(30):
        pass


def test_a_restored_inbox_has_another_uidvalidity_and_ends_its_sessions() -> None:
    world = imap_world(fault=["imap-uidvalidity-changes"])
    client = Raw(world, select="INBOX")
    before = world.mail.folder(ALICE).uidvalidity
    strike(world)
    assert world.mail.folder(ALICE).uidvalidity > before
    assert client.ask("NOOP").startswith("* BYE ") and world.faults.unmet() == []


def test_another_program_removes_the_oldest_mail() -> None:
    world = imap_world(fault=["imap-expunged-elsewhere"])
    for _ in range(2):
        world.mail.deliver(ALICE, MAIL)
    client = Raw(world, select="INBOX")
    strike(world)
    assert client.lines("NOOP") == ["* 1 EXPUNGE", "* 1 RECENT", "t OK"]
    assert world.faults.unmet() == []


def test_the_server_ends_a_session_that_waits() -> None:
    world = imap_world(fault=["imap-bye-in-idle"])
    client, other = Raw(world, select="INBOX"), Raw(world, 2, select="INBOX")
    client.ask("IDLE")
    strike(world)
    assert client.news()[0].startswith("* BYE ") and other.status("NOOP") == "OK"
    assert world.faults.unmet() == []
