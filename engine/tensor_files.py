"""Safetensors in, out and changed in place with numpy alone: bfloat16, which it lacks, by way of float32.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import unimportable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_ALIGNMENT = 8
_MAX_TABLE = 2**26


def read_safetensors(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Return every tensor of `path` in float32; raises ValueError for a damaged file or other types."""
    try:
        import safetensors
    except ImportError as missing:
        raise unimportable(missing, "safetensors", "cpu") from missing

    library: Any = safetensors
    try:
        return {name: _as_float32(name, entry) for name, entry in library.deserialize(path.read_bytes())}
    except library.SafetensorError as failure:
        raise ValueError(f"{path} is not an intact safetensors file: {failure}") from failure


def write_bfloat16(path: Path, tensors: Iterable[tuple[str, npt.NDArray[np.float32]]]) -> None:
    """Write `tensors` to `path` in bfloat16, rounded to the nearest, ties to even."""
    rounded = {name: (values.shape, _as_bfloat16(values)) for name, values in tensors}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    position = 0
    for name, (shape, raw) in rounded.items():
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [position, position + raw.nbytes]}
        position += raw.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, raw in rounded.values():
            file.write(raw.data)


def read_table(path: Path) -> dict[str, dict[str, Any]]:
    """Return type, shape and place of every tensor of `path`; raises ValueError for a damaged file."""
    return _table(path)[0]


def add_in_place(path: Path, name: str, delta: npt.NDArray[np.float32]) -> None:
    """Add `delta` to a tensor where it lies, in its own precision; raises ValueError where it does not fit.

    Nothing else of the file is read or written, so a model of any size takes the memory of one tensor.
    """
    table, start = _table(path)
    if name not in table:
        raise ValueError(f"{path} has no tensor {name}")
    entry = table[name]
    if list(delta.shape) != entry["shape"]:
        raise ValueError(f"{name} has shape {entry['shape']}, what is to be added {list(delta.shape)}")
    first, last = entry["data_offsets"]
    with path.open("r+b") as file:
        file.seek(start + first)
        values = _as_float32(name, {**entry, "data": file.read(last - first)})
        file.seek(start + first)
        file.write(_as_bytes(values + delta, entry["dtype"]))


def _table(path: Path) -> tuple[dict[str, dict[str, Any]], int]:
    """The table of tensors, and where their data starts."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        text = file.read(length) if length <= _MAX_TABLE else b""
    try:
        table = json.loads(text)
        table.pop("__metadata__", None)
    except (ValueError, AttributeError, TypeError) as failure:
        raise ValueError(f"{path} is not an intact safetensors file: {failure}") from failure
    return table, 8 + length


def _as_bytes(values: npt.NDArray[np.float32], kind: str) -> bytes:
    if kind == "BF16":
        return _as_bfloat16(values).tobytes()
    return values.astype({"F16": "<f2", "F32": "<f4"}[kind]).tobytes()


def _as_float32(name: str, entry: dict[str, Any]) -> npt.NDArray[np.float32]:
    import numpy as np

    if entry["dtype"] == "BF16":
        halves = np.frombuffer(entry["data"], np.uint16)
        values = (halves.astype(np.uint32) << 16).view(np.float32)
    elif entry["dtype"] in ("F16", "F32"):
        values = np.frombuffer(entry["data"], {"F16": "<f2", "F32": "<f4"}[entry["dtype"]]).astype(np.float32)
    else:
        raise ValueError(f"tensor {name} is of type {entry['dtype']}; expected BF16, F16 or F32")
    return values.reshape(entry["shape"])


def _as_bfloat16(values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint16]:
    import numpy as np

    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)
