"""Settings by card and by how much data there is, each with its reason. Pure.

What proved good on the way to the starter adapter is kept where it fits; the rest follows from the card's
memory and from how many steps a training needs to learn anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from engine.errors import ModelError
from engine.finetune.cards import Card
from engine.finetune.estimates import Way, memory_of
from engine.finetune.settings import Backend
from engine.finetune.sizes import ModelSize
from training.choices import Choice, Volume, Why
from training.forecasts import speed_of, starting, steps_of

_USABLE = 0.92  # of a card's memory: what is freed and taken again leaves gaps
_LENGTHS = (128, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
_BATCHES = (16_384, 8192, 4096, 2048, 1024)
_SMALL_PART = 2048  # tokens that have to fit at once, else 4 bits are tried
_LARGEST_ON_CPU = 4096
_STEPS_AN_EPOCH = 100
_FEW, _MANY = 500_000, 10_000_000  # tokens
_SMALL_MODEL = 500_000_000  # parameters
_CPU_SECONDS = 3600.0
_HELD_OUT_FROM = 400  # rows


def choose(
    size: ModelSize, card: Card, volume: Volume, has_unsloth: bool, processes: int = 1
) -> tuple[Choice[Any], ...]:
    """Return settings for a training; raises ModelError where the model fits the card in no way.

    Several processes, each with such a card, share a step: it has as many tokens as that of one process, so
    they take as many steps and see the same.
    """
    rank = _rank(volume)
    in_4bit = _precision(size, card, rank.value)
    way = Way(rank.value, _SMALL_PART, in_4bit.value, float32=not card.is_gpu)
    length = _length(size, card, volume, way)
    share = _shared(_step(card, volume), length.value, processes)
    recompute, batch, parts = _batches(size, card, way, length.value, share)
    way = replace(way, tokens=batch.value, recompute=recompute.value)
    epochs = _epochs(volume, volume.tokens / speed_of(size, card, way), card)
    tokens = round(volume.tokens * epochs.value)
    ways = {"plain": way, "compiled": replace(way, compiled=True), "unsloth": replace(way, unsloth=True)}
    minutes = {
        name: (tokens / speed_of(size, card, each, processes) + starting(each)) / 60
        for name, each in ways.items()
    }
    backend, compiled = _fastest(card, minutes, has_unsloth, processes)
    steps = steps_of(tokens, batch.value * parts.value * processes)
    return (
        backend,
        in_4bit,
        recompute,
        compiled,
        rank,
        length,
        batch,
        parts,
        epochs,
        _rate(size),
        Choice("warmup_steps", min(50, max(1, steps // 20)), Why.WARMUP),
        Choice("eval_steps", max(10, steps // 10), Why.EVALUATE),
        *_validation(volume),
    )


def _fits(size: ModelSize, card: Card, way: Way) -> bool:
    return card.memory_gib is None or memory_of(size, way).total <= card.memory_gib * _USABLE


def _validation(volume: Volume) -> Iterator[Choice[Any]]:
    draws = not volume.validation_rows and volume.rows >= _HELD_OUT_FROM
    if draws:
        yield Choice("validation_share", 0.05, Why.HELD_OUT)
    if draws or volume.validation_rows:
        yield Choice("patience", 3, Why.PATIENCE)
    else:
        yield Choice("patience", 0, Why.NO_PATIENCE)


def _rank(volume: Volume) -> Choice[int]:
    if volume.tokens < _FEW:
        return Choice("rank", 8, Why.RANK_FEW, {"tokens": volume.tokens})
    if volume.tokens < _MANY:
        return Choice("rank", 16, Why.RANK_SOME, {"tokens": volume.tokens})
    return Choice("rank", 32, Why.RANK_MANY, {"tokens": volume.tokens})


def _precision(size: ModelSize, card: Card, rank: int) -> Choice[bool]:
    if card.memory_gib is None:
        return Choice("load_in_4bit", False, Why.CPU_PRECISION)
    plain, small = (Way(rank, _SMALL_PART, in_4bit, recompute=True) for in_4bit in (False, True))
    numbers = {"gib": memory_of(size, plain).total, "room": card.memory_gib}
    if _fits(size, card, plain):
        return Choice("load_in_4bit", False, Why.BFLOAT16, numbers)
    if _fits(size, card, small):
        return Choice("load_in_4bit", True, Why.FOUR_BITS, numbers)
    raise ModelError(
        f"the model does not fit: training it takes {memory_of(size, small).total:.1f} GiB even in 4 bits "
        f"with {small.tokens} tokens at once; {card.name} has {card.memory_gib:.1f} GiB"
    )


def _length(size: ModelSize, card: Card, volume: Volume, way: Way) -> Choice[int]:
    wanted = next((length for length in _LENGTHS if length >= volume.usual_longest), _LENGTHS[-1])
    fitting = [
        n for n in _LENGTHS if n <= wanted and _fits(size, card, replace(way, tokens=n, recompute=True))
    ]
    if not fitting:
        raise ModelError(f"not even rows of {_LENGTHS[0]} tokens fit {card.name}")
    length = fitting[-1]
    numbers = {"share": volume.within(length), "longest": volume.lengths[-1]}
    return Choice("max_length", length, Why.LENGTH_ROWS if length == wanted else Why.LENGTH_MEMORY, numbers)


def _step(card: Card, volume: Volume) -> Choice[int]:
    """How many tokens a step should have, if memory were no matter."""
    allowed = [n for n in _BATCHES if card.is_gpu or n <= _LARGEST_ON_CPU]
    tokens = next((n for n in allowed if volume.tokens >= n * _STEPS_AN_EPOCH), _BATCHES[-1])
    if tokens == allowed[0]:
        return Choice("batch_tokens", tokens, Why.BATCH_BEST if card.is_gpu else Why.BATCH_CPU)
    return Choice("batch_tokens", tokens, Why.BATCH_STEPS, {"steps": max(1, volume.tokens // tokens)})


def _shared(step: Choice[int], length: int, processes: int) -> Choice[int]:
    """Return each process's share of a step: a row that is kept has to fit into it."""
    if processes == 1:
        return step
    share = math.ceil(step.value / processes)
    numbers = {"processes": processes, "tokens": step.value, "length": length, "step": length * processes}
    if share < length:
        return Choice(step.key, length, Why.BATCH_LONGEST, numbers)
    return Choice(step.key, share, Why.BATCH_SHARED, numbers)


