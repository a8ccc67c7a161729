"""Findings -> the Markdown of their notes. Pure.

Everything the model or the repository wrote passes `bot.masking` and `engine.sanitize` on its way: GitLab
would run its quick actions as the bot's, call the people it mentions, and load its images.
"""

from __future__ import annotations

from dataclasses import dataclass

from bot.markers import Marker, MarkerKind, marked
from bot.masking import mask
from bot.review_texts import REVIEW_TEXTS
from engine.findings import Category, Finding, fingerprint
from engine.formats.excerpts import change
from engine.formats.markdown import ICONS, SIGNS
from engine.formats.summaries import confidence_phrase
from engine.sanitize import code_span, fence, prose
from engine.texts import TEXTS
from engine.wire import Language

_MAX_MESSAGE = 20_000
_MAX_PATH = 300


@dataclass(frozen=True, slots=True)
class CommentWriter:
    """Writes the notes of one review's findings, each with its marker."""

    language: Language
    head_sha: str
    adapter: str = ""

    def at_line(self, finding: Finding, *, applicable: bool) -> str:
        """Return the note of a finding that stands at its last line.

        Only an `applicable` suggestion (`bot.applying`) can be applied with a click; others are shown.
        """
        blocks = [_heading(finding, self.language), _message(finding)]
        if applicable and finding.suggestion is not None:
            blocks += [f"**{TEXTS[self.language].suggestion}**", _block(finding, finding.suggestion)]
        else:
            blocks += _shown(finding, self.language)
        return self._marked(blocks, finding)

    def apart(self, finding: Finding) -> str:
        """Return the note of a finding that stands elsewhere than at its line: it names place and code."""
        heading, message = _heading(finding, self.language), _message(finding)
        blocks = [heading, f"**{place(finding, self.language)}**", message]
        if finding.suggestion is None and finding.code:
            blocks.append(fence(mask(finding.code)))
        return self._marked([*blocks, *_shown(finding, self.language)], finding)

    def _marked(self, blocks: list[str], finding: Finding) -> str:
        return marked("\n\n".join(blocks), marker_for(finding, self.head_sha, self.adapter))


def place(finding: Finding, language: Language) -> str:
    """Return path and lines of a finding in words."""
    texts, path = REVIEW_TEXTS[language], code_span(mask(_shortened(finding.path, _MAX_PATH)))
    if finding.end_line > finding.line:
        return texts.lines.format(path=path, line=finding.line, end=finding.end_line)
    return texts.line.format(path=path, line=finding.line)


def marker_for(finding: Finding, head_sha: str, adapter: str = "") -> Marker:
    """Return the marker of a finding's note, by which a later review sees whether its code is still there."""
    path = finding.path
    return Marker(
        MarkerKind.FINDING,
        fingerprint_of(finding),
        {
            "path": path if mask(path) == path else "",
            "code": code_mark(finding.path, finding.code),
            "lines": str(finding.end_line - finding.line + 1),
            "category": finding.category,
            "severity": finding.severity,
            "adapter": adapter,
            "head": head_sha,
        },
    )


def fingerprint_of(finding: Finding) -> str:
    """Return the fingerprint of a finding; where the engine gave none, that of its code."""
    return finding.fingerprint or fingerprint(finding.path, finding.code, finding.category)


def code_mark(path: str, code: str) -> str:
    """Return 16 hex digits for code in a file, whatever is said about it; white space does not count."""
    return fingerprint(path, code, Category.BUG)


def _heading(finding: Finding, language: Language) -> str:
    texts = TEXTS[language]
    kind = f"{texts.severity[finding.severity]} · {texts.category[finding.category]}"
    return f"{ICONS[finding.severity]} **{kind}** · {confidence_phrase(finding.confidence, language)}"


def _message(finding: Finding) -> str:
    return prose(mask(_shortened(finding.message, _MAX_MESSAGE)))


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}…"


def _block(finding: Finding, suggestion: str) -> str:
    # The note stands at the last line of the range, so the block counts from there upwards.
    info = f"suggestion:-{finding.end_line - finding.line}+0"
    # No line at all between the fences removes the lines; an empty one would leave an empty line.
    return fence(suggestion, info) if suggestion else f"```{info}\n```"


def _shown(finding: Finding, language: Language) -> list[str]:
    if finding.suggestion is None:
        return []
    rows = "\n".join(f"{SIGNS.get(row.kind, ' ')}{row.text}" for row in change(finding))
    return [f"**{TEXTS[language].suggestion}**", fence(mask(rows), "diff")]
