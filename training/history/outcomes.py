"""What became of a remark: whether later versions changed its line, or took its suggestion. Pure.

Lines are compared by their text in the two diffs against the target branch, so that diffs are all it takes.
A line whose text says too little to be told apart gives None.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from engine.diffs import DiffLine, FileDiff, LineKind
from training.history.windows import hunk_at

_SUGGESTION = re.compile(r"^(`{3,})suggestion(?::-(\d{1,3})\+(\d{1,3}))?[ \t]*\n(.*?)^\1[ \t]*$", re.M | re.S)
_CHANGED = re.compile(r"changed this (?:line|file) in \[?version \d+ of the diff", re.I)
_NEAR = 3
_TELLING = 4


def suggestions_of(body: str) -> Iterator[tuple[int, int, str]]:
    """Yield the suggestions of a note: lines above and below its own that are replaced, and by what."""
    for match in _SUGGESTION.finditer(body):
        yield int(match[2] or 0), int(match[3] or 0), match[4].removesuffix("\n")


def without_suggestions(body: str) -> str:
    """Return what a note says in words."""
    return _SUGGESTION.sub("", body).strip()


def says_changed(system_notes: list[str]) -> bool:
    """Tell whether GitLab itself noted in the thread that its line was changed."""
    return any(_CHANGED.search(note) for note in system_notes)


def line_changed(written: FileDiff, place: DiffLine, final: FileDiff | None) -> bool | None:
    """Tell whether a line of the diff a remark was written on is gone from the final one."""
    if final is None or not final.hunks:
        return place.kind is LineKind.ADDED if final is None else None
    if len(place.text.strip()) < _TELLING:
        return None
    if place.kind is LineKind.ADDED:
        return _added(final)[place.text] < _added(written)[place.text]
    removed = (line.text for hunk in final.hunks for line in hunk.lines if line.kind is LineKind.REMOVED)
    return place.kind is LineKind.CONTEXT and place.text in set(removed)


def near_changed(written: FileDiff, place: DiffLine, final: FileDiff | None) -> bool | None:
    """Tell whether an added line next to a remark's is gone, or one that is new stands next to it."""
    found = hunk_at(written, place.new_number, place.old_number)
    if final is None or found is None:
        return None
    hunk, index = found
    beside = [line for line in hunk.lines[max(0, index - _NEAR) : index + _NEAR + 1] if line is not place]
    if any(line.kind is LineKind.ADDED and line_changed(written, line, final) for line in beside):
        return True
    before, after = _added(written), _added(final)
    fresh = {text for text in after if after[text] > before[text] and len(text.strip()) >= _TELLING}
    return any(line.text in fresh for line in _neighbours(final, place.text))


def suggestion_applied(body: str, written: FileDiff, place: DiffLine, final: FileDiff | None) -> bool | None:
    """Tell whether a suggestion in `body` stands in the final diff and did not before; None without one."""
    wanted = [text for _, _, text in suggestions_of(body)]
    if not wanted or final is None:
        return None
    return any(_stands(text, final) and not _stands(text, written) for text in wanted)


def _stands(text: str, file: FileDiff) -> bool:
    rows = [row for row in text.split("\n") if row.strip()]
    for hunk in file.hunks:
        shown = [line.text for line in hunk.lines if line.new_number is not None and line.text.strip()]
        if rows and any(shown[at : at + len(rows)] == rows for at in range(len(shown) - len(rows) + 1)):
            return True
    return False


def _added(file: FileDiff) -> Counter[str]:
    return Counter(line.text for hunk in file.hunks for line in hunk.lines if line.kind is LineKind.ADDED)


def _neighbours(file: FileDiff, text: str) -> Iterator[DiffLine]:
    for hunk in file.hunks:
        for index, line in enumerate(hunk.lines):
            if line.text == text and line.new_number is not None:
                yield from hunk.lines[max(0, index - _NEAR) : index + _NEAR + 1]
