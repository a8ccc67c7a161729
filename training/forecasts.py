"""What a training takes and how long it lasts, by the way it is computed. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from engine.finetune.cards import Card
from engine.finetune.estimates import Memory, Way, cpu_speed, gpu_speed, memory_of
from engine.finetune.settings import FinetuneSettings
from engine.finetune.sizes import ModelSize
from training.choices import Volume

_PADDING = 1.1  # padded tokens for each that is none
# Seconds lost to compiling, for rows of many lengths: 95 for compiled layers on an H100, 85 on an H200;
# 210 for Unsloth on an H200, half of them before the first steps. See `sft_ways.json`.
_COMPILING, _UNSLOTH_STARTS = 95.0, 210.0


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a training comes to, about."""

    memory: Memory
    tokens_per_second: float
    tokens: int  # in all epochs
    steps: int
    seconds: float  # with `compiling`
    compiling: float  # seconds, most of them before the first steps are done


def forecast(
    size: ModelSize,
    card: Card,
    volume: Volume,
    settings: FinetuneSettings,
    unsloth: bool,
    processes: int = 1,
) -> Forecast:
    """Return what a training with `settings` takes, of memory in each process, and how long it lasts."""
    way = Way(
        settings.rank, settings.batch_tokens, settings.load_in_4bit, settings.gradient_checkpointing,
        unsloth, settings.compile_layers, float32=not card.is_gpu,
    )  # fmt: skip
    speed = speed_of(size, card, way, processes)
    tokens = round(volume.tokens * volume.within(settings.max_length) * settings.epochs)
    steps = steps_of(tokens, settings.batch_tokens * settings.accumulation * processes)
    share = 1.0
    if 0 < settings.max_steps < steps:
        share = settings.max_steps / steps
    if settings.max_seconds:
        share = min(share, settings.max_seconds * speed / max(tokens, 1))
    return Forecast(
        memory_of(size, way),
        speed,
        round(tokens * share),
        max(1, round(steps * share)),
        tokens * share / speed + starting(way),
        starting(way),
    )


def speed_of(size: ModelSize, card: Card, way: Way, processes: int = 1) -> float:
    """Return the tokens a second of all processes: each has a card of its own, a CPU they share."""
    if not card.is_gpu:
        return cpu_speed(size, card.cores)
    return processes * gpu_speed(size, way, card.tflops)


def starting(way: Way) -> float:
    """Return the seconds that are lost to compiling, most of them before the first steps are done."""
    return _UNSLOTH_STARTS if way.unsloth else _COMPILING if way.compiled else 0.0


def steps_of(tokens: int, step: int) -> int:
    """Return how many steps of `step` padded tokens the rows come to."""
    return max(1, math.ceil(tokens * _PADDING / step))
