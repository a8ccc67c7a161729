"""`/retrain` with the real Gemma 3 270M on the CPU: from a project's history to the next `/review`."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bot.fake_gitlab import StoredMergeRequest
from bot.markers import MarkerKind, marker_of
from engine.retraining import Outcome, RunStatus, read_status

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "training"), str(ROOT / "tests" / "engine" / "store")]

from history_world import BASE, World, world  # noqa: E402
from retrained_project import FILE, add_merge_requests, say_note  # noqa: E402

pytestmark = [pytest.mark.model, pytest.mark.train, pytest.mark.timeout(1800)]

SECRET = "a-secret-of-this-test"
SETTINGS = """\
[retrain]
min_new = 3
[collect]
sources = 0
requests_per_second = 1000
[curate]
author_share = 1.0
[label]
rows = 6
[split]
dev = 0
test = 0.3
similarity = 1.0
[train]
backend = "trl"
rank = 4
learning_rate = 1e-3
warmup_steps = 0
max_steps = 2
batch_tokens = 192
eval_steps = 1
log_steps = 1
[examples]
nothing_share = 0
[measure]
items = 2
write = false
samples = 20
probe_words = 1
probe_items = 1
[gate]
min_items = 1
[gate.rules.top1]
gain = -2.0
"""


@contextmanager
def serving_bot(w: World, home: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the bot as it is run, with an engine of its own."""
    (home / "retrain.toml").write_text(SETTINGS)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BOT_", "ENGINE_"))}
    environment = kept | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",  # threads that wait for each other burn what others need
        "ENGINE_THREADS": "1",
        "ENGINE_DATA_DIR": str(home / "store"),
        "BOT_GITLAB_URL": w.fake.url,
        "BOT_GITLAB_TOKEN": w.fake.bot.token,
        "BOT_DATA_DIR": str(home / "bot"),
        "BOT_WEBHOOK_SECRETS": json.dumps([SECRET]),
        "BOT_RETRAIN": "true",
        "BOT_RETRAIN_SETTINGS": str(home / "retrain.toml"),
    }
    with (home / "bot.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bot", "serve", "--port", str(port)],
            cwd=home, env=environment, stdout=subprocess.PIPE, stderr=log,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        assert b"listening" in process.stdout.readline(), (home / "bot.log").read_text()
        w.fake.add_hook(w.project, f"http://127.0.0.1:{port}/webhook", SECRET)
        yield process
    finally:
        process.terminate()
        process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


def until(home: Path, condition: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, (home / "bot.log").read_text()[-5000:]
        time.sleep(0.1)


def notes(w: World, mr: StoredMergeRequest, kind: MarkerKind) -> dict[str, str]:
    """Return the bot's notes of a kind by the id of their marker."""
    found = ((marker_of(note.body), note.body) for note in mr.notes if note.author is w.fake.bot)
    return {marker.id: body for marker, body in found if marker is not None and marker.kind is kind}


def test_from_history_to_the_next_review(tmp_path: Path) -> None:
    """Typed by a maintainer: trained, measured, promoted, told; the next review is by the new adapter."""
    with world() as w:
        add_merge_requests(w, 8)
        asking = w.open_mr({**BASE, FILE: BASE[FILE].replace("item_9 = 9\n", "item_9 = open_file(9)\n")})
        with serving_bot(w, tmp_path):
            say_note(w, asking, "/retrain")

            def told() -> list[str]:
                found = notes(w, asking, MarkerKind.TRAINING)
                return [body for name, body in found.items() if name.endswith("-result")]

            until(tmp_path, told, 1500)
            status = _status(tmp_path, w)
            assert status.result is not None
            assert status.result.outcome is Outcome.PROMOTED, told()
            version = status.result.version
            (result,) = told()
            assert f"**Promoted.** `{version}` passed every rule against `starter-" in result
            assert f"]({next(iter(w.project.uploads))})" in result
            say_note(w, asking, "/review")
            until(tmp_path, lambda: notes(w, asking, MarkerKind.SUMMARY), 120)
            until(tmp_path, lambda: version in "".join(notes(w, asking, MarkerKind.SUMMARY).values()), 120)
    log = (tmp_path / "bot.log").read_text()
    assert "Traceback" not in log, log


def _status(home: Path, w: World) -> RunStatus:
    (run,) = (home / "bot" / "retrain" / str(w.project.id) / "runs").iterdir()
    status = read_status(run)
    assert status is not None
    return status
