"""XEP-0388: the same rules as with the SASL of RFC 6120, and what is different."""

from __future__ import annotations

import base64
import itertools
import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.transcripts.recorder import render
from fakes.transcripts.secrets import scram_name, scram_proof
from fakes.wire import TlsFacts
from fakes.xmpp import Xmpp
from fakes.xmpp.extensions import sasl2 as module
from fakes.xmpp.sasl import RFC_6120
from fakes.xmpp.stanzas import parse_stanza
from tests.sasl2 import PLAIN, SASL2, authenticate, bind2, logged_in, secured
from tests.test_fakes_xmpp_stream import BY_POSITION, REFUSED_FOR_STATE, UNITS
from tests.xmpp_raw import HEADER, SASL, Client, bind, bound, world

SCRAM_FIRST = b"n,,n=romeo,r=abc"

# ── the same rules ───────────────────────────────────────────────────────────

Step = tuple[str, str, bytes | None]  # the verb, the mechanism, the response


def by_sasl(verb: str, mechanism: str, response: bytes | None) -> bytes:
    """A step of a login as RFC 6120 writes it."""
    text = "" if response is None else base64.b64encode(response).decode() or "="
    named = f" mechanism='{mechanism}'" if mechanism else ""
    return f"<{verb} xmlns='{SASL}'{named}>{text}</{verb}>".encode()


def by_sasl2(verb: str, mechanism: str, response: bytes | None) -> bytes:
    """The same step as XEP-0388 writes it."""
    if verb == "auth":
        return authenticate(response, mechanism=mechanism)
    text = base64.b64encode(response or b"").decode()
    return f"<{verb} xmlns='{SASL2}'>{text}</{verb}>".encode()


def outcome(answer: bytes) -> list[str]:
    """What an answer says, without how it is written."""
    found = re.findall(
        r"<(challenge|success)|<failure[^>]*><([a-z-]+)|<stream:error><([a-z-]+)", answer.decode()
    )
    return [word for words in found for word in words if word]


def auth(response: bytes | None = PLAIN, mechanism: str = "PLAIN") -> Step:
    return "auth", mechanism, response


def respond(response: bytes = b"") -> Step:
    return "response", "", response


