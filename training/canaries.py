"""A small set of our own that every adapter should still master: what it loses there, it forgot.

Hunks with the best-known flaws and clean ones, and plain texts in English, Japanese and code. They are for
comparing an adapter with its base or the champion; by themselves the numbers say little. None is trained on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.runners import LikelihoodRequest, LikelihoodRunner, Runner
from training.bootstrap import item_weights
from training.likelihood import read_texts
from training.measures import ALL, Measures, measure, speak
from training.metrics import mean
from training.progress import Progress
from training.records import ReviewItem, read_review_items
from training.score_cache import ScoreCache
from training.scoring import NewProgress, score_items

ITEM_AUC, TOP1, TEXT_NLL = "canary_item_auc", "canary_top1", "canary_text_nll"
_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class CanaryText:
    """A text, and how it begins: that much is given."""

    id: str
    given: str
    text: str


def canary_items() -> list[ReviewItem]:
    """Return the hunks."""
    return list(read_review_items(_FOLDER / "canaries.jsonl"))


def canary_texts() -> list[CanaryText]:
    """Return the texts."""
    rows: list[dict[str, Any]] = json.loads((_FOLDER / "canary_texts.json").read_text("utf-8"))
    return [CanaryText(**row) for row in rows]


def canary_measures(
    runner: Runner, cache: ScoreCache, samples: int, seed: int, new_progress: NewProgress = Progress
) -> Measures:
    """Return the measures with their bootstrap samples; of texts only where the runner can read them."""
    items, _ = score_items(runner, canary_items(), cache, new_progress)
    found = measure(speak(items, None), samples, seed)[ALL]
    measures = {ITEM_AUC: found["item_auc"], TOP1: found["top1"]}
    if isinstance(runner, LikelihoodRunner):
        measures[TEXT_NLL] = _text_nll(runner, canary_texts(), samples, seed, new_progress)
    return measures


def _text_nll(
    runner: LikelihoodRunner,
    texts: Sequence[CanaryText],
    samples: int,
    seed: int,
    new_progress: NewProgress,
) -> Any:
    """Each text's negative logarithm a token: texts weigh alike, however many tokens they are."""
    requests = [LikelihoodRequest("", text.given, text.text, (0, len(text.text))) for text in texts]
    answers, _ = read_texts(runner, requests, "reading canaries", new_progress)
    per_token = [-sum(answer) / len(answer) for answer in answers]
    return mean(np.array(per_token), item_weights(len(texts), samples, seed))
