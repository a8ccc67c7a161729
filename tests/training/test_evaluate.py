"""`tenken-train evaluate` from a data file to its reports, with a fake runner."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engine.errors import AdapterError, RunnerError
from engine.probes import PROBE, Probe
from engine.prompts import LABELS
from engine.runners import Reply, Runner, ScoreRequest
from engine.scores import Calibration
from engine.testing import FakeRunner, by_keyword
from training import __main__ as command
from training.cli import evaluate as cli
from training.evaluate import BASE, Plan, Subject, evaluate, find_subject, read_items
from training.measures import family, measure, speak
from training.metrics import Floats
from training.records import ReviewItem
from training.report import write_predictions
from training.samples import read_samples
from training.score_cache import ScoreCache
from training.scored import ScoredItem

SHARP = by_keyword({"eval(": (" security", 0.9), "maybe": (" bug", 0.4)})
BLUNT = by_keyword({"return": (" bug", 0.3)})
HALF = Calibration(threshold=0.5)


def row(number: int, bad: bool, source: str = "tests+tool") -> dict[str, object]:
    """An item of three added lines from line 10 on; a bad one calls eval on line 11."""
    middle = f"b = eval(x{number})" if bad else f"b = maybe(x{number})"
    finding = {"line": 11, "category": "security", "severity": "major", "message": "Do not."}
    return {
        "id": f"item-{number}",
        "diff": f"@@ -9,0 +10,3 @@\n+a = {number}\n+{middle}\n+return a",
        "path": "a.py",
        "language": "python",
        "source": source if bad else "tests-clean",
        "findings": [finding] if bad else [],
        "split": "dev" if number % 5 else "train",
    }


ROWS = [row(number, number % 2 == 0) for number in range(20)]
ITEMS = [ReviewItem.model_validate(one) for one in ROWS]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in ROWS))
    return path


def plan_for(out: Path, **options: object) -> Plan:
    values: dict[str, object] = {
        "items": ITEMS,
        "subjects": [Subject("ours", Path("ours"), "ours-1", HALF)],
        "out": out,
        "samples": 20,
    }
    return Plan(**(values | options))  # type: ignore[arg-type]


def value(measures: dict[str, Floats], name: str) -> float:
    return float(measures[name][0])


def test_a_perfect_model_measures_as_perfect(tmp_path: Path) -> None:
    """Every bad line is found with its category, every clean item is silent."""
    evaluation = evaluate(plan_for(tmp_path), lambda adapter: FakeRunner(SHARP))
    measures = evaluation.systems[0].measures["all"]
    for name in ("item_auc", "line_auc", "recall90", "top1", "top1_category", "f1", "silent_clean"):
        assert value(measures, name) == 1, name
    assert value(measures, "top1_random") == pytest.approx(1 / 3)
    assert value(measures, "false_alarms_per_clean_item") == 0
    assert evaluation.written.valid_share == 1


def test_speaking_is_counted_by_hand() -> None:
    """Threshold 0.4: ten clean items with one false alarm each, ten findings found: precision 1/2."""
    rows = {True: (0.1, 0, 0.9, 0, 0, 0, 0, 0), False: (0.6, 0.4, 0, 0, 0, 0, 0, 0)}
    quiet = (1.0, 0, 0, 0, 0, 0, 0, 0)
    items = [ScoredItem(item, (quiet, rows[bool(item.findings)], quiet)) for item in ITEMS]
    measures = measure(speak(items, Calibration(threshold=0.4)), samples=5)["all"]
    assert value(measures, "precision") == 0.5
    assert value(measures, "recall") == 1
    assert value(measures, "false_alarms_per_clean_item") == 1
    assert value(measures, "silent_clean") == 0
    assert value(measures, "findings_per_item") == 1


def test_sources_are_measured_apart() -> None:
    """Findings and clean items of one origin share a group; one origin alone has no groups."""
    items = [ReviewItem.model_validate(row(n, n % 2 == 0, "other+tool")) for n in range(6)]
    quiet = ((1.0, 0, 0, 0, 0, 0, 0, 0),) * 3
    assert set(measure(speak([ScoredItem(item, quiet) for item in items], HALF), 2)) == {
        "all",
        "other",
        "tests",
    }
    assert set(measure(speak([ScoredItem(item, quiet) for item in ITEMS], HALF), 2)) == {"all"}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("git-history+ruff", "git-history"),
        ("git-history-clean", "git-history"),
        ("ruff-docs-good", "ruff-docs"),
        ("ruff-docs", "ruff-docs"),
        ("", ""),
        ("-ok", "-ok"),
    ],
)
def test_families_of_sources(source: str, expected: str) -> None:
    """The tool behind a plus and the word for clean are no part of the family's name."""
    assert family(source) == expected


