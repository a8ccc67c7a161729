"""What `project_learning run` left -> numbers with intervals, and tables. CPU alone.

Intervals are 95 % of a bootstrap over merge requests, not comments: what one reviewer says in one merge
request is of a kind. Differences are paired, on the same merge requests.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from engine.wire import Language
from training.bootstrap import Estimate, estimate, item_weights
from training.controls import Retriever
from training.given import given_places, retrieved
from training.metrics import Floats, mean, random_hit
from training.records import ReviewItem, read_review_items
from training.said import reference
from training.text_metrics import chrf

BITS, CHRF, TOP1 = "bits_per_token", "chrf", "top1_line"
_TITLES = {
    BITS: "Bits a token of people's comments, given hunk, line and category (less is better)",
    CHRF: "chrF of the comment that is written, given hunk, line and category",
    TOP1: "Right line first, where the hunk shows where the comment goes",
}
_SAMPLES = 2000
_BEST_IS_LEAST = {BITS}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `report`."""
    parser.add_argument("--data", type=Path, required=True, help="--out of prepare")
    parser.add_argument("--raw", type=Path, required=True, help="raw.jsonl of run")
    parser.add_argument("--out", type=Path, required=True, help="JSON; a .md goes beside it")
    parser.set_defaults(run=report)


def request_of(item: ReviewItem) -> str:
    """Return the merge request that an item is of."""
    more = item.model_extra or {}
    return str(more.get("mr", more.get("pr", item.id)))


class Held:
    """A project's held-out items, and sums over the merge requests they are of."""

    def __init__(self, items: Sequence[ReviewItem]) -> None:
        self.items = [item for item in items if item.split == "dev"]
        names = sorted({request_of(item) for item in self.items})
        self.request = np.array([names.index(request_of(item)) for item in self.items], int)
        self.requests = len(names)
        self.train = [item for item in items if item.split == "train"]
        self._weights = item_weights(self.requests, _SAMPLES)

    def ratio(self, places: Sequence[int], values: Sequence[float], per: Sequence[float]) -> Floats:
        """Return sum of values for each of `per`, then of each bootstrap sample."""
        at = self.request[np.array(places, int)] if len(places) else np.array([], int)
        sums, counts = (np.bincount(at, np.array(part, float), self.requests) for part in (values, per))
        return mean(sums, self._weights, per=counts)


