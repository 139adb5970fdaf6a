"""The plugin under test is loaded here as other projects get it by installation."""

from __future__ import annotations

from hypothesis import settings

pytest_plugins = ["fakes.pytest_plugin"]

settings.register_profile("dev", max_examples=50, deadline=None, database=None)
settings.register_profile("ci", max_examples=400, deadline=None, database=None, derandomize=True)
