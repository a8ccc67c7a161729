"""A retraining in Markdown: how far it is, what it is trained on, what came of it. Pure.

What a run says of itself holds words of the project's history and names of its files: they are shown, and do
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.masking import mask
from bot.progress import bar
from bot.retrain_texts import RETRAIN_TEXTS, RetrainTexts
from bot.run_texts import RUN_TEXTS
from bot.work import Failure, FailureKind
from engine.retraining import MeasureRow, Outcome, RunPlan, RunResult, RunStatus, Stage
from engine.sanitize import code_span, inline
from engine.wire import Language

_BLOCKS = "▁▂▃▄▅▆▇█"
_POINTS = 24
_REASONS, _DROPPED = 12, 8
_LONGEST = 400
_STAGES = list(Stage)


def progress_text(status: RunStatus, language: Language) -> str:
    """Return the note that is edited while it goes on: stage, bar, time left, losses, and the plan."""
    texts = RETRAIN_TEXTS[language]
    number = _STAGES.index(status.stage) + 1
    stage = texts.stage_of.format(number=number, stages=len(_STAGES), stage=texts.stage[status.stage])
    share = (number - 1) / len(_STAGES) if status.share is None else status.share
    parts = [f"`{bar(share)}` {stage}", *_details(status, texts)]
    lines = [f"🔁 **{texts.title}**", " · ".join(parts)]
    if status.losses:
        lines.append(_loss(status, texts))
    if status.plan is not None:
        lines.append(plan_text(status.plan, language))
    return "\n\n".join(lines)


def plan_text(plan: RunPlan, language: Language) -> str:
    """Return what is trained on, and how long it takes."""
    texts = RETRAIN_TEXTS[language]
    found = [
        texts.trained_on.format(
            items=plan.items,
            findings=plan.with_findings,
            new=plan.new,
            mrs=plan.merge_requests,
            train=plan.train,
            dev=plan.dev,
            test=plan.test,
        ),
        *_data_lines(plan, texts),
    ]
    if plan.seconds is not None:
        found.append(texts.takes.format(time=duration(plan.seconds, texts)))
    return "\n".join(f"- {line}" for line in found)


def result_text(status: RunStatus, language: Language, plot: str = "", *, nightly: bool = False) -> str:
    """Return what came of it, with the measures before and after; `plot` is the picture's address."""
    texts, result = RETRAIN_TEXTS[language], status.result
    assert result is not None
    plan = status.plan or RunPlan()
    lines = [_outcome(result, plan, texts)]
    if nightly:
        lines.insert(0, texts.nightly)
    if result.outcome in (Outcome.PLANNED, Outcome.TOO_LITTLE):
        return "\n\n".join([*lines, plan_text(plan, language)])
    if result.reasons:
        told = "\n".join(f"- {_shown(reason)}" for reason in result.reasons[:_REASONS])
        lines.append(f"{texts.reasons}\n\n{told}")
    if result.rows:
        lines += [_table(result.rows, texts), texts.measured_on.format(items=result.items)]
    if plot:
        lines.append(f"![{texts.plot}]({plot})")
    if data := _data_lines(plan, texts):
        lines.append("\n".join(f"- {line}" for line in data))
    if result.package:
        lines.append(texts.package.format(place=code_span(result.package)))
    return "\n\n".join(lines)


def finished_text(status: RunStatus, language: Language) -> str:
    """Return the last state of the note that was edited."""
    texts = RETRAIN_TEXTS[language]
    lines = [f"🔁 **{texts.title}**", texts.done]
    if status.losses:
        lines.append(_loss(status, texts))
    if status.plan is not None:
        lines.append(plan_text(status.plan, language))
    return "\n\n".join(lines)


