"""A world: its file and its settings."""

from __future__ import annotations

import pytest

from fakes.world import World, WorldError


@pytest.mark.parametrize(("config", "says"), [
    ({"persons": []}, "did you mean 'person'"),
    ({"person": {"address": "a@b.c"}}, r"write \[\[person\]\]"),
    ({"person": [{"adress": "a@b.c"}]}, "did you mean 'address'"),
    ({"person": [{"address": "alice"}]}, "needs an address"),
    ({"person": [{"address": "a@b.c"}, {"address": "A@b.c"}]}, "twice"),
    ({"person": [{"address": "a@b.c", "quota": "much"}]}, "person.quota is a int"),
    ({"mail": []}, r"write \[mail\]"),
    ({"mail": {"domain": ["a.b"]}}, "did you mean 'domains'"),
    ({"mail": {"unknown": "drop"}}, "reject or bounce"),
    ({"tls": "sometimes"}, "off or optional or required"),
    ({"servers": ["smpt"]}, "did you mean 'smtp'"),
    ({"off": {"smtp": ["PIPELINE"]}}, "did you mean 'PIPELINING'"),
    ({"host": {"commands": [{"output": "x"}]}}, "needs its words: run"),
    ({"host": {"commands": [{"run": ["df"], "ouput": "x"}]}}, "did you mean 'output'"),
    ({"host": {"commands": [{"run": "df -k"}]}}, "host.commands.run is a list"),
])  # fmt: skip
def test_a_world_file_that_cannot_be_used_is_told_the_key_and_the_remedy(config: dict[str, object], says: str) -> None:
    with pytest.raises(WorldError, match=says):
        World(config)


def test_the_host_of_a_world_has_the_commands_of_its_file() -> None:
    world = World(
        {"host": {"commands": [{"run": ["df", "-k"], "output": "full\n", "takes": 2, "code": 1}]}}, rehearsal=True
    )
    done = world.host.run(["df", "-k"], 10)
    assert (done.code, done.output, done.seconds) == (1, "full\n", 2)
    assert world.host.run(["df"], 10).code is None


def test_settings_are_what_a_settings_file_for_this_world_would_hold(world: World) -> None:
    smtp = world.settings["smtp"]
    assert (smtp["user"], smtp["password"]) == ("alice@example.test", "secret")
    assert smtp["tls"] in ("none", "starttls")
