"""What can be said about an adapter's files without loading them: sizes, configuration, table of tensors."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from engine.adapters import CARD, CONFIG, FILES, MANIFEST, WEIGHTS
from engine.errors import AdapterError
from engine.lora_files import check_config

MAX_BYTES = {MANIFEST: 2**20, CONFIG: 2**20, CARD: 2**22, WEIGHTS: 2**32}
"""How large each file may be."""

_MAX_HEADER = 2**24
_DTYPES = {"BF16": 2, "F16": 2, "F32": 4}


def check_entries(directory: Path) -> None:
    """Raise AdapterError unless `directory` holds the files of an adapter, each plain and not too large."""
    try:
        entries = {entry.name: entry.stat(follow_symlinks=False) for entry in os.scandir(directory)}
    except OSError as error:
        raise AdapterError(f"no adapter at {directory}: {error.strerror}") from error
    for name, status in sorted(entries.items()):
        if name not in MAX_BYTES:
            raise AdapterError(f"{directory} holds what is no part of an adapter: {name}")
        if not stat.S_ISREG(status.st_mode):
            raise AdapterError(f"{directory / name} is not a plain file")
        if status.st_size > MAX_BYTES[name]:
            raise AdapterError(
                f"{directory / name} has {status.st_size} bytes; at most {MAX_BYTES[name]} are taken"
            )
    if missing := {*FILES, MANIFEST} - set(entries):
        raise AdapterError(f"{directory} lacks {', '.join(sorted(missing))}")


def check_content(directory: Path) -> None:
    """Raise AdapterError unless the files are a LoRA that every runner can load, weights in safetensors."""
    check_config(directory)
    header = read_header(directory / WEIGHTS)
    sides = {side for side in ("lora_A", "lora_B") for name in header if f".{side}." in name}
    if sides != {"lora_A", "lora_B"}:
        raise AdapterError(f"{directory / WEIGHTS} holds no LoRA: it needs tensors lora_A and lora_B")


def read_header(path: Path) -> dict[str, Any]:
    """Return the table of tensors of a safetensors file; AdapterError where the file is none, e.g. a pickle.

    Format: https://github.com/huggingface/safetensors#format
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            text = file.read(length) if length <= _MAX_HEADER else b""
            data = path.stat().st_size - 8 - length
        header = json.loads(text)
        header.pop("__metadata__", None)
        sizes = sorted(_extent(entry) for entry in header.values())
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise AdapterError(f"{path} is not a safetensors file") from error
    end = 0
    for first, last in sizes:
        if first != end:
            raise AdapterError(f"{path}: its tensors overlap or leave a gap at byte {min(first, end)}")
        end = last
    if end != data:
        raise AdapterError(f"{path}: {data} bytes of tensors, where its table says {end}")
    return header  # type: ignore[no-any-return]


def _extent(entry: dict[str, Any]) -> tuple[int, int]:
    first, last = entry["data_offsets"]
    size = _DTYPES[entry["dtype"]]
    for length in entry["shape"]:
        size *= length
    if not 0 <= first <= last or last - first != size:
        raise ValueError("a tensor's size does not fit its shape")
    return first, last
