"""Makes a benchmark: held-out reviews of a data file, fixes and documented functions of a clone."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import JsonValue

from engine.git import Git
from engine.languages import language_of
from training.benchmark.fixes import fix_tasks, is_source
from training.benchmark.tasks import FunctionTask, Manifest, write_benchmark
from training.extra.functions import tasks as function_conversations
from training.history.records import Person, SourceFile
from training.records import ReviewItem, read_review_items

_FILE_BYTES = 200_000
_PER_FILE = 3


@dataclass(frozen=True, slots=True)
class Sources:
    """What a benchmark is made of, and how much of it."""

    data: Path | None = None
    split: str = "test"
    clone: Path | None = None
    since: str = ""  # only fixes from then on
    reviews: int = 300
    fixes: int = 100
    functions: int = 100
    seed: int = 0


def build(sources: Sources, out: Path) -> Manifest:
    """Write the benchmark to `out`; raises InputError for a clone that is none, DataError without tasks."""
    git = Git(sources.clone) if sources.clone is not None else None
    reviews = _reviews(sources)
    fixes = fix_tasks(git, sources.fixes, sources.since) if git and sources.fixes else []
    functions = _functions(git, sources) if git and sources.functions else []
    made_of: dict[str, JsonValue] = {"seed": sources.seed, "since": sources.since, "split": sources.split}
    if sources.data is not None:
        with sources.data.open("rb") as file:
            made_of["data_sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    if git is not None:
        made_of["head"] = git.text("rev-parse", "HEAD").strip()
    return write_benchmark(out, reviews, fixes, functions, made_of)


def _reviews(sources: Sources) -> list[ReviewItem]:
    """Return the latest of the held-out items: what came last is the least known to any model."""
    if sources.data is None:
        return []
    held_out = [item for item in read_review_items(sources.data) if item.split == sources.split]
    held_out.sort(key=lambda item: str((item.model_extra or {}).get("date") or ""))
    return held_out[-sources.reviews :] if sources.reviews else []


def _functions(git: Git, sources: Sources) -> list[FunctionTask]:
    rng = random.Random(sources.seed)
    files = _source_files(git)
    rng.shuffle(files)
    found: list[FunctionTask] = []
    for start in range(0, len(files), 64):
        part = files[start : start + 64]
        texts = git.blobs([blob for _, blob in part], _FILE_BYTES)
        for path, blob in part:
            if blob in texts:
                of_file = list(_tasks_of(path, texts[blob].decode("utf-8", "replace")))
                found += rng.sample(of_file, min(_PER_FILE, len(of_file)))
        if len(found) >= sources.functions:
            break
    return sorted(found[: sources.functions], key=lambda task: task.id)


def _source_files(git: Git) -> list[tuple[str, str]]:
    """Return path and blob of the source files at HEAD."""
    rows = git.text("ls-tree", "-r", "-z", "HEAD").split("\0")
    entries = [row.split("\t", 1) for row in rows if row]
    return [
        (path, about.split(" ")[2])
        for about, path in entries
        if about.split(" ")[1] == "blob" and is_source(path)
    ]


def _tasks_of(path: str, text: str) -> Iterator[FunctionTask]:
    language = language_of(path) or "text"
    source = SourceFile(
        id=path,
        path=path,
        language=language,
        text=text,
        author=Person(username="unknown"),
        created=datetime.fromisoformat("1970-01-01T00:00:00+00:00"),
    )
    for number, conversation in enumerate(function_conversations(source)):
        ((asked, code),) = conversation.pairs
        yield FunctionTask(id=f"{path}#{number}", path=path, language=language, asked=asked, code=code)
