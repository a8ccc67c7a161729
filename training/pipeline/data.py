"""From the project to data: collect, redact, curate, label, split; and what the run is to be trained on.

The history is kept from run to run, so only what has changed is read again. A run works on its own copy: what
is collected for a later one does not change under it.
"""

from __future__ import annotations

import heapq
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from engine.errors import DataError, InputError
from engine.retraining import RunPlan, Stage
from training.history import curate, label, redact, split
from training.history.collect import STATE, load_salt
from training.history.label import ITEMS
from training.history.stages import MANIFEST, RECORDS, StageManifest, write_json
from training.jsonl import JsonlWriter, read_lines, replaced
from training.pipeline.board import Board
from training.pipeline.settings import RetrainSettings
from training.records import ReviewItem

TRAINED, FEEDBACK, DEV = "trained.json", "feedback.jsonl", "dev.jsonl"
_EXAMPLES = 5

Collect = Callable[[Path, Callable[[int], None]], StageManifest]
"""Collects into a directory; what it is given hears the number of each merge request."""

FetchFeedback = Callable[[Path], None]
"""Writes what people said about findings, JSON lines, to a path."""


class Trained(BaseModel):
    """Which items the finished runs of a project were given."""

    model_config = ConfigDict(frozen=True)

    items: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a run works, and where the project's history is kept between runs."""

    run: Path
    history: Path

    def of(self, stage: Stage) -> Path:
        """Return the folder of a stage."""
        return self.run / stage.value

    @property
    def items(self) -> Path:
        """What is trained and measured on."""
        return self.of(Stage.SPLIT) / ITEMS

    @property
    def dev(self) -> Path:
        """What validates while training."""
        return self.of(Stage.SPLIT) / DEV


def prepare(
    folders: Folders, settings: RetrainSettings, collect: Collect, feedback: FetchFeedback, board: Board
) -> RunPlan:
    """Make the data of a run, each stage unless it is done, and return what it holds."""
    board.begin(Stage.COLLECT)
    manifests = {Stage.COLLECT: _collected(folders, collect, feedback, board)}
    for stage, work in _stages(folders, settings).items():
        board.begin(stage)
        manifests[stage] = work()
    return _plan(folders, settings, manifests)


def remember(folders: Folders) -> None:
    """Note that what this run was trained on is not new any more."""
    ids = {str(item["id"]) for item in _items(folders.items) if item["findings"]}
    write_json(folders.history / TRAINED, {"items": sorted(_trained(folders.history) | ids)})


def _collected(folders: Folders, collect: Collect, feedback: FetchFeedback, board: Board) -> StageManifest:
    """Bring the history up to date and copy it, the manifest last."""
    target = folders.of(Stage.COLLECT)
    if (done := _manifest(target)) is not None:
        return done
    seen = 0

    def step(number: int) -> None:
        nonlocal seen
        seen += 1
        board.step(seen)

    found = collect(folders.history, step)
    try:
        target.mkdir(parents=True, exist_ok=True)
        feedback(target / FEEDBACK)
        for name in (RECORDS, STATE, MANIFEST):
            with replaced(target / name) as part:
                shutil.copyfile(folders.history / name, part)
    except OSError as error:
        raise InputError(f"{target}: {error.strerror}") from error
    return found


def _stages(folders: Folders, settings: RetrainSettings) -> Mapping[Stage, Callable[[], StageManifest]]:
    at = folders.of
    said = at(Stage.COLLECT) / FEEDBACK

    def split_off() -> StageManifest:
        made = split.split(at(Stage.LABEL) / ITEMS, at(Stage.SPLIT), settings.split)
        _write_dev(folders)
        return made

    return {
        Stage.REDACT: lambda: redact.redact(
            at(Stage.COLLECT) / RECORDS, at(Stage.REDACT), settings.redact, load_salt(at(Stage.COLLECT))
        ),
        Stage.CURATE: lambda: curate.curate(at(Stage.REDACT) / RECORDS, at(Stage.CURATE), settings.curate),
        Stage.LABEL: lambda: label.label(
            at(Stage.CURATE) / RECORDS, at(Stage.LABEL), settings.label, said if said.exists() else None
        ),
        Stage.SPLIT: split_off,
    }


def _write_dev(folders: Folders) -> None:
    """Write what validates by itself: the items marked dev in starter data are none of this project's."""
    with JsonlWriter(folders.dev) as writer:
        for item in _items(folders.items):
            if item.get("split") == split.DEV:
                writer.write(item)


def _plan(folders: Folders, settings: RetrainSettings, manifests: Mapping[Stage, StageManifest]) -> RunPlan:
    known = _trained(folders.history)
    counts: dict[str, int] = dict.fromkeys((split.TRAIN, split.DEV, split.TEST), 0)
    groups, fresh, found, held_out = set[object](), 0, 0, 0
    latest: list[tuple[str, int, str]] = []
    for number, item in enumerate(_items(folders.items)):
        counts[item["split"]] += 1
        groups.add(item.get("mr"))
        if not item["findings"]:
            continue
        found += 1
        held_out += item["split"] == split.TEST
        fresh += item["id"] not in known
        heapq.heappush(latest, (str(item.get("date", "")), number, _place(item)))
        if len(latest) > _EXAMPLES:
            heapq.heappop(latest)
    run = settings.retrain
    return RunPlan(
        merge_requests=len(groups),
        items=sum(counts.values()),
        with_findings=found,
        new=fresh,
        needed=run.min_new,
        train=counts[split.TRAIN],
        dev=counts[split.DEV],
        test=counts[split.TEST],
        test_with_findings=held_out,
        replay=run.replay_weight if run.replay else 0,
        dropped=_counted(manifests[Stage.CURATE], "dropped"),
        replaced=_counted(manifests[Stage.REDACT], "replaced"),
        broken=sum(_number(each, "broken_lines") for each in manifests.values()),
        unread=_number(manifests[Stage.COLLECT], "errors"),
        examples=tuple(place for _, _, place in sorted(latest, reverse=True)),
    )


def _place(item: Mapping[str, Any]) -> str:
    return f"!{item.get('mr', '?')} {item['path']}:{item['findings'][0]['line']}"


def _items(path: Path) -> Iterator[dict[str, Any]]:
    for number, raw in read_lines(path):
        try:
            yield ReviewItem.model_validate_json(raw).to_json()
        except ValidationError as error:
            raise DataError(f"{path}, line {number}: {error.errors()[0]['msg']}") from error


def _manifest(folder: Path) -> StageManifest | None:
    try:
        return StageManifest.model_validate_json((folder / MANIFEST).read_bytes())
    except (OSError, ValidationError):
        return None


def _trained(history: Path) -> frozenset[str]:
    try:
        return Trained.model_validate_json((history / TRAINED).read_bytes()).items
    except OSError:
        return frozenset()
    except ValidationError as error:
        raise DataError(f"{history / TRAINED}: {error.errors()[0]['msg']}") from error


def _counted(manifest: StageManifest, name: str) -> dict[str, int]:
    found = manifest.counts.get(name)
    return (
        {key: int(value) for key, value in found.items() if isinstance(value, int)}
        if isinstance(found, dict)
        else {}
    )


def _number(manifest: StageManifest, name: str) -> int:
    found = manifest.counts.get(name)
    return found if isinstance(found, int) else 0


def rows_of(path: Path) -> int:
    """Return how many lines a file has."""
    return sum(1 for _ in read_lines(path)) if path.exists() else 0


def read_json(path: Path) -> Any:
    """Return what a JSON file holds; raises DataError."""
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error
