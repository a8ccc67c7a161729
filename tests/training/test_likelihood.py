"""The likelihood of people's comments, from items to numbers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import RunnerError
from engine.findings import Category, Severity
from engine.runners import Runner
from engine.testing import FakeReader, FakeRunner
from engine.wire import Language
from training.__main__ import main
from training.cli import evaluate as cli
from training.evaluate import BASE, Plan, Subject, evaluate
from training.likelihood import comment_measures, comment_requests, read_comments
from training.records import ReviewFinding, ReviewItem
from training.report import report_text, write_metrics, write_predictions
from training.scored import ScoredItem


def finding(line: int, message: str, **more: str) -> ReviewFinding:
    return ReviewFinding(
        line=line,
        category=Category.DOCS,
        severity=Severity.MAJOR,
        message=message,
        **more,  # type: ignore[arg-type]
    )


def item(number: int, *findings: ReviewFinding) -> ReviewItem:
    """An item of a context line, 9, and three added lines from 10 on."""
    return ReviewItem(
        id=f"item-{number}",
        diff="@@ -9,1 +9,4 @@\n old\n+a\n+b\n+c",
        path="a.py",
        language="python",
        findings=findings,
    )


ITEMS = [
    item(0, finding(11, "One two three."), finding(9, "Nobody can say this.")),
    item(1),
    item(2, finding(12, 'Say "four" words here.', message_ja="四つ")),
]
NAMES = {"ours": -1.0, BASE: -3.0}


def test_only_the_message_is_asked_about() -> None:
    """Its form and the suggestion are not; quotation marks stand as the reply has them."""
    ((_, request),) = comment_requests(ITEMS[2], Language.EN)
    assert request.text == '{"severity":"major","message":"Say \\"four\\" words here."}'
    assert request.text[slice(*request.span)] == 'Say \\"four\\" words here.'
    assert request.suffix == "\n4 c => docs en\n"


def test_comments_are_those_that_the_model_could_make() -> None:
    """None on a context line; Japanese where there is one and it is asked for."""
    assert [found.line for found, _ in comment_requests(ITEMS[0], Language.EN)] == [11]
    ((_, request),) = comment_requests(ITEMS[2], Language.JA)
    assert request.text[slice(*request.span)] == "四つ"
    assert request.suffix.endswith("docs ja\n")


def test_a_runner_that_stops_early_is_an_error() -> None:
    """No mean of half of the comments."""

    class Lazy(FakeReader):
        def likelihoods(self, requests, *rest):  # type: ignore[no-untyped-def]
            return super().likelihoods(requests[:1], *rest)

    with pytest.raises(RunnerError, match="1 of 2 comments"):
        read_comments(Lazy(), ITEMS, Language.EN)


def evaluated(out: Path, **options: object) -> dict[str, FakeReader]:
    """Evaluate an adapter beside the base, write the files, and return the runners."""
    runners = {name: FakeReader(log_probability=lambda word, p=p: p) for name, p in NAMES.items()}  # type: ignore[misc]
    subjects = [Subject("ours", Path("ours"), "ours-1", None), Subject(BASE, None, BASE, None)]
    plan = replace(Plan(ITEMS, subjects, out, samples=50), **options)  # type: ignore[arg-type]
    result = evaluate(plan, lambda adapter: runners[adapter.name if adapter else BASE])
    write_metrics(out / "metrics.json", result, {})
    write_predictions(out / "predictions.jsonl", result)
    (out / "report.md").write_text(report_text(result, {}, [], ""))
    return runners


def test_adapter_and_base_stand_side_by_side(tmp_path: Path) -> None:
    """The mean is over tokens, its difference is paired, and each comment's own is in the predictions."""
    evaluated(tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    found = {name: metrics["systems"][name]["groups"]["all"]["comment_nll"] for name in NAMES}
    assert found["ours"] == {"value": 1, "low": 1, "high": 1}
    assert found[BASE]["value"] == 3
    assert metrics["differences"][BASE]["comment_nll"]["value"] == -2
    assert metrics["systems"]["ours"]["reading"]["requests"] == 2
    rows = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [row["references"] for row in rows] == [
        [{"line": 11, "category": "docs", "tokens": 3, "nll_per_token": {"ours": 1, BASE: 3}}],
        [],
        [{"line": 12, "category": "docs", "tokens": 4, "nll_per_token": {"ours": 1, BASE: 3}}],
    ]
    report = (tmp_path / "report.md").read_text()
    assert "comments, nats | 1.000 (1.000 to 1.000) | 3.000" in report
    assert "comments, nats | -2.000" in report


def test_tokens_weigh_alike() -> None:
    """Long comments count for more than short ones: 3 tokens of 1 and 4 of 2 make 11/7."""
    runner = FakeReader(log_probability=lambda word: -1.0 if word in "One two three." else -2.0)
    comments, _ = read_comments(runner, ITEMS, Language.EN)
    assert [[comment.tokens for comment in found] for found in comments] == [[3], [], [4]]
    items = [ScoredItem(one, ()) for one in ITEMS]
    values = comment_measures(items, comments, samples=5, seed=0)["all"]["comment_nll"]
    assert values[0] == pytest.approx(11 / 7)


def test_it_can_be_left_out(tmp_path: Path) -> None:
    """Nothing is read, and no column is empty: there is none."""
    runners = evaluated(tmp_path, likelihood=False)
    assert runners["ours"].read == []
    assert "references" not in (tmp_path / "predictions.jsonl").read_text()
    assert "comments, nats" not in (tmp_path / "report.md").read_text()


def test_who_asks_for_it_gets_it_or_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The embedded runner cannot; that it was not measured is never a surprise."""

    def opened(parsed: object, adapter: Path | None) -> Runner:
        return FakeRunner()

    monkeypatch.setattr(cli, "_open", opened)
    data = tmp_path / "data.jsonl"
    data.write_text("".join(json.dumps(one.to_json()) + "\n" for one in ITEMS))
    arguments = ["evaluate", "--data", str(data), "--adapter", "none", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--likelihood"]) == 2
    assert "--runner torch" in capsys.readouterr().err
