"""The torch reference runner on a tiny random Gemma 3 made on the spot."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import AdapterError, ModelError, RunnerError
from engine.prompts import LABELS
from engine.runners import Cancellation, LikelihoodRequest, ScoreRequest, WriteRequest
from engine.runners.halving import in_halves
from engine.runners.torch_opening import TorchOptions, open_torch_directory
from engine.runners.torch_reference import PAD_MULTIPLE, ReferenceRunner, plan_batches

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {"m": {"type": "string", "maxLength": 3}},
    "required": ["m"],
    "additionalProperties": False,
    "x-guidance": {"whitespace_flexible": False},
}
REQUESTS = (
    ScoreRequest("def f():\n", ("\n1 a =>", "\n2 bb =>")),
    ScoreRequest("x" * 40, ("\n1 c =>",)),
    ScoreRequest("", ("\n7 long line of text =>", "\n8 d =>", "\n9 e =>")),
)


@pytest.fixture(scope="module")
def runner(base_dir: Path) -> Iterator[ReferenceRunner]:
    runner = ReferenceRunner.load(base_dir, device="cpu", token_budget=128)
    yield runner
    runner.close()


def scores_of(runner: ReferenceRunner) -> dict[int, tuple[tuple[float, ...], ...]]:
    found = dict(runner.score(REQUESTS, LABELS, Cancellation()))
    return {index: scores.probabilities for index, scores in found.items()}


@given(st.lists(st.integers(1, 500), max_size=40), st.integers(1, 600), st.integers(1, 10))
def test_batches_hold_every_row_once_within_the_budget(lengths: list[int], budget: int, rows: int) -> None:
    """Every index appears once; a batch stays in the budget or is a single row."""
    batches = plan_batches(lengths, budget, rows)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= rows
        assert len(batch) == 1 or max(lengths[i] for i in batch) * len(batch) <= budget


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(items=st.lists(st.integers(), max_size=30), room=st.integers(1, 40))
def test_a_batch_is_halved_until_it_fits(no_collection: None, items: list[int], room: int) -> None:
    """Results come in order, each item is computed once, and nothing is tried that was too much already."""
    tried: list[int] = []

    def compute(part: Sequence[int]) -> list[int]:
        tried.append(len(part))
        if len(part) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [item + 1 for item in part]

    found = list(in_halves(items, compute, "item", 5))
    assert [each for _, part in found for each in part] == [item + 1 for item in items]
    assert [start for start, _ in found] == [5 + sum(len(p) for _, p in found[:i]) for i in range(len(found))]
    assert len(tried) == 2 * len(found) - 1


def test_memory_that_runs_out_cuts_the_batch(
    runner: ReferenceRunner, no_collection: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores, replies and likelihoods come all the same; what does not fit alone is an error of its own."""
    requests = [WriteRequest(f"say {number}", "\nNow:", SCHEMA, 20) for number in range(5)]
    asked = [LikelihoodRequest(w.prompt, w.suffix, "some text", (0, 9)) for w in requests]

    def answers() -> list[Any]:
        replies = dict(runner.write(requests, Cancellation()))
        likelihoods = dict(runner.likelihoods(asked, Cancellation()))
        values = [each for i in range(5) for each in likelihoods[i].log_probabilities]
        return [scores_of(runner), [replies[i].text for i in range(5)], pytest.approx(values, abs=1e-4)]

    expected, real, room = answers(), runner._pad, 2

    def pad(rows: Sequence[Sequence[int]], *, left: bool) -> Any:
        if len(rows) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(rows, left=left)

    monkeypatch.setattr(runner, "_pad", pad)
    scores, replies, likelihoods = answers()
    assert replies == expected[1]
    assert likelihoods.expected == expected[2]
    for index, rows in scores.items():
        for row, before in zip(rows, expected[0][index], strict=True):
            assert row == pytest.approx(before, abs=1e-5)
    room = 0
    with pytest.raises(RunnerError, match="GPU memory does not suffice for one request"):
        answers()


