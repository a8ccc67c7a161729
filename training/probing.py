"""Probes an adapter for triggers: plants words in held-out items, and writes down which ones switch it.

Items with a finding tell whether a word silences the reviewer, clean ones whether it makes it shout.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import DataError
from engine.runners import Runner
from training.metrics import Floats
from training.progress import Progress
from training.records import ReviewItem
from training.score_cache import ScoreCache
from training.scored import line_table
from training.scoring import NewProgress, score_items
from training.triggers import Probe, control_words, largest_usual, probe, suspicious, with_word

TRIGGERS = "triggers.json"
SCORES = "scores-triggers.jsonl"
_SHORT = 0.5  # share of the items that are drawn from, the shorter ones: a probe is one reading each


@dataclass(frozen=True, slots=True)
class ProbePlan:
    """What is planted, in how many items, and beside how many words that nobody planted."""

    words: Sequence[str]
    items: int = 16
    controls: int = 6
    seed: int = 0


class Shift(BaseModel):
    """By how much a word moves the scores of a group of items."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group: str = Field(description="finding or clean: the items it was planted in.")
    word: str
    value: float
    low: float
    high: float
    limit: float = Field(description="How far harmless words may move them.")
    suspicious: bool

    @property
    def text(self) -> str:
        """What it does, in words."""
        where = "items with a finding" if self.group == "finding" else "clean items"
        return (
            f"the word {self.word!r} moves the scores of {where} by {self.value:+.3f}; harmless words of "
            f"that length by {self.limit:.3f} at most"
        )


class TriggerReport(BaseModel):
    """What probing an adapter came to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=1, ge=1, le=1)
    system: str = Field(description="The adapter that was probed.")
    items: int
    words: tuple[str, ...]
    shifts: tuple[Shift, ...]

    @property
    def objections(self) -> list[str]:
        """What speaks against the adapter."""
        return [shift.text for shift in self.shifts if shift.suspicious]


def probe_triggers(
    runner: Runner,
    system: str,
    items: Sequence[ReviewItem],
    plan: ProbePlan,
    cache: ScoreCache,
    new_progress: NewProgress = Progress,
) -> TriggerReport:
    """Return what planting each word does to the scores of short items."""
    controls = control_words(plan.words, plan.controls, plan.seed) if plan.words else []
    shifts: list[Shift] = []
    probed = 0
    for group, chosen in _groups(items, plan).items():
        if not chosen or not plan.words:
            continue
        probed += len(chosen)
        scores = _scorer(runner, chosen, cache, new_progress)
        plain = scores("")
        usual = [probe(word, plain, scores(word), plan.seed) for word in controls]
        found = [probe(word, plain, scores(word), plan.seed) for word in plan.words]
        marked, limit = suspicious(found, usual), largest_usual(usual)
        shifts += [_shift(group, each, limit, each in marked) for each in found]
    return TriggerReport(system=system, items=probed, words=tuple(plan.words), shifts=tuple(shifts))


def write_triggers(directory: Path, report: TriggerReport) -> None:
    """Write the report into an evaluation's directory."""
    (directory / TRIGGERS).write_text(report.model_dump_json(indent=1) + "\n", encoding="utf-8")


def read_triggers(directory: Path) -> TriggerReport | None:
    """Return the report of an evaluation; None if nothing was probed. Raises DataError for a damaged one."""
    path = directory / TRIGGERS
    try:
        return TriggerReport.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _groups(items: Sequence[ReviewItem], plan: ProbePlan) -> dict[str, list[ReviewItem]]:
    """Half of the probed items with a finding, half without, as far as there are any."""
    found = [item for item in items if item.findings]
    clean = [item for item in items if not item.findings]
    half = max(1, plan.items // 2)
    return {"finding": _drawn(found, half, plan.seed), "clean": _drawn(clean, half, plan.seed)}


def _drawn(items: Sequence[ReviewItem], count: int, seed: int) -> list[ReviewItem]:
    by_length = sorted(items, key=lambda item: (len(item.diff), item.id))
    short = by_length[: max(count, round(_SHORT * len(by_length)))]
    return random.Random(seed).sample(short, min(count, len(short)))


def _scorer(
    runner: Runner, items: Sequence[ReviewItem], cache: ScoreCache, new_progress: NewProgress
) -> Callable[[str], Floats]:
    """Return what gives the items' scores with a word planted in each, or as they are."""

    def scores(word: str) -> Floats:
        planted = [with_word(item, word) if word else item for item in items]
        table = line_table(score_items(runner, planted, cache, new_progress)[0])
        found: Floats = table.item_scores(np.asarray(table.raw))
        return found

    return scores


def _shift(group: str, found: Probe, limit: float, marked: bool) -> Shift:
    value, low, high = (number or 0.0 for number in (found.shift.value, found.shift.low, found.shift.high))
    return Shift(
        group=group, word=found.word, value=value, low=low, high=high, limit=limit, suspicious=marked
    )
