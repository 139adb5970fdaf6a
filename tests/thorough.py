"""Whether everything is tried, as in `make soak`, or what shows most, as in all other runs."""

from __future__ import annotations

import os

THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "soak"