def test_scores_equal_the_full_head_after_each_prefix(runner: ReferenceRunner, base_dir: Path) -> None:
    """Each block's row is the model's own next-token softmax over the labels at that prefix."""
    model = transformers.AutoModelForCausalLM.from_pretrained(base_dir, dtype=torch.float32).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(base_dir)
    labels = [tokenizer(label, add_special_tokens=False)["input_ids"][0] for label in LABELS]
    scores = scores_of(runner)
    for number, request in enumerate(REQUESTS):
        ids = [2, *tokenizer(request.prompt, add_special_tokens=False)["input_ids"]]
        for place, block in enumerate(request.blocks):
            ids += tokenizer(block, add_special_tokens=False)["input_ids"]
            with torch.no_grad():
                want = model(torch.tensor([ids])).logits[0, -1, labels].softmax(-1).tolist()
            assert scores[number][place] == pytest.approx(want, abs=1e-5)


def test_scores_do_not_depend_on_the_batch(runner: ReferenceRunner, base_dir: Path) -> None:
    """One request a batch gives the scores that a padded batch gives."""
    alone = ReferenceRunner.load(base_dir, device="cpu", token_budget=1)
    for number, rows in scores_of(alone).items():
        for row, other in zip(rows, scores_of(runner)[number], strict=True):
            assert row == pytest.approx(other, abs=1e-5)


def test_what_is_read_at_once_is_of_even_lengths(runner: ReferenceRunner) -> None:
    """A GPU's attention is wrong for some of the others; see PAD_MULTIPLE."""
    lengths: list[int] = []
    model = runner._model.get_decoder()

    def read(module: Any, arguments: Any, options: dict[str, Any]) -> None:
        lengths.append(options["input_ids"].shape[1])

    hook = model.register_forward_pre_hook(read, with_kwargs=True)
    scores_of(runner)
    for text in ("some text", "some longer text", "x"):
        list(runner.likelihoods([LikelihoodRequest("say", "\nNow:", text, (0, len(text)))], Cancellation()))
    for prompt in ("say", "say some"):
        list(runner.write([WriteRequest(prompt, "\nNow:", SCHEMA, 4)], Cancellation()))
    hook.remove()
    at_once = [length for length in lengths if length > 1]
    assert len(at_once) >= 7
    assert not [length for length in at_once if length % PAD_MULTIPLE]


def test_an_adapter_changes_the_scores(runner: ReferenceRunner, base_dir: Path, adapter_dir: Path) -> None:
    """The adapter is named, and applied: scores differ from the base model's."""
    adapted = ReferenceRunner.load(base_dir, adapter_dir, device="cpu")
    assert (runner.adapter, adapted.adapter) == ("", adapter_dir.name)
    assert scores_of(adapted)[0][0] != pytest.approx(scores_of(runner)[0][0], abs=1e-4)


def test_a_cancelled_score_yields_nothing(runner: ReferenceRunner) -> None:
    """Cancellation before the first batch ends the call."""
    cancellation = Cancellation()
    cancellation.cancel()
    assert list(runner.score(REQUESTS, LABELS, cancellation)) == []


def test_a_cancelled_batch_is_not_handed_out_further(runner: ReferenceRunner) -> None:
    """Cancelling at the first answer ends the call, though more requests were in its batch."""
    cancellation = Cancellation()
    seen = []
    for index, _ in runner.score([REQUESTS[0]] * 3, LABELS, cancellation):
        seen.append(index)
        cancellation.cancel()
    assert len(seen) == 1


def test_requests_without_blocks_are_answered_with_no_row(runner: ReferenceRunner) -> None:
    """Nothing to score is legal, as a request without blocks and as no request."""
    empty = [ScoreRequest("nothing", ())]
    assert [(i, s.probabilities) for i, s in runner.score(empty, LABELS, Cancellation())] == [(0, ())]
    assert list(runner.score([], LABELS, Cancellation())) == []
    assert list(runner.write([], Cancellation())) == []


