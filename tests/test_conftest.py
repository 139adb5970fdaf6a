"""What conftest.py does to every test of the suite."""

from __future__ import annotations

import pytest

from tests.conftest import ROOT

HUNG = """
import threading

def test_that_hangs():
    threading.Event().wait()
"""


@pytest.mark.slow
def test_a_test_that_hangs_ends_the_process_and_shows_where(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest(
        "from tests import conftest\n"
        "from tests.conftest import pytest_configure, pytest_runtest_protocol\n"
        "conftest.LONGEST_TEST, conftest.LEEWAY = 0.1, 0.0\n"
    )
    pytester.makepyfile(HUNG)
    done = pytester.runpytest_subprocess("-p", "no:fakes", "-p", "no:xdist")
    assert done.ret != 0
    done.stderr.fnmatch_lines(["Timeout (0:00:00.100000)!", "*in test_that_hangs"])
