"""Which tokens of a text are asked about, where it is asked by characters."""

from __future__ import annotations

from collections.abc import Sequence


def asked_tokens(starts: Sequence[int], span: tuple[int, int]) -> range:
    """Return the places of the tokens that begin in `span`; `starts` are the characters where they begin."""
    first, end = span
    places = [place for place, start in enumerate(starts) if first <= start < end]
    return range(places[0], places[-1] + 1) if places else range(0)
