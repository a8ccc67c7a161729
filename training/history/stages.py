"""What stages share: records in files, broken lines set aside, and the manifest that says a stage is done.

A stage writes its manifest last. One that was interrupted has none, or one of other inputs, and runs again;
one that is done is not repeated.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

from engine.errors import DataError, InputError
from engine.version import tool_version
from training.history.records import RECORD, Record
from training.jsonl import read_lines, replaced
from training.records import line_error

Made = tuple[tuple[str, ...], Mapping[str, Any]]
"""What a stage made: the names of its files, and counts for the manifest."""

MANIFEST = "manifest.json"
RECORDS = "records.jsonl"
_SHOWN_ERRORS = 100


class StageManifest(BaseModel):
    """What a stage read, how it was set, and what it made."""

    model_config = ConfigDict(frozen=True)

    stage: str
    version: str
    settings: dict[str, JsonValue]
    inputs: dict[str, str]  # file name -> sha256
    outputs: dict[str, str]
    counts: dict[str, JsonValue]


@dataclass(slots=True)
class Broken:
    """Lines that could not be read: all are counted, the first hundred told."""

    count: int = 0
    errors: list[str] = field(default_factory=list)

    def add(self, error: DataError) -> None:
        """Count one."""
        self.count += 1
        if len(self.errors) < _SHOWN_ERRORS:
            self.errors.append(str(error))


@dataclass(frozen=True, slots=True)
class Stage:
    """One run of a stage: its folder, what it reads, and its settings."""

    name: str
    out: Path
    inputs: tuple[Path, ...]
    settings: BaseModel
    note: Mapping[str, str] = field(default_factory=dict)  # whatever else the result depends on

    def done(self) -> StageManifest | None:
        """Return the manifest if this stage has run on these inputs with these settings and is whole."""
        try:
            found = StageManifest.model_validate_json((self.out / MANIFEST).read_bytes())
        except (OSError, ValidationError):
            return None
        whole = all(digest(self.out / name) == known for name, known in found.outputs.items())
        same = (found.stage, found.version, found.settings, found.inputs) == (
            self.name, tool_version(), self._settings(), self._digests(),
        )  # fmt: skip
        return found if whole and same else None

    def start(self) -> None:
        """Make the folder and take away the manifest of an earlier run."""
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            (self.out / MANIFEST).unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"{self.out}: {error.strerror}") from error

    def finish(self, outputs: tuple[str, ...], counts: Mapping[str, Any]) -> StageManifest:
        """Write the manifest, and return it."""
        manifest = StageManifest(
            stage=self.name,
            version=tool_version(),
            settings=self._settings(),
            inputs=self._digests(),
            outputs={name: digest(self.out / name) for name in outputs},
            counts=dict(counts),
        )
        write_json(self.out / MANIFEST, manifest.model_dump(mode="json"))
        return manifest

    def run(self, work: Callable[[], Made]) -> StageManifest:
        """Return the manifest of the run that is done already, or do `work`, which makes the outputs."""
        if (done := self.done()) is not None:
            return done
        self.start()
        return self.finish(*work())

    def _settings(self) -> dict[str, JsonValue]:
        return {**self.settings.model_dump(mode="json"), **self.note}

    def _digests(self) -> dict[str, str]:
        return {path.name: digest(path) for path in self.inputs}


def digest(path: Path) -> str:
    """Return the sha256 of a file; "" if it is not there."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def read_records(path: Path, broken: Broken) -> Iterator[Record]:
    """Yield the records of a file. A line that is none is set aside in `broken`; the rest goes on."""
    for number, raw in read_lines(path):
        try:
            yield RECORD.validate_json(raw)
        except ValidationError as error:
            broken.add(line_error(path, number, error))


def counts_of(broken: Broken, counted: Mapping[str, Counter[str]]) -> dict[str, JsonValue]:
    """Return counts as they stand in a manifest."""
    named: dict[str, JsonValue] = {name: dict(sorted(counts.items())) for name, counts in counted.items()}
    return {**named, "broken_lines": broken.count, "broken": list(broken.errors)}


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON file; a reader sees the old one or the whole new one."""
    with replaced(path) as part:
        part.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
