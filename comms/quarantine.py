"""Mail that is not obeyed, or cannot be read, is kept as .eml files, up to a limit."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import deque
from datetime import UTC, datetime
from pathlib import Path

from comms.errors import StateError

KNOWN = ".known.eml"  # how the name of a file ends whose sender is known


class Quarantine:
    """A directory of .eml files.

    The oldest are deleted when there are more than `max_files`, or more than `max_bytes` in all. At
    least half of the room belongs to mail from people who are known, so that strangers cannot push
    it out. What others leave free, everybody may use.
    """

    def __init__(self, folder: Path, max_files: int = 500, max_bytes: int = 200_000_000) -> None:
        self.folder = folder
        self.max_files, self.max_bytes = max_files, max_bytes

    def keep(self, raw: bytes, now: float, known: bool = False) -> Path:
        """Stores a mail and returns its path; `known` says that its sender is. Raises StateError.

        The name consists of the time and a digest. A mail that is already there is not stored
        again, so that a program may repeat the call after a crash.
        """
        stamp = f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}"
        digest = hashlib.sha256(raw).hexdigest()[:16]
        try:
            # Only for us: a mail that was refused may contain the secret address.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in self.folder.glob(f"*-{digest}*.eml"):
                return path
            path = self.folder / f"{stamp}-{digest}{KNOWN if known else '.eml'}"
            self._write(path, raw)
            self._trim()
        except OSError as error:
            reason = error.strerror or error
            raise StateError(f"{self.folder}: a mail cannot be kept: {reason}") from None
        return path

    def _write(self, path: Path, raw: bytes) -> None:
        """Stores a file that is complete or not there, also after a power failure."""
        part = self.folder / "new.part"  # the same each time: a crash leaves one at most
        try:
            with open(part, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)
        except OSError:
            part.unlink(missing_ok=True)  # half a mail would keep a full disk full
            raise
        # For the name: the mail is deleted from its mailbox next. Not every file system can do it.
        with contextlib.suppress(OSError):
            folder = os.open(self.folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _trim(self) -> None:
        # By time, because the names begin with it.
        stored = [(path, path.stat().st_size) for path in sorted(self.folder.glob("*.eml"))]
        total = sum(size for _, size in stored)
        known = deque(item for item in stored if item[0].name.endswith(KNOWN))
        others = deque(item for item in stored if not item[0].name.endswith(KNOWN))
        known_bytes = sum(size for _, size in known)
        while len(known) + len(others) > 1 and (
            len(known) + len(others) > self.max_files or total > self.max_bytes
        ):
            beyond_share = 2 * len(known) > self.max_files or 2 * known_bytes > self.max_bytes
            from_known = known and (beyond_share or not others)
            path, size = (known if from_known else others).popleft()
            path.unlink(missing_ok=True)
            total -= size
            known_bytes -= size if from_known else 0
