"""A world: where things are, its settings, and how errors inside a fake reach the test."""

from __future__ import annotations

import poplib
import re
import smtplib
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fakes.faults import Fault, FaultError, UnmetFault
from fakes.host import Event
from fakes.pop3 import Pop3
from fakes.shell import Guard
from fakes.smtp import Smtp
from fakes.wire import Record, Unit
from fakes.world import World, WorldError

MAIL = {"servers": ["smtp"]}

# ── what is in it ────────────────────────────────────────────────────────────


def test_the_host_has_the_commands_of_the_world_file() -> None:
    command = {"run": ["df", "-k"], "output": "full\n", "takes": 2, "code": 1}
    world = World({"host": {"commands": [command]}}, rehearsal=True)
    done = world.host.run(["df", "-k"], 10)
    assert (done.code, done.output, done.seconds) == (1, "full\n", 2)
    assert world.host.run(["df"], 10).code is None


def test_settings_are_what_a_settings_file_for_this_world_would_hold(world: World) -> None:
    smtp = world.settings["smtp"]
    assert (smtp["user"], smtp["password"]) == ("alice@example.test", "secret")
    assert smtp["tls"] in ("none", "starttls")
    assert world.settings["xmpp"]["jid"] == "alice@example.test"
    assert world.settings["toc"] | {"port": 0, "timeout": 0} == {
        "host": "127.0.0.1",
        "port": 0,
        "tls": "none",
        "screen_name": "alice",
        "password": "secret",
        "timeout": 0,
    }


def test_a_person_given_twice_is_a_world_error() -> None:
    with pytest.raises(WorldError, match=r"person: A@b.c"):
        World({"person": [{"address": "a@b.c"}, {"address": "A@b.c"}]})


def test_what_the_program_printed_is_kept_in_order() -> None:
    world = World(rehearsal=True)
    world.tell("program", "one", "say")
    world.tell("program", "a log line")
    world.tell("program", "two", "say")
    said = world.said
    world.tell("program", "three", "say")
    assert said == ["one", "two"] and world.said == ["one", "two", "three"]


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        (
            {"program": "ailce@example.test"},
            "unknown account 'ailce@example.test' (did you mean 'al",
        ),
        ({"fault": [{"where": "RCTP", "reply": "x"}]}, 'world: fault: RCTP reply "x": no server'),
    ],
)
def test_a_mistake_that_only_the_whole_world_shows_names_its_key(
    config: dict[str, Any], problem: str
) -> None:
    with pytest.raises(WorldError, match=re.escape(problem)):
        World(config)


def test_the_program_may_be_an_aim_account() -> None:
    assert World({"aim": [{"screen_name": "OpsBot"}], "program": "ops bot"})


# ── where things are ─────────────────────────────────────────────────────────


def test_an_unknown_listener_is_refused_with_the_names_of_all_listeners() -> None:
    with World({"servers": ["smtp", "toc"]}) as world:
        with pytest.raises(WorldError, match=r"no listener 'pop3'.*; it has: smtp, submission, sm"):
            world.address("pop3")
        with pytest.raises(WorldError, match=r'; write servers = \["smtp", "toc", "imap"\]$'):
            world.address("imaps")
        with pytest.raises(WorldError, match=r"'SMTP' \(did you mean 'smtp'\?\)"):
            world.address("SMTP")
        with pytest.raises(WorldError, match=r"'smpt' \(did you mean 'smtp'\?\)"):
            world.close_port("smpt")
        with pytest.raises(WorldError, match="no listener 'pop3'"):
            world.open_port("pop3")


def _listens(world: World, name: str) -> bool:
    socket.create_connection(world.address(name)).close()
    return name in world.listeners


@pytest.mark.parametrize("name", ["submission", "smtps", "pop3s", "xmpps"])
def test_every_other_listener_opens_when_it_is_first_asked_for(name: str) -> None:
    with World({"tls": "optional"}) as world:
        assert name not in world.listeners
        assert _listens(world, name) and world.address(name) == world.address(name)


def test_a_listener_opens_once_although_many_threads_ask_for_it() -> None:
    with World(MAIL) as world, ThreadPoolExecutor(8) as threads:
        found = set(threads.map(world.address, ["submission"] * 40))
    assert len(found) == 1


