"""The world of lookup-bot: two networks, two tables, and a command."""

from __future__ import annotations

import threading
from typing import Any

PHONES = "# https://intranet.yourco.test/phones\nJeremy\t4711\nMichael\t4712\nJerry\t4713\n"
HOSTS = "web1\t192.0.2.11, rack 3\nweb2\t192.0.2.12, rack 3\ndb1\t192.0.2.21, rack 4\n"
OFFICE: dict[str, Any] = {
    "servers": ["toc", "xmpp"],
    "program": "bot@yourco.test",
    "person": [{"address": f"{name}@yourco.test"} for name in ("bot", "bob")],
    "aim": [{"screen_name": name} for name in ("LookupBot", "Ann")],
    "host": {
        "name": "web1.yourco.test",
        "commands": [{"run": ["dns-lookup"], "output": "192.0.2.80\n", "takes": 0.1}],
    },
    "scenario": {
        "lookup-bot": {
            "tables": {"phone": "phones.tsv", "host": "hosts.tsv"},
            "commands": {"dns": ["dns-lookup"]},
        }
    },
}


def trial(world: Any) -> dict[str, Any]:
    """Writes the tables for `make live`, and lets Ann ask."""
    tables = {"phone": PHONES, "host": HOSTS}
    for name, text in tables.items():
        (world.folder / f"{name}.tsv").write_text(text, newline="\n")
    ann = world.aim.actor("Ann")
    for seconds, text in ((5.0, "phone jeremy"), (8.0, "jermey")):
        timer = threading.Timer(seconds, ann.says, ("LookupBot", text))
        timer.daemon = True
        timer.start()
    paths = {name: str(world.folder / f"{name}.tsv") for name in tables}
    return {"scenario": {"lookup-bot": {"tables": paths}}}
