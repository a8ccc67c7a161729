"""The `review` data format: labelled hunks as JSONL, read as a stream and written back. See FORMAT.md.

Knows what an item is and which of its lines count; how items become training text is left to others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.chunks import Chunk
from engine.diffs import DiffLine
from engine.errors import DataError, DiffError
from engine.findings import Category, Severity
from engine.parsing import parse_fragment
from training.jsonl import JsonlWriter, read_lines


class _Row(BaseModel):
    """Keys we do not know are kept, so that a stage that rewrites a file loses nothing of it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    def to_json(self) -> dict[str, Any]:
        """Return the row as it is written: absent optional fields stay absent."""
        return self.model_dump(mode="json", exclude_none=True)


class ReviewFinding(_Row):
    """One remark that a reviewer or a tool made about a line of the hunk."""

    line: int = Field(ge=1, description="Line in the new file; a row of the hunk.")
    category: Category
    severity: Severity
    message: str = Field(min_length=1)
    rule: str | None = Field(default=None, description="The tool's code; people give none.")
    suggestion: str | None = Field(
        default=None, description="Replaces the line; full indentation, no final newline."
    )
    message_ja: str | None = Field(default=None, description="The message in Japanese.")
    message_full: str | None = Field(default=None, description="The original, where `message` was shortened.")


class ReviewItem(_Row):
    """One hunk with everything that is to be said about it; no findings means clean."""

    id: str = Field(min_length=1)
    diff: str = Field(min_length=1, description="One unified hunk with its @@ header, no file headers.")
    path: str = Field(min_length=1)
    language: str = Field(min_length=1)
    source: str = ""
    findings: tuple[ReviewFinding, ...]
    split: Literal["train", "dev", "test"] | None = None
    tier: str | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        try:
            rows = {line.new_number: line.text for line in self.to_chunk().lines}
        except DiffError as error:
            raise ValueError(f"diff: {error}") from error
        for index, finding in enumerate(self.findings):
            if finding.line not in rows:
                raise ValueError(f"findings[{index}].line: {finding.line} is not a new-file row of the hunk")
            if finding.suggestion == rows[finding.line]:
                raise ValueError(f"findings[{index}].suggestion: is the line as it stands")
        return self

    def to_chunk(self) -> Chunk:
        """Return the hunk as the engine reviews it."""
        hunks = parse_fragment(self.diff, old_path=self.path, new_path=self.path).hunks
        if len(hunks) != 1:
            raise DiffError(f"an item holds one hunk, this one has {len(hunks)}")
        return Chunk(self.path, self.language, hunks[0].lines)

    def anchors(self) -> tuple[tuple[DiffLine, tuple[ReviewFinding, ...]], ...]:
        """Return each commentable line with its findings, the most severe first.

        Findings on other rows (context, blank) are nobody's: the engine never comments there. An item
        without an added line has no anchors at all.
        """
        at: dict[int | None, list[ReviewFinding]] = {}
        for finding in sorted(self.findings, key=lambda finding: -finding.severity.rank):
            at.setdefault(finding.line, []).append(finding)
        return tuple((line, tuple(at.get(line.new_number, ()))) for line in self.to_chunk().commentable)


def read_review_items(path: Path) -> Iterator[ReviewItem]:
    """Yield the items of a JSONL file, gzipped if it ends in `.gz`. Blank lines are skipped.

    Raises DataError naming file, line and field at the first line that does not fit.
    """
    seen: dict[str, int] = {}
    for number, raw in read_lines(path):
        item = _parse(path, number, raw)
        if item.id in seen:
            raise DataError(f"{path}, line {number}, id: {item.id!r} is already on line {seen[item.id]}")
        seen[item.id] = number
        yield item


def write_review_items(path: Path, items: Iterable[ReviewItem]) -> None:
    """Write `items`, gzipped if `path` ends in `.gz`: a reader sees the old file or the whole new one.

    The same items always give the same bytes.
    """
    with JsonlWriter(path) as writer:
        for item in items:
            writer.write(item.to_json())


def _parse(path: Path, number: int, raw: bytes) -> ReviewItem:
    try:
        return ReviewItem.model_validate_json(raw)
    except ValidationError as error:
        raise line_error(path, number, error) from error


def line_error(path: Path, number: int, error: ValidationError) -> DataError:
    """Return the error about a line of a data file that names the first field which does not fit."""
    first = error.errors(include_url=False, include_context=False)[0]
    where = ", ".join(filter(None, (str(path), f"line {number}", field_name(first["loc"]))))
    return DataError(f"{where}: {first['msg'].removeprefix('Value error, ')}")


def field_name(location: tuple[int | str, ...]) -> str:
    """Return ("findings", 0, "line") as findings[0].line."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")
