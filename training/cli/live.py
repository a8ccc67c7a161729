"""How far a training is: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.finetune.callbacks import Step

_SHOWN = ("loss", "eval_loss", "rewards/margins", "placement", "learning_rate", "epoch")
_ON_THE_BAR = ("loss", "eval_loss")


@dataclass(frozen=True, slots=True)
class Watch:
    """What a training calls."""

    on_log: Callable[[int, dict[str, float]], None]
    on_step: Callable[[Step], None]


@contextmanager
def watching(quiet: bool = False) -> Iterator[Watch]:
    """Show a training while inside; `quiet` for all processes of one but the first."""
    from rich.console import Console

    console = Console(stderr=True)
    if quiet:
        yield Watch(lambda step, values: None, lambda step: None)
    elif console.is_terminal:
        with _bar(console) as watch:
            yield watch
    else:
        yield _lines()


def _lines() -> Watch:
    latest: list[Step] = []

    def on_step(step: Step) -> None:
        latest[:] = [step]

    def on_log(step: int, values: dict[str, float]) -> None:
        shown = [f"{name} {values[name]:.4g}" for name in _SHOWN if name in values]
        if not shown:
            return
        pace = ""
        if latest:
            pace = f", {latest[0].tokens_per_second:.0f} tokens/s, {latest[0].seconds_left:.0f} s left"
        print(f"step {step}: {', '.join(shown)}{pace}", flush=True)

    return Watch(on_log, on_step)


@contextmanager
def _bar(console: object) -> Iterator[Watch]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[losses]}"),
        TextColumn("{task.fields[pace]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:  # type: ignore[arg-type]
        task = progress.add_task("training", total=None, losses="", pace="")
        losses: dict[str, float] = {}

        def on_step(step: Step) -> None:
            left = time.strftime("%H:%M:%S", time.gmtime(step.seconds_left))
            pace = f"{step.tokens_per_second:,.0f} tokens/s, {left} left"
            progress.update(task, completed=step.done, total=step.steps, pace=pace)

        def on_log(step: int, values: dict[str, float]) -> None:
            losses.update({name: values[name] for name in _ON_THE_BAR if name in values})
            progress.update(task, losses=" ".join(f"{name} {value:.4g}" for name, value in losses.items()))

        yield Watch(on_log, on_step)
