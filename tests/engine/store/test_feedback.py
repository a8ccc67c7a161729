"""Feedback: what is kept of it, what it leaves out of the next review, how it comes out again."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from engine.feedback import Feedback, FeedbackSource, FeedbackVerdict
from engine.review import review
from engine.store.database import open_database
from engine.store.feedback import FeedbackStore
from engine.testing import FakeRunner, by_keyword
from engine.wire import Review, ReviewRequest

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
VERDICTS = list(FeedbackVerdict)


def said(verdict: str = "dismissed", minute: int = 0, **fields: object) -> Feedback:
    given = {
        "fingerprint": "a" * 16,
        "project": "p",
        "source": "mr",
        "created": NOON + timedelta(minutes=minute),
    }
    return Feedback.model_validate(given | {"verdict": verdict} | fields)


@pytest.fixture
def store(database_url: str) -> Iterator[FeedbackStore]:
    """An empty store, on each kind of database."""
    database = open_database(database_url)
    yield FeedbackStore(database)
    database.close()


def test_recorded_feedback_comes_back(store: FeedbackStore) -> None:
    """Every field is kept, times with their zone, the latest first."""
    tokyo = datetime.fromisoformat("2026-11-01T23:30:00+09:00")
    first = said("wrong", adapter="tiny-1", role="maintainer", reason="型が違う", source="editor")
    second = said("applied", fingerprint="b" * 16, created=tokyo)
    store.record(first, second)
    assert store.list_feedback("p") == [second, first]
    assert store.list_feedback("p", fingerprint="a" * 16) == [first]
    assert store.list_feedback("p", limit=1) == [second]
    assert store.list_feedback("q") == []


def test_same_feedback_is_kept_once(store: FeedbackStore) -> None:
    """A delivery that comes twice, or late, changes nothing; saying it again moves its time."""
    store.record(said(minute=5, reason="new"))
    for entry in (said(minute=5, reason="new"), said(minute=1, reason="old")):
        store.record(entry)
        assert store.list_feedback() == [said(minute=5, reason="new")]
    store.record(said(minute=9, reason="newer"))
    assert store.list_feedback() == [said(minute=9, reason="newer")]


def test_recording_at_once_keeps_it_once(store: FeedbackStore) -> None:
    """Four threads that say the same leave one row."""
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: store.record(said(), said("wrong")), range(20)))
    assert len(store.list_feedback()) == 2


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_latest_word_decides(store: FeedbackStore, order: tuple[int, ...]) -> None:
    """Dismissed, accepted, dismissed again is dismissed, in whatever order it arrives."""
    entries = [said(minute=0), said("accepted", minute=1), said(minute=2, source="cli")]
    for index in order:
        store.record(entries[index])
    assert store.suppressed("p") == {"a" * 16}
    store.record(said("accepted", minute=3))
    assert store.suppressed("p") == set()


def test_projects_are_apart(store: FeedbackStore) -> None:
    """What one team dismissed, another still sees."""
    store.record(said(project="p"))
    assert (store.suppressed("p"), store.suppressed("q")) == ({"a" * 16}, set())


def test_removed_feedback_is_gone(store: FeedbackStore) -> None:
    """All about the finding goes, and the finding comes back."""
    store.record(said(), said("wrong"), said(fingerprint="b" * 16))
    assert store.remove("p", "a" * 16) == 2
    assert store.remove("p", "a" * 16) == 0
    assert store.suppressed("p") == {"b" * 16}


def test_export_is_complete_and_in_order(store: FeedbackStore) -> None:
    """Pages join without a gap or a repetition, however many there are."""
    entries = [said(fingerprint=f"{n:016x}", minute=n) for n in range(2100)]
    store.record(*entries, said(project="other"))
    assert list(store.export("p")) == entries
    assert len(list(store.export())) == 2101


def test_nothing_is_kept_of_a_batch_with_a_fault(store: FeedbackStore) -> None:
    """All entries of a call are kept, or none."""
    with pytest.raises(AttributeError):
        store.record(said(), None)  # type: ignore[arg-type]
    assert store.list_feedback() == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fingerprint", "A" * 16),
        ("fingerprint", "a" * 15),
        ("verdict", "maybe"),
        ("source", "phone"),
        ("project", ""),
        ("reason", "x" * 2001),
        ("created", "2026-11-01T12:00:00"),
        ("code", "secret = 1"),
    ],
)
def test_bad_feedback_is_refused(field: str, value: object) -> None:
    """A field that does not fit, or that nobody asked for, is named. Code has no field to be kept in."""
    with pytest.raises(ValidationError, match=field):
        Feedback.model_validate(said().model_dump() | {field: value})


@given(st.sampled_from(VERDICTS), st.sampled_from(list(FeedbackSource)), st.text(max_size=50))
def test_feedback_survives_json(verdict: FeedbackVerdict, source: FeedbackSource, reason: str) -> None:
    """What is exported reads back as it was."""
    entry = said(verdict.value, source=source, reason=reason)
    assert Feedback.model_validate_json(entry.model_dump_json()) == entry


def run(suppressed: set[str]) -> tuple[Review, int]:
    """Review three bad lines, two of them alike, and return the review and how many were written about."""
    diff = "--- /dev/null\n+++ b/a.py\n@@ -0,0 +1,3 @@\n+eval(x)\n+eval(y)\n+eval(x)\n"
    runner = FakeRunner(
        by_keyword({"eval": (" bug", 0.9)}),
        lambda request: f'{{"severity":"minor","message":"About {request.suffix.split()[0]}."}}',
    )
    return review(ReviewRequest(diff=diff), runner, suppressed=suppressed), len(runner.written)


def test_dismissed_finding_is_left_out_and_counted() -> None:
    """Only the very finding goes: not its twin further down. It costs no writing, and the review says so."""
    before, _ = run(set())
    gone = before.findings[0]
    after, written = run({gone.fingerprint})
    assert after.findings == before.findings[1:]
    assert (after.suppressed, written) == (1, 2)


def test_dismissals_survive_what_is_dismissed() -> None:
    """A review with everything dismissed is clean, and stays so."""
    before, _ = run(set())
    after, written = run({finding.fingerprint for finding in before.findings})
    assert (after.findings, after.suppressed, written) == ((), 3, 0)
