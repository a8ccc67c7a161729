"""A training in a process of its own: BASE ROWS OUT SETTINGS(JSON) [LAST]. Prints the losses as JSON.

Behind the step LAST it waits to be killed."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path


def main(base: str, rows: str, out: str, settings: str, last: str = "") -> None:
    from engine.finetune.routine import finetune
    from engine.finetune.rows import read_rows
    from engine.finetune.settings import FinetuneSettings

    def wait_behind_last(step: int, values: dict[str, float]) -> None:
        if last and step > int(last):
            threading.Event().wait(600)

    data = list(read_rows(Path(rows)))
    run = finetune(
        Path(base),
        data,
        data[:8],
        FinetuneSettings.model_validate_json(settings),
        Path(out),
        on_log=wait_behind_last,
    )
    print(json.dumps(run.history))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))
    main(*sys.argv[1:])
