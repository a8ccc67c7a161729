"""The review format: what is read, what is refused, and where the error is said to be."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.diffs import LineKind
from engine.errors import DataError
from training.records import ReviewItem, read_review_items, write_review_items

DIFF = """\
@@ -10,3 +10,4 @@ def total(rows):
     count = 0
-    for row in rows:
+    for row in list(rows):
+
         count += 1"""


def finding(**changes: Any) -> dict[str, Any]:
    return {"line": 11, "category": "performance", "severity": "minor", "message": "Needless copy."} | changes


def row(**changes: Any) -> dict[str, Any]:
    return {
        "id": "a-1",
        "diff": DIFF,
        "path": "app/total.py",
        "language": "python",
        "findings": [finding()],
    } | changes


def written(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("\n".join(r if isinstance(r, str) else json.dumps(r) for r in rows), encoding="utf-8")
    return path


def test_a_hunk_becomes_a_chunk_with_exact_numbers() -> None:
    """Rows keep their kind, their text without the sign, and their numbers in both files."""
    chunk = ReviewItem.model_validate(row()).to_chunk()
    assert (chunk.path, chunk.language) == ("app/total.py", "python")
    assert [(line.kind, line.text, line.old_number, line.new_number) for line in chunk.lines] == [
        (LineKind.CONTEXT, "    count = 0", 10, 10),
        (LineKind.REMOVED, "    for row in rows:", 11, None),
        (LineKind.ADDED, "    for row in list(rows):", None, 11),
        (LineKind.ADDED, "", None, 12),
        (LineKind.CONTEXT, "        count += 1", 12, 13),
    ]


def test_anchors_are_commentable_lines_with_the_most_severe_finding_first() -> None:
    """Blank and context rows are no anchors, so findings on them are nobody's."""
    findings = [
        finding(),
        finding(category="bug", severity="major", message="Changes while read."),
        finding(line=10, message="On context."),
        finding(line=12, message="On a blank line."),
    ]
    ((line, on_it),) = ReviewItem.model_validate(row(findings=findings)).anchors()
    assert line.new_number == 11
    assert [each.message for each in on_it] == ["Changes while read.", "Needless copy."]


def test_an_item_without_an_added_line_has_no_anchors() -> None:
    """A pure deletion can be read, and nothing in it can be commented on."""
    item = ReviewItem.model_validate(row(diff="@@ -1,2 +1 @@\n a = 1\n-b = 2", findings=[]))
    assert item.anchors() == ()


@pytest.mark.parametrize("name", ["items.jsonl", "items.jsonl.gz"])
def test_items_survive_writing_and_reading(tmp_path: Path, name: str) -> None:
    """What was written is read again, unknown keys and Japanese included."""
    extra = {"licence": "MIT", "findings": [finding(author="a1", message_ja="コピーは不要です。")]}
    items = [ReviewItem.model_validate(row(**extra)), ReviewItem.model_validate(row(id="a-2", findings=[]))]
    write_review_items(tmp_path / name, items)
    assert list(read_review_items(tmp_path / name)) == items
    assert next(read_review_items(tmp_path / name)).to_json()["licence"] == "MIT"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_same_items_give_the_same_bytes(tmp_path: Path) -> None:
    """A data fingerprint over the gzipped file depends on its items alone."""
    items = [ReviewItem.model_validate(row())]
    for name in ("one.jsonl.gz", "two.jsonl.gz"):
        write_review_items(tmp_path / name, items)
    assert (tmp_path / "one.jsonl.gz").read_bytes() == (tmp_path / "two.jsonl.gz").read_bytes()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    """An error while items are produced neither damages the target nor leaves a part behind."""
    target = written(tmp_path / "items.jsonl", [row()])

    def broken() -> Any:
        yield ReviewItem.model_validate(row(id="a-2"))
        raise RuntimeError("stage failed")

    with pytest.raises(RuntimeError):
        write_review_items(target, broken())
    assert [item.id for item in read_review_items(target)] == ["a-1"]
    assert list(tmp_path.iterdir()) == [target]


def test_items_before_a_bad_line_are_given_out(tmp_path: Path) -> None:
    """Reading streams: the good items come before the error about line 2."""
    items = read_review_items(written(tmp_path / "items.jsonl", [row(), "{"]))
    assert next(items).id == "a-1"
    with pytest.raises(DataError, match="line 2"):
        next(items)


BAD = {
    "not JSON": ('{"id": ', "line 3: Invalid JSON"),
    "not UTF-8": ('{"id": "\udcff"}', "line 3"),
    "missing path": ({k: v for k, v in row(id="b").items() if k != "path"}, "line 3, path: Field required"),
    "empty id": (row(id=""), "line 3, id: "),
    "unknown category": (
        row(id="b", findings=[finding(category="typo")]),
        r"line 3, findings\[0\].category: ",
    ),
    "unknown severity": (
        row(id="b", findings=[finding(severity="high")]),
        r"line 3, findings\[0\].severity: ",
    ),
    "empty message": (row(id="b", findings=[finding(message="")]), r"line 3, findings\[0\].message: "),
    "line outside": (
        row(id="b", findings=[finding(line=99)]),
        r"line 3: findings\[0\].line: 99 is not a new-file row",
    ),
    "suggests the line": (
        row(id="b", findings=[finding(suggestion="    for row in list(rows):")]),
        r"line 3: findings\[0\].suggestion: is the line as it stands",
    ),
    "unknown split": (row(id="b", split="valid"), "line 3, split: "),
    "no header": (row(id="b", diff="+a = 1", findings=[]), "line 3: diff: "),
    "two hunks": (
        row(id="b", diff="@@ -0,0 +1 @@\n+a\n@@ -8,0 +9 @@\n+b", findings=[]),
        "line 3: diff: .*one hunk",
    ),
    "id twice": (row(), "line 3, id: 'a-1' is already on line 1"),
}


@pytest.mark.parametrize(("bad", "message"), BAD.values(), ids=BAD.keys())
def test_an_error_names_file_line_and_field(tmp_path: Path, bad: object, message: str) -> None:
    """Line numbers are those of the file: the blank line counts."""
    path = tmp_path / "items.jsonl"
    text = bad if isinstance(bad, str) else json.dumps(bad)
    path.write_bytes(f"{json.dumps(row())}\n\n{text}\n".encode("utf-8", "surrogateescape"))
    with pytest.raises(DataError, match=message) as caught:
        list(read_review_items(path))
    assert str(caught.value).startswith(f"{path}, line 3")


def test_a_missing_or_damaged_file_is_a_data_error(tmp_path: Path) -> None:
    """Files that cannot be read are named, without a stack trace of the gzip module."""
    with pytest.raises(DataError, match="No such file"):
        list(read_review_items(tmp_path / "none.jsonl"))
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b"\n".join(json.dumps(row(id=str(n))).encode() for n in range(200)))[:-20])
    with pytest.raises(DataError, match="damaged gzip file"):
        list(read_review_items(cut))
    cut.write_bytes(b"plain text")
    with pytest.raises(DataError, match="damaged gzip file"):
        list(read_review_items(cut))
