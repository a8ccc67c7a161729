"""The whole pipeline with a fake model: lines, cap, floor, duplicates, coverage, cancellation, streaming."""

from __future__ import annotations

import difflib
import json
import random
from collections.abc import Sequence

import pytest
from effort import computing_seconds
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.diffs import LineKind
from engine.errors import DiffError, InputError, RunnerError
from engine.findings import Category, Finding, Severity, Verdict
from engine.parsing import parse_diff
from engine.prompts import LABELS
from engine.review import Progress, in_order, review
from engine.runners import Cancellation, Reply, Scores, WriteRequest
from engine.scores import Calibration
from engine.testing import FakeRunner, Scribe, by_keyword
from engine.wire import Review, ReviewRequest, SkipReason
from engine.workload import require_room

KEYWORDS = {"eval": (" security", 0.9), "sleep": (" performance", 0.7), "hmm": (" bug", 0.4)}


def diff_of(path: str, lines: Sequence[str]) -> str:
    """Return a diff that adds a file."""
    rows = "".join(f"+{line}\n" for line in lines)
    return f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1,{len(lines)} @@\n{rows}"


def reply(message: str, severity: str = "minor", suggestion: str | None = None) -> str:
    fields = {"severity": severity, "message": message} | ({"suggestion": suggestion} if suggestion else {})
    return json.dumps(fields)


def by_line(request: WriteRequest) -> str:
    """Say something different about every line."""
    return reply(f"About {request.suffix.strip()}")


def run(*lines: str, replies: str | Sequence[str | Reply] | Scribe = by_line, **request: object) -> Review:
    fields = {"diff": diff_of("a.py", lines), **request}
    return review(ReviewRequest.model_validate(fields), FakeRunner(by_keyword(KEYWORDS), replies))


def test_suspicious_line_becomes_a_finding() -> None:
    """A line above the threshold is written about; category, confidence, code and place come with it."""
    result = run("x = 1", "    y = eval(x)", "z = 2")
    [finding] = result.findings
    assert (finding.path, finding.line, finding.end_line) == ("a.py", 2, 2)
    assert (finding.category, finding.confidence, finding.code) == (Category.SECURITY, 0.9, "    y = eval(x)")
    assert finding.message.startswith("About 2 y = eval(x)")
    assert (result.verdict, result.partial, result.base_model) == (Verdict.COMMENTS, False, "fake-base")
    assert [(entry.lines, entry.findings) for entry in result.coverage] == [(3, 1)]


def test_clean_code_costs_no_writing() -> None:
    """Where no line passes, the model writes nothing."""
    runner = FakeRunner()
    result = review(ReviewRequest(diff=diff_of("a.py", ["x = 1"])), runner)
    assert (result.verdict, result.findings, runner.written) == (Verdict.CLEAN, (), [])


def test_calibration_decides_what_passes() -> None:
    """The threshold applies to the calibrated probability, which is also the confidence."""
    steep = Calibration(points=((0.0, 0.0), (0.8, 0.1), (1.0, 1.0)), threshold=0.5)
    request = ReviewRequest(diff=diff_of("a.py", ["eval(x)", "sleep(x)"]))
    result = review(request, FakeRunner(by_keyword(KEYWORDS), by_line), steep)
    [finding] = result.findings
    assert (finding.line, round(finding.confidence, 6)) == (1, 0.55)


def test_findings_stream_while_the_review_goes_on() -> None:
    """The first file's findings are told before the last file is scored."""
    diff = "".join(diff_of(f"f{n}.py", ["eval(x)"]) for n in range(12))
    runner, seen = FakeRunner(by_keyword(KEYWORDS), by_line), []
    result = review(
        ReviewRequest(diff=diff),
        runner,
        on_finding=lambda finding: seen.append((finding, len(runner.scored))),
    )
    assert seen[0][1] < 12
    assert tuple(finding for finding, _ in seen) == result.findings


def test_progress_reaches_the_end() -> None:
    """Progress counts up to all lines and never back."""
    seen: list[Progress] = []
    diff = "".join(diff_of(f"f{n}.py", ["x = 1", "", "y = 2"]) for n in range(6))
    review(ReviewRequest(diff=diff), FakeRunner(), on_progress=seen.append)
    assert [progress.lines_done for progress in seen] == sorted(progress.lines_done for progress in seen)
    assert (seen[-1].lines_done, seen[-1].lines, seen[-1].files) == (12, 12, 6)
    assert seen[-1].tokens > seen[0].tokens > 0


