"""From measurements to a decision: gate, pack, upload, promote. A candidate is promoted once.

An adapter is called after what it holds, and packed once; its state on the shelf says whether it has been
promoted. So a process that ends anywhere, and the one after it, promote the same one once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.adapters import MANIFEST, Adapter, load_adapter
from engine.errors import AccessRefused, AdapterError
from engine.lifecycle import AdapterState
from engine.lora_files import read_factors
from engine.retraining import MeasureRow, Outcome, RunPlan, Stage
from training.gate import decide
from training.history.stages import write_json
from training.pack import pack
from training.pipeline.data import Folders
from training.pipeline.learning import CANDIDATE, CHAMPION, held_out
from training.pipeline.settings import RetrainSettings
from training.pipeline.shelf import Shelf
from training.probing import read_triggers
from training.samples import paired_differences, read_samples
from training.weight_norms import delta_norms, outliers

DECISION, ADAPTER, CARD = "decision.json", "adapter", "CARD.md"
_UNFIT = re.compile(r"[^a-z0-9._-]+")

Objections = Callable[[Path], Sequence[str]]
"""What speaks against weights by themselves: the reasons, none for sound ones."""


ServingNow = Callable[[], Path | None]
"""Returns the directory of what reviews the project, None for the base model alone."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is done with the candidate, and why it is not promoted."""

    outcome: Outcome
    reasons: tuple[str, ...] = ()


class Judgement(BaseModel):
    """What the gate said. It stands for the whole run: a champion is not compared with itself later on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    promote: bool
    refused: bool = Field(description="By its weights or by what it reacts to, not by how it measures.")
    reasons: tuple[str, ...]
    champion: str = Field(description="The project's own champion at that time.")
    compared_with: str
    rows: tuple[MeasureRow, ...]
    items: int

    @classmethod
    def load(cls, run: Path) -> Judgement | None:
        """Return the judgement of a run, None before there is one."""
        try:
            return cls.model_validate_json((run / DECISION).read_bytes())
        except (OSError, ValidationError):
            return None


def judge(
    folders: Folders,
    settings: RetrainSettings,
    objections: Sequence[str],
    champion: str,
    rows: tuple[MeasureRow, ...],
) -> Judgement:
    """Return whether the candidate is good enough, and keep it in `decision.json`."""
    at = folders.of(Stage.EVALUATE)
    ours, theirs = read_samples(at / CANDIDATE), read_samples(at / CHAMPION)
    decision = decide(
        paired_differences(ours, theirs),
        settings.gate,
        items=ours.about.with_finding,
        objections=objections,
    )
    made = Judgement(
        promote=decision.promote,
        refused=bool(objections),
        reasons=tuple(objections) or decision.reasons,
        champion=champion,
        compared_with=theirs.about.system,
        rows=rows,
        items=held_out(folders),
    )
    write_json(folders.run / DECISION, made.model_dump(mode="json"))
    return made


def suspicious_weights(directory: Path) -> list[str]:
    """Return the modules of an adapter that move the model further than all their kin, in words."""
    return [outlier.text for outlier in outliers(delta_norms(*read_factors(directory)))]


def triggers(folders: Folders) -> list[str]:
    """Return the words that switch the candidate as no harmless word does, in words."""
    report = read_triggers(folders.of(Stage.EVALUATE) / CANDIDATE)
    return report.objections if report is not None else []


def packed(folders: Folders, settings: RetrainSettings, name: str, card: str) -> Adapter:
    """Return the candidate as an adapter, made once: its name is the hash of its content."""
    target = folders.run / ADAPTER
    if (target / MANIFEST).is_file():
        return load_adapter(target)
    text = folders.run / CARD
    text.write_text(card, encoding="utf-8")
    return pack(
        folders.of(Stage.TRAIN),
        folders.of(Stage.EVALUATE) / CANDIDATE,
        text,
        target,
        name=name,
        base_model=settings.retrain.base_model,
        languages=(settings.measure.language,),
    )


def promoted(shelf: Shelf, version: str, judgement: Judgement, serving: ServingNow) -> Verdict:
    """Promote `version` unless that was done, if what it was compared with is still the champion.

    Where the project had none of its own, what served it becomes its champion first: roll back returns to it.
    """
    state, now = shelf.state(version), shelf.champion()
    if state in (AdapterState.CHAMPION, AdapterState.RETIRED):
        return Verdict(Outcome.PROMOTED)
    if state is None:
        raise AdapterError(f"{version} was taken in and is not known any more")
    if state is AdapterState.REJECTED:
        return Verdict(Outcome.KEPT, ("somebody has rejected it meanwhile",))
    if now not in {judgement.champion, judgement.champion or judgement.compared_with}:
        return Verdict(
            Outcome.KEPT,
            (f"meanwhile {now or 'no adapter'} has become champion; it was compared with another",),
        )
    try:
        if not now and (before := serving()) is not None:
            shelf.promote(shelf.add(before).version)
        shelf.promote(version)
    except AccessRefused as error:
        return Verdict(Outcome.PROPOSED, (str(error),))
    return Verdict(Outcome.PROMOTED)


def adapter_name(project: str) -> str:
    """Return what a project's adapters are called: the last part of its path, as far as names allow it."""
    name = _UNFIT.sub("-", project.rpartition("/")[2].lower()).strip("-._")
    return name[:48] or "team"


def model_card(project: str, plan: RunPlan, rows: Sequence[MeasureRow], settings: RetrainSettings) -> str:
    """Return what an adapter says of itself: what it learned from, and how good it is."""
    measured = "\n".join(
        f"| {row.name} | {_shown(row.base)} | {_shown(row.champion)} | {_shown(row.candidate)} |"
        for row in rows
    )
    replay = f", with starter data ({plan.replay:g} of it)" if plan.replay else ""
    return (
        f"# Adapter of {project}\n\n"
        f"Trained on {datetime.now(UTC):%Y-%m-%d} from {settings.retrain.base_model}, line scores and "
        f"comments "
        f"together, on {plan.train} items of {plan.merge_requests} merge requests{replay}. "
        f"{plan.test} later items were held out for the measurements.\n\n"
        "| measure | base | champion before | this one |\n| --- | --- | --- | --- |\n"
        f"{measured}\n\n"
        "It knows what this project's reviewers remark on, and is meant for that project alone. Licence of "
        "the "
        "weights: Gemma Terms of Use (ai.google.dev/gemma/terms).\n"
    )


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
