"""What a core asks of its shell."""

from __future__ import annotations

import enum


class Want(enum.Enum):
    """What a core asks of its shell, to be done once its output is written."""

    START_TLS = "start TLS"
    CLOSE = "close"  # FIN; what the client still sends is read and dropped
    RESET = "reset"  # RST
    HAND_OVER = "hand over"  # another core takes over, with the input that was not consumed yet
