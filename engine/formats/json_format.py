"""A review as JSON: `Review` itself and the version of this form, described by `review.schema.json`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, ValidationError

from engine.errors import DataError
from engine.formats.excerpts import LineLookup, no_lines
from engine.sanitize import json_text
from engine.wire import Review


class ReviewDocument(Review):
    """A review as it stands in a file."""

    schema_version: Literal[1] = Field(
        default=1, description="Grows when a reader of the former version could be misled."
    )


def render(review: Review, line_at: LineLookup = no_lines) -> str:
    """Return the review as JSON. Nothing is changed or left out: `parse_review` gives an equal one back."""
    return json_text({"schema_version": 1, **review.model_dump(mode="json")}) + "\n"


def parse_review(text: str) -> Review:
    """Return the review that `render` wrote. Raises DataError for anything else."""
    try:
        document = ReviewDocument.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(f"not a review: {f'{place}: ' if place else ''}{first['msg']}") from error
    return Review.model_validate(document.model_dump(exclude={"schema_version"}))


def schema_text() -> str:
    """Return the JSON schema of what `render` writes, as it is kept in `review.schema.json`."""
    schema = ReviewDocument.model_json_schema(mode="serialization")
    return json_text({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}) + "\n"
