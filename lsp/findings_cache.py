"""Findings of texts that were reviewed, on disk: what a restart shows at once and a save need not ask again.

One file for each reviewed text, under the hash of all that the review depended on. The files are the user's
alone: findings quote code.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.findings import Finding
from engine.wire import SkipReason

_DAYS, _MOST = 30, 5_000


class Known(BaseModel):
    """What a review said of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    findings: tuple[Finding, ...] = ()
    skipped: SkipReason | None = None
    adapter: str = ""


def key_of(*parts: object) -> str:
    """Return the hash of all that a review of a file depends on; parts are strings or what JSON can hold."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode("utf-8", "surrogatepass")).hexdigest()


class FindingsCache:
    """What reviews said, by key. What cannot be read is not known; what cannot be written is not kept."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "findings"

    def get(self, key: str) -> Known | None:
        """Return what is known under a key, and remember that it was wanted."""
        path = self._path(key)
        try:
            known = Known.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            return None
        with suppress(OSError):
            os.utime(path)
        return known

    def put(self, key: str, known: Known) -> None:
        """Keep what is known; another process never sees half of it."""
        path = self._path(key)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_whole(path, known.model_dump_json().encode())

    def put_all(self, known: Mapping[str, Known]) -> None:
        """Keep what is known of several."""
        for key, said in known.items():
            self.put(key, said)

    def prune(self, now: float | None = None) -> int:
        """Remove what nobody wanted for a month, and the oldest beyond the most that are kept."""
        oldest = (time.time() if now is None else now) - _DAYS * 86_400
        files = sorted(_with_times(self._folder), reverse=True)
        gone = [path for when, path in files[:_MOST] if when < oldest] + [path for _, path in files[_MOST:]]
        for path in gone:
            path.unlink(missing_ok=True)
        return len(gone)

    def _path(self, key: str) -> Path:
        return self._folder / key[:2] / f"{key}.json"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file that is there whole or not at all, for its owner alone; raises OSError."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.replace(name, path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _with_times(folder: Path) -> Sequence[tuple[float, Path]]:
    found = []
    for path in folder.glob("*/*"):
        with suppress(OSError):
            found.append((path.stat().st_mtime, path))
    return found
