"""Texts of two languages side by side, for tests that both say everything."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from string import Formatter
from typing import Any

from engine.texts import Counted


def texts_of(texts: Any) -> Iterator[tuple[str, str]]:
    """Yield every text of a dataclass with its key."""
    for field in fields(texts):
        value = getattr(texts, field.name)
        if isinstance(value, Mapping):
            yield from ((f"{field.name}.{key}", text) for key, text in value.items())
        elif isinstance(value, tuple):
            yield from ((f"{field.name}.{number}", text) for number, text in enumerate(value))
        elif isinstance(value, Counted):
            yield from ((f"{field.name}.one", value.one), (f"{field.name}.other", value.other))
        else:
            yield field.name, value


def placeholders(text: str) -> set[str]:
    """Return the names of the values that `text` takes."""
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def require_same(english: Any, other: Any) -> None:
    """Fail unless a language has the keys and placeholders of English, and says what English says."""
    wanted, found = dict(texts_of(english)), dict(texts_of(other))
    assert found.keys() == wanted.keys()
    for key, text in found.items():
        assert bool(text.strip()) == bool(wanted[key].strip()), key
        assert placeholders(text) == placeholders(wanted[key]), key
