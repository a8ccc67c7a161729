"""What the tests of real editors share that run the real Gemma 3 270M: a change, and the engine's process."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

SECONDS = 200.0
ORDERS = '''\
import hashlib
import subprocess


def add_item(item, items=[]):
    """Append an item and return the list."""
    items.append(item)
    return items


def export(order, target):
    """Write an order where the warehouse picks it up."""
    subprocess.run(f"cp {order} {target}", shell=True)


def discount(order, code, codes):
    """Return the order's discount in per cent."""
    try:
        return codes[code](order)
    except:
        return 0


def token(customer):
    """Return a token for the customer's download link."""
    return hashlib.md5(customer["mail"].encode()).hexdigest()
'''


def embedded_engine(home: Path) -> int | None:
    """Return the process of the embedded engine of a user, if one runs."""
    return process_of(home, "lsp.worker")


@contextmanager
def held(home: Path) -> Iterator[int]:
    """Freeze the embedded engine while inside, so that a review is seen before it ends; give its process.

    It has taken down by then what was said of findings, so that what it is asked inside is what a test asks.
    """
    _until(lambda: not any(home.rglob("queue/*/*.json")))
    process = embedded_engine(home)
    assert process is not None
    os.kill(process, signal.SIGSTOP)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGCONT)


def until_asked(process: int) -> None:
    """Wait until a frozen engine was asked for something. Killed before that, it is begun anew."""
    waiting = bytearray(4)
    with Path(f"/proc/{process}/fd/0").open("rb", buffering=0) as asked:

        def is_asked() -> bool:
            fcntl.ioctl(asked, termios.FIONREAD, waiting)
            return int.from_bytes(waiting, sys.byteorder) > 0

        _until(is_asked)


def _until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def process_of(home: Path, module: str) -> int | None:
    """Return the process of a user that runs a module, if there is one."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, environment = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
        except OSError:
            continue  # it is over, or somebody else's
        if module.encode() in command.split(b"\0") and f"HOME={home}".encode() in environment.split(b"\0"):
            return int(folder.name)
    return None
