"""How many CPUs this process may use: what the scheduler allows, and what a container's quota pays for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def available_cpus(root: Path = Path("/")) -> int:
    """Return the number of whole CPUs this process gets, at least 1.

    A container limited to two CPUs on a machine of 64 still sees 64; running a thread on each makes
    every one of them wait for its turn. `root` is where /proc and /sys are.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min([usable, *_quotas(root)])))


def _quotas(root: Path) -> Iterator[float]:
    """CPUs' worth of time by each cgroup around this process that sets a limit."""
    mount = root / "sys/fs/cgroup"
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            for directory in _upwards(mount, path):
                yield from _ratio(_read(directory / "cpu.max"))
        elif "cpu" in controllers.split(","):
            for directory in _upwards(mount / "cpu", path):
                quota, period = (_read(directory / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
                yield from _ratio(f"{quota} {period}")


def _upwards(mount: Path, path: str) -> Iterator[Path]:
    inside = PurePosixPath(path.lstrip("/"))
    yield mount / inside
    yield from (mount / parent for parent in inside.parents if parent != inside)


def _ratio(text: str) -> Iterator[float]:
    match text.split():
        case [quota, period] if quota.isdecimal() and period.isdecimal() and int(period):
            yield int(quota) / int(period)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
