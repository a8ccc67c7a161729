"""Items become rows whose targets the engine could have written itself."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.diffs import LineKind
from engine.findings import Category, Severity
from engine.finetune.rows import LabelRow, Row, TextRow
from engine.prompts import CATEGORY_LABELS, LABELS, NO_FINDING
from engine.replies import (
    MESSAGE_LENGTH,
    SUGGESTION_LENGTH,
    Nothing,
    ParsedReply,
    canonical_reply,
    parse_reply,
    reply_schema,
)
from training.examples import ExampleSettings, crop, example_rows, fitting, shorten
from training.records import ReviewFinding, ReviewItem

llguidance = pytest.importorskip("llguidance")

TOKENIZER = llguidance.LLTokenizer("byte")
GRAMMAR = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(reply_schema()))


def grammar_accepts(text: str) -> bool:
    matcher = llguidance.LLMatcher(TOKENIZER, GRAMMAR)
    tokens = TOKENIZER.tokenize_bytes(text.encode())
    return bool(matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting())


def item(
    lines: Sequence[str], findings: Sequence[ReviewFinding | dict[str, Any]] = (), name: str = "i"
) -> ReviewItem:
    """Return an item whose hunk begins at line 10 of both sides."""
    old, new = (sum(line[0] in kinds for line in lines) for kinds in (" -", " +"))
    diff = "\n".join((f"@@ -10,{old} +10,{new} @@", *lines))
    return ReviewItem.model_validate(
        {"id": name, "diff": diff, "path": "a.py", "language": "python", "findings": tuple(findings)}
    )


def finding(line: int, message: str = "Wrong.", **fields: Any) -> ReviewFinding:
    given: dict[str, Any] = {"category": Category.BUG, "severity": Severity.MINOR} | fields
    return ReviewFinding(line=line, message=message, **given)


def texts(rows: Sequence[Row]) -> list[TextRow]:
    return [row for row in rows if isinstance(row, TextRow)]


def labels(rows: Sequence[Row]) -> list[list[str]]:
    return [[block.label for block in row.blocks] for row in rows if isinstance(row, LabelRow)]


ONCE = ExampleSettings(nothing_share=0.0)
printable = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"))
code_lines = st.lists(
    st.tuples(st.sampled_from("+ -"), st.text(printable, max_size=20)).map("".join), min_size=1, max_size=12
).filter(lambda lines: any(line[0] != "-" for line in lines))


@st.composite
def items(draw: st.DrawFn) -> ReviewItem:
    """Draw an item with findings anywhere on its new side, some of them unreadable or far too long."""
    lines = draw(code_lines)
    shown = sum(line[0] != "-" for line in lines)
    message = st.text(min_size=1, max_size=40) | st.text("ab. 。", min_size=250, max_size=700)
    drawn = st.builds(
        ReviewFinding,
        line=st.integers(10, 9 + shown),
        category=st.sampled_from(Category),
        severity=st.sampled_from(Severity),
        message=message,
        message_ja=st.none() | message,
        suggestion=st.none() | st.text(max_size=30).map("\t\t".__add__) | st.just("x" * 500),
    )
    return item(lines, draw(st.lists(drawn, max_size=4)))


@given(item=items(), seed=st.integers(0, 9))
@settings(max_examples=150)
def test_every_target_can_be_written(item: ReviewItem, seed: int) -> None:
    """Each completion is a canonical reply, byte for byte, and the grammar accepts it."""
    wanted = ExampleSettings(passes=2, nothing_share=1.0, japanese_share=0.5, seed=seed)
    for row in texts(list(example_rows([item], wanted))):
        parsed = parse_reply(row.completion)
        assert isinstance(parsed, ParsedReply | Nothing)
        assert canonical_reply(parsed if isinstance(parsed, ParsedReply) else None) == row.completion
        assert grammar_accepts(row.completion)


@given(item=items(), seed=st.integers(0, 9))
def test_rows_depend_on_the_seed_alone(item: ReviewItem, seed: int) -> None:
    """The same items and settings give the same rows."""
    wanted = ExampleSettings(passes=3, seed=seed)
    assert list(example_rows([item, item], wanted)) == list(example_rows([item, item], wanted))


@given(item=items(), seed=st.integers(0, 9))
def test_crop_keeps_line_numbers(item: ReviewItem, seed: int) -> None:
    """What is left is a run of at least half the lines, each with the numbers it had."""
    chunk = item.to_chunk()
    cropped = crop(chunk, random.Random(seed))
    start = chunk.lines.index(cropped.lines[0])
    assert cropped.lines == chunk.lines[start : start + len(cropped.lines)]
    assert 2 * len(cropped.lines) >= len(chunk.lines)
    assert (cropped.path, cropped.language) == (chunk.path, chunk.language)


def test_each_commentable_line_has_its_label() -> None:
    """The most severe finding of a line names its label; lines without one are ok; others have no block."""
    found = [
        finding(11, category=Category.STYLE, severity=Severity.INFO),
        finding(11, category=Category.SECURITY, severity=Severity.CRITICAL),
        finding(10, category=Category.DOCS),
    ]
    rows = list(example_rows([item([" context", "+a", "-b", "+", "+c"], found)], ONCE))
    assert labels(rows) == [[CATEGORY_LABELS[Category.SECURITY], NO_FINDING]]


def test_labels_are_those_of_the_engine() -> None:
    """Every category has one, and none is left over."""
    found = [finding(10 + n, category=category) for n, category in enumerate(Category)]
    (row,) = labels(list(example_rows([item(["+x"] * (len(found) + 1), found)], ONCE)))
    assert row == [CATEGORY_LABELS[category] for category in Category] + [NO_FINDING]
    assert set(row) == set(LABELS)


def test_each_finding_on_a_commentable_line_is_written_about() -> None:
    """Two findings on a line are two rows; one on context or a blank line is none."""
    found = [finding(10, "On context."), finding(11, "First."), finding(11, "Second."), finding(12, "Blank.")]
    rows = texts(list(example_rows([item([" c", "+a", "+"], found)], ONCE)))
    assert [json.loads(row.completion)["message"] for row in rows] == ["First.", "Second."]


def test_suggestion_loses_the_line_s_indentation() -> None:
    """The reply's suggestion is relative to its line; one that is too long or shallower is left out."""
    found = [
        finding(10, suggestion="    if a:\n        b"),
        finding(10, suggestion="c"),
        finding(10, suggestion="    " + "d" * (SUGGESTION_LENGTH + 1)),
    ]
    rows = texts(list(example_rows([item(["+    a"], found)], ONCE)))
    assert [json.loads(row.completion).get("suggestion") for row in rows] == ["if a:\n    b", None, None]


