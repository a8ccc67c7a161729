"""Reviews as text: every output format by its name on the command line.

`FORMATS[name].render(review)` returns the whole text, with a newline at its end. The terminal format can also
show findings one at a time: see `engine.formats.terminal`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from engine.formats import code_quality, json_format, markdown, sarif, terminal, text
from engine.formats.excerpts import LineLookup, lines_of, no_lines
from engine.wire import Review

__all__ = ["FORMATS", "Format", "LineLookup", "lines_of", "no_lines"]


class Render(Protocol):
    """Turns a review into text; `line_at` gives formats that show code the lines around a finding."""

    def __call__(self, review: Review, line_at: LineLookup = ...) -> str: ...


@dataclass(frozen=True, slots=True)
class Format:
    """One way to write a review down."""

    name: str
    file_name: str  # what a file of this format is usually called
    render: Render


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        entry.name: entry
        for entry in (
            Format("terminal", "review.txt", terminal.render),
            Format("json", "review.json", json_format.render),
            Format("sarif", "review.sarif", sarif.render),
            Format("code-quality", "gl-code-quality-report.json", code_quality.render),
            Format("markdown", "review.md", markdown.render),
            Format("text", "review_result.txt", text.render),
        )
    }
)
