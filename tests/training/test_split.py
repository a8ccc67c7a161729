"""Whole merge requests by time, and nothing in training that is held out too."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from history_records import lines
from hypothesis import given
from hypothesis import strategies as st

from training.history.label import ITEMS
from training.history.settings import SplitSettings
from training.history.split import LEAKS, Place, assign, split
from training.history.stages import StageManifest


def item(number: int, mr: int, code: str = "", **changes: Any) -> dict[str, Any]:
    words = " ".join(f"w{number}_{n}" for n in range(30))
    return {
        "id": f"item-{number}", "path": "a.py", "language": "python", "findings": [], "mr": mr,
        "diff": f"@@ -0,0 +1 @@\n+{code or words}", "date": f"2026-01-{mr:02}T00:00:00+00:00",
    } | changes  # fmt: skip


def run(tmp_path: Path, rows: list[Any], **settings: Any) -> StageManifest:
    source = tmp_path / "items.jsonl"
    source.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return split(source, tmp_path / "out", SplitSettings.model_validate(settings))


def splits(tmp_path: Path) -> dict[str, str]:
    return {row["id"]: row["split"] for row in lines(tmp_path / "out" / ITEMS)}


def test_the_latest_merge_requests_are_held_out(tmp_path: Path) -> None:
    """In the order of time, whatever the order in the file; items without a time can only train."""
    rows = [item(n, mr) for n, mr in enumerate([9, 3, 1, 8, 2, 7, 4, 6, 5, 9])]
    run(tmp_path, [*rows, item(20, 20, date="")], dev=0.2, test=0.2)
    found = splits(tmp_path)
    assert [found[f"item-{n}"] for n in range(10)] == [
        "test", "train", "train", "dev", "train", "dev", "train", "train", "train", "test",
    ]  # fmt: skip
    assert found["item-20"] == "train"


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 9)), max_size=60),
    st.floats(0, 0.4),
    st.floats(0, 0.4),
)
def test_no_merge_request_is_on_two_sides_of_a_cut(
    pairs: list[tuple[int, int]], dev: float, test: float
) -> None:
    """Every group has one split, and the splits follow each other in time."""
    places = [Place(n, f"!{mr}", f"2026-01-0{day}") for n, (mr, day) in enumerate(pairs)]
    given_splits = assign(places, SplitSettings(dev=dev, test=test))
    starts: dict[str, str] = {}
    for place in places:
        starts[place.group] = min(starts.get(place.group, place.date), place.date)
    assert given_splits.keys() == starts.keys()
    times = defaultdict(list)
    for group, part in given_splits.items():
        times[part].append((starts[group], group))
    ordered = [times[part] for part in ("train", "dev", "test") if times[part]]
    for earlier, later in itertools.pairwise(ordered):
        assert max(earlier) < min(later)


def test_leaks_are_dropped_from_the_earlier_part(tmp_path: Path) -> None:
    """The same code, white space aside, and nearly the same; held-out parts stay as they were drawn."""
    words = [f"name{n}" for n in range(40)]
    code = " ".join(words)
    near = " ".join([*words[:-1], "other"])
    rows = [
        item(1, 1, code),
        item(2, 2, near),
        item(3, 3),
        item(4, 4, code.replace(" ", "  ")),
        item(5, 5, code),
    ]
    manifest = run(tmp_path, rows, dev=0.2, test=0.2)
    assert splits(tmp_path) == {"item-3": "train", "item-5": "test"}
    assert [(row["id"], row["kind"], row["like"]) for row in lines(tmp_path / "out" / LEAKS)] == [
        ("item-1", "the same", "item-5"),
        ("item-2", "nearly the same", "item-5"),
        ("item-4", "the same", "item-5"),
    ]
    assert manifest.counts["leaks"] == {
        "dev, the same in test": 1, "train, nearly the same in test": 1, "train, the same in test": 1,
    }  # fmt: skip


def test_items_keep_all_their_keys(tmp_path: Path) -> None:
    """Other data than our own may be split: its keys stay, `pr` is a group too, bad lines are set aside."""
    rows = [item(1, 1, author="x", split="dev"), "{", item(2, 2, pr=7), '{"id": "no"}']
    manifest = run(tmp_path, rows, dev=0.0, test=0.5)
    assert manifest.counts["broken_lines"] == 2
    first, second = lines(tmp_path / "out" / ITEMS)
    assert (first["author"], first["split"], second["split"]) == ("x", "train", "test")
