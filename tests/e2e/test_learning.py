"""From labelled items to a review by the adapter trained on them: every command, the real model, the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.model, pytest.mark.train, pytest.mark.timeout(1200)]

SETTINGS = """
backend = "trl"
rank = 4
learning_rate = 1e-3
warmup_steps = 0
max_steps = 6
batch_tokens = 256
eval_steps = 3

[examples]
nothing_share = 0
"""
BAD, GOOD = "    except:", "    except OSError:"
MESSAGE = "Name the exception that you expect here."


def _items(path: Path) -> Path:
    rows = []
    for number in range(8):
        line = BAD if number % 2 else GOOD
        found = (
            [{"line": 3, "category": "bug", "severity": "major", "message": MESSAGE}] if number % 2 else []
        )
        diff = f"@@ -0,0 +1,4 @@\n+    try:\n+        read({number})\n+{line}\n+        pass"
        rows.append({"id": str(number), "diff": diff, "path": f"m{number}.py", "language": "python"})
        rows[-1] |= {"findings": found, "split": "train" if number < 4 else "dev", "source": "made up"}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def _run(module: str, *words: object, ok: tuple[int, ...] = (0,)) -> str:
    environment = os.environ | {"OMP_NUM_THREADS": "2", "COLUMNS": "100"}
    command = [sys.executable, "-m", module, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=900)
    assert done.returncode in ok, done.stderr
    return done.stdout


def test_an_adapter_is_trained_measured_packed_and_used(tmp_path: Path) -> None:
    """sft lowers the loss, evaluate measures, pack makes an adapter, and review names its version."""
    data, settings = _items(tmp_path / "items.jsonl"), tmp_path / "settings.toml"
    settings.write_text(SETTINGS)
    run, measured, adapter = tmp_path / "run", tmp_path / "measured", tmp_path / "team"
    card = tmp_path / "CARD.md"
    card.write_text("# A test's adapter\n")

    _run("training", "sft", "--data", data, "--settings", settings, "--out", run)
    losses = [
        loss for _, _, loss in json.loads((run / "run.json").read_text())["history"] if loss is not None
    ]
    assert losses[-1] < losses[0]

    _run(
        *("training", "evaluate", "--data", data, "--split", "dev", "--adapter", run / "adapter"),
        *("--out", measured, "--samples", 20),
    )
    assert json.loads((measured / "metrics.json").read_text())["about"]["items"] == 4
    assert len((measured / "predictions.jsonl").read_text().splitlines()) == 4

    packed = _run(
        *("training", "pack", "--run", run, "--evaluation", measured, "--card", card),
        *("--name", "team", "--out", adapter),
    )
    version = packed.splitlines()[0]
    diff = tmp_path / "change.diff"
    diff.write_text(f"--- /dev/null\n+++ b/m.py\n@@ -0,0 +1,3 @@\n+try:\n+    read()\n+{BAD.strip()}\n")
    review = json.loads(
        _run("engine", "review", "--diff", diff, "--adapter", adapter, "--format", "json", ok=(0, 1))
    )
    assert review["adapter"] == version
    assert [file["reviewed"] for file in review["coverage"]] == [True]
