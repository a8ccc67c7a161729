"""Event files for TensorBoard: in the run's folder, with the values of the run."""

from __future__ import annotations

import importlib.util
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import MissingExtra
from engine.finetune import logs
from engine.finetune.routine import finetune
from engine.finetune.rows import Row
from engine.finetune.settings import Backend, FinetuneSettings, LogTo

SETTINGS = FinetuneSettings(
    backend=Backend.TRL, rank=4, warmup_steps=1, max_steps=2, batch_tokens=128, eval_steps=2, log_steps=1,
    log_to=LogTo.TENSORBOARD,
)  # fmt: skip


@pytest.mark.train
def test_values_of_a_run_are_logged(tmp_path: Path, tiny_base: Path, tiny_rows: list[Row]) -> None:
    """Training and validation losses are those of the record, at their steps."""
    run = finetune(tiny_base, tiny_rows, tiny_rows[:8], SETTINGS, tmp_path)
    values = {(tag, step): value for tag, step, value in scalars(tmp_path / logs.LOGS)}
    for step, loss, validation in run.history:
        for tag, expected in (("train/loss", loss), ("eval/loss", validation)):
            if expected is not None:
                assert values[tag, step] == pytest.approx(expected, rel=1e-3)
    assert run.history[-1][2] is not None


def test_viewer_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is loaded; without logs nothing is asked for."""
    monkeypatch.setattr(logs, "find_spec", lambda name: None)
    logs.prepare(LogTo.NONE, tmp_path)
    with pytest.raises(
        MissingExtra, match=r"tensorboardX is not installed; run: pip install 'tenken\[train\]'"
    ):
        logs.prepare(LogTo.TENSORBOARD, tmp_path)
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ


def scalars(directory: Path) -> Iterator[tuple[str, int, float]]:
    """Yield tag, step and value of all event files: records of a length, its check, an event, its check."""
    assert importlib.util.find_spec("tensorboardX")
    from tensorboardX.proto.event_pb2 import Event

    for path in directory.glob("events.out.tfevents.*"):
        content, at = path.read_bytes(), 0
        while at < len(content):
            (length,) = struct.unpack_from("<Q", content, at)
            event = Event.FromString(content[at + 12 : at + 12 + length])
            at += 12 + length + 4
            yield from ((value.tag, event.step, value.simple_value) for value in event.summary.value)
