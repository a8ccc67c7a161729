"""The review pipeline, readable as its steps: plan, score, filter, write, collect.

Chunks are scored in small groups, in the order of the diff, and each group's suspicious lines are written
about at once: the first finding comes soon, and its prompt is still in the runner's cache. The cap counts
over the whole review: `Shortlist` keeps the most certain findings whatever the order they come in, so a
finding that was shown early may be pushed out later. The Review that is returned is what holds.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from engine.diffs import DiffLine
from engine.errors import RunnerError
from engine.findings import Finding, fingerprint, verdict_of
from engine.prompts import LABELS, score_blocks, write_suffix
from engine.replies import MAX_TOKENS, Malformed, ParsedReply, parse_reply, reply_schema
from engine.runners import Cancellation, Reply, Runner, ScoreRequest, Scores, WriteRequest
from engine.scores import Calibration, LineScore, line_scores
from engine.shortlist import Shortlist
from engine.suggestions import usable_suggestion
from engine.version import tool_version
from engine.wire import Review, ReviewRequest, Timings, Usage
from engine.workload import Piece, Workload, plan_work

_GROUP = 4  # chunks that are scored before the first of them is written about
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a review is."""

    path: str  # the file that was read last
    files_done: int
    files: int
    lines_done: int
    lines: int
    tokens: int  # read by the model while scoring


def review(
    request: ReviewRequest,
    runner: Runner,
    calibration: Calibration = Calibration(),  # noqa: B008 - frozen
    *,
    on_progress: Callable[[Progress], None] = lambda progress: None,
    on_finding: Callable[[Finding], None] = lambda finding: None,
    cancellation: Cancellation | None = None,
    suppressed: Collection[str] = (),
) -> Review:
    """Review `request.diff` and return all that was found and covered.

    A finding whose fingerprint is in `suppressed` is counted and not written. Cancelled, it returns what is
    done, marked partial. Raises DiffError for text that is no diff and RunnerError where the model fails.
    Both callbacks run on the caller's thread.
    """
    run = _Run(
        request, runner, calibration, cancellation or Cancellation(), on_progress, on_finding, suppressed
    )
    with run.timed("total"):
        work = plan_work(request, runner.count_tokens)
        run.files_done = sum(file.is_done for file in work.files)
        pieces = iter(work.pieces)
        while not run.cancellation.cancelled and (group := tuple(islice(pieces, _GROUP))):
            run.write(run.score(group, work))
    return run.result(work)