WRONG = auth(b"\0romeo\0guess")
ABORT = ("abort", "", None)
# title → the world, the steps of a client inside TLS, and what it gets
RULES: dict[str, tuple[dict[str, object], list[Step], list[str]]] = {
    "right": ({}, [auth()], ["success"]),
    "wrong password": ({}, [WRONG, auth()], ["not-authorized", "success"]),
    "unknown user": ({}, [auth(b"\0tybalt\0secret")], ["not-authorized"]),
    "own identity": ({}, [auth(b"romeo@example.test\0romeo\0secret")], ["success"]),
    "foreign identity": ({}, [auth(b"juliet@example.test" + PLAIN)], ["invalid-authzid"]),
    "identity that is none": ({}, [auth(b"romeo" + PLAIN)], ["invalid-authzid"]),
    "unknown mechanism": ({}, [auth(b"", "GSSAPI")], ["invalid-mechanism"]),
    "no mechanism": ({}, [auth(None, "")], ["invalid-mechanism"]),
    "mechanism that is off": ({"off": {"xmpp": ["PLAIN"]}}, [auth()], ["invalid-mechanism"]),
    "mechanism off by a fault": (
        {"fault": [{"where": "PLAIN", "off": True, "times": 1}]}, [auth()], ["invalid-mechanism"]
    ),
    "anonymous is off": ({}, [auth(b"", "ANONYMOUS")], ["invalid-mechanism"]),
    "anonymous": ({"xmpp": {"anonymous": True}}, [auth(b"", "ANONYMOUS")], ["success"]),
    "server begins": ({}, [auth(b"x", "DIGEST-MD5")], ["malformed-request"]),
    "challenge": ({}, [auth(None, "DIGEST-MD5")], ["challenge"]),
    "no initial response": ({}, [auth(None), respond(PLAIN)], ["challenge", "success"]),
    "empty initial response": ({}, [auth(b"")], ["malformed-request"]),
    "empty response": ({}, [auth(None), respond()], ["challenge", "malformed-request"]),
    "malformed": ({}, [auth(b"romeo secret")], ["malformed-request"]),
    "too long": ({}, [auth(b"\0romeo\0" + b"x" * 999)], ["malformed-request"]),
    "scram": (
        {}, [auth(SCRAM_FIRST, "SCRAM-SHA-1"), respond(b"no")], ["challenge", "malformed-request"]
    ),
    "no binding in tls 1.3": (
        {}, [auth(b"p=tls-unique," + SCRAM_FIRST, "SCRAM-SHA-1-PLUS")], ["invalid-mechanism"]
    ),
    "binding was hidden": (
        {"xmpp": {"plus_on_tls13": True}},
        [auth(b"y" + SCRAM_FIRST[1:], "SCRAM-SHA-1")],
        ["not-authorized"],
    ),
    "binding": (
        {"xmpp": {"plus_on_tls13": True}},
        [auth(b"p=tls-server-end-point" + SCRAM_FIRST[1:], "SCRAM-SHA-1-PLUS")],
        ["challenge"],
    ),
    "guessing": (
        {}, [WRONG] * 4 + [auth()], ["not-authorized"] * 4 + ["policy-violation"]
    ),
    "guessing less": (
        {"xmpp": {"attempts": 2}}, [WRONG] * 2, ["not-authorized"] * 2 + ["policy-violation"]
    ),
    "giving up": (
        {"xmpp": {"attempts": 2}},
        [auth(None), ABORT, WRONG, auth(None), ABORT, auth()],
        ["challenge", "aborted", "not-authorized", "challenge", "aborted", "success"],
    ),
    "nothing was asked": ({}, [respond()], ["malformed-request"]),
    "nothing to give up": ({}, [ABORT], ["malformed-request"]),
    "fault": (
        {"fault": [{"where": "auth", "nth": 1, "reply": "temporary-auth-failure later"}]},
        [auth(), auth()],
        ["temporary-auth-failure", "success"],
    ),
    "fault that ends the stream": (
        {"fault": [{"where": "auth", "reply": "stream:system-shutdown"}]},
        [auth()],
        ["system-shutdown"],
    ),
    "fault at a mechanism": (
        {"fault": [{"where": "auth", "arg": "PLAIN", "reply": "mechanism-too-weak"}]},
        [auth(), auth(SCRAM_FIRST, "SCRAM-SHA-1")],
        ["mechanism-too-weak", "challenge"],
    ),
    "fault at a response": (
        {"fault": [{"where": "response", "reply": "account-disabled"}]},
        [auth(None), respond(PLAIN)],
        ["challenge", "account-disabled"],
    ),
    "fault at abort": (
        {"fault": [{"where": "abort", "reply": "credentials-expired"}]},
        [auth(None), ABORT],
        ["challenge", "credentials-expired"],
    ),
    "fault that hangs up": (
        {"fault": [{"where": "auth", "hang_up": "before"}]}, [auth()], []
    ),
}  # fmt: skip


@pytest.mark.parametrize("title", RULES)
@pytest.mark.parametrize("write", [by_sasl, by_sasl2])
def test_each_rule_holds_in_both_versions(
    title: str, write: Callable[[str, str, bytes | None], bytes]
) -> None:
    config, steps, expected = RULES[title]
    place = world(tls="optional", **config)
    client = secured(place)
    assert outcome(client.says(*(write(*step) for step in steps))) == expected
    shown = render(place.recording)
    for verb, _, response in steps:
        if verb != "abort" and response:
            assert base64.b64encode(response).decode() not in shown
    assert (client.core.user != "") == ("success" in expected)


def test_both_versions_have_the_same_verbs() -> None:
    other = module.Sasl2.profile
    assert other is not None and set(other.verbs.values()) == set(RFC_6120.verbs.values())


def test_a_login_in_clear_is_refused_where_tls_is_required() -> None:
    for write in (by_sasl, by_sasl2):
        client = Client(world(tls="required", xmpp={"sasl2_in_clear": True}))
        client.says(HEADER)
        assert outcome(client.says(write(*auth()))) == ["encryption-required"]


@pytest.mark.parametrize("write", [by_sasl, by_sasl2])
def test_an_account_that_was_deleted_is_unknown(
    write: Callable[[str, str, bytes | None], bytes],
) -> None:
    place = world(tls="optional")
    place.jabber.remove("romeo@example.test")
    assert outcome(secured(place).says(write(*auth()))) == ["not-authorized"]


