"""Summaries are golden: data/summaries/*.json; and they stay readable at any size."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from reviews import finding_at, review_of

from bot.markers import SUMMARY, marker_of
from bot.review_texts import REVIEW_TEXTS
from bot.summary_note import MAX_ROWS, Outcome, State, summary_note
from engine.wire import FileCoverage, Language, Review, SkipReason

SUMMARIES = Path(__file__).parent / "data" / "summaries"
CASES = sorted(path.stem for path in SUMMARIES.glob("*.json"))
MARKDOWN = MarkdownIt("commonmark", {"html": True}).enable("table")
URL = "https://gitlab.example/team/app/-/merge_requests/7"


@pytest.mark.parametrize("case", CASES)
def test_summaries_are_golden(case: str, golden: Callable[[Path, str], None]) -> None:
    """In English and Japanese; clean, with findings, in part, with nothing reviewed."""
    data = json.loads((SUMMARIES / f"{case}.json").read_text("utf-8"))
    outcome = data["outcome"]
    outcome["states"] = {key: State(value) for key, value in outcome.get("states", {}).items()}
    note = summary_note(Review.model_validate(data["review"]), Outcome(**outcome))
    golden(SUMMARIES / f"{case}.md", note + "\n")


def test_a_large_review_fits() -> None:
    """Rows are counted where they would be too many; the note stays far below GitLab's limit."""
    files = {f"dir/{'x' * 3000}/{n}.py": "x|y\n" for n in range(500)}
    findings = [finding_at(files, path, 1, message="|" * 5000) for path in files]
    skipped = tuple(
        FileCoverage(path="y" * 4000, reviewed=False, reason=SkipReason.BINARY) for _ in range(1000)
    )
    review = review_of(findings)
    review = review.model_copy(update={"coverage": (*review.coverage, *skipped)})
    note = summary_note(review, Outcome("c" * 40))
    assert len(note) < 600_000
    assert f"{500 - MAX_ROWS} more findings" in note
    assert "and 900 more" in note


def test_each_row_has_its_cells() -> None:
    """A bar in a path, in code or in a message starts no new cell."""
    path = "a|b.py"
    finding = finding_at({path: "x\n"}, path, 1, message="use `a|b` | or \\| not")
    note = summary_note(review_of([finding]), Outcome("c" * 40))
    tokens = MARKDOWN.parse(note)
    assert len([token for token in tokens if token.type == "td_open"]) == 4
    cells = [token.content for token in tokens if token.type == "inline"]
    assert any("a|b.py" in cell for cell in cells)


@pytest.mark.parametrize(
    "url", ["", "javascript:alert(1)", "https://x/(a)", "https://x/ y", "https://x/\n/close"]
)
def test_only_a_plain_address_is_linked(url: str) -> None:
    """Anything else is left out."""
    finding = finding_at({"a.py": "x\n"}, "a.py", 1)
    outcome = Outcome("c" * 40, web_url=url, note_ids={finding.fingerprint: 5})
    assert "](" not in summary_note(review_of([finding]), outcome)


def test_threads_are_linked() -> None:
    """A row leads to its thread."""
    finding = finding_at({"a.py": "x\n"}, "a.py", 1)
    outcome = Outcome("c" * 40, web_url=URL, note_ids={finding.fingerprint: 5})
    assert f"]({URL}#note_5)" in summary_note(review_of([finding]), outcome)


def test_the_note_is_known_as_the_summary() -> None:
    """Whatever it says, it is found and edited the next time."""
    assert marker_of(summary_note(review_of([]), Outcome("c" * 40))) == SUMMARY


def test_texts_are_in_both_languages() -> None:
    """No text is the other language's."""
    english, japanese = REVIEW_TEXTS[Language.EN], REVIEW_TEXTS[Language.JA]
    for name in (
        "line",
        "lines",
        "new",
        "known",
        "dismissed",
        "commit",
        "since",
        "feedback_title",
        "feedback",
    ):
        assert getattr(english, name) != getattr(japanese, name)
    assert len(english.feedback) == len(japanese.feedback)
