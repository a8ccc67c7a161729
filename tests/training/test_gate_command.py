"""`tenken-train gate` on the files that two evaluations leave behind."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from engine.scores import Calibration
from engine.testing import FakeRunner, by_keyword, write_random_adapter
from engine.wire import Language
from training.__main__ import main
from training.evaluate import Plan, Subject, evaluate
from training.records import ReviewItem
from training.samples import SAMPLES, paired_differences, read_samples, write_samples

NPY = io.BytesIO()
np.save(NPY, np.zeros(1))
SHARP = {"eval(": (" security", 0.9)}
BLUNT = {"return": (" bug", 0.9)}
CALLS = "maybe", "eval"
ITEMS = [
    ReviewItem.model_validate(
        {
            "id": f"item-{number}",
            "diff": f"@@ -9,0 +10,3 @@\n+a = {number}\n+b = {CALLS[number % 2]}(x)\n+return a",
            "path": "a.py",
            "language": "python",
            "findings": [{"line": 11, "category": "security", "severity": "major", "message": "No."}]
            if number % 2
            else [],
        }
    )
    for number in range(120)
]


def evaluated(out: Path, keywords: Mapping[str, tuple[str, float]], **options: object) -> Path:
    """Evaluate a fake that knows the keywords; return the directory."""
    out.mkdir()
    subject = Subject(out.name, out, out.name, Calibration(threshold=0.5))
    values = {"items": ITEMS, "subjects": [subject], "out": out, "samples": 100, "write": False} | options
    plan = Plan(**values)  # type: ignore[arg-type]
    write_samples(out / SAMPLES, evaluate(plan, lambda adapter: FakeRunner(by_keyword(keywords))), plan)
    return out


@pytest.fixture
def sharp(tmp_path: Path) -> Path:
    return evaluated(tmp_path / "sharp", SHARP)


@pytest.fixture
def blunt(tmp_path: Path) -> Path:
    return evaluated(tmp_path / "blunt", BLUNT)


def gate(candidate: Path, champion: Path, *more: object) -> int:
    return main(["gate", "--candidate", str(candidate), "--champion", str(champion), *map(str, more)])


def test_the_better_one_is_promoted(
    sharp: Path, blunt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """0, every rule with its difference, and the same as JSON."""
    assert gate(sharp, blunt, "--out", tmp_path / "decision.json") == 0
    printed = capsys.readouterr().out
    assert "passed  top1: +1.000 (+1.000 to +1.000)" in printed
    assert "FAILED" not in printed
    assert printed.endswith("sharp is to serve\n")
    decision = json.loads((tmp_path / "decision.json").read_text())
    assert (decision["promote"], decision["candidate"], decision["champion"]) == (True, "sharp", "blunt")
    assert {rule["measure"] for rule in decision["rules"]} >= {"items", "top1", "item_auc", "silent_clean"}


def test_the_worse_one_is_not(sharp: Path, blunt: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """1, with all that speaks against it."""
    assert gate(blunt, sharp) == 1
    printed = capsys.readouterr().out
    assert "FAILED  top1: -1.000" in printed
    assert "FAILED  silent_clean: -1.000" in printed
    assert printed.endswith("sharp is to serve\n")


def test_weights_that_stand_out_are_an_objection(
    sharp: Path, blunt: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However good it measures; one whose modules are all alike passes."""
    adapter = write_random_adapter(tmp_path / "adapter")
    assert gate(sharp, blunt, "--adapter", adapter) == 0
    weights = load_file(adapter / "adapter_model.safetensors")
    planted = "base_model.model.model.layers.7.mlp.up_proj.lora_B.weight"
    save_file(weights | {planted: 50 * weights[planted]}, adapter / "adapter_model.safetensors")
    assert gate(sharp, blunt, "--adapter", adapter) == 1
    assert "layers.7.mlp.up_proj changes the model by" in capsys.readouterr().out
    assert gate(sharp, blunt, "--adapter", tmp_path / "nowhere") == 3


def test_no_gain_keeps_the_champion(sharp: Path, tmp_path: Path) -> None:
    """As good is not better, unless the settings ask for less."""
    assert gate(sharp, sharp) == 1
    settings = tmp_path / "gate.toml"
    settings.write_text("min_items = 60\n[rules.top1]\ngain = -0.1\n")
    assert gate(sharp, sharp, "--settings", settings) == 0
    settings.write_text("min_items = 61\n[rules.top1]\ngain = -0.1\n")
    assert gate(sharp, sharp, "--settings", settings) == 1


def test_differences_are_those_of_one_evaluation(tmp_path: Path, sharp: Path, blunt: Path) -> None:
    """Two files say what one run on both would have: the samples are paired."""
    half = evaluated(tmp_path / "half", {"eval(": (" security", 0.9), "a = 1": (" bug", 0.95)})
    ours, theirs = read_samples(sharp), read_samples(half)
    difference = paired_differences(ours, theirs)["top1"]
    values = ours.measures["top1"] - theirs.measures["top1"]
    assert difference.value == values[0] > 0
    assert difference.low is not None
    assert difference.low > 0
    assert paired_differences(ours, ours)["line_auc"].high == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"items": ITEMS[:-1]}, "different items"),
        ({"items": ITEMS[::-1]}, "different items"),
        ({"seed": 1}, "different bootstrap draws"),
        ({"samples": 99}, "different bootstrap draws"),
        ({"language": Language.JA}, "different languages"),
    ],
)
def test_what_was_not_measured_alike_is_not_compared(
    options: dict[str, object], said: str, sharp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """2: a difference between other items says nothing about the models."""
    assert gate(evaluated(tmp_path / "other", SHARP, **options), sharp) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "not there"),
        (b"", "damaged"),
        (b"PK\x03\x04", "damaged"),
        (b"\x80\x04.", "damaged"),
        (NPY.getvalue(), "damaged"),
    ],
)
def test_files_that_cannot_be_read(
    content: bytes | None, said: str, sharp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """2, and which file; pickles are never loaded."""
    directory = tmp_path / "broken"
    directory.mkdir()
    if content is not None:
        (directory / SAMPLES).write_bytes(content)
    assert gate(directory, sharp) == 2
    error = capsys.readouterr().err
    assert said in error
    assert f"broken/{SAMPLES}" in error


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("min_items = 0", "min_items"),
        ("[rules.top1]\nloss = -1", "rules.top1.loss"),
        ("rulez = 1", "rulez"),
        ("x", "x"),
    ],
)
def test_settings_errors_name_the_key(
    toml: str, said: str, sharp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """2, with file and key."""
    settings = tmp_path / "gate.toml"
    settings.write_text(toml)
    assert gate(sharp, sharp, "--settings", settings) == 2
    assert said in capsys.readouterr().err
