"""The embedded runner on the real model: exact scores, valid replies, adapters apart, quick to stop."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

np = pytest.importorskip("numpy")

from engine.errors import AdapterError, ModelError, RunnerError  # noqa: E402 - after the skip
from engine.models import BaseModel  # noqa: E402
from engine.prompts import LABELS  # noqa: E402
from engine.runners import Cancellation, Reply, Runner, ScoreRequest, WriteRequest  # noqa: E402
from engine.runners.llama import LlamaOptions, LlamaRunner  # noqa: E402
from engine.runners.llama_server import LlamaServer, ServerOptions  # noqa: E402
from engine.testing import write_random_adapter  # noqa: E402

pytestmark = pytest.mark.model

LINES = [line for line in inspect.getsource(textwrap).splitlines() if line.strip()]
NOISE = 0.25  # mean |difference| of log-probabilities where only the order of computation differs
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"severity": {"enum": ["info", "minor"]}, "message": {"type": "string", "maxLength": 20}},
    "required": ["severity", "message"],
    "additionalProperties": False,
}


def _request(seed: int, lines: int = 8) -> ScoreRequest:
    shown = LINES[10 * seed : 10 * seed + lines]
    rows = "\n".join(f"{number:>3}+{text}" for number, text in enumerate(shown, 1))
    prompt = f"<start_of_turn>user\nReview file{seed}.py.\n{rows}<end_of_turn>\n<start_of_turn>model\n"
    return ScoreRequest(
        prompt, tuple(f"\n{number} {text.strip()} =>" for number, text in enumerate(shown, 1))
    )


def _write_request(seed: int, max_tokens: int = 50) -> WriteRequest:
    request = _request(seed)
    return WriteRequest(request.prompt, f"{request.blocks[0]} bug en\n", SCHEMA, max_tokens)


def _logs(runner: Runner, *requests: ScoreRequest) -> Any:
    found = dict(runner.score(requests, LABELS, Cancellation(), lambda count: None))
    return np.log([row for index in range(len(requests)) for row in found[index].probabilities])


def _replies(runner: Runner, *requests: WriteRequest) -> list[Reply]:
    found = dict(runner.write(requests, Cancellation()))
    return [found[index] for index in range(len(requests))]


@pytest.fixture(scope="module")
def runner(gemma: BaseModel) -> Iterator[LlamaRunner]:
    """The base model alone."""
    made = LlamaRunner(gemma, LlamaOptions(context=1024))
    yield made
    made.close()


@pytest.fixture(scope="module")
def adapted(
    gemma: BaseModel, random_adapter: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LlamaRunner]:
    """Scores with one adapter and writes with another."""
    folder = tmp_path_factory.mktemp("adapted")
    other = write_random_adapter(folder / "other", seed=1)
    options = LlamaOptions(score_adapter=random_adapter, write_adapter=other, context=512, cache=folder)
    made = LlamaRunner(gemma, options)
    yield made
    made.close()


def test_growing_requests_give_what_single_ones_do(runner: LlamaRunner) -> None:
    """A line's score does not depend on how the text before it came into the cache."""
    request = _request(0)
    single = [
        _logs(runner, ScoreRequest(request.prompt + "".join(request.blocks[:index]), (block,)))[0]
        for index, block in enumerate(request.blocks)
    ]
    assert np.abs(_logs(runner, request) - single).mean() < NOISE


def test_prompts_outlive_the_window(runner: LlamaRunner) -> None:
    """What was read past the window of 512 tokens scores the same again, others in between or not."""
    long = _request(1, lines=28)
    request = ScoreRequest(long.prompt, long.blocks[:8])
    read = sum(map(runner.count_tokens, (request.prompt, *request.blocks)))
    assert runner.count_tokens(request.prompt) < 512 < read
    first = _logs(runner, request)
    assert np.abs(_logs(runner, request) - first).mean() < NOISE
    _logs(runner, *(_request(seed, lines=2) for seed in range(2, 6)))
    assert np.abs(_logs(runner, request) - first).mean() < NOISE


