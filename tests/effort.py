"""What a call costs by itself: computing time of its thread, whatever else the machine and the suite do."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable


def computing_seconds(call: Callable[[], object]) -> float:
    """Return the seconds that `call` computes, without the collector's walks over what other tests left."""
    gc.disable()
    try:
        started = time.thread_time()
        call()
        return time.thread_time() - started
    finally:
        gc.enable()
