"""Imported by the process that forks the programs of the drills, before it forks.

What takes long only the first time is done here, once: imports, and each program's first round. It
meets no server, but opens its state and looks for what was left undone. That is nine tenths of a
short life, above all in SQLAlchemy.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from scenarios.processing import mail_to_jabber, mail_to_webhook, tickets
