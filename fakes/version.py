"""The version of this software.

This is the only place that says it: pyproject.toml reads it from here for the package, and the
Jabber server sends it (XEP-0092).
"""

VERSION = "0.2.0"
