"""The JSON form: its schema is current, and readers get clear errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import engine.formats
from engine.errors import DataError
from engine.findings import Verdict
from engine.formats.json_format import parse_review, render, schema_text
from engine.wire import Review

SCHEMA = Path(engine.formats.__file__).parent / "review.schema.json"
EMPTY = Review(verdict=Verdict.CLEAN, findings=(), coverage=())


def test_schema_is_current(golden: Callable[[Path, str], None]) -> None:
    """The schema in the package describes what is written."""
    golden(SCHEMA, schema_text())


def test_version_comes_first() -> None:
    """The first key says which version of the form follows."""
    assert next(iter(json.loads(render(EMPTY)).items())) == ("schema_version", 1)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "not a review: Invalid JSON"),
        ("[]", "not a review: "),
        (render(EMPTY).replace('"schema_version": 1', '"schema_version": 2'), "schema_version"),
        (render(EMPTY).replace('"verdict": "clean"', '"verdict": "fine"'), "verdict"),
        (render(EMPTY).replace('"adapter"', '"adaptor"'), "adaptor"),
    ],
)
def test_errors_name_the_place(text: str, place: str) -> None:
    """What is no review of this version is refused with the field that is wrong."""
    with pytest.raises(DataError, match=place):
        parse_review(text)
