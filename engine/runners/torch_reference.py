"""The `torch` reference runner: transformers and peft, one padded forward a batch, CPU or CUDA.

Used for evaluation on a GPU machine and to check conversions against; serving on a CPU is `llama`. It
computes hidden states once and multiplies only those at the block ends, and only by the rows of the head
that belong to the labels, so the 262k-token head costs nothing. Writing is plain greedy `generate` under
a grammar (`engine.runners.torch_grammar`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Self, TypeVar

from engine.errors import AdapterError, ModelError, RunnerError, unimportable
from engine.prompts import END_OF_TURN
from engine.runners import (
    Cancellation,
    Likelihood,
    LikelihoodRequest,
    Reply,
    ScoreRequest,
    Scores,
    WriteRequest,
)
from engine.runners.halving import in_halves
from engine.runners.spans import asked_tokens

T = TypeVar("T")

PAD_MULTIPLE = 8
"""Rows are padded to a length that this divides.

On a GPU PyTorch's memory-efficient attention is wrong for rows of 32 n + 1 tokens where there is a mask and
all heads share the keys of one, as in the smaller Gemma 3: `repeat_kv` of transformers then gives it a tensor
with a stride of zero (pytorch/pytorch#191937). Tokens read one by one, as in writing, are not concerned.
"""
_WRITE_ROWS = 32
_LIKELIHOOD_ROWS = 8  # each holds logits of the whole vocabulary for every token that is asked about


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One request as token ids, BOS first, with the positions its scores are read at."""

    ids: tuple[int, ...]
    marks: tuple[int, ...]


def plan_batches(lengths: Sequence[int], token_budget: int, max_rows: int = 4096) -> list[list[int]]:
    """Return indices grouped so that rows times longest row stays in the budget, the longest group first.

    A row longer than the budget gets a batch of its own.
    """
    batches: list[list[int]] = []
    width = 0
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if not batches or width * (len(batches[-1]) + 1) > token_budget or len(batches[-1]) == max_rows:
            batches.append([])
            width = lengths[index]
        batches[-1].append(index)
    return batches


class ReferenceRunner:
    """A Runner on a Hugging Face model directory and, optionally, a PEFT adapter directory."""

    def __init__(self, model: Any, tokenizer: Any, base_model: str, adapter: str, token_budget: int) -> None:
        self.base_model = base_model
        self.adapter = adapter
        self._model = model
        self._tokenizer = tokenizer
        self._token_budget = token_budget

    @classmethod
    def load(
        cls,
        base_dir: Path,
        adapter_dir: Path | None = None,
        *,
        device: str | None = None,
        dtype: str | None = None,
        token_budget: int = 16384,
    ) -> Self:
        """Return a runner; by default on CUDA in bfloat16 or, without CUDA, on the CPU in float32.

        `token_budget` bounds the tokens of one padded forward.
        """
        model, tokenizer = _load_base(base_dir, device, dtype)
        if adapter_dir is not None:
            model = _apply_adapter(model, adapter_dir)
        adapter = adapter_dir.name if adapter_dir is not None else ""
        return cls(model.eval(), tokenizer, base_dir.name, adapter, token_budget)

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of `text`, no BOS counted."""
        return len(self._encode(text))

    def score(
        self,
        requests: Sequence[ScoreRequest],
        labels: Sequence[str],
        cancellation: Cancellation,
        on_tokens: Callable[[int], None] = lambda count: None,
    ) -> Iterator[tuple[int, Scores]]:
        """Yield (index of the request, scores), longest first; stops after the batch under way."""
        head = self._label_rows(labels)
        rows = [self._row(request) for request in requests]
        for batch in plan_batches([len(row.ids) for row in rows], self._token_budget):
            if cancellation.cancelled:
                return
            for index, probabilities in _each(batch, lambda part: self._probabilities(_of(rows, part), head)):
                if cancellation.event.is_set():
                    return
                on_tokens(len(rows[index].ids))
                yield index, Scores(probabilities, prompt_tokens=len(rows[index].ids))

    def write(
        self, requests: Sequence[WriteRequest], cancellation: Cancellation
    ) -> Iterator[tuple[int, Reply]]:
        """Yield (index of the request, greedy reply); stops between tokens when cancelled."""
        rows = [self._prompt_ids(request.prompt, request.suffix) for request in requests]
        for batch in plan_batches([len(row) for row in rows], self._token_budget, _WRITE_ROWS):
            for index, reply in _each(
                batch, lambda part: self._generate(_of(rows, part), _of(requests, part), cancellation)
            ):
                if cancellation.cancelled:
                    return
                yield index, reply

    def likelihoods(
        self,
        requests: Sequence[LikelihoodRequest],
        cancellation: Cancellation,
        on_tokens: Callable[[int], None] = lambda count: None,
    ) -> Iterator[tuple[int, Likelihood]]:
        """Yield (index of the request, likelihood), longest first; stops after the batch under way."""
        rows = [self._given(request) for request in requests]
        for batch in plan_batches([len(ids) for ids, _ in rows], self._token_budget, _LIKELIHOOD_ROWS):
            if cancellation.cancelled:
                return
            for index, logarithms in _each(batch, lambda part: self._log_probabilities(_of(rows, part))):
                on_tokens(len(rows[index][0]))
                yield index, Likelihood(logarithms, prompt_tokens=len(rows[index][0]))

    def close(self) -> None:
        """Free the model. Idempotent."""
        import torch

        self._model = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _prompt_ids(self, *pieces: str) -> list[int]:
        start = self._tokenizer.bos_token_id  # None where a model's texts begin without one
        tokens = [token for piece in pieces for token in self._encode(piece)]
        return tokens if start is None else [start, *tokens]

    def _row(self, request: ScoreRequest) -> TokenRow:
        prompt = self._prompt_ids(request.prompt)
        blocks = [self._encode(block) for block in request.blocks]
        ends = list(accumulate((len(block) for block in blocks), initial=len(prompt)))[1:]
        return TokenRow((*prompt, *(t for block in blocks for t in block)), tuple(end - 1 for end in ends))

    def _given(self, request: LikelihoodRequest) -> tuple[list[int], list[int]]:
        """Return what is read up to the last token that is asked about, and the tokens asked about."""
        encoded = self._tokenizer(request.text, add_special_tokens=False, return_offsets_mapping=True)
        tokens = list(encoded["input_ids"])
        asked = asked_tokens([start for start, _ in encoded["offset_mapping"]], request.span)
        before = self._prompt_ids(request.prompt, request.suffix)
        return before + tokens[: max(asked.stop - 1, 0)], [tokens[place] for place in asked]

    def _log_probabilities(self, rows: Sequence[tuple[list[int], list[int]]]) -> list[tuple[float, ...]]:
        """Padded on the left, so that all rows end with what is asked about: the model's own head does it."""
        import torch

        ids, mask = self._pad([read for read, _ in rows], left=True)
        most = max(len(asked) for _, asked in rows)
        found = []
        with torch.inference_mode():
            logits = self._loaded(
                input_ids=ids,
                attention_mask=mask,
                position_ids=(mask.cumsum(-1) - 1).clamp(min=0),
                use_cache=False,
                logits_to_keep=max(most, 1),
            ).logits
            for row, (_, asked) in zip(logits, rows, strict=True):
                last = row[len(row) - len(asked) :].float().log_softmax(-1)
                chosen = torch.tensor(asked, dtype=torch.long, device=last.device)
                found.append(tuple(last.gather(1, chosen[:, None])[:, 0].tolist()))
        return found

    def _label_rows(self, labels: Sequence[str]) -> Any:
        ids = [self._encode(label) for label in labels]
        split = [label for label, tokens in zip(labels, ids, strict=True) if len(tokens) != 1]
        if split:
            raise RunnerError(f"the labels {split} are not single tokens of {self.base_model}")
        weight = self._loaded.get_output_embeddings().weight
        return weight.detach()[[tokens[0] for tokens in ids]].float()

    @property
    def _loaded(self) -> Any:
        if self._model is None:
            raise RunnerError("the runner is closed")
        return self._model

    def _probabilities(self, rows: Sequence[TokenRow], head: Any) -> list[tuple[tuple[float, ...], ...]]:
        import torch

        ids, mask = self._pad([row.ids for row in rows], left=False)
        with torch.inference_mode():
            hidden = self._loaded.get_decoder()(input_ids=ids, attention_mask=mask, use_cache=False)[0]
            marks = [(number, mark) for number, row in enumerate(rows) for mark in row.marks]
            marked = hidden[torch.tensor(marks, dtype=torch.long, device=hidden.device).view(-1, 2).unbind(1)]
            flat = (marked.float() @ head.T).softmax(-1).tolist()
        found = iter(tuple(row) for row in flat)
        return [tuple(next(found) for _ in row.marks) for row in rows]

    def _pad(self, rows: Sequence[Sequence[int]], *, left: bool) -> tuple[Any, Any]:
        import torch

        width = max(map(len, rows))
        width += -width % PAD_MULTIPLE
        filled = self._tokenizer.pad_token_id or 0
        ids = torch.full((len(rows), width), filled, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for number, row in enumerate(rows):
            place = slice(width - len(row), width) if left else slice(0, len(row))
            ids[number, place] = torch.tensor(row)
            mask[number, place] = 1
        return ids.to(self._loaded.device), mask.to(self._loaded.device)

    def _generate(
        self, rows: Sequence[Sequence[int]], requests: Sequence[WriteRequest], cancellation: Cancellation
    ) -> list[Reply]:
        import torch
        from transformers import LogitsProcessorList

        from engine.runners.grammars import Grammars
        from engine.runners.torch_grammar import GrammarProcessor

        vocab = self._loaded.config.vocab_size
        ends = self._end_ids()
        grammars = Grammars(self._tokenizer.backend_tokenizer.to_str(), vocab, ends)
        grammar = GrammarProcessor.compile(grammars, vocab, [request.schema for request in requests])
        ids, mask = self._pad(rows, left=True)
        with torch.inference_mode():
            output = self._loaded.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=max(request.max_tokens for request in requests),
                do_sample=False,
                eos_token_id=ends,
                pad_token_id=self._tokenizer.pad_token_id or 0,
                logits_processor=LogitsProcessorList([grammar]),
                stopping_criteria=[lambda tokens, _: _stop_all(tokens, cancellation.cancelled)],
            )
        written = output[:, ids.shape[1] :].tolist()
        return [
            self._reply(tokens, request.max_tokens, len(row), ends)
            for tokens, request, row in zip(written, requests, rows, strict=True)
        ]

    def _end_ids(self) -> list[int]:
        ends = {self._tokenizer.eos_token_id, self._tokenizer.get_vocab().get(END_OF_TURN)}
        return sorted(end for end in ends if end is not None)

    def _reply(self, tokens: list[int], budget: int, prompt_tokens: int, ends: list[int]) -> Reply:
        end = next((place for place, token in enumerate(tokens) if token in ends), None)
        kept = tokens[: budget if end is None else min(end, budget)]
        text = self._tokenizer.decode(kept, skip_special_tokens=True)
        truncated = end is None or end > budget
        return Reply(text, truncated=truncated, tokens=len(kept), prompt_tokens=prompt_tokens)


def _each(batch: Sequence[int], compute: Callable[[Sequence[int]], Sequence[T]]) -> Iterator[tuple[int, T]]:
    """Yield (index of the request, what was computed for it); see `in_halves`."""
    for start, found in in_halves(batch, compute, "request"):
        yield from zip(batch[start : start + len(found)], found, strict=True)


def _of(values: Sequence[T], indices: Sequence[int]) -> list[T]:
    return [values[index] for index in indices]


def _stop_all(tokens: Any, stop: bool) -> Any:
    import torch

    return torch.full((tokens.shape[0],), stop, device=tokens.device, dtype=torch.bool)


def _load_base(base_dir: Path, device: str | None, dtype: str | None) -> tuple[Any, Any]:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise unimportable(error, "torch", "train") from error
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    dtype = dtype or ("bfloat16" if device.startswith("cuda") else "float32")
    if not (base_dir / "config.json").is_file():
        raise ModelError(f"{base_dir} is not a Hugging Face model directory: it has no config.json")
    try:
        tokenizer = AutoTokenizer.from_pretrained(base_dir, local_files_only=True, fix_mistral_regex=False)
        model = AutoModelForCausalLM.from_pretrained(
            base_dir, dtype=getattr(torch, dtype), attn_implementation="sdpa", local_files_only=True
        )
        return model.to(device), tokenizer
    except (OSError, ValueError) as error:
        raise ModelError(f"{base_dir} cannot be loaded: {error}") from error
    except torch.OutOfMemoryError as error:
        raise ModelError(f"{base_dir} was being loaded when GPU memory ran out: {error}") from error


def _apply_adapter(model: Any, adapter_dir: Path) -> Any:
    try:
        from peft import PeftModel
    except ImportError as error:
        raise unimportable(error, "peft", "train") from error
    if not (adapter_dir / "adapter_config.json").is_file():
        raise AdapterError(f"{adapter_dir} is not a PEFT adapter directory: it has no adapter_config.json")
    try:
        # The wrapper only adds methods; the LoRA layers sit inside the base model it returns.
        return PeftModel.from_pretrained(model, str(adapter_dir), local_files_only=True).get_base_model()
    except (OSError, ValueError, RuntimeError) as error:
        raise AdapterError(f"{adapter_dir} cannot be applied to the base model: {error}") from error
