"""GGUF files are read as the gguf package writes them, and damaged ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy")
gguf = pytest.importorskip("gguf")

from engine.errors import ModelError  # noqa: E402 - after the skips
from engine.gguf_files import read_gguf  # noqa: E402

MATRIX = np.linspace(-1, 1, 64 * 64, dtype=np.float32).reshape(64, 64)


def _write(path: Path) -> None:
    writer = gguf.GGUFWriter(path, "gemma3")
    writer.add_uint32("gemma3.block_count", 18)
    writer.add_float32("gemma3.rope.freq_base", 1e6)
    writer.add_bool("flag", True)
    writer.add_token_list(["<pad>", "▁日本", "\n\n"])
    writer.add_token_scores([0.0, -1.0, -2.5])
    writer.add_tensor("norm.weight", MATRIX[0])
    writer.add_tensor("half.weight", MATRIX.astype(np.float16))
    kind = gguf.GGMLQuantizationType.Q8_0
    writer.add_tensor("quantised.weight", gguf.quants.quantize(MATRIX, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small GGUF file."""
    path = tmp_path_factory.mktemp("gguf") / "small.gguf"
    _write(path)
    return path


def test_metadata(file: Path) -> None:
    """Every kind of value comes back."""
    fields = read_gguf(file).fields
    assert fields["general.architecture"] == "gemma3"
    assert fields["gemma3.block_count"] == 18
    assert fields["gemma3.rope.freq_base"] == 1e6
    assert fields["flag"] is True
    assert fields["tokenizer.ggml.tokens"] == ["<pad>", "▁日本", "\n\n"]
    assert fields["tokenizer.ggml.scores"] == [0.0, -1.0, -2.5]


def test_tensors(file: Path) -> None:
    """Values come back in float32 within the precision of their type."""
    values = {tensor.name: found for tensor, found in read_gguf(file).values()}
    assert np.array_equal(values["norm.weight"], MATRIX[0])
    assert np.abs(values["half.weight"] - MATRIX).max() < 1e-3
    assert np.abs(values["quantised.weight"] - MATRIX).max() < 1e-2
    assert all(found.dtype == np.float32 for found in values.values())


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(ModelError, match=r"cannot read .*none\.gguf"):
        read_gguf(tmp_path / "none.gguf")


def test_cut_tensor(file: Path, tmp_path: Path) -> None:
    """A file that ends inside of a tensor names the tensor."""
    (tmp_path / "cut.gguf").write_bytes(file.read_bytes()[:-200])
    with pytest.raises(ModelError, match="cut off"):
        list(read_gguf(tmp_path / "cut.gguf").values())


@settings(max_examples=300, deadline=None)
@given(at=st.integers(0, 400), change=st.binary(max_size=12), cut=st.integers(1, 600))
def test_damage_is_an_error_and_no_crash(file: Path, at: int, change: bytes, cut: int) -> None:
    """Whatever bytes stand in the header, the file is read or refused as a ModelError, in bounded memory."""
    content = bytearray(file.read_bytes()[:cut])
    content[at : at + len(change)] = change
    damaged = file.with_name("damaged.gguf")
    damaged.write_bytes(content)
    try:
        read_gguf(damaged)
    except ModelError as error:
        assert "damaged.gguf" in str(error)  # noqa: PT017 - either outcome is right
