"""The extensions: what each announces, answers and refuses. Transcripts show the details."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest

from fakes.xmpp.extension import Extension
from fakes.xmpp.extensions import EXTENSIONS
from fakes.xmpp.stanzas import Stanza, parse_stanza
from tests.xmpp_raw import Client, bound, world

NAMES = [extension.name for extension in EXTENSIONS]
# What the domain answers, and the condition with which it refuses a set of the same.
REQUESTS = {
    "disco": ("<query xmlns='http://jabber.org/protocol/disco#info'/>", "bad-request"),
    "ping": ("<ping xmlns='urn:xmpp:ping'/>", "bad-request"),
    "version": ("<query xmlns='jabber:iq:version'/>", "not-allowed"),
    "time": ("<time xmlns='urn:xmpp:time'/>", "not-allowed"),
    "last": ("<query xmlns='jabber:iq:last'/>", "not-allowed"),
}
# What only the account itself may ask.
OWN = {
    "private": "<query xmlns='jabber:iq:private'><a xmlns='urn:a'>1</a></query>",
    "blocking": "<blocklist xmlns='urn:xmpp:blocking'/>",
}


def ask(client: Client, payload: str, type: str = "get", to: str = "example.test") -> Stanza:
    answer = client.says(f"<iq type='{type}' id='1' to='{to}'>{payload}</iq>".encode())
    return parse_stanza(answer)


@pytest.mark.parametrize("extension", EXTENSIONS, ids=NAMES)
def test_each_extension_has_a_name_and_the_document_that_specifies_it(
    extension: type[Extension],
) -> None:
    assert NAMES.count(extension.name) == 1
    assert extension.section.startswith("XEP-") and extension.section[4:].isdigit()


@pytest.mark.parametrize("name", REQUESTS)
def test_a_get_is_answered_and_a_set_is_refused(name: str) -> None:
    payload, condition = REQUESTS[name]
    romeo = bound(world())
    assert ask(romeo, payload).type == "result"
    assert ask(romeo, payload, "set").condition == condition


@pytest.mark.parametrize("name", [*REQUESTS, *OWN, "vcard"])
def test_an_extension_that_is_switched_off_answers_nothing(name: str) -> None:
    payload, _ = REQUESTS.get(name, (OWN.get(name, "<vCard xmlns='vcard-temp'/>"), ""))
    to = "example.test" if name in REQUESTS else "romeo@example.test"
    romeo = bound(world(off={"xmpp": [name]}))
    assert ask(romeo, payload, to=to).condition == "service-unavailable"


@pytest.mark.parametrize("name", OWN)
@pytest.mark.parametrize("type", ["get", "set"])
def test_what_an_account_stores_is_only_for_itself(name: str, type: str) -> None:
    romeo = bound(world())
    assert ask(romeo, OWN[name], type, "juliet@example.test").condition == "forbidden"


def test_discovery_announces_exactly_the_extensions_that_are_on() -> None:
    info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"

    def features(*off: str) -> set[str | None]:
        answer = ask(bound(world(off={"xmpp": list(off)})), info)
        return {child.get("var") for child in answer.element[0] if child.get("var")}

    assert features() - features("ping") == {"urn:xmpp:ping"}
    assert features() - features("blocking", "vcard") == {"urn:xmpp:blocking", "vcard-temp"}


def test_what_is_stored_for_an_account_is_forgotten_with_it() -> None:
    place = world()
    romeo = bound(place)
    card = "<vCard xmlns='vcard-temp'><FN>Romeo</FN></vCard>"
    assert ask(romeo, card, "set", "romeo@example.test").type == "result"
    juliet = bound(place, "juliet")
    get = "<vCard xmlns='vcard-temp'/>"
    assert ask(juliet, get, to="romeo@example.test").payload == "{vcard-temp}vCard"
    place.jabber.remove("romeo@example.test")
    assert ask(juliet, get, to="romeo@example.test").condition == "service-unavailable"


# ── what the README says about them ──────────────────────────────────────────

README = (Path(__file__).parent.parent / "fakes" / "README.md").read_text("utf-8")
ROW = re.compile(r"^\| ([0-9]{4}) [^|]* \| ([0-9.]+) \| (?:`([a-z0-9-]+)` ?(\*?))? ?\|", re.M)


def test_the_readme_has_each_extension_with_its_xep_and_its_version() -> None:
    rows = [match.groups() for match in ROW.finditer(README)]
    versions = {xep: version for xep, version, _, _ in rows}
    listed = {(name, bool(star)) for _, _, name, star in rows if name}
    here = {(kind.name, kind.optional) for kind in EXTENSIONS}
    assert listed - {("offline", False)} == here  # offline is a part of the core
    for kind in EXTENSIONS:
        first = (sys.modules[kind.__module__].__doc__ or "").splitlines()[0]
        found = re.findall(r"XEP-([0-9]{4})(?: \(([0-9.]+))?", first)
        assert found, kind.name
        assert [xep for xep, _ in found if xep not in versions] == [], kind.name
        assert [xep for xep, said in found if said not in ("", versions[xep])] == [], kind.name


def test_the_readme_has_each_hook() -> None:
    table = README.partition("| hook | when |")[2].partition("\n\n")[0]
    named = re.findall(r"`(\w+)`", "".join(row.split("|")[1] for row in table.splitlines()[2:]))
    hooks = [
        name
        for name, value in vars(Extension).items()
        if callable(value) and not name.startswith("_")
    ]
    assert sorted({*named} - {"paths", "profile", "verbs"}) == sorted(hooks)


# ── what an extension costs that nobody uses ─────────────────────────────────


def calls_for_a_message(off: list[str]) -> Counter[str]:
    """How often each function of the server's XMPP is called while a message is delivered."""
    client = bound(world(off={"xmpp": off}))
    message = b"<message to='romeo@example.test' type='chat'><body>x</body></message>"
    client.says(b"<presence/>")
    client.says(message)  # what is worked out once has been worked out
    found: Counter[str] = Counter()

    def called(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and "/xmpp/" in frame.f_code.co_filename:
            found[f"{Path(frame.f_code.co_filename).stem} {frame.f_code.co_name}"] += 1

    before = sys.getprofile()
    sys.setprofile(called)
    client.says(message)
    sys.setprofile(before)
    return found


def test_an_extension_that_nobody_uses_costs_at_most_a_call() -> None:
    off = [kind.name for kind in EXTENSIONS if not kind.optional]
    assert calls_for_a_message([]) - calls_for_a_message(off) == {
        # One of them notes the message.
        "archive message_sent": 1,
        "archive stamp_message": 1,
        "archive _note": 2,
        "blocking check_outgoing": 1,
        "blocking accepts_incoming": 1,
        "pep accepts_incoming": 1,
        "carbons message_sent": 1,
        "carbons message_delivered": 1,
        "stanza_ids stamp_message": 1,
    }
