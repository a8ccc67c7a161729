"""Safetensors written and read with numpy agree with the safetensors package."""

from __future__ import annotations

from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
safetensors_numpy = pytest.importorskip("safetensors.numpy")

from engine.tensor_files import read_safetensors, write_bfloat16  # noqa: E402 - after the skips


def test_round_trip(tmp_path: Path) -> None:
    """What has few bits comes back as it was, with its shape."""
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.array([-0.5], np.float32)}
    write_bfloat16(tmp_path / "f", tensors.items())
    found = read_safetensors(tmp_path / "f")
    assert found.keys() == tensors.keys()
    assert all(np.array_equal(found[name], tensors[name]) for name in tensors)


def test_rounds_to_nearest_even(tmp_path: Path) -> None:
    """Ties go to the even neighbour, as torch has it."""
    step = 2.0**-7
    values = np.array([1 + step / 2, 1 + 3 * step / 2, 1 + step / 2 + 1e-6, -(1 + step / 2)], np.float32)
    write_bfloat16(tmp_path / "f", [("x", values)])
    assert read_safetensors(tmp_path / "f")["x"].tolist() == [1, 1 + 2 * step, 1 + step, -1]


@pytest.mark.parametrize("kind", ["float16", "float32"])
def test_reads_what_the_package_writes(tmp_path: Path, kind: str) -> None:
    """Half and single precision are read as float32."""
    values = np.linspace(-2, 2, 8).astype(kind)
    safetensors_numpy.save_file({"x": values}, tmp_path / "f")
    found = read_safetensors(tmp_path / "f")["x"]
    assert found.dtype == np.float32
    assert np.array_equal(found, values.astype(np.float32))


def test_integers_are_refused(tmp_path: Path) -> None:
    """A tensor of another type is an error that names it."""
    safetensors_numpy.save_file({"x": np.arange(3)}, tmp_path / "f")
    with pytest.raises(ValueError, match="tensor x is of type I64"):
        read_safetensors(tmp_path / "f")


@pytest.mark.parametrize("content", [b"", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0{}trailing"])
def test_damaged_file(tmp_path: Path, content: bytes) -> None:
    """What is not intact is an error, never a crash."""
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(ValueError, match="not an intact safetensors file"):
        read_safetensors(tmp_path / "f")