def review_without_model(request: ReviewRequest) -> Review | None:
    """Return the whole review where the diff has no line to score, or None: then a runner is needed."""
    work = plan_work(request, len)
    if work.files:
        return None
    return Review(
        verdict=verdict_of([]),
        findings=(),
        coverage=work.coverage(()),
        language=request.language,
        tool_version=tool_version(),
    )


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A line that deserves a message."""

    piece: Piece
    line: DiffLine
    score: LineScore


_Scored = tuple[Piece, list[_Candidate]]


class _Run:
    """A review on its way: what it was given, then what it has come to."""

    def __init__(
        self,
        request: ReviewRequest,
        runner: Runner,
        calibration: Calibration,
        cancellation: Cancellation,
        on_progress: Callable[[Progress], None],
        on_finding: Callable[[Finding], None],
        suppressed: Collection[str],
    ) -> None:
        self.runner = runner
        self.calibration = calibration
        self.cancellation = cancellation
        self.language = request.language
        self.on_progress = on_progress
        self.on_finding = on_finding
        self.shortlist = Shortlist(request.severity, request.max_findings)
        self.suppressed = frozenset(suppressed)
        self.malformed = 0
        self.truncated = 0
        self.tokens_read = 0
        self.lines_done = 0
        self.files_done = 0
        self.usage = Usage()
        self.seconds: dict[str, float] = {}

    def score(self, group: Sequence[Piece], work: Workload) -> list[_Scored]:
        """Return those of `group` that were scored, each with its lines above the threshold."""
        requests = [ScoreRequest(piece.prompt, score_blocks(piece.chunk)) for piece in group]
        scored = []
        with self.timed("score"):
            for index, scores in in_order(
                self.runner.score(requests, LABELS, self.cancellation, self._count_read)
            ):
                piece = group[index]
                scored.append((piece, list(self._candidates(piece, scores))))
                self._count_lines(piece)
                self._count(scores)
                self.on_progress(self._progress(piece, work))
        return scored

    def write(self, scored: Sequence[_Scored]) -> None:
        """Have the candidates written about and keep what comes of it."""
        wanted = [c for _, candidates in scored for c in candidates if self._is_wanted(c)]
        answered = set()
        with self.timed("write"):
            requests = [self._write_request(candidate) for candidate in wanted]
            for index, reply in in_order(self.runner.write(requests, self.cancellation)):
                answered.add(index)
                self._count(reply)
                self._take(wanted[index], reply)
        left = [candidate.piece for index, candidate in enumerate(wanted) if index not in answered]
        for piece, _ in scored:
            if not any(piece is other for other in left):
                piece.file.pieces_done += 1
                self.files_done += piece.file.is_done

    def result(self, work: Workload) -> Review:
        """Return the review as it stands."""
        order = {path: index for index, path in enumerate(work.paths)}
        findings = sorted(self.shortlist.findings, key=lambda finding: (order[finding.path], finding.line))
        return Review(
            verdict=verdict_of(findings),
            findings=tuple(findings),
            coverage=work.coverage(findings),
            language=self.language,
            partial=self.truncated > 0 or not all(file.is_done for file in work.files),
            suppressed=self.shortlist.suppressed,
            malformed_replies=self.malformed,
            base_model=self.runner.base_model,
            adapter=self.runner.adapter,
            tool_version=tool_version(),
            timings=Timings(**{stage: round(seconds, 3) for stage, seconds in self.seconds.items()}),
            usage=self.usage,
        )

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Add the time spent inside to the stage's."""
        started = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0) + time.perf_counter() - started

    def _candidates(self, piece: Piece, scores: Scores) -> Iterator[_Candidate]:
        lines = piece.chunk.commentable
        if len(scores.probabilities) != len(lines):
            raise RunnerError(
                f"{piece.chunk.path}: {len(scores.probabilities)} scores for {len(lines)} lines"
            )
        numbers = [line.new_number or 0 for line in lines]
        for line, score in zip(
            lines, line_scores(numbers, scores.probabilities, self.calibration), strict=True
        ):
            if self.calibration.passes(score):
                yield _Candidate(piece, line, score)

    def _is_wanted(self, candidate: _Candidate) -> bool:
        dismissed = _fingerprint(candidate) in self.suppressed
        if not dismissed and self.shortlist.has_room(candidate.score.probability):
            return True
        self.shortlist.turn_away()
        return False

    def _write_request(self, candidate: _Candidate) -> WriteRequest:
        suffix = write_suffix(candidate.piece.chunk, candidate.line, candidate.score.category, self.language)
        return WriteRequest(candidate.piece.prompt, suffix, reply_schema(), MAX_TOKENS)

    def _take(self, candidate: _Candidate, reply: Reply) -> None:
        parsed = parse_reply(reply.text, reply.truncated)
        self.truncated += reply.truncated
        self.malformed += isinstance(parsed, Malformed)
        if not isinstance(parsed, ParsedReply):
            return
        finding = _finding(candidate, parsed)
        if self.shortlist.add(finding):
            self.on_finding(finding)

    def _progress(self, piece: Piece, work: Workload) -> Progress:
        return Progress(
            piece.chunk.path, self.files_done, len(work.files), self.lines_done, work.lines, self.tokens_read
        )

    def _count_lines(self, piece: Piece) -> None:
        lines = len(piece.chunk.commentable)
        piece.file.lines_done += lines
        self.lines_done += lines

    def _count_read(self, tokens: int) -> None:
        self.tokens_read += tokens

    def _count(self, answer: Scores | Reply) -> None:
        written = answer.tokens if isinstance(answer, Reply) else 0
        self.usage = Usage(
            prompt_tokens=self.usage.prompt_tokens + answer.prompt_tokens,
            cached_tokens=self.usage.cached_tokens + answer.cached_tokens,
            written_tokens=self.usage.written_tokens + written,
        )


def in_order(answers: Iterable[tuple[int, _T]]) -> Iterator[tuple[int, _T]]:
    """Yield numbered answers by their numbers, each as soon as those before it are there.

    Where some never come, because the work was cancelled, those behind the gap follow at the end.
    """
    waiting: dict[int, _T] = {}
    due = 0
    for index, answer in answers:
        waiting[index] = answer
        while due in waiting:
            yield due, waiting.pop(due)
            due += 1
    yield from sorted(waiting.items(), key=lambda item: item[0])


def _finding(candidate: _Candidate, reply: ParsedReply) -> Finding:
    line, score, chunk = candidate.line, candidate.score, candidate.piece.chunk
    return Finding(
        path=chunk.path,
        line=score.line,
        end_line=score.line,
        severity=reply.severity,
        category=score.category,
        message=reply.message,
        suggestion=usable_suggestion(reply.suggestion, line.text, chunk.language),
        confidence=score.probability,
        code=line.text,
        fingerprint=_fingerprint(candidate),
    )


def _fingerprint(candidate: _Candidate) -> str:
    ordinal = candidate.piece.file.ordinals.get(candidate.score.line, 0)
    return fingerprint(candidate.piece.chunk.path, candidate.line.text, candidate.score.category, ordinal)
