"""Collect: a project's merge requests, rules and code -> records. Incremental, resumed where it broke off.

Each merge request has a file of its own, replaced whole when it has changed; `state.json` has the time up to
which everything was read and what failed on the way, to be tried again by the next run.
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from engine.errors import DataError, InputError
from training.errors import GitLabRefused, GitLabUnavailable
from training.history.connection import Json
from training.history.documents import list_files, write_documents, write_sources
from training.history.project import Project
from training.history.records import RECORD, MergeRequestRecord, Record
from training.history.settings import CollectSettings
from training.history.stages import RECORDS, Stage, StageManifest, write_json
from training.history.threads import quiet_hunks, remarks
from training.jsonl import JsonlWriter, read_lines, replaced

STATE, ERRORS = "state.json", "errors.jsonl"
_MRS, _DOCUMENTS, _SOURCES = "merge_requests", "documents.jsonl", "sources.jsonl"
_A_FOLDER = 1000
_SILENT = 3

Step = Callable[[int], None]
"""Called after each merge request with its number."""


class State(BaseModel):
    """How far the collection is."""

    model_config = ConfigDict(extra="forbid")

    project: str
    project_id: int
    watermark: AwareDatetime | None = None
    failed: list[int] = Field(default_factory=list)
    salt: str = Field(default_factory=lambda: secrets.token_hex(16), description="Of the pseudonyms.")


@dataclass(slots=True)
class Errors:
    """What could not be read, an entry each."""

    rows: list[dict[str, str]] = field(default_factory=list)

    def add(self, what: str, reason: Exception) -> None:
        """Note one."""
        detail = f"{type(reason).__name__}: {reason}" if isinstance(reason, (KeyError, TypeError)) else reason
        self.rows.append({"what": what, "reason": " ".join(str(detail).split())[:500]})


def collect(
    project: Project,
    out: Path,
    settings: CollectSettings,
    *,
    again: bool = False,
    step: Step = lambda number: None,
) -> StageManifest:
    """Read what has changed since the last run, and write all records; what cannot be read is listed.

    With `again` everything is read anew.
    """
    stage = Stage("collect", out, (), settings, {"project": project.about.path})
    stage.start()
    state = _load_state(out, project)
    if again:
        state.watermark = None
    errors = Errors()
    _MergeRequests(project, out, settings, state, errors, again=again).read(step)
    files = list_files(project, errors.add)
    write_documents(project, files, out / _DOCUMENTS, errors.add)
    write_sources(project, files, out / _SOURCES, settings.sources, errors.add)
    with JsonlWriter(out / ERRORS) as writer:
        for row in errors.rows:
            writer.write(row)
    counts = _join(out)
    return stage.finish(
        (RECORDS,),
        {
            "records": dict(sorted(counts.items())),
            "errors": len(errors.rows),
            "watermark": state.watermark.isoformat() if state.watermark else None,
        },
    )


def merge_request_file(out: Path, iid: int) -> Path:
    """Return where the records of a merge request are."""
    return out / _MRS / f"{iid // _A_FOLDER:04}" / f"{iid}.jsonl"


def load_salt(folder: Path) -> str:
    """Return the salt of a collection's pseudonyms; raises DataError if the folder is none."""
    try:
        return State.model_validate_json((folder / STATE).read_bytes()).salt
    except OSError as error:
        raise DataError(f"{folder / STATE}: {error.strerror}") from error
    except ValidationError as error:
        raise DataError(f"{folder / STATE}: {error.errors()[0]['msg']}") from error


@dataclass(slots=True)
class _MergeRequests:
    """Reads merge requests one after the other; what one of them lacks does not stop the others."""

    project: Project
    out: Path
    settings: CollectSettings
    state: State
    errors: Errors
    again: bool
    silent: int = 0  # merge requests in a row that GitLab had no answer about

    def read(self, step: Step) -> None:
        """Read what failed in the last run, then what has changed since."""
        for iid in tuple(self.state.failed):
            self._read_one(iid, lambda iid=iid: self.project.merge_request(iid))  # type: ignore[misc]
            self._save()
        for row in self.project.merge_requests(self.state.watermark):
            iid = int(row["iid"])
            if self.again or not _is_known(self.out, row):
                self._read_one(iid, lambda row=row: row)  # type: ignore[misc]
            self.state.watermark = datetime.fromisoformat(str(row["updated_at"]))
            self._save()
            step(iid)
        self._save()

    def _read_one(self, iid: int, find: Callable[[], Json]) -> None:
        self.state.failed = [failed for failed in self.state.failed if failed != iid]
        try:
            talk = self.project.talk(find())
            quiet = quiet_hunks(talk, self.settings.quiet_hunks)
            _write_one(merge_request_file(self.out, iid), [talk.mr, *remarks(talk), *quiet])
            self.silent = 0
        except GitLabRefused as error:
            if error.is_about_the_token:
                raise
            self._failed(iid, error, again=error.status != HTTPStatus.NOT_FOUND)
        except GitLabUnavailable as error:
            self._failed(iid, error)
            self.silent += 1
            # One that breaks the server is passed over; a server that is gone ends the run.
            if self.silent >= _SILENT:
                self._save()
                raise
        # What a server of another version sends may lack anything.
        except (KeyError, TypeError, ValueError, AttributeError, DataError) as error:
            self._failed(iid, error)

    def _failed(self, iid: int, error: Exception, *, again: bool = True) -> None:
        self.errors.add(f"merge request {iid}", error)
        if again:
            self.state.failed.append(iid)

    def _save(self) -> None:
        write_json(self.out / STATE, self.state.model_dump(mode="json"))


def _write_one(path: Path, records: list[Record]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with JsonlWriter(path) as writer:
        for record in records:
            writer.write(record.model_dump(mode="json", exclude_defaults=True) | {"kind": record.kind})


def _is_known(out: Path, row: Json) -> bool:
    """Tell whether this state of a merge request has been written already."""
    try:
        _, first = next(read_lines(merge_request_file(out, int(row["iid"]))))
        known = RECORD.validate_json(first)
    except (DataError, ValidationError, StopIteration):
        return False
    updated = datetime.fromisoformat(str(row["updated_at"]))
    return isinstance(known, MergeRequestRecord) and known.updated == updated


def _join(out: Path) -> Counter[str]:
    """Write all records into one file, by merge request, and count them by kind."""
    counts: Counter[str] = Counter()
    with replaced(out / RECORDS) as part, part.open("wb") as joined:
        for path in _parts(out):
            for _, raw in read_lines(path):
                counts[RECORD.validate_json(raw).kind] += 1
                joined.write(raw.rstrip(b"\n") + b"\n")
    return counts


def _parts(out: Path) -> Iterator[Path]:
    files = (out / _MRS).glob("*/*.jsonl")
    yield from sorted((path for path in files if path.stem.isdecimal()), key=lambda path: int(path.stem))
    yield from (path for path in (out / _DOCUMENTS, out / _SOURCES) if path.is_file())


def _load_state(out: Path, project: Project) -> State:
    path = out / STATE
    if not path.exists():
        return State(project=project.about.path, project_id=project.about.id)
    try:
        state = State.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise DataError(f"{path}: not the state of a collection; remove the folder to begin anew") from error
    if state.project_id != project.about.id:
        raise InputError(f"{out} holds the history of {state.project}, not of {project.about.path}")
    return state