async def test_a_listener_opens_on_the_loop_of_an_async_test() -> None:
    async with World(MAIL) as world:
        assert _listens(world, "submission")


def test_a_listener_that_opens_later_has_the_policy_of_its_port() -> None:
    with World({"tls": "off"}) as world:
        client = smtplib.SMTP(*world.address("submission"), local_hostname="client.example")
        with client, pytest.raises(smtplib.SMTPSenderRefused, match="Authentication required"):
            client.sendmail("a@b.test", ["alice@example.test"], "")


def test_a_listener_that_opens_later_is_inside_tls_if_it_ought_to_be() -> None:
    with World() as world:
        trusting = ssl.create_default_context(cafile=world.ca_file)
        host, port = "localhost", world.address("smtps")[1]
        with smtplib.SMTP_SSL(host, port, "client.example", context=trusting) as client:
            assert client.noop()[0] == 250


def test_a_listener_that_opens_later_is_closed_by_a_fault_that_refuses() -> None:
    with World(MAIL, faults=["connect refuse"]) as world:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(world.address("submission"))


def test_a_listener_can_be_closed_before_it_was_ever_asked_for() -> None:
    with World(MAIL) as world:
        world.close_port("submission")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(world.address("submission"))
        world.open_port("submission")
        assert _listens(world, "submission")


def test_no_other_listener_opens_than_the_given_ports() -> None:
    with World(ports={"smtp": 0, "pop3": 0}) as world:
        with pytest.raises(WorldError, match=r"no listener 'submission'.*; it has: smtp, pop3"):
            world.address("submission")


def test_a_listener_inside_tls_does_not_open_while_tls_is_off() -> None:
    with World({"tls": "off"}) as world:
        with pytest.raises(WorldError, match='pop3s needs TLS, which is off; write tls = "optio'):
            world.address("pop3s")


