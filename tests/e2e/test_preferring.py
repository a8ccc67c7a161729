"""From judged findings to an adapter that prefers what was wanted: the commands, the real model, the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.adapters import starter_adapter
from engine.finetune.checkpoints import SEAL

pytestmark = [pytest.mark.model, pytest.mark.train, pytest.mark.timeout(1800)]

SETTINGS = """
learning_rate = 1e-3
warmup_steps = 0
batch_rows = 2
replay_tokens = 64
min_each = 2
log_steps = 1
save_steps = 2
"""
WANTED, UNWANTED = "Name the exception.", "Consider a nicer style."
SECONDS = 900


def _items(path: Path) -> Path:
    """Write what a team said of the bot's findings, as `label` leaves it: half of it is held out."""
    rows = []
    for number in range(8):
        said = {"line": 2, "category": "bug", "severity": "minor", "message": WANTED, "label": "accepted"}
        row = {"findings": [said]} if number % 2 else {"rejected": [said | {"message": UNWANTED}]}
        diff = f"@@ -0,0 +1,2 @@\n+    read({number})\n+except:"
        row |= {"id": str(number), "diff": diff, "path": f"m{number}.py", "language": "python"}
        rows.append({"findings": [], "source": "made up", "split": "train" if number < 4 else "dev", **row})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def _command(*words: object) -> tuple[list[str], dict[str, str]]:
    environment = os.environ | {"OMP_NUM_THREADS": "2", "COLUMNS": "100"}
    return [sys.executable, "-m", "training", *map(str, words)], environment


def _run(*words: object) -> str:
    command, environment = _command(*words)
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=SECONDS)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _killed_after(file: Path, *words: object) -> None:
    """Begin a command, and end it by SIGKILL as soon as the file is there."""
    command, environment = _command(*words)
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    end = time.monotonic() + SECONDS
    while not file.exists():
        assert process.poll() is None, "ended before it was killed"
        assert time.monotonic() < end, f"no {file}"
        time.sleep(0.02)
    process.kill()
    process.wait()


@pytest.mark.skipif("TENKEN_TEST_TRAINING" not in os.environ, reason="takes minutes: TENKEN_TEST_TRAINING=1")
def test_an_adapter_is_tuned_killed_resumed_and_measured(tmp_path: Path) -> None:
    """Held-out texts: the wanted message gains on the other. A kill costs no step that was kept."""
    data, settings = _items(tmp_path / "items.jsonl"), tmp_path / "prefer.toml"
    settings.write_text(SETTINGS)
    out, measured, starter = tmp_path / "preferred", tmp_path / "measured", starter_adapter()
    assert starter is not None
    words = ("prefer", "--data", data, "--adapter", starter, "--settings", settings, "--out", out)

    _killed_after(out / "checkpoints" / "checkpoint-2" / SEAL, *words)
    said = _run(*words, "--resume")
    assert "2 accepted and 2 rejected texts, 4 steps" in said
    assert not {"step 1", "step 2"} & {line.split(":")[0] for line in said.splitlines()}
    found = json.loads((out / "run.json").read_text())["preference"]
    before, after = found["before"], found["after"]
    assert found["held_out"]
    assert after["rejected"] - after["accepted"] > before["rejected"] - before["accepted"]

    _run(
        *("evaluate", "--data", data, "--adapter", out / "adapter", "--out", measured),
        *("--no-write", "--no-canaries", "--samples", 20),
    )
    assert json.loads((measured / "metrics.json").read_text())["about"]["items"] == 8
