"""Writing one token after another for many rows at once: static buffers, and a CUDA graph a batch size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.runners.gemma.model import GemmaModel
from engine.runners.gemma.ops import Tensor

_SIZES = (1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128)
_WARM_UPS = 2


@dataclass(frozen=True, slots=True)
class RowState:
    """Where a row stands: its last token, that token's position, its slot and adapter."""

    token: int
    position: int
    slot: int
    adapter: int


class Decoder:
    """Runs steps of up to `rings.slots` rows. What a step leaves is overwritten by the next."""

    def __init__(self, model: GemmaModel) -> None:
        import torch

        self._model = model
        rows, like = model.rings.slots, model.weights.embedding
        vocab = model.weights.shape.vocab
        self._cuda = like.is_cuda
        self._inputs = torch.zeros(rows, 4, dtype=torch.int32, device=like.device)
        self._staged = torch.zeros(rows, 4, dtype=torch.int32, pin_memory=self._cuda)
        self._logits = like.new_zeros(rows, vocab)
        self._allowed = torch.zeros(rows, -(-vocab // 32), dtype=torch.int32, device=like.device)
        self.masks = torch.zeros(self._allowed.shape, dtype=torch.int32, pin_memory=self._cuda)
        """On the host: allowed tokens of each row, a bit each. Fill before `choose`."""
        self._sizes = [size for size in _SIZES if size < rows] + [rows]
        self._graphs: dict[tuple[int, bool], Any] = {}
        self._copying = torch.cuda.Stream() if self._cuda else None

    def start(self, rows: Sequence[RowState]) -> None:
        """Begin a step; on CUDA it runs while the caller fills `masks`."""
        import torch

        size = next(size for size in self._sizes if size >= len(rows))
        padding = RowState(0, 0, self._model.rings.slots, -1)
        padded = [*rows, *[padding] * (size - len(rows))]
        values = [(row.token, row.position, row.slot, row.adapter) for row in padded]
        self._staged[:size] = torch.tensor(values, dtype=torch.int32)
        self._inputs.copy_(self._staged, non_blocking=True)
        self._run(size, any(row.adapter >= 0 for row in rows))

    def choose(self, rows: int) -> list[int]:
        """Return the next token of each row: the most probable of those that its mask allows."""
        self._send_masks(rows)
        chosen: list[int] = self._model.choose(self._logits[:rows], self._allowed[:rows]).tolist()
        return chosen

    def choose_first(self, hidden: Tensor) -> list[int]:
        """Return the first token of rows that were read just now, [rows, hidden]."""
        self._model.logits(hidden, out=self._logits[: hidden.shape[0]])
        return self.choose(hidden.shape[0])

    def _run(self, size: int, adapted: bool) -> None:
        if not self._cuda:
            self._step(size, adapted)
            return
        if (graph := self._graphs.get((size, adapted))) is None:
            graph = self._graphs[size, adapted] = self._capture(size, adapted)
        graph.replay()

    def _step(self, size: int, adapted: bool) -> None:
        tokens, positions, slots, adapters = self._inputs[:size].t().contiguous()
        hidden = self._model.step(tokens, positions, slots, adapters if adapted else None)
        self._model.logits(hidden, out=self._logits[:size])

    def _capture(self, size: int, adapted: bool) -> Any:
        import torch

        # Kernels are compiled and workspaces taken before the capture. Steps repeat without harm: a step
        # writes the same key to the same place.
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                self._step(size, adapted)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool()):
            self._step(size, adapted)
        return graph

    def _pool(self) -> Any:
        """All graphs share their memory: only one runs at a time."""
        return next(iter(self._graphs.values())).pool() if self._graphs else None

    def _send_masks(self, rows: int) -> None:
        import torch

        if self._copying is None:
            self._allowed[:rows].copy_(self.masks[:rows])
            return
        with torch.cuda.stream(self._copying):
            self._allowed[:rows].copy_(self.masks[:rows], non_blocking=True)
        torch.cuda.current_stream().wait_stream(self._copying)
