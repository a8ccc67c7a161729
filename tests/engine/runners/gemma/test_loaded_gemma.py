"""Our passes in plain torch against transformers, on a tiny random Gemma 3 with a window of 16 tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.errors import AdapterError, ModelError, RunnerError
from engine.prompts import LABELS
from engine.runners import Cancellation, LikelihoodRequest, ScoreRequest, WriteRequest
from engine.runners.gemma.loaded import LoadedGemma
from engine.runners.gemma.memory import MemoryPlan
from engine.runners.gemma.shape import read_shape
from engine.runners.torch_reference import ReferenceRunner as Reference
from engine.runners.torch_runner import TorchRunner

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("peft")
pytest.importorskip("llguidance")

PLAN = MemoryPlan("float32", 256, 3, 300, 512, adapters=2, rank=4)
SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"m": {"type": "string", "maxLength": 40}},
    "required": ["m"],
    "additionalProperties": False,
    "x-guidance": {"whitespace_flexible": False},
}
LONG = "a line of code that is longer than the window of this model = {}\n"
REQUESTS = (
    ScoreRequest("def f():\n", ("\n1 a =>", "\n2 bb =>")),
    ScoreRequest(LONG * 2, ("\n1 c =>",)),
    ScoreRequest("", ("\n7 long line of text =>", "\n8 d =>", "\n9 e =>")),
    ScoreRequest(LONG * 2 + "x", tuple(f"\n{i} y =>" for i in range(5))),
    ScoreRequest("nothing to score", ()),
)
WRITES = tuple(
    WriteRequest(request.prompt, f"\n{i} =>", SCHEMA, 60 - 7 * i) for i, request in enumerate(REQUESTS)
)


def load(base_dir: Path, plan: MemoryPlan = PLAN) -> LoadedGemma:
    shape = read_shape(base_dir)
    assert shape is not None
    return LoadedGemma.load(base_dir, shape, plan, "cpu")


@pytest.fixture
def gemma(base_dir: Path) -> LoadedGemma:
    return load(base_dir)


@pytest.fixture(scope="module")
def reference(base_dir: Path) -> Iterator[Reference]:
    runner = Reference.load(base_dir, device="cpu")
    yield runner
    runner.close()


@pytest.fixture(scope="module")
def adapted_reference(base_dir: Path, adapter_dir: Path) -> Iterator[Reference]:
    runner = Reference.load(base_dir, adapter_dir, device="cpu")
    yield runner
    runner.close()


def scores(runner: Any) -> dict[int, Sequence[Sequence[float]]]:
    answers = runner.score(REQUESTS, LABELS, Cancellation(), lambda count: None)
    return {index: answer.probabilities for index, answer in answers}


def assert_equal(one: dict[int, Any], other: dict[int, Any]) -> None:
    assert one.keys() == other.keys()
    for index in one:
        for row, expected in zip(one[index], other[index], strict=True):
            assert row == pytest.approx(expected, abs=2e-5)


def texts(runner: Any) -> list[str]:
    replies = dict(runner.write(WRITES, Cancellation()))
    return [replies[index].text for index in range(len(WRITES))]


def test_scores_are_those_of_transformers(gemma: LoadedGemma, reference: Reference) -> None:
    """Rows packed in passes of 300 tokens, some longer than the window."""
    assert_equal(scores(TorchRunner(gemma, "tiny")), scores(reference))


def test_scores_with_an_adapter(gemma: LoadedGemma, adapted_reference: Reference, adapter_dir: Path) -> None:
    """The adapter's factors are put where PEFT has them, with its scale."""
    assert_equal(scores(TorchRunner(gemma, "tiny", adapter_dir)), scores(adapted_reference))


def test_a_prompt_is_gone_on_from(gemma: LoadedGemma, reference: Reference) -> None:
    """The second time prompts are not read again, and give the same scores."""
    runner = TorchRunner(gemma, "tiny")
    expected = scores(reference)
    for cached in (False, True):
        answers = dict(runner.score(REQUESTS, LABELS, Cancellation()))
        assert (answers[1].cached_tokens > 100) is cached
        assert_equal({index: answer.probabilities for index, answer in answers.items()}, expected)


def test_the_store_gives_away_what_was_used_longest_ago(base_dir: Path, reference: Reference) -> None:
    """Many more prompts than the store holds, again and again, all right."""
    runner = TorchRunner(load(base_dir), "tiny")
    requests = [
        ScoreRequest(f"{i} {LONG * 2}", ("\n1 x =>", f"\n{i} y =>")) for i in (0, 1, 2, 3, 4, 2, 0, 4)
    ]
    expected = dict(reference.score(requests, LABELS, Cancellation()))
    for _ in range(2):
        found = dict(runner.score(requests, LABELS, Cancellation()))
        assert_equal(
            {i: answer.probabilities for i, answer in found.items()},
            {i: answer.probabilities for i, answer in expected.items()},
        )


