"""The runners that are loaded: one for each adapter in use, the one used longest ago leaves first.

llama.cpp takes its adapters when it starts, so each has a runner of its own. They share the base model's file
in memory; what each adds is its key-value cache, which `capacity` bounds. On vLLM a runner is light.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from engine.adapters import Adapter
from engine.runners import Runner

Load = Callable[[Adapter | None], Runner]


class Residents:
    """Loaded runners. The default adapter's is loaded first and stays, for its tokenizer counts for all."""

    def __init__(
        self,
        load: Load,
        default: Adapter | None,
        capacity: int = 2,
        on_load: Callable[[float], None] = lambda seconds: None,
    ) -> None:
        self._load = load
        self._default = default
        self._others = max(0, capacity - 1)
        self._on_load = on_load
        self._loaded: dict[str, Runner] = {}  # in order of use

    @property
    def default(self) -> Runner:
        """The default adapter's runner; loads it at the first call."""
        return self.runner(self._default)

    def runner(self, adapter: Adapter | None) -> Runner:
        """Return the runner with `adapter`; raises EngineError where it cannot be loaded."""
        version = version_of(adapter)
        runner = self._loaded.pop(version, None)
        if runner is None:
            self._make_room(version)
            started = time.monotonic()
            runner = self._load(adapter)
            self._on_load(time.monotonic() - started)
        self._loaded[version] = runner
        return runner

    def close(self) -> None:
        """Free all runners. Idempotent."""
        while self._loaded:
            self._loaded.popitem()[1].close()

    def _make_room(self, wanted: str) -> None:
        """Close what has to leave before `wanted` is loaded, so that memory never holds one more."""
        default = version_of(self._default)
        if wanted == default:
            return
        others = [version for version in self._loaded if version != default]
        for version in others[: len(others) - max(0, self._others - 1)]:
            self._loaded.pop(version).close()


def version_of(adapter: Adapter | None) -> str:
    """Return the adapter's version, empty for the base model alone."""
    return adapter.version if adapter else ""
