"""What `tenken review` shows: progress where someone watches, findings as they come, then the report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from engine.errors import InputError
from engine.findings import Finding
from engine.formats import FORMATS, LineLookup
from engine.formats.terminal import FindingView, SummaryView
from engine.review import Progress
from engine.sanitize import one_line
from engine.wire import Language, Review

_WIDTH = 100  # of what is not a terminal


class _PipeConsole(Console):
    """A console that leaves a closed pipe to its caller; rich would end the process with 1."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


class Output:
    """Where a review goes while it goes on.

    Findings are shown in the terminal's form unless the report itself goes to standard output. Progress
    is drawn on a terminal alone, and on the one that findings are printed on, so that rich keeps both apart.
    """

    def __init__(
        self,
        report: str,
        file: Path | None,
        language: Language,
        line_at: LineLookup,
        more: Sequence[tuple[str, Path]] = (),
    ) -> None:
        self._more = more  # formats of further reports, and where they go
        self._report = report
        self._file = file
        self._language = language
        self._line_at = line_at
        self._shows_findings = report == "terminal" or file is not None
        self._console = _console(to_stderr=False)
        self._shown: set[str] = set()
        self._bar: Bar | None = None
        self._task = TaskID(0)

    @contextmanager
    def live(self) -> Iterator[None]:
        """Draw progress while inside, if there is a terminal to draw on."""
        console = self._console if self._shows_findings else _console(to_stderr=True)
        if not console.is_terminal:
            console = _console(to_stderr=True)
        if not console.is_terminal:
            yield
            return
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[counts]}", markup=False),
            TimeRemainingColumn(compact=True),
        )
        with Bar(*columns, console=console, transient=True) as self._bar:
            self._task = self._bar.add_task("loading the model", total=None, counts="")
            yield
        self._bar = None

    def progress(self, progress: Progress) -> None:
        """Show how far the review is."""
        if self._bar is None:
            return
        counts = f"{progress.files_done}/{progress.files} files, {progress.tokens:,} tokens"
        self._bar.update(
            self._task,
            description=one_line(progress.path)[-40:],
            completed=progress.lines_done,
            total=progress.lines,
            counts=counts,
        )

    def finding(self, finding: Finding) -> None:
        """Show a finding that has just been written."""
        if self._shows_findings:
            self._shown.add(finding.fingerprint)
            self._console.print(FindingView(finding, self._language, self._line_at))

    def finish(self, review: Review) -> None:
        """Show the summary and deliver the report."""
        if self._shows_findings:
            self._console.print(SummaryView(review))
            self._say_what_was_displaced(review)
        for report, file in self._more:
            _write(file, FORMATS[report].render(review, self._line_at))
        text = FORMATS[self._report].render(review, self._line_at)
        if self._file is not None:
            _write(self._file, text)
        elif not self._shows_findings:
            sys.stdout.write(text)

    def _say_what_was_displaced(self, review: Review) -> None:
        displaced = self._shown - {finding.fingerprint for finding in review.findings}
        if displaced:
            print(
                f"tenken: {len(displaced)} of the findings above are not in the review: "
                f"{len(review.findings)} more certain ones reached --max-findings",
                file=sys.stderr,
            )


def _console(*, to_stderr: bool) -> Console:
    stream = sys.stderr if to_stderr else sys.stdout
    width = None if stream.isatty() else _WIDTH
    return _PipeConsole(file=stream, width=width, highlight=False, soft_wrap=False)


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, "utf-8")
    except OSError as error:
        raise InputError(f"cannot write {file}: {error.strerror}") from error