def test_replies_are_those_of_transformers(gemma: LoadedGemma, reference: Reference) -> None:
    """Greedy text under a grammar, five replies in three slots, past the window's end."""
    assert texts(TorchRunner(gemma, "tiny")) == texts(reference)


def test_replies_with_an_adapter_after_scoring(
    gemma: LoadedGemma, adapted_reference: Reference, adapter_dir: Path
) -> None:
    """The prompts come from the store, computed while scoring."""
    runner = TorchRunner(gemma, "tiny", adapter_dir, adapter_dir)
    scores(runner)
    replies = dict(runner.write(WRITES, Cancellation()))
    assert replies[1].cached_tokens > 100
    assert [replies[i].text for i in range(len(WRITES))] == texts(adapted_reference)


def test_adapters_share_a_batch(
    gemma: LoadedGemma, reference: Reference, adapted_reference: Reference, adapter_dir: Path
) -> None:
    """Rows of the base model and of an adapter, mixed, give what each gives alone."""
    bare, adapted = TorchRunner(gemma, "tiny"), TorchRunner(gemma, "tiny", adapter_dir, adapter_dir)
    runners = (bare, adapted, adapted, bare, adapted)
    expected = {
        False: (scores(reference), texts(reference)),
        True: (scores(adapted_reference), texts(adapted_reference)),
    }
    found = dict(bare.score_with(runners, REQUESTS, LABELS, Cancellation()))
    replies = dict(bare.write_with(runners, WRITES, Cancellation()))
    for index, runner in enumerate(runners):
        wanted_scores, wanted_texts = expected[runner is adapted]
        assert_equal({0: found[index].probabilities}, {0: wanted_scores[index]})
        assert replies[index].text == wanted_texts[index]


def test_a_slot_is_taken_over(
    base_dir: Path, adapter_dir: Path, reference: Reference, tmp_path: Path
) -> None:
    """An adapter that left leaves nothing behind for the next, neither factors nor prompts."""
    gemma = load(base_dir, MemoryPlan("float32", 256, 3, 300, 512, adapters=1, rank=4))
    first = TorchRunner(gemma, "tiny", adapter_dir, adapter_dir)
    scores(first)
    with pytest.raises(AdapterError, match="1 adapters are resident"):
        TorchRunner(gemma, "tiny", scaled(adapter_dir, tmp_path / "half", 0.5))
    first.close()
    second = TorchRunner(gemma, "tiny", scaled(adapter_dir, tmp_path / "double", 2.0))
    expected = Reference.load(base_dir, tmp_path / "double", device="cpu")
    assert_equal(scores(second), scores(expected))


def test_an_adapter_without_effect_is_refused(gemma: LoadedGemma, adapter_dir: Path, tmp_path: Path) -> None:
    """Zeros load and do nothing; the slot is free again afterwards."""
    zero = scaled(adapter_dir, tmp_path / "zero", 0.0)
    for _ in range(3):
        with pytest.raises(AdapterError, match="no effect"):
            TorchRunner(gemma, "tiny", zero)


def test_an_adapter_of_another_base_is_refused(gemma: LoadedGemma, random_adapter: Path) -> None:
    """One of the real 270M does not fit."""
    with pytest.raises(AdapterError, match=r"rank 8; ENGINE_LORA_RANK allows 4"):
        TorchRunner(gemma, "tiny", random_adapter)


def test_an_adapter_of_other_widths_is_refused(base_dir: Path, random_adapter: Path) -> None:
    """The error names the layer and both widths."""
    gemma = load(base_dir, MemoryPlan("float32", 256, 3, 300, 512, adapters=1, rank=8))
    with pytest.raises(AdapterError, match=r"takes \d+ to \d+, where the base takes"):
        TorchRunner(gemma, "tiny", random_adapter)


