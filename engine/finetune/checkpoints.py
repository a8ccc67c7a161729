"""Which checkpoints can be trusted: those that were sealed after their last byte, and by the same run.

A seal names the run and holds the hash of every file. A checkpoint without a seal, or with a file that
differs from it, was interrupted or damaged.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

SEAL = "seal.json"


def seal(checkpoint: Path, run: str) -> None:
    """Vouch for the files of `checkpoint`, written by the run called `run`."""
    text = json.dumps({"run": run, "files": _hashes(checkpoint)}, indent=1)
    part = checkpoint / f".{SEAL}"
    with part.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(checkpoint / SEAL)


def newest(directory: Path, run: str) -> Path | None:
    """Return the newest intact checkpoint of the run called `run` in `directory`, if there is one."""
    return next((path for path in _newest_first(directory) if _is_intact(path, run)), None)


def _newest_first(directory: Path) -> Iterator[Path]:
    numbered = [
        (int(number), path)
        for path in directory.glob("checkpoint-*")
        if (number := path.name.removeprefix("checkpoint-")).isdecimal()
    ]
    return (path for _, path in sorted(numbered, reverse=True))


def _is_intact(checkpoint: Path, run: str) -> bool:
    try:
        found = json.loads((checkpoint / SEAL).read_text("utf-8"))
        return bool(found == {"run": run, "files": _hashes(checkpoint)})
    except (OSError, ValueError):
        return False


def _hashes(checkpoint: Path) -> dict[str, str]:
    files = sorted(path for path in checkpoint.iterdir() if path.name not in (SEAL, f".{SEAL}"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
