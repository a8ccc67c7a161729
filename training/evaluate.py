"""A model on labelled items: what it finds, what it says, and how far it can be trusted.

Several systems (an adapter, the base model, baselines) are measured on the same items and the same bootstrap
samples, so their differences have intervals too. Reading and printing are `training.report`'s.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import DataError, MissingExtra
from engine.runners import LikelihoodRunner, Runner
from engine.scores import Calibration
from engine.wire import Language
from training.baselines import linear, majority
from training.bootstrap import Estimate
from training.calibration import fit_calibration
from training.canaries import canary_measures
from training.controls import Retriever
from training.errors import ServerFailed
from training.given import evenly, given_measures, given_places, retrieved, write_given
from training.judge import Judged, judge_messages
from training.likelihood import ItemComments, comment_measures, read_comments
from training.linters import LinterSettings, Style, measure_style
from training.measures import ALL, Measures, Spoken, differences, estimates, measure, speak
from training.progress import Progress
from training.records import ReviewItem, read_review_items
from training.said import Pair, Texts, measure_texts, pairs
from training.score_cache import ScoreCache
from training.scored import ScoredItem
from training.scoring import NewProgress, Speed, Written, score_items, unwritten, write_remarks
from training.subjects import BASE as BASE
from training.subjects import Subject as Subject
from training.subjects import find_subject as find_subject
from training.text_metrics import chrf

if TYPE_CHECKING:
    from training.extra.model_server import ModelServer

log = logging.getLogger(__name__)

RETRIEVAL = "retrieval"
_JUDGED = 200  # messages at most: each costs two requests
Opener = Callable[[Path | None], Runner]
"""Opens the runner with the adapter of a directory, or with none."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to evaluate, on what."""

    items: Sequence[ReviewItem]
    subjects: Sequence[Subject]  # the first one speaks, the others are compared with it
    out: Path
    write: bool = True
    likelihood: bool = True  # of the items' comments, where the runner can tell
    language: Language = Language.EN
    train: Sequence[ReviewItem] = ()  # for the baselines and the retriever; none: without them
    given: int = 0  # comments of the items that every system writes about, at most
    canaries: bool = False  # measure what was forgotten
    linters: LinterSettings = LinterSettings()  # noqa: RUF009 - frozen
    checkout: Path | None = None  # the project's files, for the linters
    judge: ModelServer | None = None
    fresh: bool = False
    samples: int = 1000
    seed: int = 0


@dataclass(frozen=True, slots=True)
class System:
    """One system's scores and, if it is a model, what running it cost."""

    name: str
    spoken: Spoken
    measures: dict[str, Measures]
    scoring: Speed
    refitted: Calibration  # on all of the data, for a manifest
    comments: tuple[ItemComments, ...] | None = None  # of each item; None where they were not read
    reading: Speed = field(default_factory=Speed)

    def estimates(self) -> dict[str, dict[str, Estimate]]:
        """Return each group's measures with their intervals."""
        return {group: estimates(measures) for group, measures in self.measures.items()}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was measured. The first system is the one evaluated; `written` is what it says."""

    systems: tuple[System, ...]
    written: Written
    texts: Texts | None = None  # how that is written; None where nothing was, or nothing could compare it
    style: Style | None = None  # None where no linter is set
    judged: Judged | None = None

    def differences(self) -> dict[str, dict[str, Estimate]]:
        """Return by how much the first system's measures on all items are above each other's."""
        first, *others = self.systems
        return {other.name: differences(first.measures["all"], other.measures["all"]) for other in others}


def read_items(
    path: Path, split: str | None, without_tiers: Collection[str] = (), limit: int | None = None
) -> list[ReviewItem]:
    """Return the items of `split`, or all, at most `limit`; raises DataError if none is left."""
    wanted = (
        item
        for item in read_review_items(path)
        if split in (None, item.split) and item.tier not in without_tiers
    )
    items = list(islice(wanted, limit))
    if not items:
        raise DataError(f"{path}, split: no item is marked {split!r}" if split else f"{path}: no items")
    return items


def evaluate(plan: Plan, open_runner: Opener, new_progress: NewProgress = Progress) -> Evaluation:
    """Score the plan's items with each subject and baseline, write the first one's messages, and measure."""
    if plan.given:
        chrf("", "")  # what is missing for it is missed now, not after hours
    systems: list[System] = []
    written = Written(())
    for number, subject in enumerate(plan.subjects):
        with closing(open_runner(subject.directory)) as runner:
            cache = ScoreCache(plan.out / _scores_file(number), scorer_of(runner, subject), fresh=plan.fresh)
            items, speed = score_items(runner, plan.items, cache, new_progress)
            system = _system(plan, subject.name, items, subject.calibration, speed)
            system = _with_comments(plan, runner, system, new_progress)
            systems.append(_with_more(plan, runner, system, scorer_of(runner, subject), number, new_progress))
            if number == 0:
                written = _say(plan, runner, systems[0].spoken, new_progress)
    systems += [_system(plan, name, items, None) for name, items in _baselines(plan)]
    systems += _retrieval(plan)
    return Evaluation(
        tuple(systems), written, _texts(plan, written), _style(plan, written), _judged(plan, written)
    )


def _system(
    plan: Plan,
    name: str,
    items: Sequence[ScoredItem],
    calibration: Calibration | None,
    speed: Speed = Speed(),  # noqa: B008 - frozen
) -> System:
    spoken = speak(items, calibration)
    measures = measure(spoken, plan.samples, plan.seed)
    return System(name, spoken, measures, speed, fit_calibration(spoken.table))


def _with_comments(plan: Plan, runner: Runner, system: System, new_progress: NewProgress) -> System:
    """Return the system with the likelihood of the items' comments among its measures, if it can be had."""
    if not plan.likelihood or not isinstance(runner, LikelihoodRunner):
        return system
    comments, speed = read_comments(runner, plan.items, plan.language, new_progress)
    more = comment_measures(system.spoken.items, comments, plan.samples, plan.seed)
    measures = {group: values | more[group] for group, values in system.measures.items()}
    return replace(system, measures=measures, comments=comments, reading=speed)


