"""The two passes of Gemma 3: over prompts of any lengths, packed, and over one token of each row.

Both are a list of launches without a look at the device, so the second can be captured in a CUDA graph.
"""

from __future__ import annotations

from typing import Any

from engine.runners.gemma.cache import PromptStore, Rings
from engine.runners.gemma.lora import LoraStacks
from engine.runners.gemma.ops import Ops, Packed, Tensor
from engine.runners.gemma.reading import ReadPlan
from engine.runners.gemma.shape import GemmaShape, Rope
from engine.runners.gemma.weights import GemmaWeights

_VOCABULARY_PART = 16_384  # tokens whose logits are held at once where all are summed


class GemmaModel:
    """Weights, adapters and what is remembered of prompts, on one device."""

    def __init__(
        self, weights: GemmaWeights, ops: Ops, rings: Rings, store: PromptStore, lora: LoraStacks
    ) -> None:
        self.weights = weights
        self.rings = rings
        self.store = store
        self.lora = lora
        self._ops = ops
        self._shape = weights.shape
        self._scale = weights.embedding.new_tensor(weights.shape.hidden**0.5)
        shape = weights.shape
        self._ropes = {
            sliding: _rope_tables(shape, rope, rings.full, weights.embedding.device)
            for sliding, rope in ((False, shape.full_rope), (True, shape.sliding_rope))
        }

    def read(self, plan: ReadPlan) -> Tensor:
        """Return the final hidden states of the wanted tokens, [wanted, hidden]; fill rings and store."""
        pass_ = _Reading(plan, self.weights.embedding)
        shape, ops = self._shape, self._ops
        h = self.weights.embedding[pass_.tokens] * self._scale
        keys, values = (h.new_empty(int(plan.key_starts[-1]), shape.kv_heads, shape.head_dim) for _ in "kv")
        x = ops.norm(h, self.weights.layers[0].before_attention, shape.eps)
        for i, layer in enumerate(self.weights.layers):
            sliding = shape.sliding[i]
            pass_.from_store(self.store.keys[i], self.store.values[i], keys, values)
            queries = ops.qkv(
                self._product(i, "qkv", x, plan), (layer.q_norm, layer.k_norm), self._ropes[sliding],
                pass_.positions, keys, values, pass_.places, shape.eps,
            )  # fmt: skip
            pass_.to_store(keys, values, self.store.keys[i], self.store.values[i])
            pass_.to_ring(sliding, keys, values, self.rings.keys[i], self.rings.values[i])
            seen = ops.attend(queries, keys, values, pass_.packed, self._window(i), shape.scale)
            out = self._product(i, "out", seen, plan)
            x = ops.add_norm(h, out, layer.after_attention, layer.before_ffn, shape.eps)
            inner = self._inner(i, x, plan)
            out = self._product(i, "down", inner, plan)
            x = ops.add_norm(h, out, layer.after_ffn, self._norm_after(i), shape.eps)
        return x[pass_.wanted]

    def step(self, tokens: Tensor, positions: Tensor, slots: Tensor, adapters: Tensor | None) -> Tensor:
        """Return the hidden states after `tokens`, [rows, hidden]; each row's slot takes its key and value.

        `adapters` is None where no row has one: the adapters' columns are then not computed.
        """
        shape, ops, rings = self._shape, self._ops, self.rings
        places = {
            sliding: slots * ring + positions % ring
            for sliding, ring in ((False, rings.full), (True, rings.sliding))
        }
        h = self.weights.embedding[tokens] * self._scale
        x = ops.norm(h, self.weights.layers[0].before_attention, shape.eps)
        for i, layer in enumerate(self.weights.layers):
            sliding = shape.sliding[i]
            product = self._step_product(i, "qkv", x, adapters)
            queries = ops.qkv(
                product, (layer.q_norm, layer.k_norm), self._ropes[sliding], positions,
                rings.keys[i].flatten(0, 1), rings.values[i].flatten(0, 1), places[sliding], shape.eps,
            )  # fmt: skip
            seen = ops.attend_cached(queries, rings.keys[i], rings.values[i], slots, positions, shape.scale)
            product = self._step_product(i, "out", seen, adapters)
            x = ops.add_norm(h, product, layer.after_attention, layer.before_ffn, shape.eps)
            product = self._step_product(i, "gate_up", x, adapters)
            inner = ops.geglu(product, shape.ffn)
            product = self._step_product(i, "down", inner, adapters)
            x = ops.add_norm(h, product, layer.after_ffn, self._norm_after(i), shape.eps)
        return x

    def logits(self, hidden: Tensor, out: Tensor | None = None) -> Tensor:
        """Return the scores of the whole vocabulary, [rows, vocab]."""
        import torch

        return torch.mm(hidden, self.weights.embedding.t(), out=out)

    def label_logits(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """Return the scores of some tokens alone, in float32."""
        return hidden.float() @ self.weights.embedding[labels].float().t()

    def log_probabilities(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """Return the logarithm of the probability of each of `tokens` after its row of `hidden`, in float32.

        The vocabulary is summed a part at a time: its logits never take memory as a whole.
        """
        wide, embedding = hidden.float(), self.weights.embedding
        total = wide.new_full((len(wide),), float("-inf"))
        for part in embedding.split(_VOCABULARY_PART):
            total = total.logaddexp((wide @ part.float().t()).logsumexp(-1))
        return (wide * embedding[tokens].float()).sum(-1) - total

    def choose(self, logits: Tensor, allowed: Tensor) -> Tensor:
        """Return each row's most probable allowed token."""
        return self._ops.choose(logits, allowed)

    def _product(self, layer: int, name: str, x: Tensor, plan: ReadPlan) -> Tensor:
        product = getattr(self.weights.layers[layer], name).alone(x)
        for slot, start, end in plan.adapters:
            self.lora.add(layer, name, product[start:end], x[start:end], slot)
        return product

    def _inner(self, layer: int, x: Tensor, plan: ReadPlan) -> Tensor:
        """The feed-forward's inner values; adapters are added as the wide product is read, not to it."""
        product, width = self.weights.layers[layer].gate_up.alone(x), self._shape.ffn
        if not plan.adapters:
            return self._ops.geglu(product, width)
        inner = product.new_empty(len(x), width)
        for slot, start, end in plan.runs:
            rows = slice(start, end)
            if slot < 0:
                inner[rows] = self._ops.geglu(product[rows], width)
            else:
                t, b = self.lora.factors(layer, "gate_up", x[rows], slot)
                self._ops.geglu_run(product[rows], width, t, b, inner[rows])
        return inner

    def _step_product(self, layer: int, name: str, x: Tensor, adapters: Tensor | None) -> Tensor:
        projection = getattr(self.weights.layers[layer], name)
        if adapters is None:
            return projection.alone(x)
        return self._ops.expand(projection.with_lora(x), self.lora.expansion(layer, name, adapters))

    def _window(self, layer: int) -> int:
        return self._shape.window if self._shape.sliding[layer] else 0

    def _norm_after(self, layer: int) -> Tensor:
        """The norm that follows a layer: the next one's first, or the model's."""
        last = layer + 1 == self._shape.layers
        return self.weights.norm if last else self.weights.layers[layer + 1].before_attention


class _Reading:
    """A plan's indices on the device."""

    def __init__(self, plan: ReadPlan, like: Tensor) -> None:
        import torch

        def there(indices: Any) -> Tensor:
            return torch.from_numpy(indices).to(like.device, non_blocking=True)

        lengths = plan.lengths
        self.tokens, self.positions, self.places = map(there, (plan.tokens, plan.positions, plan.places))
        self.wanted = there(plan.wanted)
        self.packed = Packed(
            there(plan.query_starts),
            there(plan.key_starts),
            max(queries for queries, _ in lengths),
            max(keys for _, keys in lengths),
            lengths,
        )
        self._from_store, self._to_store, self._to_full, self._to_sliding = (
            (there(copy.source), there(copy.target)) if len(copy.source) else None
            for copy in (plan.from_store, plan.to_store, plan.to_full, plan.to_sliding)
        )

    def from_store(self, keys: Tensor, values: Tensor, to_keys: Tensor, to_values: Tensor) -> None:
        _copy(self._from_store, keys, values, to_keys, to_values)

    def to_store(self, keys: Tensor, values: Tensor, to_keys: Tensor, to_values: Tensor) -> None:
        _copy(self._to_store, keys, values, to_keys, to_values)

    def to_ring(self, sliding: bool, keys: Tensor, values: Tensor, ring: Tensor, values_ring: Tensor) -> None:
        copy = self._to_sliding if sliding else self._to_full
        _copy(copy, keys, values, ring.flatten(0, 1), values_ring.flatten(0, 1))


def _copy(
    indices: tuple[Tensor, Tensor] | None, keys: Tensor, values: Tensor, to_keys: Tensor, to_values: Tensor
) -> None:
    if indices is not None:
        source, target = indices
        to_keys[target] = keys[source]
        to_values[target] = values[source]


def _rope_tables(shape: GemmaShape, rope: Rope, context: int, device: Any) -> tuple[Tensor, Tensor]:
    import torch

    exponents = torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim
    frequencies = 1.0 / (rope.theta**exponents) / rope.factor
    angles = torch.outer(torch.arange(context, dtype=torch.float32), frequencies)
    return angles.cos().to(device), angles.sin().to(device)
