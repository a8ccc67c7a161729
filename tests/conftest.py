"""The suite's options: goldens are compared, or written anew with --update-goldens and then read."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog

DATA = Path(__file__).parent / "data"

# How long one example takes is the machine's business: the limits on computing are in tests of their own.
hypothesis.settings.register_profile(
    "tenken", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("tenken")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write the golden files, don't compare")


def pytest_collection_finish() -> None:
    """Spare the collector what lasts as long as the run: a million objects, half a second each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def log_as_it_was() -> Iterator[None]:
    """Undo what a test sets the log to: a command sends it to a stream that pytest closes afterwards."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with the golden file at a path; with --update-goldens, write it."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-goldens"):
            path.write_text(text, encoding="utf-8", newline="")
        assert path.read_bytes().decode("utf-8") == text

    return compare


@pytest.fixture
def check_golden(golden: Callable[[Path, str], None]) -> Callable[[Path, object], None]:
    """Compare a JSON value with the golden file at a path; with --update-goldens, write it."""

    def check(path: Path, value: object) -> None:
        golden(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")

    return check