def _batches(
    size: ModelSize, card: Card, way: Way, length: int, step: Choice[int]
) -> tuple[Choice[bool], Choice[int], Choice[int]]:
    """Whether to recompute, the tokens of a micro-batch, how many make a step: rather recompute than cut."""
    wanted = max(step.value, length)
    whole, again = (replace(way, tokens=wanted, recompute=recompute) for recompute in (False, True))
    room = {"room": card.memory_gib or 0.0}
    keep = _fits(size, card, whole)
    recompute = Choice(
        "gradient_checkpointing", not keep, Why.KEEP if keep else Why.RECOMPUTE,
        {"gib": memory_of(size, whole).total, **room},
    )  # fmt: skip
    if keep or _fits(size, card, again):
        return recompute, replace(step, value=wanted), Choice("accumulation", 1, Why.WHOLE)
    largest = max(
        (n for n in (*_BATCHES, length) if length <= n and _fits(size, card, replace(again, tokens=n))),
        default=length,
    )
    parts = math.ceil(wanted / largest)
    micro = max(length, math.ceil(wanted / parts))  # parts of one size: the step is no larger than wished for
    numbers = {"gib": memory_of(size, again).total, "tokens": wanted, **room}
    processes = step.numbers.get("processes", 1)
    return (
        recompute,
        Choice("batch_tokens", micro, Why.BATCH_MEMORY, numbers),
        Choice("accumulation", parts, Why.PARTS, {"tokens": wanted * processes}),
    )


def _epochs(volume: Volume, seconds: float, card: Card) -> Choice[float]:
    """How often to go through rows that take `seconds` each time."""
    wanted, why = 2.0, Why.EPOCHS_MANY
    if volume.tokens < _MANY:
        wanted, why = 3.0, Why.EPOCHS_SOME
    if volume.tokens < _FEW:
        wanted, why = 4.0, Why.EPOCHS_FEW
    if not card.is_gpu and seconds * wanted > _CPU_SECONDS:
        affordable = max(1.0, _CPU_SECONDS // seconds)
        if affordable < wanted:
            return Choice("epochs", affordable, Why.EPOCHS_TIME, {"minutes": seconds / 60, "wanted": wanted})
    return Choice("epochs", wanted, why)


def _fastest(
    card: Card, minutes: Mapping[str, float], has_unsloth: bool, processes: int
) -> tuple[Choice[Backend], Choice[bool]]:
    """Choose what trains, and whether it compiles layers, by the `minutes` that each way would take."""
    if not card.is_gpu:
        return Choice("backend", Backend.TRL, Why.TRL_CPU), Choice("compile_layers", False, Why.COMPILE_CPU)
    compile_layers = minutes["compiled"] < minutes["plain"]
    why = Why.COMPILE if compile_layers else Why.NO_COMPILE
    compiled = Choice("compile_layers", compile_layers, why, minutes)
    if processes > 1:
        return Choice("backend", Backend.TRL, Why.TRL_SEVERAL), compiled
    if not has_unsloth:
        return Choice("backend", Backend.TRL, Why.TRL_MISSING), compiled
    numbers = {**minutes, "trl": min(minutes["plain"], minutes["compiled"])}
    if numbers["trl"] <= numbers["unsloth"]:
        return Choice("backend", Backend.TRL, Why.TRL_FASTER, numbers), compiled
    return (
        Choice("backend", Backend.UNSLOTH, Why.UNSLOTH, numbers),
        Choice("compile_layers", False, Why.UNSLOTH_COMPILES),
    )


def _rate(size: ModelSize) -> Choice[float]:
    if size.linear + size.embedding < _SMALL_MODEL:
        return Choice("learning_rate", 5e-4, Why.RATE_SMALL)
    return Choice("learning_rate", 2e-4, Why.RATE_LARGE)