def failed_text(failure: Failure, language: Language) -> str:
    """Return why there is no new adapter. Only what a project has to mend is told in full."""
    texts = RETRAIN_TEXTS[language]
    reason = RUN_TEXTS[language].reason[failure.kind]
    if failure.kind is FailureKind.INPUT:
        reason = _shown(failure.text)
    elif failure.kind is FailureKind.ENGINE:
        reason = texts.cannot
    return f"**{texts.failed}** {reason}\n\n{texts.again}"


def cancelled_text(user: str, language: Language) -> str:
    """Return what the note says when somebody has ended it."""
    texts = RETRAIN_TEXTS[language]
    # A name behind an @ would send its owner a message.
    return f"🔁 **{texts.title}**\n\n{texts.cancelled.format(user=code_span(user))}"


def duration(seconds: float, texts: RetrainTexts) -> str:
    """Return a time in the largest fitting unit."""
    if seconds < 90:
        return texts.seconds.format(count=max(5, round(seconds / 5) * 5))
    if seconds < 5400:
        return texts.minutes.format(count=round(seconds / 60))
    return texts.hours.format(count=round(seconds / 3600, 1))


def sparkline(values: Sequence[float]) -> str:
    """Return values as a row of blocks, the lowest as the lowest block."""
    finite = [value for value in values if value == value and abs(value) != float("inf")]
    if not finite:
        return ""
    size = min(_POINTS, len(finite))
    parts = [finite[len(finite) * n // size : len(finite) * (n + 1) // size] for n in range(size)]
    means = [sum(part) / len(part) for part in parts]
    low, high = min(means), max(means)
    scale = (len(_BLOCKS) - 1) / (high - low) if high > low else 0.0
    return "".join(_BLOCKS[round((mean - low) * scale)] for mean in means)


def _details(status: RunStatus, texts: RetrainTexts) -> list[str]:
    found = []
    if status.stage is Stage.COLLECT and status.done:
        found.append(texts.merge_requests.format(count=status.done))
    if status.eta_seconds is not None:
        found.append(texts.left.format(time=duration(status.eta_seconds, texts)))
    return found


def _loss(status: RunStatus, texts: RetrainTexts) -> str:
    losses = status.losses
    return texts.loss.format(line=sparkline(losses), first=f"{losses[0]:.2f}", last=f"{losses[-1]:.2f}")


def _data_lines(plan: RunPlan, texts: RetrainTexts) -> list[str]:
    found = []
    if plan.examples:
        found.append(texts.examples.format(places=", ".join(map(code_span, plan.examples))))
    if plan.items:
        replay = texts.replay.format(share=f"{plan.replay:g}") if plan.replay else texts.no_replay
        found.append(replay)
    if plan.dropped:
        most = sorted(plan.dropped.items(), key=lambda each: -each[1])[:_DROPPED]
        named = ((texts.why.get(reason) or _shown(reason), count) for reason, count in most)
        found.append(texts.dropped.format(reasons=", ".join(f"{name} {count}" for name, count in named)))
    for text, count in (
        (texts.replaced, sum(plan.replaced.values())),
        (texts.broken, plan.broken),
        (texts.unread, plan.unread),
    ):
        if count:
            found.append(text.format(count=count))
    return found


def _outcome(result: RunResult, plan: RunPlan, texts: RetrainTexts) -> str:
    return texts.outcome[result.outcome].format(
        version=code_span(result.version),
        champion=code_span(result.champion) if result.champion not in ("", "base") else texts.base_model,
        new=plan.new,
        needed=plan.needed,
    )


def _table(rows: Sequence[MeasureRow], texts: RetrainTexts) -> str:
    lines = [texts.columns, ("---",) * len(texts.columns), *(_row(row, texts) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(row: MeasureRow, texts: RetrainTexts) -> tuple[str, ...]:
    name = texts.measure.get(row.name) or code_span(row.name)
    span = "" if row.low is None or row.high is None else f"{row.low:+.3f} … {row.high:+.3f}"
    return (name, *(_number(value) for value in (row.base, row.champion, row.candidate)), span)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _shown(text: str) -> str:
    return inline(mask(text[:_LONGEST]))
