"""Curate: which remarks teach something. What is dropped is counted by its reason and kept beside the rest.

Two passes over the records: the first decides about each by itself and counts what is left of each author,
the second holds the quota. Of an author who is over it, the latest remarks stay.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from engine.diffs import DiffLine
from engine.errors import DiffError
from engine.parsing import parse_fragment
from training.history.chatter import is_chatter, is_command, is_empty_question, is_planted
from training.history.outcomes import suggestions_of, without_suggestions
from training.history.records import Quiet, Record, Remark
from training.history.settings import CurateSettings
from training.history.similar import Similar, exact_key
from training.history.stages import RECORDS, Broken, Made, Stage, StageManifest, counts_of, read_records
from training.jsonl import JsonlWriter

REJECTED = "rejected.jsonl"
_SAMPLE = 160


class Reason(StrEnum):
    """Why a record is dropped."""

    BOT = "written by a bot"
    COMMAND = "an order to a bot"
    NO_LINE = "at no line of a diff"
    NO_CODE = "on a line that nothing can be said about: removed, blank or unchanged"
    BROKEN = "with a hunk that cannot be read"
    AUTHOR = "by the author of the merge request"
    OUTSIDER = "by somebody below the role"
    CHATTER = "thanks, approval or a report"
    QUESTION = "a question without content"
    SHORT = "too short"
    LONG = "too long"
    PLANTED = "control tokens, hidden characters or orders to a model"
    DUPLICATE = "the same words on the same code"
    SIMILAR = "nearly the same words on nearly the same code"
    REPEATED = "the same words too often"
    QUOTA = "above the share of one author"


def curate(source: Path, out: Path, settings: CurateSettings) -> StageManifest:
    """Write the records that are kept, and those that are not with the reason."""
    stage = Stage("curate", out, (source,), settings)
    return stage.run(lambda: _curate(source, out, settings))


def _curate(source: Path, out: Path, settings: CurateSettings) -> Made:
    first, broken = _FirstPass(settings), Broken()
    verdicts = [first.judge(record) for record in read_records(source, broken)]
    quota = _Quota(first.authors, settings)
    report = _Report(settings.samples)
    with JsonlWriter(out / RECORDS) as kept, JsonlWriter(out / REJECTED) as rejected:
        for record, verdict in zip(read_records(source, Broken()), verdicts, strict=True):
            reason = verdict or quota.reject(record)
            row = record.model_dump(mode="json", exclude_defaults=True) | {"kind": record.kind}
            if reason is None:
                kept.write(row)
                report.kept[record.kind] += 1
            else:
                rejected.write({"reason": reason.name.lower(), "because": reason.value, "record": row})
                report.drop(record, reason)
    counts = counts_of(broken, {"kept": report.kept, "dropped": report.dropped})
    return (RECORDS, REJECTED), {**counts, "samples": report.samples}


class _FirstPass:
    """Decides about each record by itself and by those before it; merge requests and prose always stay."""

    def __init__(self, settings: CurateSettings) -> None:
        self._settings = settings
        self._seen = Similar(settings.similarity)
        self._words: Counter[bytes] = Counter()
        self.authors: Counter[str] = Counter()

    def judge(self, record: Record) -> Reason | None:
        """Return why a record is dropped, None if it stays unless its author is over the quota."""
        if isinstance(record, Quiet):
            return Reason.PLANTED if is_planted(record.hunk) else None
        if not isinstance(record, Remark):
            return None
        try:
            reason = self._of_itself(record) or self._among_others(record)
        except DiffError:
            reason = Reason.BROKEN
        if reason is None and record.mark is None:
            self.authors[record.author.username] += 1
        return reason

    def _of_itself(self, remark: Remark) -> Reason | None:
        # The bot's own findings carry labels. All that is asked of them is a place.
        if remark.mark is not None:
            return _no_place(remark)
        return (
            _wrong_author(remark, self._settings) or _no_place(remark) or _no_content(remark, self._settings)
        )

    def _among_others(self, remark: Remark) -> Reason | None:
        words, text = exact_key(remark.body.lower()), f"{remark.body}\n{_code_at(remark)}"
        if self._seen.is_exact(text):
            return Reason.DUPLICATE
        if self._seen.find(text) is not None:
            return Reason.SIMILAR
        if self._words[words] >= self._settings.repeats:
            return Reason.REPEATED
        self._words[words] += 1
        self._seen.add(text)
        return None


class _Quota:
    """Drops the earliest remarks of authors who have more than their share."""

    def __init__(self, authors: Counter[str], settings: CurateSettings) -> None:
        limit = max(settings.author_free, int(authors.total() * settings.author_share))
        self._over = {author: count - limit for author, count in authors.items() if count > limit}

    def reject(self, record: Record) -> Reason | None:
        """Return the reason to drop a record that has passed so far, or None."""
        if not isinstance(record, Remark) or record.mark or self._over.get(record.author.username, 0) <= 0:
            return None
        self._over[record.author.username] -= 1
        return Reason.QUOTA


@dataclass(slots=True)
class _Report:
    """What stayed, what went and why, with examples."""

    most: int
    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def drop(self, record: Record, reason: Reason) -> None:
        name = reason.name.lower()
        self.dropped[name] += 1
        if len(self.samples[name]) < self.most:
            text = record.body if isinstance(record, Remark) else record.id
            self.samples[name].append(" ".join(text.split())[:_SAMPLE])


def _rows(remark: Remark) -> Sequence[DiffLine]:
    """Return the rows of a remark's hunk. Raises DiffError where it is none."""
    hunks = parse_fragment(remark.hunk, old_path="a", new_path="a").hunks
    if not hunks:
        raise DiffError("no hunk")
    return hunks[0].lines


def _code_at(remark: Remark) -> str:
    """Return the line of a remark with its neighbours: whole hunks would drown what is said."""
    rows = _rows(remark)
    place = next(place for place, row in enumerate(rows) if row.new_number == remark.line)
    return "\n".join(row.text for row in rows[max(0, place - 1) : place + 2])


def _wrong_author(remark: Remark, settings: CurateSettings) -> Reason | None:
    if remark.author.bot:
        return Reason.BOT
    if remark.by_mr_author and not settings.own_mr:
        return Reason.AUTHOR
    # Nothing is known of the role where the token may not ask for it.
    below = remark.author.role is not None and remark.author.role < settings.min_role
    return Reason.OUTSIDER if below else None


def _no_place(remark: Remark) -> Reason | None:
    if not remark.hunk:
        return Reason.NO_LINE
    rows = _rows(remark)
    here = any(row.new_number == remark.line and row.is_commentable for row in rows)
    return None if here else Reason.NO_CODE


def _no_content(remark: Remark, settings: CurateSettings) -> Reason | None:
    return next((reason for reason, applies in _content(remark, settings) if applies), None)


def _content(remark: Remark, settings: CurateSettings) -> Iterator[tuple[Reason, bool]]:
    body = remark.body
    yield Reason.PLANTED, is_planted(body) or is_planted(remark.hunk)
    yield Reason.COMMAND, is_command(body)
    yield Reason.CHATTER, is_chatter(body)
    yield Reason.QUESTION, is_empty_question(body)
    words, has_suggestion = without_suggestions(body), any(suggestions_of(body))
    yield Reason.SHORT, len(words) < settings.min_length and not has_suggestion
    yield Reason.LONG, len(words) > settings.max_length
