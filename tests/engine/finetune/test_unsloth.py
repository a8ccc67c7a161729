"""The same routine on Unsloth's CPU backend. In a process of its own: importing it patches the libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from engine.finetune.record import read_run
from engine.finetune.routine import finetune
from engine.finetune.rows import Row
from engine.finetune.settings import Backend, FinetuneSettings

pytestmark = [
    pytest.mark.train,
    pytest.mark.skipif(find_spec("unsloth") is None, reason="unsloth is not installed"),
]

SETTINGS = FinetuneSettings(
    rank=4, learning_rate=0.01, warmup_steps=2, batch_tokens=128, eval_steps=4, log_steps=1, seed=7
)


def test_unsloth_trains_as_trl_does(tmp_path: Path, tiny_base: Path, tiny_rows: list[Row]) -> None:
    """Rows, batches, loss and the adapter's first weights are the same, so all losses agree."""
    rows, out = tmp_path / "rows.jsonl", tmp_path / "unsloth"
    rows.write_text("".join(f"{row.model_dump_json()}\n" for row in tiny_rows), encoding="utf-8")
    settings = SETTINGS.model_copy(update={"backend": Backend.UNSLOTH})
    script = Path(__file__).with_name("train_tiny.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tiny_base), str(rows), str(out), settings.model_dump_json()],
        cwd=tmp_path,
        # In float32 as TRL computes there, also where the CPU has bfloat16 and Unsloth would take that.
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache"), "UNSLOTH_CPU_BF16": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    history = json.loads(done.stdout.splitlines()[-1])

    with_trl = SETTINGS.model_copy(update={"backend": Backend.TRL})
    expected = finetune(tiny_base, tiny_rows, tiny_rows[:8], with_trl, tmp_path / "trl").history
    assert [step for step, *_ in history] == [step for step, *_ in expected]
    for column in (1, 2):
        ours, theirs = (
            [point[column] for point in points if point[column]] for points in (expected, history)
        )
        assert theirs == pytest.approx(ours, rel=1e-3)

    run = read_run(out)
    assert run is not None
    assert run.backend is Backend.UNSLOTH
    assert "unsloth" in run.versions
    assert sorted(path.name for path in (out / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    assert str(tmp_path) not in (out / "adapter" / "adapter_config.json").read_text("utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "rows.jsonl", "trl", "unsloth"]