def test_unreadable_message_trains_nothing() -> None:
    """Control characters alone are no message; the line keeps its label."""
    rows = list(example_rows([item(["+a"], [finding(10, "\x00\x1b")])], ONCE))
    assert labels(rows) == [[" bug"]]
    assert not texts(rows)


def test_nothing_rows_follow_the_share() -> None:
    """Rows with nothing to say come as often as asked, are of all categories, and only of clean lines."""
    busy = item(["+a", "+b", "+c", "+d"], [finding(10)])
    rows = texts(list(example_rows([busy] * 400, ExampleSettings(nothing_share=0.5))))
    nothing = [row for row in rows if row.completion == "null"]
    assert len(rows) - len(nothing) == 400
    assert len(nothing) == pytest.approx(0.5 * 0.75 * 400, rel=0.2)
    assert not any(row.suffix.startswith("\n1 ") for row in nothing)
    assert {row.suffix.split("=> ")[1].split()[0] for row in nothing} == {c.value for c in Category}


def is_japanese(row: TextRow) -> bool:
    return row.suffix.endswith(" ja\n")


def test_japanese_share() -> None:
    """Where a finding has both messages, the asked share of rows asks for Japanese and says it so."""
    both = item(["+a", "+b"], [finding(10, "Wrong.", message_ja="誤りです。")])
    rows = texts(list(example_rows([both] * 400, ExampleSettings(japanese_share=0.3, nothing_share=1.0))))
    for wanted in (True, False):
        some = [row for row in rows if (row.completion == "null") is wanted]
        assert sum(map(is_japanese, some)) == pytest.approx(0.3 * len(some), rel=0.3)
    for row in rows:
        if row.completion != "null":
            assert ("誤りです。" in row.completion) == is_japanese(row)


def test_no_japanese_without_japanese_messages() -> None:
    """Else the model would learn that whoever asks in Japanese is to be told nothing."""
    english = item(["+a", "+b"], [finding(10)])
    rows = texts(list(example_rows([english] * 50, ExampleSettings(japanese_share=1.0, nothing_share=1.0))))
    assert not any(map(is_japanese, rows))


def test_tasks_and_weights() -> None:
    """A task that is not asked for gives no row; each task has its own weight."""
    one = [item(["+a"], [finding(10)])]
    for task, weight in (("score", 2.0), ("write", 0.5)):
        wanted = ExampleSettings(tasks=frozenset({task}), score_weight=2.0, write_weight=0.5)  # type: ignore[arg-type]
        (row,) = example_rows(one, wanted)
        assert (row.kind, row.weight) == ("labels" if task == "score" else "text", weight)


def test_later_passes_crop() -> None:
    """The first pass shows items whole, later ones mostly a part, and scores them all."""
    long = item([f"+line {n}" for n in range(20)])
    rows = labels(list(example_rows([long], ExampleSettings(passes=9, crop_share=1.0, nothing_share=0))))
    assert len(rows) == 9
    assert len(rows[0]) == 20
    assert all(10 <= len(row) <= 20 for row in rows)
    assert len({len(row) for row in rows}) > 2


def test_item_without_added_lines_gives_no_row() -> None:
    """There is nothing to score and nothing to say."""
    removed = item([" a", "-b"], [finding(10)])
    assert not any(line.kind is LineKind.ADDED for line in removed.to_chunk().lines)
    assert not list(example_rows([removed], ExampleSettings(nothing_share=1.0)))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Short.\n", "Short."),
        ("A sentence. " + "word " * 80, "A sentence."),
        ("文です。" + "長" * 400, "文です。"),
        ("word " * 80, ("word " * 60).strip()),
        ("x" * 400, "x" * MESSAGE_LENGTH),
    ],
)
def test_long_message_is_cut_where_it_reads_well(message: str, expected: str) -> None:
    """At the last sentence that fits, else the last word, else at the limit."""
    assert shorten(message) == expected


def test_half_a_suggestion_is_none() -> None:
    """A suggestion fits whole or not at all; an empty one is none."""
    assert fitting("x" * SUGGESTION_LENGTH) == "x" * SUGGESTION_LENGTH
    assert fitting("x" * (SUGGESTION_LENGTH + 1)) is fitting("") is fitting(None) is None