@pytest.mark.parametrize("write", [by_sasl, by_sasl2])
def test_an_account_that_was_disabled_is_told_so_after_it_has_proved_who_it_is(
    write: Callable[[str, str, bytes | None], bytes],
) -> None:
    place = world(tls="optional", xmpp={"admins": ["juliet@example.test"]})
    place.jabber.service.extensions.named("administration").stored["romeo@example.test"] = True
    answers = secured(place).says(write(*WRONG), write(*auth()))
    assert outcome(answers) == ["not-authorized", "account-disabled"]


@pytest.mark.parametrize("write", [by_sasl, by_sasl2])
def test_who_has_failed_does_not_get_in_by_the_old_login(
    write: Callable[[str, str, bytes | None], bytes],
) -> None:
    client = secured(world(tls="optional", xmpp={"on": ["legacy-login"]}))
    client.says(write(*WRONG))
    answer = client.says(b"<iq type='get' id='1'><query xmlns='jabber:iq:auth'/></iq>")
    assert outcome(answer) == ["policy-violation"]


@pytest.mark.parametrize("cut", [14, 35, 60])
def test_half_a_request_shows_no_password(cut: int) -> None:
    place = world(tls="optional")
    client = secured(place)
    begin = f"<authenticate xmlns='{SASL2}' mechanism='PLAIN'><initial-response>".encode()
    text = base64.b64encode(b"\0romeo\0tell nobody, ever and ever and ever")[:cut]
    client.says(begin + text)
    client.core.eof()
    shown = render(place.recording)
    assert "{not base64}" in shown and text.decode() not in shown


@pytest.mark.parametrize(
    "written",
    [
        "<initial-response>%s</initial-response>",
        "<s:initial-response xmlns:s='urn:xmpp:sasl:2'>%s</s:initial-response>",
        "<initial-response a='&gt;>'> %s\n</initial-response>",
        "<initial-response><![CDATA[%s]]></initial-response>",
        "<initial-response><![CDATA[</initial-response>%s]]></initial-response>",
        "<initial-response>AA==</initial-response><initial-response>%s</initial-response>",
    ],
)
def test_a_password_is_hidden_however_it_is_written(written: str) -> None:
    place = world(tls="optional")
    text = base64.b64encode(PLAIN).decode()
    secured(place).says(authenticate(None, written % text))
    assert text not in render(place.recording)


# ── what it offers ───────────────────────────────────────────────────────────


def offer(place_config: dict[str, object], tls: TlsFacts | None) -> str:
    client = Client(world(**place_config))
    client.core.tls = tls
    found = re.search(r"<authentication.*</authentication>", client.says(HEADER).decode())
    return found[0] if found else ""


INSIDE = TlsFacts("TLSv1.3", bindings={"tls-server-end-point": bytes(32)})


def test_it_is_offered_only_inside_tls() -> None:
    assert "<inline>" in offer({}, INSIDE)
    assert offer({}, None) == ""
    assert "<inline>" in offer({"xmpp": {"sasl2_in_clear": True}}, None)
    client = Client(world())
    client.says(HEADER)
    assert outcome(client.says(authenticate())) == ["encryption-required"]


