# apt-get install: prosody ejabberd postfix
"""Pages that use XMPP on servers written by others: a private Prosody and ejabberd; a Postfix."""

from __future__ import annotations

import contextlib
import importlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring

import pytest

from comms import settings
from comms.clock import RealClock
from comms.errors import Refused, TryLater
from comms.host import RealHost
from comms.xmpp import Client, Jid, stanzas
from comms.xmpp.adhoc import COMMAND, COMMANDS
from fakes import World
from scenarios.bots import build_notify, urgent_notice
from scenarios.bots.build_notify_samples import line
from scenarios.bots.customer_bot_samples import FAQ
from scenarios.jabber.aim_gateway_samples import REGISTER
from scenarios.jabber.custom_extension import MYSQL
from scenarios.jabber.custom_extension_samples import command, form
from scenarios.jabber.im_menu import MENUS
from scenarios.jabber.traffic_filter import CARD
from scenarios.site import toml
from tests.real import Authority, postfix
from tests.real import Server as Running
from tests.test_real_jabber import (
    BOT,
    GATEWAY,
    JEREMY,
    MALLORY,
    MICHAEL,
    PASSWORD,
    SECRET,
    Jabber,
    jabber,
    until,
)
from tests.test_real_receiving import live

pytestmark = pytest.mark.real

__all__ = ["jabber"]  # a fixture

HERE = Jid.parse(f"{BOT}/page")


