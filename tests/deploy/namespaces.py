"""Runs a command in a network namespace of its own: no interface of this machine, no way out of it."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import pytest


@functools.cache
def how() -> tuple[str, ...]:
    """Return the words that begin a command in a namespace; none where that is not allowed."""
    for words in (("unshare", "--net"), ("unshare", "--net", "--map-root-user")):
        try:
            done = subprocess.run([*words, "true"], capture_output=True, timeout=120, check=False)
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
    process = subprocess.Popen(
        [*how(), *map(str, command)],
        cwd=cwd, env=dict(os.environ if env is None else env), text=True, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        said, complained = process.communicate(timeout=seconds)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # whatever it started
    done = subprocess.CompletedProcess(process.args, process.returncode, said, complained)
    if check:
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done
