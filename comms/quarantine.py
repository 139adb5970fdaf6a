"""Mail that is not obeyed, or cannot be read, is kept as .eml files, up to a limit."""

from __future__ import annotations

import contextlib
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

from comms.errors import StateError


class Quarantine:
    """A directory of .eml files.

    The oldest are deleted when there are more than `max_files`, or more than `max_bytes` in all.
    """

    def __init__(self, folder: Path, max_files: int = 500, max_bytes: int = 200_000_000) -> None:
        self.folder = folder
        self.max_files, self.max_bytes = max_files, max_bytes

    def keep(self, raw: bytes, now: float) -> Path:
        """Stores a mail and returns its path. Raises StateError.

        The name consists of the time and a digest. A mail that is already there is not stored
        again, so that a program may repeat the call after a crash.
        """
        stamp = f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}"
        digest = hashlib.sha256(raw).hexdigest()[:16]
        try:
            # Only for us: a mail that was refused may contain the secret address.
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in self.folder.glob(f"*-{digest}.eml"):
                return path
            path = self.folder / f"{stamp}-{digest}.eml"
            part = path.with_suffix(".part")
            with open(part, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            # A rename is atomic, so the file is either complete or not there.
            part.rename(path)
            self._trim()
        except OSError as error:
            reason = error.strerror or error
            raise StateError(f"{self.folder}: a mail cannot be kept: {reason}") from None
        return path

    def _trim(self) -> None:
        stored = sorted(self.folder.glob("*.eml"))  # by time, because the names begin with it
        sizes = [path.stat().st_size for path in stored]
        while len(stored) > 1 and (len(stored) > self.max_files or sum(sizes) > self.max_bytes):
            with contextlib.suppress(FileNotFoundError):
                stored.pop(0).unlink()
            sizes.pop(0)
