"""From data to a candidate and its measurements, beside those of the champion and the base model.

Training goes on from the newest intact checkpoint, and an evaluation from the scores that it has, so a
process that ends anywhere loses minutes at most. What takes hours to import is imported here, in functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from engine.adapters import CONFIG, MANIFEST, WEIGHTS
from engine.errors import DataError
from engine.finetune.record import RUN, TrainingRun
from engine.finetune.settings import FinetuneSettings
from engine.retraining import MeasureRow, Stage
from engine.runners import Runner
from training.history.split import TEST
from training.history.stages import Made
from training.history.stages import Stage as FileStage
from training.pipeline.board import Board
from training.pipeline.data import Folders, read_json, rows_of
from training.pipeline.settings import MeasureSettings, RetrainSettings
from training.progress import Progress
from training.samples import SAMPLES, paired_differences, read_samples

if TYPE_CHECKING:
    from training.evaluate import Subject
    from training.train import Plan as TrainPlan

METRICS, PREDICTIONS, CALIBRATION, PROBE = (
    "metrics.json",
    "predictions.jsonl",
    "calibration.json",
    "probe.json",
)
CANDIDATE, CHAMPION = "candidate", "champion"
_ALWAYS = ("top1", "top1_category", "item_auc", "silent_clean", "false_alarms_per_clean_item", "comment_nll")

Train = Callable[["TrainPlan", Callable[[int, dict[str, float]], None]], TrainingRun]
"""Trains, going on where it was; what it is given hears of each step that is logged."""


class OpenRunner(Protocol):
    """Opens the base model with the adapter of a directory, or alone."""

    def __call__(self, adapter: Path | None) -> Runner:
        """Return the runner, to be closed by the caller."""


def train_candidate(
    folders: Folders, settings: RetrainSettings, base: Path, train: Train, board: Board
) -> TrainingRun:
    """Train on the project's items and, by their weight, on the starter data."""
    from training.train import Plan

    out = folders.of(Stage.TRAIN)
    wanted = settings.train
    board.begin(Stage.TRAIN, _hundredths(wanted))
    if not (out / "checkpoints").exists():
        board.forget_losses()
    replay = settings.retrain.replay
    plan = Plan(
        data=[folders.items, *([replay] if replay else [])],
        base=base,
        out=out,
        settings=wanted,
        examples=settings.examples,
        validation=folders.dev if rows_of(folders.dev) else None,
        weights=[1.0, settings.retrain.replay_weight] if replay else (),
    )

    def on_log(step: int, values: dict[str, float]) -> None:
        if "loss" in values:
            board.loss(round(values["loss"], 4))
        if "eval_loss" in values:
            board.validation_loss(round(values["eval_loss"], 4))
        board.step(_done(wanted, step, values.get("epoch", 0.0)))

    return train(plan, on_log)


def train_here(plan: TrainPlan, on_log: Callable[[int, dict[str, float]], None]) -> TrainingRun:
    """Train in this process."""
    from engine.finetune.backend import choose_backend
    from training.train import train

    choose_backend(plan.settings.backend)  # Unsloth, if it is to be used, must be the first to be imported
    return train(plan, resume=True, on_log=on_log)


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
        return (*made, PROBE), {}

    def _write_probe(self, out: Path, directory: Path) -> None:
        from engine.probes import record_probe
        from training.report import write_probe

        with closing(self.open_runner(None)) as base, closing(self.open_runner(directory)) as adapted:
            write_probe(out / PROBE, record_probe(base, adapted))

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


def open_with(settings: MeasureSettings, base: Path) -> OpenRunner:
    """Return what opens runners as the settings say; `base` is a Hugging Face directory."""

    def open_runner(adapter: Path | None) -> Runner:
        if settings.runner == "llama":
            return _open_llama(adapter)
        from engine.runners.torch_opening import TorchOptions, default_device, open_torch_directory

        device = settings.device or default_device()
        precision = settings.precision or ("bfloat16" if device.startswith("cuda") else "float32")
        options = TorchOptions(device=device, precision=precision, rank=_LARGEST_RANK)
        return open_torch_directory(base, options, adapter, adapter, adapter.name if adapter else "")

    return open_runner


_LARGEST_RANK = 64


def _open_llama(adapter: Path | None) -> Runner:
    from engine.adapters import load_adapter
    from engine.opening import open_runner, open_unpacked
    from engine.settings import RunnerKind, load_settings

    settings = load_settings().model_copy(update={"runner": RunnerKind.LLAMA})
    if adapter is not None and not (adapter / MANIFEST).is_file():
        return open_unpacked(settings, adapter)
    return open_runner(settings, load_adapter(adapter) if adapter else None)


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


def _hundredths(settings: FinetuneSettings) -> int:
    return 100 if settings.max_steps < 1 else settings.max_steps


def _done(settings: FinetuneSettings, step: int, epoch: float) -> int:
    """How far training is: steps where their number is set, else hundredths of all epochs."""
    return step if settings.max_steps > 0 else round(100 * epoch / settings.epochs)