def test_base_and_adapter_side_by_side(tmp_path: Path) -> None:
    """Both are scored on the same items; the difference has an interval above zero."""
    runners = {Path("ours"): FakeRunner(SHARP, adapter="ours"), None: FakeRunner(BLUNT)}
    subjects = [Subject("ours", Path("ours"), "ours-1", HALF), Subject(BASE, None, BASE, None)]
    evaluation = evaluate(plan_for(tmp_path, subjects=subjects), runners.__getitem__)
    assert [system.name for system in evaluation.systems] == ["ours", BASE]
    assert all(runner.closed for runner in runners.values())
    difference = evaluation.differences()[BASE]["item_auc"]
    assert difference.value == 0.5
    assert difference.low == 0.5
    assert runners[None].written == []


def test_scores_are_reused_until_something_changes(tmp_path: Path) -> None:
    """A second run scores nothing; another adapter, or `fresh`, scores everything."""

    def scored(**options: object) -> int:
        runner = FakeRunner(SHARP)
        evaluate(plan_for(tmp_path, write=False, **options), lambda adapter: runner)
        return len(runner.scored)

    assert scored() == 20
    assert scored() == 0
    assert scored(fresh=True) == 20
    assert scored(subjects=[Subject("ours", Path("ours"), "ours-2", HALF)]) == 20


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """Rows before a line that was cut off are kept; the rest is scored again."""
    path = tmp_path / "scores.jsonl"
    requests = [ScoreRequest(f"p{n}", ("b",)) for n in range(3)]
    cache = ScoreCache(path, "model")
    for request in requests:
        cache.put(request, ((0.5,) * len(LABELS),))
    path.write_text(path.read_text()[:-20])
    again = ScoreCache(path, "model")
    assert [again.get(request) is not None for request in requests] == [True, True, False]
    again.put(requests[2], ())
    assert ScoreCache(path, "model").get(requests[2]) == ()


def test_replies_are_counted_by_kind(tmp_path: Path) -> None:
    """A remark is kept, a null is taken back, nonsense is malformed; the valid share counts the first two."""
    replies = ['{"severity":"major","message":"No."}', "null", "nonsense"] * 4
    runner = FakeRunner(SHARP, [Reply(text, truncated=text == "nonsense") for text in replies])
    evaluation = evaluate(plan_for(tmp_path), lambda adapter: runner)
    assert evaluation.written.replies == {"remark": 4, "nothing": 3, "malformed": 3, "truncated": 3}
    assert evaluation.written.valid_share == pytest.approx(0.7)
    write_predictions(tmp_path / "p.jsonl", evaluation)
    first, *_, last = map(json.loads, (tmp_path / "p.jsonl").read_text().splitlines())
    assert first["findings"] == [
        {
            "line": 11,
            "category": "security",
            "confidence": pytest.approx(0.9),
            "severity": "major",
            "message": "No.",
            "suggestion": None,
        }
    ]
    assert (first["id"], first["score"], last["score"], last["findings"]) == ("item-0", 0.9, 0.4, [])


def test_a_runner_that_stops_early_is_an_error(tmp_path: Path) -> None:
    """Numbers are never computed from half of the answers."""

    class Lazy(FakeRunner):
        def score(self, requests, *rest):  # type: ignore[no-untyped-def]
            return super().score(requests[:3], *rest)

    with pytest.raises(RunnerError, match="3 of 20"):
        evaluate(plan_for(tmp_path), lambda adapter: Lazy(SHARP))


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object, scorer: object = SHARP) -> int:
    """Run the command with a fake in place of the runner it would open."""

    def opened(parsed: object, adapter: Path | None) -> Runner:
        return FakeRunner(scorer)  # type: ignore[arg-type]

    monkeypatch.setattr(cli, "_open", opened)
    return command.main(["evaluate", "--samples", "20", *map(str, arguments)])


