"""Every transcript, on the bare core and on a socket."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes import transcript

TRANSCRIPTS = sorted((Path(__file__).parent / "transcripts").glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_core_keeps_to_the_transcript(path: Path) -> None:
    transcript.play_on_core(transcript.load(path))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_the_server_keeps_to_the_transcript(path: Path) -> None:
    transcript.play_on_socket(transcript.load(path))
