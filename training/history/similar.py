"""Finds texts that are nearly the same, by MinHash: one pass, memory for the sketches alone."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Any

from engine.errors import unimportable

_WORD = re.compile(r"\w+|[^\w\s]")
_SHINGLE = 3
_HASHES = 128
_SEED = 1


def shingles(text: str) -> frozenset[str]:
    """Return the runs of three words or signs in `text`, case and white space aside."""
    words = _WORD.findall(text.lower())
    return frozenset(" ".join(words[at : at + _SHINGLE]) for at in range(max(1, len(words) - _SHINGLE + 1)))


def exact_key(text: str) -> bytes:
    """Return the same 16 bytes for texts that differ in white space alone."""
    return hashlib.blake2b(" ".join(text.split()).encode("utf-8", "replace"), digest_size=16).digest()


class Similar:
    """Texts seen so far; `threshold` is the share of shingles two texts must have in common."""

    def __init__(self, threshold: float) -> None:
        try:
            from rensa import RMinHash, RMinHashLSH
        except ImportError as error:
            raise unimportable(error, "rensa", "train") from error
        self._new: Any = RMinHash
        self._threshold = threshold
        self._index = RMinHashLSH(threshold, _HASHES, _bands(threshold))
        self._exact: dict[bytes, int] = {}
        self._sketches: list[Any] = []

    def __len__(self) -> int:
        return len(self._sketches)

    def find(self, text: str) -> int | None:
        """Return the number of a text that is the same or nearly so: the first, counted from 0; or None."""
        same = self._exact.get(exact_key(text))
        return same if same is not None else self._near(self._sketch(text))

    def is_exact(self, text: str) -> bool:
        """Tell whether a text has been added, white space aside."""
        return exact_key(text) in self._exact

    def add(self, text: str) -> None:
        """Remember a text."""
        sketch = self._sketch(text)
        self._exact.setdefault(exact_key(text), len(self._sketches))
        self._index.insert(len(self._sketches), sketch)
        self._sketches.append(sketch)

    def _near(self, sketch: Any) -> int | None:
        # Buckets give candidates; the sketches decide.
        for number in sorted(self._index.query(sketch)):
            if self._sketches[number].jaccard(sketch) >= self._threshold:
                return int(number)
        return None

    def _sketch(self, text: str) -> Any:
        sketch = self._new(_HASHES, _SEED)
        sketch.update(sorted(shingles(text)))
        return sketch


def _bands(threshold: float) -> int:
    """Return how many bands put the S-curve a little below `threshold`: misses cost, rechecks do not."""
    choices: Iterable[int] = (bands for bands in range(1, _HASHES + 1) if _HASHES % bands == 0)
    wanted = threshold - 0.1
    return min(choices, key=lambda bands: abs((1 / bands) ** (bands / _HASHES) - wanted))
