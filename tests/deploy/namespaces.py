"""Runs a command in a network namespace of its own: no interface of this machine, no way out of it."""

from __future__ import annotations

import functools
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest


@functools.cache
def how() -> tuple[str, ...]:
    """Return the words that begin a command in a namespace; none where that is not allowed."""
    for words in (("unshare", "--net"), ("unshare", "--net", "--map-root-user")):
        try:
            done = subprocess.run([*words, "true"], capture_output=True, timeout=20, check=False)
        except OSError:
            continue
        if done.returncode == 0:
            return words
    return ()


def cut_off(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    seconds: float = 300,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Return what a command did that has not even a loopback; skips the test where that cannot be."""
    if not how():
        pytest.skip("this system lets nobody make a network namespace")
    done = subprocess.run(
        [*how(), *map(str, command)],
        cwd=cwd, env=dict(os.environ if env is None else env), capture_output=True, text=True,
        timeout=seconds, check=False,
    )  # fmt: skip
    if check:
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done
