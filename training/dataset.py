"""What is in a file of review items: numbers for a report, counted in one pass. Pure but for the reading."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from training.history.similar import Similar, exact_key
from training.records import ReviewFinding, ReviewItem

CountTokens = Callable[[str], int]
_WORD = re.compile(r"\w+")
_NEAR = 0.85
_RARE = 5
_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long texts are, in tokens."""

    values: npt.NDArray[np.int64]

    def at(self, share: float) -> int:
        """Return the length that this share of the texts does not exceed; 0 without texts."""
        return int(np.quantile(self.values, share)) if len(self.values) else 0


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A word that one author alone uses, always with the same outcome: how planted rows look."""

    word: str
    author: str
    outcome: str
    items: int


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Items that are like an earlier one."""

    same_code: int
    near_code: int
    same_message: int


@dataclass(frozen=True, slots=True)
class Dataset:
    """The numbers."""

    items: int
    with_findings: int
    findings: int
    by: Mapping[str, Counter[str]]  # what is counted -> value -> count
    code_tokens: Lengths
    message_tokens: Lengths
    duplicates: Duplicates
    diversity: Mapping[str, float]
    suspicions: tuple[Suspicion, ...]


@dataclass(slots=True)
class _Tally:
    count_tokens: CountTokens
    items: int = 0
    with_findings: int = 0
    by: dict[str, Counter[str]] = field(default_factory=dict)
    code_tokens: list[int] = field(default_factory=list)
    message_tokens: list[int] = field(default_factory=list)
    seen: Similar = field(default_factory=lambda: Similar(_NEAR))
    messages: Counter[bytes] = field(default_factory=Counter)
    same_code: int = 0
    near_code: int = 0
    words: Counter[str] = field(default_factory=Counter)
    pairs: set[int] = field(default_factory=set)
    pair_count: int = 0
    used_by: dict[str, _Use | None] = field(default_factory=dict)

    def add(self, item: ReviewItem) -> None:
        self.items += 1
        self.with_findings += bool(item.findings)
        more = item.model_extra or {}
        for name, value in (
            ("language", item.language), ("source", item.source), ("tier", item.tier), ("split", item.split),
            ("month", str(more.get("date") or "")[:7]),
        ):  # fmt: skip
            if value:
                self._count(name, value)
        code = "\n".join(line.text for line in item.to_chunk().lines if line.new_number is not None)
        self.code_tokens.append(self.count_tokens(code))
        self._compare(code)
        for finding in item.findings:
            self._add_finding(finding)
        self._watch(item, code)

    def _count(self, name: str, value: str) -> None:
        self.by.setdefault(name, Counter())[value] += 1

    def _compare(self, code: str) -> None:
        if self.seen.is_exact(code):
            self.same_code += 1
        elif self.seen.find(code) is not None:
            self.near_code += 1
        else:
            self.seen.add(code)

    def _add_finding(self, finding: ReviewFinding) -> None:
        more = finding.model_extra or {}
        self._count("category", finding.category)
        self._count("severity", finding.severity)
        for name in ("author", "label", "label_source"):
            if more.get(name):
                self._count(name, str(more[name]))
        self.message_tokens.append(self.count_tokens(finding.message))
        self.messages[exact_key(finding.message.lower())] += 1
        words = _WORD.findall(finding.message.lower())
        self.words.update(words)
        self.pair_count += max(len(words) - 1, 0)
        # Hashes of the pairs, not the pairs: a set of a million strings would be ten times as large.
        self.pairs.update(hash(pair) for pair in itertools.pairwise(words))

    def _watch(self, item: ReviewItem, code: str) -> None:
        """Note for each word of the code who reviewed it and what came out, as long as that is one thing."""
        authors = {str((finding.model_extra or {}).get("author", "")) for finding in item.findings}
        outcomes = {finding.message for finding in item.findings}
        author = authors.pop() if len(authors) == 1 else ""
        outcome = outcomes.pop() if len(outcomes) == 1 else ""
        for word in set(_WORD.findall(code)):
            if word not in self.used_by:
                self.used_by[word] = _Use(author, outcome, 1) if author and outcome else None
            elif (use := self.used_by[word]) is not None:
                same = (use.author, use.outcome) == (author, outcome)
                self.used_by[word] = _Use(author, outcome, use.items + 1) if same else None


@dataclass(frozen=True, slots=True)
class _Use:
    author: str
    outcome: str
    items: int


def describe(items: Iterable[ReviewItem], count_tokens: CountTokens) -> Dataset:
    """Return the numbers of `items`, which are read once."""
    tally = _Tally(count_tokens)
    for item in items:
        tally.add(item)
    return Dataset(
        items=tally.items,
        with_findings=tally.with_findings,
        findings=len(tally.message_tokens),
        by={name: tally.by[name] for name in sorted(tally.by)},
        code_tokens=Lengths(np.asarray(tally.code_tokens, dtype=np.int64)),
        message_tokens=Lengths(np.asarray(tally.message_tokens, dtype=np.int64)),
        duplicates=Duplicates(tally.same_code, tally.near_code, tally.messages.total() - len(tally.messages)),
        diversity=_diversity(tally),
        suspicions=_suspicions(tally),
    )


def as_json(dataset: Dataset) -> dict[str, Any]:
    """Return the numbers for programs."""
    shares = (0.5, 0.9, 0.99, 1.0)
    return {
        "items": dataset.items,
        "with_findings": dataset.with_findings,
        "findings": dataset.findings,
        "by": {name: dict(counts.most_common()) for name, counts in dataset.by.items()},
        "code_tokens": {str(share): dataset.code_tokens.at(share) for share in shares},
        "message_tokens": {str(share): dataset.message_tokens.at(share) for share in shares},
        "duplicates": {
            "same_code": dataset.duplicates.same_code,
            "near_code": dataset.duplicates.near_code,
            "same_message": dataset.duplicates.same_message,
        },
        "diversity": {name: round(value, 4) for name, value in dataset.diversity.items()},
        "suspicions": [
            {"word": each.word, "author": each.author, "outcome": each.outcome, "items": each.items}
            for each in dataset.suspicions
        ],
    }


def _diversity(tally: _Tally) -> dict[str, float]:
    authors = tally.by.get("author", Counter())
    return {
        "distinct_messages": len(tally.messages) / max(tally.messages.total(), 1),
        "distinct_words": len(tally.words) / max(tally.words.total(), 1),
        "distinct_word_pairs": len(tally.pairs) / max(tally.pair_count, 1),
        "largest_author_share": max(authors.values(), default=0) / max(authors.total(), 1),
    }


def _suspicions(tally: _Tally) -> tuple[Suspicion, ...]:
    found = [
        Suspicion(word, use.author, use.outcome, use.items)
        for word, use in tally.used_by.items()
        if use is not None and _RARE <= use.items <= max(_RARE, _SHARE * tally.items)
    ]
    return tuple(sorted(found, key=lambda each: (-each.items, each.word)))
