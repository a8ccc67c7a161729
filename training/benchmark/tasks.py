"""What a benchmark's directory holds: tasks as JSONL, and a manifest, written last, that vouches for them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from engine.errors import DataError
from engine.version import tool_version
from training.benchmark.harness import TASK, harness_task
from training.jsonl import JsonlWriter, read_lines, replaced
from training.records import ReviewItem, line_error

MANIFEST, REVIEWS, FIXES, FUNCTIONS = "manifest.json", "reviews.jsonl", "fixes.jsonl", "functions.jsonl"


class _Task(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FixTask(_Task):
    """A bug that a commit fixed: the code as it was, all of it as added lines, and as it is since."""

    id: str = Field(min_length=1)
    commit: str
    date: str
    subject: str
    buggy: ReviewItem = Field(description="Its findings are the lines that the fix replaced.")
    fixed: ReviewItem = Field(description="The same place behind the fix; without findings.")


class FunctionTask(_Task):
    """A documented function that is to be written."""

    id: str = Field(min_length=1)
    path: str
    language: str
    asked: str = Field(min_length=1, description="Its head, and what its documentation says.")
    code: str = Field(min_length=1)


class Manifest(BaseModel):
    """What the tasks were made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int = Field(default=1, ge=1, le=1)
    version: str
    made_of: dict[str, JsonValue]
    counts: dict[str, int]
    files: dict[str, str] = Field(description="Name -> sha256.")


Task = TypeVar("Task", ReviewItem, FixTask, FunctionTask)


def write_benchmark(
    out: Path,
    reviews: Sequence[ReviewItem],
    fixes: Sequence[FixTask],
    functions: Sequence[FunctionTask],
    made_of: Mapping[str, JsonValue],
) -> Manifest:
    """Write the directory and return its manifest; raises DataError if there is no task at all."""
    parts: dict[str, Sequence[ReviewItem | FixTask | FunctionTask]] = {
        REVIEWS: reviews,
        FIXES: fixes,
        FUNCTIONS: functions,
    }
    if not any(parts.values()):
        raise DataError("the history gives no task: neither reviews, nor fixes, nor documented functions")
    out.mkdir(parents=True, exist_ok=True)
    (out / MANIFEST).unlink(missing_ok=True)
    for name, tasks in parts.items():
        with JsonlWriter(out / name) as writer:
            for task in tasks:
                writer.write(task.model_dump(mode="json", exclude_none=True))
    if functions:
        (out / f"{TASK}.yaml").write_text(harness_task(FUNCTIONS), encoding="utf-8")
    manifest = Manifest(
        version=tool_version(),
        made_of=dict(made_of),
        counts={name.removesuffix(".jsonl"): len(tasks) for name, tasks in parts.items()},
        files={name: _sha256(out / name) for name in parts},
    )
    with replaced(out / MANIFEST) as part:
        part.write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return manifest


def read_manifest(directory: Path) -> Manifest:
    """Return the manifest; raises DataError if there is none, or if a file is not the one it vouches for."""
    path = directory / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(f"{path}: not there; `tenken-train benchmark --out` makes a benchmark") from error
    except (OSError, ValidationError) as error:
        raise DataError(f"{path}: damaged") from error
    for name, known in manifest.files.items():
        if name not in (REVIEWS, FIXES, FUNCTIONS) or _sha256(directory / name) != known:
            raise DataError(f"{directory / name}: not what the benchmark was made with")
    return manifest


def read_tasks(path: Path, kind: type[Task]) -> Iterator[Task]:
    """Yield the tasks of a file; raises DataError naming line and field of the first bad one."""
    for number, raw in read_lines(path):
        try:
            yield kind.model_validate_json(raw)
        except ValidationError as error:
            raise line_error(path, number, error) from error


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