def _with_more(
    plan: Plan, runner: Runner, system: System, scorer: str, number: int, new_progress: NewProgress
) -> System:
    """Return the system with what it says about given comments, and what it has forgotten."""
    if plan.given:
        places = given_places(plan.items, plan.given)
        found, _ = write_given(runner, plan.items, places, plan.language, new_progress)
        system = _with_given(plan, system, found)
    if plan.canaries:
        cache = ScoreCache(plan.out / f"canaries-{number}.jsonl", scorer, fresh=plan.fresh)
        more = canary_measures(runner, cache, plan.samples, plan.seed, new_progress)
        system = replace(system, measures={**system.measures, ALL: system.measures[ALL] | more})
    return system


def _with_given(plan: Plan, system: System, found: Sequence[Pair]) -> System:
    more = given_measures(system.spoken.items, found, plan.samples, plan.seed)
    return replace(
        system, measures={group: values | more[group] for group, values in system.measures.items()}
    )


def _say(plan: Plan, runner: Runner, spoken: Spoken, new_progress: NewProgress) -> Written:
    if not plan.write:
        return unwritten(spoken)
    return write_remarks(runner, spoken, plan.language, new_progress)


def _texts(plan: Plan, written: Written) -> Texts | None:
    if not plan.write:
        return None
    try:
        return measure_texts(plan.items, written, plan.language, plan.samples, plan.seed)
    except MissingExtra as error:
        # What took hours to measure is worth having without these.
        log.warning("Messages are not compared: %s.", error)
        return None


def _baselines(plan: Plan) -> list[tuple[str, list[ScoredItem]]]:
    if not plan.train:
        return []
    return [
        ("majority", majority(plan.train, plan.items)),
        ("linear", linear(plan.train, plan.items, plan.seed)),
    ]


def _retrieval(plan: Plan) -> list[System]:
    """The nearest earlier comment: what an adapter has to beat to have learned more than to look up."""
    if not any(item.findings for item in plan.train):
        return []
    retriever = Retriever(plan.train)
    system = _system(plan, RETRIEVAL, retriever.score(plan.items), None)
    places = given_places(plan.items, plan.given)
    found = retrieved(retriever.comment, plan.items, places, plan.language)
    return [_with_given(plan, system, found) if plan.given else system]


def _style(plan: Plan, written: Written) -> Style | None:
    if not plan.linters.linters:
        return None
    return measure_style(plan.items, written, plan.linters, plan.checkout, plan.samples, plan.seed)


def _judged(plan: Plan, written: Written) -> Judged | None:
    if plan.judge is None:
        return None
    found = evenly(pairs(plan.items, written, plan.language), _JUDGED)
    try:
        return judge_messages(plan.judge, plan.items, found, plan.samples, plan.seed)
    except ServerFailed as error:
        log.warning("Messages are not judged: %s.", error)
        return None


def _scores_file(number: int) -> str:
    return ("scores.jsonl", "scores-base.jsonl")[number] if number < 2 else f"scores-{number}.jsonl"


def scorer_of(runner: Runner, subject: Subject) -> str:
    """Return who scores: it changes with the model and with every byte of the adapter."""
    return f"{type(runner).__name__} {runner.base_model} {subject.identity}"
