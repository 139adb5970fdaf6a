"""The chapter: one file a scenario, one folder a section. `python -m scenarios list` names them all."""

import sys

if sys.version_info < (3, 11):
    sys.exit("error: Python 3.11 or newer is needed; name it with: make PYTHON=python3.11 …")
