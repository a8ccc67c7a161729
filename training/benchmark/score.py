"""Runs a benchmark's tasks with a model and measures, each kind of task by itself."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.prompts import review_prompt, write_suffix
from engine.replies import MAX_TOKENS, ParsedReply, indent_suggestion, parse_reply, reply_schema
from engine.runners import LikelihoodRequest, LikelihoodRunner, Runner, WriteRequest
from engine.scores import Calibration
from engine.wire import Language
from training.benchmark.tasks import (
    FIXES,
    FUNCTIONS,
    REVIEWS,
    FixTask,
    FunctionTask,
    read_manifest,
    read_tasks,
)
from training.bootstrap import Estimate, item_weights
from training.formats.conversations import Conversation
from training.formats.rows import text_rows
from training.given import given_measures, given_places, write_given
from training.likelihood import comment_measures, read_comments, read_texts
from training.measures import ALL, Measures, estimates, measure, speak
from training.metrics import mean
from training.progress import Progress
from training.records import ReviewItem
from training.score_cache import ScoreCache
from training.scored import ScoredItem
from training.scoring import NewProgress, score_items, write_all
from training.text_metrics import adds_no_error, chrf

_CODE_LENGTH, _CODE_TOKENS = 2000, 700
_LONGEST = 3000  # tokens of a function's prompt and code, so that both fit any runner's context
_RANKING = ("item_auc", "item_ap", "recall90", "line_auc", "line_ap", "top1", "top1_random", "top1_category")
_SPEAKING = ("precision", "recall", "f1", "silent_clean", "false_alarms_per_clean_item")

CODE_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"code": {"type": "string", "minLength": 1, "maxLength": _CODE_LENGTH}},
    "required": ["code"],
    "additionalProperties": False,
    "x-guidance": {"whitespace_flexible": False},
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """How to go about it."""

    directory: Path
    out: Path
    scorer: str  # changes with every byte of the weights
    calibration: Calibration | None = None
    language: Language = Language.EN
    write: bool = True
    samples: int = 1000
    seed: int = 0
    fresh: bool = False


@dataclass(slots=True)
class Result:
    """What was measured, by kind of task, and what was answered."""

    measures: dict[str, dict[str, Estimate]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    answers: list[dict[str, Any]] = field(default_factory=list)

    def add(self, kind: str, count: int, measures: Mapping[str, Any]) -> None:
        """Add a kind of task."""
        self.counts[kind] = count
        self.measures[kind] = estimates(measures)


def run_benchmark(attempt: Attempt, runner: Runner, new_progress: NewProgress = Progress) -> Result:
    """Return what the runner makes of the tasks; raises DataError for a benchmark that was changed."""
    read_manifest(attempt.directory)
    result = Result()
    if reviews := list(read_tasks(attempt.directory / REVIEWS, ReviewItem)):
        result.add("reviews", len(reviews), _reviews(attempt, runner, reviews, new_progress))
    if fixes := list(read_tasks(attempt.directory / FIXES, FixTask)):
        result.add("fixes", len(fixes), _fixes(attempt, runner, fixes, result.answers, new_progress))
    if functions := list(read_tasks(attempt.directory / FUNCTIONS, FunctionTask)):
        kept = [task for task in functions if _length(runner, task) <= _LONGEST]
        result.counts["functions_too_long"] = len(functions) - len(kept)
        result.add("functions", len(kept), _functions(attempt, runner, kept, result.answers, new_progress))
    return result


def _reviews(
    attempt: Attempt, runner: Runner, items: Sequence[ReviewItem], new_progress: NewProgress
) -> Measures:
    scored = _score(attempt, runner, items, "reviews", new_progress)
    found = measure(speak(scored, attempt.calibration), attempt.samples, attempt.seed)[ALL]
    measures = {name: found[name] for name in (*_RANKING, *_SPEAKING)}
    if isinstance(runner, LikelihoodRunner):
        comments, _ = read_comments(runner, items, attempt.language, new_progress)
        measures |= comment_measures(scored, comments, attempt.samples, attempt.seed)[ALL]
    if attempt.write:
        places = given_places(items, len(items))
        pairs, _ = write_given(runner, items, places, attempt.language, new_progress)
        measures |= given_measures(scored, pairs, attempt.samples, attempt.seed)[ALL]
    return measures


def _fixes(
    attempt: Attempt,
    runner: Runner,
    tasks: Sequence[FixTask],
    answers: list[dict[str, Any]],
    new_progress: NewProgress,
) -> Measures:
    items = [item for task in tasks for item in (task.buggy, task.fixed)]
    scored = _score(attempt, runner, items, "fixes", new_progress)
    buggy, fixed = scored[::2], scored[1::2]
    found = measure(speak(buggy, Calibration()), attempt.samples, attempt.seed)[ALL]
    weights = item_weights(len(tasks), attempt.samples, attempt.seed)
    pairs = zip(map(_worst, buggy), map(_worst, fixed), strict=True)
    told_apart = [1.0 if bad > good else 0.5 if bad == good else 0.0 for bad, good in pairs]
    measures = {name: found[name] for name in ("line_auc", "top1", "top1_random")}
    measures["told_apart"] = mean(told_apart, weights)
    return measures | (_repairs(attempt, runner, tasks, answers, new_progress) if attempt.write else {})


def _repairs(
    attempt: Attempt,
    runner: Runner,
    tasks: Sequence[FixTask],
    answers: list[dict[str, Any]],
    new_progress: NewProgress,
) -> Measures:
    """What is suggested for the line at fault, where the fix replaced one line: given line and category."""
    asked = [task for task in tasks if task.buggy.findings[0].suggestion is not None]
    requests = [_repair_request(task, attempt.language) for task in asked]
    replies, _ = write_all(runner, requests, new_progress)
    given, exact, alike = [], [], []
    for task, reply in zip(asked, replies, strict=True):
        finding = task.buggy.findings[0]
        row = next(line.text for line in task.buggy.to_chunk().lines if line.new_number == finding.line)
        parsed = parse_reply(reply.text, reply.truncated)
        said = parsed.suggestion if isinstance(parsed, ParsedReply) else None
        suggestion = "" if said is None else indent_suggestion(said, row)
        wanted = finding.suggestion or ""
        given.append(float(bool(suggestion)))
        exact.append(float(suggestion.split() == wanted.split()))
        alike.append(chrf(suggestion, wanted) if suggestion else 0.0)
        answers.append({"id": task.id, "suggestion": suggestion or None, "wanted": wanted})
    weights = item_weights(len(asked), attempt.samples, attempt.seed)
    values = {"repair_given": given, "repair_exact": exact, "repair_chrf": alike}
    return {name: mean(found, weights) for name, found in values.items()}


def _functions(
    attempt: Attempt,
    runner: Runner,
    tasks: Sequence[FunctionTask],
    answers: list[dict[str, Any]],
    new_progress: NewProgress,
) -> Measures:
    weights = item_weights(len(tasks), attempt.samples, attempt.seed)
    rows = [_row(task) for task in tasks]
    measures: Measures = {}
    if isinstance(runner, LikelihoodRunner):
        requests = [LikelihoodRequest(prompt, "", code, (0, len(code))) for prompt, code in rows]
        read, _ = read_texts(runner, requests, "reading functions", new_progress)
        nll = [-sum(found) for found in read]
        measures["code_nll"] = mean(nll, weights, per=[len(found) for found in read])
    if attempt.write:
        wanted = [WriteRequest("", prompt, CODE_SCHEMA, _CODE_TOKENS) for prompt, _ in rows]
        replies, _ = write_all(runner, wanted, new_progress)
        codes = [read_code(reply.text) for reply in replies]
        answers += [{"id": task.id, "code": code} for task, code in zip(tasks, codes, strict=True)]
        compared = list(zip(tasks, codes, strict=True))
        measures["code_chrf"] = mean([chrf(code, task.code) for task, code in compared], weights)
        sound = [
            adds_no_error(task.code.split("\n"), code.split("\n"), task.language) for task, code in compared
        ]
        known = [float(each is not None) for each in sound]
        measures["code_valid"] = mean([float(bool(each)) for each in sound], weights, per=known)
    return measures


def read_code(text: str) -> str:
    """Return the code in what the model wrote; empty where it is none, or was cut off."""
    try:
        code = json.loads(text)["code"]
    except (ValueError, RecursionError, TypeError, KeyError):
        return ""
    return code if isinstance(code, str) else ""


def _score(
    attempt: Attempt, runner: Runner, items: Sequence[ReviewItem], kind: str, new_progress: NewProgress
) -> list[ScoredItem]:
    cache = ScoreCache(attempt.out / f"scores-{kind}.jsonl", attempt.scorer, fresh=attempt.fresh)
    return score_items(runner, items, cache, new_progress)[0]


def _worst(item: ScoredItem) -> float:
    return max((1 - row[0] for row in item.probabilities), default=0.0)


def _repair_request(task: FixTask, language: Language) -> WriteRequest:
    chunk, finding = task.buggy.to_chunk(), task.buggy.findings[0]
    line = next(line for line in chunk.commentable if line.new_number == finding.line)
    suffix = write_suffix(chunk, line, finding.category, language)
    return WriteRequest(review_prompt(chunk), suffix, reply_schema(), MAX_TOKENS)


def _row(task: FunctionTask) -> tuple[str, str]:
    """Return prompt and code as a conversation about it is trained on."""
    (row,) = text_rows(Conversation.of_pairs(((task.asked, task.code),)))
    return row.prompt, row.completion


def _length(runner: Runner, task: FunctionTask) -> int:
    return runner.count_tokens("".join(_row(task)))
