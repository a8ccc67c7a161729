"""The terminal format in several widths, encodings and colour systems."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from engine.findings import Category, Finding, Severity, Verdict
from engine.formats import lines_of
from engine.formats.excerpts import LineLookup, no_lines
from engine.formats.json_format import parse_review
from engine.formats.terminal import FindingView, SummaryView
from engine.parsing import parse_diff
from engine.wire import FileCoverage, Language, Review, SkipReason

DATA = Path(__file__).parents[2] / "data" / "formats"
REVIEW = parse_review((DATA / "mixed-en.review.json").read_text(encoding="utf-8"))


def finding(code: str, suggestion: str | None = None, message: str = "Look.") -> Finding:
    """Make a finding about `code`."""
    return Finding(
        path="a.py",
        line=7,
        end_line=7 + code.count("\n"),
        severity=Severity.MINOR,
        category=Category.BUG,
        message=message,
        suggestion=suggestion,
        confidence=0.5,
        code=code,
    )


def show(review: Review, width: int, line_at: LineLookup = no_lines) -> str:
    """Print a review as a terminal without colours shows it."""
    console = Console(width=width, color_system=None, file=io.StringIO(), legacy_windows=False)
    with console.capture() as capture:
        for each in review.findings:
            console.print(FindingView(each, review.language, line_at))
        console.print(SummaryView(review))
    return capture.get()


def show_one(shown: Finding, width: int = 80) -> list[str]:
    """Print one finding and return its lines."""
    console = Console(width=width, color_system=None, file=io.StringIO(), legacy_windows=False)
    with console.capture() as capture:
        console.print(FindingView(shown, Language.EN))
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("case", ["mixed-en", "mixed-ja"])
def test_widths(case: str, width: int, golden: Callable[[Path, str], None]) -> None:
    """A review fits narrow and wide terminals, in both languages."""
    review = parse_review((DATA / f"{case}.review.json").read_text(encoding="utf-8"))
    line_at = lines_of(parse_diff((DATA / f"{case}.diff").read_text(encoding="utf-8")))
    text = show(review, width, line_at)
    assert all(cell_len(line) <= width for line in text.splitlines())
    golden(DATA / f"{case}.terminal-{width}.golden", text)


@pytest.mark.parametrize("width", [12, 20, 40])
def test_very_narrow(width: int) -> None:
    """A terminal too narrow for any layout still shows every word, folded."""
    text = show(REVIEW, width)
    assert "".join(["orders.py:42"]) in "".join(text.split())


def test_ascii() -> None:
    """On a terminal without Unicode only ASCII is drawn."""
    buffer = io.BytesIO()
    with io.TextIOWrapper(buffer, encoding="ascii") as file:
        console = Console(file=file, width=80, color_system=None, legacy_windows=False)
        console.print(FindingView(finding("x = 1", "x = 2"), Language.EN))
        long_line = finding("y = '" + "a" * 900 + "'")
        console.print(FindingView(long_line, Language.EN))
        console.print(SummaryView(Review(verdict=Verdict.CLEAN, findings=(), coverage=())))
        file.flush()
        text = buffer.getvalue().decode("ascii")
    assert "  7 | - x = 1\n    | + x = 2\n" in text
    assert "..." in text


def test_colours() -> None:
    """Severity, removed and added lines are coloured where the terminal can, and nothing where it can't."""
    console = Console(width=80, color_system="standard", force_terminal=True, file=io.StringIO())
    with console.capture() as capture:
        console.print(FindingView(finding("x = 1", "x = 2"), Language.EN))
    coloured = capture.get()
    assert "\x1b[1;34mminor" in coloured
    assert "\x1b[31m" in coloured
    assert "\x1b[32m" in coloured
    assert "\x1b" not in show(REVIEW, 80)


def test_escape_sequences_are_shown_not_obeyed() -> None:
    """Escape sequences and bidi overrides of code and message are pictures and numbers."""
    lines = show_one(finding("x = '\x1b[2J\u202e'", message="clear \x1b[2J it\u202e"))
    assert "  clear ␛[2J it<U+202E>" in lines
    assert "  7 │ ❯ x = '␛[2J<U+202E>'" in lines


def test_rich_markup_is_not_read() -> None:
    """Square brackets and emoji codes are text."""
    lines = show_one(finding("[red]a[/red]", message="[bold]b[/bold] :boom:"))
    assert "  [bold]b[/bold] :boom:" in lines
    assert "  7 │ ❯ [red]a[/red]" in lines


def test_common_indentation_is_left_out() -> None:
    """Code starts at the left, tabs are widened, the relative indentation stays."""
    assert show_one(finding("\t\tif x:\n\t\t\ty()"))[-3:-1] == ["  7 │ ❯ if x:", "  8 │ ❯     y()"]


def test_a_long_line_of_code_is_folded_then_cut() -> None:
    """A finding's own line takes at most six rows; what is left out is marked."""
    rows = [line for line in show_one(finding(f"x = [{'1, ' * 400}]"), 60) if "│" in line]
    assert len(rows) == 6
    assert rows[-1].endswith("…")


def test_a_huge_line_is_quick() -> None:
    """A line of a megabyte is cut before it is highlighted."""
    assert len(show_one(finding("x" * 1_000_000))) < 12


def test_many_skipped_files_are_counted() -> None:
    """Five files are named for a reason, the others counted."""
    skipped = tuple(
        FileCoverage(path=f"v/{number}.js", reviewed=False, reason=SkipReason.VENDORED)
        for number in range(1200)
    )
    text = show(Review(verdict=Verdict.CLEAN, findings=(), coverage=skipped), 120)
    assert "third-party code: v/0.js, v/1.js, v/2.js, v/3.js, v/4.js, and 1,195 more" in text
