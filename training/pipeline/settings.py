"""How a project is retrained: one TOML file with a table a stage, those of `training.history` among them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.finetune.settings import FinetuneSettings
from engine.runners.gemma.memory import Precision
from engine.wire import Language
from training.examples import ExampleSettings
from training.gate import GateSettings
from training.history.settings import HistorySettings
from training.toml_settings import key_error, read_toml


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunSettings(_Table):
    """When it is worth a run, and what is mixed in."""

    min_new: int = Field(
        default=20, ge=0, description="Items with findings that no finished run has had, at least."
    )
    replay: Path | None = Field(
        default=None, description="Starter data, review JSONL: keeps the model in mind of where findings go."
    )
    replay_weight: float = Field(
        default=0.3, gt=0, le=100, description="How often each of its items is used."
    )
    publish: bool = Field(
        default=False, description="Also as a generic package of the project; needs a token of scope api."
    )
    base_model: str = Field(
        default="google/gemma-3-270m", description="What the base is called in manifests."
    )


class MeasureSettings(_Table):
    """How candidate, champion and base are measured."""

    runner: Literal["llama", "torch"] = Field(default="llama", description="What runs the model.")
    device: str | None = Field(default=None, description="For torch; a GPU if there is one.")
    precision: Precision | None = Field(default=None, description="For torch; by the device if unset.")
    language: Language = Field(default=Language.EN, description="Of what is written.")
    write: bool = Field(default=True, description="Write messages as well, and compare them.")
    items: int | None = Field(default=None, ge=1, description="Of those held out, at most.")
    probe_words: int = Field(default=8, ge=0, description="Suspicious words of the data that are tried.")
    probe_items: int = Field(default=8, ge=1, description="In so many items with findings, and clean ones.")
    samples: int = Field(default=1000, ge=20, description="Of the bootstrap.")
    seed: int = Field(default=0, description="Of that, and of which items are taken.")


class RetrainSettings(HistorySettings):
    """All of a run."""

    retrain: RunSettings = RunSettings()
    train: FinetuneSettings = Field(
        default=FinetuneSettings(), description="What is not set is chosen by card and data."
    )
    examples: ExampleSettings = ExampleSettings()
    measure: MeasureSettings = MeasureSettings()
    gate: GateSettings = GateSettings()


def load_retrain_settings(path: Path | None) -> RetrainSettings:
    """Return the settings of a TOML file, or the usual ones. Raises ConfigError naming file and key.

    A relative `retrain.replay` is beside the file.
    """
    if path is None:
        return RetrainSettings()
    try:
        settings = RetrainSettings.model_validate(read_toml(path))
    except ValidationError as error:
        raise key_error(path, error) from error
    replay = settings.retrain.replay
    if replay is None or replay.is_absolute():
        return settings
    beside = settings.retrain.model_copy(update={"replay": path.parent / replay})
    return settings.model_copy(update={"retrain": beside})
