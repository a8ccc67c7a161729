"""Runs the stages after collecting on many made-up records, and tells how much memory each had at its peak.

python tests/benchmarks/history_stages.py FOLDER RECORDS
"""

from __future__ import annotations

import json
import random
import resource
import sys
import time
from pathlib import Path

from training.history.curate import curate
from training.history.label import ITEMS, label
from training.history.redact import redact
from training.history.settings import HistorySettings
from training.history.split import split
from training.history.stages import RECORDS, StageManifest


def write_history(path: Path, count: int) -> None:
    """Write records, two in three of them remarks, the others quiet hunks."""
    rng = random.Random(1)
    words = [f"word{number}" for number in range(5000)]
    with path.open("w", encoding="utf-8") as file:
        for number in range(count):
            name = rng.choice(words)
            rows = [f"+    {' '.join(rng.choices(words, k=6))}" for _ in range(20)]
            row = {
                "kind": "quiet" if number % 3 == 2 else "remark",
                "id": f"r-{number}",
                "author": {"username": f"u{number % 40}", "name": f"Person N{number % 40}", "role": 30},
                "created": f"2026-{1 + number * 11 // count:02}-01T00:00:00Z",
                "mr": number // 10,
                "path": f"src/{name}.py",
                "head_sha": "a" * 40,
                "hunk": "\n".join(["@@ -0,0 +1,20 @@", *rows]),
            }
            if row["kind"] == "remark":
                row |= {"body": f"Please check {' '.join(rng.choices(words, k=8))}.", "line": 1 + number % 20}
            file.write(json.dumps(row) + "\n")


def main(folder: Path, count: int) -> None:
    """Run everything and print a JSON object: seconds and peak memory (MiB) after each stage, and counts."""
    settings, source = HistorySettings(), folder / "collected.jsonl"
    write_history(source, count)
    seen: dict[str, object] = {"start_mib": peak()}
    stages = (
        ("redact", lambda: redact(source, folder / "1", settings.redact, "salt")),
        ("curate", lambda: curate(folder / "1" / RECORDS, folder / "2", settings.curate)),
        ("label", lambda: label(folder / "2" / RECORDS, folder / "3", settings.label)),
        ("split", lambda: split(folder / "3" / ITEMS, folder / "4", settings.split)),
    )
    for name, run in stages:
        started = time.monotonic()
        manifest: StageManifest = run()
        seconds = round(time.monotonic() - started, 1)
        seen[name] = {"seconds": seconds, "peak_mib": peak(), "counts": manifest.counts}
    print(json.dumps(seen))


def peak() -> int:
    """Return the most memory this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