@contextlib.contextmanager
def deployed(
    page: str, tables: dict[str, Any], folder: Path, section: str = "jabber"
) -> Iterator[None]:
    """Runs the program of a page until the end of the block. It must end with exit code 0."""
    clock, codes = RealClock(), list[int]()
    run = importlib.import_module(f"scenarios.{section}.{page}").run
    loaded = settings.load(tables, folder)
    with (folder / "out").open("w") as out:
        host = RealHost(out=out, err=out)
        thread = threading.Thread(
            target=lambda: codes.append(run(clock, loaded, host)), daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            clock.stop()
            thread.join(20)
            clock.close()
    assert codes == [0], (folder / "out").read_text()


def account(on: Jabber) -> dict[str, Any]:
    """The settings of the bot."""
    place = {"host": "127.0.0.1", "port": on.port, "ca_file": str(on.ca_file)}
    return {**place, "jid": str(HERE), "password": PASSWORD}


@contextlib.contextmanager
def person(on: Jabber, who: Jid, clock: RealClock) -> Iterator[Client]:
    with Client(on.server(who), clock, RealHost(), accept_subscriptions=True) as client:
        yield client


def asks(client: Client, content: str, kind: str = "get", to: Jid = HERE) -> Element:
    """Asks until somebody is there to answer."""
    for _ in range(100):
        try:
            return client.request(stanzas.iq(kind, fromstring(content), to))
        except (Refused, TryLater) as error:
            if "service-unavailable" not in str(error) and "remote-server" not in str(error):
                raise
            client.wait(client._clock.time() + 0.1)
    raise AssertionError("nobody answers")


def hears(client: Client, clock: RealClock, count: int = 1) -> list[str]:
    """Waits for messages."""
    texts: list[str] = []

    def enough() -> bool:
        texts.extend(message.text for message in client.received_messages())
        return len(texts) >= count

    until(clock, client, enough)
    return texts


@pytest.fixture
def clock() -> Iterator[RealClock]:
    clock = RealClock()
    yield clock
    clock.close()


def test_custom_extension_is_a_form_and_a_namespace(
    jabber: Jabber, clock: RealClock, tmp_path: Path
) -> None:
    page = {"admins": [str(JEREMY)], "restart": ["true"], "state_of": ["true"]}
    tables = {"xmpp": account(jabber), "scenario": {"custom-extension": page}}
    with (
        deployed("custom_extension", tables, tmp_path),
        person(jabber, JEREMY, clock) as jeremy,
        person(jabber, MALLORY, clock) as mallory,
    ):
        state = asks(jeremy, f"<mysql xmlns='{MYSQL}'/>")
        assert state[0].get("state") == "running"
        items = f"<query xmlns='http://jabber.org/protocol/disco#items' node='{COMMANDS}'/>"
        assert [item.get("node") for item in asks(jeremy, items)[0]] == ["mysql"]
        shown = asks(jeremy, command(), "set").find(COMMAND)
        assert shown is not None
        filled = command(form(action="restart"), sessionid=shown.get("sessionid", ""))
        done = asks(jeremy, filled, "set")
        assert done.findtext(f".//{{{COMMANDS}}}note") == "MySQL told to restart."
        with pytest.raises(Refused, match="item-not-found"):
            asks(mallory, command(), "set")


def test_im_menu_and_traffic_filter_answer(
    jabber: Jabber, clock: RealClock, tmp_path: Path
) -> None:
    menu = {"operator": str(MALLORY), "menus": MENUS, "poll": 0.1}
    orders = {"orders": {"7": f"paid with {CARD}"}}
    with person(jabber, JEREMY, clock) as jeremy:
        with deployed(
            "im_menu", {"xmpp": account(jabber), "scenario": {"im-menu": menu}}, tmp_path
        ):
            asks(jeremy, "<ping xmlns='urn:xmpp:ping'/>")
            jeremy.send(stanzas.message(HERE, "hello"))
            jeremy.send(stanzas.message(HERE, "1"))
            texts = hears(jeremy, clock, 2)
            assert [text.partition("\n")[0] for text in texts] == [
                "Welcome to YourCo.",
                "1 Where is my order",
            ]
        tables = {"xmpp": account(jabber), "scenario": {"traffic-filter": orders}}
        with deployed("traffic_filter", tables, tmp_path):
            asks(jeremy, "<ping xmlns='urn:xmpp:ping'/>")
            jeremy.send(stanzas.message(HERE, "order 7"))
            assert hears(jeremy, clock) == ["Order 7: paid with [card]"]


def test_the_gateway_carries_messages_both_ways_and_forgets(
    jabber: Jabber, clock: RealClock, tmp_path: Path
) -> None:
    names = [{"screen_name": "JeremyOnAim"}, {"screen_name": "Juliet"}]
    component = {"host": "127.0.0.1", "port": jabber.component_port, "domain": str(GATEWAY)}
    contact = Jid.parse(f"juliet@{GATEWAY}")
    with World({"servers": ["toc"], "tls": "off", "aim": names}) as world:
        host, port = world.address("toc")
        tables = {
            "component": {**component, "password": SECRET},
            "toc": {"host": host, "port": port, "screen_name": "unused", "password": "unused"},
            "scenario": {"aim-gateway": {"domains": [JEREMY.domain], "poll": 0.1}},
        }
        juliet = world.aim.actor("Juliet")
        juliet.signs_on()
        with deployed("aim_gateway", tables, tmp_path), person(jabber, JEREMY, clock) as jeremy:
            query = Element(f"{{{REGISTER}}}query")
            for name, text in (("username", "JeremyOnAim"), ("password", "secret")):
                SubElement(query, f"{{{REGISTER}}}{name}").text = text
            wait = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
            assert asks(jeremy, wait, to=GATEWAY)[0][0].get("category") == "gateway"
            jeremy.request(stanzas.iq("set", query, GATEWAY))
            jeremy.send(stanzas.message(contact, "Art thou there?"))
            assert juliet.wait_for().text == "Art thou there?"
            juliet.says("jeremyonaim", "Ay me!")
            assert hears(jeremy, clock) == ["Ay me!"]
            jeremy.add(contact)
            until(clock, jeremy, lambda: jeremy.roster.presence(contact).show == "available")
            remove = f"<query xmlns='{REGISTER}'><remove/></query>"
            asks(jeremy, remove, "set", GATEWAY)
            jeremy.send(stanzas.message(contact, "And now?"))
            until(clock, jeremy, lambda: any(one.error for one in jeremy.returned_messages()))
            assert "jeremyonaim" not in [name.lower() for name in world.aim.online]
            jeremy.remove(contact)


def test_templates_become_messages(jabber: Jabber, clock: RealClock, tmp_path: Path) -> None:
    from scenarios.jabber.im_templates import EXAMPLES, run

    row = f'to = "xmpp:{JEREMY}"\ntemplate = "shipped"\nname = "J"\norder = 7\nparcel = "P"\n'
    (tmp_path / "messages.toml").write_text(f"[[message]]\n{row}", "utf-8", newline="\n")
    page = {"messages": "messages.toml", "templates": str(EXAMPLES), "wait": 0.2}
    tables = {"xmpp": account(jabber), "scenario": {"im-templates": page}}
    loaded = settings.load(tables, tmp_path)
    check: Callable[..., int] = run
    with person(jabber, JEREMY, clock) as jeremy, (tmp_path / "out").open("w") as out:
        host = RealHost(out=out, err=out)
        other = RealClock()
        assert [check(other, loaded, host), check(other, loaded, host)] == [0, 0]
        other.close()
        assert hears(jeremy, clock) == ["Hello J, your order 7 was shipped today.\nYour parcel: P"]


def test_review_bot_is_killed_and_loses_no_vote(
    jabber: Jabber, clock: RealClock, tmp_path: Path
) -> None:
    people = {who.local: {"jabber": str(who)} for who in (JEREMY, MICHAEL, MALLORY)}
    roles = {"peers": ["michael"], "managers": ["mallory"]}
    page = {"people": people, **roles, "resume": True, "poll": 0.1}
    tables = {"xmpp": account(jabber), "scenario": {"review-bot": page}}
    site, to = tmp_path / "site.toml", HERE.bare
    site.write_text("\n".join(toml(tables)), "utf-8", newline="\n")
    site.chmod(0o600)
    texts, said = list[str](), clock.time()

    def is_answered() -> bool:
        nonlocal said
        texts.extend(message.text for message in michael.received_messages())
        # ejabberd returns what the session that was killed has not acknowledged, and loses what
        # comes while that session ends. Who gets no answer says it again.
        if jabber.name == "ejabberd" and clock.time() - said > 2:
            said = clock.time()
            michael.send(stanzas.message(to, "approve 1 r17"))
        return bool(texts)

    with (
        person(jabber, JEREMY, clock) as jeremy,
        person(jabber, MICHAEL, clock) as michael,
        person(jabber, MALLORY, clock) as mallory,
    ):
        with live("review-bot", site) as first:
            asks(jeremy, "<ping xmlns='urn:xmpp:ping'/>")
            # To its resource: what comes to the bare JID before its presence, ejabberd may store
            # just after it has looked for what is stored.
            jeremy.send(stanzas.message(HERE, "review r17 Mend it"))
            assert hears(jeremy, clock) == ["#1 is open at r17. It needs a peer and a manager"]
            for one in (michael, mallory):
                assert hears(one, clock)[0].startswith("jeremy asks for a review of #1 Mend it")
            first.process.kill()
            michael.send(stanzas.message(to, "approve 1 r17"))
        with live("review-bot", site) as second:
            until(clock, michael, is_answered)
            assert texts[0] == "Your vote on #1 is approve. It needs a manager"
            assert hears(jeremy, clock)[0].startswith("michael says approve to #1")
            mallory.send(stanzas.message(to, "approve 1 r17"))
            assert hears(mallory, clock) == ["#1 is approved"]
            assert hears(jeremy, clock) == ["#1 Mend it (r17) is approved by mallory and michael"]
            assert second.end() == 0


# ── messages, or else mail ───────────────────────────────────────────────────

PHONE = "5550100123@sms.yourco.test"
MAILS = ("jeremy@yourco.test", "mallory@yourco.test", "carol@customer.test", PHONE)


@pytest.fixture(scope="module")
def mails() -> Iterator[tuple[World, dict[str, Any]]]:
    """A world that gets the mail, and the settings of the Postfix that brings it."""
    people = [{"address": address} for address in MAILS]
    with World({"servers": ["smtp"], "tls": "off", "person": people}) as world:
        with postfix(MAILS, world.address("smtp")[1]) as (server, authority, _):
            yield world, smtp(server, authority)


def smtp(server: Running, authority: Authority) -> dict[str, Any]:
    place = {"host": "localhost", "port": server.port}
    return {**place, "tls": "starttls", "ca_file": str(authority.ca_file)}


def test_builds_are_told_by_message_to_who_is_online_and_else_by_mail(
    jabber: Jabber,
    mails: tuple[World, dict[str, Any]],
    clock: RealClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, postfix_settings = mails
    monkeypatch.setattr(build_notify, "SETTLED", 0.5)
    page = {
        "people": {
            "jeremy": {"jabber": str(JEREMY), "mail": MAILS[0]},
            "mallory": {"jabber": str(MALLORY), "mail": MAILS[1]},
        },
        "projects": ["site"],
        "gather": 1,
        "poll": 0.1,
    }
    tables = {"xmpp": account(jabber), "smtp": postfix_settings, "scenario": {"build-notify": page}}
    with (
        person(jabber, JEREMY, clock) as jeremy,
        deployed("build_notify", tables, tmp_path, "bots"),
    ):
        contact = HERE.bare
        until(clock, jeremy, lambda: contact in jeremy.roster and jeremy.roster[contact].sees_us)
        builds = tmp_path / "builds.jsonl"
        builds.write_text(line(jabber.port, "failed"), "utf-8", newline="\n")
        (text,) = hears(jeremy, clock)
        assert text.startswith(f"site main: build {jabber.port} failed\n")
        mail = world.mail.wait_for(lambda mail: str(jabber.port) in mail.subject)
        assert mail.envelope.to == [MAILS[1]]
        jeremy.send(stanzas.message(HERE, "unsubscribe site"))
        assert hears(jeremy, clock) == ["You hear of site no more"]
        jeremy.remove(contact)


def test_customer_bot_calls_an_agent_and_mails_the_transcript(
    jabber: Jabber, mails: tuple[World, dict[str, Any]], clock: RealClock, tmp_path: Path
) -> None:
    world, postfix_settings = mails
    customers = f"17 = {{ name = 'Carol', mail = '{MAILS[2]}', jabber = '{JEREMY}' }}\n"
    for name, text in (("faq", FAQ), ("customers", customers)):
        (tmp_path / f"{name}.toml").write_text(text, "utf-8", newline="\n")
    page = {
        "faq": "faq.toml",
        "customers": "customers.toml",
        "agents": {"Anna": {"jabber": str(MALLORY.bare)}},
        "team": MAILS[0],
        "hours": ["Mon-Sun 00:00-24:00"],
        "poll": 0.1,
        "resume": True,
    }
    tables = {"xmpp": account(jabber), "smtp": postfix_settings, "scenario": {"customer-bot": page}}
    with (
        person(jabber, MALLORY, clock) as anna,
        person(jabber, JEREMY, clock) as carol,
        deployed("customer_bot", tables, tmp_path, "bots"),
    ):
        contact = HERE.bare
        until(clock, anna, lambda: contact in anna.roster and anna.roster[contact].sees_us)
        asks(carol, "<ping xmlns='urn:xmpp:ping'/>")  # it may have asked her in a test before
        carol.send(stanzas.message(HERE, "When are you open?"))
        assert hears(carol, clock)[0].startswith("We are here from 9 to 5")
        carol.send(stanzas.message(HERE, "person"))
        assert hears(carol, clock)[0].startswith("I have called a person")
        assert hears(anna, clock) == ["Carol (jabber) waits for a person. Say: !take"]
        anna.send(stanzas.message(HERE, "!take"))
        assert hears(anna, clock)[0].startswith("You talk to Carol")
        hello = f"Hello from {jabber.port} \U0001f600"
        anna.send(stanzas.message(HERE, hello))
        assert hears(carol, clock, 2)[-1] == f"Anna: {hello}"
        carol.send(stanzas.message(HERE, "Thank you"))
        assert hears(anna, clock) == ["Carol: Thank you"]
        anna.send(stanzas.message(HERE, "!end"))
        mail = world.mail.wait_for(lambda mail: hello in mail.text)
        assert mail.envelope.to == [MAILS[2]] and "Carol: Thank you" in mail.text
        anna.remove(contact)


def test_an_urgent_notice_is_acknowledged_by_message_or_goes_on_by_sms_and_mail(
    jabber: Jabber,
    mails: tuple[World, dict[str, Any]],
    clock: RealClock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, postfix_settings = mails
    monkeypatch.setattr(urgent_notice, "SETTLED", 0.5)
    page = {
        "people": {
            "jeremy": {"jabber": str(JEREMY), "mail": MAILS[0]},
            "mallory": {
                "jabber": str(MALLORY),
                "phone": "own 555-010-0123",
                "mail": MAILS[1],
            },
        },
        "carriers": {"own": "sms.yourco.test"},
        "sender": MAILS[0],
        "sms": 0.1,
        "mail": 0.1,
        "poll": 0.1,
    }
    tables = {"xmpp": account(jabber), "smtp": postfix_settings}
    with (
        person(jabber, JEREMY, clock) as jeremy,
        deployed(
            "urgent_notice", {**tables, "scenario": {"urgent-notice": page}}, tmp_path, "bots"
        ),
    ):
        contact = HERE.bare
        until(clock, jeremy, lambda: contact in jeremy.roster and jeremy.roster[contact].sees_us)
        # What it answers after our presence, it answers when it has that.
        jeremy.send(stanzas.message(HERE, "open"))
        assert hears(jeremy, clock) == ["0 open"]
        disk, load = f"disk-{jabber.port}", f"load-{jabber.port}"
        notices = [
            f'{{"id": "{disk}", "to": "jeremy", "text": "full"}}\n',
            f'{{"id": "{load}", "to": "mallory", "text": "The load is 40"}}\n',
        ]
        (tmp_path / "notices.jsonl").write_text("".join(notices), "utf-8", newline="\n")
        assert hears(jeremy, clock) == [f"URGENT {disk}: full\nSay: ok {disk}"]
        text = world.mail.wait_for(lambda mail: mail.text.startswith(load))
        assert text.envelope.to == [PHONE] and text.text.strip() == f"{load}: The load is 40"
        mail = world.mail.wait_for(lambda mail: load in mail.subject)
        assert mail.envelope.to == [MAILS[1]]
        jeremy.send(stanzas.message(HERE, "ok"))
        thanks = f"Thank you: {disk} is acknowledged, and goes no further."
        assert hears(jeremy, clock) == [thanks]
        jeremy.send(stanzas.message(HERE, f"report {disk}"))
        (report,) = hears(jeremy, clock)
        assert report.splitlines()[0].startswith(f"{disk} for jeremy: acknowledged by jeremy")
        jeremy.remove(contact)
