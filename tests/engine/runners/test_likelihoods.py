"""How probable a given text is: both torch runners against the logits of transformers, one row at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.errors import RunnerError
from engine.runners import Cancellation, LikelihoodRequest, LikelihoodRunner
from engine.runners.spans import asked_tokens
from engine.runners.torch_opening import TorchOptions, open_torch_directory
from engine.runners.torch_reference import ReferenceRunner
from engine.testing import FakeRunner

LONG = "a line of code that is longer than the window of this model\n"
TEXT = '{"severity":"minor","message":"Übel, 悪い: do not."}'
SPAN = (TEXT.index("Ü"), len(TEXT) - 2)
REQUESTS = (
    LikelihoodRequest("def f():\n", "\n1 a => bug en\n", TEXT, SPAN),
    LikelihoodRequest(LONG * 2, "\n1 c => bug en\n", TEXT, (0, len(TEXT))),
    LikelihoodRequest("", "\n7 d =>", "ok", (1, 2)),
    LikelihoodRequest(LONG * 2, "\n2 d => docs ja\n", TEXT, SPAN),
    LikelihoodRequest("nothing is asked", "", TEXT, (3, 3)),
)


@pytest.fixture(scope="module", params=["torch", "reference"])
def runner(request: pytest.FixtureRequest, base_dir: Path) -> Iterator[LikelihoodRunner]:
    """Each runner that can read, on the base model."""
    yield from _open(request.param, base_dir, None)


@pytest.fixture(scope="module", params=["torch", "reference"])
def adapted(request: pytest.FixtureRequest, base_dir: Path, adapter_dir: Path) -> Iterator[LikelihoodRunner]:
    """The same with an adapter to write with."""
    yield from _open(request.param, base_dir, adapter_dir)


def _open(kind: str, base_dir: Path, adapter: Path | None) -> Iterator[LikelihoodRunner]:
    for module in ("torch", "transformers", "peft"):
        pytest.importorskip(module)
    if kind == "reference":
        runner: Any = ReferenceRunner.load(base_dir, adapter, device="cpu", token_budget=400)
    else:
        options = TorchOptions(device="cpu", precision="float32", context=512, rank=4)
        runner = open_torch_directory(base_dir, options, None, adapter)
    assert isinstance(runner, LikelihoodRunner)
    yield runner
    runner.close()


def expected(base_dir: Path, adapter: Path | None, request: LikelihoodRequest) -> list[float]:
    """The logarithms by one plain forward over everything; the vocabulary is a token a byte."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(base_dir)
    model: Any = AutoModelForCausalLM.from_pretrained(base_dir, attn_implementation="eager")
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, str(adapter))
    pieces = [
        request.prompt,
        request.suffix,
        request.text[: request.span[0]],
        request.text[slice(*request.span)],
    ]
    ids = [[2], *(tokenizer(piece, add_special_tokens=False)["input_ids"] for piece in pieces)]
    flat = [token for piece in ids for token in piece]
    with torch.inference_mode():
        logs = model(torch.tensor([flat])).logits[0].float().log_softmax(-1)
    return [float(logs[at - 1, flat[at]]) for at in range(len(flat) - len(ids[-1]), len(flat))]


def found_by(runner: LikelihoodRunner) -> list[Sequence[float]]:
    answers = dict(runner.likelihoods(REQUESTS, Cancellation()))
    return [answers[index].log_probabilities for index in range(len(REQUESTS))]


def test_they_are_those_of_transformers(runner: LikelihoodRunner, base_dir: Path) -> None:
    """Texts of several bytes a character, longer than the window, whole or in part, and none at all."""
    for _ in range(2):  # the second time prompts are gone on from
        for request, found in zip(REQUESTS, found_by(runner), strict=True):
            assert found == pytest.approx(expected(base_dir, None, request), abs=2e-5)


def test_with_the_adapter_that_writes(adapted: LikelihoodRunner, base_dir: Path, adapter_dir: Path) -> None:
    """Its factors are in every layer's products, and they matter."""
    found = found_by(adapted)
    for request, answer in zip(REQUESTS, found, strict=True):
        assert answer == pytest.approx(expected(base_dir, adapter_dir, request), abs=2e-5)
    assert found[0] != pytest.approx(expected(base_dir, None, REQUESTS[0]), abs=1e-3)


def test_tokens_are_counted_and_it_stops(runner: LikelihoodRunner) -> None:
    """Progress hears of every token read; who cancelled gets nothing more."""
    heard: list[int] = []
    answers = dict(runner.likelihoods(REQUESTS, Cancellation(), heard.append))
    assert sum(heard) == sum(answer.prompt_tokens for answer in answers.values())
    cancelled = Cancellation()
    cancelled.cancel()
    assert list(runner.likelihoods(REQUESTS, cancelled)) == []


def test_a_text_beyond_the_context_is_an_error(base_dir: Path) -> None:
    """Not cut: half a comment has another likelihood."""
    pytest.importorskip("torch")
    options = TorchOptions(device="cpu", precision="float32", context=64, rank=4)
    runner: Any = open_torch_directory(base_dir, options)
    with pytest.raises(RunnerError, match="ENGINE_CONTEXT"):
        list(runner.likelihoods([LikelihoodRequest("p", "s", "x" * 80, (0, 80))], Cancellation()))
    runner.close()


@pytest.mark.parametrize(
    ("span", "places"), [((0, 9), [0, 1, 2, 3]), ((2, 5), [1, 2]), ((3, 4), []), ((5, 9), [3])]
)
def test_tokens_count_where_they_begin(span: tuple[int, int], places: list[int]) -> None:
    """Two tokens of one character begin together; one that reaches into the span is not in it."""
    assert list(asked_tokens([0, 2, 2, 5], span)) == places


def test_not_every_runner_can() -> None:
    """Who needs it asks first."""
    assert not isinstance(FakeRunner(), LikelihoodRunner)
