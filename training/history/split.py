"""Split: whole merge requests by time, the latest held out, and nothing in training that is held out too.

What leaks is dropped from the earlier part, so that the held-out parts stay as they were drawn: training
items that are nearly a dev or test item, dev items that are nearly a test item.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.errors import DataError
from training.history.label import ITEMS
from training.history.settings import SplitSettings
from training.history.similar import Similar
from training.history.stages import Broken, Made, Stage, StageManifest, counts_of
from training.jsonl import JsonlWriter, read_lines
from training.records import ReviewItem, line_error

LEAKS = "leaks.jsonl"
TRAIN, DEV, TEST = "train", "dev", "test"


@dataclass(frozen=True, slots=True)
class Place:
    """What the split needs to know of an item: its line in the file, its merge request and when it was."""

    line: int
    group: str
    date: str


def split(source: Path, out: Path, settings: SplitSettings) -> StageManifest:
    """Write the items with their split; those that leak are left out and listed."""
    stage = Stage("split", out, (source,), settings)
    return stage.run(lambda: _split(source, out, settings))


def assign(places: list[Place], settings: SplitSettings) -> dict[str, str]:
    """Return the split of each group: whole groups by the time they began, the latest for the test."""
    starts: dict[str, str] = {}
    sizes: Counter[str] = Counter()
    for place in places:
        starts[place.group] = min(starts.get(place.group, place.date), place.date)
        sizes[place.group] += 1
    latest_first = sorted(starts, key=lambda group: (starts[group], group), reverse=True)
    quota = {TEST: round(len(places) * settings.test), DEV: round(len(places) * settings.dev)}
    given: dict[str, str] = {}
    for group in latest_first:
        # What has no time has no place in an order of time; it can only train.
        part = next((name for name, left in quota.items() if left > 0), TRAIN) if starts[group] else TRAIN
        given[group] = part
        if part in quota:
            quota[part] -= sizes[group]
    return given


def code_of(item: Mapping[str, Any]) -> str:
    """Return the new side of an item's hunk."""
    return "\n".join(row[1:] for row in str(item["diff"]).split("\n")[1:] if row[:1] != "-")


def _split(source: Path, out: Path, settings: SplitSettings) -> Made:
    broken = Broken()
    places = list(_places(source, broken))
    groups = assign(places, settings)
    splits = {place.line: groups[place.group] for place in places}
    leaks = _Leaks(settings.similarity)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for part in (TEST, DEV):
        for _, item in _items(source, splits, part):
            leaks.hold_out(item, part)
    with JsonlWriter(out / ITEMS) as writer, JsonlWriter(out / LEAKS) as listed:
        for part, item in _items(source, splits):
            if (leak := leaks.of(item, part)) is not None:
                listed.write({"id": item["id"], "split": part, **leak})
                counts["leaks"][f"{part}, {leak['kind']} in {leak['held_out_in']}"] += 1
                continue
            writer.write({**item, "split": part})
            counts["items"][f"{part}, {'with findings' if item['findings'] else 'clean'}"] += 1
    counts["merge_requests"].update(groups.values())
    return (ITEMS, LEAKS), counts_of(broken, counts)


class _Leaks:
    """Knows the held-out items by their code."""

    def __init__(self, similarity: float) -> None:
        self._seen = Similar(similarity)
        self._held_out: list[tuple[str, str]] = []  # id and split

    def hold_out(self, item: Mapping[str, Any], part: str) -> None:
        self._seen.add(code_of(item))
        self._held_out.append((str(item["id"]), part))

    def of(self, item: Mapping[str, Any], part: str) -> dict[str, str] | None:
        """Return which item of a later part this one is like, None if none."""
        if part == TEST:
            return None
        code = code_of(item)
        # The test's items are the first, so they are found before dev finds itself.
        found = self._seen.find(code)
        if found is None or self._held_out[found][1] == part:
            return None
        name, held_out_in = self._held_out[found]
        kind = "the same" if self._seen.is_exact(code) else "nearly the same"
        return {"kind": kind, "like": name, "held_out_in": held_out_in}


def _places(source: Path, broken: Broken) -> Iterator[Place]:
    for number, raw in read_lines(source):
        try:
            item = ReviewItem.model_validate_json(raw)
        except ValidationError as error:
            broken.add(line_error(source, number, error))
            continue
        more = item.model_extra or {}
        group = more.get("mr", more.get("pr"))
        yield Place(number, f"!{group}" if group is not None else item.id, str(more.get("date") or ""))


def _items(source: Path, splits: Mapping[int, str], part: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the items of a part, or all, with their part; lines that are no items were set aside before."""
    for number, raw in read_lines(source):
        found = splits.get(number)
        if found is not None and part in ("", found):
            yield found, _parsed(source, number, raw)


def _parsed(source: Path, number: int, raw: bytes) -> dict[str, Any]:
    item = json.loads(raw)
    if not isinstance(item, dict):
        raise DataError(f"{source}, line {number}: changed while it was read")
    return item
