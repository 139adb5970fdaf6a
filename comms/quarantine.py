"""Mail that is not obeyed, or cannot be read, kept as .eml files: nothing is lost, nothing grows for ever."""

from __future__ import annotations

import contextlib
import hashlib
import os
from datetime import UTC, datetime
from pathlib import Path

from comms.errors import StateError


class Quarantine:
    """A folder of .eml files; the oldest go when there are more than `files`, or more than `octets` in all."""

    def __init__(self, folder: Path, max_files: int = 500, max_bytes: int = 200_000_000) -> None:
        self.folder = folder
        self.max_files, self.max_bytes = max_files, max_bytes

    def keep(self, raw: bytes, now: float) -> Path:
        """Keeps a mail under the time and its digest: the same mail twice is one file. Raises StateError."""
        stamp = f"{datetime.fromtimestamp(now, UTC):%Y%m%d-%H%M%S}"
        digest = hashlib.sha256(raw).hexdigest()[:16]
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in self.folder.glob(f"*-{digest}.eml"):
                return path
            path = self.folder / f"{stamp}-{digest}.eml"
            part = path.with_suffix(".part")
            with open(part, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            part.rename(path)  # whole or not at all
            self._trim()
        except OSError as error:
            raise StateError(
                f"{self.folder}: a mail cannot be kept: {error.strerror or error}"
            ) from None
        return path

    def _trim(self) -> None:
        kept = sorted(self.folder.glob("*.eml"))
        sizes = [path.stat().st_size for path in kept]
        while len(kept) > 1 and (len(kept) > self.max_files or sum(sizes) > self.max_bytes):
            with contextlib.suppress(FileNotFoundError):
                kept.pop(0).unlink()
            sizes.pop(0)
