"""The real command line around a fake model, as a process of its own."""

from __future__ import annotations

import sys
import time

from engine.__main__ import main
from engine.adapters import Adapter
from engine.runners import Runner, WriteRequest
from engine.settings import EngineSettings
from engine.testing import FakeRunner, by_keyword, is_question


def write(request: WriteRequest) -> str:
    """Answer at once, or after a while for a line that says so."""
    if "slow" in request.suffix:
        time.sleep(1)
    if is_question(request):
        return '{"answer":"It evaluates \\u202etext."}'
    number = request.suffix.split()[0]
    return f'{{"severity":"major","message":"Remark {number}."}}'


def open_fake(settings: EngineSettings, adapter: Adapter | None) -> Runner:
    """Return a runner that finds every `eval`."""
    return FakeRunner(
        by_keyword({"eval": (" security", 0.9)}), write, adapter=adapter.version if adapter else ""
    )


if __name__ == "__main__":
    sys.exit(main(runner=open_fake))
