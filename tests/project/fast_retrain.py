"""`tenken-train retrain` that trains in a moment, for the base model of this machine's engine."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "training"))

from fast_training import retrain_fast

from engine.models import installed_package

if __name__ == "__main__":
    sys.exit(retrain_fast(sys.argv[1:], installed_package().EXPECTED_SHA256))
