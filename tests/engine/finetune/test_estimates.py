"""Estimates go through what was measured, and follow the size of model, batch and card."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.finetune.estimates import Way, cpu_speed, gpu_speed, memory_of
from engine.finetune.sizes import ModelSize

M270 = ModelSize(layers=18, hidden=640, ffn=2048, query=1024, key=256, vocabulary=262_144)
M4B = ModelSize(layers=34, hidden=2560, ffn=10_240, query=2048, key=1024, vocabulary=262_208)

MEASURED_GIB = [
    (M270, Way(32, 16_384), 22.5),
    (M4B, Way(8, 8192), 56.0),
    (M4B, Way(8, 2048, recompute=True), 8.3),
    (M4B, Way(8, 8192, recompute=True), 10.9),
    (M4B, Way(8, 2048, in_4bit=True, recompute=True), 5.5),
    (M4B, Way(8, 8192, in_4bit=True, recompute=True), 9.4),
    (M4B, Way(8, 16_384, in_4bit=True, recompute=True), 14.7),
]


@pytest.mark.parametrize(("size", "way", "measured"), MEASURED_GIB)
def test_memory_is_what_was_measured(size: ModelSize, way: Way, measured: float) -> None:
    """At most a tenth less and a third more: what does not fit after all costs more than a smaller batch.

    The logits are our own loss's; where TRL's was measured, which has none at once, they come on top.
    """
    memory = memory_of(size, way)
    assert 0.9 * measured < memory.total - memory.head * (size is M4B) < 1.33 * measured


def test_memory_follows_the_way() -> None:
    """More tokens take more, recomputation and 4 bits less, a larger rank a larger adapter."""
    way = Way(16, 4096)
    total = memory_of(M4B, way).total
    assert memory_of(M4B, replace(way, tokens=8192)).total > total
    assert memory_of(M4B, replace(way, recompute=True)).total < total
    assert memory_of(M4B, replace(way, in_4bit=True)).total < total
    assert memory_of(M4B, replace(way, rank=64)).adapter == 4 * memory_of(M4B, way).adapter


def test_speed_is_what_was_measured() -> None:
    """On the card that was measured the numbers are those; on others less, in their order."""
    assert gpu_speed(M270, Way(32, 16_384, compiled=True), 790) == pytest.approx(98_753, rel=0.02)
    measured = (  # tests/benchmarks/results/unsloth_against_trl.json: plain, compiled layers, Unsloth
        (M270, Way(16, 7680), (34_579, 77_654, 80_419)),
        (M4B, Way(16, 3840), (8805, 17_112, 17_696)),
    )
    for size, way, speeds in measured:
        ways = (way, replace(way, compiled=True), replace(way, unsloth=True))
        assert [gpu_speed(size, each, 790) for each in ways] == [pytest.approx(s, rel=0.05) for s in speeds]
    assert gpu_speed(M4B, Way(8, 8192), 790) == pytest.approx(10_525, rel=0.02)
    assert gpu_speed(M4B, Way(8, 8192, recompute=True), 790) == pytest.approx(8144, rel=0.02)
    qlora = Way(8, 8192, in_4bit=True, recompute=True)
    assert gpu_speed(M4B, qlora, 790) == pytest.approx(6786, rel=0.02)
    assert gpu_speed(M4B, replace(qlora, compiled=True), 790) == gpu_speed(M4B, qlora, 790)  # not measured
    assert gpu_speed(M4B, replace(qlora, unsloth=True), 790) == pytest.approx(16_694, rel=0.02)
    rates = [gpu_speed(M4B, qlora, tflops) for tflops in (25, 71, 312, 790)]
    assert rates == sorted(rates)


def test_small_steps_wait_for_launches() -> None:
    """Half the tokens take as long where a step is launched in longer than it is computed."""
    way = Way(16, 1024)
    assert gpu_speed(M270, replace(way, tokens=2048), 790) == pytest.approx(2 * gpu_speed(M270, way, 790))
    assert gpu_speed(M270, replace(way, compiled=True), 790) > gpu_speed(M270, way, 790)


def test_cpu_speed_follows_cores_and_size() -> None:
    """Twice the cores are twice the speed; the 4B is as many times slower as it is larger."""
    assert cpu_speed(M270, 4) == pytest.approx(2 * cpu_speed(M270, 2))
    assert cpu_speed(M270, 2) / cpu_speed(M4B, 2) == pytest.approx(M4B.linear / M270.linear)
