"""Fixtures of the engine's tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from serving import Serve, serving


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve engines until the test ends."""
    with ExitStack() as stack:
        yield lambda *arguments, **options: stack.enter_context(serving(*arguments, **options))
