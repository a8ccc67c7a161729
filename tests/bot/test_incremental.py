"""What was found in a hunk stands for as long as the hunk does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bot.file_changes import file_diff
from bot.gitlab import FileChange
from bot.incremental import Memory, conditions_of, merge_review, plan_review, remember
from engine.diffs import FileDiff
from engine.findings import Category, Finding, Severity, Verdict, fingerprint
from engine.wire import FileCoverage, Language, Review, SkipReason
from engine.workload import ordinals_of

HERE = conditions_of("en")
FIRST = "@@ -1,2 +1,3 @@\n a\n+bad one\n b\n"
SECOND = "@@ -10,2 +11,3 @@\n x\n+bad two\n y\n"


def changed(*hunks: str, path: str = "a.py") -> FileDiff:
    return file_diff(FileChange(path, path, "".join(hunks)))


def found_in(files: Sequence[FileDiff]) -> Review:
    """What an engine says that finds a fault in each line with `bad` in it."""
    findings, coverage = [], []
    for file in files:
        ordinals = ordinals_of(file)
        lines = [line for hunk in file.hunks for line in hunk.lines if line.is_commentable]
        bad = [line for line in lines if "bad" in line.text]
        for line in bad:
            number = line.new_number or 0
            findings.append(
                Finding(
                    path=file.new_path,
                    line=number,
                    end_line=number,
                    severity=Severity.MAJOR,
                    category=Category.BUG,
                    message=f"about {line.text}",
                    confidence=0.9,
                    code=line.text,
                    fingerprint=fingerprint(file.new_path, line.text, Category.BUG, ordinals[number]),
                )
            )
        coverage.append(FileCoverage(path=file.new_path, reviewed=True, lines=len(lines), findings=len(bad)))
    return Review(
        verdict=Verdict.CHANGES_NEEDED if findings else Verdict.CLEAN,
        findings=tuple(findings),
        coverage=tuple(coverage),
        adapter="team-1",
    )


def after(*files: FileDiff, memory: Memory | None = None) -> Memory:
    """What is known when these files were reviewed."""
    plan = plan_review(files, memory or Memory(), HERE)
    return remember(plan, merge_review(plan, found_in(plan.fresh), (), Language.EN))


def review_again(memory: Memory, *files: FileDiff) -> tuple[Review, tuple[FileDiff, ...]]:
    plan = plan_review(files, memory, HERE)
    review = None if plan.is_nothing_new else found_in(plan.fresh)
    return merge_review(plan, review, (), Language.EN), plan.fresh


def test_the_first_review_is_of_everything() -> None:
    """Nothing is known, so every hunk is fresh."""
    file = changed(FIRST, SECOND)
    plan = plan_review([file], Memory(), HERE)
    assert plan.fresh == (file,)


def test_nothing_new_is_not_reviewed_and_says_the_same() -> None:
    """A push that changes nothing asks nothing of the engine, and the review is the one there was."""
    files = changed(FIRST, SECOND), changed("@@ -0,0 +1 @@\n+good\n", path="b.py")
    review, fresh = review_again(after(*files), *files)
    assert fresh == ()
    assert review == found_in(files)


def test_only_the_hunk_that_changed_is_reviewed() -> None:
    """The engine gets one hunk; the review has the findings of both."""
    edited = SECOND.replace("bad two", "bad three")
    review, fresh = review_again(after(changed(FIRST, SECOND)), changed(FIRST, edited))
    assert [line.text for file in fresh for hunk in file.hunks for line in hunk.lines] == [
        "x",
        "bad three",
        "y",
    ]
    assert review == found_in([changed(FIRST, edited)])


def test_findings_move_with_their_hunk() -> None:
    """Lines that were added above shift a hunk, in the new file and in the old."""
    moved = SECOND.replace("-10,2 +11,3", "-20,2 +31,3")
    review, fresh = review_again(after(changed(SECOND)), changed(moved))
    assert (fresh, [finding.line for finding in review.findings]) == ((), [32])


def test_what_was_put_right_is_gone() -> None:
    """A finding goes with its hunk."""
    mended = FIRST.replace("bad", "good")
    review, _ = review_again(after(changed(FIRST, SECOND)), changed(mended, SECOND))
    assert [finding.code for finding in review.findings] == ["bad two"]
    assert review.verdict is Verdict.CHANGES_NEEDED
    review, _ = review_again(after(changed(FIRST)), changed(mended))
    assert review.verdict is Verdict.CLEAN


def test_equal_code_in_two_hunks_keeps_its_names() -> None:
    """A finding has the same fingerprint whether its hunk was reviewed alone or with the rest."""
    same = SECOND.replace("bad two", "bad one")
    whole = {finding.fingerprint for finding in found_in([changed(FIRST, same)]).findings}
    assert len(whole) == 2
    review, fresh = review_again(after(changed(FIRST)), changed(FIRST, same))
    assert len(fresh) == 1
    assert {finding.fingerprint for finding in review.findings} == whole


def test_equal_hunks_are_told_apart() -> None:
    """The same rows twice in a file are two hunks, each with its own finding."""
    twice = changed("@@ -1,0 +2 @@\n+bad\n", "@@ -5,0 +7 @@\n+bad\n")
    review, fresh = review_again(after(twice), twice)
    assert (fresh, [finding.line for finding in review.findings]) == ((), [2, 7])


def test_under_other_conditions_all_is_reviewed_again() -> None:
    """Other guidelines or another language make other findings."""
    file = changed(FIRST)
    assert plan_review([file], after(file), conditions_of("ja")).fresh == (file,)
    assert plan_review([file], after(file), HERE, full=True).fresh == (file,)


def test_what_was_not_read_is_not_known() -> None:
    """A file that a stopped review did not reach is reviewed the next time."""
    file = changed(FIRST)
    plan = plan_review([file], Memory(), HERE)
    stopped = Review(
        verdict=Verdict.CLEAN,
        findings=(),
        coverage=(FileCoverage(path="a.py", reviewed=False, reason=SkipReason.CANCELLED),),
        partial=True,
    )
    merged = merge_review(plan, stopped, (), Language.EN)
    assert remember(plan, merged).hunks == {}
    assert merged.partial


def test_a_rename_is_another_file() -> None:
    """Its path is part of what a finding is called."""
    _, fresh = review_again(after(changed(FIRST)), changed(FIRST, path="b.py"))
    assert len(fresh) == 1


def test_what_is_gone_is_forgotten() -> None:
    """Memory holds the hunks of the diff as it is, so it does not grow."""
    memory = after(changed(FIRST, SECOND))
    assert len(memory.hunks) == 2
    assert len(after(changed(SECOND), memory=memory).hunks) == 1


@pytest.mark.parametrize("language", list(Language))
def test_without_the_engine_the_review_says_who_read_it(language: Language) -> None:
    """Adapter and versions are those of the review that is remembered."""
    files = (changed(FIRST),)
    plan = plan_review(files, after(*files), HERE)
    skipped = FileCoverage(path="x.lock", reviewed=False, reason=SkipReason.LOCK_FILE)
    review = merge_review(plan, None, [skipped], language)
    assert (review.adapter, review.language, review.coverage[-1]) == ("team-1", language, skipped)
    assert review.coverage[0] == FileCoverage(path="a.py", reviewed=True, lines=1, findings=1)


def test_files_that_were_not_asked_for_stay_known() -> None:
    """`/review src` forgets nothing of the rest, and what is gone from it is gone."""
    one, other = changed(FIRST), changed(FIRST, SECOND, path="b.py")
    memory = after(one, other)
    plan = plan_review([one], memory, HERE, full=True, aside=[changed(SECOND, path="b.py")])
    assert plan.fresh == (one,)
    review = merge_review(plan, found_in(plan.fresh), (), Language.EN)
    assert [finding.path for finding in review.findings] == ["a.py"]
    assert review_again(remember(plan, review), one, other)[1] == (changed(FIRST, path="b.py"),)
