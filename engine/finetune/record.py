"""What a run did, as it stands in its `run.json`. Written last: where the file is, the run is finished."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.adapters import CONFIG, WEIGHTS
from engine.curves import LossPoint
from engine.finetune.settings import Backend, FinetuneSettings, PreferenceSettings

RUN = "run.json"
ORIGIN = "tenken.json"
"""Beside a converted base model: the sha256 of the GGUF that it was made of."""

_LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate", "tokenizers")


class Likelihoods(BaseModel):
    """Mean negative log-likelihoods in nats: of a token of judged texts, of a line's label."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    accepted: float
    rejected: float
    scores: float | None


class PreferenceRecord(BaseModel):
    """What preference tuning was given, and what came of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    settings: PreferenceSettings
    accepted: int
    rejected: int
    held_out: bool = Field(description="Whether it was measured on texts that were not trained on.")
    before: Likelihoods
    after: Likelihoods


class TrainingRun(BaseModel):
    """What a run was given, and what it did."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    adapter: Path = Field(exclude=True, description="The adapter's directory.")
    settings: FinetuneSettings = Field(description="Of preference tuning: of the adapter it began with.")
    preference: PreferenceRecord | None = None
    backend: Backend
    base: str = Field(description="Name of the base model's directory.")
    base_sha256: str | None = Field(description="Of the GGUF that the base was made of, where that is known.")
    dtype: str = Field(description="Of the base while training, e.g. bfloat16.")
    data_fingerprint: str = Field(description="sha256 of the encoded rows, validation rows last.")
    rows: int
    validation_rows: int
    dropped_too_long: int
    steps: int
    best_step: int | None = Field(description="The step that was saved, where it is not the last.")
    tokens: int = Field(description="Trained on in all steps, padding not counted.")
    seconds: float = Field(description="Of training, since it was last resumed.")
    tokens_per_second: float
    history: tuple[LossPoint, ...] = Field(description="Step, training loss, validation loss.")
    versions: dict[str, str]
    device: str


def run_id(
    settings: FinetuneSettings, data_fingerprint: str, base_sha256: str | None, processes: int = 1
) -> str:
    """Return the name of the run: checkpoints of one can be gone on from only by the same.

    How long it may take, and how often and where it logs, is no part of it.
    """
    given = settings.model_dump(mode="json", exclude={"max_seconds", "log_steps", "log_to"})
    several = [processes] if processes > 1 else []  # their steps are of other batches
    text = json.dumps([given, data_fingerprint, base_sha256, *several], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def preference_id(
    settings: PreferenceSettings, data_fingerprint: str, base_sha256: str | None, adapter: Path
) -> str:
    """Return the name of a run of preference tuning, as `run_id`; `adapter` is the one it begins with."""
    given = settings.model_dump(mode="json", exclude={"max_seconds", "log_steps", "log_to"})
    weights = hashlib.sha256((adapter / WEIGHTS).read_bytes()).hexdigest()
    text = json.dumps([given, data_fingerprint, base_sha256, weights], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def adapter_settings(adapter: Path) -> FinetuneSettings:
    """Return what an adapter was trained with, as its run says, or what its configuration still tells."""
    if (done := read_run(adapter.parent)) is not None:
        return done.settings
    config = json.loads((adapter / CONFIG).read_text("utf-8"))
    return FinetuneSettings(
        rank=config["r"], alpha=config["lora_alpha"], dropout=config.get("lora_dropout", 0.0)
    )


def write_run(out: Path, run: TrainingRun) -> None:
    """Write `run` to `out`/run.json, whole or not at all."""
    part = out / f".{RUN}"
    with part.open("w", encoding="utf-8") as file:
        file.write(run.model_dump_json(indent=1) + "\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(out / RUN)


def read_run(out: Path) -> TrainingRun | None:
    """Return the finished run in `out`, or None if there is none."""
    try:
        fields = json.loads((out / RUN).read_text("utf-8"))
        return TrainingRun.model_validate({**fields, "adapter": out / "adapter"})
    except (OSError, ValueError, TypeError, ValidationError):
        return None


def history(logs: Iterable[Mapping[str, Any]]) -> tuple[LossPoint, ...]:
    """Return the losses of a trainer's log, one entry a step."""
    points: dict[int, list[float | None]] = {}
    for entry in logs:
        for index, name in enumerate(("loss", "eval_loss")):
            if name in entry:
                points.setdefault(int(entry["step"]), [None, None])[index] = float(entry[name])
    return tuple(LossPoint(step, *losses) for step, losses in sorted(points.items()))


def base_sha256(base: Path) -> str | None:
    """Return the sha256 of the GGUF that the model in `base` was made of, if that was noted."""
    try:
        found = json.loads((base / ORIGIN).read_text("utf-8"))["gguf_sha256"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return str(found)


def versions(backend: Backend) -> dict[str, str]:
    """Return the versions of Python and of the libraries that took part."""
    extra = ("unsloth", "unsloth_zoo") if backend is Backend.UNSLOTH else ()
    found = {"python": platform.python_version()}
    for name in (*_LIBRARIES, *extra):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def device_name() -> str:
    """Return the name of the GPU, or of the kind of CPU without one."""
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else platform.machine()
