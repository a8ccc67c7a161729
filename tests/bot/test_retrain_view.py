"""Retrainings in Markdown: every stage and outcome, in both languages, and nothing that does anything."""

from __future__ import annotations

import re
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fake_trainer import PLAN, ROWS, VERSION

from bot.retrain_texts import RETRAIN_TEXTS
from bot.retrain_view import duration, failed_text, finished_text, progress_text, result_text, sparkline
from bot.work import Failure, FailureKind
from engine.retraining import MeasureRow, Outcome, RunPlan, RunResult, RunStatus, Stage
from engine.wire import Language

NOW = datetime(2026, 11, 27, tzinfo=UTC)
EN = Language.EN
CURVE = {"points": ((10, 4.0, None), (20, 2.0, 2.1), (25, None, 2.0), (30, 1.0, None))}


def status(**changes: object) -> RunStatus:
    return RunStatus.model_validate(
        {"run": "one", "project": "team/app", "started": NOW, "updated": NOW, **changes}
    )


def result(outcome: Outcome = Outcome.PROMOTED, **changes: object) -> RunResult:
    given = {"version": VERSION, "champion": "starter-ba9876543210", "rows": ROWS, "items": 12, **changes}
    return RunResult.model_validate({"outcome": outcome, **given})


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("stage", list(Stage))
def test_every_stage_has_words(stage: Stage, language: Language) -> None:
    """With its place among all of them."""
    text = progress_text(status(stage=stage, done=3), language)
    assert RETRAIN_TEXTS[language].stage[stage] in text
    assert "11" in text


def test_how_far_training_is() -> None:
    """Bar, time left, losses as a line of blocks, and the plan below."""
    text = progress_text(
        status(stage=Stage.TRAIN, done=50, total=100, eta_seconds=600, curve=CURVE, plan=PLAN), EN
    )
    assert "`██████████░░░░░░░░░░` 6 of 11: training · about 10 min left" in text
    assert "Loss `█▃▁` 4.00 → 1.00" in text
    assert "120 hunks of 40 merge requests, 60 with remarks, 60 of these new" in text


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        (Outcome.PROMOTED, f"**Promoted.** `{VERSION}` passed every rule against `starter-ba9876543210`"),
        (Outcome.PROPOSED, "**Not promoted yet.**"),
        (Outcome.KEPT, f"**Not promoted.** `starter-ba9876543210` stays; `{VERSION}` is kept"),
        (Outcome.REFUSED, "**Refused.**"),
        (Outcome.PLANNED, "Nothing was trained."),
        (Outcome.TOO_LITTLE, "60 remarks are new, and 20 are needed"),
    ],
)
def test_every_outcome_is_told(outcome: Outcome, said: str) -> None:
    """With its reasons, which mention nobody, and the names of files as code."""
    text = result_text(status(plan=PLAN, result=result(outcome, reasons=("top1: 0 @all /close",))), EN)
    assert said in text
    assert "``!11 a`b@all.py:1``" in text
    if outcome not in (Outcome.PLANNED, Outcome.TOO_LITTLE):
        assert "`@all`" in text
        assert "| right line first | 0.100 | 0.400 | 0.600 | +0.050 … +0.300 |" in text


@pytest.mark.parametrize("language", list(Language))
@pytest.mark.parametrize("outcome", list(Outcome))
def test_both_languages_can_tell(outcome: Outcome, language: Language) -> None:
    """No text lacks what the other language has, and no braces are left."""
    told = result_text(status(plan=PLAN, curve=CURVE, result=result(outcome)), language, "/uploads/0a/x.png")
    done = finished_text(status(plan=PLAN, curve=CURVE, result=result(outcome)), language)
    assert "{" not in told + done


def test_languages_have_the_same_texts() -> None:
    """Stage by stage and measure by measure."""
    one, other = RETRAIN_TEXTS[Language.EN], RETRAIN_TEXTS[Language.JA]
    for field in fields(one):
        mine, theirs = getattr(one, field.name), getattr(other, field.name)
        assert type(mine) is type(theirs)
        if isinstance(mine, dict):
            assert mine.keys() == theirs.keys()


def test_the_base_model_has_a_name() -> None:
    """Where there was no adapter before."""
    text = result_text(status(plan=PLAN, result=result(champion="base")), EN)
    assert "passed every rule against the base model" in text


def test_a_measure_without_words_or_values() -> None:
    """It is shown as it is called; what was not measured has a dash."""
    rows = (MeasureRow(name="own_measure", candidate=0.5),)
    text = result_text(status(result=result(rows=rows)), EN)
    assert "| `own_measure` | – | – | 0.500 |  |" in text


def test_an_empty_plan_says_little() -> None:
    """Nothing about data that is not there."""
    text = progress_text(status(plan=RunPlan()), EN)
    assert "Starter data" not in text
    assert "Left out" not in text


@pytest.mark.parametrize(
    ("failure", "said", "hidden"),
    [
        (Failure(FailureKind.INPUT, "gate.rulez: not known"), "gate.rulez", "engine"),
        (Failure(FailureKind.ENGINE, "GitLab sleeps at 10.0.0.7"), "the trainer's log", "10.0.0.7"),
    ],
)
def test_what_went_wrong(failure: Failure, said: str, hidden: str) -> None:
    """What a project can mend in full, anything else in general."""
    text = failed_text(failure, EN)
    assert said in text
    assert hidden not in text


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ((), ""),
        ((1.0,), "▁"),
        ((1.0, 1.0), "▁▁"),
        ((0.0, 7.0), "▁█"),
        ((float("nan"), 0.0, float("inf"), 7.0), "▁█"),
        (tuple(range(48)), "▁▁▂▂▂▃▃▃▃▄▄▄▅▅▅▆▆▆▆▇▇▇██"),
    ],
)
def test_sparkline(values: tuple[float, ...], line: str) -> None:
    """One block for each, or for the mean of several; what is no number is left out."""
    assert sparkline(values) == line


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "5 s"), (62, "60 s"), (600, "10 min"), (5340, "89 min"), (9000, "2.5 h")]
)
def test_duration(seconds: float, said: str) -> None:
    """In the largest unit that says enough."""
    assert duration(seconds, RETRAIN_TEXTS[EN]) == said


def test_every_reason_has_words() -> None:
    """Those of `curate`, read from its source: the bot may not import it."""
    source = (Path(__file__).parents[2] / "training" / "history" / "curate.py").read_text("utf-8")
    names = re.findall(r"^    ([A-Z_]+) = \"", source.partition("class Reason")[2].partition("def ")[0], re.M)
    assert len(names) > 10
    for texts in RETRAIN_TEXTS.values():
        assert texts.why.keys() == {name.lower() for name in names}
