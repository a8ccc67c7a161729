"""Suggestions reach their findings, and never where the diff already shows them."""

from __future__ import annotations

from typing import Any

from training.records import ReviewItem
from training.suggestions import suggest


def item(diff: str, line: int, rule: str, **changes: Any) -> ReviewItem:
    finding = {"line": line, "category": "bug", "severity": "minor", "message": "Wrong.", "rule": rule}
    fields = {"id": "a", "diff": diff, "path": "a.py", "language": "python", "findings": [finding]}
    return ReviewItem.model_validate(fields | {"split": "train"} | changes)


def suggestions(items: list[ReviewItem]) -> list[tuple[str, str | None]]:
    return [(each.id, each.findings[0].suggestion) for each in suggest(items)]


def test_linter_findings_get_suggestions_in_order() -> None:
    """Python is fixed by ruff, JavaScript by a rewrite, and what has no fix stays as it is."""
    items = [
        item("@@ -0,0 +5,2 @@\n+if a == None:\n+    pass", 5, "E711"),
        item("@@ -0,0 +1 @@\n+a == b;", 1, "eqeqeq", id="b", language="javascript", path="b.js"),
        item("@@ -0,0 +1 @@\n+a == b", 1, "SA4000", id="c", language="go", path="c.go"),
        item("@@ -0,0 +1 @@\n+a = 1", 1, "B018", id="d", findings=[]),
    ]
    assert suggestions(items[:3]) == [("a", "if a is None:"), ("b", "a === b;"), ("c", None)]
    assert [each.id for each in suggest(items)] == ["a", "b", "c", "d"]


def test_a_suggestion_that_the_diff_shows_moves_to_a_variant() -> None:
    """The item loses it, and a copy without the removed line follows that has it."""
    diff = "@@ -3,2 +3,2 @@\n def f():\n-    raise KeyError from None\n+    raise KeyError"
    first, second = suggest([item(diff, 4, "B904", source="ruff-docs")])
    assert first.findings[0].suggestion is None
    assert first.diff == diff
    assert second.id == "a-new"
    assert second.diff == "@@ -3,1 +3,2 @@\n def f():\n+    raise KeyError"
    assert second.findings[0].suggestion == "    raise KeyError from None"
    assert second.split == "train"


def test_held_out_items_get_no_variant() -> None:
    """The dev split keeps its items: one in, one out."""
    diff = "@@ -1 +1 @@\n-if a is None: b()\n+if a == None: b()"
    assert suggestions([item(diff, 1, "E711", split="dev")]) == [("a", None)]


def test_an_old_line_is_good_only_in_documentation() -> None:
    """In real commits the removed line is just the old code."""
    diff = "@@ -1 +1 @@\n-old()\n+new()"
    assert suggestions([item(diff, 1, "made-up", source="git-history")]) == [("a", None)]


def test_an_unaligned_old_side_gives_nothing() -> None:
    """Two removed lines for one added line do not say which one is the better version."""
    diff = "@@ -1,2 +1 @@\n-old()\n-older()\n+new()"
    assert suggestions([item(diff, 1, "made-up", source="ruff-docs")]) == [("a", None)]


def test_a_suggestion_that_is_there_stays() -> None:
    """Enriching an enriched file changes nothing."""
    shown = item("@@ -1 +1 @@\n-if a is None: b()\n+if a == None: b()", 1, "E711", id="b")
    once = list(suggest([item("@@ -0,0 +1 @@\n+a = b == None", 1, "E711"), shown]))
    assert [each.id for each in once] == ["a", "b", "b-new"]
    assert list(suggest(once)) == once
