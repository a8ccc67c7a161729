"""What the team did with remarks, as items to train on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from history_records import HUNK, REVIEWER, TIME, lines, quiet, remark, written

from engine.errors import DataError
from engine.findings import Category, Severity
from training.history.categories import guess
from training.history.label import ITEMS, label
from training.history.records import Person, Remark
from training.history.settings import LabelSettings
from training.history.stages import StageManifest
from training.records import ReviewItem, read_review_items

BOT = Person(username="tenken", bot=True, role=30)
MARK = {
    "fingerprint": "0123456789abcdef",
    "category": "security",
    "severity": "critical",
    "adapter": "team-1",
}
NOTE = (
    "🔴 **critical · security** · 90% sure\n\nRuns what a user sends.\n\n"
    "<!-- tenken:finding 0123456789abcdef -->"
)
OWN = remark(NOTE, author=BOT, mark=MARK)


def reply(body: str, role: int = 30) -> dict[str, Any]:
    return {"author": {"username": "dan", "role": role}, "body": body, "created": TIME}


def run(tmp_path: Path, records: list[Any], feedback: Path | None = None, **settings: Any) -> StageManifest:
    source = written(tmp_path / "in.jsonl", records)
    return label(source, tmp_path / "out", LabelSettings.model_validate(settings), feedback)


def items(tmp_path: Path) -> list[ReviewItem]:
    return list(read_review_items(tmp_path / "out" / ITEMS))


LABELS: dict[str, tuple[Remark, str, str]] = {
    "line changed": (remark(outcome={"line_changed": True}), "accepted", "line changed"),
    "suggestion applied": (
        remark(outcome={"suggestion_applied": True, "line_changed": True}), "accepted", "suggestion applied",
    ),
    "thumbs up": (remark(outcome={"thumbs_up": 2, "thumbs_down": 1}), "accepted", "reactions"),
    "thumbs down": (remark(outcome={"thumbs_down": 1, "line_changed": True}), "rejected", "reactions"),
    "beside it": (
        remark(outcome={"near_changed": True, "resolved": True}),
        "accepted", "resolved with a change beside it",
    ),
    "beside it, open": (remark(outcome={"near_changed": True}), "unknown", ""),
    "resolved alone": (remark(outcome={"resolved": True}), "unknown", ""),
    "refused": (
        remark(outcome={"resolved": True}, replies=[reply("Won't fix, this is by design.")]),
        "rejected", "refused in a reply",
    ),
    "dismissed": (
        remark(outcome={"line_changed": True}, replies=[reply("/dismiss not here")]), "rejected", "command",
    ),
    "good": (
        remark(outcome={"thumbs_down": 1}, replies=[reply("@tenken feedback good")]), "accepted", "command",
    ),
    "dismissed by a guest": (remark(replies=[reply("/dismiss", role=10)]), "unknown", ""),
    "the last word": (
        remark(replies=[reply("/feedback bad"), reply("/feedback good")]), "accepted", "command",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("record", "wanted", "by"), LABELS.values(), ids=LABELS.keys())
def test_words_go_before_thumbs_and_thumbs_before_deeds(
    tmp_path: Path, record: Remark, wanted: str, by: str
) -> None:
    """A rejected remark is no finding of its item: the line is one to be silent about."""
    run(tmp_path, [record])
    (item,) = items(tmp_path)
    rejected = (item.model_extra or {}).get("rejected", [])
    found = [finding.to_json() for finding in item.findings] or rejected
    assert [(each["label"], each["label_source"]) for each in found] == [(wanted, by)]
    assert bool(rejected) is (wanted == "rejected")
    assert bool(item.findings) is (wanted != "rejected")


def feedback(tmp_path: Path, *verdicts: str) -> Path:
    rows = [
        {
            "fingerprint": "0123456789abcdef", "verdict": verdict, "project": "a/b", "source": "mr",
            "created": f"2026-03-0{day}T10:00:00Z",
        }
        for day, verdict in enumerate(verdicts, start=1)
    ]  # fmt: skip
    path = tmp_path / "feedback.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("verdicts", "is_finding"), [(["accepted"], True), (["applied", "wrong"], False), (["dismissed"], False)]
)
def test_the_bots_findings_are_judged_by_feedback(
    tmp_path: Path, verdicts: list[str], is_finding: bool
) -> None:
    """By fingerprint, the latest verdict; kind and adapter are the marker's, words the note's."""
    run(tmp_path, [OWN], feedback(tmp_path, *verdicts))
    (item,) = items(tmp_path)
    (found,) = [each.to_json() for each in item.findings] or (item.model_extra or {})["rejected"]
    assert bool(item.findings) is is_finding
    assert (found["category"], found["severity"], found["adapter"]) == ("security", "critical", "team-1")
    assert found["message"] == "Runs what a user sends."


def test_what_the_bot_said_unjudged_teaches_nothing(tmp_path: Path) -> None:
    """A model that learns from its own words drifts."""
    manifest = run(tmp_path, [OWN, remark()])
    assert [item.id for item in items(tmp_path)] == ["note-1"]
    assert manifest.counts["labels"] == {"left out: nothing known or said": 1, "unknown": 1}
    run(tmp_path, [remark()], accepted_only=True)
    assert items(tmp_path) == []


def test_a_bad_feedback_file_is_an_error(tmp_path: Path) -> None:
    """With file, line and field."""
    path = feedback(tmp_path, "accepted", "liked")
    with pytest.raises(DataError, match=r"feedback.jsonl, line 2, verdict: "):
        run(tmp_path, [OWN], path)


def test_remarks_on_one_hunk_are_one_item(tmp_path: Path) -> None:
    """Each on its line; a suggestion for the line alone comes along, one for a range does not."""
    first = remark(
        "Use None.\n```suggestion:-0+0\ndef total(rows=None):\n```", outcome={"line_changed": True}
    )
    second = remark("Do not print.\n```suggestion:-1+0\nx\n```", id="note-2", line=3)
    third = remark("No.", id="note-3", line=3, outcome={"thumbs_down": 1})
    run(tmp_path, [first, second, third])
    (item,) = items(tmp_path)
    assert [(each.line, each.message, each.suggestion) for each in item.findings] == [
        (2, "Use None.", "def total(rows=None):"),
        (3, "Do not print.", None),
    ]
    assert [each["message"] for each in (item.model_extra or {})["rejected"]] == ["No."]
    more = item.model_extra or {}
    assert (item.source, item.language, more["mr"], more["date"]) == (
        "history",
        "python",
        1,
        "2026-03-01T10:00:00+00:00",
    )
    assert more["url"] == ""
    assert item.findings[0].to_json()["author"] == REVIEWER.username


def test_a_suggestion_alone_says_what_to_write(tmp_path: Path) -> None:
    """One that is too long to be said teaches nothing to a writer, and is left out."""
    long = f"def total(rows=None):  # {'x' * 200}"
    first, second = (
        remark(f"```suggestion\n{text}\n```", id=f"note-{n}", mr=n)
        for n, text in enumerate(["def total(rows=None):", long])
    )
    run(tmp_path, [first, second])
    (item,) = items(tmp_path)
    (finding,) = item.findings
    assert finding.message == "Write `def total(rows=None):` instead."
    assert finding.suggestion == "def total(rows=None):"
    assert finding.to_json()["message_source"] == "suggestion"


LONG = "@@ -0,0 +1,100 @@\n" + "\n".join(f"+row_{n} = {n}" for n in range(1, 101))


def test_the_place_in_the_window_gives_nothing_away(tmp_path: Path) -> None:
    """Windows differ in length and in where the remark stands, and are the same in each run."""
    records = [remark(id=f"note-{n}", mr=n, hunk=LONG, line=50) for n in range(60)]
    run(tmp_path, records, rows=20)
    first = items(tmp_path)
    places = {item.findings[0].line - (item.to_chunk().lines[0].new_number or 0) for item in first}
    lengths = {len(item.to_chunk().lines) for item in first}
    assert len(places) > 10
    assert min(lengths) >= 8
    assert max(lengths) == 20
    (tmp_path / "out" / "manifest.json").unlink()
    run(tmp_path, records, rows=20)
    assert items(tmp_path) == first


def test_remarks_far_apart_get_windows_of_their_own(tmp_path: Path) -> None:
    """None is lost, and none is cut off."""
    records = [remark(id=f"note-{n}", hunk=LONG, line=n) for n in (1, 15, 60, 100)]
    run(tmp_path, records, rows=20)
    found = [[finding.line for finding in item.findings] for item in items(tmp_path)]
    assert found == [[1, 15], [60], [100]]
    assert all(len(item.to_chunk().lines) <= 20 for item in items(tmp_path))


def test_no_window_is_silent_about_a_line_that_was_remarked_on(tmp_path: Path) -> None:
    """Hunks are cut around each remark, so two of one hunk differ; each window has all remarks in it."""
    rows = LONG.split("\n")[1:]
    upper = "@@ -0,0 +1,60 @@\n" + "\n".join(rows[:60])
    lower = "@@ -0,0 +31,60 @@\n" + "\n".join(rows[30:90])
    records = [
        remark("Close the upper one.", id="note-1", hunk=upper, line=44),
        remark("Close the lower one.", id="note-2", hunk=lower, line=52),
        remark("Not this one.", id="note-3", hunk=lower, line=80),
    ]
    for seed in range(20):
        run(tmp_path, records, seed=seed)
        found = items(tmp_path)
        assert {finding.line for item in found for finding in item.findings} == {44, 52, 80}
        for item in found:
            shown = {line.new_number for line in item.to_chunk().lines}
            assert {finding.line for finding in item.findings} == {44, 52, 80} & shown


def test_clean_items_are_as_many_as_asked_for_and_weak(tmp_path: Path) -> None:
    """Of commented files; none where nothing was added."""
    records = [
        remark(),
        *(quiet(id=f"quiet-{n}", hunk=LONG) for n in range(5)),
        quiet(id="quiet-9", hunk="@@ -1 +0,0 @@\n-gone"),
    ]
    manifest = run(tmp_path, records, clean_share=2.0)
    clean = [item for item in items(tmp_path) if not item.findings]
    assert [(item.source, item.tier) for item in clean] == [("history-uncommented", "weak")] * 2
    assert manifest.counts["items"] == {"clean": 2, "with findings": 1}
    assert run(tmp_path, records, clean_share=0.0).counts["items"] == {"with findings": 1}


def test_damaged_hunks_are_counted(tmp_path: Path) -> None:
    """Of a remark and of a quiet hunk; the others go on."""
    bad = HUNK.replace("@@ -1,4 +1,5 @@", "@@ -1,9 +1,9 @@")
    manifest = run(tmp_path, [remark(hunk=bad), remark(id="note-2"), quiet(hunk=bad), "}"])
    assert manifest.counts["labels"] == {"hunk that cannot be read": 1, "unknown": 1}
    assert manifest.counts["broken_lines"] == 1
    assert len(lines(tmp_path / "out" / ITEMS)) == 1


GUESSES = {
    "nit: rename this": (Category.STYLE, Severity.INFO),
    "**issue (security):** escape this": (Category.SECURITY, Severity.MAJOR),
    "suggestion (non-blocking, performance): hoist it": (Category.PERFORMANCE, Severity.MINOR),
    "This will throw an NPE when the map is empty.": (Category.BUG, Severity.MAJOR),
    "SQL injection is possible": (Category.SECURITY, Severity.MAJOR),
    "Please add a test for the empty list.": (Category.TEST, Severity.MINOR),
    "Data loss: the file is never closed": (Category.BUG, Severity.CRITICAL),
    "Extract this into a method.": (Category.MAINTAINABILITY, Severity.MINOR),
    "インデントがずれています": (Category.STYLE, Severity.INFO),
    "null の場合に例外が発生します": (Category.BUG, Severity.MAJOR),
    "テストを追加してください": (Category.TEST, Severity.MINOR),
    "ループの中で毎回確保していて遅いです": (Category.PERFORMANCE, Severity.MINOR),
}


@pytest.mark.parametrize(("message", "wanted"), GUESSES.items(), ids=GUESSES.keys())
def test_people_name_kinds_in_their_words(message: str, wanted: tuple[Category, Severity]) -> None:
    """Labels first, then words, in both languages."""
    assert guess(message) == wanted
