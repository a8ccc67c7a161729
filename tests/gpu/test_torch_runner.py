"""The torch runner on a CUDA device with the real 270M, against transformers in float32."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.adapters import starter_adapter
from engine.diffs import Chunk
from engine.errors import MissingExtra, ModelError
from engine.findings import Category
from engine.prompts import LABELS, review_prompt, score_blocks, write_suffix
from engine.replies import reply_schema
from engine.runners import (
    Cancellation,
    LikelihoodRequest,
    LikelihoodRunner,
    Runner,
    ScoreRequest,
    WriteRequest,
)
from engine.runners.gemma.shape import read_shape
from engine.runners.torch_opening import TorchOptions, open_torch_directory, plan_for
from engine.runners.torch_reference import ReferenceRunner
from engine.wire import Language, ReviewRequest
from engine.workload import plan_work

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def base(cuda: str) -> Path:
    """The real base model as a Hugging Face directory, made of the GGUF that this machine has."""
    from engine.finetune.base import hf_base
    from engine.models import base_model
    from engine.settings import load_settings

    try:
        return hf_base(base_model(path=load_settings().model_path))
    except (MissingExtra, ModelError) as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def adapter() -> Path:
    directory = starter_adapter()
    assert directory is not None
    return directory


@pytest.fixture(scope="module")
def reference(base: Path, adapter: Path) -> Iterator[Runner]:
    runner = ReferenceRunner.load(base, adapter, device="cuda", dtype="float32")
    yield runner
    runner.close()


def scored(runner: Runner, requests: list[ScoreRequest]) -> Any:
    answers = dict(runner.score(requests, LABELS, Cancellation(), lambda count: None))
    return torch.tensor([row for i in range(len(requests)) for row in answers[i].probabilities])


def example_chunks() -> list[Chunk]:
    """The chunks of the example that `make review` shows, which has planted problems."""
    text = (Path(__file__).parents[1] / "data" / "example.diff").read_text("utf-8")
    request = ReviewRequest(diff=text)
    return [piece.chunk for piece in plan_work(request, lambda text: len(text) // 3).pieces]


CHUNKS = example_chunks()
SCORES = [ScoreRequest(review_prompt(chunk), score_blocks(chunk)) for chunk in CHUNKS]
WRITES = [
    WriteRequest(review_prompt(chunk), write_suffix(chunk, line, category, Language.EN), reply_schema(), 120)
    for chunk in CHUNKS
    for line in chunk.commentable
    for category in (Category.BUG, Category.SECURITY)
]


TEXT = '{"severity":"major","message":"Do not use mutable data structures for argument defaults."}'


def comments() -> list[LikelihoodRequest]:
    """A message about every line of the example."""
    span = (TEXT.index("Do"), TEXT.index('"}'))
    return [LikelihoodRequest(write.prompt, write.suffix, TEXT, span) for write in WRITES]


@pytest.mark.parametrize(("precision", "mean"), [("bfloat16", 0.004), ("nf4", 0.03)])
def test_scores_are_those_of_transformers(
    precision: Any, mean: float, base: Path, adapter: Path, reference: Runner
) -> None:
    """Twice: the second time from kept prompts."""
    runner = open_torch_directory(base, TorchOptions(precision=precision), adapter, adapter)
    expected = scored(reference, SCORES)
    for _ in range(2):
        assert (scored(runner, SCORES) - expected).abs().mean() < mean
    runner.close()


def test_replies_are_those_of_transformers(base: Path, adapter: Path, reference: Runner) -> None:
    """Greedy replies under the grammar: alike but where two tokens are nearly as probable."""
    runner = open_torch_directory(base, TorchOptions(), adapter, adapter)
    mine = dict(runner.write(WRITES, Cancellation()))
    theirs = dict(reference.write(WRITES, Cancellation()))
    same = sum(mine[i].text == theirs[i].text for i in range(len(WRITES)))
    assert same >= 0.7 * len(WRITES)
    runner.close()


def test_runners_share_the_model(base: Path, adapter: Path) -> None:
    """A second adapter adds its factors and nothing else; the model goes with its last runner."""
    before = torch.cuda.memory_allocated()
    first = open_torch_directory(base, TorchOptions(), adapter, adapter)
    loaded = torch.cuda.memory_allocated()
    second = open_torch_directory(base, TorchOptions())
    assert torch.cuda.memory_allocated() - loaded < 2**20
    second.close()
    first.close()
    assert torch.cuda.memory_allocated() - before < 2**26


def test_what_is_planned_is_what_is_taken(base: Path) -> None:
    """Memory stays within the plan, and the plan is not half empty either."""
    shape = read_shape(base)
    assert shape is not None
    options = TorchOptions(memory_gib=6.0, adapters=3)
    plan = plan_for(shape, options)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    runner = open_torch_directory(base, options)
    list(runner.score(SCORES * 40, LABELS, Cancellation(), lambda count: None))
    list(runner.write(WRITES, Cancellation()))
    taken = torch.cuda.max_memory_allocated() - before
    assert 0.5 * plan.total < taken < 1.1 * plan.total
    runner.close()


def test_cancelled_between_tokens(base: Path) -> None:
    """A cancelled call ends at once, and the next is answered in full."""
    runner = open_torch_directory(base, TorchOptions())
    cancellation = Cancellation()
    for _ in runner.write(WRITES, cancellation):
        cancellation.cancel()
    assert len(dict(runner.write(WRITES, Cancellation()))) == len(WRITES)
    runner.close()


def likelihoods(runner: Any, requests: list[LikelihoodRequest], at_once: int = 0) -> Any:
    """Log-probabilities by row; `at_once` of them in a call, all where that is 0."""
    size = at_once or len(requests)
    rows = []
    for start in range(0, len(requests), size):
        part = requests[start : start + size]
        found = dict(runner.likelihoods(part, Cancellation()))
        rows += [found[i].log_probabilities for i in range(len(part))]
    return torch.tensor(rows)


def worst(off: Any) -> dict[int, float]:
    """The rows that are off most, for the message."""
    return {i: round(float(off[i].mean()), 3) for i in off.mean(1).argsort(descending=True)[:8].tolist()}


def test_padding_changes_no_likelihood(reference: Any) -> None:
    """What transformers says of rows of many lengths, padded, and of each alone."""
    requests = comments()
    off = (likelihoods(reference, requests) - likelihoods(reference, requests, 1)).abs()
    assert off.max() < 0.01, f"off by {off.mean():.4f}, rows {worst(off)}"


def test_padding_changes_no_score(reference: Any) -> None:
    """What transformers says of the example's lines, padded, and of each chunk alone."""
    alone = torch.cat([scored(reference, [request]) for request in SCORES])
    assert (scored(reference, SCORES) - alone).abs().max() < 1e-3


