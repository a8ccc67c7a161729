"""`tenken-train export`: an adapter for other programs. Nothing is downloaded."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import AdapterError

if TYPE_CHECKING:
    from training.export.making import Bases

_FORMS = ("merged", "gguf", "lora")


def register(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand and its options."""
    parser = subcommands.add_parser(
        "export",
        help="make an adapter into a merged model, a GGUF or a LoRA in GGUF",
        description="merged: the whole model in safetensors, as transformers load it. gguf: the "
        "whole model as one GGUF with an Ollama Modelfile. lora: LoRA in GGUF and its base, for llama.cpp. "
        "Each has a model card and hashes, and is compared with base and adapter on a small text.",
    )
    parser.add_argument("--adapter", required=True, metavar="DIR|starter")
    parser.add_argument("--as", choices=_FORMS, required=True, dest="form", help="what to make of it")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new")
    parser.add_argument(
        "--base-dir", type=Path, metavar="DIR", help="Hugging Face directory (default: the embedded model)"
    )
    parser.add_argument(
        "--check", action=argparse.BooleanOptionalAction, default=True, help="load both and compare"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Export and say where it is; return the exit code."""
    from engine.adapter_files import check_adapter
    from engine.adapters import starter_adapter
    from training.export.making import Form, export

    directory = starter_adapter() if arguments.adapter == "starter" else Path(arguments.adapter)
    if directory is None:
        raise AdapterError("this installation came without a starter adapter")
    adapter = check_adapter(directory)
    made = export(adapter, Form(arguments.form), _bases(arguments), arguments.out, check=arguments.check)
    if made.distance is not None:
        print(f"{made.distance:.4f} nats off on the probe")
    print(made.path)
    return 0


def _bases(arguments: argparse.Namespace) -> Bases:
    from engine.cache import default_cache
    from engine.finetune.base import hf_base
    from engine.models import base_model
    from engine.settings import load_settings
    from training.export.making import Bases

    settings = load_settings()
    return Bases(
        directory=lambda: (
            arguments.base_dir
            or hf_base(base_model(settings.cache_dir, settings.model_path), settings.cache_dir)
        ),
        gguf=lambda: base_model(settings.cache_dir, settings.model_path),
        cache=settings.cache_dir or default_cache(),
    )