def test_progress_counts_whole_files() -> None:
    """A file is done when its last chunk was scored and written about, not when its first one was."""
    seen: list[Progress] = []
    diff = "".join(
        diff_of(f"f{n}.py", [f"x = {i}" for i in range(lines)]) for n, lines in enumerate((3, 400, 3))
    )
    review(ReviewRequest(diff=diff), FakeRunner(), on_progress=seen.append)
    done = {progress.path: progress.files_done for progress in seen}
    assert len(seen) > 8  # chunks, of which four are scored before the first of them is written about
    assert (seen[0].files_done, done["f1.py"], seen[-1].files) == (0, 1, 3)
    assert done["f2.py"] in (1, 2)


def test_cap_keeps_the_most_certain() -> None:
    """The cap holds over the whole review, whichever file comes first; the rest is counted."""
    keywords = {f"v{n}": (" bug", 0.5 + n / 100) for n in range(10)}
    diff = "".join(diff_of(f"f{n}.py", [f"x = v{n}"]) for n in range(10))
    result = review(ReviewRequest(diff=diff, max_findings=3), FakeRunner(by_keyword(keywords), by_line))
    assert [finding.code for finding in result.findings] == ["x = v7", "x = v8", "x = v9"]
    assert result.suppressed == 7


def test_hopeless_candidates_are_not_written() -> None:
    """Once the cap is full of surer findings, the model is not asked about others."""
    diff = "".join(diff_of(f"f{n}.py", ["eval(x)" if n < 4 else "sleep(x)"]) for n in range(12))
    runner = FakeRunner(by_keyword(KEYWORDS), by_line)
    result = review(ReviewRequest(diff=diff, max_findings=4), runner)
    assert (len(runner.written), result.suppressed) == (4, 8)


def test_floor_leaves_findings_out() -> None:
    """A finding below the floor is counted, not shown."""
    result = run("eval(x)", "sleep(x)", replies=[reply("a", "info"), reply("b", "major")], severity="minor")
    assert [finding.message for finding in result.findings] == ["b"]
    assert (result.suppressed, result.verdict) == (1, Verdict.CHANGES_NEEDED)


def test_same_message_on_neighbours_is_said_once() -> None:
    """A run of lines with one message is one finding; the same message further down is another."""
    result = run("eval(a)", "eval(b)", "eval(c)", "x = 1", "y = 2", "eval(d)", replies=reply("No eval."))
    assert [finding.line for finding in result.findings] == [1, 6]
    assert result.suppressed == 2


def test_equal_lines_have_their_own_fingerprints() -> None:
    """The same code twice in a file is two findings, and a line added above changes neither."""
    before = run("eval(x)", "pass", "eval(x)").findings
    after = run("import os", "eval(x)", "pass", "eval(x)").findings
    assert len({finding.fingerprint for finding in before}) == 2
    assert [finding.fingerprint for finding in after] == [finding.fingerprint for finding in before]


def test_file_that_stands_twice_in_the_diff_is_reported_once() -> None:
    """A diff that repeats itself does not repeat its findings."""
    result = run("x", diff=diff_of("a.py", ["eval(x)"]) * 2)
    assert (len(result.findings), result.suppressed) == (1, 1)


def test_nothing_to_say_is_no_finding() -> None:
    """The model may take its score back."""
    result = run("eval(x)", replies="null")
    assert (result.findings, result.malformed_replies, result.suppressed) == ((), 0, 0)


def test_malformed_reply_is_counted() -> None:
    """Nonsense from the model is a number in the review, never an error."""
    result = run("eval(x)", "sleep(x)", replies=["I think", reply("b")])
    assert (len(result.findings), result.malformed_replies) == (1, 1)


def test_truncated_reply_keeps_its_message_and_marks_the_review() -> None:
    """A reply that was cut off behind the message still counts, and the review says it is partial."""
    cut = Reply(reply("Avoid eval.", suggestion="x" * 50)[:60], truncated=True)
    result = run("eval(x)", replies=[cut])
    assert [(finding.message, finding.suggestion) for finding in result.findings] == [("Avoid eval.", None)]
    assert result.partial


