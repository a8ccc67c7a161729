"""What a model has to beat: the majority's guess, and a linear model of a line's characters and words.

Both answer as a model does, with label probabilities a line, and are measured by the same functions.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.chunks import Chunk
from engine.diffs import DiffLine
from engine.errors import DataError, unimportable
from engine.prompts import CATEGORY_LABELS, LABELS, NO_FINDING
from training.records import ReviewItem
from training.scored import Probabilities, ScoredItem

_WORD = re.compile(r"\w+|[^\w\s]")
_FEATURES = 2**20
_NGRAMS = (3, 4)


@dataclass(frozen=True, slots=True)
class Example:
    """A commentable line among its neighbours, and its label: what a baseline learns from."""

    features: tuple[str, ...]
    label: str


def majority(train: Iterable[ReviewItem], items: Sequence[ReviewItem]) -> list[ScoredItem]:
    """Score lines by how often lines have each label in `train`; the first line is always the likeliest."""
    counts = Counter(label for item in train for label in _labels(item))
    total = sum(counts.values())
    if not total:
        raise DataError("the training data has no commentable line to learn from")
    prior = tuple(counts[label] / total for label in LABELS)
    certain = (0.0, *(share / max(1 - prior[0], 1e-12) for share in prior[1:]))
    first = tuple((a + b) / 2 for a, b in zip(prior, certain, strict=True))
    return [ScoredItem(item, _first_then(first, prior, len(item.to_chunk().commentable))) for item in items]


def linear(train: Iterable[ReviewItem], items: Sequence[ReviewItem], seed: int = 0) -> list[ScoredItem]:
    """Score lines by logistic regression on hashed n-grams of the line and words of its neighbours."""
    vectorizer, finding, category = _fit([e for item in train for e in examples(item)], seed)
    order = [list(category.classes_).index(label) if label in category.classes_ else None for label in LABELS]
    return [ScoredItem(item, _predict(item, vectorizer, finding, category, order)) for item in items]


def examples(item: ReviewItem) -> Iterator[Example]:
    """Yield the commentable lines of `item` as a linear model sees them."""
    chunk = item.to_chunk()
    for line, label in zip(chunk.commentable, _labels(item), strict=True):
        yield Example(tuple(_line_features(chunk, line)), label)


def _labels(item: ReviewItem) -> Iterator[str]:
    for _, findings in item.anchors():
        yield CATEGORY_LABELS[findings[0].category] if findings else NO_FINDING


def _line_features(chunk: Chunk, line: DiffLine) -> Iterator[str]:
    shown = [other for other in chunk.lines if other.new_number is not None]
    place = shown.index(line)
    text = " ".join(line.text.split())
    yield f"language {chunk.language}"
    yield from (f"word {word}" for word in _WORD.findall(text))
    yield from (f"gram {text[i : i + n]}" for n in _NGRAMS for i in range(len(text) - n + 1))
    for name, neighbour in (("before", place - 1), ("after", place + 1)):
        if 0 <= neighbour < len(shown):
            yield from (f"{name} {word}" for word in _WORD.findall(shown[neighbour].text))


def _first_then(first: tuple[float, ...], rest: tuple[float, ...], lines: int) -> Probabilities:
    return tuple(first if number == 0 else rest for number in range(lines))


def _fit(train: Sequence[Example], seed: int) -> tuple[Any, Any, Any]:
    try:
        from sklearn.feature_extraction.text import HashingVectorizer
        from sklearn.linear_model import SGDClassifier
    except ImportError as error:
        raise unimportable(error, "scikit-learn", "train") from error
    remarks = [example for example in train if example.label != NO_FINDING]
    if len({example.label for example in remarks}) < 2:
        raise DataError("a linear baseline needs training data with findings of two categories")
    # alternate_sign keeps collisions unbiased; the rows are sparse, so 2**20 columns cost nothing.
    vectorizer = HashingVectorizer(analyzer=_features_of, n_features=_FEATURES)
    settings = {"loss": "log_loss", "alpha": 1e-6, "max_iter": 10, "tol": None, "random_state": seed}
    finding, category = SGDClassifier(**settings), SGDClassifier(**settings)
    finding.fit(vectorizer.transform(train), [example.label != NO_FINDING for example in train])
    category.fit(vectorizer.transform(remarks), [example.label for example in remarks])
    return vectorizer, finding, category


def _features_of(example: Example) -> tuple[str, ...]:
    return example.features


def _predict(
    item: ReviewItem, vectorizer: Any, finding: Any, category: Any, order: Sequence[int | None]
) -> Probabilities:
    lines = list(examples(item))
    if not lines:
        return ()
    rows = vectorizer.transform(lines)
    said = zip(finding.predict_proba(rows)[:, 1], category.predict_proba(rows), strict=True)
    return tuple(
        (float(1 - p), *(0.0 if place is None else float(p * kinds[place]) for place in order[1:]))
        for p, kinds in said
    )
