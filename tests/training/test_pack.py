"""Packing: what was trained and measured becomes one adapter that loads, or an error that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from whole_adapters import write_adapter

from engine.adapters import CARD, WEIGHTS, load_adapter
from engine.curves import Objective
from engine.errors import DataError
from engine.probes import Probe
from engine.wire import Language
from training.__main__ import main
from training.pack import pack

RUN = {
    "base_sha256": "ab" * 32,
    "dtype": "bfloat16",
    "data_fingerprint": "f00d",
    "settings": {"seed": 7, "rank": 4},
    "versions": {"torch": "2.13.0"},
    "history": [[1, 2.0, None]],
}
ESTIMATE = {"value": 0.87654321, "low": 0.8, "high": 0.9}
MEASURES = ("item_auc", "line_auc", "top1", "top1_category", "recall90", "line_ece")
METRICS: dict[str, Any] = {
    "systems": {
        "it": {
            "groups": {
                "all": dict.fromkeys(MEASURES, ESTIMATE)
                | {"item_ece": {"value": None, "low": None, "high": None}}
            }
        },
        "base": {"groups": {"all": {}}},
    },
    "writing": {"valid_share": 1.0},
}


@pytest.fixture
def stages(tmp_path: Path) -> Path:
    """A finished run, its evaluation and a card."""
    adapter = tmp_path / "run" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text('{"r": 4}')
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    (tmp_path / "run" / "run.json").write_text(json.dumps(RUN))
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval" / "metrics.json").write_text(json.dumps(METRICS))
    (tmp_path / "eval" / "calibration.json").write_text(
        json.dumps({"points": [[0.1, 0.0], [0.9, 0.8]], "threshold": 0.6})
    )
    (tmp_path / "eval" / "probe.json").write_text(json.dumps({"base": [[-0.5]], "adapter": [[-2.5]]}))
    (tmp_path / "CARD.md").write_text("# What it is\n")
    return tmp_path


def test_the_manifest_says_that_preferences_were_tuned(stages: Path) -> None:
    """With what settings; the others are those of the adapter that it began with."""
    run = {**RUN, "preference": {"settings": {"beta": 0.1}, "accepted": 12}}
    (stages / "run" / "run.json").write_text(json.dumps(run))
    manifest = load_adapter(_pack(stages).path).manifest
    assert manifest.settings == {"seed": 7, "rank": 4, "preference": {"beta": 0.1}}
    assert manifest.curve is not None
    assert manifest.curve.objective is Objective.PREFERENCE


def test_the_manifest_carries_the_loss_curve(stages: Path) -> None:
    """Thinned out, with the step that was kept; a run that logged nothing has none."""
    history = [[step, 3 / step, 1.0 if step % 100 == 0 else None] for step in range(1, 1001)]
    run = {**RUN, "history": history, "best_step": 300}
    (stages / "run" / "run.json").write_text(json.dumps(run))
    curve = load_adapter(_pack(stages).path).manifest.curve
    assert curve is not None
    assert (curve.objective, curve.kept_step) == (Objective.LABELS, 300)
    assert len(curve.points) <= 200
    assert (curve.points[0], curve.points[-1]) == ((1, 3.0, None), (1000, 0.003, 1.0))
    assert [point.step for point in curve.points if point.validation] == list(range(100, 1001, 100))
    (stages / "run" / "run.json").write_text(json.dumps({**RUN, "history": []}))
    assert load_adapter(_pack(stages).path).manifest.curve is None


def _pack(stages: Path) -> Any:
    return pack(stages / "run", stages / "eval", stages / "CARD.md", stages / "out", name="mine")


def test_the_manifest_says_what_was_trained_and_measured(stages: Path) -> None:
    """Base, data, seed and versions come from the run; scores and calibration from the evaluation."""
    manifest = load_adapter(_pack(stages).path).manifest
    assert (manifest.rank, manifest.seed, manifest.data_fingerprint) == (4, 7, "f00d")
    assert manifest.base_sha256 == RUN["base_sha256"]
    assert manifest.calibration.threshold == 0.6
    assert manifest.scores["item_auc"] == 0.8765
    assert manifest.scores["valid_replies"] == 1.0
    assert "item_ece" not in manifest.scores
    assert manifest.probe == Probe(base=((-0.5,),), adapter=((-2.5,),))


def test_the_command_packs_for_several_languages(stages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`tenken-train pack` prints the version and the directory."""
    options = {"--run": "run", "--evaluation": "eval", "--card": "CARD.md", "--out": "out"}
    paths = [word for option, name in options.items() for word in (option, str(stages / name))]
    assert main(["pack", *paths, "--name", "team", "--lang", "en", "--lang", "ja"]) == 0
    version, where = capsys.readouterr().out.split()
    assert version.startswith("team-")
    assert load_adapter(Path(where)).manifest.languages == (Language.EN, Language.JA)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("run/run.json", None, "run.json: "),
        ("run/run.json", "{", "run.json: "),
        ("run/run.json", json.dumps({**RUN, "base_sha256": "x"}), "run.json: base_sha256"),
        (
            "run/run.json",
            json.dumps({**RUN, "history": [[2, 1.0, None], [1, 1.0, None]]}),
            "run.json: history",
        ),
        ("eval/calibration.json", '{"threshold": 2}', "calibration.json: threshold"),
        ("eval/metrics.json", None, "metrics.json: "),
        ("eval/probe.json", '{"base": []}', "probe.json: adapter"),
        ("run/adapter/adapter_model.safetensors", None, "adapter_model.safetensors: No such file"),
        ("CARD.md", None, "CARD.md: No such file"),
    ],
)
def test_what_is_missing_or_wrong_is_named(stages: Path, file: str, text: str | None, said: str) -> None:
    """Each input that cannot be used gives one error with its file and field, and no manifest appears."""
    if text is None:
        (stages / file).unlink()
    else:
        (stages / file).write_text(text)
    with pytest.raises(DataError, match=said):
        _pack(stages)
    assert not (stages / "out" / "manifest.json").exists()


def test_a_card_is_made_where_none_is_given(stages: Path) -> None:
    """Of what the manifest says, scores included."""
    adapter = pack(stages / "run", stages / "eval", None, stages / "out", name="mine")
    assert "| right line first | 0.8765 |" in (adapter.path / CARD).read_text()


def test_an_adapter_gets_measurements_of_its_own(
    stages: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A merged one, which has none: the weights stay, the version is another."""
    source = write_adapter(tmp_path / "merged", scores={}, settings={"merge": {"method": "ties"}})
    before = load_adapter(source)
    words = ["--adapter", str(source), "--evaluation", str(stages / "eval"), "--out", str(tmp_path / "new")]
    assert main(["pack", *words, "--name", "both"]) == 0
    version, where = capsys.readouterr().out.split()
    after = load_adapter(Path(where))
    assert version == after.version != before.version
    assert after.manifest.files[WEIGHTS] == before.manifest.files[WEIGHTS]
    assert (after.manifest.name, after.manifest.settings) == ("both", before.manifest.settings)
    assert (after.manifest.calibration.threshold, after.manifest.scores["top1"]) == (0.6, 0.8765)
    assert "merged by | ties" in (after.path / CARD).read_text()
