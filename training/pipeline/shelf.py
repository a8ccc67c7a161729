"""Where a project's adapters are kept: the store of this machine, or an engine elsewhere.

All that is asked of it may be asked again: a known adapter is taken in once, and a champion is promoted once.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Protocol

from engine.adapter_files import check_adapter, copy_adapter
from engine.adapters import load_adapter, starter_adapter
from engine.errors import UnknownAdapter
from engine.lifecycle import DEFAULT_PROJECT, AdapterState, RegisteredAdapter
from engine.store.opening import Store
from training.jsonl import JsonlWriter

ACTOR = "retrain"


class Shelf(Protocol):
    """Keeps the adapters of one project. Raises InputError or EngineError."""

    def champion(self) -> str:
        """Return the version of the project's own champion, "" where it has none."""

    def serving(self, base_sha256: str, target: Path) -> Path | None:
        """Return a directory with what reviews the project now; None for the base model alone.

        That is the project's champion, else that of the common project, else the starter, if it is made for
        this base. What has to be brought here is put into `target`.
        """

    def feedback(self, target: Path) -> None:
        """Write what people said about findings of the project, JSON lines."""

    def add(self, directory: Path) -> RegisteredAdapter:
        """Take an adapter in as a candidate; as it is if it is known."""

    def state(self, version: str) -> AdapterState | None:
        """Return what became of an adapter; None if it is not known."""

    def promote(self, version: str) -> None:
        """Make an adapter champion. AccessRefused where that is somebody else's to do."""


def starter_for(base_sha256: str) -> Path | None:
    """Return the adapter that came along, if it is made for this base."""
    directory = starter_adapter()
    if directory is None or load_adapter(directory).manifest.base_sha256 != base_sha256:
        return None
    return directory


def placed(source: Path, target: Path) -> Path:
    """Return `target` with a checked copy of the adapter in `source`."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    copy_adapter(source, target)
    return check_adapter(target).path


class StoreShelf:
    """The store of this machine."""

    def __init__(self, store: Store, project: str, base_sha256: str | None) -> None:
        self._store, self._project, self._base = store, project, base_sha256

    def champion(self) -> str:
        """Return the version of the project's own champion."""
        found = self._store.registry.champion(self._project)
        return found.version if found else ""

    def serving(self, base_sha256: str, target: Path) -> Path | None:
        """Return a copy: what is on the shelf may be deleted meanwhile."""
        registry = self._store.registry
        found = registry.champion(self._project) or registry.champion(DEFAULT_PROJECT)
        if found is None or found.base_sha256 != base_sha256:
            return starter_for(base_sha256)
        return placed(registry.directory(found), target)

    def feedback(self, target: Path) -> None:
        """Write all of the project's feedback."""
        with JsonlWriter(target) as writer:
            for entry in self._store.feedback.export(self._project):
                writer.write(entry.model_dump(mode="json"))

    def add(self, directory: Path) -> RegisteredAdapter:
        """Import it."""
        return self._store.registry.import_adapter(directory, self._project, base_sha256=self._base)

    def state(self, version: str) -> AdapterState | None:
        """Look it up."""
        try:
            return self._store.registry.show(self._project, version).state
        except UnknownAdapter:
            return None

    def promote(self, version: str) -> None:
        """Promote it."""
        self._store.registry.promote(self._project, version, ACTOR)
