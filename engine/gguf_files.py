"""Reads GGUF files: metadata, vocabulary and tensors; copies one with other tensors. Knows the container, not
the models in it.

The `gguf` package's own reader keeps several Python objects for each array element, which takes half a
minute for Gemma's vocabulary of 262,144; this one takes a second. Dequantising is left to the package.
Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine.errors import ModelError, unimportable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_MAGIC = b"GGUF"
_VERSIONS = (2, 3)
_UINT32, _STRING, _ARRAY = 4, 8, 9
_FIELDS_START = 24
_MOSTLY_Q8_0 = 7  # llama.cpp's number for such a file
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_ALIGNMENT = 32
_ROWS_AT_ONCE = 16384  # bounds the float copy of a large embedding


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor as it lies in the file, quantised."""

    name: str
    shape: tuple[int, ...]  # outermost first, as in PyTorch
    kind: int  # ggml type number
    offset: int  # from the start of the tensor data


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A GGUF file's metadata, and where its tensors are."""

    path: Path
    fields: dict[str, Any]
    tensors: tuple[GgufTensor, ...]
    data_start: int
    fields_end: int = 0

    def values(self) -> Iterator[tuple[GgufTensor, npt.NDArray[np.float32]]]:
        """Yield every tensor with its values in float32."""
        import numpy as np

        data = np.memmap(self.path, mode="r")
        for tensor in self.tensors:
            try:
                values = _dequantise(tensor, data, self.data_start + tensor.offset)
            except ValueError as failure:
                raise ModelError(f"{self.path}: tensor {tensor.name} is cut off or unknown") from failure
            yield tensor, values


def read_gguf(path: Path) -> GgufFile:
    """Return what `path` holds; raises ModelError where it is not an intact GGUF file."""
    import numpy as np

    try:
        cursor = _Cursor(np.memmap(path, mode="r").data)
        return _read(path, cursor)
    except OSError as failure:
        raise ModelError(f"cannot read {path}: {failure.strerror}") from failure
    except (ValueError, struct.error, KeyError) as failure:
        raise ModelError(f"{path} is not an intact GGUF file: {failure}") from failure


def _read(path: Path, cursor: _Cursor) -> GgufFile:
    if cursor.take(4) != _MAGIC:
        raise ValueError("it does not start with GGUF")
    if (version := cursor.number("I")) not in _VERSIONS:
        raise ValueError(f"version {version}")
    tensor_count, field_count = cursor.number("Q"), cursor.number("Q")
    fields = {cursor.text(): cursor.value(cursor.number("I")) for _ in range(field_count)}
    fields_end = cursor.position
    tensors = tuple(_tensor(cursor) for _ in range(tensor_count))
    data_start = _aligned(cursor.position, fields)
    return GgufFile(path, fields, tensors, data_start, fields_end)


