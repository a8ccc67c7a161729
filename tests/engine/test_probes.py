"""What is refused when an adapter is loaded, by what it does to one small text."""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.adapters import load_adapter, starter_adapter
from engine.errors import AdapterError
from engine.probes import PROBE, Probe, log_rows, prove_effect, record_probe
from engine.prompts import LABELS
from engine.testing import FakeRunner

BASE = [[0.3, *[0.1] * 7], [0.05, 0.35, *[0.1] * 6]]


def moved(rows: Sequence[Sequence[float]], effect: float) -> list[list[float]]:
    """`rows` with the logarithm of every second probability moved by `effect`, each row summing to 1."""
    moved_rows = [[p * math.exp(effect * (i % 2)) for i, p in enumerate(row)] for row in rows]
    return [[p / sum(row) for p in row] for row in moved_rows]


def recorded(effect: float = 3.0) -> Probe:
    return Probe(base=log_rows(BASE), adapter=log_rows(moved(BASE, effect)))


def test_the_probe_is_read_over_the_labels() -> None:
    """What is recorded has a row for each block and a number for each label."""
    base = FakeRunner()
    adapted = FakeRunner(lambda block: {" bug": 0.9})
    probe = record_probe(base, adapted)
    assert [len(row) for row in (*probe.base, *probe.adapter)] == [len(LABELS)] * 2 * len(PROBE.blocks)
    prove_effect("same", log_to_rows(probe.base), log_to_rows(probe.adapter), probe)


def log_to_rows(rows: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[math.exp(value) for value in row] for row in rows]


@pytest.mark.parametrize("noise", [0.0, 0.1, -0.2])
def test_what_does_as_recorded_passes(noise: float) -> None:
    """Also where quantised weights move everything a little."""
    base = moved(BASE, noise)
    prove_effect("a", base, moved(base, 3.0), recorded())


@pytest.mark.parametrize(
    ("base", "effect", "said"),
    [
        (BASE, 0.0, "no effect"),
        (BASE, 0.01, "no effect"),
        (BASE, 6.0, "wrong scale"),
        (BASE, 1.0, "wrong scale"),
        (BASE, -3.0, "wrong scale"),
        (moved(BASE, 2.5), 3.0, "another base model"),
    ],
)
def test_what_does_not_is_refused(base: Any, effect: float, said: str) -> None:
    """Nothing, twice or a third of it, the reverse, or on another base."""
    with pytest.raises(AdapterError, match=said):
        prove_effect("a", base, moved(base, effect), recorded())


def test_without_a_record_only_an_effect_is_asked_for() -> None:
    """An adapter of before probes were recorded, or a directory that is being measured for one."""
    prove_effect("a", BASE, moved(BASE, 9.0), None)
    with pytest.raises(AdapterError, match="no effect"):
        prove_effect("a", BASE, BASE, None)


def test_a_record_of_another_form_is_refused() -> None:
    """One row too few says so, instead of comparing the wrong numbers."""
    probe = Probe(base=log_rows(BASE[:1]), adapter=log_rows(BASE[:1]))
    with pytest.raises(AdapterError, match="not of 2 times 8"):
        prove_effect("a", BASE, moved(BASE, 3.0), probe)


@pytest.mark.model
@pytest.mark.parametrize(("factor", "said"), [(0.0, "no effect"), (0.5, "wrong scale"), (2.0, "wrong scale")])
def test_the_starter_with_other_weights_is_refused(factor: float, said: str, tmp_path: Path) -> None:
    """The embedded runner with the real model sees a planted no-op and wrong scales."""
    pytest.importorskip("xllamacpp")
    from safetensors.numpy import load_file, save_file

    from engine.models import base_model
    from engine.runners.llama import LlamaOptions, LlamaRunner
    from engine.tensor_files import read_safetensors

    directory = starter_adapter()
    assert directory is not None
    probe = load_adapter(directory).manifest.probe
    assert probe is not None
    planted = tmp_path / "planted"
    shutil.copytree(directory, planted)
    tensors = read_safetensors(directory / "adapter_model.safetensors")
    # A little is left in one factor, or the conversion would see the zeros before the model does.
    scaled = {
        name: values * factor + (1e-6 if name.endswith("0.self_attn.q_proj.lora_B.weight") else 0)
        if ".lora_B." in name
        else values
        for name, values in tensors.items()
    }
    save_file(scaled, planted / "adapter_model.safetensors")
    assert load_file(planted / "adapter_model.safetensors")
    options = LlamaOptions(
        score_adapter=planted, write_adapter=planted, context=1024, cache=tmp_path, probe=probe
    )
    with pytest.raises(AdapterError, match=said):
        LlamaRunner(base_model(), options)
