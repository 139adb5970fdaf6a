"""XEP-0363: slots by Jabber, files by HTTP; what is refused, dropped and never found."""

from __future__ import annotations

import http.client
import ssl
from collections.abc import Iterable
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit
from xml.etree.ElementTree import Element

import pytest

from fakes import World
from fakes.http import Request
from fakes.people import People, Person
from fakes.transcripts.recorder import render
from fakes.wire import Runtime
from fakes.xmpp import Jabber, Policy
from fakes.xmpp.addresses import Jid
from fakes.xmpp.extension import Extension
from fakes.xmpp.extensions import EXTENSIONS, upload
from fakes.xmpp.extensions.upload import OPEN_SLOTS, PURPOSE, UPLOAD, VALID, SharedFile
from fakes.xmpp.stanzas import Stanza, parse_stanza
from tests.bare_core import drain
from tests.xmpp_raw import bound, world

ROMEO, JULIET = "romeo@example.test", "juliet@example.test"
HEADERS = {"host": "h", "content-length": "3"}


class Play:
    """A Jabber whose web server is a function, and whose clock the test sets."""

    def __init__(self, extensions: Iterable[type[Extension]] = (), **policy: Any) -> None:
        self.now = 1_000_000.0
        numbers = iter(range(100_000))
        runtime = Runtime(lambda: self.now, lambda length: f"{next(numbers):0{length}}")
        self.said: list[str] = []
        self.jabber = Jabber(
            runtime,
            People([Person(ROMEO), Person(JULIET)]),
            policy=Policy(**policy),
            extensions=(*EXTENSIONS, *extensions),
            web=lambda name: f"https://{name}",
            on_drop=self.said.append,
        )

    def ask(self, name: str = "a.txt", size: object = 3, inside: str = "", **given: str) -> Stanza:
        """Asks for a slot; returns the answer."""
        type, to = given.get("type", "get"), given.get("to", "upload.example.test")
        kind = f" content-type='{given['kind']}'" if "kind" in given else ""
        request = (
            f"<request xmlns='{UPLOAD}' filename='{name}' size='{size}'{kind}>{inside}</request>"
        )
        actor = self.jabber.actor(given.get("who", ROMEO))
        actor.clear()
        actor.sends(f"<iq type='{type}' id='s' to='{to}'>{request}</iq>")
        return actor.all[-1]

    def slot(self, *given: Any, **more: Any) -> str:
        """Asks for a slot; returns its address."""
        answer = self.ask(*given, **more)
        put, get = answer.element[0]
        assert put.get("url") == get.get("url"), answer
        return put.get("url") or ""

    def web(
        self, method: str, url: str, body: bytes = b"", **headers: str
    ) -> tuple[int, str, bytes]:
        """Makes a request; returns the status, the type, and the content."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        length = {"content-length": str(len(body))} if method == "PUT" else {}
        target = urlsplit(url)._replace(scheme="", netloc="").geturl()
        request = Request(method, target, "HTTP/1.1", {**length, **given}, body)
        response = self.jabber.service.serve(request)
        assert response is not None
        return response.status, response.type, response.content

    def put(self, url: str, body: bytes = b"abc", **headers: str) -> int:
        return self.web("PUT", url, body, **headers)[0]


def test_a_file_is_put_into_its_slot_and_got_by_anybody() -> None:
    play = Play()
    answer = play.ask("très cool.jpg", 3, kind="image/jpeg")
    token = f"{0:032}"
    url = f"https://upload.example.test/file_share/{token}/tr%C3%A8s%20cool.jpg"
    assert answer.to_bytes().decode() == (
        f"<iq from='upload.example.test' to='{ROMEO}/play' id='s' type='result'>"
        f"<slot xmlns='{UPLOAD}'><put url='{url}'/><get url='{url}'/></slot></iq>"
    )
    assert play.web("GET", url)[0] == 404, "nothing is there yet"
    assert play.put(url, content_type="image/jpeg") == 201
    assert play.web("GET", url) == (200, "image/jpeg", b"abc")
    assert play.jabber.uploads == [
        SharedFile(ROMEO, "très cool.jpg", "image/jpeg", b"abc", url, play.now)
    ]


def test_the_service_says_what_it_is_and_how_large_a_file_may_be() -> None:
    play = Play(upload=5_242_880)
    actor = play.jabber.actor(ROMEO)
    query = "<query xmlns='http://jabber.org/protocol/disco#{}'/>"
    actor.sends(f"<iq type='get' id='1' to='example.test'>{query.format('items')}</iq>")
    assert {item.get("jid") for item in actor.all[-1].element[0]} >= {"upload.example.test"}
    actor.sends(f"<iq type='get' id='2' to='upload.example.test'>{query.format('info')}</iq>")
    info = actor.all[-1].element[0]
    assert info[0].attrib == {"category": "store", "type": "file", "name": "HTTP File Upload"}
    assert {one.get("var") for one in info} >= {UPLOAD, f"{PURPOSE}#message", f"{PURPOSE}#profile"}
    form = info.find("{jabber:x:data}x")
    assert form is not None
    fields = {field.get("var"): field[0].text for field in form}
    assert fields == {"FORM_TYPE": UPLOAD, "max-file-size": "5242880"}


# ── slots that are refused ───────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("name", "size", "condition"),
    [
        ("", 3, "bad-request"),
        ("a", "", "bad-request"),
        ("a", 0, "bad-request"),
        ("a", -1, "bad-request"),
        ("a", "3.5", "bad-request"),
        ("a", "٣", "bad-request"),
        ("a", "9" * 5000, "bad-request"),
        ("a", 10 << 20, ""),
        ("a", (10 << 20) + 1, "not-acceptable"),
        ("../../etc/passwd", 3, "not-acceptable"),
        ("/", 3, "not-acceptable"),
        ("C:\\a", 3, "not-acceptable"),
        (".", 3, "not-acceptable"),
        ("..", 3, "not-acceptable"),
        ("...", 3, ""),
        ("a&#xA;b", 3, "not-acceptable"),
        ("a&#x7F;b", 3, "not-acceptable"),
        ("a&#x85;b", 3, "not-acceptable"),
        ("%2e%2e%2fa", 3, ""),
        ("é" * 127, 3, ""),
        ("é" * 128, 3, "not-acceptable"),
        ("a" * 100_000, 3, "not-acceptable"),
    ],
)
def test_a_name_or_a_size_that_cannot_be_is_refused(
    name: str, size: object, condition: str
) -> None:
    assert Play().ask(name, size).condition == condition


@pytest.mark.parametrize("kind", ["text", "text/", "a b/c", "text/plain&#xD;&#xA;X: y", "a/é", "/"])
def test_a_content_type_that_cannot_be_a_field_is_refused(kind: str) -> None:
    assert Play().ask(kind=kind).condition == "bad-request"


def test_who_may_not_upload_and_what_is_no_request() -> None:
    play = Play()
    assert play.ask(type="set").condition == "bad-request"
    assert play.ask(to="files@upload.example.test").condition == "item-not-found"

    class Far(Extension):
        """Another domain."""

        name = "far"
        got: ClassVar[list[Stanza]] = []

        def domains(self) -> Iterable[str]:
            return ("far.test",)

        def receive(self, stanza: Stanza, to: Jid) -> bool:
            self.got.append(stanza)
            return True

    request = f"<request xmlns='{UPLOAD}' filename='a' size='3'/>"
    iq = f"<iq type='get' id='1' from='tybalt@far.test' to='upload.example.test'>{request}</iq>"
    Play(extensions=(Far,)).jabber.inject(iq)
    [answer] = Far.got
    error = answer.child("error")
    assert answer.condition == "forbidden" and error is not None and error.get("type") == "auth"


def test_a_file_that_is_too_large_is_refused_with_the_limit() -> None:
    answer = Play(upload=20_000).ask("très cool.jpg", 23456, kind="image/jpeg")
    error = answer.child("error")
    assert error is not None and error.get("type") == "modify"
    assert answer.payload == f"{{{UPLOAD}}}request", "the request is repeated"
    text = "{urn:ietf:params:xml:ns:xmpp-stanzas}text"
    assert error.findtext(text) == "File too large. The maximum file size is 20000 bytes"
    too_large = error.find(f"{{{UPLOAD}}}file-too-large")
    assert too_large is not None and too_large[0].tag == f"{{{UPLOAD}}}max-file-size"
    assert too_large[0].text == "20000"


def retry(answer: Stanza) -> str | None:
    assert answer.condition == "resource-constraint", answer
    error = answer.child("error")
    assert error is not None and error.get("type") == "wait"
    found = error.find(f"{{{UPLOAD}}}retry")
    assert isinstance(found, Element)
    return found.get("stamp")


def test_a_quota_says_when_to_try_again() -> None:
    play = Play(upload=60, upload_quota=100)
    play.now = 0.5
    play.slot(size=60)
    play.now = 3600.0
    play.slot(size=30)
    assert retry(play.ask(size=20)) == "1970-01-02T00:00:01Z"
    assert retry(play.ask(size=60)) == "1970-01-02T00:00:01Z"
    assert play.ask(size=10).condition == ""
    assert play.ask(size=60, who=JULIET).condition == "", "each account has its own"
    assert retry(play.ask(size=60)) == "1970-01-02T00:00:01Z"
    play.now = 86401.0
    assert play.ask(size=60).condition == ""
    assert retry(play.ask(size=1)) == "1970-01-02T01:00:00Z"


def test_an_account_has_a_limited_number_of_slots_at_a_time() -> None:
    play = Play()
    for _ in range(OPEN_SLOTS):
        play.slot()
    assert retry(play.ask()) == "1970-01-12T13:51:40Z"
    play.now += VALID
    assert play.ask().condition == ""


def test_the_slots_that_are_remembered_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upload, "SLOTS", 2)
    play = Play()
    urls = [play.slot() for _ in range(3)]
    assert [play.put(url) for url in urls] == [404, 201, 201]


# ── files that are refused ───────────────────────────────────────────────────


def test_a_slot_takes_one_file_of_its_size_and_type_while_it_is_valid() -> None:
    play = Play()
    url = play.slot(kind="text/plain")
    rest, _, name = url.rpartition("/")
    assert play.put(url, b"abcd") == 413
    assert play.put(url, b"ab") == 400
    assert play.put(url, content_type="text/html") == 415
    assert play.put(url, content_type="text/plain\x0b") == 400
    assert play.put(f"{rest}/b.txt") == 404
    assert play.put(f"{rest[:-1]}x/{name}") == 404
    assert play.put(f"{rest}/x/../{name}") == 404
    assert play.put(f"{rest}/%2e%2e/{name}") == 404
    assert play.put("https://upload.example.test/file_share/") == 404
    assert play.web("PUT", url, b"", content_length="")[0] == 400
    assert play.jabber.uploads == []
    assert play.put(url, content_type="Text/Plain; charset=UTF-8") == 201
    assert play.put(url) == 409
    late = play.slot()
    play.now += VALID
    assert play.put(late) == 410
    assert play.put(url) == 409


def test_other_methods() -> None:
    play = Play()
    url = play.slot()
    assert play.web("POST", url)[0] == 405
    assert play.web("DELETE", url)[0] == 405
    assert play.web("OPTIONS", url)[0] == 204
    assert play.web("PUT", url, content_length="3")[0] == 400
    request = Request("PUT", urlsplit(url).path, "HTTP/1.1", {}, b"")
    response = play.jabber.service.serve(request)
    assert response is not None and response.status == 411


def test_an_authorization_is_needed_where_the_slot_gives_one() -> None:
    play = Play(upload_authorization=True)
    put = play.ask().element[0][0]
    url, [header] = put.get("url") or "", list(put)
    assert (header.tag, header.get("name")) == (f"{{{UPLOAD}}}header", "Authorization")
    assert play.put(url) == 401
    assert play.put(url, authorization="Bearer é") == 401
    assert play.put(url, authorization=header.text or "") == 201


def test_no_transcript_shows_what_a_slot_needs() -> None:
    server = world(xmpp={"upload_authorization": True})
    client = bound(server)
    asked = f"<request xmlns='{UPLOAD}' filename='a' size='3'/>"
    got = client.says(f"<iq type='get' id='1' to='upload.example.test'>{asked}</iq>".encode())
    secret = parse_stanza(got).element[0][0][0].text or ""
    assert secret.startswith("Bearer ")
    shown = render(server.recording)
    assert secret not in shown and "<header name='Authorization'>*</header>" in shown


@pytest.mark.parametrize(
    ("asked", "put", "type", "disposition"),
    [
        ("", "", "application/octet-stream", "attachment"),
        ("image/png", "", "image/png", "inline"),
        ("", "image/svg+xml", "image/svg+xml", "attachment"),
        ("", "text/html", "text/html", "attachment"),
        ("", "Text/Plain", "Text/Plain", "inline"),
    ],
)
def test_a_browser_runs_nothing_of_what_is_got(
    asked: str, put: str, type: str, disposition: str
) -> None:
    play = Play()
    name = "a'b\"; x=.html"
    url = play.slot(quote_xml(name), **({"kind": asked} if asked else {}))
    assert play.web("PUT", url, b"abc", **({"content_type": put} if put else {}))[0] == 201
    request = Request("GET", urlsplit(url).path, "HTTP/1.1", {})
    response = play.jabber.service.serve(request)
    assert response is not None and response.type == type
    assert response.headers == {
        "Content-Disposition": f"{disposition}; filename*=UTF-8''{quote(name)}",
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none';",
        "X-Content-Type-Options": "nosniff",
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "OPTIONS, HEAD, GET, PUT",
        "Access-Control-Allow-Headers": "Authorization, Content-Type",
    }


def quote_xml(text: str) -> str:
    return text.replace("'", "&apos;").replace('"', "&quot;")


# ── what they are for, and how long they stay ────────────────────────────────


def test_a_purpose_is_kept_and_an_ephemeral_file_expires() -> None:
    play = Play()
    for purpose in ("message", "profile", "permanent", "unknown"):
        assert play.put(play.slot(inside=f"<{purpose} xmlns='{PURPOSE}'/>")) == 201
    soon = f"<ephemeral xmlns='{PURPOSE}' expire-before='1970-01-12T14:46:40.5+01:00'/>"
    url = play.slot(inside=soon)
    assert play.put(url) == 201
    purposes = [file.purpose for file in play.jabber.uploads]
    assert purposes == ["message", "profile", "permanent", "message", "ephemeral"]
    assert play.web("GET", url)[0] == 200
    play.now = 1_000_000.5
    assert play.web("GET", url)[0] == 410


@pytest.mark.parametrize(
    "time", ["", "now", "1970-01-12T13:46:40Z", "2025-02-30T00:00:00Z", "2025-09-10T23:08:25"]
)
def test_an_ephemeral_file_needs_a_time_to_come(time: str) -> None:
    inside = f"<ephemeral xmlns='{PURPOSE}' expire-before='{time}'/>"
    assert Play().ask(inside=inside).condition == "bad-request"


def test_the_oldest_files_are_dropped_and_that_is_said_but_lasting_ones_come_last() -> None:
    play = Play(upload=4, upload_kept=10)
    avatar = play.slot(size=4, inside=f"<profile xmlns='{PURPOSE}'/>")
    urls = [avatar, *(play.slot(size=3) for _ in range(3))]
    for url, body in zip(urls, (b"face", b"one", b"two", b"six"), strict=True):
        assert play.put(url, body) == 201
    assert [play.web("GET", url)[0] for url in urls] == [200, 404, 404, 200]
    assert play.said == ["uploads: the 2 oldest files were dropped (xmpp.upload_kept)"]
    assert play.put(urls[1], b"one") == 404, "the slot was used"


def test_files_outlive_the_server_and_not_their_account() -> None:
    play, other = Play(), Play()
    url = play.slot()
    play.put(url)
    other.jabber.service.restore(play.jabber.service.stored())
    assert other.web("GET", url)[2] == b"abc"
    other.jabber.remove(ROMEO)
    assert other.web("GET", url)[0] == 404
    assert play.web("GET", url)[0] == 200


# ── the web server of a world ────────────────────────────────────────────────


def test_it_exists_only_where_it_is_on_and_has_a_web_server() -> None:
    items = "<query xmlns='http://jabber.org/protocol/disco#items'/>"

    def services(place: World) -> set[str | None]:
        actor = place.jabber.actor(ROMEO)
        actor.sends(f"<iq type='get' id='1' to='example.test'>{items}</iq>")
        return {item.get("jid") for item in actor.all[-1].element[0]}

    assert "upload.example.test" in services(world())
    assert "upload.example.test" not in services(world(off={"xmpp": ["upload"]}))
    people = [{"address": ROMEO}]
    alone = World({"servers": ["xmpp"], "person": people, "tls": "off"}, ports={"xmpp": 0})
    assert "upload.example.test" not in services(alone)


def test_a_world_without_it_records_the_same_path_as_any_other() -> None:
    for off, count in ((["upload"], 1), ([], 0)):
        place = world(off={"xmpp": off})
        core = place.core("webhook")
        core.receive(b"GET /file_share/x/y HTTP/1.1\r\nHost: h\r\n\r\n")
        assert drain(core).startswith(b"HTTP/1.1 200" if off else b"HTTP/1.1 404")
        assert len(place.webhook.all) == count


@pytest.mark.parametrize("tls", ["off", "optional"])
def test_the_web_server_opens_for_the_first_slot(tls: str) -> None:
    with World({"servers": ["xmpp"], "tls": tls}) as place:
        assert list(place.listeners) == ["xmpp"]
        actor = place.jabber.actor("alice@example.test")
        request = f"<request xmlns='{UPLOAD}' filename='a' size='3'/>"
        actor.sends(f"<iq type='get' id='s' to='upload.example.test'>{request}</iq>")
        url = urlsplit(actor.all[-1].element[0][0].get("url") or "")
        assert list(place.listeners) == ["xmpp", "webhook" if tls == "off" else "webhook-tls"]
        connection: http.client.HTTPConnection
        if tls == "off":
            connection = http.client.HTTPConnection(url.netloc, timeout=5)
        else:
            context = ssl.create_default_context(cafile=place.ca_file)
            connection = http.client.HTTPSConnection(url.netloc, timeout=5, context=context)
        place.webhook.answer(503, path="/file_share/*")
        found = []
        for method, body in (("PUT", b"abc"), ("PUT", b"abc"), ("HEAD", None), ("GET", None)):
            connection.request(method, url.path, body)
            response = connection.getresponse()
            found.append((response.status, response.headers["Content-Length"], response.read()))
        connection.close()
        assert found == [(503, "0", b""), (201, "0", b""), (200, "3", b""), (200, "3", b"abc")]
        assert [post.status for post in place.webhook.all] == [503], "uploads are not recorded"
        [file] = place.jabber.uploads
        assert (file.owner, file.content) == ("alice@example.test", b"abc")
