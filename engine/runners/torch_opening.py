"""Opens the `torch` runner: a model directory on a device, shared by the runners of all its adapters.

Gemma 3 runs on our own passes; any other causal language model runs on transformers, slower, one adapter a
model. The device's memory decides how much is done at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from engine.adapters import Adapter
from engine.errors import AdapterError, ModelError, unimportable
from engine.finetune.record import base_sha256
from engine.probes import Probe
from engine.runners import Runner
from engine.runners.gemma.memory import GIB, MemoryPlan, Precision, largest_plan
from engine.runners.gemma.shape import GemmaShape, read_shape

_HOST_SLOTS = 8
_HOST_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class TorchOptions:
    """How a model is run."""

    device: str = "cuda"
    precision: Precision = "bfloat16"
    context: int = 4096  # tokens of one prompt with its reply
    adapters: int = 2  # resident at once
    rank: int = 32  # of each, at most
    memory_gib: float | None = None  # None: all that is free


_shared: WeakValueDictionary[tuple[Path, TorchOptions], Any] = WeakValueDictionary()
"""Models that a runner has open."""


def open_torch(directory: Path, adapter: Adapter | None, options: TorchOptions) -> Runner:
    """Return a runner with `adapter`; raises ModelError, AdapterError or MissingExtra."""
    _check_base(directory, adapter)
    tasks = {task: adapter.path for task in adapter.manifest.tasks} if adapter else {}
    name, probe = (adapter.version, adapter.manifest.probe) if adapter else ("", None)
    return open_torch_directory(directory, options, tasks.get("score"), tasks.get("write"), name, probe)


def open_torch_directory(
    directory: Path,
    options: TorchOptions,
    score: Path | None = None,
    write: Path | None = None,
    name: str = "",
    probe: Probe | None = None,
) -> Runner:
    """Return a runner with PEFT directories for the two tasks."""
    shape = read_shape(directory)
    if shape is None:
        return _open_reference(directory, options, score, write)
    from engine.runners.torch_runner import TorchRunner

    gemma = _shared.get((directory, options))
    if gemma is None:
        gemma = _shared[directory, options] = _load(directory, shape, options)
    return TorchRunner(gemma, directory.name, score, write, name, probe)


def default_device() -> str:
    """Return `cuda` where torch sees such a device, else `cpu`."""
    try:
        import torch
    except ImportError as missing:
        raise unimportable(missing, "torch", "gpu") from missing
    return "cuda" if torch.cuda.is_available() else "cpu"


def plan_for(shape: GemmaShape, options: TorchOptions) -> MemoryPlan:
    """Return how much is done at once on the device; raises ModelError where the model does not fit."""
    if not options.device.startswith("cuda"):
        context = options.context
        return MemoryPlan(
            options.precision, context, _HOST_SLOTS, max(_HOST_TOKENS, context), 2 * _HOST_TOKENS,
            options.adapters, options.rank,
        )  # fmt: skip
    import torch

    free, _ = torch.cuda.mem_get_info(options.device)
    return largest_plan(
        shape,
        options.memory_gib * GIB if options.memory_gib else free,
        precision=options.precision,
        context=options.context,
        adapters=options.adapters,
        rank=options.rank,
    )


def check_device(options: TorchOptions) -> None:
    """Raise ModelError where the device is not there, or cannot run Gemma 3."""
    default_device()  # says what to install where torch is missing
    if options.device.startswith("cuda"):
        _check_card(options)


def _load(directory: Path, shape: GemmaShape, options: TorchOptions) -> Any:
    check_device(options)
    from engine.runners.gemma.loaded import LoadedGemma

    return LoadedGemma.load(directory, shape, plan_for(shape, options), options.device)


def _check_card(options: TorchOptions) -> None:
    import torch

    if not torch.cuda.is_available():
        raise ModelError(
            "torch sees no CUDA device; use the runner llama, or a build of torch for your driver"
        )
    major, minor = torch.cuda.get_device_capability(options.device)
    if major < 8:
        raise ModelError(
            f"{torch.cuda.get_device_name(options.device)} has compute capability {major}.{minor}; Gemma 3 "
            "needs bfloat16, from 8.0 on. Use the runner llama"
        )


def _open_reference(directory: Path, options: TorchOptions, score: Path | None, write: Path | None) -> Runner:
    from engine.runners.torch_reference import ReferenceRunner

    if score != write:
        raise AdapterError(f"{directory} is no Gemma 3: its adapters must be for both tasks, score and write")
    if options.precision == "nf4":
        raise ModelError(f"{directory} is no Gemma 3: ENGINE_PRECISION=nf4 is for that model alone")
    return ReferenceRunner.load(directory, score, device=options.device, dtype=options.precision)


def _check_base(directory: Path, adapter: Adapter | None) -> None:
    """Refuse an adapter of another base where the directory says which GGUF it was made of."""
    origin = base_sha256(directory)
    if adapter and origin and adapter.manifest.base_sha256 != origin:
        raise AdapterError(
            f"{adapter.path} is made for {adapter.manifest.base_model}, not for {directory.name}"
        )