def test_it_lists_the_same_mechanisms_as_the_older_sasl() -> None:
    client = Client(world(xmpp={"anonymous": True, "plus_on_tls13": True}))
    client.core.tls = INSIDE
    answer = client.says(HEADER).decode()
    both = re.findall(r"<mechanism>([A-Z0-9-]+)<", answer.partition("<inline>")[0])
    assert both[: len(both) // 2] == both[len(both) // 2 :] and len(both) == 14
    assert "<channel-binding type='tls-server-end-point'/>" in answer


@pytest.mark.parametrize(
    ("off", "lost"),
    [
        ("sasl2", ["<authentication"]),
        ("bind2", ["<bind xmlns='urn:xmpp:bind:0'>"]),
        ("fast", ["<fast "]),
        ("carbons", ["<feature var='urn:xmpp:carbons:2'/>"]),
        ("client-state", ["<feature var='urn:xmpp:csi:0'/>"]),
        ("stream-management", ["<feature var='urn:xmpp:sm:3'/>", "<sm xmlns='urn:xmpp:sm:3'/>"]),
    ],
)
def test_what_is_switched_off_is_not_offered(off: str, lost: list[str]) -> None:
    whole, rest = offer({}, INSIDE), offer({"off": {"xmpp": [off]}}, INSIDE)
    assert [part in whole for part in lost] == [True] * len(lost)
    assert [part in rest for part in lost] == [False] * len(lost)
    assert (rest == "") == (off == "sasl2")


def test_without_the_extension_its_elements_do_not_exist() -> None:
    client = secured(world(tls="optional", off={"xmpp": ["sasl2"]}))
    assert outcome(client.says(authenticate())) == ["unsupported-stanza-type"]


# ── success ──────────────────────────────────────────────────────────────────


def test_a_login_goes_on_without_another_header() -> None:
    client, answer = logged_in(world(tls="optional"))
    identity = "<authorization-identifier>romeo@example.test</authorization-identifier>"
    assert answer.startswith(
        f"<success xmlns='{SASL2}'>{identity}</success><stream:features><bind ".encode()
    )
    assert client.core.state == "LOGIN"
    assert parse_stanza(client.says(bind())).type == "result"
    assert client.says(b"<presence/>").startswith(b"<presence ")


def test_a_mechanism_may_have_the_last_word() -> None:
    client = secured(world(tls="optional"))
    first = authenticate(b"n,," + scram_name("romeo"), mechanism="SCRAM-SHA-256")
    challenge = base64.b64decode(client.says(first).partition(b">")[2].partition(b"<")[0])
    proof = scram_proof("sha256", "romeo", b"secret", challenge)
    answer = client.says(by_sasl2(*respond(proof)))
    data = re.search(rb"^<success [^>]*><additional-data>([^<]+)<", answer)
    assert data is not None and base64.b64decode(data[1]).startswith(b"v=")


@pytest.mark.parametrize("state", [(), (bind2(),)])
def test_a_second_login_ends_the_stream(state: tuple[str, ...]) -> None:
    client, _ = logged_in(world(tls="optional"), *state)
    assert outcome(client.says(authenticate())) == ["policy-violation"]


# ── what it refuses ──────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("=", "incorrect-encoding"),
        ("AHJvbWVv!", "incorrect-encoding"),
        ("ä", "incorrect-encoding"),
        ("AHJvbWVvAHNl\n  Y3JldA==", "success"),
        ("AHJvbWVvAHNlY3JldA", "incorrect-encoding"),
    ],
)
def test_a_response_is_base64_that_may_be_wrapped(text: str, result: str) -> None:
    request = authenticate(None, f"<initial-response>{text}</initial-response>")
    assert outcome(secured(world(tls="optional")).says(request)) == [result]
    client = secured(world(tls="optional"))
    client.says(authenticate(None))
    assert outcome(client.says(f"<response xmlns='{SASL2}'>{text}</response>".encode())) == [result]


@pytest.mark.parametrize(
    ("id", "result"),
    [
        ("", "success"),
        ("D4565FA7-4d72-4749-b3d3-740edbf87770", "success"),
        ("d4565fa7-4d72-1749-b3d3-740edbf87770", "malformed-request"),
        ("d4565fa74d724749b3d3740edbf87770", "malformed-request"),
        ("my phone", "malformed-request"),
    ],
)
def test_the_id_of_a_user_agent_is_a_uuid_of_version_4(id: str, result: str) -> None:
    assert outcome(secured(world(tls="optional")).says(authenticate(id=id))) == [result]


@pytest.mark.parametrize(
    ("claimed", "result"),
    [
        ("romeo@example.test", "success"),
        ("romeo@example.test/home", "success"),
        ("example.test", "success"),
        ("juliet@example.test", "invalid-authzid"),
        ("romeo@elsewhere.test", "invalid-from"),
    ],
)
def test_the_header_must_not_name_another_address(claimed: str, result: str) -> None:
    header = HEADER.replace(b"to=", f"from='{claimed}' to=".encode())
    client = secured(world(tls="optional"), header)
    assert outcome(client.says(authenticate())) == [result]
    assert client.core.closed == (result == "invalid-from")


@pytest.mark.parametrize(
    "data",
    [
        b" ",
        b"\n",
        b"<presence/>",
        b"<iq type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
        authenticate(),
        by_sasl(*auth()),
        by_sasl(*respond(PLAIN)),
        by_sasl(*ABORT),
        f"<next xmlns='{SASL2}' task='x'/>".encode(),
    ],
)
def test_during_a_login_anything_but_its_response_ends_the_stream(data: bytes) -> None:
    client = secured(world(tls="optional"))
    assert outcome(client.says(authenticate(None))) == ["challenge"]
    answer = client.says(data)
    assert b"<stream:error>" in answer and client.core.closed
    assert client.core.user == ""


