"""Remarks about one merge request -> review items. Pure, and the same every time for the same seed.

A window is cut out of each hunk. Where in it the remark stands is drawn, so that the place gives nothing
away; windows of clean hunks are as long as those with findings, for the same reason.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from engine.diffs import DiffLine
from engine.errors import DiffError
from engine.feedback import FeedbackVerdict
from engine.languages import language_of
from engine.parsing import parse_fragment
from engine.replies import clean_message
from training.history.categories import guess
from training.history.outcomes import suggestions_of, without_suggestions
from training.history.records import Quiet, Remark
from training.history.settings import LabelSettings
from training.history.verdicts import Label, label_of
from training.history.windows import around, hunk_text
from training.records import ReviewFinding, ReviewItem

SOURCE, CLEAN_SOURCE = "history", "history-uncommented"
_SHORTEST = 8
_SAID = 160


@dataclass(frozen=True, slots=True)
class Labelled:
    """A remark as a finding, and what became of it."""

    remark: Remark
    finding: ReviewFinding
    label: Label


@dataclass(frozen=True, slots=True)
class Labeller:
    """Makes items of remarks."""

    settings: LabelSettings
    feedback: Mapping[str, FeedbackVerdict]
    min_role: int = 30

    def labelled(self, remark: Remark) -> Labelled | None:
        """Return the remark with its label; None where nothing is left to say, or nothing is known of it."""
        label, by = label_of(remark, self.feedback, self.min_role)
        # What the bot said itself teaches only where somebody judged it.
        if label is Label.UNKNOWN and (remark.mark or self.settings.accepted_only):
            return None
        finding = _finding(remark, label, by)
        return Labelled(remark, finding, label) if finding else None

    def items(self, remarks: Sequence[Labelled]) -> Iterator[ReviewItem]:
        """Yield items that show every remark; those too far apart get windows of their own."""
        by_file: dict[tuple[str, str], list[Labelled]] = {}
        for each in remarks:
            by_file.setdefault((each.remark.path, each.remark.head_sha), []).append(each)
        for group in by_file.values():
            yield from self._items(group)

    def clean_item(self, quiet: Quiet) -> ReviewItem | None:
        """Return an item without findings; None where no line of it could have had one."""
        lines = _lines(quiet.hunk, quiet.path)
        rng = self._random(quiet.id)
        places = [place for place, line in enumerate(lines) if line.is_commentable]
        if not places:
            return None
        place = rng.choice(places)
        shown = around(lines, place, place, self._rows(rng), rng.random())
        return ReviewItem.model_validate(
            {
                **_where(quiet, f"{quiet.id}", hunk_text(shown)),
                "source": CLEAN_SOURCE,
                "tier": "weak",
                "findings": (),
                "negative_kind": "uncommented",
            }
        )

    def _items(self, group: Sequence[Labelled]) -> Iterator[ReviewItem]:
        left = sorted(group, key=lambda each: each.finding.line)
        while left:
            first = left[0].remark
            lines = _lines(first.hunk, first.path)
            places = {line.new_number: place for place, line in enumerate(lines)}
            start = places[first.line]
            near = [places[each.remark.line] for each in left if each.remark.line in places]
            end = max(place for place in near if place - start < self.settings.rows)
            rng = self._random(first.id)
            shown = around(lines, start, end, self._rows(rng), rng.random())
            # Every remark in the window, one of another window too: its line is not one to be silent about.
            inside = {line.new_number for line in shown}
            taken = [each for each in group if each.remark.line in inside]
            left = [each for each in left if each.remark.line not in inside]
            yield _item(first, taken, hunk_text(shown))

    def _rows(self, rng: random.Random) -> int:
        return rng.randint(min(_SHORTEST, self.settings.rows), self.settings.rows)

    def _random(self, name: str) -> random.Random:
        return random.Random(f"{self.settings.seed} {name}")


def _item(first: Remark, taken: Sequence[Labelled], hunk: str) -> ReviewItem:
    findings = tuple(each.finding for each in taken if each.label is not Label.REJECTED)
    rejected = [each.finding.to_json() for each in taken if each.label is Label.REJECTED]
    fields = {**_where(first, first.id, hunk), "source": SOURCE, "tier": "human", "findings": findings}
    if rejected:
        fields |= {"rejected": rejected, "tier": "judged" if not findings else "human"}
    return ReviewItem.model_validate(fields)


def _where(record: Remark | Quiet, name: str, hunk: str) -> dict[str, object]:
    return {
        "id": name,
        "path": record.path,
        "language": language_of(record.path) or "text",
        "diff": hunk,
        "mr": record.mr,
        "date": record.created.isoformat(),
        "url": record.url,
    }


def _finding(remark: Remark, label: Label, by: str) -> ReviewFinding | None:
    line = next((each for each in _lines(remark.hunk, remark.path) if each.new_number == remark.line), None)
    if line is None or line.new_number is None:
        return None
    suggestion = _suggestion(remark, line)
    words = clean_message(_said(remark))
    message = words or _in_words(suggestion)
    if not message:
        return None
    category, severity = guess(message)
    mark = remark.mark
    return ReviewFinding.model_validate(
        {
            "line": line.new_number,
            "category": (mark and mark.category) or category,
            "severity": (mark and mark.severity) or severity,
            "category_source": "bot" if mark and mark.category else "keywords",
            "message": message,
            "message_source": "words" if words else "suggestion",
            "suggestion": suggestion,
            "author": remark.author.username,
            "label": label.value,
            "label_source": by,
            **({"fingerprint": mark.fingerprint, "adapter": mark.adapter} if mark else {}),
        }
    )


def _said(remark: Remark) -> str:
    """Return the words of a remark: of the bot's own notes neither heading nor marker."""
    words = without_suggestions(remark.body)
    if remark.mark is None:
        return words
    blocks = [block for block in words.split("\n\n") if not block.startswith("<!-- tenken:")]
    return "\n\n".join(block for block in blocks[1:] if not block.startswith(("**", "```")))


def _in_words(suggestion: str | None) -> str:
    """Return what a note says that is a suggestion alone, if that is short enough to be said."""
    text = (suggestion or "").strip()
    return f"Write `{text}` instead." if text and len(text) <= _SAID and not set("`\n") & set(text) else ""


def _suggestion(remark: Remark, line: DiffLine) -> str | None:
    """Return what replaces the line, if the note suggests that for this line alone."""
    found = [text for above, below, text in suggestions_of(remark.body) if not above and not below]
    return found[0] if len(found) == 1 and found[0] != line.text and found[0].strip() else None


def _lines(hunk: str, path: str) -> Sequence[DiffLine]:
    hunks = parse_fragment(hunk, old_path=path, new_path=path).hunks
    if not hunks:
        raise DiffError("no hunk")
    return hunks[0].lines
