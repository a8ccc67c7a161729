"""Chunks fit the budget, keep the code's joints, and make every added line commentable exactly once."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.chunks import MAX_ROWS, Chunk, chunk_file, left_out
from engine.diffs import DiffLine, FileDiff, LineKind
from engine.parsing import parse_diff
from engine.prompts import review_prompt, score_blocks

ADDED, REMOVED, CONTEXT = LineKind.ADDED, LineKind.REMOVED, LineKind.CONTEXT


def count_tokens(text: str) -> int:
    """Count as a tokenizer might: a token for every four characters or part of them."""
    return -(-len(text) // 4)


def cost_of(chunk: Chunk) -> int:
    """Return the tokens of all that is put in front of the model for `chunk`."""
    return count_tokens(review_prompt(chunk)) + sum(map(count_tokens, score_blocks(chunk)))


def file_of(*rows: str, start: int = 1) -> FileDiff:
    """Return a one-hunk diff of rows written with their sign."""
    new = sum(row[0] != "-" for row in rows)
    old = sum(row[0] != "+" for row in rows)
    head = f"@@ -{start if old else start - 1},{old} +{start if new else start - 1},{new} @@"
    (file,) = parse_diff("\n".join(("--- a/x.py", "+++ b/x.py", head, *rows)) + "\n")
    return file


def texts_of(chunk: Chunk, *kinds: LineKind) -> list[str]:
    """Return the texts of a chunk's lines of these kinds."""
    return [line.text for line in chunk.lines if line.kind in kinds]


def commentable_of(chunks: list[Chunk]) -> list[str]:
    """Return the texts of all commentable lines, in order."""
    return [line.text for chunk in chunks for line in chunk.commentable]


def test_a_hunk_that_fits_is_one_chunk_as_it_is() -> None:
    """What the adapter was trained on, one hunk at a time, is what it sees."""
    file = file_of(" a", "-b", "+c", "+", " d")
    assert chunk_file(file, "python", count_tokens, 1000) == [Chunk("x.py", "python", file.hunks[0].lines)]


def test_a_hunk_that_only_removes_gives_no_chunk() -> None:
    """Without a commentable line there is nothing to score."""
    file = file_of(" a", "-b", "+", " d")
    assert chunk_file(file, "python", count_tokens, 1000) == []
    assert left_out(file, []) == ()


def test_a_long_hunk_is_cut_at_blank_lines() -> None:
    """With blank lines at hand no cut falls between two other lines."""
    rows = [row for block in range(10) for row in (*(f"+block {block} row {i}" for i in range(8)), "+")]
    chunks = chunk_file(file_of(*rows), "python", count_tokens, 10_000)
    firsts = [chunk.commentable[0].text for chunk in chunks]
    assert len(chunks) > 2
    assert all(first.endswith("row 0") for first in firsts)


def test_a_long_hunk_without_blank_lines_is_cut_at_the_lowest_indentation() -> None:
    """Else a cut falls where a statement of the outermost level begins, not before its closing brace."""
    rows = [row for i in range(12) for row in (f"+if (a{i}) {{", *["+    call();"] * 5, "+}")]
    chunks = chunk_file(file_of(*rows), "c", count_tokens, 10_000)
    assert len(chunks) > 2
    assert all(chunk.commentable[0].text.startswith("if") for chunk in chunks)


def test_a_cut_leaves_a_replacement_whole() -> None:
    """Removed lines stay with the added lines that stand for them, where there is a choice."""
    rows = [row for i in range(40) for row in (f"-old {i}", f"+new {i}")]
    for chunk in chunk_file(file_of(*rows), "python", count_tokens, 10_000):
        core = [line for line in chunk.lines if line.kind is not CONTEXT]
        assert (core[0].kind, core[-1].kind) == (REMOVED, ADDED)


