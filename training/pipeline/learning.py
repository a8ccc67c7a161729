"""From data to a candidate and its measurements, beside those of the champion and the base model.

Training goes on from the newest intact checkpoint, and an evaluation from the scores that it has, so a
process that ends anywhere loses minutes at most. What takes hours to import is imported here, in functions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.adapters import CONFIG, WEIGHTS
from engine.errors import DataError
from engine.finetune.callbacks import OnLog, OnStep
from engine.finetune.record import RUN, TrainingRun
from engine.finetune.rows import Row
from engine.finetune.settings import FinetuneSettings
from engine.retraining import MeasureRow, Stage
from engine.runners import Runner
from training.history.split import TEST, TRAIN
from training.history.stages import Made
from training.history.stages import Stage as FileStage
from training.pipeline.board import Board
from training.pipeline.data import Folders, read_json, rows_of
from training.pipeline.settings import MeasureSettings, RetrainSettings
from training.probing import SCORES, TRIGGERS, ProbePlan, probe_triggers, write_triggers
from training.progress import Progress
from training.records import ReviewItem
from training.samples import SAMPLES, paired_differences, read_samples

if TYPE_CHECKING:
    from training.evaluate import Subject

METRICS, PREDICTIONS, CALIBRATION, PROBE = (
    "metrics.json",
    "predictions.jsonl",
    "calibration.json",
    "probe.json",
)
CANDIDATE, CHAMPION = "candidate", "champion"
_ALWAYS = ("top1", "top1_category", "item_auc", "silent_clean", "false_alarms_per_clean_item", "comment_nll")


@dataclass(frozen=True, slots=True)
class Lesson:
    """What a candidate is trained on, and how."""

    base: Path  # Hugging Face directory
    rows: Sequence[Row]
    validation: Sequence[Row]
    settings: FinetuneSettings
    seconds: float  # that it takes, about


Settle = Callable[[Path, Sequence[Row], Sequence[Row], FinetuneSettings], tuple[FinetuneSettings, float]]
"""Chooses what the settings leave open, by base, rows and machine; returns how long it takes as well."""

Train = Callable[[Lesson, Path, OnLog, OnStep], TrainingRun]
"""Trains into a directory, going on where it was, and tells of losses and steps."""


OpenRunner = Callable[[Path | None], Runner]
"""Opens the base model with the adapter of a directory, or alone; to be closed by whoever asks."""


def read_lesson(folders: Folders, settings: RetrainSettings, base: Path, settle: Settle) -> Lesson:
    """Return the project's items as rows and, by their weight, those of the starter data."""
    from training.train import read_plan_rows

    replay = settings.retrain.replay
    data = [folders.items, *([replay] if replay else [])]
    weights = [1.0, settings.retrain.replay_weight] if replay else [1.0]
    rows, validation = read_plan_rows(
        data, settings.examples, weights, folders.dev if rows_of(folders.dev) else None
    )
    chosen, seconds = settle(base, rows, validation, settings.train)
    return Lesson(base, rows, validation, chosen, seconds)


def settle_here(
    base: Path, rows: Sequence[Row], validation: Sequence[Row], given: FinetuneSettings
) -> tuple[FinetuneSettings, float]:
    """Choose by the card of this machine, as `tenken-train plan` does."""
    from engine.finetune.cards import card_here
    from training.plan import make_plan

    plan = make_plan(base, rows, validation, card_here(), given)
    return plan.settings, plan.forecast.seconds


def train_candidate(folders: Folders, lesson: Lesson, train: Train, board: Board) -> TrainingRun:
    """Train, and tell how far it is."""
    out = folders.of(Stage.TRAIN)
    board.begin(Stage.TRAIN)
    if not (out / "checkpoints").exists():
        board.forget_losses()

    def on_log(step: int, values: dict[str, float]) -> None:
        training, validation = (
            round(values[name], 4) if name in values else None for name in ("loss", "eval_loss")
        )
        if training is not None or validation is not None:
            board.loss(step, training, validation)

    return train(lesson, out, on_log, lambda step: board.step(step.done, step.steps))


def train_here(lesson: Lesson, out: Path, on_log: OnLog, on_step: OnStep) -> TrainingRun:
    """Train in this process."""
    from engine.finetune.backend import choose_backend
    from engine.finetune.routine import finetune

    choose_backend(lesson.settings.backend)  # Unsloth, if it is to be used, must be the first to be imported
    return finetune(
        lesson.base,
        lesson.rows,
        lesson.validation,
        lesson.settings,
        out,
        resume=True,
        on_log=on_log,
        on_step=on_step,
    )


