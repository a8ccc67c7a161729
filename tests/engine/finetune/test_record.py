"""What a run leaves behind: its record, its losses, its curve."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.finetune.curve import draw_losses
from engine.finetune.record import (
    ORIGIN,
    RUN,
    TrainingRun,
    base_sha256,
    history,
    read_run,
    run_id,
    versions,
    write_run,
)
from engine.finetune.settings import Backend, FinetuneSettings

SETTINGS = FinetuneSettings(seed=3)


def a_run(out: Path) -> TrainingRun:
    return TrainingRun(
        adapter=out / "adapter",
        settings=SETTINGS,
        backend=Backend.TRL,
        base="gemma",
        base_sha256="0" * 64,
        dtype="float32",
        data_fingerprint="1" * 64,
        rows=10,
        validation_rows=2,
        dropped_too_long=1,
        steps=20,
        best_step=None,
        tokens=999,
        seconds=1.5,
        tokens_per_second=666.0,
        history=((10, 2.5, None), (20, 1.5, 1.75)),
        versions={"python": "3.11"},
        device="cpu",
    )


def test_record_reads_back(tmp_path: Path) -> None:
    """A run is read as it was written, and its file names no directory of the machine."""
    write_run(tmp_path, a_run(tmp_path))
    assert read_run(tmp_path) == a_run(tmp_path)
    assert str(tmp_path) not in (tmp_path / RUN).read_text("utf-8")
    assert [path.name for path in tmp_path.iterdir()] == [RUN]


@pytest.mark.parametrize("text", [None, "", "{", "[]", "{}", '{"rows": 1}'])
def test_damaged_record_is_none(tmp_path: Path, text: str | None) -> None:
    """A file that is cut off, or of another version, is no finished run."""
    if text is not None:
        (tmp_path / RUN).write_text(text, encoding="utf-8")
    assert read_run(tmp_path) is None


def test_run_is_named_by_what_decides_it() -> None:
    """Rows, base and settings decide; how long it may take does not."""
    name = run_id(SETTINGS, "data", None)
    assert name == run_id(SETTINGS.model_copy(update={"max_seconds": 60.0, "log_steps": 1}), "data", None)
    others = {
        run_id(SETTINGS.model_copy(update={"rank": 4}), "data", None),
        run_id(SETTINGS, "other", None),
        run_id(SETTINGS, "data", "base"),
    }
    assert len(others | {name}) == 4


def test_history_has_one_entry_a_step() -> None:
    """Training and validation loss of a step stand together; other numbers stay out."""
    logs: list[dict[str, Any]] = [
        {"step": 10, "loss": 3, "learning_rate": 1e-3},
        {"step": 20, "loss": 2.0},
        {"step": 20, "eval_loss": 2.5},
        {"step": 25, "eval_loss": 2.25},
        {"step": 25, "train_runtime": 7.0},
    ]
    assert history(logs) == ((10, 3.0, None), (20, 2.0, 2.5), (25, None, 2.25))


def test_base_is_known_by_its_note(tmp_path: Path) -> None:
    """A converted base names its GGUF; one that somebody brought, or a damaged note, does not."""
    assert base_sha256(tmp_path) is None
    (tmp_path / ORIGIN).write_text("[]", encoding="utf-8")
    assert base_sha256(tmp_path) is None
    (tmp_path / ORIGIN).write_text(json.dumps({"gguf_sha256": "abc"}), encoding="utf-8")
    assert base_sha256(tmp_path) == "abc"


def test_versions_name_what_took_part() -> None:
    """Unsloth is listed only where it trained."""
    found = versions(Backend.TRL)
    assert {"python", "torch", "transformers", "peft", "trl"} <= set(found)
    assert "unsloth" not in found


def test_curve_is_drawn(tmp_path: Path) -> None:
    """A PNG comes out, also of a run that logged nothing."""
    for losses in (((10, 2.5, None), (20, 1.5, 1.75)), ()):
        draw_losses(losses, tmp_path / "loss.png")
        assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_curve_needs_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without it a run still ends well, and says what is missing."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with caplog.at_level(logging.WARNING):
        draw_losses(((10, 2.5, None),), tmp_path / "loss.png")
    assert "matplotlib is not installed" in caplog.text
    assert not (tmp_path / "loss.png").exists()