def test_the_command_writes_all_files(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Metrics, report with plots, predictions, calibration and scores, for the items of the split."""
    pytest.importorskip("matplotlib")
    pytest.importorskip("sklearn")
    pytest.importorskip("sacrebleu")
    out = tmp_path / "out"
    plain = ["--data", data, "--adapter", "none", "--out", out, "--split", "dev"]
    assert run(monkeypatch, *plain) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["systems"]["base"]["groups"]["all"]["item_auc"]["value"] == 1
    assert metrics["sizes"]["all"] == {"findings": 8, "clean": 8}
    assert len((out / "predictions.jsonl").read_text().splitlines()) == 16
    assert Calibration.model_validate_json((out / "calibration.json").read_text()).points
    assert read_samples(out).about.with_finding == 8
    report = (out / "report.md").read_text()
    assert "right line and category first | 1.000" in report
    assert metrics["writing"]["texts"]["compared"] == 8
    assert "| ROUGE-L, mean | 0." in report
    for plot in ("reliability.png", "roc.png", "precision_recall.png", "sources.png"):
        assert f"({plot})" in report
        assert (out / plot).stat().st_size > 1000
    assert capsys.readouterr().out.strip().endswith("report.md")


def test_what_an_adapter_does_is_recorded(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`probe.json` holds what `pack` puts into the manifest; the base model has none."""
    out = tmp_path / "out"
    assert run(monkeypatch, "--data", data, "--adapter", "starter", "--out", out, "--no-write") == 0
    probe = Probe.model_validate_json((out / "probe.json").read_text())
    assert len(probe.base) == len(probe.adapter) == len(PROBE.blocks)
    bare = tmp_path / "bare"
    assert run(monkeypatch, "--data", data, "--adapter", "none", "--out", bare, "--no-write") == 0
    assert not (bare / "probe.json").exists()


def test_a_machine_without_matplotlib_still_gets_its_numbers(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report says that plots are missing and what would bring them."""
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert run(monkeypatch, "--data", data, "--adapter", "none", "--out", tmp_path, "--no-write") == 0
    assert "tenken[train]" in (tmp_path / "report.md").read_text()


def test_a_machine_without_sacrebleu_still_gets_its_numbers(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Messages are written and kept, only not compared."""
    monkeypatch.setitem(__import__("sys").modules, "sacrebleu", None)
    assert run(monkeypatch, "--data", data, "--adapter", "none", "--out", tmp_path) == 0
    writing = json.loads((tmp_path / "metrics.json").read_text())["writing"]
    assert (writing["texts"], writing["replies"]) == (None, {"remark": 10})


def test_bad_data_exits_2_and_names_line_and_field(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No stack trace: file, line and field of the first bad item."""
    bad = row(99, True) | {
        "findings": [{"line": 11, "category": "typo", "severity": "minor", "message": "m"}]
    }
    data.write_text(data.read_text() + json.dumps(bad) + "\n")
    assert run(monkeypatch, "--data", data, "--adapter", "none", "--out", tmp_path) == 2
    message = capsys.readouterr().err
    assert "line 21" in message
    assert "findings[0].category" in message


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["--split", "test"], 2, "no item is marked 'test'"),
        (["--adapter", "/nowhere"], 3, "no adapter"),
        (["--data", "/nowhere.jsonl"], 2, "nowhere.jsonl"),
    ],
)
def test_exit_codes(
    arguments: list[str],
    code: int,
    reason: str,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """2 for what the user gave, 3 for an adapter that cannot be used, each with its reason."""
    assert run(monkeypatch, "--data", data, "--adapter", "none", "--out", tmp_path, *arguments) == code
    assert reason in capsys.readouterr().err


def test_the_torch_runner_needs_its_base(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error says which option is missing."""
    arguments = ["--data", str(data), "--adapter", "none", "--out", str(tmp_path), "--runner", "torch"]
    assert command.main(["evaluate", *arguments]) == 2
    assert "--base-dir" in capsys.readouterr().err


def test_a_peft_directory_has_no_calibration_and_is_known_by_its_content(tmp_path: Path) -> None:
    """Without a manifest the weights' hash tells two adapters of one name apart."""
    weights = tmp_path / "adapter_model.safetensors"
    weights.write_bytes(b"one")
    first = find_subject(str(tmp_path))
    weights.write_bytes(b"two")
    second = find_subject(str(tmp_path))
    assert first.calibration is None
    assert first.identity != second.identity
    weights.unlink()
    with pytest.raises(AdapterError, match="no adapter"):
        find_subject(str(tmp_path))


def test_limit_and_tiers_choose_items(data: Path) -> None:
    """The limit counts what is left after split and tier."""
    assert [item.id for item in read_items(data, "dev", limit=2)] == ["item-1", "item-2"]
    assert len(read_items(data, None, without_tiers={"human"})) == 20


def test_item_probability_is_that_of_the_likeliest_line() -> None:
    """The item's score is the highest calibrated line probability, 0 without lines."""
    low, high = (0.8, 0.2, 0, 0, 0, 0, 0, 0), (0.4, 0, 0.6, 0, 0, 0, 0, 0)
    spoken = speak([ScoredItem(ITEMS[0], (low, high, low)), ScoredItem(ITEMS[1], (low,) * 3)], HALF)
    np.testing.assert_allclose(spoken.item_probabilities, [0.6, 0.2])
