"""Who is obeyed, and who only looks like it: nicks, look-alikes, rooms, relays, ghosts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from comms.settings import load
from comms.state import State
from fakes import World
from scenarios.bots import build_notify, urgent_notice
from tests.bots import (
    BOT,
    CHANNEL,
    INBOX,
    JEREMY,
    MALLORY,
    RESTART,
    ROOM,
    WORLD,
    mails,
    obey,
    opened,
)

Acts = Callable[[World], object]
BODY = "<body>restart</body>"


def later(world: World, *acts: Callable[[], object]) -> None:
    """Lets things happen one after the other, two seconds apart, while the bot is online."""
    for number, act in enumerate(acts):
        world.clock.at(4 + 2 * number, act)


# ── IRC ──────────────────────────────────────────────────────────────────────


def irc(*steps: str, where: str = CHANNEL, text: str = "bot: restart") -> Acts:
    """Steps of people on IRC: `ann joins`, `ann logs in`, `ann is jeremy`, `ann says`."""

    def act(world: World) -> None:
        people: dict[str, Any] = {}

        def do(step: str) -> None:
            name, _, what = step.partition(" ")
            person = people.setdefault(name, world.irc.person(name))
            verb, _, rest = what.partition(" ")
            match verb:
                case "joins":
                    person.joins(CHANNEL)
                case "logs":
                    person.logs_in(rest.removeprefix("in").strip())
                case "is":
                    person.becomes(rest)
                case "says":
                    person.says(where, rest or text)
                case "notices":
                    person.notices(where, text)
                case "acts":
                    person.acts(where, text)
                case "tags":
                    person.says(where, text, account="jeremy")
                case "kicked":
                    world.irc.kick(CHANNEL, person.user.nick)
                case "killed":
                    world.irc.kill(person.user.nick)
                case _:
                    getattr(person, verb)()

        later(world, *(lambda step=step: do(step) for step in steps))

    return act


IRC: list[tuple[str, bool, Acts]] = [
    (
        "the account of the administrator",
        True,
        irc("jeremy joins", "jeremy logs in", "jeremy says"),
    ),
    ("his account with another nick", True, irc("jez joins", "jez logs in jeremy", "jez says")),
    (
        "he changes his nick after the login",
        True,
        irc("jeremy joins", "jeremy logs in", "jeremy is jez", "jeremy says"),
    ),
    ("his nick without a login", False, irc("jeremy joins", "jeremy says")),
    ("his nick in capitals", False, irc("JEREMY joins", "JEREMY says")),
    ("a nick with an underscore", False, irc("jeremy_ joins", "jeremy_ says")),
    ("a nick that folds to another", False, irc("jeremy| joins", "jeremy| says")),
    (
        "a stranger with an account takes his nick",
        False,
        irc("mallory joins", "mallory logs in", "mallory is jeremy", "mallory says"),
    ),
    (
        "he leaves, and a stranger takes his nick",
        False,
        irc(
            "jeremy joins",
            "jeremy logs in",
            "jeremy quits",
            "mallory joins",
            "mallory is jeremy",
            "mallory says",
        ),
    ),
    (
        "he changes his nick, and a stranger takes the old one",
        False,
        irc(
            "jeremy joins",
            "jeremy logs in",
            "jeremy is jez",
            "mallory joins",
            "mallory is jeremy",
            "mallory says",
        ),
    ),
    (
        "he is killed, and a stranger takes his nick",
        False,
        irc(
            "jeremy joins",
            "jeremy logs in",
            "jeremy killed",
            "mallory joins",
            "mallory is jeremy",
            "mallory says",
        ),
    ),
    ("a client tag that names his account", False, irc("mallory joins", "mallory tags")),
    ("a notice of his", False, irc("jeremy joins", "jeremy logs in", "jeremy notices")),
    (
        "a relay that repeats him",
        False,
        irc("relay joins", "relay says <jeremy> bot: restart"),
    ),
    (
        "an operator of the channel",
        False,
        irc("mallory joins", "mallory says", "mallory says restart"),
    ),
    (
        "his own message, to somebody else",
        False,
        irc("jeremy joins", "jeremy logs in", "jeremy says ann: restart"),
    ),
    ("alone to the bot, without a login", False, irc("jeremy says restart", where="bot")),
    ("alone to the bot, from no channel", True, irc("jeremy logs", "jeremy says", where="bot")),
    (
        "alone to the bot, with the account",
        True,
        irc("jeremy joins", "jeremy logs in", "jeremy says restart", where="bot"),
    ),
    (
        "colours and bold in his command",
        True,
        irc("jeremy joins", "jeremy logs in", "jeremy says bot: \x02re\x0304start\x03\x0f"),
    ),
]


# ── XMPP ─────────────────────────────────────────────────────────────────────


def jabber(sender: str, content: str = BODY, kind: str = "chat") -> Acts:
    """A message with this sender, as a server would hand it over."""
    stanza = f"<message from='{sender}' to='{BOT}' type='{kind}'>{content}</message>"
    return lambda world: later(world, lambda: world.jabber.inject(stanza))


def in_room(*steps: tuple[str, str, str], whois: str = "anyone") -> Acts:
    """(account, nick, text): enters a room with this nick, and says something unless it is ""."""

    def act(world: World) -> None:
        opened(world, whois)

        def do(account: str, nick: str, text: str) -> None:
            person = world.jabber.actor(f"{account}@yourco.test")
            if text in ("", "leaves"):
                person.goes() if text else person.joins(ROOM, nick)
            elif text.startswith("privately "):
                person.says(f"{ROOM}/bot", text.removeprefix("privately "))
            else:
                person.says(ROOM, text, "groupchat")

        later(world, *(lambda step=step: do(*step) for step in steps))

    return act


FORWARDED = (
    f"<forwarded xmlns='urn:xmpp:forward:0'><message from='{JEREMY}/x'>{BODY}</message></forwarded>"
)
DELAY = "<delay xmlns='urn:xmpp:delay' stamp='2020-01-01T00:00:00Z'/>"
JABBER: list[tuple[str, bool, Acts]] = [
    ("the account of the administrator", True, jabber(f"{JEREMY}/phone")),
    ("his account in capitals", True, jabber(f"{JEREMY.upper()}/phone")),
    ("another account", False, jabber(f"{MALLORY}/phone")),
    ("his local part at another server", False, jabber("jeremy@yourco.evil/phone")),
    ("a domain that begins like ours", False, jabber("jeremy@yourco.test.evil/phone")),
    ("a Cyrillic letter in his name", False, jabber("jer\u0435my@yourco.test/phone")),
    ("his address as a resource", False, jabber(f"{MALLORY}/{JEREMY}")),
    ("the server alone", False, jabber("yourco.test")),
    ("a copy that a stranger has forwarded", False, jabber(f"{MALLORY}/x", BODY + FORWARDED)),
    (
        "a carbon that is not from our own account",
        False,
        jabber(f"{MALLORY}/x", f"<received xmlns='urn:xmpp:carbons:2'>{FORWARDED}</received>"),
    ),
    (
        "a nickname that is his address",
        False,
        jabber(
            f"{MALLORY}/x", f"{BODY}<nick xmlns='http://jabber.org/protocol/nick'>{JEREMY}</nick>"
        ),
    ),
    (
        "an answer that is to go to him",
        False,
        jabber(
            f"{MALLORY}/x",
            f"{BODY}<addresses xmlns='http://jabber.org/protocol/address'>"
            f"<address type='ofrom' jid='{JEREMY}'/></addresses>",
        ),
    ),
    (
        "a correction of a message of his",
        False,
        jabber(f"{MALLORY}/x", f"{BODY}<replace xmlns='urn:xmpp:message-correct:0' id='his'/>"),
    ),
    (
        "a thread that is called like him",
        False,
        jabber(f"{MALLORY}/x", f"{BODY}<thread>{JEREMY}</thread>"),
    ),
    ("an error with his name", False, jabber(f"{JEREMY}/x", kind="error")),
    ("a headline with his name", False, jabber(f"{JEREMY}/x", kind="headline")),
    ("an old message of his", False, jabber(f"{JEREMY}/x", BODY + DELAY)),
    (
        "the nick of the administrator in a room",
        False,
        in_room(("mallory", "jeremy", ""), ("mallory", "", "bot: restart")),
    ),
    (
        "a member whose address the room hides",
        False,
        in_room(("jeremy", "jeremy", ""), ("jeremy", "", "bot: restart"), whois="moderators"),
    ),
    (
        "a private message of the room",
        False,
        in_room(("jeremy", "jeremy", ""), ("jeremy", "", "privately restart")),
    ),
    (
        "who takes his nick after he has left",
        False,
        in_room(
            ("jeremy", "jeremy", ""),
            ("jeremy", "", "leaves"),
            ("mallory", "jeremy", ""),
            ("mallory", "", "bot: restart"),
        ),
    ),
    (
        "himself in a room that shows his address",
        True,
        in_room(("jeremy", "jez", ""), ("jeremy", "", "bot: restart")),
    ),
    (
        "himself in the room, to others",
        False,
        in_room(("jeremy", "jez", ""), ("jeremy", "", "did you restart it?")),
    ),
]


# ── AIM and mail ─────────────────────────────────────────────────────────────


def aim(name: str, text: str = "restart", auto: bool = False) -> Acts:
    return lambda world: later(world, lambda: world.aim.actor(name).says("OpsBot", text, auto=auto))


def mail(sender: str, to: str = INBOX, extra: str = "") -> Acts:
    return lambda world: later(world, lambda: mails(world, sender, "restart", to, extra))


AIM: list[tuple[str, bool, Acts]] = [
    ("the screen name of the administrator", True, aim("Jeremy Admin")),
    ("his screen name without the space", True, aim("jeremyadmin")),
    ("a screen name with l for i", False, aim("JeremyAdmln")),
    ("another screen name", False, aim("Mallory")),
    ("his auto-response", False, aim("Jeremy Admin", auto=True)),
    ("a stranger who writes as a bot passes it on", False, aim("Mallory", "Jeremy:\nrestart")),
    ("a stranger who quotes him", False, aim("Mallory", "Jeremy Admin: restart")),
]
MAIL: list[tuple[str, bool, Acts]] = [
    ("the address of the administrator to the secret inbox", True, mail(JEREMY)),
    ("his address to the public inbox", False, mail(JEREMY, BOT)),
    ("a stranger who knows the secret", False, mail(MALLORY)),
    ("his address as a display name", False, mail(f'"{JEREMY}" <{MALLORY}>')),
    ("his address before another one", False, mail(f"{JEREMY} <{MALLORY}>")),
    ("two senders", False, mail(f"{JEREMY}, {MALLORY}")),
    ("his absence notice", False, mail(JEREMY, extra="Auto-Submitted: auto-replied\r\n")),
    (
        "an inbox that the sender has written into the mail",
        False,
        mail(JEREMY, BOT, extra="X-Original-To: s3cret-77@yourco.test\r\n"),
    ),
]
TABLE = [
    pytest.param(network, obeyed, act, id=f"{network}: {text}")
    for network, rows in (("irc", IRC), ("jabber", JABBER), ("aim", AIM), ("mail", MAIL))
    for text, obeyed, act in rows
]


@pytest.mark.slow
@pytest.mark.parametrize(("network", "obeyed", "act"), TABLE)
def test_only_who_a_network_vouches_for_is_obeyed(network: str, obeyed: bool, act: Acts) -> None:
    with World(WORLD, rehearsal=True) as world:
        act(world)
        obey(world, 25, network, public=True)
        wanted = [RESTART] if obeyed else []
        assert world.host.ran == wanted, [event.text for event in world.events]


@pytest.mark.slow
@pytest.mark.parametrize("stays", [True, False])
def test_an_answer_is_for_the_account_that_has_asked_not_for_its_nick(stays: bool) -> None:
    # Jeremy leaves while his command runs, and a stranger takes his nick.
    with World(WORLD, rehearsal=True) as world:
        jeremy, mallory = world.irc.person("jeremy"), world.irc.person("mallory")
        world.host.commands[RESTART].takes = 10
        for person in (jeremy, mallory):
            person.joins(CHANNEL)
        world.clock.at(3, jeremy.logs_in)
        world.clock.at(4, lambda: jeremy.says("bot", "restart"))
        if not stays:
            world.clock.at(8, lambda: jeremy.becomes("jez"))
            world.clock.at(9, lambda: mallory.becomes("jeremy"))
        obey(world, 30, "irc", public=True)
        assert world.host.ran == [RESTART]
        assert [one.text for one in jeremy.hears] == (["restart: 0"] if stays else [])
        assert list(mallory.hears) == []
        given_up = [e for e in world.events if e.text.startswith("answer-given-up")]
        assert len(given_up) == (not stays)


# ── what is changed for one person alone ─────────────────────────────────────

CARBON = f"<sent xmlns='urn:xmpp:carbons:2'>{FORWARDED}</sent>"
SENDERS: list[tuple[str, bool, Callable[[str], Acts]]] = [
    ("his account", True, lambda text: jabber(f"{JEREMY}/phone", f"<body>{text}</body>")),
    ("another account", False, lambda text: jabber(f"{MALLORY}/x", f"<body>{text}</body>")),
    (
        "his local part at another server",
        False,
        lambda text: jabber("jeremy@yourco.evil/x", f"<body>{text}</body>"),
    ),
    (
        "a Cyrillic letter in his name",
        False,
        lambda text: jabber("jer\u0435my@yourco.test/x", f"<body>{text}</body>"),
    ),
    (
        "his address as a resource",
        False,
        lambda text: jabber(f"{MALLORY}/{JEREMY}", f"<body>{text}</body>"),
    ),
    ("a member of a room", False, lambda text: jabber(f"{ROOM}/jeremy", f"<body>{text}</body>")),
    (
        "a room",
        False,
        lambda text: jabber(f"{ROOM}/jeremy", f"<body>{text}</body>", kind="groupchat"),
    ),
    ("the server", False, lambda text: jabber("yourco.test", f"<body>{text}</body>")),
    (
        "a copy that a stranger has forwarded",
        False,
        lambda text: jabber(
            f"{MALLORY}/x", (f"<body>hello</body>{CARBON}").replace("restart", text)
        ),
    ),
    (
        "an old message of his",
        False,
        lambda text: jabber(f"{JEREMY}/x", f"<body>{text}</body>{DELAY}"),
    ),
    ("an error", False, lambda text: jabber(f"{JEREMY}/x", f"<body>{text}</body>", kind="error")),
    ("his screen name", True, lambda text: aim("jeremyadmin", text)),
    ("a screen name with l for i", False, lambda text: aim("JeremyAdmln", text)),
    ("another screen name", False, lambda text: aim("Mallory", text)),
    ("his auto-response", False, lambda text: aim("Jeremy Admin", text, auto=True)),
    ("a stranger who quotes him", False, lambda text: aim("Mallory", f"Jeremy Admin: {text}")),
]
each_sender = pytest.mark.parametrize(
    ("obeyed", "says"),
    [pytest.param(obeyed, says, id=text) for text, obeyed, says in SENDERS],
)
PEOPLE = {"jeremy": {"aim": "Jeremy Admin", "jabber": JEREMY, "mail": JEREMY}}


@pytest.mark.slow
@each_sender
def test_only_a_persons_own_account_changes_what_they_are_told(
    obeyed: bool, says: Callable[[str], Acts]
) -> None:
    rules = {"people": PEOPLE, "projects": ["site"]}
    with World({**WORLD, "scenario": {"build-notify": rules}}, rehearsal=True) as world:
        says("unsubscribe site")(world)
        world.clock.until(15)
        build_notify.run(world.clock, load(world.settings, world.folder), world.host)
        with State(world.folder / "build-notify.sqlite3") as state:
            muted = state.rows("SELECT person FROM build_muted")
        assert muted == ([("jeremy",)] if obeyed else [])


@pytest.mark.slow
@each_sender
def test_only_the_account_of_the_person_whom_it_is_for_acknowledges_a_notice(
    obeyed: bool, says: Callable[[str], Acts]
) -> None:
    rules = {"people": PEOPLE, "sender": BOT}
    with World({**WORLD, "scenario": {"urgent-notice": rules}}, rehearsal=True) as world:
        notice = '{"id": "disk-7", "to": "jeremy", "text": "full"}\n'
        (world.folder / "notices.jsonl").write_text(notice, "utf-8", newline="\n")
        says("ok disk-7")(world)
        world.clock.until(15)
        code = urgent_notice.run(world.clock, load(world.settings, world.folder), world.host)
        assert code == (0 if obeyed else 1)
