"""Logs of a run for a viewer, in its own folder. Nothing leaves the machine."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from engine.errors import MissingExtra
from engine.finetune.settings import LogTo

LOGS = "logs"


def prepare(log_to: LogTo, out: Path) -> None:
    """Have a trainer that is built afterwards log to `out`/logs; raises MissingExtra."""
    if log_to is LogTo.NONE:
        return
    if find_spec("tensorboard") is None and find_spec("tensorboardX") is None:
        raise MissingExtra("tensorboardX", "train")
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(out / LOGS)