def test_the_same_history_gives_the_same_scores(gemma: BaseModel) -> None:
    """Two runs of a review agree to the last bit."""
    found = []
    for _ in range(2):
        made = LlamaRunner(gemma, LlamaOptions(context=512))
        found.append(_logs(made, _request(0, 4), _request(1, 4)))
        made.close()
    assert np.array_equal(found[0], found[1])


def test_prefix_is_reused(runner: LlamaRunner) -> None:
    """A scored prompt is not computed again for the lines that are written about."""
    request = _request(9)
    _logs(runner, request)
    [reply] = _replies(runner, _write_request(9))
    assert reply.cached_tokens >= runner.count_tokens(request.prompt)


def test_replies_fit_the_schema_wherever_they_are_written(runner: LlamaRunner) -> None:
    """Replies written side by side, some about one prompt, are whole and valid."""
    for reply in _replies(runner, *(_write_request(seed) for seed in (0, 0, 1, 2, 3, 4))):
        assert set(json.loads(reply.text)) == {"severity", "message"}
        assert not reply.truncated


def test_budget_ends_a_reply(runner: LlamaRunner) -> None:
    """A reply that runs out of tokens says so."""
    [reply] = _replies(runner, _write_request(0, max_tokens=5))
    assert reply.truncated
    assert reply.tokens == 5


def test_control_tokens_are_parsed(runner: LlamaRunner) -> None:
    """The template's markers are one token each."""
    assert runner.count_tokens("<start_of_turn>") == runner.count_tokens("<end_of_turn>") == 1


def test_adapters_stay_apart(adapted: LlamaRunner, runner: LlamaRunner) -> None:
    """Scores of one adapter are the same before and after another one wrote, and not those of the base."""
    first = _logs(adapted, _request(0))
    written = _replies(adapted, _write_request(0))[0].text
    assert np.abs(_logs(adapted, _request(0)) - first).mean() < NOISE
    assert np.abs(_logs(runner, _request(0)) - first).mean() > 2 * NOISE
    assert _replies(adapted, _write_request(0))[0].text == written


def test_adapter_is_named(adapted: LlamaRunner, runner: LlamaRunner) -> None:
    """The review can say what it was made with."""
    assert (runner.base_model, runner.adapter) == ("gemma-3-270m-q4_k_m", "")
    assert adapted.adapter == "random+other"


def test_stops_within_a_prompt(gemma: BaseModel) -> None:
    """A long prompt is abandoned long before it is read."""
    made = LlamaRunner(gemma, LlamaOptions(context=8192, slots=1))
    long = ScoreRequest(" ".join(str(number) for number in range(1800)), ("=>",))
    whole = made.count_tokens(long.prompt)
    seen: list[float] = []
    cancellation = Cancellation()
    Timer(0.5, cancellation.cancel).start()
    begin = time.monotonic()
    assert list(made.score([long], LABELS, cancellation)) == []
    seen.append(time.monotonic() - begin)
    begin = time.monotonic()
    _logs(made, ScoreRequest("x " * 250, ("=>",)))
    assert seen[0] < 0.5 * whole / 250 * (time.monotonic() - begin)
    made.close()


def test_abandoned_replies_stop(runner: LlamaRunner) -> None:
    """Whoever stops listening after the first reply gets control back, and the runner goes on working."""
    next(iter(runner.write([_write_request(seed) for seed in (0, 1, 0, 1)], Cancellation())))
    assert _replies(runner, _write_request(0))[0].tokens > 0


def test_too_long_a_prompt_is_an_error(runner: LlamaRunner) -> None:
    """llama.cpp's own message says what is too long."""
    with pytest.raises(RunnerError, match=r"tokens.*exceed"):
        _logs(runner, ScoreRequest("word " * 3000, ("=>",)))
    with pytest.raises(RunnerError, match=r"tokens.*exceed"):
        _replies(runner, WriteRequest("word " * 3000, "", SCHEMA, 10))


