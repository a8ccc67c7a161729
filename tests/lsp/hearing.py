"""What an engine heard of a finding from an editor."""

from __future__ import annotations

import time

from engine.store.opening import Store

SECONDS = 120.0


def heard(store: Store, count: int) -> list[tuple[str, str]]:
    """Wait until the engine was told so many verdicts, and return them with their reasons."""
    end = time.monotonic() + SECONDS
    while len(found := store.feedback.list_feedback(None, None, 10)) < count:
        assert time.monotonic() < end, f"told: {found}"
        time.sleep(0.05)
    return [(entry.verdict.value, entry.reason or "") for entry in found]
