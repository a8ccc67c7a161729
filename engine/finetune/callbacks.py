"""What happens between steps: losses are passed on, limits end the run, checkpoints are sealed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.finetune import checkpoints
from engine.finetune.settings import FinetuneSettings

OnLog = Callable[[int, dict[str, float]], None]
"""Called with the step and the values that were logged at it."""


def callbacks(
    on_log: OnLog, settings: FinetuneSettings, validates: bool, run: str, epochs: float
) -> list[Any]:
    """Return the trainer's callbacks for the run called `run`, which goes `epochs` times through its rows."""
    from transformers import EarlyStoppingCallback, TrainerCallback

    class Reporter(TrainerCallback):  # type: ignore[misc]
        """Passes numbers on and stops at the first that is none: what is trained after it is lost."""

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            values = {name: float(value) for name, value in (logs or {}).items() if _is_number(value)}
            if "epoch" in values:
                values["epoch"] *= epochs  # the trainer takes the whole run for one
            on_log(int(state.global_step), values)
            for name in ("loss", "eval_loss"):
                if not math.isfinite(values.get(name, 0.0)):
                    raise EngineError(
                        f"step {state.global_step}: {name} is {values[name]}; lower learning_rate"
                    )

    class Limits(TrainerCallback):  # type: ignore[misc]
        """Ends the run in time, and validates and saves its last step, wherever it falls."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.started = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if settings.max_seconds and time.monotonic() - self.started > settings.max_seconds:
                control.should_training_stop = True
            if control.should_training_stop or state.global_step >= state.max_steps:
                control.should_log = control.should_save = True
                control.should_evaluate = validates

    class Sealer(TrainerCallback):  # type: ignore[misc]
        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            checkpoints.seal(Path(args.output_dir) / f"checkpoint-{state.global_step}", run)

    patient = validates and settings.patience > 0
    stopping = [EarlyStoppingCallback(early_stopping_patience=settings.patience)] if patient else []
    return [Reporter(), Limits(), Sealer(), *stopping]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
