"""From settings to a runner with its adapter: what the command line and the server have in common."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from engine.adapters import Adapter, load_adapter, starter_adapter
from engine.errors import AdapterError, MissingExtra
from engine.models import BaseModel, base_model, installed_package, sha256_of
from engine.probes import Probe
from engine.runners import Runner
from engine.runners.llama import LlamaOptions, LlamaRunner
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


def base_sha256_of(settings: EngineSettings) -> str | None:
    """Return the hash of this machine's base model, or None where none is installed."""
    if settings.model_path is not None:
        return sha256_of(settings.model_path)
    try:
        return installed_package().EXPECTED_SHA256
    except MissingExtra:
        return None


def calibration_of(adapter: Adapter | None) -> Calibration:
    """Return how to read the scores; those of the base model alone are taken as they are."""
    return adapter.manifest.calibration if adapter else Calibration()


def open_runner(settings: EngineSettings, adapter: Adapter | None) -> Runner:
    """Return the embedded runner. Raises MissingExtra, ModelError or AdapterError."""
    model = base_model(settings.cache_dir, settings.model_path)
    if adapter and model.sha256 and adapter.manifest.base_sha256 != model.sha256:
        raise AdapterError(f"{adapter.path} is made for {adapter.manifest.base_model}, not for {model.name}")
    tasks = {task: adapter.path for task in adapter.manifest.tasks} if adapter else {}
    name, probe = (adapter.version, adapter.manifest.probe) if adapter else ("", None)
    return _llama(settings, model, tasks.get("score"), tasks.get("write"), name, probe)


def open_unpacked(settings: EngineSettings, directory: Path) -> Runner:
    """Return the embedded runner with a PEFT directory that has no manifest yet: to measure it for one."""
    model = base_model(settings.cache_dir, settings.model_path)
    return _llama(settings, model, directory, directory, directory.name)


def _llama(
    settings: EngineSettings,
    model: BaseModel,
    score: Path | None,
    write: Path | None,
    name: str,
    probe: Probe | None = None,
) -> Runner:
    options = LlamaOptions(
        score_adapter=score,
        write_adapter=write,
        adapter=name,
        threads=settings.threads,
        context=settings.context,
        cache=settings.cache_dir,
        probe=probe,
    )
    return LlamaRunner(model, options)