def test_neighbouring_pieces_overlap_as_context() -> None:
    """A piece shows the lines next to it, but a finding can be on them in one chunk only."""
    rows = [f"+row {number}" for number in range(100)]
    first, second, *_ = chunk_file(file_of(*rows), "python", count_tokens, 10_000)
    assert texts_of(second, CONTEXT)[:3] == texts_of(first, ADDED)[-3:]
    assert texts_of(first, CONTEXT) == texts_of(second, ADDED)[:3]
    assert all(line.old_number is None for line in first.lines)


def test_a_line_beyond_the_budget_is_shown_cut_and_left_out() -> None:
    """A line too long to be read whole is marked in the prompt and named by `left_out`."""
    file = file_of(" a", f"+{'long ' * 2000}", "+short", f"-{'gone ' * 2000}")
    chunks = chunk_file(file, "python", count_tokens, 500)
    assert commentable_of(chunks) == ["short"]
    assert "(10000 characters, not shown)" in review_prompt(chunks[0])
    assert [line.new_number for line in left_out(file, chunks)] == [2]
    assert max(map(cost_of, chunks)) <= 500


def test_no_budget_leaves_everything_out() -> None:
    """A budget below the prompt's own words gives no chunk, and says so line by line."""
    file = file_of("+a", "+b")
    assert chunk_file(file, "python", count_tokens, 10) == []
    assert len(left_out(file, [])) == 2


def rows_of(rng: random.Random) -> list[str]:
    """Return rows of a random hunk, with blank, deep, wide and over-long ones."""
    texts = (
        "",
        "",
        "x = 1",
        "    y = call(x)",
        "        return y",
        "def f(x):",
        "}",
        "日本語 " * 9,
        "w" * 700,
        "w" * 9000,
    )
    weights = (4, 2, 9, 9, 9, 3, 3, 2, 1, 0.3)
    return [rng.choice("+++ -") + rng.choices(texts, weights)[0] for _ in range(rng.choice((1, 8, 40, 200)))]


@settings(max_examples=300)
@given(
    seed=st.integers(0, 2**32), budget=st.sampled_from([120, 300, 800, 3000]), rows=st.sampled_from([8, 40])
)
def test_every_added_line_is_commentable_once_or_left_out(seed: int, budget: int, rows: int) -> None:
    """Chunks keep within budget and rows; no line is lost, doubled, renumbered or out of order."""
    file = file_of(*rows_of(random.Random(seed)), start=7)
    chunks = chunk_file(file, "python", count_tokens, budget, max_rows=rows)
    covered = [line for chunk in chunks for line in chunk.commentable]
    wanted = [line for line in file.hunks[0].lines if line.is_commentable]
    assert Counter(covered) + Counter(left_out(file, chunks)) == Counter(wanted)
    assert covered == sorted(covered, key=lambda line: line.new_number or 0)
    for chunk in chunks:
        assert cost_of(chunk) <= budget
        assert len(chunk.lines) <= rows
        numbers = [line.new_number for line in chunk.lines if line.new_number is not None]
        assert numbers == sorted(set(numbers))


SOURCE = """\
import os


@decorated
def first(path, limit):
    \"\"\"Say something.\"\"\"
    a = 1
    b = 2
    c = 3
    d = 4
    if a:
        e = 5
        changed = os.stat(path)
    f = 6
    return limit


def second():
    return 1
"""


def change_of(source: str, number: int, path: str = "x.py") -> FileDiff:
    """Return the diff that added line `number` of `source`, without context."""
    line = DiffLine(ADDED, source.split("\n")[number - 1], None, number)
    return parse_diff(f"--- a/{path}\n+++ b/{path}\n@@ -{number - 1},0 +{number} @@\n+{line.text}\n")[0]


