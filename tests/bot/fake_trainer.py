"""Stands in for `tenken-train retrain`: does nothing, and tells of it as the real one does.

`script.json` in its history directory says what happens: `outcome`, `endless` (it trains for as long as that
stands there), `deaths` (so often it ends in the middle), `error`. `starts.jsonl` there has the arguments of
every start, without its secrets.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from engine.curves import LossCurve, LossPoint
from engine.retraining import (
    PLOT,
    STATUS,
    MeasureRow,
    Outcome,
    RunPlan,
    RunResult,
    RunState,
    RunStatus,
    Stage,
    read_status,
)

PLAN = RunPlan(
    merge_requests=40, items=120, with_findings=60, new=60, needed=20, train=96, dev=12, test=12,
    test_with_findings=6, dropped={"chatter": 10, "planted": 2}, replaced={"secret: gitlab": 1}, broken=3,
    examples=("!12 shop/cart.py:3", "!11 a`b@all.py:1"), seconds=600,
)  # fmt: skip
ROWS = (
    MeasureRow(name="top1", base=0.1, champion=0.4, candidate=0.6, low=0.05, high=0.3),
    MeasureRow(name="comment_nll", base=4.9, champion=5.6, candidate=2.9, low=-3.0, high=-2.4),
)
VERSION = "shop-0123456789ab"
PNG = b"\x89PNG\r\n\x1a\n picture"


class Story:
    """One run, told."""

    def __init__(self, run: Path, project: str) -> None:
        self._run = run
        now, before = datetime.now(UTC), read_status(run)
        self.status = RunStatus(
            run=run.name, project=project, started=before.started if before else now, updated=now
        )

    def tell(self, **changes: Any) -> None:
        self.status = self.status.model_copy(update={**changes, "updated": datetime.now(UTC)})
        part = self._run / f".{os.getpid()}"
        part.write_text(self.status.model_dump_json())
        part.replace(self._run / STATUS)


def main() -> int:
    """Tell a story."""
    parser = argparse.ArgumentParser()
    for name in ("url", "project", "out", "history", "token-file", "engine", "engine-token-file"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("settings", "min-new", "ca-file", "engine-ca-file"):
        parser.add_argument(f"--{name}")
    parser.add_argument("--dry-run", action="store_true")
    given = parser.parse_args()
    run, history = Path(given.out), Path(given.history)
    history.mkdir(parents=True, exist_ok=True)
    script = _script(history)
    secrets = [Path(path).read_text() for path in (given.token_file, given.engine_token_file)]
    with (history / "starts.jsonl").open("a") as file:
        row = {"run": run.name, "dry_run": given.dry_run, "min_new": given.min_new, "secrets": secrets}
        row["environment"] = sorted(name for name in os.environ if name.startswith("BOT_"))
        file.write(json.dumps(row) + "\n")
    story = Story(run, given.project)
    signal.signal(signal.SIGTERM, lambda number, frame: _stopped(story))
    return _tell(story, run, history, script, dry_run=given.dry_run)


def _script(history: Path) -> dict[str, Any]:
    path = history / "script.json"
    return json.loads(path.read_text()) if path.exists() else {}


def _tell(story: Story, run: Path, history: Path, script: dict[str, Any], *, dry_run: bool) -> int:
    story.tell(stage=Stage.COLLECT, done=40)
    if script.get("error"):
        story.tell(state=RunState.FAILED, error=script["error"])
        return int(script.get("code", 2))
    outcome = Outcome(script.get("outcome", Outcome.PROMOTED))
    story.tell(stage=Stage.SPLIT, done=0, plan=PLAN)
    if dry_run:
        small = outcome is Outcome.TOO_LITTLE
        story.tell(
            state=RunState.DONE, result=RunResult(outcome=Outcome.TOO_LITTLE if small else Outcome.PLANNED)
        )
        return 0
    (run / Stage.TRAIN).mkdir(exist_ok=True)
    story.tell(stage=Stage.TRAIN, total=100)
    losses: list[float] = []
    while not losses or _script(history).get("endless"):
        losses.append(round(2.0 / (1 + len(losses)), 3))
        points = tuple(LossPoint(step + 1, loss) for step, loss in enumerate(losses))[-50:]
        story.tell(done=min(99, len(losses)), curve=LossCurve(points=points), eta_seconds=60.0)
        time.sleep(0.02)
    if script.get("deaths", 0) > len((history / "starts.jsonl").read_text().splitlines()) - 2:
        os.kill(os.getpid(), signal.SIGKILL)
    (run / PLOT).write_bytes(PNG)
    reasons = () if outcome is Outcome.PROMOTED else ("top1: +0.000 @all",)
    result = RunResult(
        outcome=outcome, version=VERSION, champion="starter-ba9876543210", rows=ROWS, items=12, plot=PLOT,
        reasons=reasons,
    )  # fmt: skip
    story.tell(stage=Stage.PROMOTE, state=RunState.DONE, result=result)
    return 0


def _stopped(story: Story) -> None:
    story.tell(state=RunState.STOPPED)
    os._exit(130)


if __name__ == "__main__":
    sys.exit(main())