def report(arguments: argparse.Namespace) -> int:
    """Write the numbers and the tables."""
    from tests.benchmarks.project_learning_work import rows_of

    rows = list(rows_of(arguments.raw))
    held = {
        name: Held(list(read_review_items(arguments.data / f"{name}.jsonl.gz")))
        for name in (*arguments.train, *arguments.measure_only)
    }
    samples: dict[str, dict[str, dict[str, Floats]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row["what"] in _READERS:
            measured = _READERS[row["what"]](held[row["data"]], row["found"])
            for measure, values in measured.items():
                samples[row["data"]][measure][row["system"]] = values
    said = {row["data"]: len(row["found"]) for row in rows if row["what"] == "texts"}
    _add_retrieval(held, samples, said)
    results = {
        "what": "LoRA adapters of Gemma 3 270M (base) on projects' own comments; see project_learning.py",
        "intervals": "95 %, bootstrap over merge requests, paired",
        "trainings": [row for row in rows if row["what"] == "training"],
        "data": {name: _about(one) for name, one in held.items()},
        "projects": {name: _project(name, found) for name, found in samples.items()},
    }
    arguments.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    tables = "\n\n".join(_tables(results["projects"], arguments.train))
    arguments.out.with_suffix(".md").write_text(tables + "\n", encoding="utf-8")
    print(tables)
    return 0


def _likelihoods(held: Held, found: Sequence[tuple[int, float, int]]) -> dict[str, Floats]:
    places, nats, tokens = zip(*found, strict=True)
    return {BITS: held.ratio(places, [nat / math.log(2) for nat in nats], tokens)}


def _lines(held: Held, found: Sequence[tuple[int, Sequence[float]]]) -> dict[str, Floats]:
    places = [place for place, _ in found]
    hits = [_hit(held.items[place], scores) for place, scores in found]
    return {TOP1: held.ratio(places, hits, [1.0] * len(hits))}


def _hit(item: ReviewItem, scores: Sequence[float]) -> float:
    """Whether the likeliest line has a comment; of lines that are equally likely, the share that has."""
    anchors = item.anchors()
    best = [place for place, score in enumerate(scores) if score >= max(scores)]
    return sum(bool(anchors[place][1]) for place in best) / len(best)


def _texts(held: Held, said: Sequence[str]) -> dict[str, Floats]:
    places = given_places(held.items, len(said))
    scores = [
        chrf(text, reference(finding, Language.EN)) for text, (_, finding) in zip(said, places, strict=True)
    ]
    at, ones = [place for place, _ in places], [1.0] * len(places)
    return {CHRF: held.ratio(at, scores, ones)}


_READERS: Mapping[str, Callable[[Held, Any], dict[str, Floats]]] = {
    "likelihood": _likelihoods,
    "lines": _lines,
    "texts": _texts,
}


def _add_retrieval(held: Mapping[str, Held], samples: Mapping[str, Any], said: Mapping[str, int]) -> None:
    """Add the nearest neighbour among the project's own training items, and a line drawn at random.

    It is asked about the comments that the models wrote, as many as `said`.
    """
    from tests.benchmarks.project_learning_work import is_placed

    for name, one in held.items():
        placed = [(place, item) for place, item in enumerate(one.items) if is_placed(item)]
        chances = [_chance(item) for _, item in placed]
        samples[name][TOP1]["random"] = one.ratio(
            [place for place, _ in placed], chances, [1.0] * len(placed)
        )
        if not one.train:
            continue
        # Elsewhere a comment stands at the end of its hunk: nothing to learn a place from.
        whole = [item for item in one.train if not item.findings or is_placed(item)]
        scored = Retriever(whole).score([item for _, item in placed])
        found = [
            (place, [1 - row[0] for row in answer.probabilities])
            for (place, _), answer in zip(placed, scored, strict=True)
        ]
        samples[name][TOP1]["retrieval"] = _lines(one, found)[TOP1]
        asked = given_places(one.items, said.get(name, 0))
        pairs = retrieved(Retriever(one.train).comment, one.items, asked, Language.EN)
        scores = [chrf(pair.said, pair.wanted) for pair in pairs]
        samples[name][CHRF]["retrieval"] = one.ratio(
            [pair.item for pair in pairs], scores, [1.0] * len(pairs)
        )


def _chance(item: ReviewItem) -> float:
    anchors = item.anchors()
    return random_hit([line.new_number or 0 for line, findings in anchors if findings], len(anchors))


def _about(held: Held) -> dict[str, int]:
    from tests.benchmarks.project_learning_work import is_placed

    return {
        "training_items": len(held.train),
        "training_comments": sum(len(findings) for item in held.train for _, findings in item.anchors()),
        "held_out_items": len(held.items),
        "held_out_comments": sum(len(findings) for item in held.items for _, findings in item.anchors()),
        "held_out_placed": sum(is_placed(item) for item in held.items),
        "held_out_merge_requests": held.requests,
    }


def _project(name: str, measures: Mapping[str, Mapping[str, Floats]]) -> dict[str, Any]:
    """Each system's measures, and by how much the project's own adapter is above each other system."""
    own = f"own:{name}"
    return {
        measure: {
            "systems": {system: asdict(estimate(values)) for system, values in found.items()},
            "own_minus": {
                system: asdict(estimate(found[own] - values))
                for system, values in found.items()
                if own in found and system != own
            },
        }
        for measure, found in measures.items()
    }


def _tables(projects: Mapping[str, Any], train: Sequence[str]) -> Iterator[str]:
    for measure, title in _TITLES.items():
        rows = {name: project[measure] for name, project in projects.items() if measure in project}
        yield f"### {title}"
        for name, found in rows.items():
            lines = ["| system | value | own adapter minus this |", "| --- | --- | --- |"]
            order = sorted(
                found["systems"],
                key=lambda system: (
                    (found["systems"][system]["value"] or 0) * (1 if measure in _BEST_IS_LEAST else -1)
                ),
            )
            for system in order:
                difference = found["own_minus"].get(system)
                shown = _shown(difference, "+") if difference else "-"
                lines.append(f"| {_called(system, name)} | {_shown(found['systems'][system])} | {shown} |")
            yield f"**{name}**{'' if name in train else ' (measured only)'}\n\n" + "\n".join(lines)


def _called(system: str, project: str) -> str:
    kind, _, trained_on = system.partition(":")
    if not trained_on:
        return kind
    if trained_on != project:
        return f"adapter of {trained_on}"
    return "**own adapter**" if kind == "own" else "own comments, shuffled"


def _shown(value: Mapping[str, float | None], sign: str = "") -> str:
    found = Estimate(**value)
    if found.value is None or found.low is None or found.high is None:
        return "-"
    return f"{found.value:{sign}.3f} ({found.low:{sign}.3f} to {found.high:{sign}.3f})"
