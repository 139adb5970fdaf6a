"""Mistakes in a transcript: one line that names the file, the line, the word and the remedy."""

from __future__ import annotations

import pytest

from fakes.servers import SERVERS
from fakes.transcripts.player import play_on_core, play_on_socket
from fakes.transcripts.text import TranscriptError, parse, split

TITLES = {"smtp": "SMTP", "pop3": "POP3", "toc": "TOC", "xmpp": "XMPP"}
WORDS = [
    (TITLES[server.name], f"{kind}: {word}")
    for server in SERVERS
    for kind, table in (("then", server.words), ("cue", server.cues))
    for word in table
]


@pytest.mark.parametrize("text", ["", "nobody", "x y z", "alice@example.test bob", "ü\\ \0"])
@pytest.mark.parametrize(("title", "word"), WORDS)
def test_no_text_after_a_word_ends_in_another_error(title: str, word: str, text: str) -> None:
    try:
        play_on_core(parse(f"{title}: x\n\n{word} {text}\n"))
    except TranscriptError as error:
        assert str(error).startswith("transcript:3: ")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("TOC: x\n\ncue: aim-says ops\n", "cue: aim-says: expected FROM TO TEXT, found 'ops'"),
        ("TOC: x\n\ncue: aim-warns ops all\n", "'all' is not a warning level; write aim-warns ops"),
        ("TOC: x\n\ncue: aim-pauses ops long\n", "'long' is not a number of seconds"),
        ("TOC: x\n\ncue: aim-sends ops NICK:x\n", "ops is not signed on; users online: nobody"),
        ("TOC: x\n\ncue: aim-sings ops\n", "unknown word 'aim-sings'"),
        ("TOC: x\ntalks: web htpp at toc\n\nweb C: x\n", "'htpp' .did you mean 'http'"),
        ("XMPP: x\n\nthen: roster\n", "then: roster: expected ADDRESS …, found ''"),
        ("XMPP: x\n\nthen: roster tybalt\n", "no account with the address tybalt; the accounts"),
        ("XMPP: x\n\ncue: jabber-injects x\n", "not one stanza: 'x'; write one <message/>"),
        ("XMPP: x\n\nS: <a>\n", "'<a>' is not one whole piece of a stream; complete it"),
        ("SMTP: x\n\nC: (tls)\n", "C: the server did not agree to TLS"),
        ("SMTP: x\n\nC: AUTH {plian alice}\n", r"unknown secret \{plian alice\}; write"),
    ],
)
def test_a_mistake_names_its_line_and_the_remedy(text: str, problem: str) -> None:
    with pytest.raises(TranscriptError, match=problem) as failure:
        play_on_core(parse(text))
    assert "\n" not in str(failure.value)


def test_tls_on_a_socket_of_a_world_without_it_is_a_mistake_too() -> None:
    with pytest.raises(TranscriptError, match='the servers have no TLS; write given: tls = "opt'):
        play_on_socket(parse('SMTP: x\ngiven: tls = "off"\n\nC: (tls)\n'))


def test_the_last_field_of_a_form_takes_the_rest() -> None:
    assert split("romeo juliet good night", "FROM TO TEXT") == ["romeo", "juliet", "good night"]
    assert split("romeo", "ADDRESS …") == ["romeo", ""]
    for text in ("", "romeo", " juliet x"):
        with pytest.raises(ValueError, match="expected FROM TO TEXT"):
            split(text, "FROM TO TEXT")
