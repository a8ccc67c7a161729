"""From settings to a runner with its adapter: what the command line and the server have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.adapters import Adapter, load_adapter, starter_adapter
from engine.errors import AdapterError, MissingExtra
from engine.runners import Runner
from engine.scores import Calibration
from engine.settings import EngineSettings

NO_ADAPTER = "none"

OpenRunner = Callable[[EngineSettings, Adapter | None], Runner]
"""Loads the base model and the adapter, if there is one."""


def choose_adapter(choice: str | None, settings: EngineSettings) -> Adapter | None:
    """Return the adapter of that directory, that of the settings, or the one that came along, in this order.

    `choice` "none" is the base model alone. Raises AdapterError for an adapter that is not whole.
    """
    if choice == NO_ADAPTER:
        return None
    directory = Path(choice) if choice else settings.adapter_dir or starter_adapter()
    if directory is None:
        return None
    if not directory.is_dir():
        raise AdapterError(f"no adapter at {directory}: not a directory")
    return load_adapter(directory)


def calibration_of(adapter: Adapter | None) -> Calibration:
    """Return how to read the scores; those of the base model alone are taken as they are."""
    return adapter.manifest.calibration if adapter else Calibration()


def open_runner(settings: EngineSettings, adapter: Adapter | None) -> Runner:
    """Return the embedded runner. Raises MissingExtra, ModelError or AdapterError."""
    raise MissingExtra("xllamacpp", "cpu")
