"""CPUs are counted by what the scheduler and the cgroups allow."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.cpus import available_cpus

USABLE = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _v1(quota: str) -> dict[str, str]:
    return {"cpu/a/cpu.cfs_quota_us": quota, "cpu/a/cpu.cfs_period_us": "100000"}


V1, V2 = "4:cpu,cpuacct:/a\n3:memory:/a\n", "0::/a/b\n"


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        pytest.param("", {}, USABLE, id="no cgroup"),
        pytest.param(V2, {}, USABLE, id="v2 without files"),
        pytest.param(V2, {"a/b/cpu.max": "max 100000"}, USABLE, id="v2 no limit"),
        pytest.param(V2, {"a/b/cpu.max": "100000 100000"}, 1, id="v2 one"),
        pytest.param(V2, {"a/b/cpu.max": "50000 100000"}, 1, id="v2 half"),
        pytest.param(V2, {"a/cpu.max": "100000 100000"}, 1, id="v2 parent"),
        pytest.param("0::/\n", {"cpu.max": "100000 100000"}, 1, id="v2 container"),
        pytest.param(V1, _v1("100000"), 1, id="v1 one"),
        pytest.param(V1, _v1("-1"), USABLE, id="v1 no limit"),
    ],
)
def test_quota(tmp_path: Path, cgroup: str, files: dict[str, str], expected: int) -> None:
    """The smallest limit counts, rounded down, but never below one."""
    named = {f"sys/fs/cgroup/{name}": text for name, text in files.items()} | {"proc/self/cgroup": cgroup}
    for name, text in named.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert available_cpus(tmp_path) == expected


def test_this_machine() -> None:
    """The real system gives at least one and no more than the scheduler."""
    assert 1 <= available_cpus() <= USABLE
