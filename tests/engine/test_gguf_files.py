"""GGUF files are read as the gguf package writes them, and damaged ones are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

np = pytest.importorskip("numpy")
gguf = pytest.importorskip("gguf")

from engine.errors import ModelError  # noqa: E402 - after the skips
from engine.gguf_files import GgufFile, copy_changed, read_gguf  # noqa: E402

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


@settings(max_examples=300)
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


def test_a_copy_with_another_tensor(file: Path, tmp_path: Path) -> None:
    """The changed one in 8 bits; metadata and the others are the same bytes. The package reads it."""
    out = tmp_path / "out.gguf"
    before = read_gguf(file)
    copy_changed(before, {"half.weight": lambda values: values + 1}, out)
    after = read_gguf(out)
    assert after.fields == before.fields
    old, new = ({tensor.name: values for tensor, values in model.values()} for model in (before, after))
    assert np.abs(new["half.weight"] - (MATRIX + 1)).max() < 0.01
    assert np.array_equal(new["norm.weight"], old["norm.weight"])
    assert np.array_equal(new["quantised.weight"], old["quantised.weight"])
    theirs = {tensor.name: tensor for tensor in gguf.GGUFReader(out).tensors}
    assert theirs["half.weight"].tensor_type == gguf.GGMLQuantizationType.Q8_0
    assert theirs["quantised.weight"].shape.tolist() == [64, 64]
    assert copied(tmp_path / "same.gguf", before).read_bytes() == file.read_bytes()


def copied(out: Path, model: GgufFile) -> Path:
    copy_changed(model, {}, out)
    return out


def test_the_type_of_a_changed_file_is_told(tmp_path: Path) -> None:
    """llama.cpp shows it; that of one without stays out."""
    writer = gguf.GGUFWriter(tmp_path / "a.gguf", "gemma3")
    writer.add_file_type(15)
    writer.add_tensor("x", MATRIX)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    copy_changed(read_gguf(tmp_path / "a.gguf"), {"x": lambda values: values}, tmp_path / "b.gguf")
    assert read_gguf(tmp_path / "b.gguf").fields["general.file_type"] == 7