@pytest.mark.parametrize(
    ("line", "suggestion", "shown"),
    [
        ("    y = eval(x)", "y = int(x)", "    y = int(x)"),
        ("\ty = eval(x)", "if x:\n\ty = int(x)", "\tif x:\n\t\ty = int(x)"),
        ("    y = eval(x)", "y = eval(x)", None),
        ("    y = eval(x)", "y = int(x", None),
        ("    if eval(x):", "if int(x):", "    if int(x):"),
        ("    if eval(x):", "y = int(x)", None),
        ("    eval(x),", "int(x),", "    int(x),"),
    ],
)
def test_suggestion_is_indented_or_dropped(line: str, suggestion: str, shown: str | None) -> None:
    """A suggestion stands where its line stood; one that changes nothing or breaks the code is left out."""
    [finding] = run(line, replies=reply("Avoid eval.", suggestion=suggestion)).findings
    assert finding.suggestion == shown


def test_every_file_is_accounted_for() -> None:
    """Each file of the diff is reviewed or skipped for a reason, in the diff's order."""
    diff = (
        diff_of("poetry.lock", ["x"])
        + diff_of("a.py", ["x = 1"])
        + diff_of("notes.txt", ["x"])
        + diff_of("blank.py", [""])
        + diff_of("long.py", ["x = '" + "ab " * 6000 + "'", "eval(x)", *["y = 1"] * 100])
    )
    result = run(diff=diff)
    assert [(entry.path, entry.reviewed, entry.reason) for entry in result.coverage] == [
        ("poetry.lock", False, SkipReason.LOCK_FILE),
        ("a.py", True, None),
        ("notes.txt", False, SkipReason.UNSUPPORTED),
        ("blank.py", False, SkipReason.NO_ADDED_LINES),
        ("long.py", True, None),
    ]
    assert result.coverage[-1].detail == "too long to read: line 1"
    assert [finding.line for finding in result.findings] == [2]


def test_path_filters_are_applied() -> None:
    """The request's patterns decide."""
    result = run("eval(x)", exclude=("a.*",))
    assert [entry.reason for entry in result.coverage] == [SkipReason.EXCLUDED]


def test_guidelines_have_to_leave_room_for_code() -> None:
    """What all chunks share is refused where a chunk would no longer fit, not cut."""
    request = ReviewRequest(diff="", guidelines="never do this " * 200)
    require_room(request, FakeRunner().count_tokens, 4096)
    with pytest.raises(InputError, match=r"tokens, but only .* raise ENGINE_CONTEXT"):
        require_room(request, FakeRunner().count_tokens, 2560)


def test_no_diff_is_an_input_error() -> None:
    """Text that is no diff is refused, an empty diff is an empty review."""
    with pytest.raises(DiffError):
        run(diff="hello")
    assert run(diff="").verdict is Verdict.CLEAN


def test_runner_errors_pass_through() -> None:
    """What the runner reports reaches the caller as it is."""
    runner = FakeRunner(error=RunnerError("out of memory"))
    with pytest.raises(RunnerError, match="out of memory"):
        review(ReviewRequest(diff=diff_of("a.py", ["x = 1"])), runner)


class ShortRunner(FakeRunner):
    """Forgets the last line."""

    def score(self, *args: object, **kwargs: object):  # type: ignore[no-untyped-def]
        for index, scores in super().score(*args, **kwargs):  # type: ignore[arg-type]
            yield index, Scores(scores.probabilities[:-1])


def test_missing_scores_are_an_error() -> None:
    """A runner that scores fewer lines than asked shifts no line, it fails."""
    with pytest.raises(RunnerError, match=r"a\.py: 1 scores for 2 lines"):
        review(ReviewRequest(diff=diff_of("a.py", ["x = 1", "y = 2"])), ShortRunner())


@pytest.mark.parametrize("stop_after", [0, 1, 5])
def test_cancelled_review_keeps_what_is_done(stop_after: int) -> None:
    """Findings so far stay, files not reached say cancelled, and the review is partial."""
    diff = "".join(diff_of(f"f{n}.py", ["eval(x)"]) for n in range(12))
    cancellation, seen = Cancellation(), list[Finding]()
    if not stop_after:
        cancellation.cancel()

    def stop(finding: Finding) -> None:
        seen.append(finding)
        if len(seen) == stop_after:
            cancellation.cancel()

    runner = FakeRunner(by_keyword(KEYWORDS), by_line)
    result = review(ReviewRequest(diff=diff), runner, on_finding=stop, cancellation=cancellation)
    assert result.partial
    assert result.findings == tuple(seen)
    assert len(seen) == stop_after
    reached = [entry.path for entry in result.coverage if entry.reviewed]
    assert len(reached) == stop_after
    assert {entry.reason for entry in result.coverage if not entry.reviewed} == {SkipReason.CANCELLED}


