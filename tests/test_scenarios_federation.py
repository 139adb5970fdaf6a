"""federation and private-server: links that are cut, settings, and who may ask."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from comms.clock import RealClock
from comms.errors import SettingsError
from comms.host import RealHost
from comms.settings import load
from comms.xmpp import Client, Jid, stanzas
from fakes.certificates import Authority
from fakes.wire import Record
from scenarios import catalogue, rehearsal
from scenarios.jabber import federation, private_server
from tests.command import start_command
from tests.real import free_ports
from tests.test_fakes_main import serving

FEDERATION = catalogue.named("federation")
MAIN = FEDERATION.acts()[0]
PRIVATE = catalogue.named("private-server")
LINK = ("stream", "result", "verify", "message")
CUTS = ("hang up before", "hang up within", "hang up after", "reset", "after 5", "split 1")


@pytest.mark.parametrize(
    ("sender", "verdict"),
    [
        ("ann@partner.test/phone", ""),
        ("ANN@Partner.Test", ""),
        ("ann@partner.test.evil.test", "not on the list"),
        ("ann@partner", "not on the list"),
        ("partner.test", "not on the list"),
        ("ann@p\N{CYRILLIC SMALL LETTER A}rtner.test", "not on the list"),
        ("lobby@conference.evil.test/ann@partner.test", "not on the list"),
        ("carl@shop.test/x", ""),
        ("bob@shop.test", "denied"),
        ("carl@evil.test", "denied"),
    ],
)
def test_the_whole_prepared_address_decides(sender: str, verdict: str) -> None:
    rules = federation.Rules(
        people=("ann@partner.test", "carl@evil.test"),
        domains=("Shop.test",),
        deny=("bob@shop.test", "EVIL.test"),
    )
    assert rules.verdict(Jid.parse(sender)) == verdict


def performed(fault: str) -> tuple[int, list[str]]:
    """How often the command ran, and how the program ended, under a fault."""
    performance = rehearsal.rehearse(FEDERATION, MAIN, [fault])
    events = performance.events
    ran = sum(event["text"].startswith("runs: ") for event in events)
    return ran, [event["text"] for event in events if event["level"] == "end"]


def test_a_link_that_is_cut_answers_nothing_twice() -> None:
    units = [
        (record.verb, record.direction)
        for record in rehearsal.rehearse(FEDERATION, MAIN).recording
        if isinstance(record, Record) and record.protocol == "xmpp-server"
    ]
    assert {verb for verb, direction in units if direction == "C"} >= set(LINK)
    for verb in LINK:
        assert performed(f"xmpp-server {verb} reset times 1")[0] <= 1


@pytest.mark.slow
@pytest.mark.parametrize("verb", LINK)
@pytest.mark.parametrize("cut", CUTS)
def test_each_cut_of_a_link_is_survived(verb: str, cut: str) -> None:
    for nth in (1, 2, 3):
        ran, ends = performed(f"xmpp-server {verb} nth {nth} {cut}")
        assert ran <= 1 and not any("Error" in text for text in ends)


@pytest.mark.parametrize(
    ("name", "rules", "changes", "problem"),
    [
        ("federation", federation.Rules, {"domains": ["ann@partner.test"]}, "too exact"),
        ("federation", federation.Rules, {"deny": ["ann@partner.test/x"]}, "too exact"),
        ("federation", federation.Rules, {"deny": ["@"]}, "deny"),
        ("federation", federation.Rules, {"people": ["@"]}, "people"),
        ("private-server", private_server.Rules, {}, "team"),
        ("private-server", private_server.Rules, {"team": []}, "team"),
        ("private-server", private_server.Rules, {"team": ["a@b"], "report": "no"}, "report"),
    ],
)
def test_settings_that_are_wrong_name_the_key(
    name: str, rules: type[Any], changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(SettingsError, match=problem):
        load({"scenario": {name: changes}}).table(name, rules)


# ── three processes: two servers, and the program ────────────────────────────

SERVER = """
[xmpp]
domains = ["{domain}"]
peers = {{ "{other}" = "127.0.0.1:{port}" }}
peer_ca = "{authority}"
[[person]]
address = "{address}"
"""
SITE = """
[xmpp]
host = "127.0.0.1"
port = {port}
jid = "bot@yourco.test/bot"
password = "secret"
ca_file = "{authority}"
[scenario.federation]
people = ["{ann}"]
status = ["echo", "up"]
notify = ["{ann}"]
poll = 0.05
"""


@pytest.mark.slow
def test_the_program_answers_live_across_two_servers_that_are_processes(tmp_path: Path) -> None:
    ports, authority = free_ports(2), tmp_path / "ca.pem"
    domains = ["yourco.test", "partner.test"]
    assert Authority(domains, tmp_path).pem, "it is in the folder that both servers are told"
    options = []
    for number, address in enumerate((federation.BOT, federation.ANN)):
        other = 1 - number
        table = SERVER.format(
            domain=domains[number],
            other=domains[other],
            port=ports[other],
            authority=authority,
            address=address,
        )
        (tmp_path / f"{number}.toml").write_text(table)
        options.append(["--xmpp", "0", "--xmpp-server", str(ports[number])])
        options[-1] += ["--ca-dir", str(tmp_path), "--world", str(tmp_path / f"{number}.toml")]
    with serving(*options[0]) as (here, ours), serving(*options[1]) as (there, theirs):
        site = tmp_path / "site.toml"
        site.write_text(SITE.format(port=here["xmpp"][1], authority=authority, ann=federation.ANN))
        site.chmod(0o600)
        settings = {"host": "127.0.0.1", "port": there["xmpp"][1], "jid": federation.ANN}
        loaded = load({"xmpp": {**settings, "password": "secret", "ca_file": str(authority)}})
        clock = RealClock()
        with Client(loaded.server("xmpp"), clock, RealHost()) as ann:
            program = start_command("run", "federation", "--live", str(site))
            heard: list[str] = []
            for _ in range(200):
                if heard == ["I am here."]:
                    ann.send(stanzas.message(Jid.parse(federation.BOT), "STATUS", "chat"))
                    heard.append("asked")
                ann.wait(clock.time() + 0.1)
                heard += [message.text for message in ann.received_messages()]
                if heard[-1:] == ["up"]:
                    break
            program.send_signal(signal.SIGTERM)
            assert program.communicate(timeout=20)[1].count("Error") == 0
        assert (heard, program.returncode) == (["I am here.", "asked", "up"], 0)
        clock.close()
        for process in (ours, theirs):
            process.send_signal(signal.SIGTERM)
        wires = [process.communicate(timeout=20)[1] for process in (ours, theirs)]
    for wire in wires:
        assert "mechanism='EXTERNAL'" in wire and "<db:result" not in wire, "by certificates"
