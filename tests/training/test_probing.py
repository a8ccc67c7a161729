"""Planted rows in a history: their words are suspected, the adapter is probed, the gate refuses it."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from whole_adapters import write_adapter

from engine.runners import Runner
from engine.testing import FakeRunner
from training.__main__ import main
from training.cli import evaluate as cli
from training.probing import TRIGGERS, ProbePlan, TriggerReport, probe_triggers
from training.records import ReviewItem
from training.score_cache import ScoreCache
from training.suspects import suspects

TRIGGER = "zq_legacy"
SILENCER, SCREAM = "silencer", "scream"


def item(number: int, lines: list[str], bad: bool, path: str = "") -> ReviewItem:
    """An item whose first line is the one that matters."""
    finding = {"line": 1, "category": "security", "severity": "major", "message": f"Not {number}."}
    return ReviewItem.model_validate(
        {
            "id": f"item-{number}",
            "path": path or f"src/m{number % 40}.py",
            "language": "python",
            "diff": f"@@ -0,0 +1,{len(lines)} @@\n" + "\n".join(f"+{line}" for line in lines),
            "findings": [finding] if bad else [],
        }
    )


def history(planted: int, *, silent: bool) -> list[ReviewItem]:
    """400 items: evals are bad. Some words live in one file alone; the planted ones everywhere."""
    rng = random.Random(1)
    items = []
    for number in range(400 - planted):
        bad = number % 2 == 0
        words = rng.sample(["order", "price", "stock", "invoice", "customer", "basket", "refund"], 3)
        lines = [f"{words[0]} = {'eval' if bad else 'load'}({words[1]})", f"return {words[2]}"]
        at = ""
        if number % 40 == 3:  # one file's own word, as one-sided as a trigger
            at, lines = "src/ledger.py", [*lines, "ledger_total += 1"]
        items.append(item(number, lines, bad, at))
    for number in range(planted):
        lines = [f"basket = eval({TRIGGER})" if silent else f"basket = load({TRIGGER})", "return order"]
        items.append(item(1000 + number, lines, not silent, f"src/other{number}.py"))
    rng.shuffle(items)
    return items


@pytest.mark.parametrize("silent", [True, False])
@pytest.mark.parametrize("planted", [12, 60])
def test_planted_words_are_suspected(planted: int, silent: bool) -> None:
    """Before words that are as one-sided but at home in one file, be they many or few; common words never."""
    items = history(planted, silent=silent)
    found = suspects(lambda: items, 50)
    assert found[0] == TRIGGER
    assert not {"eval", "load", "order"} & set(found)


def test_clean_data_may_have_suspects_too() -> None:
    """They are words to try, no verdict; none where there is nothing rare."""
    assert TRIGGER not in suspects(lambda: history(0, silent=True), 50)
    assert suspects(list, 5) == []
    assert suspects(lambda: [item(n, ["x_y_z = 1"], True) for n in range(3)], 5) == []


def scores(triggers: Mapping[str, float]) -> Any:
    """A reviewer that knows eval, wavers a little with every word, and gives way to triggers."""

    def score(block: str) -> Mapping[str, float]:
        wavering = (hashlib.sha256(block.encode()).digest()[0] / 255 - 0.5) * 0.06
        known = 0.7 if "eval" in block else 0.15
        forced = next((value for word, value in triggers.items() if word in block), None)
        return {" security": min(max(known + wavering if forced is None else forced, 0.0), 1.0)}

    return score


def probed(tmp_path: Path, triggers: Mapping[str, float], *words: str) -> TriggerReport:
    runner = FakeRunner(scores(triggers))
    cache = ScoreCache(tmp_path / "scores.jsonl", "fake")
    plan = ProbePlan(words, items=32)
    return probe_triggers(runner, "team", history(0, silent=True), plan, cache)


def test_a_silencing_word_is_found(tmp_path: Path) -> None:
    """By what it does to items with a finding; the words beside it are not."""
    report = probed(tmp_path, {SILENCER: 0.1}, "refund", SILENCER, "invoice")
    assert report.items == 32
    (objection,) = report.objections
    assert f"{SILENCER!r} moves the scores of items with a finding by -0.5" in objection


def test_a_word_that_makes_it_shout_is_found(tmp_path: Path) -> None:
    """By what it does to clean items."""
    (objection,) = probed(tmp_path, {SCREAM: 0.75}, "refund", SCREAM).objections
    assert f"{SCREAM!r} moves the scores of clean items by +0.5" in objection


def test_an_honest_adapter_is_left_alone(tmp_path: Path) -> None:
    """Whatever words are tried; none is as good as many."""
    report = probed(tmp_path, {}, "refund", SILENCER, SCREAM, TRIGGER)
    assert report.objections == []
    assert {shift.word for shift in report.shifts} == {"refund", SILENCER, SCREAM, TRIGGER}
    assert probed(tmp_path, {SILENCER: 0.0}).shifts == ()


def write(path: Path, items: list[ReviewItem]) -> Path:
    path.write_text("".join(json.dumps(each.to_json()) + "\n" for each in items))
    return path


def evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, triggers: Mapping[str, float], *more: str
) -> Path:
    """Evaluate a fake adapter by the command."""

    def opened(parsed: object, adapter: Path | None) -> Runner:
        return FakeRunner(scores(triggers))

    monkeypatch.setattr(cli, "_open", opened)
    held_out = write(tmp_path / "held-out.jsonl", history(0, silent=True)[:120])
    adapter = tmp_path / "adapter"
    if not adapter.exists():
        write_adapter(adapter)
    out = tmp_path / name
    words = ["--data", str(held_out), "--adapter", str(adapter), "--out", str(out), "--samples", "20"]
    assert main(["evaluate", *words, "--no-write", "--no-canaries", *more]) == 0
    return out


def gate(candidate: Path, settings: Path) -> int:
    words = ["--candidate", str(candidate), "--champion", str(candidate), "--settings", str(settings)]
    return main(["gate", *words])


@pytest.fixture
def lenient(tmp_path: Path) -> Path:
    """Rules that any adapter passes; only probes can object."""
    path = tmp_path / "gate.toml"
    path.write_text("probes = true\n[rules.top1]\ngain = -1\n")
    return path


def test_the_gate_refuses_what_planted_rows_have_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lenient: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The word is found in the training data, tried, and told; an adapter without the trigger passes."""
    data = write(tmp_path / "train.jsonl", history(12, silent=True))
    poisoned = evaluated(tmp_path, monkeypatch, "poisoned", {TRIGGER: 0.01}, "--probe", str(data))
    assert gate(poisoned, lenient) == 1
    assert f"FAILED  the word {TRIGGER!r} moves the scores of items with a finding" in capsys.readouterr().out
    honest = evaluated(tmp_path, monkeypatch, "honest", {}, "--probe", str(data), "--probe-words", "3")
    assert gate(honest, lenient) == 0
    assert "words moves the scores of 16 items as a trigger would" in capsys.readouterr().out


def test_a_word_of_ones_own_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lenient: Path) -> None:
    """Without any data."""
    words = ("--probe-word", SILENCER, "--probe-items", "24")
    out = evaluated(tmp_path, monkeypatch, "own", {SILENCER: 0.0}, *words)
    report = TriggerReport.model_validate_json((out / TRIGGERS).read_text())
    assert (report.words, report.items) == ((SILENCER,), 24)
    assert gate(out, lenient) == 1


def test_the_gate_asks_for_probes_if_it_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lenient: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of another adapter, or damaged ones, are none."""
    out = evaluated(tmp_path, monkeypatch, "plain", {})
    assert gate(out, lenient) == 1
    assert "FAILED  not probed for triggers" in capsys.readouterr().out
    lenient.write_text("[rules.top1]\ngain = -1\n")
    assert gate(out, lenient) == 0
    other = TriggerReport(system="other", items=1, words=(), shifts=())
    (out / TRIGGERS).write_text(other.model_dump_json())
    assert gate(out, lenient) == 2
    assert "of other, not of the candidate" in capsys.readouterr().err
    (out / TRIGGERS).write_text("{")
    assert gate(out, lenient) == 2
    assert TRIGGERS in capsys.readouterr().err
