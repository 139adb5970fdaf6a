"""The people, accounts, stores and the machine of a world, from its configuration."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fakes.bridge import Bridge
from fakes.config import Reader, WorldError
from fakes.host import Event, Host
from fakes.people import Person
from fakes.population import Population
from fakes.servers import SERVERS
from fakes.wire import Runtime


def populated(config: dict[str, Any] | None = None) -> Population:
    return Population(
        Reader(SERVERS).read(config or {}),
        Runtime(lambda: 0.0, lambda length: "x" * length),
        Bridge(),
        tell=lambda who, what: None,
        jabber_policy=None,
        source="world.toml",
    )


def machine(
    population: Population,
    record: Callable[[Event], None] = lambda event: None,
    spend: Callable[[float], None] = lambda seconds: None,
) -> Host:
    return population.new_host(record, spend, lambda name, port: None)


def test_without_a_configuration_alice_bob_and_ops_have_all_accounts() -> None:
    found = populated()
    people = [person.address for person in found.people]
    assert people == ["alice@example.test", "bob@example.test", "ops@example.test"]
    assert {person.password for person in found.people} == {"secret"}
    assert found.jabber.accounts == people
    assert [account.screen_name for account in found.aim.known] == ["alice", "bob", "ops"]
    assert found.mail.store.domains == ("example.test",)
    assert machine(found).name == "host.example.test"


def test_the_domains_are_those_of_the_people_unless_mail_names_others() -> None:
    people = [{"address": "a@one.test"}, {"address": "b@two.test"}, {"address": "c@one.test"}]
    found = populated({"person": people})
    assert found.mail.store.domains == ("one.test", "two.test")
    assert machine(found).name == "host.one.test"
    found = populated({"person": people, "mail": {"domains": ["three.test"]}})
    assert found.mail.store.domains == ("three.test",)


def test_the_machine_has_the_processes_services_and_commands_of_the_file() -> None:
    host = {
        "name": "db1.test",
        "processes": ["sshd"],
        "services": ["mariadb"],
        "commands": [{"run": ["df", "-k"], "output": "full\n", "code": 1}],
    }
    found = machine(populated({"host": host}))
    names = [process.name for process in found.processes()]
    assert found.name == "db1.test" and names == ["init", "sshd", "mariadb"]
    assert found.run(["df", "-k"], 1).output == "full\n"
    assert found.run(["systemctl", "stop", "mariadb"], 5).code == 0


def test_what_the_machine_records_and_spends_reaches_the_world() -> None:
    events: list[Event] = []
    spent: list[float] = []
    config = {"host": {"commands": [{"run": ["df"], "takes": 2}]}}
    host = machine(populated(config), events.append, spent.append)
    host.run(["df"], 5)
    assert [(event.at, event.text) for event in events] == [(0.0, "runs: df")]
    assert spent == [2.0]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"person": [{"address": "a@b.test"}, {"address": "A@b.test"}]},
            r"^world\.toml: person: A@b\.test is in this world twice",
        ),
        (
            {"aim": [{"screen_name": "Ops Bot"}, {"screen_name": "opsbot"}]},
            r"^world\.toml: aim: opsbot is in this world twice",
        ),
        (
            {"person": [{"address": "a@b.test", "contacts": {"c@d.test": "friend"}}]},
            r"person.contacts.c@d.test: unknown value 'friend'; choose from none, to, from, both",
        ),
    ],
)
def test_accounts_that_contradict_each_other_are_named_with_file_and_table(
    config: dict[str, Any], message: str
) -> None:
    with pytest.raises(WorldError, match=message):
        populated(config)


def test_what_is_stored_for_people_can_be_taken_over_by_another_world() -> None:
    first = populated()
    first.people.add(Person("eve@example.test", "own"))
    first.mail.deliver("bob@example.test", b"Subject: hi\r\n\r\n")
    bob = first.jabber.actor("bob@example.test")
    bob.asks("eve@example.test")
    bob.says("ops@example.test", "for later")
    bob.sends(
        "<iq type='set' id='1'><query xmlns='jabber:iq:private'><a xmlns='urn:a'/></query></iq>"
    )
    first.jabber.befriend("alice@example.test", "bob@example.test", "to")
    stranger = first.aim.actor("Stranger")
    stranger.says("alice", "hi")
    (known,) = [account for account in first.aim.known if account.screen_name == "bob"]
    known.lists.add_buddy("Friends", "alice")
    second = populated()
    second.restore(first.stored())
    eve = second.people.find("eve")
    assert eve is not None and eve.password == "own"
    (mail,), (copy,) = (world.mail.inbox("bob@example.test") for world in (first, second))
    assert copy.raw == mail.raw and copy.raw.startswith(b"Return-Path: <>")
    assert second.jabber.roster("bob@example.test") == first.jabber.roster("bob@example.test")
    ops = second.jabber.actor("ops@example.test")
    ops.comes()
    assert [stanza.body for stanza in ops.messages] == ["for later"]
    stored = {account.screen_name: account.lists.text for account in second.aim.known}
    assert list(stored) == ["alice", "bob", "ops", "Stranger"]
    assert stored["bob"] == "m 1\ng Friends\nb alice\n"
    private = {one.name: one.stored for one in second.jabber.service.extensions.active}["private"]
    assert list(private["bob@example.test"]) == ["{urn:a}a"]


def test_what_is_taken_over_is_a_copy() -> None:
    first, second = populated(), populated()
    first.mail.deliver("bob@example.test", b"Subject: hi\r\n\r\n")
    second.restore(first.stored())
    second.mail.purge()
    second.jabber.befriend("alice@example.test", "bob@example.test")
    assert len(first.mail.inbox("bob@example.test")) == 1
    assert not first.jabber.roster("alice@example.test")