def _aligned(position: int, fields: Mapping[str, Any]) -> int:
    alignment: int = fields.get("general.alignment", _ALIGNMENT)
    return -(-position // alignment) * alignment


def _tensor(cursor: _Cursor) -> GgufTensor:
    name = cursor.text()
    sizes = [cursor.number("Q") for _ in range(cursor.number("I"))]
    return GgufTensor(name, tuple(reversed(sizes)), cursor.number("I"), cursor.number("Q"))


class _Cursor:
    """Reads little-endian values one after the other."""

    def __init__(self, data: memoryview) -> None:
        self.position = 0
        self._data = data

    def take(self, size: int) -> bytes:
        taken = bytes(self._data[self.position : self.position + size])
        if len(taken) < size:
            raise ValueError("it is cut off")
        self.position += size
        return taken

    def number(self, code: str) -> Any:
        [value] = struct.unpack_from(f"<{code}", self._data, self.position)
        self.position += struct.calcsize(code)
        return value

    def text(self) -> str:
        return self.take(self.number("Q")).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == _STRING:
            return self.text()
        if kind == _ARRAY:
            return self._array(self.number("I"), self.number("Q"))
        return self.number(_SCALARS[kind])

    def _array(self, kind: int, count: int) -> list[Any]:
        if kind == _STRING:
            return [self.text() for _ in range(count)]
        code = f"<{count}{_SCALARS[kind]}"
        return list(struct.unpack(code, self.take(struct.calcsize(code))))


def _size(tensor: GgufTensor) -> int:
    """How many bytes the tensor takes; raises ValueError for a type that is unknown."""
    import numpy as np
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    block_values, block_bytes = GGML_QUANT_SIZES[GGMLQuantizationType(tensor.kind)]
    size: int = int(np.prod(tensor.shape)) // block_values * block_bytes
    return size


def _dequantise(tensor: GgufTensor, data: npt.NDArray[np.uint8], start: int) -> npt.NDArray[np.float32]:
    try:
        from gguf import GGMLQuantizationType
        from gguf.quants import dequantize
    except ImportError as missing:
        raise unimportable(missing, "gguf", "cpu") from missing
    import numpy as np

    kind = GGMLQuantizationType(tensor.kind)
    raw = data[start : start + _size(tensor)]
    if kind == GGMLQuantizationType.F32:
        return np.array(raw).view(np.float32).reshape(tensor.shape)
    rows = raw.reshape(tensor.shape[0], -1)
    parts = [dequantize(rows[at : at + _ROWS_AT_ONCE], kind) for at in range(0, len(rows), _ROWS_AT_ONCE)]
    return np.concatenate(parts).reshape(tensor.shape)


def copy_changed(
    model: GgufFile,
    changes: Mapping[str, Callable[[npt.NDArray[np.float32]], npt.NDArray[np.float32]]],
    out: Path,
) -> None:
    """Write `model` to `out`, the tensors of `changes` as each makes them of the values, in Q8_0.

    Metadata and all other tensors are copied byte for byte; one tensor at a time is in memory.
    """
    import numpy as np
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    changed = GGMLQuantizationType.Q8_0
    data = np.memmap(model.path, mode="r")
    tensors, offset = [], 0
    for tensor in model.tensors:
        kind = int(changed) if tensor.name in changes else tensor.kind
        tensors.append(replace(tensor, kind=kind, offset=offset))
        offset = _aligned(offset + _size(tensors[-1]), model.fields)
    head = _MAGIC + struct.pack("<IQQ", _VERSIONS[-1], len(tensors), len(model.fields))
    head += _fields_of(model, data) + b"".join(map(_described, tensors))
    with out.open("wb") as file:
        file.write(head.ljust(_aligned(len(head), model.fields), b"\0"))
        start = file.tell()
        for old, new in zip(model.tensors, tensors, strict=True):
            file.write(b"\0" * (start + new.offset - file.tell()))
            at = model.data_start + old.offset
            if old.name in changes:
                file.write(quantize(changes[old.name](_dequantise(old, data, at)), changed).tobytes())
            else:
                file.write(data[at : at + _size(old)].data)
        file.write(b"\0" * (start + offset - file.tell()))


def _fields_of(model: GgufFile, data: npt.NDArray[np.uint8]) -> bytes:
    """The metadata as it lies in the file, but for the type of most tensors, which has changed."""
    raw = bytes(data[_FIELDS_START : model.fields_end])
    name = b"general.file_type"
    key = struct.pack("<Q", len(name)) + name + struct.pack("<I", _UINT32)
    old = model.fields.get(name.decode())
    if old is None:
        return raw
    return raw.replace(key + struct.pack("<I", old), key + struct.pack("<I", _MOSTLY_Q8_0))


def _described(tensor: GgufTensor) -> bytes:
    name, sizes = tensor.name.encode(), tensor.shape[::-1]
    text = struct.pack("<Q", len(name)) + name + struct.pack("<I", len(sizes))
    return text + struct.pack(f"<{len(sizes)}QIQ", *sizes, tensor.kind, tensor.offset)
