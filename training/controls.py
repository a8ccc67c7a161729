"""What makes a gain honest: a project's comments shuffled over its hunks, and its nearest earlier comment.

An adapter of shuffled comments knows the team's words and nothing of what they are about; a retriever knows
what was said of the most similar code and no more. What a trained adapter is better at than both, it learned.
Another project's adapter, the third control, is an evaluation like any other.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from typing import Any

from engine.errors import DataError, unimportable
from engine.findings import Category
from engine.prompts import CATEGORY_LABELS, LABELS
from training.records import ReviewFinding, ReviewItem
from training.scored import Probabilities, ScoredItem

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W_]+|[^\w\s]")
_AROUND = 2  # lines before the one that a comment is about
_CHUNK = 64
_MINGLED = 5  # neighbours that score a hunk together


def shuffle_comments(items: Sequence[ReviewItem], seed: int = 0) -> list[ReviewItem]:
    """Return the items with each comment in the place of another: no line keeps what was said of it.

    Which lines have a comment stays as it is, and so does what is not for training. Category, severity and
    message move together; a suggestion belongs to its line and goes. Raises DataError for one comment alone.
    """
    slots = [
        (place, number)
        for place, item in enumerate(items)
        if item.split in (None, "train")
        for number in range(len(item.findings))
    ]
    if len(slots) < 2:
        raise DataError(f"{len(slots)} comments to train on cannot be shuffled")
    random.Random(seed).shuffle(slots)
    found = [list(item.findings) for item in items]
    for (place, number), (other, donor) in zip(slots, [*slots[1:], slots[0]], strict=True):
        found[place][number] = _moved(items[other].findings[donor], items[place].findings[number])
    return [
        item if item.split not in (None, "train") else item.model_copy(update={"findings": tuple(findings)})
        for item, findings in zip(items, found, strict=True)
    ]


def _moved(comment: ReviewFinding, place: ReviewFinding) -> ReviewFinding:
    return comment.model_copy(update={"line": place.line, "suggestion": None})


class Retriever:
    """Answers about code with what was said of the most similar code in `train`, by TF-IDF of its words."""

    def __init__(self, train: Sequence[ReviewItem]) -> None:
        self._items = list(train)
        self._comments = [
            (place, finding)
            for place, item in enumerate(self._items)
            for _, findings in item.anchors()
            for finding in findings
        ]
        if not self._comments:
            raise DataError("the training data has no comment to retrieve")
        self._vectorizer = _vectorizer()
        self._hunks = self._vectorizer.fit_transform([_hunk(item) for item in self._items])
        lines = [_context(self._items[place], finding.line) for place, finding in self._comments]
        self._lines = self._vectorizer.transform(lines)

    def score(self, items: Sequence[ReviewItem]) -> list[ScoredItem]:
        """Score lines as the nearest hunks would, each as sure as it is similar.

        A neighbour points at the line that stands where its own comment does, as a share of its length.
        """
        return [
            ScoredItem(item, self._votes(item, row))
            for item, row in zip(items, self._similar(items), strict=True)
        ]

    def comment(self, item: ReviewItem, line: int) -> ReviewFinding:
        """Return the comment on the most similar line, the hunk around it counting as much as the line."""
        query = self._vectorizer.transform([_context(item, line), _hunk(item)])
        of_lines = (self._lines @ query[0].T).toarray()[:, 0]
        of_hunks = (self._hunks @ query[1].T).toarray()[:, 0]
        best = of_lines + of_hunks[[place for place, _ in self._comments]]
        return self._comments[int(best.argmax())][1]

    def _similar(self, items: Sequence[ReviewItem]) -> Iterator[Any]:
        for start in range(0, len(items), _CHUNK):
            queries = self._vectorizer.transform([_hunk(item) for item in items[start : start + _CHUNK]])
            yield from (queries @ self._hunks.T).toarray()

    def _votes(self, item: ReviewItem, similar: Any) -> Probabilities:
        count = len(item.to_chunk().commentable)
        votes = [dict.fromkeys(LABELS[1:], 0.0) for _ in range(count)]
        for place in similar.argsort()[-_MINGLED:]:
            for share, category in _spots(self._items[place]):
                at = round(share * (count - 1))
                if count:
                    votes[at][CATEGORY_LABELS[category]] += float(similar[place]) / _MINGLED
        return tuple(_row(vote) for vote in votes)


def _row(votes: dict[str, float]) -> tuple[float, ...]:
    """Return votes as a distribution; lines of which nothing is known are equally unlikely."""
    total = sum(votes.values())
    scale = 1.0 if total <= 1 else 1 / total
    return (1 - total * scale, *(votes[label] * scale for label in LABELS[1:]))


def _spots(item: ReviewItem) -> Iterator[tuple[float, Category]]:
    """Yield where an item's comments stand, from 0 for its first commentable line to 1 for its last."""
    anchors = item.anchors()
    for place, (_, findings) in enumerate(anchors):
        for finding in findings[:1]:
            yield place / max(len(anchors) - 1, 1), finding.category


def _hunk(item: ReviewItem) -> str:
    return "\n".join(line.text for line in item.to_chunk().lines if line.new_number is not None)


def _context(item: ReviewItem, line: int) -> str:
    rows = [row for row in item.to_chunk().lines if row.new_number is not None]
    place = next(at for at, row in enumerate(rows) if row.new_number == line)
    return "\n".join(row.text for row in rows[max(0, place - _AROUND) : place + 1])


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _vectorizer() -> Any:
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError as error:
        raise unimportable(error, "scikit-learn", "train") from error
    return TfidfVectorizer(analyzer=_words, sublinear_tf=True)