@dataclass(frozen=True, slots=True)
class Measuring:
    """What is measured, and how."""

    folders: Folders
    settings: MeasureSettings
    open_runner: OpenRunner
    board: Board

    def all(self, candidate: Path, champion: Path | None) -> None:
        """Measure candidate, base and champion on what is held out, each unless it is done."""
        from training.evaluate import find_subject

        base = find_subject("none")
        self.board.begin(Stage.EVALUATE)
        subject = replace(find_subject(str(candidate)), calibration=None)
        self._measured(CANDIDATE, [subject, base], probed=candidate)
        self._measured(CHAMPION, [find_subject(str(champion)) if champion else base])

    def _measured(self, name: str, subjects: Sequence[Subject], probed: Path | None = None) -> None:
        out = self.folders.of(Stage.EVALUATE) / name
        identities = {f"subject {number}": each.identity for number, each in enumerate(subjects)}
        stage = FileStage(name, out, (self.folders.items,), self.settings, identities)
        stage.run(lambda: self._measure(out, subjects, probed))

    def _measure(self, out: Path, subjects: Sequence[Subject], probed: Path | None) -> Made:
        from training.evaluate import Plan, evaluate, read_items
        from training.report import write_calibration, write_metrics, write_predictions
        from training.samples import write_samples

        settings = self.settings
        plan = Plan(
            items=read_items(self.folders.items, TEST, limit=settings.items),
            subjects=subjects,
            out=out,
            write=settings.write,
            language=settings.language,
            samples=settings.samples,
            seed=settings.seed,
        )
        evaluation = evaluate(plan, self.open_runner, self._progress)
        about = {"data": self.folders.items.name, "split": TEST, "items": len(plan.items)}
        write_metrics(out / METRICS, evaluation, about)
        write_predictions(out / PREDICTIONS, evaluation)
        write_samples(out / SAMPLES, evaluation, plan)
        write_calibration(out / CALIBRATION, evaluation.systems[0].refitted)
        made = (METRICS, PREDICTIONS, SAMPLES, CALIBRATION)
        if probed is None:
            return made, {}
        self._write_probe(out, probed)
        self._write_triggers(out, subjects[0], plan.items)
        return (*made, PROBE, TRIGGERS), {}

    def _write_probe(self, out: Path, directory: Path) -> None:
        from engine.probes import record_probe
        from training.report import write_probe

        with closing(self.open_runner(None)) as base, closing(self.open_runner(directory)) as adapted:
            write_probe(out / PROBE, record_probe(base, adapted))

    def _write_triggers(self, out: Path, subject: Subject, items: Sequence[ReviewItem]) -> None:
        """Try words of the training data that look planted: does one of them switch the candidate?"""
        from training.evaluate import scorer_of
        from training.score_cache import ScoreCache
        from training.suspects import suspects

        settings = self.settings
        words = suspects(self._trained_on, settings.probe_words)
        probing = ProbePlan(words, items=settings.probe_items, seed=settings.seed)
        with closing(self.open_runner(subject.directory)) as runner:
            cache = ScoreCache(out / SCORES, scorer_of(runner, subject))
            report = probe_triggers(runner, subject.name, items, probing, cache, self._progress)
        write_triggers(out, report)

    def _trained_on(self) -> Iterator[ReviewItem]:
        from training.records import read_review_items

        return (item for item in read_review_items(self.folders.items) if item.split == TRAIN)

    def _progress(self, what: str, total: int) -> Progress:
        return _Told(what, total, self.board)


class _Told(Progress):
    """Tells the board of every step."""

    def __init__(self, what: str, total: int, board: Board) -> None:
        super().__init__(what, total)
        self._board, self._all, self._seen = board, total, 0

    def step(self) -> None:
        super().step()
        self._seen += 1
        self._board.step(self._seen, self._all)


def measured_rows(folders: Folders, settings: RetrainSettings) -> tuple[MeasureRow, ...]:
    """Return what was measured of all systems: the usual measures, and those that the gate asks for."""
    at = folders.of(Stage.EVALUATE)
    differences = paired_differences(read_samples(at / CANDIDATE), read_samples(at / CHAMPION))
    systems = [*_systems(at / CANDIDATE), *_systems(at / CHAMPION)]
    rows = []
    for name in dict.fromkeys((*_ALWAYS, *settings.gate.rules)):
        candidate, base, champion = (each.get(name) for each in systems)
        difference = differences.get(name)
        if candidate is not None or champion is not None:
            low, high = (difference.low, difference.high) if difference else (None, None)
            rows.append(
                MeasureRow(name=name, base=base, champion=champion, candidate=candidate, low=low, high=high)
            )
    return tuple(rows)


def held_out(folders: Folders) -> int:
    """Return on how many items that was measured."""
    return int(read_json(folders.of(Stage.EVALUATE) / CANDIDATE / METRICS)["about"]["items"])


def _systems(directory: Path) -> list[dict[str, float | None]]:
    document = read_json(directory / METRICS)
    try:
        return [
            {name: measure["value"] for name, measure in system["groups"]["all"].items()}
            for system in document["systems"].values()
        ]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{directory / METRICS}: not the measurements of an evaluation") from error


def trained(folders: Folders) -> Path:
    """Return the directory of the weights that training left."""
    directory = folders.of(Stage.TRAIN) / "adapter"
    for name in (CONFIG, WEIGHTS):
        if not (directory / name).is_file():
            raise DataError(f"{directory / name}: not there, though {RUN} says that training is done")
    return directory
