"""XEP-0115: the hash of what the server can do."""

from __future__ import annotations

import base64
import hashlib
import re

from tests.test_fakes_xmpp_extensions_disco import INFO, ask
from tests.xmpp_raw import HEADER, Client, plain, world

ROMEO = "romeo@example.test"


def test_the_hash_in_the_stream_features_is_that_of_the_answer_to_discovery() -> None:
    place = world()
    client = Client(place)
    features = client.says(HEADER + plain("romeo") + HEADER)
    found = re.search(rb"<c [^>]*node='([^']*)' ver='([^']*)'", features)
    assert found is not None and b"hash='sha-1'" in features
    node, version = found[1].decode(), found[2].decode()
    actor = place.jabber.actor(ROMEO)
    [query] = ask(actor, "example.test", INFO, node=f"{node}#{version}").element
    assert query.get("node") == f"{node}#{version}"
    # XEP-0115 §5.1, computed from the answer.
    identity, *features_ = query
    text = "{category}/{type}//{name}<".format(**identity.attrib)
    text += "".join(f"{var}<" for var in sorted(child.get("var") or "" for child in features_))
    assert base64.b64encode(hashlib.sha1(text.encode()).digest()).decode() == version
    assert ask(actor, "example.test", INFO, node=f"{node}#other").condition == "item-not-found"


def test_the_hash_changes_with_the_extensions() -> None:
    versions = set()
    for off in ([], ["ping"], ["ping", "time"]):
        features = Client(world(off={"xmpp": off})).says(HEADER + plain("romeo") + HEADER)
        versions.update(re.findall(rb" ver='([^']*)'", features))
    assert len(versions) == 3