def test_labels_are_single_tokens(runner: LlamaRunner) -> None:
    """A label that is no token cannot be read from a distribution."""
    with pytest.raises(RunnerError, match="maintainability"):
        list(runner.score([_request(0)], [" ok", " maintainability"], Cancellation()))


def test_closed_runner_says_so(gemma: BaseModel) -> None:
    """Closing is idempotent, and every call after it is a clear error."""
    made = LlamaRunner(gemma, LlamaOptions(context=512))
    made.close()
    made.close()
    with pytest.raises(RunnerError, match="closed"):
        made.count_tokens("x")
    with pytest.raises(RunnerError, match="closed"):
        _logs(made, _request(0))


def test_a_failed_call_leaves_no_connection(gemma: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does one that was under way when the model was closed: it would be nobody's to close."""
    server = LlamaServer(ServerOptions(gemma.path, (), threads=1, context=256, slots=1))
    assert server.tokenize("kept")
    assert server._connection.sock is not None
    send, read = HTTPConnection.request, HTTPConnection.getresponse

    def fail(connection: HTTPConnection) -> HTTPResponse:
        raise TimeoutError

    monkeypatch.setattr(HTTPConnection, "getresponse", fail)
    with pytest.raises(RunnerError, match="did not tokenize: TimeoutError"):
        server.tokenize("late")
    assert server._connection.sock is None

    kept = server._server  # else the server is gone before it answers

    def end(connection: HTTPConnection, *rest: Any) -> None:
        server.close()
        send(connection, *rest)

    monkeypatch.setattr(HTTPConnection, "request", end)
    monkeypatch.setattr(HTTPConnection, "getresponse", read)
    assert server.tokenize("just in time")
    assert server._connection.sock is None
    del kept


def test_damaged_model(tmp_path: Path) -> None:
    """A file that llama.cpp cannot load is named."""
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + b"\0" * 100)
    with pytest.raises(ModelError, match=r"broken\.gguf"):
        LlamaRunner(BaseModel("broken", path, None))


def test_adapter_of_another_base(gemma: BaseModel, tmp_path: Path) -> None:
    """An adapter whose shapes are not the model's is refused while loading."""
    from safetensors.numpy import load_file, save_file

    adapter = write_random_adapter(tmp_path / "adapter")
    weights = load_file(adapter / "adapter_model.safetensors")
    narrow = {name: values[..., :320] if "lora_A" in name else values for name, values in weights.items()}
    copied = {name: np.ascontiguousarray(values) for name, values in narrow.items()}
    save_file(copied, adapter / "adapter_model.safetensors")
    with pytest.raises((AdapterError, ModelError), match="made for this base model"):
        LlamaRunner(gemma, LlamaOptions(score_adapter=adapter, cache=tmp_path / "cache"))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the memory in use")
def test_closing_gives_memory_back(gemma: BaseModel) -> None:
    """Models that come and go leave nothing resident, however many there were.

    In a process of its own: what other tests hold and let go is not what is measured. And over many models:
    one or two buffers of 39 MiB that the C library has not handed back yet come and go again, while what is
    lost of each model adds up.
    """
    models = 11
    command = [sys.executable, str(Path(__file__).with_name("come_and_go.py")), str(gemma.path), str(models)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = json.loads(done.stdout)
    assert len(after) == models
    assert (after[-1] - after[0]) / (models - 1) < 20, after


def test_nothing_is_printed(gemma: BaseModel, capfd: pytest.CaptureFixture[str]) -> None:
    """Standard output and error belong to the review."""
    made = LlamaRunner(gemma, LlamaOptions(context=512))
    _replies(made, WriteRequest("Hello", " bug en\n", SCHEMA, 40))
    made.close()
    assert capfd.readouterr() == ("", "")
