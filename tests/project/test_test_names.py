"""The tests' own files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

TESTS = Path(__file__).parents[1]
SHARED = {"conftest.py", "__init__.py"}


def test_no_two_modules_have_one_name() -> None:
    """pytest imports test modules and their helpers by name alone: a second of a name hides the first."""
    names = Counter(path.name for path in TESTS.rglob("*.py") if path.name not in SHARED)
    assert [name for name, count in names.items() if count > 1] == []
