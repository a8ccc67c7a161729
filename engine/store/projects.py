"""What a review asks of the store: a project's adapter, and what the project dismissed."""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

from engine.adapters import Adapter, load_adapter
from engine.errors import UnknownAdapter
from engine.lifecycle import DEFAULT_PROJECT, AdapterState, RegisteredAdapter
from engine.opening import NO_ADAPTER
from engine.store.opening import Store

_REMEMBERED = 32


class StoredProjects:
    """Answers from the store; `default` is for projects without a champion. Safe to share between threads."""

    def __init__(self, store: Store, default: Adapter | None) -> None:
        self._store = store
        self._default = default
        # An adapter never changes under its path, so it is read and hashed once.
        self._load = lru_cache(_REMEMBERED)(load_adapter)

    def adapter(self, project: str, version: str = "") -> Adapter | None:
        """Return the adapter of that version, the project's champion where it is empty.

        Without one of its own, a project has that of `default`. None is the base model alone. Raises
        UnknownAdapter, also for a rejected one.
        """
        if version == NO_ADAPTER:
            return None
        if self._default and version == self._default.version:
            return self._default
        found = self._named(project, version) if version else self._champion(project)
        return self._load(self._directory(found)) if found else self._default

    def suppressed(self, project: str) -> Collection[str]:
        """Return the fingerprints of the findings that the project does not want again."""
        return self._store.feedback.suppressed(project or DEFAULT_PROJECT)

    def _champion(self, project: str) -> RegisteredAdapter | None:
        registry = self._store.registry
        own = registry.champion(project) if project else None
        return own or registry.champion(DEFAULT_PROJECT)

    def _named(self, project: str, version: str) -> RegisteredAdapter:
        registry = self._store.registry
        try:
            found = registry.show(project or DEFAULT_PROJECT, version)
        except UnknownAdapter:
            found = registry.show(DEFAULT_PROJECT, version)
        if found.state is AdapterState.REJECTED:
            raise UnknownAdapter(f"{version} was rejected: it does not serve")
        return found

    def _directory(self, adapter: RegisteredAdapter) -> Path:
        return self._store.registry.directory(adapter)
