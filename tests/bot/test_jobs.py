"""A newer review answers for the one whose place it takes."""

from __future__ import annotations

from bot.jobs import Asked, Reason, ReviewJob
from engine.findings import Severity

FIRST, SECOND = Asked(note_id=1), Asked(note_id=2, discussion_id="d")


def job(key: str, **fields: object) -> ReviewJob:
    return ReviewJob.model_validate({"project_id": 7, "iid": 3, "key": key, "received": 1000, **fields})


def test_a_push_takes_over_what_was_asked_for() -> None:
    """A push in the middle of `/review --full src` reviews src in full, and answers the note."""
    asked = job("a", asked=(FIRST,), full=True, paths=("src",), severity=Severity.MAJOR)
    merged = job("b", reason=Reason.PUSHED).instead_of(asked)
    assert merged.key == "b"
    assert (merged.asked, merged.full, merged.paths) == ((FIRST,), True, ("src",))
    assert (merged.severity, merged.reason) == (Severity.MAJOR, Reason.COMMAND)


def test_a_newer_command_has_its_own_options_and_answers_both_notes() -> None:
    """Whoever wrote last decides what is reviewed; nobody is left without an answer."""
    merged = job("b", asked=(SECOND,)).instead_of(job("a", asked=(FIRST,), full=True))
    assert (merged.asked, merged.full) == ((FIRST, SECOND), False)


def test_a_push_after_a_push_has_nothing_to_take_over() -> None:
    """Options are taken over from people, not from events."""
    merged = job("b", reason=Reason.PUSHED).instead_of(job("a", reason=Reason.OPENED))
    assert (merged.reason, merged.asked) == (Reason.PUSHED, ())


def test_the_same_note_is_answered_once() -> None:
    """A job that takes the place of its own older self does not answer twice."""
    assert job("b", asked=(FIRST,)).instead_of(job("a", asked=(FIRST,))).asked == (FIRST,)


def test_a_job_survives_being_stored() -> None:
    """What is read back is what was written."""
    stored = job("a", asked=(SECOND,), language="ja", paths=("src/*.py",))
    assert ReviewJob.model_validate_json(stored.model_dump_json()) == stored
