"""Which earlier findings a review settles: by the code their markers name."""

from __future__ import annotations

import pytest
from reviews import finding_at, review_of

from bot.comments import marker_for
from bot.fake_gitlab.trees import compare
from bot.file_changes import file_diff
from bot.gitlab import Discussion, Note
from bot.markers import Marker, MarkerKind, marked
from bot.threads import PostedFinding, Settling, posted_findings
from engine.diffs import FileDiff, FileStatus
from engine.findings import Finding

ME = 1
OLD = "a = 1\nb = 2\nc = 3\n"
NEW = "a = 1\nb = 20\nnew = 4\nc = 3\n"


def files(new: str, path: str = "x.py") -> list[FileDiff]:
    return [file_diff(change) for change in compare({path: OLD.encode()}, {path: new.encode()})]


def thread(finding: Finding, *answers: int, resolved_by: int | None = None) -> PostedFinding:
    body = marked("text", marker_for(finding, "c" * 40))
    notes = [
        Note(
            n,
            author,
            body if not n else "hm",
            resolvable=True,
            resolved=resolved_by is not None,
            resolved_by=resolved_by,
        )
        for n, author in enumerate((ME, *answers))
    ]
    return PostedFinding(Discussion("d" * 40, tuple(notes)), marker_for(finding, "c" * 40), ME)


@pytest.mark.parametrize(
    ("new", "settled"),
    [
        (NEW, False),
        ("# above\n" + NEW, False),
        ("if True:\n" + "".join(f"    {line}\n" for line in NEW.splitlines()), False),
        (NEW.replace("new = 4", "new = 5"), True),
        (NEW.replace("new = 4\n", ""), True),
        (OLD, True),
    ],
    ids=["unchanged", "moved", "indented", "changed", "removed", "reverted"],
)
def test_settled_is_what_the_change_holds_no_longer(new: str, settled: bool) -> None:
    """A review that was given nothing to read still sees which code is gone."""
    settling = Settling(review_of([]), files(new), [])
    assert settling.is_settled(thread(finding_at({"x.py": NEW}, "x.py", 3))) is settled


def test_a_file_without_a_diff_settles_nothing() -> None:
    """It may have grown too large for GitLab to show; its code may be there."""
    known = thread(finding_at({"x.py": NEW}, "x.py", 3))
    hidden = FileDiff("x.py", "x.py", FileStatus.MODIFIED)
    assert not Settling(review_of([]), [hidden], []).is_settled(known)
    deleted = FileDiff("x.py", "x.py", FileStatus.DELETED)
    assert Settling(review_of([]), [deleted], []).is_settled(known)
    assert Settling(review_of([]), [], []).is_settled(known)


def test_settled_is_what_was_read_again_and_not_found() -> None:
    """The same code, read by a model that has learned."""
    known = thread(finding_at({"x.py": NEW}, "x.py", 3))
    assert Settling(review_of([], ["x.py"]), files(NEW), files(NEW)).is_settled(known)
    assert not Settling(review_of([]), files(NEW), files(NEW)).is_settled(known)


def test_ranges_are_compared_line_by_line() -> None:
    """Three lines are there if the three are, in order."""
    known = thread(finding_at({"x.py": NEW}, "x.py", 2, 4))
    assert not Settling(review_of([]), files(NEW), []).is_settled(known)
    changed = NEW.replace("new = 4\n", "new = 4\nmore = 5\n")
    assert Settling(review_of([]), files(changed), []).is_settled(known)


@pytest.mark.parametrize("info", [{}, {"path": "x.py"}, {"path": "x.py", "code": "0" * 16, "lines": "many"}])
def test_a_marker_that_says_too_little_settles_nothing(info: dict[str, str]) -> None:
    """An older version may have written it."""
    known = thread(finding_at({"x.py": NEW}, "x.py", 3))
    bare = PostedFinding(known.discussion, Marker(MarkerKind.FINDING, "f" * 16, info), ME)
    assert not Settling(review_of([]), [], []).is_settled(bare)


def test_who_has_answered_and_who_resolved() -> None:
    """A system note is no answer; the bot's own replies are none."""
    finding = finding_at({"x.py": NEW}, "x.py", 3)
    assert not thread(finding, ME).is_answered
    assert thread(finding, ME, 2).is_answered
    assert thread(finding).is_open
    assert thread(finding, resolved_by=ME).is_resolved_by_me
    assert not thread(finding, resolved_by=2).is_resolved_by_me


def test_threads_are_known_by_fingerprint() -> None:
    """The first counts, a later one is a repetition; other notes are passed over."""
    first, second = (thread(finding_at({"x.py": NEW}, "x.py", line)) for line in (2, 3))
    other = Discussion("e" * 40, (Note(9, 2, first.discussion.notes[0].body),))
    found = posted_findings([other, first.discussion, second.discussion, first.discussion], ME)
    assert list(found.by_fingerprint) == [first.marker.id, second.marker.id]
    assert [each.marker.id for each in found.repeated] == [first.marker.id]