def test_with_the_source_a_chunk_grows_to_its_function() -> None:
    """Context reaches from decorator to last line, with the right numbers on both sides."""
    (chunk,) = chunk_file(change_of(SOURCE, 13), "python", count_tokens, 1000, SOURCE)
    assert [line.new_number for line in chunk.lines] == list(range(4, 16))
    assert [line.old_number for line in chunk.lines] == [*range(4, 13), None, 13, 14]
    assert texts_of(chunk, ADDED) == ["        changed = os.stat(path)"]


def test_growth_beyond_the_rows_keeps_the_header_and_marks_the_gap() -> None:
    """A function too long to show whole is shown from its header, with `...` for the lines between."""
    body = "".join(f"    x{number} = {number}\n" for number in range(60))
    source = f"def long(a):\n{body}    return a\n"
    (chunk,) = chunk_file(change_of(source, 50), "python", count_tokens, 1000, source, max_rows=12)
    assert len(chunk.lines) <= 12
    assert [line.text for line in chunk.lines[:2]] == ["def long(a):", "..."]
    assert chunk.lines[-1].new_number == 53


def test_growth_keeps_within_the_budget() -> None:
    """Context is taken while tokens last and no further."""
    source = "def f():\n" + "".join(f"    name_{number} = {'v' * 60}\n" for number in range(40))
    for budget in (90, 150, 300, 600):
        for chunk in chunk_file(change_of(source, 20), "python", count_tokens, budget, source):
            assert cost_of(chunk) <= budget


@pytest.mark.parametrize("source", ["", "other text\n" * 20, SOURCE.replace("os.stat", "os.lstat")])
def test_a_source_that_does_not_match_is_not_used(source: str) -> None:
    """Text of another version than the diff's would show wrong lines, so the chunk stays the hunk."""
    file = change_of(SOURCE, 13)
    assert [chunk.lines for chunk in chunk_file(file, "python", count_tokens, 1000, source)] == [
        file.hunks[0].lines
    ]


def test_lines_of_other_hunks_come_as_context() -> None:
    """Growth over a neighbouring hunk does not make its added lines commentable twice."""
    text = (
        '--- a/x.py\n+++ b/x.py\n@@ -5,0 +6 @@\n+    """Say something."""\n@@ -9,2 +11 @@\n'
        "-p\n-q\n+    if a:\n"
        "@@ -12,0 +13 @@\n+        changed = os.stat(path)\n"
    )
    (file,) = parse_diff(text)
    chunks = chunk_file(file, "python", count_tokens, 2000, SOURCE)
    assert [len(chunk.commentable) for chunk in chunks] == [1, 1, 1]
    assert all(
        [line.new_number for line in chunk.lines if line.new_number] == list(range(4, 16)) for chunk in chunks
    )
    assert left_out(file, chunks) == ()


def test_chunks_cost_time_in_proportion_to_the_lines() -> None:
    """Each line is measured a fixed number of times, however long its hunk."""
    calls = Counter[int]()

    def counting(text: str) -> int:
        calls[size] += 1
        return count_tokens(text)

    for size in (500, 5000):
        chunk_file(file_of(*[f"+row {number}" for number in range(size)]), "python", counting, 800)
    assert calls[5000] < 11 * calls[500]
    assert calls[500] < 2.5 * 500


def test_default_rows_stay_in_the_range_of_the_training_data() -> None:
    """No chunk has more rows than the hunks the adapter learned from."""
    chunks = chunk_file(file_of(*["+x"] * 500), "python", count_tokens, 10**6)
    assert max(len(chunk.lines) for chunk in chunks) <= MAX_ROWS <= 43
    assert min(len(chunk.commentable) for chunk in chunks) >= 16


def test_hunks_become_chunks_in_order() -> None:
    """Two hunks are two chunks, the first one first."""
    (file,) = parse_diff("--- a/x.py\n+++ b/x.py\n@@ -0,0 +1 @@\n+one\n@@ -7,0 +9 @@\n+nine\n")
    assert commentable_of(chunk_file(file, "python", count_tokens, 1000)) == ["one", "nine"]