@pytest.fixture
def _no_trustme(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trustme", None)


@pytest.mark.usefixtures("_no_trustme")
@pytest.mark.parametrize("tls", ["required", "optional"])
@pytest.mark.parametrize("rehearsal", [True, False])
def test_tls_is_refused_at_once_if_certificates_cannot_be_made(tls: str, rehearsal: bool) -> None:
    message = rf"mine: tls: '{tls}' is not possible here; TLS needs .*pip install.*, or write tls ="
    with pytest.raises(WorldError, match=message):
        World({"tls": tls}, rehearsal=rehearsal, source="mine")


@pytest.mark.usefixtures("_no_trustme")
def test_without_certificates_a_world_has_no_tls_and_says_what_is_missing() -> None:
    for config in ({}, {"tls": "off"}):
        with World(config) as world:
            assert world.tls == "off" and _listens(world, "submission")
            with pytest.raises(WorldError, match=r"smtps needs TLS, which is off; .*pip install"):
                world.address("smtps")
    with pytest.raises(WorldError, match=r"ports: pop3s needs TLS, which is off; .*pip install"):
        World(ports={"pop3s": 0})


def test_a_world_that_is_not_running_has_no_address() -> None:
    with pytest.raises(WorldError, match=r"it has: none \(it is not running\)"):
        World(MAIL).address("smtp")


def test_a_world_that_runs_cannot_be_entered_again() -> None:
    with World(MAIL) as world:
        with pytest.raises(WorldError, match="this world is running; use it without a further"):
            world.__enter__()
        assert world.running and world.address("smtp")


async def test_a_world_that_runs_cannot_be_entered_again_in_an_async_test() -> None:
    async with World(MAIL) as world:
        with pytest.raises(WorldError, match="this world is running"):
            await world.__aenter__()


def test_an_account_has_an_address() -> None:
    with World(MAIL) as world:
        for text in ("dora", "@", "dora kent@example.test"):
            with pytest.raises(ValueError, match=f"'{text}' is not an address; write"):
                world.add_person(text)


def test_the_fields_of_an_account_are_those_of_a_world_file() -> None:
    fields: dict[str, Any] = {"folders": "Work", "aliases": "a@b.c", "quota": "1", "qota": 1}
    with World({**MAIL, "servers": ["imap", "xmpp"]}) as world:
        for name, value in fields.items():
            with pytest.raises(WorldError, match=f"add_person: person.{name}: .*; "):
                world.add_person("dora@example.test", **{name: value})
        contacts = {"alice@example.test": "both"}
        world.add_person("dora@example.test", folders=["Work"], quota=None, contacts=contacts)
        assert world.mail.folders("dora@example.test") == ["INBOX", "Work"]
        assert world.jabber.roster("dora@example.test")["alice@example.test"].subscription == "both"
        assert world.jabber.roster("alice@example.test")["dora@example.test"].subscription == "both"


def test_a_core_of_an_unknown_listener_is_a_world_error() -> None:
    with pytest.raises(WorldError, match="no listener 'imap'"):
        World().core("imap")


def test_a_closed_port_refuses_and_opens_again_with_the_same_number() -> None:
    with World(MAIL) as world:
        address = world.address("smtp")
        world.close_port("smtp")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        world.open_port("smtp")
        assert world.address("smtp") == address
        socket.create_connection(address).close()


@pytest.mark.parametrize(
    ("ports", "message"),
    [
        ({"smpt": 0}, r"ports: unknown listener 'smpt' .did you mean 'smtp'"),
        ({"smtps": 0}, r'ports: smtps needs TLS, which is off; write tls = "optional"'),
        ({"smtp": "2525"}, "ports: smtp: '2525' is not a port; write a number from 0 to 65535"),
        ({"smtp": 65536}, "ports: smtp: 65536 is not a port"),
    ],
)
def test_a_port_that_cannot_open_is_a_world_error(ports: dict[str, Any], message: str) -> None:
    with pytest.raises(WorldError, match=message):
        World({"tls": "off"}, ports=ports)


def test_an_unknown_protocol_cannot_be_cut() -> None:
    with World({"servers": ["smtp"]}) as world:
        assert world.cut("smtp") == 0
        with pytest.raises(WorldError, match=r"cut: unknown protocol 'smpt' .did you mean 'smtp'"):
            world.cut("smpt")


def test_a_fault_that_refuses_connections_closes_the_ports_at_once() -> None:
    with World({"servers": ["smtp"]}) as world:
        world.faults.arm("connect refuse")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(world.address("smtp"))
    with pytest.raises(FaultError, match="attempts at a closed port cannot be counted"):
        World({"servers": ["smtp"]}, faults=["connect refuse times 2"])


def test_a_world_is_shown_with_its_ports() -> None:
    assert repr(World(MAIL)) == "<World smtp>"
    with World(MAIL) as world:
        assert repr(world) == f"<World smtp {world.address('smtp')[1]}>"


# ── errors inside a fake ─────────────────────────────────────────────────────


class Bug(Exception):
    """Raised by a handler of a fake that is broken on purpose."""


@pytest.fixture
def _broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Smtp, unit: object) -> None:
        raise Bug("broken")

    monkeypatch.setattr(Smtp, "do_NOOP", broken)


def noop(world: World) -> None:
    with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
        client.ehlo()
        client.noop()


@pytest.mark.usefixtures("_broken")
def test_the_error_of_a_failed_test_names_what_broke_in_the_fake() -> None:
    with pytest.raises(smtplib.SMTPServerDisconnected) as caught, World(MAIL) as world:
        noop(world)
    (note,) = caught.value.__notes__
    assert "a fake raised an exception, which may be the cause" in note
    assert "Bug: broken" in note and "in broken\n" in note, "the traceback"
    assert "in the fake's session <Smtp 1 READY>" in note
    assert "while it handled NOOP: b'noop\\r\\n'" in note


@pytest.mark.usefixtures("_broken")
def test_a_test_that_passes_fails_with_the_exception_of_the_fake() -> None:
    with pytest.raises(Bug, match="broken"), World(MAIL) as world:
        with pytest.raises(smtplib.SMTPServerDisconnected):
            noop(world)


@pytest.mark.usefixtures("_broken")
def test_all_exceptions_of_fakes_are_raised_and_not_only_the_first() -> None:
    with pytest.raises(ExceptionGroup, match="the fakes raised 2 exceptions") as caught:
        with World(MAIL) as world:
            for _ in range(2):
                with pytest.raises(smtplib.SMTPServerDisconnected):
                    noop(world)
    notes = ["".join(one.__notes__) for one in caught.value.exceptions]
    assert "<Smtp 1 READY>" in notes[0] and "<Smtp 2 READY>" in notes[1]


