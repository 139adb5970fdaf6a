"""Stream headers: what the client's must say, and what the server's says."""

from __future__ import annotations

import pytest

from fakes.wire import Refuse
from fakes.xmpp.header import check_header, choose_domain, serialize_header
from fakes.xmpp.markup import CLIENT, STREAMS
from fakes.xmpp.pieces import Piece

DOMAINS = ("example.test", "münchen.example")


def header(name: str = f"{{{STREAMS}}}stream", **attributes: str) -> Piece:
    return Piece("open", 0, 0, name, attributes)


@pytest.mark.parametrize(
    ("version", "answer"),
    [("1.0", "1.0"), (" 1.0 ", "1.0"), ("2.5", "1.0"), ("01.0", "1.0"), ("0.9", ""), (None, "")],
)
def test_the_version_is_the_lower_one_of_both_sides(version: str | None, answer: str) -> None:
    attributes = {} if version is None else {"version": version}
    assert check_header(header(**attributes), CLIENT) == answer


@pytest.mark.parametrize(
    ("piece", "default_namespace", "condition"),
    [
        (header(version="1"), CLIENT, "unsupported-version"),
        (header(version="x.y"), CLIENT, "unsupported-version"),
        (header(f"{{{STREAMS}}}strem"), CLIENT, "bad-format"),
        (header("{urn:x}stream"), CLIENT, "invalid-namespace"),
        (header(), "jabber:server", "invalid-namespace"),
    ],
)
def test_a_wrong_header_ends_the_stream(
    piece: Piece, default_namespace: str, condition: str
) -> None:
    with pytest.raises(Refuse) as caught:
        check_header(piece, default_namespace)
    assert caught.value.reply.condition == condition


@pytest.mark.parametrize(
    ("to", "domain"),
    [
        (None, "example.test"),
        ("Example.TEST", "example.test"),
        ("xn--mnchen-3ya.example", "münchen.example"),
        ("München.example", "münchen.example"),
    ],
)
def test_a_client_chooses_one_of_the_domains(to: str | None, domain: str) -> None:
    assert choose_domain(to, DOMAINS, "example.test") == domain


@pytest.mark.parametrize("to", ["", "other.test", "a..b", "\x00"])
def test_an_unknown_domain_ends_the_stream(to: str) -> None:
    with pytest.raises(Refuse) as caught:
        choose_domain(to, DOMAINS, "example.test")
    assert caught.value.reply.condition == "host-unknown"


def test_the_server_s_header_names_the_client_only_if_it_named_itself() -> None:
    written = serialize_header("example.test", "abc", "o'neil@example.test", "1.0").decode()
    assert "from='example.test' id='abc' to='o&apos;neil@example.test' version='1.0'" in written
    written = serialize_header("example.test", "abc", "", "").decode()
    assert " to=" not in written and written.count("version=") == 1, "the version of XML"
