"""Everything that decides a training run. Recorded in the adapter's manifest as it was used."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Backend(StrEnum):
    """Which libraries load and train the model."""

    AUTO = "auto"  # Unsloth where it is installed and supports the device, else TRL and PEFT
    UNSLOTH = "unsloth"
    TRL = "trl"


class LogTo(StrEnum):
    """Where a run's values are logged besides its own files; never over a network."""

    NONE = "none"
    TENSORBOARD = "tensorboard"  # event files in the run's folder `logs`


class FinetuneSettings(BaseModel):
    """Settings of one run, from a TOML file or the command line; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    backend: Backend = Field(
        default=Backend.AUTO, description="What trains: Unsloth where it is installed with a GPU, else TRL."
    )
    rank: int = Field(default=16, ge=1, le=256, description="LoRA rank r.")
    alpha: float | None = Field(default=None, gt=0, description="LoRA alpha; 2 x rank if not given.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="On the input of each LoRA pair.")
    learning_rate: float = Field(default=5e-4, gt=0, le=0.1, description="The highest; falls linearly to 0.")
    weight_decay: float = Field(default=0.01, ge=0, description="Of AdamW.")
    warmup_steps: int = Field(default=30, ge=0, description="Steps up to that learning rate.")
    epochs: float = Field(default=3.0, gt=0, le=100, description="Passes over the rows.")
    max_steps: int = Field(default=-1, ge=-1, description="Ends the run early; below 1 for no limit.")
    max_seconds: float = Field(
        default=0, ge=0, description="Ends the run early, adapter saved; 0 for no limit."
    )
    batch_tokens: int = Field(default=16384, ge=64, description="Padded tokens a step, over all rows of it.")
    accumulation: int = Field(default=1, ge=1, description="Micro-batches a step; each holds batch_tokens.")
    max_length: int = Field(
        default=1536, ge=16, description="Longer rows are dropped and counted, never cut."
    )
    load_in_4bit: bool = Field(default=False, description="The base in 4 bits (nf4), for small cards.")
    gradient_checkpointing: bool = Field(
        default=False, description="Compute activations twice instead of keeping them: less memory, slower."
    )
    compile_layers: bool = Field(
        default=False,
        description="Fuse each layer's kernels; a minute to start, pays off for long runs on a GPU.",
    )
    validation_share: float = Field(
        default=0.0, ge=0, lt=0.5, description="Taken from the rows if none are given."
    )
    eval_steps: int = Field(default=100, ge=1, description="Steps between validations and checkpoints.")
    log_steps: int = Field(default=10, ge=1, description="Steps between logs of the training loss.")
    log_to: LogTo = Field(default=LogTo.NONE, description="Where losses go besides the run's own log.")
    patience: int = Field(
        default=0, ge=0, description="Validations without gain before stopping; 0 for never."
    )
    seed: int = Field(default=0, description="Of order and adapter; the same run again has the same losses.")


class PreferenceSettings(BaseModel):
    """Settings of preference tuning; the adapter's form is that of the one it starts from."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    beta: float = Field(default=0.1, gt=0, description="How dearly leaving the given adapter is paid.")
    learning_rate: float = Field(default=5e-5, gt=0, le=0.1, description="The highest; falls linearly to 0.")
    weight_decay: float = Field(default=0.0, ge=0, description="Of AdamW.")
    warmup_steps: int = Field(default=5, ge=0, description="Steps up to that learning rate.")
    epochs: int = Field(default=2, ge=1, le=100, description="Passes over the judged texts.")
    max_steps: int = Field(default=-1, ge=-1, description="Ends the run early; below 1 for no limit.")
    max_seconds: float = Field(
        default=0, ge=0, description="Ends the run early, adapter saved; 0 for no limit."
    )
    batch_rows: int = Field(default=8, ge=2, description="Judged texts of a step.")
    replay_weight: float = Field(
        default=1.0, ge=0, description="Of the line scores' loss beside that of preference; 0 for none."
    )
    replay_tokens: int = Field(default=4096, ge=64, description="Padded tokens of line scores in each step.")
    max_length: int = Field(
        default=1536, ge=16, description="Longer rows are dropped and counted, never cut."
    )
    min_each: int = Field(
        default=10, ge=1, description="Accepted and rejected texts that there have to be at least."
    )
    gradient_checkpointing: bool = Field(
        default=False, description="Compute activations twice instead of keeping them: less memory, slower."
    )
    save_steps: int = Field(default=25, ge=1, description="Steps between checkpoints.")
    log_steps: int = Field(default=5, ge=1, description="Steps between logs.")
    log_to: LogTo = Field(default=LogTo.NONE, description="Where losses go besides the run's own log.")
    seed: int = Field(default=0, description="Of order and adapter; the same run again has the same losses.")
