"""Which model a subcommand measures: options and the runner they choose."""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.errors import InputError
from engine.runners import Runner

_LARGEST_RANK = 64


def add_runner_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a runner."""
    parser.add_argument("--runner", choices=["llama", "torch"], default="llama")
    parser.add_argument("--base-dir", type=Path, metavar="DIR", help="Hugging Face directory, for torch")
    parser.add_argument("--device", help="for torch: cpu, cuda, ... (default: cuda if there is one)")
    parser.add_argument("--dtype", choices=["bfloat16", "nf4", "float32"], help="for torch")


def open_chosen(arguments: argparse.Namespace, adapter: Path | None) -> Runner:
    """Return the runner that the options choose, with the adapter of a directory or with none."""
    if arguments.runner == "llama":
        return _open_llama(adapter)
    from engine.runners.gemma.memory import Precision
    from engine.runners.torch_opening import TorchOptions, default_device, open_torch_directory

    if arguments.base_dir is None:
        raise InputError("--runner torch needs --base-dir, the Hugging Face directory of the base model")
    device = arguments.device or default_device()
    usual: Precision = "bfloat16" if device.startswith("cuda") else "float32"
    precision: Precision = arguments.dtype or usual
    name = adapter.name if adapter else ""
    options = TorchOptions(device=device, precision=precision, rank=_LARGEST_RANK)
    return open_torch_directory(arguments.base_dir, options, adapter, adapter, name)


def _open_llama(adapter: Path | None) -> Runner:
    from engine.adapters import MANIFEST, load_adapter
    from engine.opening import open_runner, open_unpacked
    from engine.settings import RunnerKind, load_settings

    settings = load_settings().model_copy(update={"runner": RunnerKind.LLAMA})
    if adapter is not None and not (adapter / MANIFEST).is_file():
        return open_unpacked(settings, adapter)
    return open_runner(settings, load_adapter(adapter) if adapter else None)
