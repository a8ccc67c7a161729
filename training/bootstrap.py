"""Bootstrap over items: how far a statistic could have come out otherwise, alone or against another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
import numpy.typing as npt

from training.metrics import Floats, mean


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its 95 % interval; None where the statistic has no value on this data."""

    value: float | None
    low: float | None
    high: float | None


def item_weights(items: int, samples: int = 1000, seed: int = 0) -> Floats:
    """Return `(1 + samples, items)` counts: ones first, then how often each resample drew each item.

    Statistics of two systems on the same weights are paired.
    """
    generator = np.random.default_rng(seed)
    chances = np.full(items, 1 / max(items, 1))
    drawn = generator.multinomial(items, chances, size=samples) if items else np.empty((samples, 0))
    return np.concatenate([np.ones((1, items)), drawn])


def spread(weights: Floats, item_of: npt.ArrayLike) -> Floats:
    """Return the weights of observations that belong to items: each gets the weight of its item."""
    return weights[:, np.asarray(item_of, dtype=int)]


def estimate(values: Floats) -> Estimate:
    """Return the first value with the interval of the others, as `item_weights` orders them."""
    resampled = values[1:][~np.isnan(values[1:])]
    low, high = np.quantile(resampled, [0.025, 0.975]) if len(resampled) else (np.nan, np.nan)
    return Estimate(_number(values[0]), _number(low), _number(high))


def paired_difference(
    candidate: Sequence[float], champion: Sequence[float], samples: int = 1000, seed: int = 0
) -> Estimate:
    """Return by how much the mean of `candidate` is above that of `champion` on the same items."""
    pairs = list(zip(candidate, champion, strict=True))
    weights = item_weights(len(pairs), samples, seed)
    return estimate(mean([ours - theirs for ours, theirs in pairs], weights))


def _number(value: float) -> float | None:
    return None if isnan(value) else float(value)
