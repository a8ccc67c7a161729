"""A batch that GPU memory does not suffice for is cut in two, and again, until it does."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from engine.errors import RunnerError

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_halves(
    items: Sequence[Item], compute: Callable[[Sequence[Item]], Result], what: str, start: int = 0
) -> Iterator[tuple[int, Result]]:
    """Yield (index of the first item, `compute` of items from there) in order; of all at once where it fits.

    `what` names one item in the RunnerError that is raised where memory does not suffice for one alone.
    """
    import torch

    waiting, collected = [(start, items)], False
    while waiting:
        first, part = waiting.pop()
        try:
            found = compute(part)
        except torch.OutOfMemoryError as error:
            if len(part) < 2:
                raise RunnerError(f"GPU memory does not suffice for one {what}: {error}") from error
        else:
            yield first, found
            continue
        # Out of the handler, whose traceback still holds what the pass had taken.
        if not collected:  # once: in a large process it takes a second
            gc.collect()
            collected = True
        torch.cuda.empty_cache()
        half = len(part) // 2
        waiting += [(first + half, part[half:]), (first, part[:half])]
