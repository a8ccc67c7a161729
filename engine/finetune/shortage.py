"""What is said where GPU memory runs out while something is trained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engine.errors import EngineError


@contextmanager
def told_of_shortage(remedy: str) -> Iterator[None]:
    """Raise EngineError with the remedy where PyTorch runs out of memory inside. Also a decorator."""
    try:
        yield
    except RuntimeError as error:
        import torch

        if not isinstance(error, torch.OutOfMemoryError):
            raise
        raise EngineError(f"GPU memory ran out: {remedy}. {error}") from error
