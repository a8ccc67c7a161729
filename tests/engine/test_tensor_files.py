"""Safetensors written and read with numpy agree with the safetensors package."""

from __future__ import annotations

from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
safetensors_numpy = pytest.importorskip("safetensors.numpy")

from engine.tensor_files import add_in_place, read_safetensors, read_table, write_bfloat16  # noqa: E402 - after the skips


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


@pytest.mark.parametrize("kind", ["BF16", "F16", "F32"])
def test_a_tensor_is_changed_where_it_lies(tmp_path: Path, kind: str) -> None:
    """In its own precision; its neighbours keep every bit, and the file its length."""
    path = tmp_path / "x.safetensors"
    ones = {name: np.full((2, 3), 1.0, np.float32) for name in "abc"}
    if kind == "BF16":
        write_bfloat16(path, ones.items())
    else:
        package = pytest.importorskip("safetensors.numpy")
        package.save_file({k: v.astype({"F16": "f2", "F32": "f4"}[kind]) for k, v in ones.items()}, path)
    size = path.stat().st_size
    add_in_place(path, "b", np.arange(6, dtype=np.float32).reshape(2, 3))
    found = read_safetensors(path)
    assert np.array_equal(found["b"], [[1, 2, 3], [4, 5, 6]])
    assert np.array_equal(found["a"], ones["a"])
    assert np.array_equal(found["c"], ones["c"])
    assert path.stat().st_size == size
    assert read_table(path)["b"]["dtype"] == kind
    with pytest.raises(ValueError, match="has shape"):
        add_in_place(path, "b", np.zeros((3, 2), np.float32))
    with pytest.raises(ValueError, match="no tensor z"):
        add_in_place(path, "z", np.zeros((3, 2), np.float32))


@pytest.mark.parametrize("content", [b"", b"\x05", (9).to_bytes(8, "little") + b"[1, 2, 3]", b"\xff" * 20])
def test_a_table_that_is_none(tmp_path: Path, content: bytes) -> None:
    """ValueError, whatever stands there."""
    path = tmp_path / "x.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="not an intact safetensors file"):
        read_table(path)
