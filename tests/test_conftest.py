"""What conftest.py does to every test of the suite."""

from __future__ import annotations

import sys

import pytest

from tests.conftest import ROOT

HUNG = """
import threading

def test_that_hangs():
    threading.Event().wait()
"""

REPORTED = """
import pytest

@pytest.fixture
def before():
    raise ValueError

@pytest.fixture
def after():
    print("printed before")
    yield
    raise ValueError

def test_passes():
    pass

def test_fails():
    assert False

def test_wrong_before(before):
    pass

def test_wrong_after(after):
    pass

@pytest.mark.skip(reason="to see it")
def test_skipped():
    pass
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
    done = pytester.runpytest_subprocess("-p", "no:fakes.pytest_plugin", "-p", "no:xdist")
    assert done.ret != 0
    done.stderr.fnmatch_lines(["Timeout (0:00:00.100000)!", "*in test_that_hangs"])


@pytest.mark.slow
def test_whatever_goes_wrong_before_or_after_a_test_in_a_worker_is_reported(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    pytester.makeconftest("from tests.conftest import pytest_sessionstart\n")
    pytester.makepyfile(REPORTED)
    done = pytester.runpytest_subprocess("-p", "no:fakes.pytest_plugin", "-n", "1", "-rA")
    done.assert_outcomes(passed=2, failed=1, errors=2, skipped=1)
    done.stdout.fnmatch_lines(["*printed before*"])


def test_a_run_of_pytester_finds_all_of_fakes_imported(pytester: pytest.Pytester) -> None:
    found = {name for name in sys.modules if name.startswith("fakes.")}
    pytester.makepyfile(
        "import sys, fakes\n"
        "def test_of_the_plugin():\n"
        f"    before = {found!r}\n"
        "    fakes.World().__enter__().__exit__(None, None, None)\n"
        "    assert not [one for one in {*sys.modules} - before if one.startswith('fakes.')]\n"
    )
    pytester.runpytest_inprocess("-p", "no:asyncio").assert_outcomes(passed=1)