def test_cancelling_after_the_end_changes_nothing() -> None:
    """A review that was complete when Ctrl-C came is complete."""
    cancellation = Cancellation()
    result = review(
        ReviewRequest(diff=diff_of("a.py", ["eval(x)"])),
        FakeRunner(by_keyword(KEYWORDS), by_line),
        on_finding=lambda finding: cancellation.cancel(),
        cancellation=cancellation,
    )
    assert not result.partial


def test_usage_and_timings_are_summed() -> None:
    """Tokens of both calls are counted."""
    result = run("eval(x)", "sleep(x)")
    assert result.usage.prompt_tokens > result.usage.written_tokens > 0
    assert result.timings.total >= result.timings.score >= 0


@given(st.permutations(range(6)), st.integers(0, 6))
def test_answers_come_in_order(order: list[int], kept: int) -> None:
    """Answers are put in order; where some are missing, the others still come, once each."""
    answers = [(index, str(index)) for index in order[:kept]]
    assert list(in_order(answers)) == sorted(answers) or kept < 6
    assert sorted(in_order(answers)) == sorted(answers)


class RandomRunner(FakeRunner):
    """Scores, order of answers and replies drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        super().__init__(self._row, self._reply)

    def _row(self, block: str) -> dict[str, float]:
        weights = [self._random.random() ** 3 for _ in LABELS]
        return {label: weight / sum(weights) for label, weight in zip(LABELS[1:], weights[1:], strict=True)}

    def _reply(self, request: WriteRequest) -> Reply:
        texts = [
            "null",
            "",
            reply("Same.", self._random.choice(list(Severity))),
            reply(f"Other {self._random.random()}", suggestion="a\nb"),
        ]
        text = self._random.choice(texts)
        cut = self._random.random() < 0.2
        return Reply(text[: len(text) // 2] if cut else text, truncated=cut)

    def write(self, requests: Sequence[WriteRequest], cancellation: Cancellation):  # type: ignore[no-untyped-def]
        answers = list(super().write(requests, cancellation))
        self._random.shuffle(answers)
        yield from answers


lines = st.lists(
    st.sampled_from(["x = 1", "    y = f(x)", "", "  ", "}", "\treturn", "文字列 = 1"]), max_size=40
)


@given(old=lines, new=lines, seed=st.integers(0, 1000), cap=st.integers(1, 20))
@settings(max_examples=200)
def test_findings_only_stand_on_added_lines(old: list[str], new: list[str], seed: int, cap: int) -> None:
    """Whatever the model does, findings are on added lines and quote them, and a run repeats exactly."""
    body = difflib.unified_diff(old, new, "a/src/a.py", "b/src/a.py", lineterm="", n=seed % 4)
    request = ReviewRequest(diff="\n".join(body), max_findings=cap)
    result = review(request, RandomRunner(seed), Calibration(threshold=0.3))
    added = {
        line.new_number: line.text
        for file in parse_diff(request.diff)
        for hunk in file.hunks
        for line in hunk.lines
        if line.kind is LineKind.ADDED
    }
    for finding in result.findings:
        assert added[finding.line] == finding.code == new[finding.line - 1]
    assert len(result.findings) <= cap
    assert len({finding.fingerprint for finding in result.findings}) == len(result.findings)
    again = review(request, RandomRunner(seed), Calibration(threshold=0.3))
    assert again.model_copy(update={"timings": result.timings}) == result


def test_overhead_is_linear() -> None:
    """A thousand files cost about twenty times what fifty do, model aside."""

    def seconds(files: int) -> float:
        diff = "".join(diff_of(f"f{n}.py", [f"x{m} = {m}" for m in range(20)]) for n in range(files))
        return min(
            computing_seconds(lambda: review(ReviewRequest(diff=diff), FakeRunner())) for _ in range(3)
        )

    few, many = seconds(50), seconds(1000)
    assert many < 60 * few
