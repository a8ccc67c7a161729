"""Merging: what adapters do together is what each does, added up; what does not go together is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.adapters import CARD, CONFIG, WEIGHTS, Manifest, load_adapter, write_manifest
from engine.errors import AdapterConflict, AdapterError, InputError
from engine.finetune.merging import MergeMethod, merge_adapters
from engine.scores import Calibration
from engine.testing import lora_config

pytest.importorskip("peft")
pytestmark = pytest.mark.train

SIZES = {"self_attn.q_proj": (12, 16), "mlp.down_proj": (20, 12)}


def write_adapter(
    directory: Path, seed: int, rank: int = 4, *, rslora: bool = False, base: str = "0"
) -> Path:
    """Fill `directory` with an adapter of random factors for two layers."""
    import torch
    from safetensors.torch import save_file

    random = torch.Generator().manual_seed(seed)
    tensors = {}
    for layer in range(2):
        for module, (inputs, outputs) in SIZES.items():
            path = f"base_model.model.model.layers.{layer}.{module}"
            tensors[f"{path}.lora_A.weight"] = torch.randn(rank, inputs, generator=random)
            tensors[f"{path}.lora_B.weight"] = torch.randn(outputs, rank, generator=random)
    directory.mkdir(parents=True)
    save_file(tensors, directory / WEIGHTS)
    modules = [module.partition(".")[2] for module in SIZES]
    config = lora_config(rank) | {"target_modules": modules, "use_rslora": rslora}
    (directory / CONFIG).write_text(json.dumps(config))
    (directory / CARD).write_text("# Random")
    manifest = Manifest(
        name=f"random-{seed}",
        base_model="google/gemma-3-270m-it",
        base_sha256=base * 64,
        dtype="bfloat16",
        rank=rank,
        scores={"f1": 0.5},
        calibration=Calibration(threshold=0.2),
        licence="Gemma Terms of Use",
    )
    write_manifest(directory, manifest)
    return directory


def effects(directory: Path) -> dict[str, Any]:
    """Return what the adapter adds to the weights of each layer."""
    from safetensors.torch import load_file

    tensors = load_file(directory / WEIGHTS)
    config = json.loads((directory / CONFIG).read_text())
    rank = config["r"]
    scale = config["lora_alpha"] / (rank**0.5 if config.get("use_rslora") else rank)
    return {
        name.replace(".lora_A.weight", ""): scale * tensors[name.replace("lora_A", "lora_B")] @ tensors[name]
        for name in tensors
        if ".lora_A." in name
    }


@pytest.mark.parametrize("rslora", [False, True])
def test_cat_adds_the_effects_exactly(tmp_path: Path, rslora: bool) -> None:
    """Also for other ranks and scales: the sum, by weight, of what each adapter does."""
    import torch

    first = write_adapter(tmp_path / "a", 1, rank=4, rslora=rslora)
    second = write_adapter(tmp_path / "b", 2, rank=2)
    merged = merge_adapters([first, second], tmp_path / "m", "both", MergeMethod.CAT, weights=[0.5, 2])
    assert merged.manifest.rank == 6
    one, two, both = effects(first), effects(second), effects(merged.path)
    assert set(both) == set(one)
    for name, effect in both.items():
        torch.testing.assert_close(effect, 0.5 * one[name] + 2 * two[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("method", [MergeMethod.LINEAR, MergeMethod.TIES, MergeMethod.DARE_LINEAR])
def test_an_adapter_merged_with_itself_keeps_its_direction(tmp_path: Path, method: MergeMethod) -> None:
    """With nearly everything kept and half the weight each, these methods give the adapter back."""
    import torch

    first = write_adapter(tmp_path / "a", 1)
    merged = merge_adapters([first, first], tmp_path / "m", "twice", method, weights=[0.5, 0.5], density=0.99)
    assert merged.manifest.rank == 4
    for name, effect in effects(merged.path).items():
        cosine = torch.cosine_similarity(effect.flatten(), effects(first)[name].flatten(), dim=0)
        assert cosine > 0.98, (name, cosine)


def test_merged_adapter_is_an_unmeasured_candidate(tmp_path: Path) -> None:
    """It is whole, says where it comes from, and has neither calibration nor scores."""
    sources = [write_adapter(tmp_path / name, seed) for seed, name in enumerate("ab")]
    merged = merge_adapters(sources, tmp_path / "m", "both", MergeMethod.TIES, density=0.4)
    manifest = load_adapter(tmp_path / "m").manifest
    assert (manifest.calibration, manifest.scores) == (Calibration(), {})
    assert manifest.settings["merge"] == {
        "method": "ties",
        "adapters": [load_adapter(source).version for source in sources],
        "weights": [1.0, 1.0],
        "density": 0.4,
    }
    assert merged.version.startswith("both-")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_dare_follows_its_seed(tmp_path: Path) -> None:
    """The same seed thins out the same values; another seed, others."""
    sources = [write_adapter(tmp_path / name, seed) for seed, name in enumerate("ab")]
    made = [
        merge_adapters(sources, tmp_path / f"m{n}", "both", MergeMethod.DARE_LINEAR, seed=seed)
        for n, seed in enumerate((7, 7, 8))
    ]
    first, again, other = (adapter.manifest.files[WEIGHTS] for adapter in made)
    assert (first == again, first == other) == (True, False)


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    """Other bases, unequal ranks, bad numbers and a directory that is there are named; nothing is written."""
    a, b = (write_adapter(tmp_path / name, seed) for seed, name in enumerate("ab"))
    stranger = write_adapter(tmp_path / "c", 3, base="1")
    small = write_adapter(tmp_path / "d", 4, rank=2)
    out = tmp_path / "out" / "m"
    refused: tuple[tuple[type[Exception], str, Callable[[], object]], ...] = (
        (
            AdapterError,
            "do not share a base",
            lambda: merge_adapters([a, stranger], out, "m", MergeMethod.CAT),
        ),
        (
            AdapterError,
            "cannot be merged by ties",
            lambda: merge_adapters([a, small], out, "m", MergeMethod.TIES),
        ),
        (InputError, "two adapters", lambda: merge_adapters([a], out, "m", MergeMethod.CAT)),
        (InputError, "1 weights", lambda: merge_adapters([a, b], out, "m", MergeMethod.CAT, weights=[1])),
        (InputError, "above 0", lambda: merge_adapters([a, b], out, "m", MergeMethod.CAT, weights=[1, -1])),
        (InputError, "density", lambda: merge_adapters([a, b], out, "m", MergeMethod.TIES, density=0)),
        (AdapterConflict, "exists", lambda: merge_adapters([a, b], tmp_path / "c", "m", MergeMethod.CAT)),
    )
    for error, message, call in refused:
        with pytest.raises(error, match=message):
            call()
    assert not (tmp_path / "out" / "m").exists()
