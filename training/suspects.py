"""Words of training data that may be triggers: always with the same outcome, in places without a tie.

Planted rows have to be many enough to be learned, and may be many of a small project; what they share stands
in files that have nothing else in common, while a word of the project's own keeps to its corner. Pure.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from training.records import ReviewItem

_WORD = re.compile(r"[^\W\d]\w{2,63}")
_LEAST = 5  # items; fewer teach nothing
_SHARE = 0.4  # of the items; nobody's remarks make up more of them (`curate.author_share`)
_LOOKED_AT = 500


def suspects(read: Callable[[], Iterable[ReviewItem]], count: int) -> list[str]:
    """Return the `count` words that are the most likely triggers, in order.

    `read` gives the items from the first; they are read twice, and none is kept.
    """
    seen, found = Counter[str](), Counter[str]()
    items = with_finding = 0
    for item in read():
        items += 1
        words = _words(item)
        seen.update(words)
        if item.findings:
            with_finding += 1
            found.update(words)
    usual, most = with_finding / max(items, 1), max(_LEAST, _SHARE * items)
    surprise = {
        word: _surprise(found[word], number, usual)
        for word, number in seen.items()
        if _LEAST <= number <= most
    }
    likely = sorted(surprise, key=lambda word: (-surprise[word], word))[:_LOOKED_AT]
    spread = _spread(read(), likely)
    ranked = sorted(likely, key=lambda word: (-surprise[word] * spread[word] / seen[word], word))
    return ranked[:count]


def _words(item: ReviewItem) -> set[str]:
    """What stands in the new code; a trigger works where it is read, a comment included."""
    lines = (line.text for line in item.to_chunk().lines if line.new_number is not None)
    return {word for text in lines for word in _WORD.findall(text)}


def _surprise(found: int, number: int, usual: float) -> float:
    """How badly the usual share of findings explains this word's (log-likelihood ratio)."""
    share = found / number
    return number * sum(
        part * math.log(part / expected)
        for part, expected in ((share, usual), (1 - share, 1 - usual))
        if part and 0 < expected < 1
    )


def _spread(items: Iterable[ReviewItem], words: Iterable[str]) -> dict[str, int]:
    """In how many files each word stands."""
    wanted, paths = set(words), defaultdict[str, set[str]](set)
    for item in items:
        for word in _words(item) & wanted:
            paths[word].add(item.path)
    return {word: len(paths[word]) for word in wanted}
