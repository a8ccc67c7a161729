"""A training's plan on a terminal, and the question whether to go on."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from engine.wire import Language

if TYPE_CHECKING:
    from training.plan import TrainingPlan
    from training.plan_texts import PlanTexts

_MINUTE, _HOUR = 60, 3600


def show_plan(plan: TrainingPlan, language: Language = Language.EN, *, to_error: bool = False) -> None:
    """Print what will be trained, with what settings and why, and what it takes."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from training.plan_texts import TEXTS

    texts = TEXTS[language]
    console = Console(stderr=to_error, highlight=False)
    volume, expected = plan.volume, plan.forecast
    console.print(escape(texts.heading.format(base=plan.base, card=plan.card.name)), style="bold")
    console.print(
        texts.data.format(
            rows=f"{volume.rows:,}", tokens=f"{volume.tokens:,}", validation=f"{volume.validation_rows:,}"
        )
    )
    if plan.choices:
        table = Table(texts.setting, texts.value, box=None, pad_edge=False)
        table.add_column(texts.reason, overflow="fold")
        for one in plan.choices:
            table.add_row(one.key, escape(_value(one.value)), _why(texts, one.why, one.numbers))
        console.print(table)
    console.print(
        texts.forecast.format(
            steps=f"{expected.steps:,}",
            time=duration(expected.seconds, texts),
            speed=f"{expected.tokens_per_second:,.0f}",
        )
    )
    if expected.compiling:
        console.print(texts.compiling.format(time=duration(expected.compiling, texts)))
    if plan.processes > 1:
        each = plan.step_tokens // plan.processes
        said = texts.several.format(
            processes=plan.processes, tokens=f"{plan.step_tokens:,}", each=f"{each:,}"
        )
        console.print(said)
    if plan.card.memory_gib is not None:
        memory = expected.memory
        parts = {
            name: f"{getattr(memory, name):.1f}" for name in ("weights", "adapter", "activations", "head")
        }
        room = texts.of_card.format(room=f"{plan.card.memory_gib:.1f}")
        console.print(f"{texts.memory.format(total=f'{memory.total:.1f}', **parts)}, {room}")
        if not plan.fits:
            console.print(texts.too_much, style="bold red")
    console.print(texts.estimate, style="dim")


def agreed(language: Language = Language.EN) -> bool:
    """Ask whether to train; where nobody can be asked, the answer is yes."""
    from training.plan_texts import TEXTS

    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return True
    print(TEXTS[language].ask, end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    return bool(answer) and answer.strip().lower() in ("", "y", "yes", "はい")


def duration(seconds: float, texts: PlanTexts) -> str:
    """Return a time as people say it."""
    if seconds < 2 * _MINUTE:
        return texts.seconds.format(count=f"{seconds:.0f}")
    if seconds < 2 * _HOUR:
        return texts.minutes.format(count=f"{seconds / _MINUTE:.0f}")
    return texts.hours.format(count=f"{seconds / _HOUR:.1f}")


def _why(texts: PlanTexts, why: object, numbers: Mapping[str, float]) -> str:
    from training.choices import Why

    return texts.why[Why(why)].format(**numbers)


def _value(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
