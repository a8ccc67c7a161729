"""A training run, or an adapter without measurements, and its evaluation -> an adapter that the engine loads.

The weights are copied as they are. What the evaluation measured goes into the manifest: the calibration and
the threshold, which decide what a reader sees; the scores, which tell how far to trust
it; and the probe, by which every runner that loads the adapter sees whether it does what it did.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from engine.adapter_files import check_adapter
from engine.adapters import CARD, CONFIG, WEIGHTS, Adapter, Manifest, write_manifest
from engine.curves import LossCurve, LossPoint, Objective, curve_of
from engine.errors import DataError
from engine.probes import Probe
from engine.scores import Calibration
from engine.wire import Language
from training.card import adapter_card

GEMMA_LICENCE = "Gemma Terms of Use (ai.google.dev/gemma/terms)"
Model = TypeVar("Model", bound=BaseModel)
_SHIPPED = ("item_auc", "line_auc", "top1", "top1_category", "recall90", "line_ece", "item_ece")


class RunRecord(BaseModel):
    """What packing needs of `run.json`, which the training routine writes last."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    base_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    dtype: str
    data_fingerprint: str
    settings: dict[str, JsonValue]
    preference: dict[str, JsonValue] | None = Field(default=None, description="Where it was tuned on that.")
    versions: dict[str, str]
    history: tuple[LossPoint, ...] = ()
    best_step: int | None = None


def pack(
    run: Path,
    evaluation: Path,
    card: Path | None,
    out: Path,
    *,
    name: str,
    base_model: str = "google/gemma-3-270m",
    languages: Sequence[Language] = (Language.EN,),
    licence: str = GEMMA_LICENCE,
) -> Adapter:
    """Write `out` from `run` (of `tenken-train sft`) and `evaluation` (of `tenken-train evaluate`).

    Without a card one is made of the manifest. Raises DataError naming the file and the field, and
    AdapterError if what was written does not load.
    """
    record = _parse(RunRecord, run / "run.json")
    manifest = Manifest(
        name=name,
        base_model=base_model,
        base_sha256=record.base_sha256,
        dtype=record.dtype,
        rank=int(_json(run / "adapter" / CONFIG)["r"]),
        data_fingerprint=record.data_fingerprint,
        settings=record.settings | _tuning(record),
        versions=record.versions,
        seed=int(str(record.settings.get("seed", 0))),
        languages=tuple(languages),
        licence=licence,
        curve=_curve(run, record),
    )
    return _write(run / "adapter", manifest, evaluation, card, out)


def repack(adapter: Path, evaluation: Path, card: Path | None, out: Path, *, name: str) -> Adapter:
    """Write `out`, the finished `adapter` with the measurements of another evaluation: another version.

    So an adapter that was merged gets the calibration, the threshold and the scores that are its own.
    """
    manifest = check_adapter(adapter).manifest
    fresh = {"name": name, "created": datetime.now(UTC).replace(microsecond=0)}
    return _write(adapter, manifest.model_copy(update=fresh), evaluation, card, out)


def _write(source: Path, manifest: Manifest, evaluation: Path, card: Path | None, out: Path) -> Adapter:
    measured = {
        "calibration": _parse(Calibration, evaluation / "calibration.json"),
        "probe": _parse(Probe, evaluation / "probe.json"),
        "scores": _scores(evaluation / "metrics.json"),
    }
    manifest = manifest.model_copy(update=measured)
    out.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, WEIGHTS):
        _copy(source / name, out / name)
    if card is None:
        (out / CARD).write_text(adapter_card(manifest), encoding="utf-8")
    else:
        _copy(card, out / CARD)
    return write_manifest(out, manifest)


def _tuning(record: RunRecord) -> dict[str, JsonValue]:
    return {"preference": record.preference["settings"]} if record.preference else {}


def _curve(run: Path, record: RunRecord) -> LossCurve | None:
    objective = Objective.PREFERENCE if record.preference else Objective.LABELS
    try:
        return curve_of(record.history, record.best_step, objective) if record.history else None
    except ValidationError as error:
        raise DataError(f"{run / 'run.json'}: history: {error.errors()[0]['msg']}") from error


def _scores(path: Path) -> dict[str, float]:
    """The main measures of the evaluated adapter on all items, and the share of valid replies."""
    document = _json(path)
    first = next(iter(document["systems"].values()))
    measures = first["groups"]["all"]
    found = {name: measures[name]["value"] for name in _SHIPPED}
    found["valid_replies"] = document["writing"]["valid_share"]
    return {name: round(float(value), 4) for name, value in found.items() if value is not None}


def _parse(model: type[Model], path: Path) -> Model:
    try:
        return model.model_validate(_json(path))
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{path}: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: {error}") from error


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise DataError(f"{source}: {error.strerror}") from error
