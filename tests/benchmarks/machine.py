"""What a number was measured on: the first thing to look at where two results differ."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engine.cpus import available_cpus


def describe_machine(packages: Sequence[str]) -> dict[str, Any]:
    """Return the machine, the versions of Python and `packages`, the date, and how busy it is."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": _cpu_name(),
        "cpus": available_cpus(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in packages},
        "load_average_at_start": load_average(),
    }


def load_average() -> float:
    """Return how many threads wanted to run in the last minute."""
    return round(os.getloadavg()[0], 1)


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine()
    )
