"""The archives of accounts and of rooms, as clients read them (XEP-0441, XEP-0313)."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest

from fakes import World
from fakes.xmpp.archiving.preferences import MAM
from fakes.xmpp.extensions.archive import Archive
from fakes.xmpp.extensions.stanza_ids import STANZA_ID
from fakes.xmpp.jabber import Actor
from fakes.xmpp.muc.names import USER
from fakes.xmpp.offline import timestamp
from fakes.xmpp.paging import RSM
from fakes.xmpp.stanzas import Stanza
from tests.sasl2 import bind2, logged_in
from tests.test_fakes_xmpp_extensions_moderation import moderate
from tests.test_fakes_xmpp_extensions_retraction import retract, said
from tests.test_fakes_xmpp_extensions_rooms import ROOM, Play, admin, configure
from tests.xmpp_raw import Client, bound, world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
HINTS, MESSAGE_RETRACT = "urn:xmpp:hints", "urn:xmpp:message-retract:1"


def fields(**values: str | list[str]) -> str:
    """A form of a query; in the names, `_` stands for `-`."""
    named = {"FORM_TYPE": MAM, **{name.replace("_", "-"): one for name, one in values.items()}}
    written = ""
    for name, value in named.items():
        inside = [value] if isinstance(value, str) else value
        texts = "".join(f"<value>{one}</value>" for one in inside)
        written += f"<field var='{name}'>{texts}</field>"
    return f"<x xmlns='jabber:x:data' type='submit'>{written}</x>"


def rsm(inside: str) -> str:
    return f"<set xmlns='{RSM}'>{inside}</set>"


class Answer:
    """What an archive has answered: its results in order, and the end."""

    def __init__(self, actor: Actor, inside: str = "", to: str = "", type: str = "set") -> None:
        actor.clear()
        address = f" to='{to}'" if to else ""
        query = f"<query xmlns='{MAM}' queryid='f'>{inside}</query>"
        actor.sends(f"<iq type='{type}' id='q'{address}>{query}</iq>")
        *self.results, self.end = actor.all
        assert self.end.id == "q", "the results come first (§4)"
        elements = [one.element.find(f"{{{MAM}}}result") for one in self.results]
        results = [one for one in elements if one is not None]
        self.ids = [one.get("id", "") for one in results]
        self.messages = [one[0][1] for one in results]

    @property
    def bodies(self) -> list[str]:
        return [one.findtext("{jabber:client}body", "-") for one in self.messages]

    @property
    def complete(self) -> bool:
        return self.end.element[0].get("complete") == "true"


def spoken(count: int = 0, **config: Any) -> tuple[World, Actor, Actor]:
    """Romeo says the numbers up to a count to Juliet, one a minute; nothing is heard yet."""
    place = world(**config)
    romeo, juliet = place.jabber.actor(ROMEO), place.jabber.actor(JULIET)
    romeo.comes()
    juliet.comes()
    for number in range(count):
        romeo.says(JULIET, str(number))
        place.clock.advance(60)
    for one in (romeo, juliet):
        one.clear()
    return place, romeo, juliet


def send(actor: Actor, content: str, to: str = JULIET, type: str = "chat", id: str = "m") -> None:
    actor.sends(f"<message to='{to}' type='{type}' id='{id}'>{content}</message>")


# ── an account's archive ─────────────────────────────────────────────────────


def test_a_query_and_its_answer() -> None:
    place = world()
    romeo, juliet = bound(place), bound(place, "juliet")
    juliet.says(b"<presence/>")
    said = b"<message to='juliet@example.test' type='chat' id='1'><body>hello</body></message>"
    romeo.says(said)
    heard = juliet.hears().decode()
    assert "stanza-id" not in heard, "nobody has been told of archives yet"
    stamp = timestamp(place.clock.now())
    for client, address in ((romeo, ROMEO), (juliet, JULIET)):
        ask = f"<iq type='set' id='q'><query xmlns='{MAM}' queryid='f&lt;27'/></iq>".encode()
        answer = client.says(ask).decode()
        id = re.findall(r"<first index='0'>(\w{21})</first>", answer)[0]
        number = re.findall("^<message from='[^']*' to='[^']*' id='([a-z0-9]{16})'>", answer)[0]
        assert answer == (
            f"<message from='{address}' to='{address}/here' id='{number}'>"
            f"<result xmlns='{MAM}' queryid='f&lt;27' id='{id}'>"
            "<forwarded xmlns='urn:xmpp:forward:0'>"
            f"<delay xmlns='urn:xmpp:delay' stamp='{stamp}'/>"
            "<message xmlns='jabber:client' from='romeo@example.test/here' "
            "to='juliet@example.test' id='1' type='chat'><body>hello</body></message>"
            "</forwarded></result></message>"
            f"<iq to='{address}/here' id='q' type='result'><fin xmlns='{MAM}' complete='true'>"
            f"<set xmlns='{RSM}'><first index='0'>{id}</first><last>{id}</last>"
            "<count>1</count></set></fin></iq>"
        )
    romeo.says(said)
    (stanza_id,) = re.findall("<stanza-id .*?/>", juliet.hears().decode())
    second = re.findall("id='(\\w*)'><forwarded", juliet.says(ask).decode())[1]
    assert stanza_id == f"<stanza-id xmlns='urn:xmpp:sid:0' by='{JULIET}' id='{second}'/>"


def test_an_empty_archive_is_complete() -> None:
    _, romeo, _ = spoken()
    answer = Answer(romeo)
    assert (answer.results, answer.complete) == ([], True)
    set = f"<set xmlns='{RSM}'><count>0</count></set>"
    assert answer.end.content.decode() == f"<fin xmlns='{MAM}' complete='true'>{set}</fin>"


@pytest.mark.parametrize(
    ("inside", "bodies", "complete"),
    [
        ("", "012", False),  # without an end: a page of the server's size
        (rsm("<max>2</max>"), "01", False),
        (rsm("<max>2</max><before/>"), "56", False),
        (rsm("<max>1000</max>"), "012", False),
        (rsm("<max>2</max><after>{1}</after>"), "23", False),
        (rsm("<max>3</max><after>{4}</after>"), "56", True),
        (rsm("<max>2</max><before>{2}</before>"), "01", True),
        (rsm("<index>5</index>"), "56", True),
        (rsm("<max>0</max>"), "", False),
        (rsm("<max>2</max><before/>") + "<flip-page/>", "65", False),  # §4.3.4
        (fields(after_id="{4}"), "56", True),  # §4.1.3
        (fields(before_id="{2}"), "01", True),
        (fields(after_id="{1}", before_id="{4}"), "23", True),
        (fields(after_id="{4}", before_id="{1}"), "", True),
        (fields(before_id="{4}") + rsm("<max>2</max>"), "01", False),
        (fields(ids=["{5}", "{2}", "{5}"]), "25", True),
        (fields(ids=["{5}", "{2}"]) + rsm("<max>1</max><after>{3}</after>"), "5", True),
        (fields(start="{t1}", end="{t3}"), "123", True),  # §4.1.2
        (fields(start="{t5}"), "56", True),
        (fields(end="{t0}"), "0", True),
        (fields(start="2999-01-01T00:00:00.5+05:30"), "", True),
        (fields(include_groupchat="true", start="{t6}"), "6", True),  # §4.1.4
        (fields(**{"with": JULIET}, end="{t1}"), "01", True),  # §4.1.1
        (fields(**{"with": "JULIET@Example.test"}, start="{t5}"), "56", True),
        (fields(**{"with": f"{JULIET}/balcony"}), "", True),
        (fields(**{"with": "nurse@example.test"}), "", True),
        (fields(**{"with": JULIET}) + rsm("<max>2</max><after>{3}</after>"), "45", False),
        (fields(**{"with": JULIET}, ids=["{1}"]), "1", True),
        (fields(**{"with": ROMEO}, ids=["{1}"]), "", True),
    ],
)
def test_a_query_has_the_messages_that_match(inside: str, bodies: str, complete: bool) -> None:
    place, romeo, _ = spoken(7, xmpp={"archive_page": 3})
    began = place.clock.now() - 7 * 60
    ids = [*Answer(romeo).ids, *Answer(romeo, rsm("<index>3</index>")).ids]
    ids += Answer(romeo, rsm("<index>6</index>")).ids
    for number in range(7):
        inside = inside.replace(f"{{{number}}}", ids[number])
        inside = inside.replace(f"{{t{number}}}", timestamp(began + 60 * number))
    answer = Answer(romeo, inside)
    assert "".join(answer.bodies) == bodies
    assert answer.complete is complete
    shown = answer.ids[::-1] if "flip-page" in inside else answer.ids
    assert [ids[int(body)] for body in answer.bodies] == answer.ids
    ends = [answer.end.element[0][0].findtext(f"{{{RSM}}}{name}") for name in ("first", "last")]
    assert ends == ([shown[0], shown[-1]] if shown else [None, None])


@pytest.mark.parametrize(
    ("inside", "condition"),
    [
        (rsm("<after>unknown</after>"), "item-not-found"),  # §4.3.2
        (rsm("<before>unknown</before>"), "item-not-found"),
        (fields(before_id="unknown"), "item-not-found"),  # §4.1.3
        (fields(after_id=""), "item-not-found"),
        (fields(ids=["{0}", "unknown"]), "item-not-found"),
        (fields(ids=["{0}0"]), "item-not-found"),
        (fields(ids=["0" * 20 + "0"]), "item-not-found"),
        (fields(ids=["1" * 5000]), "item-not-found"),
        (fields(color="red"), "feature-not-implemented"),  # §4.1.5
        (fields(ids=["x"] * 1001), "not-acceptable"),
        (fields(start="yesterday"), "bad-request"),
        (fields(start="2010-06-07"), "bad-request"),
        (fields(end="2010-13-07T00:00:00Z"), "bad-request"),
        (fields(end="2010-06-07T00:00:00"), "bad-request"),
        (fields(include_groupchat="perhaps"), "not-acceptable"),
        (fields(**{"with": "@"}), "jid-malformed"),
        (fields(**{"with": ""}), "jid-malformed"),
        (rsm("<max>many</max>"), "bad-request"),
        (fields().replace(MAM, "urn:x"), "bad-request"),
        (fields().replace("submit", "cancel"), "bad-request"),
    ],
)
def test_what_cannot_be_asked_is_an_error(inside: str, condition: str) -> None:
    _, romeo, _ = spoken(2)
    answer = Answer(romeo, inside.replace("{0}", Answer(romeo).ids[0]))
    assert (answer.results, answer.end.condition) == ([], condition)


def test_nodes_have_no_archives() -> None:
    _, romeo, _ = spoken()
    romeo.sends(f"<iq type='set' id='n'><query xmlns='{MAM}' node='x'/></iq>")
    assert romeo.all[-1].condition == "feature-not-implemented"


def test_the_form_lists_the_fields() -> None:
    _, romeo, _ = spoken()
    form = Answer(romeo, type="get").end.element[0][0]
    listed = [(one.get("var"), one.get("type")) for one in form]
    assert listed == [
        ("FORM_TYPE", "hidden"),
        ("with", "jid-single"),
        ("start", "text-single"),
        ("end", "text-single"),
        ("before-id", "text-single"),
        ("after-id", "text-single"),
        ("ids", "list-multi"),
        ("include-groupchat", "boolean"),
    ]
    validate = form[6][0]
    assert validate.tag == "{http://jabber.org/protocol/xdata-validate}validate"
    assert validate.get("datatype") == "xs:string" and validate[0].tag.endswith("}open")


def test_metadata_names_the_first_and_the_last_message() -> None:
    place, romeo, _ = spoken()
    ask = f"<iq type='get' id='m'><metadata xmlns='{MAM}'/></iq>"
    romeo.sends(ask)
    assert romeo.all[-1].content.decode() == f"<metadata xmlns='{MAM}'/>"
    times = []
    for number in range(3):
        times.append(timestamp(place.clock.now()))
        romeo.says(JULIET, str(number))
        place.clock.advance(60)
    ids = Answer(romeo).ids
    romeo.sends(ask)
    assert romeo.all[-1].content.decode() == (
        f"<metadata xmlns='{MAM}'><start id='{ids[0]}' timestamp='{times[0]}'/>"
        f"<end id='{ids[2]}' timestamp='{times[2]}'/></metadata>"
    )
    romeo.sends(ask.replace("get", "set"))
    assert romeo.all[-1].condition == "bad-request"


def test_a_client_that_binds_in_its_login_is_told_what_there_is_to_be_read() -> None:
    place, romeo, juliet = spoken(tls="optional")
    romeo.goes()
    juliet.says(ROMEO, "hello")
    assert len(place.jabber.offline(ROMEO)) == 1
    _, answer = logged_in(place, bind2())
    (id,) = re.findall(r"<metadata xmlns='urn:xmpp:mam:2'><start id='(\w+)'", answer.decode())
    romeo.comes()
    assert Answer(romeo).ids == [id]
    assert place.jabber.offline(ROMEO) == []


@pytest.mark.parametrize("name", ["query", "metadata", "prefs"])
def test_an_archive_is_for_its_account_only(name: str) -> None:
    _, romeo, juliet = spoken(1)
    for to, condition in ((ROMEO, "forbidden"), ("example.test", "service-unavailable")):
        juliet.sends(f"<iq type='get' id='x' to='{to}'><{name} xmlns='{MAM}'/></iq>")
        assert juliet.all[-1].condition == condition
    romeo.sends(f"<iq type='get' id='x' to='{ROMEO}'><{name} xmlns='{MAM}'/></iq>")
    assert romeo.all[-1].condition == ""


# ── what is archived (§6.1.1) ────────────────────────────────────────────────

BODY = "<body>x</body>"


@pytest.mark.parametrize(
    ("content", "type", "archived"),
    [
        (BODY, "chat", True),
        (BODY, "normal", True),
        (BODY, "unknown", True),
        (BODY, "headline", False),
        (BODY, "groupchat", False),
        (f"{BODY}<error type='cancel'/>", "error", False),
        ("<active xmlns='http://jabber.org/protocol/chatstates'/>", "chat", False),
        ("<subject>x</subject>", "chat", False),
        ("<request xmlns='urn:xmpp:receipts'/>", "chat", False),
        ("<received xmlns='urn:xmpp:receipts' id='1'/>", "chat", True),
        ("<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", "chat", True),
        ("<reactions xmlns='urn:xmpp:reactions:0' id='1'/>", "chat", True),
        (f"<retract xmlns='{MESSAGE_RETRACT}' id='1'/>", "chat", True),
        ("<encryption xmlns='urn:xmpp:eme:0'/>", "chat", True),
        ("<x xmlns='jabber:x:conference' jid='r@x.test'/>", "normal", True),
        (f"<x xmlns='{USER}'><invite from='a@b.test'/></x>", "normal", True),
        (f"<x xmlns='{USER}'/>", "chat", False),
        (f"<a xmlns='urn:a'/><store xmlns='{HINTS}'/>", "chat", True),
        (f"{BODY}<store xmlns='{HINTS}'/>", "headline", True),
        (f"{BODY}<no-store xmlns='{HINTS}'/>", "chat", False),
        (f"{BODY}<no-permanent-store xmlns='{HINTS}'/>", "chat", False),
        (f"{BODY}<no-store xmlns='{HINTS}'/><store xmlns='{HINTS}'/>", "chat", False),
    ],
)
def test_what_holds_content_is_archived_by_both(content: str, type: str, archived: bool) -> None:
    _, romeo, juliet = spoken()
    send(romeo, content, f"{JULIET}/play", type)
    for actor in (romeo, juliet):
        [*found] = Answer(actor).messages
        assert len(found) == archived
        assert all(one.get("type") == type for one in found)


def test_a_message_to_oneself_is_archived_once() -> None:
    _, romeo, _ = spoken(1)
    send(romeo, BODY, "ROMEO@example.test")
    send(romeo, BODY, f"{ROMEO}/play")
    assert len(Answer(romeo).ids) == 3
    own = Answer(romeo, fields(**{"with": ROMEO}))
    assert own.bodies == ["x", "x"]


def test_a_message_for_several_clients_is_archived_once() -> None:
    place, romeo, juliet = spoken(xmpp={"several_resources": "all"})
    other = place.jabber.actor(JULIET, "other")
    other.comes()
    send(romeo, BODY, JULIET, "normal")
    assert [len(one.messages) for one in (juliet, other)] == [1, 1]
    assert len(Answer(juliet).ids) == 1


def test_a_message_that_waits_is_archived_and_one_that_is_refused_is_not() -> None:
    _, romeo, juliet = spoken()
    juliet.goes()
    send(romeo, BODY)
    send(romeo, BODY, f"{JULIET}/nowhere", "normal")
    assert romeo.all[-1].condition == "service-unavailable"
    juliet.comes()
    assert len(Answer(juliet).ids) == 1
    romeo.sends(
        f"<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='{JULIET}'/>"
        "</block></iq>"
    )
    send(juliet, BODY, ROMEO)
    send(romeo, BODY)
    assert len(Answer(romeo).ids) == 2, "both to Juliet before she was blocked"


def test_a_forged_id_is_replaced_by_that_of_the_archive() -> None:
    _, romeo, juliet = spoken()
    Answer(juliet)
    forged = f"<stanza-id xmlns='urn:xmpp:sid:0' by='{JULIET}' id='forged'/>"
    juliet.clear()
    send(romeo, f"{forged}{BODY}")
    ids = [one.get("id") for one in juliet.messages[-1].element.findall(STANZA_ID)]
    assert ids == Answer(juliet).ids
    assert romeo.all == [], "contacts never see ids of another's archive"


def test_other_clients_learn_the_id_of_what_was_sent() -> None:
    place, romeo, _ = spoken()
    other = place.jabber.actor(ROMEO, "other")
    other.sends("<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>")
    send(romeo, BODY)
    assert b"stanza-id" not in other.all[-1].content
    Answer(romeo)
    other.clear()
    send(romeo, BODY)
    (found,) = other.all[-1].element.iter(STANZA_ID)
    assert (found.get("by"), found.get("id")) == (ROMEO, Answer(romeo).ids[-1])
    other.clear()
    send(romeo, "<active xmlns='http://jabber.org/protocol/chatstates'/>")
    assert len(other.all) == 1 and b"stanza-id" not in other.all[0].content


def test_with_stanza_ids_every_message_has_the_archives_id() -> None:
    _, romeo, juliet = spoken(xmpp={"stanza_ids": True})
    send(romeo, BODY)
    send(romeo, "<active xmlns='http://jabber.org/protocol/chatstates'/>")
    one, other = juliet.messages
    assert [id.get("id") for id in one.element.findall(STANZA_ID)] == Answer(juliet).ids
    assert STANZA_ID not in other.child_names, "it would name nothing in the archive"


# ── how much is kept ─────────────────────────────────────────────────────────


def test_the_oldest_are_dropped_and_ids_are_never_used_again() -> None:
    place, romeo, _ = spoken(3, xmpp={"archive": 3})
    ids = Answer(romeo).ids
    by_address = fields(**{"with": JULIET})
    assert Answer(romeo, by_address).bodies == ["0", "1", "2"]
    romeo.says(JULIET, "3")
    answer = Answer(romeo, by_address)
    assert answer.bodies == ["1", "2", "3"] and answer.ids[:2] == ids[1:]
    assert answer.ids[2] not in ids
    assert Answer(romeo, fields(after_id=ids[0])).end.condition == "item-not-found"
    warnings = [one.text for one in place.events if one.level == "warning"]
    text = "from now on, the oldest messages are forgotten, because xmpp.archive is 3"
    assert warnings == [f"archive of {name}: {text}" for name in (ROMEO, JULIET)]


def test_of_what_nobody_looks_at_the_newest_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fakes.xmpp.extensions.archive.NOTED", 20)
    place, romeo, juliet = spoken(15)  # each is noted for both of them
    newest = [str(number) for number in range(5, 15)]
    assert Answer(romeo).bodies == newest
    assert Answer(juliet).bodies == newest
    [warning] = [one.text for one in place.events if one.level == "warning"]
    assert warning == "archive: from now on, what came long before anybody looks is forgotten"
    romeo.says(JULIET, "now it is filed at once")
    assert Answer(romeo).bodies == [*newest, "now it is filed at once"]


def test_what_was_noted_long_ago_has_its_time_and_obeys_no_later_preferences() -> None:
    place, romeo, juliet = spoken(2)
    prefs = "<prefs xmlns='urn:xmpp:mam:2' default='never'/>"
    romeo.sends(f"<iq type='set' id='p'>{prefs}</iq>")
    romeo.says(JULIET, "not for the archive")
    assert Answer(romeo).bodies == ["0", "1"]
    assert Answer(juliet).bodies == ["0", "1", "not for the archive"]
    answer = Answer(juliet, fields(end=timestamp(place.clock.now() - 90)))
    assert answer.bodies == ["0"]


def test_a_few_long_messages_are_as_many_as_lots_of_short_ones() -> None:
    place, romeo, _ = spoken(xmpp={"archive_bytes": 3000})
    for number in range(5):
        send(romeo, f"<body>{number}{'x' * 999}</body>")
    assert [body[0] for body in Answer(romeo).bodies] == ["3", "4"]
    warnings = [one.text for one in place.events if one.level == "warning"]
    assert warnings[0].endswith("are forgotten, because xmpp.archive_bytes is 3,000")
    send(romeo, f"<body>{'x' * 4000}</body>")
    assert Answer(romeo).bodies == []
    archive = place.jabber.service.extensions.named("archive")
    assert isinstance(archive, Archive)
    sizes = [archive.messages(one).size for one in place.jabber.service.accounts.all()]
    assert sizes == [0, 0]


def test_the_clock_may_be_put_back() -> None:
    place, romeo, _ = spoken(2)
    stamps = [one.get("stamp") for one in Answer(romeo).end.element.iter()]
    archive = place.jabber.service.extensions.named("archive")
    assert isinstance(archive, Archive)
    account = place.jabber.service.accounts.all()[0]
    messages = archive.messages(account)
    messages.add(1.0, Stanza("message", content=b"<body>2</body>"), JULIET)
    assert messages[2].at == messages[1].at > 1.0
    assert Answer(romeo, fields(start="2000-01-01T00:00:00Z")).bodies == ["0", "1", "2"]
    assert stamps


def test_an_archive_is_deleted_with_its_account_and_outlives_a_restart() -> None:
    place, romeo, juliet = spoken(2)
    ids = Answer(juliet).ids
    other, _, later = spoken()
    other.jabber.service.restore(place.jabber.service.stored())
    assert Answer(later).ids == ids
    later.says(ROMEO, "new")
    assert len(Answer(juliet).ids) == 2, "they are different worlds"
    place.jabber.remove(JULIET)
    archive = place.jabber.service.extensions.named("archive")
    assert list(archive.stored) == [ROMEO]
    assert len(Answer(romeo).ids) == 2


def test_a_test_reads_archives_as_values() -> None:
    place, romeo, _ = spoken(2)
    send(romeo, "<body>villain</body>", id="bad")
    send(romeo, retraction("bad"))
    found = place.jabber.archive(JULIET)
    assert [one.body for one in found] == ["0", "1", "", "retracted"]
    play = Play().opened()
    said(play.romeo, "one")
    assert [one.body for one in play.world.jabber.archive(ROOM)] == ["one"]
    for jabber in (place.jabber, world(off={"xmpp": ["archive"]}).jabber):
        with pytest.raises(LookupError):
            jabber.archive("nobody@example.test")


def test_off_there_is_no_archive() -> None:
    _, romeo, _ = spoken(1, off={"xmpp": ["archive"]}, xmpp={"stanza_ids": True})
    assert Answer(romeo).end.condition == "service-unavailable"
    romeo.sends(
        f"<iq type='get' id='d' to='{ROMEO}'>"
        "<query xmlns='http://jabber.org/protocol/disco#info'/></iq>"
    )
    assert MAM not in romeo.all[-1].content.decode()
    other = Play(off={"xmpp": ["archive"]}).opened("juliet")
    id = said(other.juliet, "wherefore")
    assert Answer(other.romeo, to=ROOM).end.condition == "service-unavailable"
    assert moderate(other, "romeo", id) == ""


# ── preferences (XEP-0441) ───────────────────────────────────────────────────


def prefs(actor: Actor, inside: str = "", type: str = "set", default: str = "always") -> str:
    actor.clear()
    attribute = f" default='{default}'" if type == "set" else ""
    asked = f"<prefs xmlns='{MAM}'{attribute}>{inside}</prefs>"
    actor.sends(f"<iq type='{type}' id='p'>{asked}</iq>")
    return actor.all[-1].condition or actor.all[-1].content.decode()


def test_preferences_are_stored_and_returned() -> None:
    _, romeo, _ = spoken()
    empty = f"<prefs xmlns='{MAM}' default='always'><always/><never/></prefs>"
    assert prefs(romeo, type="get") == empty
    lists = (
        f"<always><jid>{JULIET}</jid></always>"
        f"<never><jid>A@B.test/c</jid><jid>a@b.test/c</jid></never>"
    )
    stored = (
        f"<prefs xmlns='{MAM}' default='roster'><always><jid>{JULIET}</jid></always>"
        "<never><jid>a@b.test/c</jid></never></prefs>"
    )
    assert prefs(romeo, lists, default="roster") == stored
    assert prefs(romeo, type="get") == stored


@pytest.mark.parametrize(
    ("inside", "default", "condition"),
    [
        ("", "", "bad-request"),
        ("", "sometimes", "bad-request"),
        ("<never><jid/></never>", "always", "jid-malformed"),
        ("<always><jid>@</jid></always>", "always", "jid-malformed"),
        (f"<never>{'<jid>a.test</jid>' * 1001}</never>", "always", "resource-constraint"),
    ],
)
def test_preferences_that_are_none_are_refused(inside: str, default: str, condition: str) -> None:
    _, romeo, _ = spoken()
    assert prefs(romeo, inside, default=default) == condition


@pytest.mark.parametrize(
    ("inside", "default", "archived"),
    [
        ("", "always", True),
        ("", "never", False),
        ("", "roster", False),
        (f"<always><jid>{JULIET}</jid></always>", "never", True),
        (f"<always><jid>{JULIET}/play</jid></always>", "never", False),
        (f"<never><jid>{JULIET}</jid></never>", "always", False),
        (f"<never><jid>{JULIET}/elsewhere</jid></never>", "always", True),
        ("<never><jid>nurse@example.test</jid></never>", "always", True),
    ],
)
def test_preferences_say_what_is_archived(inside: str, default: str, archived: bool) -> None:
    _, romeo, juliet = spoken()
    prefs(romeo, inside, default=default)
    send(romeo, BODY)
    assert len(Answer(romeo).ids) == archived
    assert len(Answer(juliet).ids) == 1


def test_roster_means_the_contacts() -> None:
    place, romeo, _ = spoken()
    prefs(romeo, default="roster")
    place.jabber.befriend(ROMEO, JULIET)
    send(romeo, BODY)
    assert len(Answer(romeo).ids) == 1


# ── tombstones in accounts (XEP-0424 §4) ─────────────────────────────────────


def retraction(id: str) -> str:
    return f"<retract xmlns='{MESSAGE_RETRACT}' id='{id}'/><body>retracted</body>"


def test_both_archives_keep_a_tombstone_and_the_retraction() -> None:
    place, romeo, juliet = spoken()
    send(romeo, "<body>villain</body><a xmlns='urn:a'>hint</a>", id="bad")
    place.clock.advance(60)
    stamp = timestamp(place.clock.now())
    send(romeo, retraction("bad"), id="sorry")
    for actor in (romeo, juliet):
        first, second = Answer(actor).messages
        assert (first.get("id"), first.get("from")) == ("bad", f"{ROMEO}/play")
        (retracted,) = first
        assert retracted.tag == f"{{{MESSAGE_RETRACT}}}retracted"
        assert retracted.attrib == {"id": "sorry", "stamp": stamp}
        assert second.get("id") == "sorry"


def test_nobody_retracts_what_another_has_said() -> None:
    _, romeo, juliet = spoken()
    send(romeo, BODY, id="bad")
    send(juliet, retraction("bad"), ROMEO)
    send(romeo, retraction("bad"), "example.test", id="")
    assert Answer(juliet).bodies == ["x", "retracted"]


def test_an_id_that_is_used_twice_stands_for_what_came_before_the_retraction() -> None:
    _, romeo, _ = spoken()
    send(romeo, BODY, id="same")
    send(romeo, retraction("same"))
    send(romeo, "<body>y</body>", id="same")
    assert Answer(romeo, fields(**{"with": JULIET})).bodies == ["-", "retracted", "y"]
    assert Answer(romeo).bodies == ["-", "retracted", "y"]


def test_without_retraction_nothing_is_buried() -> None:
    _, romeo, _ = spoken(off={"xmpp": ["retraction"]})
    send(romeo, BODY, id="bad")
    send(romeo, retraction("bad"))
    assert Answer(romeo).bodies == ["x", "retracted"]


# ── the archive of a room (XEP-0313 §6.1.2) ──────────────────────────────────


def test_a_room_archives_what_is_said_to_all_once() -> None:
    play = Play().opened("juliet")
    ids = [said(play.romeo, "one"), said(play.juliet, "two")]
    send(play.romeo, "<subject>new</subject>", ROOM, "groupchat")
    send(play.romeo, "<active xmlns='http://jabber.org/protocol/chatstates'/>", ROOM, "groupchat")
    send(play.juliet, BODY, f"{ROOM}/romeo")
    send(play.romeo, f"{BODY}<no-store xmlns='{HINTS}'/>", ROOM, "groupchat")
    send(play.juliet, "<subject>mine</subject>", ROOM, "groupchat")  # refused
    answer = Answer(play.juliet, to=ROOM)
    assert answer.bodies == ["one", "two", "-"] and answer.ids[:2] == ids
    assert [one.get("to") for one in answer.messages] == [None] * 3
    assert answer.messages[1].get("from") == f"{ROOM}/juliet"
    assert {one.sender for one in answer.results} == {ROOM}
    assert Answer(play.juliet).bodies == ["x"], "a private message is in the account's archive"
    stranger = Answer(play.tybalt, fields(after_id=ids[0]) + rsm("<max>1</max>"), to=ROOM)
    assert stranger.ids == [ids[1]] and not stranger.complete


def test_real_addresses_are_for_those_who_may_see_them() -> None:
    play = Play().opened("juliet")
    send(play.juliet, f"{BODY}<x xmlns='{USER}'><item jid='forged@x.test'/></x>", ROOM, "groupchat")

    def shown(name: str, inside: str = "") -> list[tuple[str | None, str | None]]:
        answer = Answer(play.actor(name), inside, to=ROOM)
        items = [one.find(f"{{{USER}}}x/{{{USER}}}item") for one in answer.messages]
        return [(one.get("jid"), one.get("affiliation")) for one in items if one is not None]

    real = [(f"{JULIET}/play", "none")]
    assert shown("romeo") == real and shown("juliet") == [] and shown("tybalt") == []
    by_juliet = fields(**{"with": JULIET})
    assert shown("romeo", by_juliet) == real
    assert Answer(play.romeo, fields(**{"with": ROMEO}), to=ROOM).bodies == []
    assert Answer(play.tybalt, by_juliet, to=ROOM).end.condition == "forbidden"
    assert Answer(play.tybalt, fields(**{"with": f"{ROOM}/juliet"}), to=ROOM).bodies == ["x"]
    assert Answer(play.tybalt, fields(**{"with": f"{ROOM}/romeo"}), to=ROOM).bodies == []
    play.romeo.sends(f"<presence type='unavailable' to='{ROOM}/romeo'/>")
    assert shown("romeo") == real, "an owner sees them from outside, too"
    play.romeo.joins(ROOM, "romeo")
    assert configure(play.romeo, whois="anyone") == ""
    assert shown("tybalt") == real


@pytest.mark.parametrize("name", ["query", "metadata"])
def test_who_may_not_enter_may_not_read(name: str) -> None:
    play = Play().opened("juliet")

    def condition(who: str) -> str:
        actor = play.actor(who)
        actor.sends(f"<iq type='get' id='a' to='{ROOM}'><{name} xmlns='{MAM}'/></iq>")
        return actor.all[-1].condition

    assert [condition(who) for who in ("romeo", "juliet", "tybalt")] == ["", "", ""]
    assert admin(play.romeo, "jid='tybalt@example.test' affiliation='outcast'") == ""
    assert [condition(who) for who in ("tybalt", "nurse")] == ["forbidden", ""]
    assert configure(play.romeo, roomsecret="x", passwordprotectedroom="1") == ""
    assert [condition(who) for who in ("juliet", "nurse", "romeo")] == ["", "forbidden", ""]
    assert configure(play.romeo, passwordprotectedroom="0", membersonly="1") == ""
    assert [condition(who) for who in ("nurse", "romeo")] == ["forbidden", ""]
    assert admin(play.romeo, "jid='nurse@example.test' affiliation='member'") == ""
    assert condition("nurse") == ""


def test_a_room_that_does_not_exist_or_is_locked_has_no_archive() -> None:
    play = Play()
    conference = ROOM.partition("@")[2]
    assert Answer(play.romeo, to=ROOM).end.condition == "item-not-found"
    assert Answer(play.romeo, to=conference).end.condition == "service-unavailable"
    play.romeo.joins(ROOM, "romeo")
    assert Answer(play.juliet, to=ROOM).end.condition == "item-not-found"
    assert Answer(play.romeo, to=ROOM).end.condition == ""
    form = Answer(play.romeo, to=ROOM, type="get").end.element[0][0]
    assert [one.get("var") for one in form][-1] == "ids"
    with_groupchat = Answer(play.romeo, fields(include_groupchat="true"), to=ROOM)
    assert with_groupchat.end.condition == "feature-not-implemented"


def test_rooms_say_that_they_have_archives_and_their_service_does_not() -> None:
    play = Play().opened()
    found = []
    for to in (ROOM, ROOM.partition("@")[2]):
        info = "<query xmlns='http://jabber.org/protocol/disco#info'/>"
        play.romeo.sends(f"<iq type='get' id='d' to='{to}'>{info}</iq>")
        features = {one.get("var") for one in play.romeo.all[-1].element[0]}
        found.append({MAM, f"{MAM}#extended", f"{MESSAGE_RETRACT}#tombstone"} & features)
    assert [len(one) for one in found] == [3, 0]


def test_a_persistent_room_keeps_its_archive_and_a_destroyed_one_does_not() -> None:
    play = Play().opened(persistentroom="1")
    ids = [said(play.romeo, "one")]
    other = Play()
    other.world.jabber.service.restore(play.world.jabber.service.stored())
    assert Answer(other.tybalt, to=ROOM).ids == ids
    owner = "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>"
    other.romeo.sends(f"<iq type='set' id='d' to='{ROOM}'>{owner}</iq>")
    other.opened()
    assert Answer(other.romeo, to=ROOM).ids == []


def test_what_an_author_retracts_in_a_room_is_a_tombstone() -> None:
    play = Play().opened("juliet", historyfetch="0")
    id = said(play.juliet, "villain")
    assert configure(play.romeo) == "" and retract(play.romeo, id) == "forbidden"
    assert retract(play.juliet, id) == ""
    first, second = Answer(play.nurse, to=ROOM).messages
    assert [one.tag.partition("}")[2] for one in first] == ["occupant-id", "retracted"]
    assert first[1].get("id") == second.get("id") == "r"
    assert len(Answer(play.nurse, to=ROOM).ids) == 2, "what was forbidden is not archived"


def test_what_a_moderator_retracts_is_a_tombstone_even_long_after() -> None:
    play = Play().opened("juliet")
    id = said(play.juliet, "villain")
    for number in range(25):  # more than the history of the room has
        play.juliet.says(ROOM, str(number), type="groupchat")
    play.clear()
    assert moderate(play, "romeo", id) == ""
    told = next(one for one in play.juliet.all if one.kind == "message")
    answer = Answer(play.nurse, to=ROOM)
    first, last = answer.messages[0], answer.messages[-1]
    assert [one.tag.partition("}")[2] for one in first] == ["occupant-id", "retracted"]
    retracted = first[1]
    assert retracted.get("id") == told.id == last.get("id")
    assert [one.tag.partition("}")[2] for one in retracted] == ["moderated", "reason"]
    assert retracted[0].get("by") == f"{ROOM}/romeo" and retracted[1].text == "rude"
    (stanza_id,) = told.element.findall(STANZA_ID)
    assert answer.ids[-1] == stanza_id.get("id") and last.get("from") == ROOM


def test_another_server_reads_the_archive_of_a_room() -> None:
    play = Play().opened()
    said(play.romeo, "one")
    jabber, asker = play.world.jabber, "ann@far.test/x"
    heard: list[Stanza] = []
    jabber.service.extensions.send_away = lambda stanza, to: not heard.append(stanza)  # type: ignore[method-assign,func-returns-value]
    query = f"<query xmlns='{MAM}'/>"
    jabber.inject(f"<iq type='set' id='q' from='{asker}' to='{ROOM}'>{query}</iq>")
    assert [(one.kind, one.to) for one in heard] == [("message", asker), ("iq", asker)]


# ── what it costs ────────────────────────────────────────────────────────────


def calls(size: int, inside: str) -> int:
    """How many functions are called by a query on an archive of this size, in Python and in C."""
    place = world(xmpp={"archive": 1 << 20})
    client: Client = bound(place)
    archive = place.jabber.service.extensions.named("archive")
    assert isinstance(archive, Archive)
    messages = archive.messages(place.jabber.service.accounts.all()[0])
    stanza = Stanza("message", content=b"<body>x</body>", child_names=("{jabber:client}body",))
    for number in range(size):
        messages.add(float(number), stanza, "juliet@example.test")
    inside = inside.replace("{id}", messages.id_of(size // 2))
    ask = f"<iq type='set' id='q'><query xmlns='{MAM}'>{inside}</query></iq>".encode()
    assert b"<fin" in client.says(ask)  # the index is made
    found = 0

    def called(*_: object) -> None:
        nonlocal found
        found += 1

    before = sys.getprofile()
    sys.setprofile(called)
    client.says(ask)
    sys.setprofile(before)
    return found


@pytest.mark.parametrize(
    "inside",
    [
        rsm("<max>5</max><before/>"),
        rsm("<max>5</max><after>{id}</after>"),
        fields(ids=["{id}"]),
        fields(before_id="{id}") + rsm("<max>5</max>"),
        fields(start="1970-01-01T00:10:00Z") + rsm("<max>5</max>"),
        fields(**{"with": JULIET}) + rsm("<max>5</max><after>{id}</after>"),
    ],
)
def test_a_page_costs_what_it_shows_and_not_what_the_archive_has(inside: str) -> None:
    small, large = calls(1_000, inside), calls(8_000, inside)
    assert large < small * 1.2, "but for the steps of a binary search"
