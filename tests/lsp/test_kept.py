"""What is kept on disk: findings by the text they are of, and what people said, whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from engine.feedback import Feedback, FeedbackSource, FeedbackVerdict
from engine.findings import Category, Finding, Severity
from engine.wire import SkipReason
from lsp.findings_cache import FindingsCache, Known, key_of
from lsp.verdicts import Verdicts

MARK = "0123456789abcdef"
FINDING = Finding(
    path="a.py",
    line=1,
    end_line=1,
    severity=Severity.MINOR,
    category=Category.BUG,
    message="m",
    confidence=0.5,
    code="x",
    fingerprint=MARK,
)


def said(verdict: FeedbackVerdict) -> Feedback:
    return Feedback(fingerprint=MARK, verdict=verdict, project="group/app", source=FeedbackSource.EDITOR)


def test_findings_are_known_again(tmp_path: Path) -> None:
    """For the owner alone; what is damaged, of another format or missing is not known."""
    cache, key = FindingsCache(tmp_path), key_of("a", 1)
    known = Known(findings=(FINDING,), skipped=SkipReason.GENERATED, adapter="team")
    assert cache.get(key) is None
    cache.put(key, known)
    assert FindingsCache(tmp_path).get(key) == known
    (file,) = tmp_path.rglob("*.json")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    for damage in ('{"findings": 1}', '{"more": 1}', "", "{"):
        file.write_text(damage)
        assert cache.get(key) is None


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    """It keeps nothing, and nothing fails."""
    (tmp_path / "findings").write_text("in the way")
    cache = FindingsCache(tmp_path)
    cache.put_all({key_of(1): Known()})
    assert cache.get(key_of(1)) is None
    assert cache.prune() == 0


def test_keys_are_of_all_parts() -> None:
    """Where a part differs, or stands elsewhere, the key does."""
    keys = [key_of("a", "b"), key_of("ab"), key_of("a", "b", ""), key_of("b", "a"), key_of("a", "\ud800")]
    assert len(set(keys)) == len(keys)


def test_pruning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody wanted for a month goes, and the oldest beyond the most that are kept; use keeps young."""
    cache = FindingsCache(tmp_path)
    for number in range(4):
        cache.put(key_of(number), Known())
    for number, path in enumerate(sorted(tmp_path.rglob("*.json"))):
        os.utime(path, (number, number))
    assert cache.get(key_of(0)) is not None
    assert cache.prune(now=31 * 86_400) == 3
    assert cache.get(key_of(0)) is not None
    monkeypatch.setattr("lsp.findings_cache._MOST", 1)
    cache.put(key_of(9), Known())
    assert cache.prune() == 1


def test_what_is_said_hides_and_waits(tmp_path: Path) -> None:
    """The latest word waits, once; told, it stays hidden; another process sees the same."""
    verdicts, beside = Verdicts(tmp_path, "group/app"), Verdicts(tmp_path, "group/app")
    verdicts.say(said(FeedbackVerdict.DISMISSED))
    verdicts.say(said(FeedbackVerdict.WRONG))
    assert [entry.verdict for entry in beside.queued()] == ["wrong"]
    assert not beside.hidden
    assert beside.take(beside.read(), beside.stamp)
    assert MARK in beside.hidden
    before = beside.stamp
    stale = beside.read()
    beside.undo(MARK, said(FeedbackVerdict.ACCEPTED))
    assert not beside.take(stale, before)
    assert MARK not in beside.hidden
    verdicts.say(said(FeedbackVerdict.WRONG))
    assert MARK not in Verdicts(tmp_path, "group/other").hidden
    (waiting,) = beside.queued()
    verdicts.told(said(FeedbackVerdict.DISMISSED))
    assert verdicts.count() == 1
    verdicts.told(waiting)
    assert (verdicts.count(), MARK in verdicts.hidden) == (0, True)


def test_taking_back(tmp_path: Path) -> None:
    """What nobody was told is forgotten; what the engine knows is taken back there; here is here."""
    verdicts, back = Verdicts(tmp_path, "group/app"), said(FeedbackVerdict.ACCEPTED)
    assert not verdicts.undo(MARK, back)
    verdicts.hide_here(MARK)
    assert verdicts.undo(MARK, back)
    verdicts.say(said(FeedbackVerdict.WRONG))
    assert verdicts.undo(MARK, back)
    assert (verdicts.count(), MARK in verdicts.hidden) == (0, False)
    verdicts.say(said(FeedbackVerdict.WRONG))
    verdicts.told(next(verdicts.queued()))
    verdicts.say(said(FeedbackVerdict.DISMISSED))
    assert verdicts.undo(MARK, back)
    assert [entry.verdict for entry in verdicts.queued()] == ["accepted"]


def test_taking_back_what_is_being_told(tmp_path: Path) -> None:
    """The engine may have taken it down by then, so it is told that this holds no longer."""
    verdicts, back = Verdicts(tmp_path, "group/app"), said(FeedbackVerdict.ACCEPTED)
    verdicts.say(said(FeedbackVerdict.DISMISSED))
    (waiting,) = verdicts.queued()
    with verdicts.telling(waiting):
        assert verdicts.undo(MARK, back)
        verdicts.told(waiting)
    assert ([entry.verdict for entry in verdicts.queued()], MARK in verdicts.hidden) == (["accepted"], False)
    verdicts.say(said(FeedbackVerdict.DISMISSED))
    assert verdicts.undo(MARK, back)
    assert verdicts.count() == 0


def test_a_suggestion_that_was_taken_hides_nothing(tmp_path: Path) -> None:
    """It is told and that is all."""
    verdicts = Verdicts(tmp_path, "")
    verdicts.say(said(FeedbackVerdict.APPLIED))
    assert (verdicts.count(), len(verdicts.hidden)) == (1, 0)