@pytest.mark.usefixtures("_broken")
def test_who_watches_learns_at_once_of_every_exception_in_a_fake() -> None:
    told: list[str] = []

    def watch(one: Record | Event) -> None:
        if isinstance(one, Event) and one.level == "warning":
            told.append(one.text)

    with pytest.raises(ExceptionGroup, match="raised 101 exceptions; these are the first 100"):
        with World(MAIL, watch=watch) as world:
            for n in range(101):
                with pytest.raises(smtplib.SMTPServerDisconnected):
                    noop(world)
                assert len(told) == n + 1
    assert re.fullmatch(
        r"a fake raised Bug: broken \(test_fakes_world\.py:\d+\) in <Smtp 1 READY> while it "
        r"handled NOOP: b'noop\\r\\n'; its client was cut off",
        told[0],
    )


def test_what_is_told_of_an_exception_in_a_fake_has_no_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(self: Pop3, unit: Unit) -> None:
        raise Bug(unit.raw)

    monkeypatch.setattr(Pop3, "do_PASS", broken)
    told: list[Record | Event] = []
    config = {"servers": ["pop3"], "tls": "off"}
    with pytest.raises(Bug), World(config, watch=told.append) as world:
        client = poplib.POP3(*world.address("pop3"))
        client.user("alice@example.test")
        with pytest.raises((OSError, poplib.error_proto)):
            client.pass_("hunter2")
        client.close()
    (line,) = (one.text for one in told if isinstance(one, Event))
    assert line.startswith("a fake raised Bug (") and "hunter2" not in line
    assert "while it handled PASS: b'PASS {pass alice@example.test " in line


@pytest.mark.usefixtures("_broken")
async def test_the_error_of_a_failed_async_test_names_what_broke_too() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        async with World(MAIL) as world:
            session = world.core("smtp")
            with Guard(world._shell):
                session.do_NOOP(None)  # type: ignore[attr-defined]
            raise ZeroDivisionError
    assert "Bug: broken" in caught.value.__notes__[0]


def test_a_secret_is_not_shown_in_the_note(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Smtp, unit: object) -> None:
        raise Bug("broken")

    monkeypatch.setattr(Smtp, "do_AUTH", broken)
    with pytest.raises(Bug) as caught, World(MAIL) as world:
        with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
            client.ehlo()
            with pytest.raises(smtplib.SMTPServerDisconnected):
                client.docmd("AUTH", "PLAIN AGFsaWNlAHNlY3JldA==")
    assert "{plain alice}" in "".join(caught.value.__notes__)


def test_a_fault_that_nothing_met_is_an_error() -> None:
    with pytest.raises(UnmetFault, match="armed and never met: smtp RCPT reset"):
        with World(MAIL, faults=["RCPT reset"]):
            pass
    with World(MAIL, faults=["RCPT reset"]) as world:
        world.faults.disarm()


# ── FAKES_DEBUG ──────────────────────────────────────────────────────────────


