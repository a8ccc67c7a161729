"""A benchmark out of a small repository: made, run twice, refused when changed."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from engine.diffs import LineKind
from engine.git import Git
from engine.runners import Runner, WriteRequest
from engine.testing import FakeReader, by_keyword
from training.__main__ import main
from training.benchmark.build import Sources, build
from training.benchmark.fixes import fix_tasks
from training.benchmark.score import Attempt, read_code, run_benchmark
from training.benchmark.tasks import FIXES, FUNCTIONS, FixTask, FunctionTask, read_tasks
from training.cli import benchmark as cli

pytest.importorskip("sacrebleu")
pytest.importorskip("tree_sitter_python")

CODE = '''"""A shop."""


def total(prices, discount):
    """Return the sum of all prices, less a discount that is a share of them."""
    whole = 0
    for price in prices:
        whole -= price
    return whole * (1 - discount)
'''
FIX = ("        whole -= price", "        whole += price")


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with one small fix among commits that are none."""
    folder = tmp_path_factory.mktemp("clone")
    environment = {
        "PATH": os.environ["PATH"],
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
    }
    environment |= {
        f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }

    environment |= {f"GIT_{who}_DATE": "2026-01-01T00:00:00Z" for who in ("AUTHOR", "COMMITTER")}

    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True)

    def commit(subject: str, **files: str) -> None:
        for name, text in files.items():
            (folder / f"{name}.py").write_text(text)
        git("add", "-A")
        git("commit", "-m", subject)

    git("init", "-b", "main")
    commit("Add a shop", shop=CODE)
    commit("Fix the sum of prices", shop=CODE.replace(*FIX))
    commit("Fix typo in docs", shop=CODE.replace(*FIX).replace("A shop", "One shop"))
    commit("Fix crash of everything", shop=CODE.replace(*FIX), other="x = 1\n", third="y = 2\n")
    commit("Fix nothing that was there", shop=CODE.replace(*FIX) + "\n\nEMPTY = 0\n")
    return folder


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A held-out item with a comment, a clean one, and one to train on."""
    path = tmp_path / "items.jsonl"
    rows = []
    for number, (split, date, line) in enumerate(
        [("test", "2026-02-01", 2), ("train", "2026-01-01", 2), ("test", "2026-03-01", None)]
    ):
        finding = {"line": line, "category": "bug", "severity": "minor", "message": "Do not."}
        rows.append(
            {
                "id": f"item-{number}",
                "diff": "@@ -0,0 +1,2 @@\n+a = 1\n+b = bad(a)" if line else "@@ -0,0 +1,2 @@\n+a = 1\n+b = a",
                "path": "a.py",
                "language": "python",
                "split": split,
                "date": date,
                "findings": [finding] if line else [],
            }
        )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_small_fix_is_a_task(clone: Path) -> None:
    """All of the buggy code is added code; the replaced line is the finding, its fix the suggestion."""
    (task,) = fix_tasks(Git(clone), 10)
    assert task.subject == "Fix the sum of prices"
    (finding,) = task.buggy.findings
    assert (finding.line, finding.suggestion, finding.message) == (8, FIX[1], "Fix the sum of prices")
    chunk = task.buggy.to_chunk()
    assert {line.kind for line in chunk.lines} == {LineKind.ADDED}
    assert next(line.text for line in chunk.lines if line.new_number == 8) == FIX[0]
    assert FIX[1] in [line.text for line in task.fixed.to_chunk().lines]
    assert task.fixed.findings == ()


def test_limits_and_dates_hold(clone: Path) -> None:
    """Commits before the date are not looked at."""
    assert fix_tasks(Git(clone), 0) == []
    assert fix_tasks(Git(clone), 10, since="2026-02-01") == []
    assert len(fix_tasks(Git(clone), 10, since="2025-02-01")) == 1


def answer(request: WriteRequest) -> str:
    """Mend the sum, say of lines what the data says, write a function of three lines."""
    if request.prompt == "":
        return json.dumps({"code": "def total(prices, discount):\n    return (1 - discount) * sum(prices)"})
    if "whole -= price" in request.suffix:
        return json.dumps({"severity": "major", "message": "Sum.", "suggestion": "whole += price"})
    return json.dumps({"severity": "minor", "message": "Do not."})


def fake(keyword: str = "whole -=") -> FakeReader:
    scorer = by_keyword({keyword: (" bug", 0.9), "bad(": (" bug", 0.8)})
    return FakeReader(scorer, answer, log_probability=lambda word: -1.5)


def test_a_model_that_knows_everything_is_measured_so(clone: Path, data: Path, tmp_path: Path) -> None:
    """Each kind of task by itself; what was written is kept."""
    manifest = build(Sources(data=data, clone=clone), tmp_path / "tasks")
    assert manifest.counts == {"reviews": 2, "fixes": 1, "functions": 1}
    (function,) = read_tasks(tmp_path / "tasks" / FUNCTIONS, FunctionTask)
    assert "less a discount" in function.asked
    assert "whole += price" in function.code
    harness = json.loads((tmp_path / "tasks" / "tenken_functions.yaml").read_text())
    assert harness["doc_to_text"] == "<start_of_turn>user\n{{asked}}<end_of_turn>\n<start_of_turn>model\n"
    assert harness["dataset_kwargs"] == {"data_files": {"test": FUNCTIONS}}
    (tmp_path / "out").mkdir()
    result = run_benchmark(Attempt(tmp_path / "tasks", tmp_path / "out", "fake", samples=20), fake())
    values = {
        kind: {name: one.value for name, one in found.items()} for kind, found in result.measures.items()
    }
    assert values["reviews"]["top1"] == values["reviews"]["item_auc"] == 1
    assert values["reviews"]["given_chrf"] == pytest.approx(100)
    assert values["reviews"]["comment_nll"] == 1.5
    assert values["fixes"] == pytest.approx(
        {
            "line_auc": 1.0,
            "top1": 1.0,
            "top1_random": values["fixes"]["top1_random"],
            "told_apart": 1.0,
            "repair_given": 1.0,
            "repair_exact": 1.0,
            "repair_chrf": 100.0,
        }
    )
    assert 0 < values["fixes"]["top1_random"] < 0.2
    assert values["functions"]["code_nll"] == 1.5
    assert values["functions"]["code_valid"] == 1
    assert 10 < values["functions"]["code_chrf"] < 90
    assert [sorted(row) for row in result.answers] == [["id", "suggestion", "wanted"], ["code", "id"]]


def test_a_model_that_prefers_the_fix_does_not_tell_apart(clone: Path, data: Path, tmp_path: Path) -> None:
    """It finds the fix more suspicious than the bug."""
    build(Sources(data=data, clone=clone, functions=0), tmp_path / "tasks")
    (tmp_path / "out").mkdir()
    attempt = Attempt(tmp_path / "tasks", tmp_path / "out", "fake", write=False, samples=5)
    result = run_benchmark(attempt, fake("whole +="))
    assert result.measures["fixes"]["told_apart"].value == 0
    assert "repair_given" not in result.measures["fixes"]
    assert "functions" not in result.measures


def test_the_command_makes_and_runs(
    clone: Path,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The same twice, from files; a benchmark that was changed is refused."""

    def opened(parsed: object, adapter: Path | None) -> Runner:
        return fake()

    monkeypatch.setattr(cli, "_open", opened)
    tasks, out = tmp_path / "tasks", tmp_path / "out"
    assert main(["benchmark", "--data", str(data), "--clone", str(clone), "--out", str(tasks)]) == 0
    assert "2 reviews, 1 fixes, 1 functions" in capsys.readouterr().out
    run = ["benchmark", "--run", str(tasks), "--adapter", "none", "--out", str(out), "--samples", "20"]
    assert main(run) == 0
    first = json.loads((out / "benchmark.json").read_text())
    assert first["measures"]["fixes"]["top1"] == {"value": 1, "low": 1, "high": 1}
    assert first["benchmark"]["made_of"]["head"] == Git(clone).text("rev-parse", "HEAD").strip()
    assert "| bug more suspicious than its fix (at random 0.5) | 1.000" in (out / "benchmark.md").read_text()
    assert len((out / "answers.jsonl").read_text().splitlines()) == 2
    assert main(run) == 0
    assert json.loads((out / "benchmark.json").read_text()) == first
    (task,) = read_tasks(tasks / FIXES, FixTask)
    (tasks / FIXES).write_text(task.model_copy(update={"subject": "Other"}).model_dump_json() + "\n")
    capsys.readouterr()
    assert main(run) == 2
    assert "fixes.jsonl: not what the benchmark was made with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "--data, of --clone or of both"),
        (["--clone", "/nowhere"], "/nowhere"),
        (["--data", "/nowhere.jsonl"], "/nowhere.jsonl"),
        (["--run", "/nowhere", "--adapter", "none"], "not there"),
        (["--run", "/nowhere"], "--adapter"),
    ],
)
def test_bad_input_exits_with_2(
    arguments: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each says what is wrong."""
    assert main(["benchmark", "--out", str(tmp_path / "out"), *arguments]) == 2
    assert reason in capsys.readouterr().err


def test_a_history_without_tasks_is_an_error(data: Path, tmp_path: Path) -> None:
    """A benchmark of nothing would be passed by everything."""
    with pytest.raises(Exception, match="no task"):
        build(Sources(data=data, split="dev"), tmp_path / "out")


@pytest.mark.parametrize("text", ["", "[]", '{"code": 1}', '{"code": "def f():'])
def test_code_that_was_cut_off_is_none(text: str) -> None:
    """Half a function is not compared."""
    assert read_code(text) == ""
