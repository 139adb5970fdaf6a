"""The chapter: one page for each scenario, one folder for each section.

`python -m scenarios list` lists them all; README.md explains how a page is built.
"""

import sys

if sys.version_info < (3, 11):
    sys.exit("error: Python 3.11 or newer is needed; name it with: make PYTHON=python3.11 …")