def test_the_wire_is_printed_with_secrets_masked(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKES_DEBUG", "1")
    with World(MAIL) as world:
        with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
            client.login("alice", "secret")
    shown = capfd.readouterr().err
    assert "smtp-1 C: ehlo client.example\n" in shown and "smtp-1 S: (closes)\n" in shown
    assert "{cram-md5 alice}" in shown


def test_opening_an_open_port_does_nothing() -> None:
    with World({"servers": ["smtp"]}) as world:
        address = world.address("smtp")
        world.open_port("smtp")
        world.close_port("smtp")
        world.open_port("smtp")
        world.open_port("smtp")
        with socket.create_connection(address, timeout=5) as client:
            assert client.recv(3) == b"220"


def test_without_records_a_world_serves_the_same_and_watches_events_only() -> None:
    seen: list[object] = []
    with World({"servers": ["smtp"]}, watch=seen.append, records=False) as world:
        with smtplib.SMTP(*world.address("smtp"), local_hostname="client.example") as client:
            client.sendmail("a@example.org", ["alice@example.test"], "Subject: hi\r\n\r\n")
        world.mail.wait_for(subject="hi")
        world.tell("world", "something happened")
    assert [type(one) for one in seen] == [Event]


def test_who_changes_the_settings_does_not_change_the_configuration() -> None:
    config = {"servers": ["smtp"], "scenario": {"greet": {"text": "Hello"}}}
    with World(config, rehearsal=True) as world:
        world.settings["scenario"]["greet"]["text"] = "Bye"
        assert world.settings["scenario"] == {"greet": {"text": "Hello"}}


def test_a_world_takes_what_the_marker_takes() -> None:
    world = World({"mail": {"domains": ["a.test"]}}, servers=["smtp", "irc"], tls="off")
    assert [*world.servers] == ["smtp", "irc"] and world.tls == "off"
    assert not World(servers=[]).servers
    assert World(host={"name": "gate.test"}).host.name == "gate.test"
    for faults in ("RCPT reset", Fault("RCPT", reset=True)):
        assert repr(World(servers=["smtp"], faults=faults).faults) == "<Faults smtp RCPT reset>"


@pytest.mark.parametrize(
    ("config", "keywords", "message"),
    [
        (None, {"servers": "smtp"}, r"servers: expected a list .*, found 'smtp'; write servers = "),
        (None, {"servers": ["smpt"]}, r"unknown server 'smpt' \(did you mean 'smtp'\?\)"),
        (
            {"imap": {"preauth": "bbo@example.test"}},
            {},
            r"world: imap\.preauth: unknown account 'bbo@.*mean 'bob@.*; choose from alice@ex",
        ),
        (
            {"irc": {"locked": ["alice", "bob@example.test"]}},
            {},
            r"world: irc\.locked: unknown account 'bob@.*; choose from alice, bob, ops$",
        ),
        (None, {"rehersal": True}, r"world: rehersal: unknown key \(did you mean 'rehearsal'\?\)"),
        (None, {"cafolder": "x"}, r"world: cafolder: .*mean 'ca_folder'\?\); known keys: tls, .*"),
        ({"rehersal": True}, {}, r"world: rehersal: unknown key; known(?!.*, rehearsal)"),
        (None, {"tsl": "off"}, r"world: tsl: unknown key \(did you mean 'tls'\?\); known keys: "),
        (["smtp"], {}, r"world: expected a mapping, found \['smtp'\]; write .* or tls=\"off\""),
        ("world.toml", {}, r"found 'world\.toml'; write .*, or of a file tomllib\.loads"),
    ],
)
def test_what_a_world_does_not_take_is_refused(
    config: Any, keywords: dict[str, Any], message: str
) -> None:
    with pytest.raises(WorldError, match=message):
        World(config, **keywords)


def test_a_server_that_is_missing_is_named() -> None:
    with World(servers=["smtp"], tls="off") as world:
        with pytest.raises(WorldError, match=r'no webhook server; write servers = \["smtp", "web'):
            world.webhook.wait_for()
        with pytest.raises(WorldError, match=r'no irc server; write servers = \["smtp", "irc"\]'):
            world.irc.person("ann").joins("#ops")
        with pytest.raises(WorldError, match=r'no xmpp server; write servers = \["smtp", "xmpp"\]'):
            world.jabber.wait_for()
        with pytest.raises(WorldError, match=r'no toc server; write servers = \["smtp", "toc"\]'):
            world.aim.wait_for()
        with pytest.raises(AttributeError, match=r'no \'smtp\'; write world.address\("smtp"\)'):
            getattr(world, "smtp")  # noqa: B009
        with pytest.raises(AttributeError, match="'World' object has no attribute 'mials'"):
            getattr(world, "mials")  # noqa: B009
    with World(servers=["irc"], tls="off") as world:  # mail may be delivered, but not sent
        world.mail.deliver("bob@example.test", b"Subject: hi\r\n\r\n")
        with pytest.raises(AssertionError, match=r'no smtp server; write servers = \["irc"'):
            world.mail.wait_for(subject="bye", timeout=0)


@pytest.mark.parametrize(
    ("accepted", "login", "recipient"), [("logins", 235, 550), ("recipients", 535, 250)]
)
def test_any_login_and_any_recipient_are_accepted_each_alone(
    accepted: str, login: int, recipient: int
) -> None:
    with World(servers=["smtp"], tls="off", mail={"accept_any": [accepted]}) as world:
        with smtplib.SMTP(*world.address("smtp"), local_hostname="shop.example") as client:
            client.ehlo()
            assert client.docmd("AUTH PLAIN AGFwaWtleQBTRy4xMjM0")[0] == login  # apikey, SG.1234
            client.mail("shop@example.org")
            assert client.rcpt("nobody@example.test")[0] == recipient
