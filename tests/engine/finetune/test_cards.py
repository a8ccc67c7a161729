"""The card of a machine, as its driver tells it."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.finetune import cards
from engine.finetune.cards import SIZES, card_here, cpu, usual_card


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a driver's program that is first in PATH; PyTorch counts as one with CUDA."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(cards, "version", lambda name: "2.13.0+cu130")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return tmp_path / "nvidia-smi"


def answer(program: Path, text: str, code: int = 0) -> None:
    program.write_text(f'#!/bin/sh\necho "$1" > "{program.parent}/asked"\necho "{text}"\nexit {code}\n')
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("told", "gib", "tflops"),
    [
        ("NVIDIA H100 80GB HBM3, 81559", 79.6, 790),
        ("NVIDIA GeForce RTX 3090, 24576", 24.0, 71),
        ("NVIDIA L40S, 46068", 45.0, 362),
        ("Something New, 24000", 23.4, 71),
        ("Something Small, 6144", 6.0, 25),
    ],
)
def test_card_is_known_by_name_or_size(driver: Path, told: str, gib: float, tflops: float) -> None:
    """Its speed is that of its name, else of a slow card of its size."""
    answer(driver, told)
    card = card_here()
    assert card.name == told.rpartition(",")[0]
    assert card.memory_gib == pytest.approx(gib, abs=0.1)
    assert card.tflops == tflops


def test_visible_card_is_asked_for(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that CUDA may see, not the machine's first; where it may see none, the CPU trains."""
    answer(driver, "NVIDIA L4, 23034")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert card_here().is_gpu
    assert (driver.parent / "asked").read_text() == "--id=2\n"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert card_here() == cpu()


@pytest.mark.parametrize(
    ("text", "code"), [("No devices were found", 6), ("", 0), ("name without memory", 0)]
)
def test_driver_that_tells_nothing(driver: Path, text: str, code: int) -> None:
    """Then the CPU trains."""
    answer(driver, text, code)
    assert card_here() == cpu()


def test_pytorch_without_cuda_trains_on_the_cpu(driver: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the machine has."""
    answer(driver, "NVIDIA L4, 23034")
    monkeypatch.setattr(cards, "version", lambda name: "2.13.0+cpu")
    assert not card_here().is_gpu


def test_usual_cards_grow() -> None:
    """A larger one has more memory."""
    gib = [usual_card(size).memory_gib or 0 for size in SIZES]
    assert gib == sorted(gib)
    assert all(usual_card(size).is_gpu for size in SIZES)
