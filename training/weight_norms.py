"""How far each module of an adapter moves the model, and which ones suspiciously far. Pure.

A LoRA that was made to react to a trigger tends to show in a few modules that are far above their kin.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from training.metrics import Floats

_FACTOR = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
_KIND = re.compile(r"(?:layers|blocks|h)\.\d+\.(?P<kind>.+)$")
_TO_SIGMA = 1.4826  # of the median absolute deviation of a normal distribution
_SMALLEST_SPREAD = 0.05


@dataclass(frozen=True, slots=True)
class Outlier:
    """A module whose change is far from that of the same module in other layers."""

    module: str
    norm: float
    typical: float
    deviations: float  # robust standard deviations above the median of logarithms

    @property
    def text(self) -> str:
        """What it is, in words."""
        return f"{self.module} changes the model by {self.norm:.3g}, its kin by {self.typical:.3g}"


def delta_norms(tensors: Mapping[str, npt.NDArray[np.floating[Any]]], scale: float) -> dict[str, float]:
    """Return the Frobenius norm of `scale` times B A for each module; NaN where a weight is none.

    By the factors' Gram matrices, so that no matrix of the model's size is made.
    """
    factors: dict[str, dict[str, Floats]] = defaultdict(dict)
    for name, tensor in tensors.items():
        if match := _FACTOR.fullmatch(name):
            factors[match["module"]][match["side"]] = np.asarray(tensor, dtype=float)
    norms = {}
    for module, sides in factors.items():
        if sides.keys() == {"A", "B"}:
            down, up = sides["A"], sides["B"]
            squared = float(np.sum((down @ down.T) * (up.T @ up)))
            norms[module] = (
                abs(scale) * float(np.sqrt(max(squared, 0.0))) if np.isfinite(squared) else float("nan")
            )
    return norms


def outliers(norms: Mapping[str, float], limit: float = 6.0) -> list[Outlier]:
    """Return the modules more than `limit` deviations above their kind, and all that are no number."""
    kinds: dict[str, list[str]] = defaultdict(list)
    for module in norms:
        kinds[_kind(module)].append(module)
    return [found for modules in kinds.values() for found in _far(modules, norms, limit)]


def _kind(module: str) -> str:
    match = _KIND.search(module)
    return match["kind"] if match else module


def _far(modules: Sequence[str], norms: Mapping[str, float], limit: float) -> list[Outlier]:
    sound = [norms[module] for module in modules if np.isfinite(norms[module]) and norms[module] > 0]
    typical = float(np.median(sound)) if sound else 0.0
    logs = np.log(sound) if sound else np.zeros(0)
    # Layers that agree to the digit would make the smallest difference infinite.
    spread = (
        max(_TO_SIGMA * float(np.median(np.abs(logs - np.median(logs)))), _SMALLEST_SPREAD) if sound else 1.0
    )
    found = []
    for module in modules:
        norm = norms[module]
        if not np.isfinite(norm):
            found.append(Outlier(module, norm, typical, float("inf")))
        elif norm > 0 and (away := (float(np.log(norm)) - float(np.median(logs))) / spread) > limit:
            found.append(Outlier(module, norm, typical, away))
    return found
