"""XEP-0092: the version that the server sends is that of the software."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from fakes.version import VERSION
from fakes.xmpp.stanzas import parse_stanza
from tests.xmpp_raw import bound, world

QUERY = b"<iq type='get' id='1' to='example.test'><query xmlns='jabber:iq:version'/></iq>"


def test_the_server_sends_the_name_and_the_version_of_the_software() -> None:
    [query] = parse_stanza(bound(world()).says(QUERY)).element
    assert [(child.tag.rpartition("}")[2], child.text) for child in query] == [
        ("name", "fakes"),
        ("version", VERSION),
    ]


def test_the_package_has_the_same_version_and_no_other_place_says_it() -> None:
    root = Path(__file__).parent.parent
    text = (root / "pyproject.toml").read_text("utf-8")
    assert tomllib.loads(text)["tool"]["setuptools"]["dynamic"]["version"] == {
        "attr": "fakes.version.VERSION"
    }
    # Those of the XEPs are not versions of this software.
    of_xeps = re.compile(r"XEP-[0-9]{4} \([0-9.]+|^\| [0-9]{4} .*", re.M)
    written = [
        path.relative_to(root).as_posix()
        for folder in ("comms", "fakes", "scenarios", "tests")
        for path in (root / folder).rglob("*")
        if path.suffix in (".py", ".txt", ".toml", ".md")
        and VERSION in of_xeps.sub("", path.read_text("utf-8"))
    ]
    assert written == ["fakes/version.py"]