@pytest.mark.parametrize("step", [auth(), respond(PLAIN), ABORT])
def test_a_login_of_rfc_6120_does_not_go_on_in_the_other_version(step: Step) -> None:
    client = secured(world(tls="optional"))
    client.says(by_sasl(*auth(None)))
    assert outcome(client.says(by_sasl2(*step))) == ["policy-violation"]


def test_nothing_of_a_failed_request_happens() -> None:
    client = secured(world(tls="optional"))
    client.says(authenticate(b"\0romeo\0guess", bind2()))
    answer = client.says(authenticate())
    assert outcome(answer) == ["success"] and b"<bound" not in answer


def test_an_anonymous_user_who_claims_another_address_leaves_nothing_behind() -> None:
    place = world(tls="optional", xmpp={"anonymous": True})
    client = secured(place, HEADER.replace(b"to=", b"from='romeo@example.test' to="))
    assert outcome(client.says(authenticate(b"", mechanism="ANONYMOUS"))) == ["invalid-authzid"]
    assert len(place.jabber.accounts) == 2


# ── states and chunks ────────────────────────────────────────────────────────

LEADS = {
    "SASL": [authenticate(None)],
    "LOGIN": [authenticate()],
    "BOUND": [authenticate(PLAIN, bind2())],
}


@pytest.mark.parametrize("state", LEADS)
def test_after_it_each_verb_is_accepted_in_the_same_states(state: str) -> None:
    written = {**UNITS, "auth": authenticate(), "response": by_sasl2(*respond(PLAIN))}
    written["abort"] = by_sasl2(*ABORT)
    wrong = []
    for verb, row in Xmpp.verbs.items():
        if verb in BY_POSITION:
            continue
        client = secured(world(tls="optional", xmpp={"on": ["registration", "legacy-login"]}))
        client.says(*LEADS[state])
        assert client.core.state == state
        answer = client.says(written[verb])
        refused = any(part in answer for part in REFUSED_FOR_STATE)
        # Nothing begins again inside a login, unlike in RFC 6120 §6.4.2.
        legal = state in row.states and (state, verb) != ("SASL", "auth")
        if refused is legal:
            wrong.append(verb)
    assert wrong == []


WHOLE = b"".join(
    (
        HEADER,
        authenticate(b"\0romeo\0wrong", bind2()),
        authenticate(None, bind2("<enable xmlns='urn:xmpp:carbons:2'/>", tag="play")),
        by_sasl2(*respond(PLAIN)),
        b" \n<presence/>",
        UNITS["iq"],
        b"<r xmlns='urn:xmpp:sm:3'/></stream:stream>",
    )
)


def played(chunks: list[bytes]) -> tuple[bytes, list[tuple[str, str, bytes]]]:
    place = world(xmpp={"sasl2_in_clear": True})
    answers = Client(place).says(*chunks)
    return answers, [(record.direction, record.verb, record.raw) for record in place.records]


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_every_chunking_yields_the_same_answers_and_records(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    assert played([WHOLE[a:b] for a, b in itertools.pairwise(edges)]) == played([WHOLE])


PIECES = st.sampled_from(
    [
        authenticate(), authenticate(None), authenticate(PLAIN, bind2()), by_sasl2(*ABORT),
        by_sasl2(*respond(PLAIN)), by_sasl(*auth(None)), by_sasl(*ABORT), b" ", b"<presence/>",
        f"<authenticate xmlns='{SASL2}'><initial-response>".encode(), b"</initial-response>",
        b"</authenticate>", f"<authenticate xmlns='{SASL2}'/>".encode(), b"AHJvbWVvAHNlY3JldA==",
        b"<initial-response/>", b"<user-agent id='x'/>", b"<bind xmlns='urn:xmpp:bind:0'>",
        b"</bind>", b"<tag>", b"</tag>", b"<enable xmlns='urn:xmpp:sm:3'/>", b"&#0;", b"<![CDATA[",
        b"<resume xmlns='urn:xmpp:sm:3' previd='x' h='0'/>", b"<fast xmlns='urn:xmpp:fast:0'/>",
        b"<request-token xmlns='urn:xmpp:fast:0' mechanism='HT-SHA-256-NONE'/>", b"]]>",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=10))
def test_no_sequence_of_pieces_raises_an_exception(pieces: list[bytes]) -> None:
    client = Client(world(xmpp={"sasl2_in_clear": True}))
    client.says(HEADER, *pieces)
    client.core.eof()
    assert client.core.closed


def test_a_client_without_the_extension_is_served_as_before() -> None:
    assert b"<iq" in bound(world(tls="optional")).says(UNITS["iq"])