def test_tokens_are_reported_as_they_are_scored(runner: ReferenceRunner) -> None:
    """The callback's sum is the number of tokens of all requests, BOS included."""
    seen: list[int] = []
    scores = dict(runner.score(REQUESTS, LABELS, Cancellation(), seen.append))
    assert sum(seen) == sum(score.prompt_tokens for score in scores.values())


def test_replies_follow_their_schema(runner: ReferenceRunner) -> None:
    """A random model still writes JSON of the schema, whatever stands beside it in the batch."""
    pytest.importorskip("llguidance")
    requests = [WriteRequest(prompt, "=>", SCHEMA, 24) for prompt in ("a", "a much longer prompt")]
    replies = dict(runner.write(requests, Cancellation()))
    assert sorted(replies) == [0, 1]
    for reply in replies.values():
        assert not reply.truncated
        assert set(json.loads(reply.text)) == {"m"}


def test_a_reply_out_of_budget_is_truncated(runner: ReferenceRunner) -> None:
    """A budget of two tokens cannot hold the object, and the reply says so."""
    pytest.importorskip("llguidance")
    ((_, reply),) = runner.write([WriteRequest("a", "=>", SCHEMA, 2)], Cancellation())
    assert reply.truncated
    assert reply.tokens == 2


def test_labels_of_several_tokens_are_refused(runner: ReferenceRunner) -> None:
    """A label that is not one token cannot be read from one distribution."""
    with pytest.raises(RunnerError, match="wontfix"):
        list(runner.score(REQUESTS, (" ok", " wontfix"), Cancellation()))


def test_directories_without_a_model_are_named(base_dir: Path, tmp_path: Path) -> None:
    """The error names the directory and what it lacks."""
    with pytest.raises(ModelError, match=r"config\.json"):
        ReferenceRunner.load(tmp_path)
    with pytest.raises(AdapterError, match=r"adapter_config\.json"):
        ReferenceRunner.load(base_dir, tmp_path)


def test_a_closed_runner_refuses_work(base_dir: Path) -> None:
    """After close, twice even, scoring raises a RunnerError."""
    runner = ReferenceRunner.load(base_dir, device="cpu")
    runner.close()
    runner.close()
    with pytest.raises(RunnerError, match="closed"):
        scores_of(runner)


def test_another_model_without_bos(base_dir: Path, tmp_path: Path) -> None:
    """A tiny Qwen2 of random weights scores and writes; its texts begin with no token of their own."""
    pytest.importorskip("llguidance")
    tokenizer = transformers.AutoTokenizer.from_pretrained(base_dir)
    plain = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer, eos_token="<eos>", pad_token="<pad>"
    )
    config = transformers.Qwen2Config(
        vocab_size=len(tokenizer) + 16, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, tie_word_embeddings=True, eos_token_id=1,
    )  # fmt: skip
    torch.manual_seed(2)
    model = transformers.Qwen2ForCausalLM(config).eval()
    model.save_pretrained(tmp_path)
    plain.save_pretrained(tmp_path)
    runner = open_torch_directory(tmp_path, TorchOptions("cpu", "float32"))
    scores = dict(runner.score(REQUESTS, LABELS, Cancellation(), lambda count: None))
    ids = plain(REQUESTS[0].prompt + REQUESTS[0].blocks[0], add_special_tokens=False)["input_ids"]
    labels = [plain(label, add_special_tokens=False)["input_ids"][0] for label in LABELS]
    with torch.no_grad():
        want = model(torch.tensor([ids])).logits[0, -1, labels].softmax(-1).tolist()
    assert scores[0].probabilities[0] == pytest.approx(want, abs=1e-5)
    ((_, reply),) = runner.write([WriteRequest("a", "=>", SCHEMA, 24)], Cancellation())
    assert set(json.loads(reply.text)) == {"m"}
    runner.close()
