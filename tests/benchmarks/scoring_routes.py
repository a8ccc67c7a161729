"""Ways to read the line scores off llama.cpp, in one run: python -m tests.benchmarks.scoring_routes.

`growing` is what the runner does: one-token requests that grow block by block, in process. `growing_http` are
the same requests over loopback. `embeddings` is one request for the final states of all tokens (pooling none,
over HTTP, for in process it is refused), times the label rows of the head. What counts is the ratio to
`growing`, and how far the scores of the base model and of an adapter are from it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from engine.adapters import starter_adapter
from engine.cache import default_cache
from engine.cpus import available_cpus
from engine.gguf_files import read_gguf
from engine.lora_files import cached_lora
from engine.models import BaseModel, base_model
from engine.prompts import LABELS
from engine.runners import Cancellation, ScoreRequest
from engine.runners.llama import LlamaOptions, LlamaRunner
from tests.benchmarks.cpu_runner import _chunk, _request
from tests.benchmarks.machine import describe_machine

Scores = Any  # [blocks, labels]
Tokens = tuple[list[int], list[list[int]]]  # prompt, blocks
LINES = (16, 40)
RESULTS = Path(__file__).parent / "results" / "scoring_routes.json"


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).parent / "results" / "scoring_routes.json"
    )
    arguments = parser.parse_args()
    source = tuple(line for line in Path(__file__).read_text("utf-8").splitlines() if line.strip()) * 3
    results: dict[str, Any] = {**describe_machine(("xllamacpp",)), "hunks": {}}
    for lines in LINES:
        requests = [_request(_chunk(source, number, lines)) for number in range(arguments.repeats)]
        results["hunks"][f"{lines}_lines"] = _compare(base_model(), requests)
    arguments.output.write_text(json.dumps(results, indent=1) + "\n")
    print(json.dumps(results["hunks"], indent=1))


def _compare(model: BaseModel, requests: Sequence[ScoreRequest]) -> dict[str, Any]:
    adapter = starter_adapter()
    assert adapter is not None
    found: dict[str, Any] = {}
    runners = {
        None: LlamaRunner(model, LlamaOptions()),
        adapter: LlamaRunner(model, LlamaOptions(adapter, adapter)),
    }
    tokens = [_tokens(runners[None], request) for request in requests]
    routes: dict[str, Callable[[Path | None, int], Scores]] = {
        "growing": lambda path, i: _growing(runners[path], requests[i]),
        "growing_http": lambda path, i: _growing_http(runners[path], tokens[i], path),
    }
    expected = {}
    for name, route in routes.items():
        found[name] = _measure(route, len(requests), expected, tuple(runners))
    for runner in runners.values():
        runner.close()
    embeddings = _Embeddings(model, adapter)
    found["embeddings"] = _measure(
        lambda path, i: embeddings.scores(*tokens[i], scale=float(path is not None)),
        len(requests), expected, tuple(runners),
    )  # fmt: skip
    for name in found:
        found[name]["times_growing"] = round(found[name]["seconds"] / found["growing"]["seconds"], 2)
    return found | {"tokens": [len(prompt) + sum(map(len, blocks)) for prompt, blocks in tokens]}


def _measure(
    route: Callable[[Path | None, int], Scores],
    count: int,
    expected: dict[tuple[Path | None, int], Scores],
    adapters: Sequence[Path | None],
) -> dict[str, float]:
    """Median seconds of a hunk, and the mean distance of log-probabilities from the first route's."""
    seconds, off = [], {path: list[float]() for path in adapters}
    for path in adapters:
        for index in range(count):
            started = time.monotonic()
            logs = np.log(np.maximum(route(path, index), 1e-9))
            seconds.append(time.monotonic() - started)
            off[path].append(float(np.abs(logs - expected.setdefault((path, index), logs)).mean()))
    base, adapted = (round(statistics.mean(off[path]), 4) for path in adapters)
    return {"seconds": round(statistics.median(seconds), 3), "off_base": base, "off_adapter": adapted}


def _tokens(runner: LlamaRunner, request: ScoreRequest) -> tuple[list[int], list[list[int]]]:
    blocks = [list(runner._tokens(block)) for block in request.blocks]
    return [2, *runner._tokens(request.prompt)], blocks


def _growing(runner: LlamaRunner, request: ScoreRequest) -> Scores:
    ((_, scores),) = runner.score([request], LABELS, Cancellation())
    return np.array(scores.probabilities)


def _growing_http(
    runner: LlamaRunner, tokens: tuple[list[int], list[list[int]]], path: Path | None
) -> Scores:
    labels = runner._label_ids(LABELS)
    text, rows = list(tokens[0]), []
    for block in tokens[1]:
        text = [*text, *block]
        body = runner._body(text, 3, path) | {
            "n_predict": 1, "n_probs": len(labels), "post_sampling_probs": True, "samplers": ["top_k"],
            "top_k": len(labels), "logit_bias": [[label, 1000.0] for label in labels],
        }  # fmt: skip
        answer = runner._server._post("/completion", json.dumps(body).encode())
        found = {p["id"]: p["prob"] for p in answer["completion_probabilities"][0]["top_probs"]}
        rows.append([found[label] for label in labels])
    return np.array(rows)


class _Embeddings:
    """A server of its own, for llama.cpp gives states or tokens."""

    def __init__(self, model: BaseModel, adapter: Path) -> None:
        import xllamacpp

        parameters = xllamacpp.CommonParams()
        parameters.model.path = str(model.path)
        parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = 4096
        parameters.n_parallel = 1
        parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = available_cpus()
        parameters.embedding = True
        parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_NONE
        lora = str(cached_lora(adapter, default_cache()))
        parameters.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(lora, 0.0)]
        parameters.lora_init_without_apply = True
        parameters.warmup = parameters.fit_params = False
        parameters.port, parameters.verbosity = 0, -1
        self._server = xllamacpp.Server(parameters)
        self._address = self._server.listening_address.removeprefix("http://")
        head = next(
            values for tensor, values in read_gguf(model.path).values() if tensor.name == "token_embd.weight"
        )
        bare = LlamaRunner(model, LlamaOptions())
        self._head = head[bare._label_ids(LABELS)]
        bare.close()

    def scores(self, prompt: list[int], blocks: list[list[int]], scale: float) -> Scores:
        whole, marks = list(prompt), []
        for block in blocks:
            whole += block
            marks.append(len(whole) - 1)
        self._post("/lora-adapters", [{"id": 0, "scale": scale}])
        states = np.array(self._post("/embedding", {"content": whole, "embd_normalize": -1})[0]["embedding"])
        logits = states[marks] @ self._head.T
        powers = np.exp(logits - logits.max(-1, keepdims=True))
        return powers / powers.sum(-1, keepdims=True)

    def _post(self, path: str, body: object) -> Any:
        connection = http.client.HTTPConnection(self._address, timeout=120)
        connection.request("POST", path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())


if __name__ == "__main__":
    main()
