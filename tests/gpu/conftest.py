"""Tests that need a CUDA device. With TRITON_INTERPRET=1 those of kernels run without one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"


@pytest.fixture(scope="session")
def device() -> str:
    """The device that kernels run on here."""
    if torch.cuda.is_available():
        return "cuda"
    if INTERPRETED:
        return "cpu"
    pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def cuda() -> str:
    """A real CUDA device."""
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return "cuda"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in here is marked `gpu`."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.gpu)