def test_memory_that_runs_out_cuts_the_batch(
    gemma: LoadedGemma, reference: Reference, no_collection: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass over two rows fails as on a full card; each row alone does not."""
    passes = []
    real = gemma._model.read

    def read(plan: Any) -> Any:
        passes.append(len(plan.lengths))
        if len(plan.lengths) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(plan)

    monkeypatch.setattr(gemma._model, "read", read)
    runner = TorchRunner(gemma, "tiny")
    assert_equal(scores(runner), scores(reference))
    assert texts(runner) == texts(reference)
    assert max(passes) > 1


def test_memory_that_does_not_suffice_for_one(gemma: LoadedGemma, monkeypatch: pytest.MonkeyPatch) -> None:
    """One prompt too much is an error of that request, and the next works."""

    def read(plan: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    runner = TorchRunner(gemma, "tiny")
    with monkeypatch.context() as patch:
        patch.setattr(gemma._model, "read", read)
        with pytest.raises(RunnerError, match="does not suffice"):
            scores(runner)
    assert len(scores(runner)) == len(REQUESTS)


@pytest.mark.parametrize("projection", ["label_logits", "log_probabilities"])
def test_memory_that_runs_out_after_the_read(
    gemma: LoadedGemma,
    reference: Reference,
    no_collection: None,
    monkeypatch: pytest.MonkeyPatch,
    projection: str,
) -> None:
    """What is made of the hidden states is cut in two as well, and one that does not fit is an error."""
    real, room = getattr(gemma._model, projection), 2

    def project(hidden: Any, of: Any) -> Any:
        if len(hidden) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(hidden, of)

    def answers(runner: Any) -> dict[int, Any]:
        if projection == "label_logits":
            return scores(runner)
        asked = [LikelihoodRequest(w.prompt, w.suffix, LONG, (0, len(LONG))) for w in WRITES]
        return {i: [found.log_probabilities] for i, found in runner.likelihoods(asked, Cancellation())}

    monkeypatch.setattr(gemma._model, projection, project)
    runner = TorchRunner(gemma, "tiny")
    assert_equal(answers(runner), answers(reference))
    room = 0
    with pytest.raises(RunnerError, match="GPU memory does not suffice for one position"):
        answers(runner)


def test_memory_that_runs_out_while_loading(base_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else took what was free: an error that says so, and of which directory."""

    def take(*arguments: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("engine.runners.gemma.loaded.load_weights", take)
    with pytest.raises(ModelError, match=rf"{base_dir.name} was being loaded when GPU memory ran out"):
        load(base_dir)


def test_replies_out_of_budget_are_truncated(gemma: LoadedGemma) -> None:
    """Two tokens cannot hold the object."""
    ((_, reply),) = TorchRunner(gemma, "tiny").write([WriteRequest("a", "=>", SCHEMA, 2)], Cancellation())
    assert reply.truncated
    assert reply.tokens == 2


def test_cancelled_while_writing(gemma: LoadedGemma) -> None:
    """After the first reply no step follows."""
    cancellation = Cancellation()
    seen = []
    for index, reply in TorchRunner(gemma, "tiny").write(WRITES * 4, cancellation):
        seen.append(json.loads(reply.text) if not reply.truncated else index)
        cancellation.cancel()
    assert 1 <= len(seen) <= PLAN.slots


def test_prompts_over_the_context_are_refused(gemma: LoadedGemma) -> None:
    """The error says how long the prompt is and which setting bounds it."""
    runner = TorchRunner(gemma, "tiny")
    with pytest.raises(RunnerError, match=r"ENGINE_CONTEXT allows 256"):
        list(runner.score([ScoreRequest("x" * 300, ("=>",))], LABELS, Cancellation()))
    with pytest.raises(RunnerError, match=r"ENGINE_CONTEXT, 256"):
        list(runner.write([WriteRequest("x" * 240, "=>", SCHEMA, 60)], Cancellation()))


def test_files_that_are_missing_are_named(base_dir: Path, tmp_path: Path) -> None:
    """No config, no tokenizer, no weights: each error names the file."""
    with pytest.raises(ModelError, match=r"config\.json"):
        read_shape(tmp_path)
    shape = read_shape(base_dir)
    assert shape is not None
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        LoadedGemma.load(tmp_path, shape, PLAN, "cpu")
    (tmp_path / "tokenizer.json").write_text((base_dir / "tokenizer.json").read_text())
    with pytest.raises(ModelError, match="safetensors"):
        LoadedGemma.load(tmp_path, shape, PLAN, "cpu")


def scaled(adapter: Path, out: Path, factor: float) -> Path:
    """A copy of `adapter` with its second factors scaled."""
    from safetensors.torch import load_file, save_file

    out.mkdir(exist_ok=True)
    tensors = load_file(adapter / "adapter_model.safetensors")
    tensors = {name: t * factor if ".lora_B." in name else t for name, t in tensors.items()}
    save_file(tensors, out / "adapter_model.safetensors")
    (out / "adapter_config.json").write_text((adapter / "adapter_config.json").read_text())
    return out
