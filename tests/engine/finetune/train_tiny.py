"""A training in a process of its own: BASE ROWS OUT SETTINGS(JSON) [PAUSE]. Prints the losses as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path


def main(base: str, rows: str, out: str, settings: str, pause: str = "0") -> None:
    from engine.finetune.routine import finetune
    from engine.finetune.rows import read_rows
    from engine.finetune.settings import FinetuneSettings

    data = list(read_rows(Path(rows)))
    run = finetune(
        Path(base),
        data,
        data[:8],
        FinetuneSettings.model_validate_json(settings),
        Path(out),
        on_log=lambda step, values: time.sleep(float(pause)),
    )
    print(json.dumps(run.history))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))
    main(*sys.argv[1:])
