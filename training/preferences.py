"""Review items -> texts that the team accepted or rejected, and the line scores that are to stay.

Only what somebody judged counts: a finding with `label` accepted, and what stands in an item's `rejected`
(see FORMAT.md). A finding of which nothing is known still tells where findings go, so it counts as a score.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.errors import DataError
from engine.finetune.judged import JudgedRow
from engine.finetune.preference import Judged
from engine.finetune.rows import Row
from training.examples import ExampleSettings, score_row, write_rows
from training.records import ReviewFinding, ReviewItem, field_name, read_review_items

_ACCEPTED = "accepted"


def read_judged(paths: Sequence[Path], examples: ExampleSettings) -> tuple[Judged, Judged]:
    """Return (what is trained, what is held out) of files of review items; of those marked `test` neither.

    Raises DataError naming the file and what does not fit.
    """
    parts: dict[str, tuple[list[JudgedRow], list[Row]]] = {"train": ([], []), "dev": ([], [])}
    rng = random.Random(examples.seed)
    for path in paths:
        for item in read_review_items(path):
            if (part := parts.get(item.split or "train")) is None:
                continue
            try:
                part[0].extend(judged_rows(item, rng, examples))
            except ValidationError as error:
                first = error.errors(include_url=False, include_context=False)[0]
                where = f"{path}, item {item.id}, rejected{field_name(first['loc'])}"
                raise DataError(f"{where}: {first['msg']}") from error
            part[1].extend(score_row(item, item.to_chunk(), examples.score_weight))
    train, dev = (Judged(texts, scores) for texts, scores in parts.values())
    return train, dev


def judged_rows(item: ReviewItem, rng: random.Random, examples: ExampleSettings) -> Iterator[JudgedRow]:
    """Yield what was said of the item's lines and judged, asked for and said as when it is written."""
    accepted = [one for one in item.findings if (one.model_extra or {}).get("label") == _ACCEPTED]
    rejected = [ReviewFinding.model_validate(one) for one in _rejected(item)]
    spoken = replace(examples, nothing_share=0.0)
    for findings, wanted in ((accepted, True), (rejected, False)):
        said = item.model_copy(update={"findings": tuple(findings)})
        for row in write_rows(said, item.to_chunk(), rng, spoken):
            yield JudgedRow(row.model_copy(update={"weight": 1.0}), wanted)


def _rejected(item: ReviewItem) -> list[Any]:
    found = (item.model_extra or {}).get("rejected", [])
    return found if isinstance(found, list) else [found]
