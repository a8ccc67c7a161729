"""What `tenken-train evaluate` measures beside an adapter, from options to files."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from engine.runners import Runner
from engine.testing import FakeReader, by_keyword
from training.__main__ import main
from training.cli import evaluate as cli
from training.samples import read_samples

pytest.importorskip("sacrebleu")

REPLY = json.dumps({"severity": "major", "message": "Do not.", "suggestion": "b = safe(x)"})
SHARP = by_keyword({"eval(": (" security", 0.9)})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Items of three added lines; every other one calls eval, and somebody says so."""
    path = tmp_path / "data.jsonl"
    rows = []
    for number in range(8):
        bad = number % 2 == 0
        finding = {"line": 11, "category": "security", "severity": "major", "message": "Do not."}
        rows.append(
            {
                "id": f"item-{number}",
                "diff": f"@@ -9,0 +10,3 @@\n+a = {number}\n+b = {'eval(x)' if bad else 'x'}\n+c = a",
                "path": "a.py",
                "language": "python",
                "findings": [finding] if bad else [],
                "split": "dev",
            }
        )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path | None]:
    """The adapters that were opened."""
    found: list[Path | None] = []

    def opens(parsed: object, adapter: Path | None) -> Runner:
        found.append(adapter)
        return FakeReader(SHARP, REPLY)

    monkeypatch.setattr(cli, "_open", opens)
    return found


def adapter(folder: Path, content: bytes) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_model.safetensors").write_bytes(content)
    return folder


def test_adapters_stand_beside_each_other(data: Path, tmp_path: Path, opened: list[Path | None]) -> None:
    """Each under a name of its own, with its own scores; all are differences to the first."""
    ours, theirs = (
        adapter(tmp_path / "ours" / "adapter", b"1"),
        adapter(tmp_path / "theirs" / "adapter", b"2"),
    )
    out = tmp_path / "out"
    command = ["evaluate", "--data", str(data), "--out", str(out), "--samples", "20", "--adapter", str(ours)]
    assert main([*command, "--beside", str(theirs), "--beside", "none", "--base-too", "--given", "3"]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert list(metrics["systems"]) == ["adapter", "base", "adapter (2)", "base (3)"]
    assert list(metrics["differences"]) == ["base", "adapter (2)", "base (3)"]
    assert opened[:4] == [ours, None, theirs, None]
    assert sorted(path.name for path in out.glob("scores*")) == [
        "scores-2.jsonl",
        "scores-3.jsonl",
        "scores-base.jsonl",
        "scores.jsonl",
    ]
    found = metrics["systems"]["adapter (2)"]["groups"]["all"]
    assert found["given_chrf"]["value"] == pytest.approx(100)
    assert found["canary_text_nll"]["value"] == 1
    kept = read_samples(out).measures
    assert "canary_item_auc" in kept
    assert not any(name.startswith("given_") for name in kept)
    report = (out / "report.md").read_text()
    assert "canaries: item AUC" in report


def test_linters_and_their_share(data: Path, tmp_path: Path, opened: list[Path | None]) -> None:
    """The suggestions of what is written are checked; without canaries there is no measure of them."""
    script = "import sys; bad = 'safe' in sys.stdin.read(); print('x' * bad); sys.exit(bad)"
    settings = tmp_path / "linters.toml"
    settings.write_text(f"[linters.python]\ncommand = {json.dumps([sys.executable, '-c', script])}\n")
    out = tmp_path / "out"
    command = ["evaluate", "--data", str(data), "--adapter", "none", "--out", str(out), "--samples", "20"]
    assert main([*command, "--linters", str(settings), "--no-canaries"]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["style"]["checked"] == 4
    assert metrics["style"]["compliant"]["value"] == 0
    assert metrics["judged"] is None
    report = (out / "report.md").read_text()
    assert "4 suggestions were given to the project's linter" in report
    assert "canaries" not in report


def test_a_bad_linter_file_names_the_key(
    data: Path, tmp_path: Path, opened: list[Path | None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is measured."""
    settings = tmp_path / "linters.toml"
    settings.write_text("[linters.python]\ncommand = []\n")
    command = ["evaluate", "--data", str(data), "--adapter", "none", "--out", str(tmp_path / "out")]
    assert main([*command, "--linters", str(settings)]) == 2
    assert "linters.python.command" in capsys.readouterr().err
    assert opened == []


def test_a_linter_that_is_not_there_is_told_at_once(
    data: Path, tmp_path: Path, opened: list[Path | None], capsys: pytest.CaptureFixture[str]
) -> None:
    """Not after hours of measuring; nor is a judge that dies a reason to lose them."""
    settings = tmp_path / "linters.toml"
    settings.write_text('[linters.go]\ncommand = ["no-such-linter"]\n')
    command = ["evaluate", "--data", str(data), "--adapter", "none", "--out", str(tmp_path / "out")]
    assert main([*command, "--checkout", str(tmp_path / "nowhere")]) == 2
    assert "nowhere: no such folder" in capsys.readouterr().err
    assert main([*command, "--linters", str(settings)]) == 2
    assert "no-such-linter" in capsys.readouterr().err
    assert opened == []
    judge = ["--judge", "http://127.0.0.1:9/v1", "--judge-model", "m", "--samples", "5", "--no-canaries"]
    assert main([*command, *judge]) == 0
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["judged"] is None
