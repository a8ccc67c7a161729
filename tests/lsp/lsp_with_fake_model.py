"""The real server and the real embedded process, around a fake model."""

from __future__ import annotations

import json
import sys

from engine.adapters import Adapter
from engine.runners import Runner, WriteRequest
from engine.settings import EngineSettings
from engine.testing import FakeRunner, by_keyword


def write(request: WriteRequest) -> str:
    """Answer, or end the process for a line that says so."""
    if "die" in request.suffix:
        sys.exit("killed")
    if "answer" in str(request.schema):
        return '{"answer":"Because."}'
    return json.dumps({"severity": "major", "message": f"About {request.suffix.strip()[:40]}"})


def open_fake(settings: EngineSettings, adapter: Adapter | None) -> Runner:
    """Return a runner that finds every `eval`."""
    return FakeRunner(by_keyword({"eval": (" security", 0.9)}), write)


if __name__ == "__main__":
    if sys.argv[1:2] == ["worker"]:
        from lsp import worker

        sys.exit(worker.main(open_fake))
    from lsp import embedded
    from lsp.__main__ import main

    embedded.COMMAND = (sys.executable, __file__, "worker")
    embedded.is_installed = lambda: True
    sys.exit(main())
