"""What is evaluated: an adapter, the starter, or the base model alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from engine.adapters import CONFIG, MANIFEST, WEIGHTS, load_adapter, starter_adapter
from engine.errors import AdapterError
from engine.scores import Calibration

BASE = "base"


@dataclass(frozen=True, slots=True)
class Subject:
    """An adapter to evaluate, or the base model alone."""

    name: str
    directory: Path | None
    identity: str  # changes with every byte of the weights
    calibration: Calibration | None  # None: fitted on the data, each item by the others


def find_subject(adapter: str) -> Subject:
    """Return what `--adapter` names: a directory, `starter`, or `none` for the base model.

    A PEFT directory without our manifest, as training leaves it behind, has no calibration yet.
    """
    if adapter == "none":
        return Subject(BASE, None, BASE, None)
    directory = starter_adapter() if adapter == "starter" else Path(adapter)
    if directory is None:
        raise AdapterError("this installation came without a starter adapter")
    if (directory / MANIFEST).is_file():
        found = load_adapter(directory)
        return Subject(found.version, directory, _content(directory), found.manifest.calibration)
    if not (directory / WEIGHTS).is_file():
        raise AdapterError(f"{directory} is no adapter: it has neither {MANIFEST} nor {WEIGHTS}")
    return Subject(directory.name, directory, _content(directory), None)


def _content(directory: Path) -> str:
    digest = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        path = directory / name
        digest.update(path.read_bytes() if path.is_file() else b"")
    return f"{directory.name}-{digest.hexdigest()[:12]}"
