"""Opens a model, scores with it and closes it, time and again; prints the resident MiB after each.

python come_and_go.py MODEL TIMES
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from engine.models import BaseModel
from engine.prompts import LABELS
from engine.runners import Cancellation, ScoreRequest
from engine.runners.llama import LlamaOptions, LlamaRunner


def main(model: str, times: int) -> None:
    """Open, score, close, measure."""
    after = []
    for number in range(times):
        runner = LlamaRunner(BaseModel("gemma", Path(model), None), LlamaOptions(context=2048))
        request = ScoreRequest(f"Review file{number}.py.\n1+x = {number}\n", (f"\n1 x = {number} =>",))
        assert dict(runner.score([request], LABELS, Cancellation()))
        runner.close()
        after.append(_resident_mib())
    sys.stdout.write(json.dumps(after))


def _resident_mib() -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) // 1024


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
