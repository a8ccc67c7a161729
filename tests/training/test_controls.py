"""The controls of a gain: shuffled comments, and the nearest earlier comment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import DataError
from engine.findings import Category, Severity
from training.__main__ import main
from training.controls import Retriever, shuffle_comments
from training.records import ReviewFinding, ReviewItem, read_review_items, write_review_items

CODE = {
    "sql": (
        "query = 'select * from users where id = ' + name",
        "rows = cursor.execute(query)",
        "return rows",
    ),
    "loop": ("for index in range(len(values)):", "total += values[index]", "print(total)"),
    "file": ("handle = open(path)", "text = handle.read()", "return text.splitlines()"),
}


def finding(line: int, message: str, category: Category = Category.BUG, **more: str) -> ReviewFinding:
    return ReviewFinding(line=line, category=category, severity=Severity.MINOR, message=message, **more)  # type: ignore[arg-type]


def item(name: str, kind: str, *findings: ReviewFinding, split: str | None = None) -> ReviewItem:
    """An item of three added lines from line 1 on."""
    rows = "\n".join(f"+{row}" for row in CODE[kind])
    return ReviewItem(
        id=name,
        diff=f"@@ -0,0 +1,3 @@\n{rows}",
        path="a.py",
        language="python",
        findings=findings,
        split=split,  # type: ignore[arg-type]
    )


TRAIN = [
    item(
        "one", "sql", finding(2, "Bind parameters.", Category.SECURITY, suggestion="rows = []"), split="train"
    ),
    item("two", "loop", finding(1, "Iterate over the values."), finding(2, "Use sum."), split="train"),
    item("three", "file", finding(1, "Close the file.", Category.PERFORMANCE), split="train"),
    item("quiet", "file", split="train"),
]


@pytest.mark.parametrize("seed", range(5))
def test_no_line_keeps_its_comment(seed: int) -> None:
    """The same comments on the same lines, each in another's place; a suggestion stays behind."""
    shuffled = shuffle_comments(TRAIN, seed)
    before = {(one.id, each.line): each.message for one in TRAIN for each in one.findings}
    after = {(one.id, each.line): each.message for one in shuffled for each in one.findings}
    assert before.keys() == after.keys()
    assert sorted(before.values()) == sorted(after.values())
    assert not any(before[place] == after[place] for place in before)
    assert {each.suggestion for one in shuffled for each in one.findings} == {None}
    moved = next(each for one in shuffled for each in one.findings if each.message == "Bind parameters.")
    assert moved.category is Category.SECURITY


def test_what_is_held_out_is_not_shuffled() -> None:
    """A control is trained otherwise and measured on the same."""
    held_out = item("later", "sql", finding(2, "Bind them."), split="dev")
    assert shuffle_comments([*TRAIN, held_out])[-1] == held_out
    with pytest.raises(DataError, match="1 comments"):
        shuffle_comments([TRAIN[0], held_out])


def test_the_nearest_comment_is_that_of_the_most_similar_line() -> None:
    """Similar code, not the same: names differ."""
    retriever = Retriever(TRAIN)
    asked = ReviewItem(
        id="new",
        diff="@@ -0,0 +1,2 @@\n+for index in range(len(prices)):\n+    total += prices[index]",
        path="b.py",
        language="python",
        findings=(),
    )
    assert retriever.comment(asked, 2).message == "Use sum."
    assert retriever.comment(asked, 1).message == "Iterate over the values."


def test_lines_are_scored_by_where_similar_hunks_have_theirs() -> None:
    """A neighbour's second line of three is the third of five; what is unlike everything is not scored."""
    retriever = Retriever(TRAIN[:1])
    rows = ("x = 1", "y = 2", "query = 'select * from users'", "rows = cursor.execute(query)", "z = 3")
    similar = ReviewItem(
        id="new",
        diff="@@ -0,0 +1,5 @@\n" + "\n".join(f"+{row}" for row in rows),
        path="b.py",
        language="python",
        findings=(),
    )
    alien = ReviewItem(id="alien", diff="@@ -0,0 +1,1 @@\n+§§§", path="b.py", language="python", findings=())
    first, second = retriever.score([similar, alien])
    assert first.top() == (3, Category.SECURITY)
    assert all(sum(row) == pytest.approx(1) for row in first.probabilities)
    assert second.probabilities == ((1.0, *(0.0,) * 7),)


def test_without_comments_there_is_nothing_to_retrieve() -> None:
    """The error says so."""
    with pytest.raises(DataError, match="no comment"):
        Retriever([TRAIN[-1]])


def test_the_command_writes_a_file_to_train_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another seed shuffles otherwise; a file that is not there is an error that names it."""
    source, out = tmp_path / "items.jsonl", tmp_path / "shuffled.jsonl"
    write_review_items(source, TRAIN)
    assert main(["shuffle", "--data", str(source), "--out", str(out)]) == 0
    assert json.loads(out.read_text().splitlines()[0])["findings"][0]["message"] != "Bind parameters."
    assert [one.id for one in read_review_items(out)] == [one.id for one in TRAIN]
    assert "4 comments" in capsys.readouterr().out
    assert main(["shuffle", "--data", str(tmp_path / "none.jsonl"), "--out", str(out)]) == 2
    assert "none.jsonl" in capsys.readouterr().err
