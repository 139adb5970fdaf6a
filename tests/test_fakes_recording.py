"""The record of a world: what is kept, what is printed, and event texts without port numbers."""

from __future__ import annotations

import smtplib

import pytest

from fakes import World
from fakes.host import Event
from fakes.recording import Recording, without_ports
from fakes.servers import SERVERS
from fakes.wire import Record

NOOP = Record(0.0, "smtp", 1, "C", b"NOOP\r\n", "NOOP")
STARTS = Event(0.0, "host", "apache2 starts")


def test_records_and_events_are_kept_in_order() -> None:
    recording = Recording(None, SERVERS)
    recording.add(NOOP)
    recording.add(STARTS)
    assert recording.entries == [NOOP, STARTS]
    assert recording.records == [NOOP] and recording.events == [STARTS]


def test_a_watcher_gets_each_entry_and_nothing_is_kept() -> None:
    seen: list[Record | Event] = []
    recording = Recording(seen.append, SERVERS)
    recording.add(NOOP)
    assert seen == [NOOP] and recording.entries == []


@pytest.mark.parametrize(("value", "printed"), [("1", "smtp-1 C: NOOP\n"), ("0", ""), ("", "")])
def test_the_environment_has_the_wire_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str, printed: str
) -> None:
    monkeypatch.setenv("FAKES_DEBUG", value)
    Recording(None, SERVERS).add(NOOP)
    assert capsys.readouterr().err == printed


def test_a_port_of_ours_is_shown_by_its_name_and_another_by_its_number() -> None:
    event = Event(0.0, "program", "refused: 127.0.0.1:4711, localhost:99, 10.0.0.1:4711")
    shown = without_ports(event, "mail.example.test", {4711: "smtp"})
    assert shown.text == "refused: mail.example.test:smtp, mail.example.test:99, 10.0.0.1:4711"


def test_without_records_a_world_watches_events_only() -> None:
    seen: list[Record | Event] = []
    with World({"servers": ["smtp"], "tls": "off"}, watch=seen.append, records=False) as world:
        with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
            client.noop()
        world.tell("world", "something happens")
    assert [entry.text for entry in seen if isinstance(entry, Event)] == ["something happens"]
    assert not any(isinstance(entry, Record) for entry in seen)
