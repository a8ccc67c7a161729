"""Safetensors in and out with numpy alone: bfloat16, which numpy lacks, is read to and made from float32.

Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import MissingExtra

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_ALIGNMENT = 8


def read_safetensors(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Return every tensor of `path` in float32; raises ValueError for a damaged file or other types."""
    try:
        import safetensors
    except ImportError as missing:
        raise MissingExtra("safetensors", "cpu") from missing

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
