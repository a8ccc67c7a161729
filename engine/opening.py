"""From settings to a runner with its adapter: what the command line and the server have in common."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from engine.adapters import Adapter, load_adapter, starter_adapter
from engine.batching import Limits
from engine.connecting import proxy_for
from engine.errors import AdapterError, ConfigError, MissingExtra
from engine.finetune.record import base_sha256
from engine.models import BaseModel, base_model, installed_package, sha256_of
from engine.probes import Probe
from engine.runners import Runner
from engine.runners.llama import LlamaOptions, LlamaRunner
from engine.runners.openai import OpenAIOptions, OpenAIRunner
from engine.runners.openai_routing import RoutingLimits
from engine.runners.torch_opening import TorchOptions, open_torch
from engine.scores import Calibration
from engine.settings import EngineSettings, RunnerKind
from engine.store.opening import data_directory

NO_ADAPTER = "none"
_LIGHT_RUNNERS = 64
_GPU_ROWS = 64
_GPU_TOKENS = 32_768  # of a batch

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
    """Return the hash of this machine's base model, or None where none is installed or it is elsewhere."""
    if settings.runner is RunnerKind.OPENAI:
        return None
    if settings.model_path is not None and settings.model_path.is_dir():
        return base_sha256(settings.model_path)
    if settings.model_path is not None:
        return sha256_of(settings.model_path)
    try:
        return installed_package().EXPECTED_SHA256
    except MissingExtra:
        return None


def calibration_of(adapter: Adapter | None) -> Calibration:
    """Return how to read the scores; those of the base model alone are taken as they are."""
    return adapter.manifest.calibration if adapter else Calibration()


def batch_limits(settings: EngineSettings) -> Limits:
    """Return how much a service hands to the runner at once."""
    if settings.runner is RunnerKind.TORCH:
        # The default adapter keeps its place, whether a batch needs it or not.
        adapters = max(1, settings.resident_adapters - 1)
        return Limits(score=_GPU_ROWS, write=_GPU_ROWS, tokens=_GPU_TOKENS, adapters=adapters)
    if settings.runner is RunnerKind.OPENAI:
        servers = max(1, len(settings.openai_urls))
        calls = settings.openai_requests * servers
        return Limits(score=calls, write=calls, tokens=2 * _GPU_TOKENS * servers)
    return Limits()


def resident_adapters(settings: EngineSettings) -> int:
    """Return how many adapters a service keeps loaded; memory on vLLM is the servers' care."""
    light = settings.runner is RunnerKind.OPENAI
    return max(settings.resident_adapters, _LIGHT_RUNNERS) if light else settings.resident_adapters


def open_runner(settings: EngineSettings, adapter: Adapter | None) -> Runner:
    """Return the runner of the settings. Raises ConfigError, MissingExtra, ModelError or AdapterError."""
    tasks = {task: adapter.path for task in adapter.manifest.tasks} if adapter else {}
    if settings.runner is RunnerKind.OPENAI:
        options = openai_options(settings)
        require_base(options.model, adapter)
        return OpenAIRunner(
            replace(
                options,
                score_adapter=tasks.get("score"),
                write_adapter=tasks.get("write"),
                adapter=adapter.version if adapter else "",
                probe=adapter.manifest.probe if adapter else None,
            )
        )
    if settings.runner is RunnerKind.TORCH:
        return open_torch(torch_base(settings), adapter, torch_options(settings))
    model = base_model(settings.cache_dir, settings.model_path)
    if adapter and model.sha256 and adapter.manifest.base_sha256 != model.sha256:
        raise AdapterError(f"{adapter.path} is made for {adapter.manifest.base_model}, not for {model.name}")
    name, probe = (adapter.version, adapter.manifest.probe) if adapter else ("", None)
    return _llama(settings, model, tasks.get("score"), tasks.get("write"), name, probe)


def open_unpacked(settings: EngineSettings, directory: Path) -> Runner:
    """Return the embedded runner with a PEFT directory that has no manifest yet: to measure it for one."""
    model = base_model(settings.cache_dir, settings.model_path)
    return _llama(settings, model, directory, directory, directory.name)


def torch_base(settings: EngineSettings) -> Path:
    """Return the Hugging Face directory of the base model; a GGUF file is converted once."""
    if settings.model_path is not None and settings.model_path.is_dir():
        return settings.model_path
    from engine.finetune.base import hf_base

    return hf_base(base_model(settings.cache_dir, settings.model_path), settings.cache_dir)


def torch_options(settings: EngineSettings) -> TorchOptions:
    """Return how the model is run on a GPU."""
    return TorchOptions(
        device=settings.device,
        precision=settings.precision,
        context=settings.context,
        adapters=settings.resident_adapters,
        rank=settings.lora_rank,
        memory_gib=settings.gpu_memory_gib,
    )


def openai_options(settings: EngineSettings) -> OpenAIOptions:
    """Return where the vLLM servers are and how they are used; raises ConfigError for what is missing."""
    if not settings.openai_urls or not settings.openai_model:
        raise ConfigError("ENGINE_RUNNER=openai needs ENGINE_OPENAI_URLS and ENGINE_OPENAI_MODEL")
    key = settings.openai_key.get_secret_value() if settings.openai_key else ""
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError("ENGINE_OPENAI_KEY: not a key")
    return OpenAIOptions(
        urls=tuple(dict.fromkeys(settings.openai_urls)),
        model=settings.openai_model,
        key=key,
        shared=settings.openai_adapters or data_directory(settings) / "served",
        seen_as=settings.openai_adapters_at,
        tokenizer=settings.openai_tokenizer,
        context=settings.context,
        limits=RoutingLimits(calls=settings.openai_requests),
        ca_file=settings.ca_file,
        proxy_of=lambda url: settings.proxy or proxy_for(url),
        silence_seconds=settings.openai_seconds,
    )


def require_base(model: str, adapter: Adapter | None) -> None:
    """Raise AdapterError for an adapter of another base than `model`.

    A server does not say what its weights are, and loads tensors of other shapes as far as they go; so it
    has to be called after them.
    """
    if adapter and adapter.manifest.base_model != model:
        raise AdapterError(
            f"{adapter.path} is made for {adapter.manifest.base_model}, not for {model}: "
            "ENGINE_OPENAI_MODEL and --served-model-name have to name the base that it was trained on"
        )


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
