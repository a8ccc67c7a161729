"""A Gemma 3 on a device, shared by the runners of all its adapters: reads prompts, writes replies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np

from engine.errors import AdapterError, ModelError, RunnerError, unimportable
from engine.runners.gemma.cache import PromptStore, Rings
from engine.runners.gemma.decoding import Decoder
from engine.runners.gemma.lora import LoraStacks
from engine.runners.gemma.memory import MemoryPlan
from engine.runners.gemma.model import GemmaModel
from engine.runners.gemma.ops import Ops, PlainOps, Tensor
from engine.runners.gemma.reading import Indices, Row, batches, plan_read
from engine.runners.gemma.shape import GemmaShape
from engine.runners.gemma.weights import GemmaWeights, LoraRoom, load_weights, reading
from engine.runners.gemma.writing import Wanted, Written, write_replies
from engine.runners.grammars import Grammars
from engine.runners.halving import in_halves

_REMEMBERED_TEXTS = 2048  # more than a group of chunks has; the next review has others
_END_OF_TURN = "<end_of_turn>"


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt to read."""

    tokens: Indices  # BOS first
    shared: int  # of the first, tokens that other prompts may go on from
    wanted: tuple[int, ...]  # positions whose hidden states are needed
    adapter: int


class LoadedGemma:
    """Weights, adapters and caches. One thread at a time, but for `encode`."""

    def __init__(self, weights: GemmaWeights, tokenizer_json: str, plan: MemoryPlan, ops: Ops) -> None:
        from tokenizers import Tokenizer

        shape, like = weights.shape, weights.embedding
        rings = Rings(shape, plan.slots, plan.context, like)
        store = PromptStore(shape, plan.kept_tokens, like)
        self.plan = plan
        self._model = GemmaModel(weights, ops, rings, store, LoraStacks(weights))
        self._decoder = Decoder(self._model)
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer_json = tokenizer_json
        self._grammars: Grammars | None = None
        self._slots: list[Path | None] = [None] * plan.adapters
        self._users = [0] * plan.adapters
        self._bos, self._ends = _ends(self._tokenizer)
        self.encode = lru_cache(_REMEMBERED_TEXTS)(self._encode)

    @classmethod
    def load(cls, directory: Path, shape: GemmaShape, plan: MemoryPlan, device: str) -> Self:
        """Return the model of a Hugging Face directory; raises ModelError where it cannot be loaded."""
        import torch

        try:
            tokenizer_json = (directory / "tokenizer.json").read_text("utf-8")
        except OSError as error:
            raise ModelError(f"{directory} has no tokenizer.json: {error.strerror}") from error
        try:
            with torch.inference_mode(), reading(directory, device, plan.precision) as read:
                weights = load_weights(shape, read, plan.precision, LoraRoom(plan.adapters, plan.rank))
                return cls(weights, tokenizer_json, plan, best_ops(device))
        except torch.OutOfMemoryError as error:  # somebody else took what was free when it was planned
            raise ModelError(f"{directory} was being loaded when GPU memory ran out: {error}") from error

    def prompt_tokens(self, *pieces: str, then: Sequence[int] = ()) -> Indices:
        """Return the tokens of pieces that are tokenized apart, BOS first, and what comes `then`."""
        ids = [self._bos, *(token for piece in pieces for token in self.encode(piece)), *then]
        if len(ids) > self.plan.context:
            raise RunnerError(f"a prompt has {len(ids)} tokens; ENGINE_CONTEXT allows {self.plan.context}")
        return np.array(ids, np.int32)

    def encode_placed(self, text: str) -> tuple[list[int], list[int]]:
        """Return the tokens of `text`, and the character at which each begins."""
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        return encoded.ids, [start for start, _ in encoded.offsets]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of `tokens`, special ones left out."""
        return str(self._tokenizer.decode(list(tokens), skip_special_tokens=True))

    def add_adapter(self, directory: Path) -> int:
        """Return the slot of the adapter in `directory`, loaded unless it is resident; see `drop_adapter`."""
        import torch

        for slot, resident in enumerate(self._slots):
            if resident == directory:
                self._users[slot] += 1
                return slot
        free = [slot for slot, users in enumerate(self._users) if users == 0]
        if not free:
            raise AdapterError(f"no room for {directory}: {len(self._slots)} adapters are resident already")
        slot = next((slot for slot in free if self._slots[slot] is None), free[0])
        self._slots[slot] = None
        self._model.store.forget(slot)
        with torch.inference_mode():
            self._model.lora.load(slot, directory)
        self._slots[slot] = directory
        self._users[slot] = 1
        return slot

    def drop_adapter(self, slot: int) -> None:
        """Let the adapter's slot be taken; it stays usable at once until it is."""
        self._users[slot] -= 1

    def read(
        self, prompts: Sequence[Prompt], stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Tensor, int]]:
        """Yield (index, hidden states of the wanted positions, tokens not read again), in order.

        Where memory runs out the batch is cut in two; a single prompt that does not fit is a RunnerError.
        """
        for part in batches([len(p.tokens) for p in prompts], self.plan.pass_tokens, len(prompts)):
            if stopped():
                return
            placed = [(prompt, -1) for prompt in prompts[part]]
            for start, (hidden, kept) in in_halves(placed, self._read_batch, "prompt", part.start):
                sizes = [len(p.wanted) for p in prompts[start : start + len(kept)]]
                for offset, (rows, cached) in enumerate(zip(hidden.split(sizes), kept, strict=True)):
                    yield start + offset, rows, cached

    def label_probabilities(self, hidden: Tensor, labels: Sequence[int]) -> list[list[float]]:
        """Return the distribution over `labels` after each of `hidden`."""
        import torch

        with torch.inference_mode():
            chosen = torch.tensor(labels, device=hidden.device)
            parts = in_halves(
                hidden, lambda part: self._model.label_logits(part, chosen).softmax(-1).tolist(), "position"
            )
            return [row for _, rows in parts for row in rows]

    def log_probabilities(self, hidden: Tensor, tokens: Sequence[int]) -> list[float]:
        """Return the natural logarithm of the probability of each of `tokens` after its row of `hidden`."""
        import torch

        def compute(places: Sequence[int]) -> list[float]:
            part = slice(places[0], places[-1] + 1)
            found: list[float] = self._model.log_probabilities(hidden[part], chosen[part]).tolist()
            return found

        if not tokens:
            return []
        with torch.inference_mode():
            chosen = torch.tensor(tokens, dtype=torch.long, device=hidden.device)
            parts = in_halves(range(len(tokens)), compute, "position")
            return [each for _, part in parts for each in part]

    def write(
        self, wanted: Sequence[Wanted], stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[tuple[int, Written]]:
        """Yield (index, reply) as they end."""
        import torch

        with torch.inference_mode():
            yield from write_replies(
                wanted, self._begin, self._decoder, self.grammars, self._ends, self.plan.slots, stopped
            )

    @property
    def grammars(self) -> Grammars:
        """Compiled schemas; made at the first use."""
        if self._grammars is None:
            self._grammars = Grammars(self._tokenizer_json, self._model.weights.shape.vocab, self._ends)
        return self._grammars

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode(text, add_special_tokens=False).ids) if text else ()

    def _begin(self, candidates: Sequence[tuple[Wanted, int]]) -> tuple[Tensor, list[int]]:
        lengths = [len(wanted.tokens) for wanted, _ in candidates]
        first = batches(lengths, self.plan.pass_tokens, len(candidates))[0]
        prompts = [
            Prompt(wanted.tokens, wanted.prompt, (len(wanted.tokens) - 1,), wanted.adapter)
            for wanted, _ in candidates[first]
        ]
        rings = [slot for _, slot in candidates[first]]
        # What does not fit at once is begun when its turn comes.
        _, begun = next(in_halves(list(zip(prompts, rings, strict=True)), self._read_batch, "prompt"))
        return begun

    def _read_batch(self, placed: Sequence[tuple[Prompt, int]]) -> tuple[Tensor, list[int]]:
        """Return hidden states, and the tokens not read again, of prompts and the rings they go to."""
        import torch

        store = self._model.store
        # All are looked up before any is kept: what this pass computes cannot be gone on from within it.
        found = [store.find(p.adapter, p.tokens, min(p.wanted, default=0)) for p, _ in placed]
        try:
            rows = [
                Row(p.tokens, p.wanted, p.adapter, kept, store.keep(p.adapter, p.tokens[: p.shared]), ring)
                for (p, ring), kept in zip(placed, found, strict=True)
            ]
            plan = plan_read(rows, self._model.rings.full, self._model.rings.sliding)
            with torch.inference_mode():
                return self._model.read(plan), [len(kept) for kept in found]
        except BaseException:
            store.clear()  # it may name what was not computed
            raise


def best_ops(device: str) -> Ops:
    """Return the fused operations on CUDA, plain torch elsewhere."""
    if not device.startswith("cuda"):
        return PlainOps()
    try:
        from engine.runners.gemma.triton_ops import TritonOps
    except ImportError as missing:
        raise unimportable(missing, "triton", "gpu") from missing
    return TritonOps()


def _ends(tokenizer: Any) -> tuple[int, frozenset[int]]:
    """BOS, and the tokens that end a reply."""
    special = {entry["content"]: entry["id"] for entry in json.loads(tokenizer.to_str())["added_tokens"]}
    ends = frozenset(special[name] for name in ("<eos>", _END_OF_TURN) if name in special)
    if "<bos>" not in special or not ends:
        raise ModelError("the model's tokenizer has no <bos> or no <eos>: not Gemma's")
    return special["<bos>"], ends
