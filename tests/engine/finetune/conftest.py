"""What the tests of training share: a tiny model and rows that it can learn."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_gemma import make_tiny_gemma, make_tiny_rows

from engine.finetune.rows import Row


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Training switches the hub off for its process; the rest of the suite keeps its own environment."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a Gemma 3 with 2 layers and a vocabulary of 265."""
    return make_tiny_gemma(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="session")
def tiny_rows() -> list[Row]:
    """Return rows of both kinds whose answers can be learned from their texts."""
    return make_tiny_rows()
