"""What happens between steps: losses and pace are passed on, limits end the run, checkpoints are sealed."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.finetune import checkpoints
from engine.finetune.processes import any_says
from engine.finetune.settings import FinetuneSettings

OnLog = Callable[[int, dict[str, float]], None]
"""Called with the step and the values that were logged at it."""

_PACE_STEPS = 50  # the latest, so that compilation at the start is soon forgotten


@dataclass(frozen=True, slots=True)
class Step:
    """How far a run is."""

    done: int
    steps: int
    tokens_per_second: float
    seconds_left: float


OnStep = Callable[[Step], None]
"""Called after each step."""


class Pace:
    """Measures the latest steps of a run; `sizes` are the tokens of every step of it."""

    def __init__(self, sizes: Sequence[int], clock: Callable[[], float] = time.monotonic) -> None:
        self._sizes, self._clock = sizes, clock
        self._ends: deque[tuple[int, float]] = deque(maxlen=_PACE_STEPS + 1)

    def begin(self, step: int) -> None:
        """Note that `step` steps were done before the first of these."""
        self._ends.append((step, self._clock()))

    def after(self, step: int) -> Step:
        """Note that `step` is done, and return how far the run is."""
        self._ends.append((step, self._clock()))
        (first, then), (_, now) = self._ends[0], self._ends[-1]
        seconds = max(now - then, 1e-9)
        left = len(self._sizes) - step
        return Step(
            step,
            len(self._sizes),
            sum(self._sizes[first:step]) / seconds,
            left * seconds / max(step - first, 1),
        )


def callbacks(
    on_log: OnLog,
    settings: FinetuneSettings,
    validates: bool,
    run: str,
    epochs: float,
    on_step: OnStep = lambda step: None,
    sizes: Sequence[int] = (),
) -> list[Any]:
    """Return the trainer's callbacks for the run called `run`, which goes `epochs` times through its rows.

    `sizes` are the tokens of its steps, for those who want to know its pace.
    """
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

    class Pacer(TrainerCallback):  # type: ignore[misc]
        """Tells after each step how far the run is."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.pace = Pace(sizes)
            self.pace.begin(int(state.global_step))

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            on_step(self.pace.after(int(state.global_step)))

    class Limits(TrainerCallback):  # type: ignore[misc]
        """Ends the run in time, and validates and saves its last step, wherever it falls."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            self.started = time.monotonic()

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if settings.max_seconds:
                late = time.monotonic() - self.started > settings.max_seconds
                if any_says(late, args.device):
                    control.should_training_stop = True
            if control.should_training_stop or state.global_step >= state.max_steps:
                control.should_log = control.should_save = True
                control.should_evaluate = validates

    class Sealer(TrainerCallback):  # type: ignore[misc]
        """Vouches for a checkpoint when every process has written its part of it."""

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            args.distributed_state.wait_for_everyone()
            if state.is_world_process_zero:
                checkpoints.seal(Path(args.output_dir) / f"checkpoint-{state.global_step}", run)

    patient = validates and settings.patience > 0
    stopping = [EarlyStoppingCallback(early_stopping_patience=settings.patience)] if patient else []
    return [Reporter(), Pacer(), Limits(), Sealer(), *stopping]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float)
