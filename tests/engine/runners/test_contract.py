"""What every runner keeps, the fake as well as the real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from minds import GemmaMind, Mind, ToyMind
from vllm_server import serving_vllm

from engine.prompts import LABELS
from engine.runners import Cancellation, Runner, ScoreRequest, WriteRequest
from engine.runners.llama import LlamaOptions, LlamaRunner
from engine.runners.openai import OpenAIOptions, OpenAIRunner
from engine.runners.torch_opening import TorchOptions, open_torch_directory
from engine.runners.torch_reference import ReferenceRunner
from engine.testing import CANNED_REPLY, FakeRunner, by_keyword


@pytest.fixture(
    scope="module",
    params=[
        "fake",
        "openai",
        "torch",
        "torch-reference",
        pytest.param("llama", marks=pytest.mark.model),
        pytest.param("openai-gemma", marks=pytest.mark.model),
    ],
)
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    """Each kind of runner in turn."""
    with ExitStack() as stack:
        made = _runner(request.param, request, stack)
        yield made
        made.close()
        made.close()  # idempotent


def _runner(kind: str, request: pytest.FixtureRequest, stack: ExitStack) -> Runner:
    if kind == "fake":
        return FakeRunner(by_keyword({"eval(": (" security", 0.9)}), CANNED_REPLY)
    if kind == "openai":
        return _on_vllm(ToyMind(), stack)
    if kind.startswith("torch"):
        return _on_torch(kind, request.getfixturevalue("base_dir"))
    llama = LlamaRunner(request.getfixturevalue("gemma"), LlamaOptions(context=512))
    if kind == "llama":
        return llama
    stack.callback(llama.close)
    return _on_vllm(GemmaMind(llama), stack)


def _on_torch(kind: str, base_dir: Path) -> Runner:
    for module in ("torch", "transformers", "peft", "llguidance"):
        pytest.importorskip(module)
    if kind == "torch-reference":
        return ReferenceRunner.load(base_dir, device="cpu")
    return open_torch_directory(base_dir, TorchOptions("cpu", "float32", context=1024))


def _on_vllm(mind: Mind, stack: ExitStack) -> Runner:
    server = stack.enter_context(serving_vllm(mind=mind, max_model_len=512))
    return OpenAIRunner(OpenAIOptions(urls=(server.url,), model=server.model, context=512))


PROMPT = (
    "<start_of_turn>user\nReview this change to a.py (python).\n"
    "  1+x = eval(y)\n  2+z = 1<end_of_turn>\n<start_of_turn>model\n"
)
BLOCKS = ("\n1 x = eval(y) =>", "\n2 z = 1 =>")
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "severity": {"enum": ["info", "minor"]},
        "message": {"type": "string", "minLength": 1, "maxLength": 20},
    },
    "required": ["severity", "message"],
    "additionalProperties": False,
    "x-guidance": {"whitespace_flexible": False},
}


def _scored(runner: Runner, requests: list[ScoreRequest]) -> dict[int, tuple[tuple[float, ...], ...]]:
    return {
        index: scores.probabilities
        for index, scores in runner.score(requests, LABELS, Cancellation(), _ignore)
    }


def _ignore(count: int) -> None:
    """Progress nobody looks at."""


def test_every_block_gets_a_distribution_over_the_labels(runner: Runner) -> None:
    """Each request is answered once, with a row that sums to 1 for each block."""
    scored = _scored(runner, [ScoreRequest(PROMPT, BLOCKS), ScoreRequest(PROMPT, BLOCKS[:1])])
    assert sorted(scored) == [0, 1]
    assert [len(scored[0]), len(scored[1])] == [2, 1]
    for row in (*scored[0], *scored[1]):
        assert len(row) == len(LABELS)
        assert sum(row) == pytest.approx(1)
        assert all(0 <= probability <= 1 for probability in row)


def test_no_request_gives_nothing(runner: Runner) -> None:
    """Empty lists are legal."""
    assert list(runner.score([], LABELS, Cancellation(), _ignore)) == []
    assert list(runner.write([], Cancellation())) == []


def test_request_without_blocks_gives_no_rows(runner: Runner) -> None:
    """A chunk without commentable lines is answered with no row."""
    assert _scored(runner, [ScoreRequest(PROMPT, ())]) == {0: ()}


def test_progress_counts_tokens(runner: Runner) -> None:
    """What `on_tokens` reports adds up to the tokens of the answers."""
    seen: list[int] = []
    answers = list(runner.score([ScoreRequest(PROMPT, BLOCKS)], LABELS, Cancellation(), seen.append))
    assert sum(seen) == answers[0][1].prompt_tokens > 0


def test_replies_are_text_within_the_schema(runner: Runner) -> None:
    """Each write request is answered once, with its token counts."""
    requests = [WriteRequest(PROMPT, f"{BLOCKS[0]} security en\n", SCHEMA, 80) for _ in range(3)]
    replies = dict(runner.write(requests, Cancellation()))
    assert sorted(replies) == [0, 1, 2]
    assert all(reply.text.startswith('{"severity":"') and not reply.truncated for reply in replies.values())
    assert all(reply.tokens > 0 and reply.prompt_tokens > 0 for reply in replies.values())


def test_cancelled_before_the_start_yields_nothing(runner: Runner) -> None:
    """A set cancellation stops both calls before their first request."""
    cancellation = Cancellation()
    cancellation.cancel()
    assert list(runner.score([ScoreRequest(PROMPT, BLOCKS)], LABELS, cancellation, _ignore)) == []
    assert list(runner.write([WriteRequest(PROMPT, " en\n", SCHEMA, 80)], cancellation)) == []


def test_cancelled_in_between_stops(runner: Runner) -> None:
    """After a cancellation at the first answer no more than what was in flight follows."""
    cancellation = Cancellation()
    answered = 0
    for _ in runner.score([ScoreRequest(PROMPT, BLOCKS)] * 40, LABELS, cancellation, _ignore):
        answered += 1
        cancellation.cancel()
    assert 1 <= answered < 20


def test_tokens_add_up(runner: Runner) -> None:
    """Counting is deterministic, zero for nothing, and grows with the text."""
    assert runner.count_tokens("") == 0
    assert runner.count_tokens("x = 1\n") == runner.count_tokens("x = 1\n") > 0
    assert runner.count_tokens("x = 1\n" * 50) > runner.count_tokens("x = 1\n")
