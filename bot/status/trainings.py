"""How trainings went, and how the one under way goes, as HTML: curves, words and numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from bot.retrain_texts import RETRAIN_TEXTS
from bot.status.curves import CurveWords, Places, loss_chart, series
from bot.status.facts import ProjectFacts
from bot.status.tables import table
from bot.status.texts import STATUS_TEXTS
from bot.texts import TEXTS
from engine.curves import LossCurve, evenly
from engine.retraining import RunStatus, Stage
from engine.wire import Language

_MOST_ROWS = 40
_STAGES = list(Stage)


class Trainings:
    """The curves of a page in one language."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self._texts = STATUS_TEXTS[language]

    def under_way(self, project: ProjectFacts) -> str:
        """Return how far a training is, with its losses so far; nothing where none runs."""
        status, texts = project.training, self._texts
        if status is None:
            return ""
        body, name = "", f"now-{project.id}"
        if status.curve.points:
            head = f"<span>{escape(texts.losses)}</span>"
            body = f'<div class="curves">{self._figure(status.curve, head, name, _steps(status))}</div>'
        return f"<h3>{escape(texts.training_now)}</h3><p>{escape(self._stage(status))}</p>{body}"

    def finished(self, project: ProjectFacts) -> str:
        """Return the curves of a project's adapters, the newest first."""
        drawn = []
        for number, adapter in enumerate(project.adapters or ()):
            if (curve := project.curves.get(adapter.version)) is not None:
                state = TEXTS[self._language].adapter_state[adapter.state]
                head = (
                    f"<code>{escape(adapter.version)}</code> "
                    f'<span class="state {adapter.state}">{escape(state)}</span>'
                )
                drawn.append(self._figure(curve, head, f"curve-{project.id}-{number}"))
        if not drawn:
            return ""
        return f'<h4>{escape(self._texts.losses)}</h4><div class="curves">{"".join(drawn)}</div>'

    def _stage(self, status: RunStatus) -> str:
        texts = RETRAIN_TEXTS[self._language]
        number = _STAGES.index(status.stage) + 1
        said = texts.stage_of.format(number=number, stages=len(_STAGES), stage=texts.stage[status.stage])
        if not (steps := _steps(status)):
            return said
        return f"{said} · {self._texts.steps_done.format(done=status.done, total=steps)}"

    def _figure(self, curve: LossCurve, head: str, name: str, steps: int = 0) -> str:
        """Return a curve under its head, with a legend that says its numbers, and all of these to unfold."""
        texts = self._texts
        said = self._said(curve)
        kept = "" if curve.kept_step is None else texts.kept.format(step=curve.kept_step)
        words = CurveWords(
            texts.losses,
            texts.sentence.join([*said.values(), *([kept] if kept else [])]),
            texts.axis_step,
            texts.axis_loss[curve.objective],
            kept,
        )
        legend = "".join(f'<li class="{kind}">{escape(text)}</li>' for kind, text in said.items())
        numbers = f"<summary>{escape(texts.numbers)}</summary>{self._numbers(curve)}"
        return (
            f"<figure><figcaption>{head}</figcaption>{loss_chart(curve, words, name, steps)}"
            f'<ul class="legend">{legend}</ul><details>{numbers}</details></figure>'
        )

    def _said(self, curve: LossCurve) -> Mapping[str, str]:
        training, validation = series(curve)
        named = (
            ("training", self._texts.training_loss, training),
            ("validation", self._texts.validation_loss, validation),
        )
        return {kind: self._from_to(name, places) for kind, name, places in named if places}

    def _from_to(self, name: str, places: Places) -> str:
        first, last = (f"{loss:.3g}" for _, loss in (places[0], places[-1]))
        return self._texts.from_to.format(name=name, first=first, last=last)

    def _numbers(self, curve: LossCurve) -> str:
        texts = self._texts
        steps = set(evenly([point.step for point in curve.points], _MOST_ROWS))
        rows = [
            (str(point.step), *(texts.none if loss is None else f"{loss:.4g}" for loss in point[1:]))
            for point in curve.points
            if point.step in steps
        ]
        return table(texts.loss_columns, rows, texts.losses)


def _steps(status: RunStatus) -> int:
    """Return how many steps are to be trained, as far as that is said."""
    return (status.total or 0) if status.stage is Stage.TRAIN else 0