def test_padding_changes_no_reply(reference: Any) -> None:
    """Greedy replies, padded, and each alone. Those of 32 tokens meet every remainder of a number of keys."""
    writes = WRITES[::6]
    together = dict(reference.write(writes, Cancellation()))
    alone = [reply for write in writes for _, reply in reference.write([write], Cancellation())]
    assert max(reply.tokens for reply in alone) >= 32
    assert [together[number].text for number in range(len(writes))] == [reply.text for reply in alone]


def test_likelihoods_are_those_of_transformers(base: Path, adapter: Path, reference: Any) -> None:
    """As near to float32 as transformers in the runner's precision, twice: then from kept prompts.

    Transformers reads each row alone: nothing is padded. By row too: the worst ones are named where it fails.
    """
    requests = comments()
    expected = likelihoods(reference, requests, 1)  # first: the runner takes what is free
    peer = ReferenceRunner.load(base, adapter, device="cuda", dtype="bfloat16")
    noise = (likelihoods(peer, requests, 1) - expected).abs()
    peer.close()
    runner = open_torch_directory(base, TorchOptions(), adapter, adapter)
    for again in (False, True):
        ours = likelihoods(runner, requests)
        assert torch.isfinite(ours).all()
        off = (ours - expected).abs()
        said = f"again: {again}, off by {off.mean():.4f}, not {noise.mean():.4f}, rows {worst(off)}"
        assert off.mean() < 1.5 * noise.mean(), said
        assert off.mean(1).max() < 2 * noise.mean(1).max(), said
        assert (ours.mean() - expected.mean()).abs() < 0.03, said
    runner.close()


def test_likelihoods_stay_within_the_plan(base: Path) -> None:
    """The logits of all tokens asked about would be gigabytes more; a part of them is held at once."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    runner = open_torch_directory(base, TorchOptions(memory_gib=4.0))
    assert isinstance(runner, LikelihoodRunner)
    requests = comments() * 20
    assert len(dict(runner.likelihoods(requests, Cancellation()))) == len(requests)
    assert torch.cuda.max_memory_allocated() - before < 4.4 * 2**30
    runner.close()


def test_a_batch_that_is_too_much_for_the_card(base: Path, adapter: Path) -> None:
    """Transformers' forward over many rows, with 3 GiB to be had: halves give what single rows give."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    runner = ReferenceRunner.load(base, adapter, token_budget=10**6)
    alone = ReferenceRunner(runner._model, runner._tokenizer, base.name, "", 1)
    requests = [ScoreRequest(each.prompt * 3, each.blocks) for each in SCORES] * 60
    expected = scored(alone, requests)
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_allocated() + 3 * 2**30) / total)
    try:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_stats()["num_ooms"]
        assert (scored(runner, requests) - expected).abs().mean() < 0.01
        assert torch.cuda.memory_stats()["num_ooms"] > before
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        runner.close()
