# apt-get install: ngircd
"""irc-api-bot on a real ngircd, which knows neither tags nor accounts."""

from __future__ import annotations

from pathlib import Path

import pytest

from comms.irc import Message
from tests.test_real_irc_servers import ngircd, online, running, until
from tests.test_real_receiving import live

pytestmark = pytest.mark.real
CHANNEL = "#dev"


def test_it_answers_in_the_channel_of_a_real_server(tmp_path: Path) -> None:
    lines: list[tuple[str, str]] = []
    heard: list[Message] = []
    with running(ngircd) as (_, keys), online(keys, "ann", CHANNEL) as ann:
        site = tmp_path / "site.toml"
        site.write_text(
            f'[irc]\nhost = "127.0.0.1"\nport = {keys["port"]}\ntls = "none"\nnick = "apibot"\n'
            f'server_password = "open"\nchannels = ["{CHANNEL}"]\n'
            '[scenario.irc-api-bot]\nmodules = ["textwrap"]\n',
            newline="\n",
        )
        ann.on_message(heard.append)
        ann.on_line(lambda line: lines.append((line.verb, " ".join(line.parameters))))

        def notices() -> list[str]:
            return [text for verb, text in lines if verb == "NOTICE" and CHANNEL in text]

        with live("irc-api-bot", site) as program:
            until(ann, lambda: "apibot" in ann.present(CHANNEL), "the bot is in the channel")
            ann.say(CHANNEL, "hello everybody")
            ann.say(CHANNEL, "api str.split")
            ann.say(CHANNEL, "apibot: textwrap.wrp")
            until(ann, lambda: len(notices()) == 2, "two answers")
            ann.say(CHANNEL, "api more textwrap.wrap")
            until(ann, lambda: any("wrapping" in text for _, text in lines), "the whole text")
            assert program.end() == 0
        first, second, third = notices()
        assert first.startswith(f"{CHANNEL} str.split(self, /, sep=None, maxsplit=-1) - Return")
        assert second == f"{CHANNEL} I do not know textwrap.wrp; did you mean textwrap.wrap?"
        assert third == f"{CHANNEL} ann: that is long; I send it to you alone"
        assert heard == [], "what it says is a notice, and no message"
