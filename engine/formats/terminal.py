"""A review on a terminal: findings as they come, then a summary. Renderables for rich, and text of them.

Text of the repository and the model is never read as rich markup, and its control characters show.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO

from rich.console import Console, ConsoleOptions, RenderResult
from rich.rule import Rule
from rich.syntax import Syntax
from rich.text import Text

from engine.findings import Finding, Severity
from engine.formats.excerpts import LineLookup, Row, RowKind, excerpt, no_lines
from engine.formats.summaries import (
    confidence_phrase,
    counts_line,
    coverage_line,
    origin_line,
    remarks,
    skipped_by_reason,
    verdict_sentence,
)
from engine.formats.wrapping import breaks
from engine.sanitize import one_line, plain
from engine.texts import TEXTS
from engine.wire import FileCoverage, Language, Review

_STYLES = {
    Severity.CRITICAL: "bold red",
    Severity.MAJOR: "bold yellow",
    Severity.MINOR: "bold blue",
    Severity.INFO: "bold cyan",
}
_ROW_STYLES = {RowKind.REMOVED: "red", RowKind.ADDED: "green"}
_FILES_SHOWN = 5  # for each reason
_ROWS_OF_A_LINE = 6  # a longer line of code is cut
_WIDTH = 100  # where there is no terminal to ask


@dataclass(frozen=True, slots=True)
class _Glyphs:
    icons: Mapping[Severity, str]
    flag: str
    bar: str
    more: str
    dot: str


_UNICODE = _Glyphs(dict(zip(Severity, "○●▲✖", strict=True)), "❯", "│", "…", " · ")
_ASCII = _Glyphs(dict(zip(Severity, "-*!X", strict=True)), ">", "|", "...", " - ")


@dataclass(frozen=True, slots=True)
class FindingView:
    """One finding with its code, for `console.print`."""

    finding: Finding
    language: Language
    line_at: LineLookup = no_lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        glyphs = _ASCII if options.ascii_only else _UNICODE
        yield from _wrapped(self._heading(glyphs), console, options.max_width)
        for line in plain(self.finding.message).strip().split("\n"):
            yield from _wrapped(Text(line), console, options.max_width, indent=2)
        rows = excerpt(self.finding, self.line_at)
        if rows:
            yield Text()
            yield from _code(rows, self.finding, console, options.max_width, glyphs)
        yield Text()

    def _heading(self, glyphs: _Glyphs) -> Text:
        finding, texts = self.finding, TEXTS[self.language]
        style = _STYLES[finding.severity]
        aside = (confidence_phrase(finding.confidence, self.language), one_line(finding.fingerprint))
        return Text.assemble(
            (f"{glyphs.icons[finding.severity]} ", style),
            (f"{one_line(finding.path)}:{finding.line}", "bold"),
            "  ",
            (texts.severity[finding.severity], style),
            (glyphs.dot, "dim"),
            texts.category[finding.category],
            *((f"{glyphs.dot}{part}", "dim") for part in aside if part),
        )


@dataclass(frozen=True, slots=True)
class SummaryView:
    """What is said after the findings: verdict, counts, coverage, and what to be careful about."""

    review: Review

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Rule(characters="-" if options.ascii_only else "─", style="dim")
        for line in self._lines():
            yield from _wrapped(line, console, options.max_width)
        yield from self._skipped(console, options)
        yield from _wrapped(Text(origin_line(self.review), "dim"), console, options.max_width)

    def _lines(self) -> Iterator[Text]:
        review = self.review
        worst = max((finding.severity for finding in review.findings), default=None)
        yield Text(verdict_sentence(review), _STYLES[worst] if worst else "bold")
        if review.findings:
            yield Text(counts_line(review))
        yield Text(coverage_line(review))
        for remark in remarks(review):
            yield Text(remark, "yellow")

    def _skipped(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        texts = TEXTS[self.review.language]
        groups = skipped_by_reason(self.review)
        if groups:
            yield Text(f"{texts.skipped_heading}:", "dim")
        for reason, files in groups.items():
            names = [_skipped_file(file) for file in files[:_FILES_SHOWN]]
            if left := len(files) - len(names):
                names.append(texts.more_files(left))
            line = Text.assemble(f"{texts.skip_reason[reason]}: ", (texts.list_separator.join(names), "dim"))
            yield from _wrapped(line, console, options.max_width, indent=2)


def render(review: Review, line_at: LineLookup = no_lines) -> str:
    """Return what a terminal of 100 columns without colours would show."""
    console = Console(
        file=StringIO(), width=_WIDTH, color_system=None, force_terminal=False, legacy_windows=False
    )
    with console.capture() as capture:
        for finding in review.findings:
            console.print(FindingView(finding, review.language, line_at))
        console.print(SummaryView(review))
    return "\n".join(line.rstrip() for line in capture.get().splitlines()) + "\n"


def _skipped_file(file: FileCoverage) -> str:
    return one_line(f"{file.path} ({file.detail})" if file.detail else file.path)


def _wrapped(text: Text, console: Console, width: int, indent: int = 0) -> Iterator[Text]:
    text.expand_tabs(4)
    for line in text.divide(breaks(text.plain, max(2, width - indent))):
        line.rstrip()
        yield Text(" " * indent) + line


def _code(rows: list[Row], finding: Finding, console: Console, width: int, glyphs: _Glyphs) -> Iterator[Text]:
    digits = max(len(str(row.number or "")) for row in rows)
    room = max(8, width - digits - 7)
    codes = _coloured([row.text for row in rows], finding.path, room * _ROWS_OF_A_LINE)
    for row, code in zip(rows, codes, strict=True):
        code.stylize(_ROW_STYLES.get(row.kind, ""))
        number = "" if row.number is None else str(row.number)
        sign = glyphs.flag if row.kind is RowKind.FLAGGED else row.kind.value
        style = _ROW_STYLES.get(row.kind, _STYLES[finding.severity])
        for line in _fitted(code, row, console, room, glyphs):
            gutter = (f"  {number:>{digits}} {glyphs.bar} ", "dim")
            yield Text.assemble(gutter, (f"{sign} ", style), line)
            number, sign = "", " "


def _fitted(code: Text, row: Row, console: Console, room: int, glyphs: _Glyphs) -> list[Text]:
    """Return `code` in lines of at most `room` cells: neighbours are cut, the finding's own lines folded."""
    if row.kind is RowKind.CONTEXT:
        return [_cut(code, room, glyphs)]
    indent = min(len(code.plain) - len(code.plain.lstrip()), room // 2)
    lines = list(code.divide([indent]))[-1].divide(breaks(code.plain[indent:], room - indent))
    for line in lines:
        line.rstrip()
    shown = [Text(" " * indent) + line for line in lines[:_ROWS_OF_A_LINE]]
    return shown if len(lines) <= _ROWS_OF_A_LINE else [*shown[:-1], _cut(shown[-1], room - 3, glyphs)]


def _cut(code: Text, room: int, glyphs: _Glyphs) -> Text:
    if code.cell_len <= room:
        return code
    code.truncate(room - len(glyphs.more))
    return code + Text(glyphs.more, "dim")


def _coloured(lines: list[str], path: str, limit: int) -> list[Text]:
    """Return each of `lines` highlighted as the language of `path`, without their common indentation."""
    shown = [plain(line).replace("\n", " ").expandtabs(4) for line in lines]
    indents = [len(line) - len(line.lstrip()) for line in shown if line.strip()]
    shown = [line[min(indents, default=0) :][: limit + 1] for line in shown]
    code = "\n".join(shown)
    syntax = Syntax(code, Syntax.guess_lexer(path), theme="ansi_dark", background_color="default")
    highlighted = syntax.highlight(code).split("\n", allow_blank=True)[: len(shown)]
    return list(highlighted) if len(highlighted) == len(shown) else [Text(line) for line in shown]
