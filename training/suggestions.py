"""Findings of linters -> findings with a suggestion, where the fix is a rewrite of the finding's own line.

Suggestions come from ruff's fixes, from the old side of a diff that turns good code into bad (rule
documentation), and from a few mechanical rewrites.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from engine.diffs import DiffLine, LineKind
from training.line_rewrites import rewrite_line
from training.records import ReviewItem
from training.ruff_fixes import Fragment, fix_lines

GOOD_TO_BAD = frozenset({"ruff-docs"})
"""Sources whose hunks turn the recommended code into the code that is wrong."""


def suggest(items: Sequence[ReviewItem]) -> Iterator[ReviewItem]:
    """Yield `items` in order with the suggestions that are known.

    A suggestion that also stands in the hunk as a removed line would teach copying, so it is left out
    there; in the training split a second item follows, named `<id>-new`, that has it and shows the hunk
    without its removed lines.
    """
    ids = {item.id for item in items}
    for item, fixes in zip(items, _ruff_fixes(items), strict=True):
        known = [_suggestion(item, index, fixes) for index in range(len(item.findings))]
        removed = {line.text.strip() for line in item.to_chunk().lines if line.kind is LineKind.REMOVED}
        shown = [text is not None and _stands_in(text, removed) for text in known]
        yield _with(item, [None if hide else text for text, hide in zip(known, shown, strict=True)])
        if any(shown) and item.split == "train" and _new_id(item) not in ids:
            yield _with(_without_removed(item), known)


def _ruff_fixes(items: Sequence[ReviewItem]) -> list[dict[tuple[int, str], str]]:
    """Return for each item ruff's rewritten lines by line number and rule; empty for what is not Python."""
    fixes: list[dict[tuple[int, str], str]] = [{} for _ in items]
    asked = [index for index, item in enumerate(items) if item.language == "python" and item.findings]
    for index, found in zip(asked, fix_lines([_fragment(items[index]) for index in asked]), strict=True):
        numbers = [line.new_number or 0 for line in _new_side(items[index])]
        fixes[index] = {(numbers[row], rule): text for (row, rule), text in found.items()}
    return fixes


def _fragment(item: ReviewItem) -> Fragment:
    lines = _new_side(item)
    rows = {line.new_number: row for row, line in enumerate(lines)}
    wanted = frozenset((rows[finding.line], finding.rule) for finding in item.findings if finding.rule)
    return Fragment(tuple(line.text for line in lines), wanted)


def _suggestion(item: ReviewItem, index: int, fixes: dict[tuple[int, str], str]) -> str | None:
    finding = item.findings[index]
    if finding.suggestion or not finding.rule:
        return finding.suggestion
    if (finding.line, finding.rule) in fixes:
        return fixes[finding.line, finding.rule]
    text = next(line.text for line in _new_side(item) if line.new_number == finding.line)
    old = _old_line(item, finding.line) if item.source in GOOD_TO_BAD else None
    return old or rewrite_line(finding.rule, text)


def _old_line(item: ReviewItem, number: int) -> str | None:
    """Return the removed line that the added line `number` replaced, if as many were added as removed."""
    for changed, run in groupby(item.to_chunk().lines, key=lambda line: line.kind is not LineKind.CONTEXT):
        lines = list(run)
        removed = [line.text for line in lines if line.kind is LineKind.REMOVED]
        added = [line for line in lines if line.kind is LineKind.ADDED]
        if changed and len(removed) == len(added):
            for old, new in zip(removed, added, strict=True):
                if new.new_number == number and old.strip() and old.strip() != new.text.strip():
                    return old
    return None


def _new_side(item: ReviewItem) -> tuple[DiffLine, ...]:
    return tuple(line for line in item.to_chunk().lines if line.kind is not LineKind.REMOVED)


def _stands_in(text: str, removed: set[str]) -> bool:
    return any(line.strip() in removed for line in text.split("\n") if line.strip())


def _with(item: ReviewItem, suggestions: Sequence[str | None]) -> ReviewItem:
    findings = tuple(
        finding.model_copy(update={"suggestion": text})
        for finding, text in zip(item.findings, suggestions, strict=True)
    )
    return item.model_copy(update={"findings": findings})


def _new_id(item: ReviewItem) -> str:
    return f"{item.id}-new"


def _without_removed(item: ReviewItem) -> ReviewItem:
    """Return a copy whose hunk only adds. Context stays context: nobody looked for findings there."""
    lines = _new_side(item)
    start, context = lines[0].new_number, sum(line.kind is LineKind.CONTEXT for line in lines)
    header = f"@@ -{start if context else 0},{context} +{start},{len(lines)} @@"
    rows = (("+" if line.kind is LineKind.ADDED else " ") + line.text for line in lines)
    return item.model_copy(update={"id": _new_id(item), "diff": "\n".join((header, *rows))})
