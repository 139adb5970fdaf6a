"""Whether everything is tried, as in `make soak`, or what shows most, as in all other runs."""

from __future__ import annotations

import os

from hypothesis import settings

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
FEWER = 40  # examples


def fewer(steps: int = 50) -> settings:
    """Returns the settings of a test whose examples take long, each of at most `steps` steps."""
    most = settings().max_examples
    return settings(max_examples=most if THOROUGH else min(most, FEWER), stateful_step_count=steps)
