"""Every transcript of tests/transcripts, played on the bare core and on a socket."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes.transcripts.player import play_on_core, play_on_socket
from fakes.transcripts.text import load

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_core_keeps_to_the_transcript(path: Path) -> None:
    play_on_core(load(path))


@pytest.mark.slow
@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_server_keeps_to_the_transcript(path: Path) -> None:
    play_on_socket(load(path))
