"""Keys and values that outlive a pass: rings to decode from, and prompts to go on from."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.runners.gemma.ops import Tensor
from engine.runners.gemma.reading import Indices
from engine.runners.gemma.shape import GemmaShape

PAGE = 32
"""Tokens that are kept or given away together; shorter common beginnings are not worth a copy."""


class Rings:
    """A slot a row being written: of each layer, the tokens that it can still see.

    One slot more than asked for takes what padding rows write.
    """

    def __init__(self, shape: GemmaShape, slots: int, context: int, like: Tensor) -> None:
        self.slots = slots
        self.full = context
        self.sliding = min(shape.window, context)
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        for sliding in shape.sliding:
            size = slots + 1, self.sliding if sliding else self.full, shape.kv_heads, shape.head_dim
            self.keys.append(like.new_zeros(size))
            self.values.append(like.new_zeros(size))


@dataclass(frozen=True, slots=True)
class _Entry:
    tokens: Indices
    places: Indices


class PromptStore:
    """Keys and values of the prompts read last; another prompt goes on from what it has in common with one.

    An adapter changes keys and values, so each has prompts of its own.
    """

    def __init__(self, shape: GemmaShape, tokens: int, like: Tensor) -> None:
        size = tokens // PAGE * PAGE, shape.kv_heads, shape.head_dim
        self.keys = [like.new_zeros(size) for _ in range(shape.layers)]
        self.values = [like.new_zeros(size) for _ in range(shape.layers)]
        self._free = list(range(tokens // PAGE))
        self._entries: OrderedDict[tuple[int, bytes], _Entry] = OrderedDict()  # in order of use

    def find(self, adapter: int, tokens: Indices, most: int) -> Indices:
        """Return where the first of `tokens`, at most `most`, stand; empty where they fill no page."""
        best, found = 0, None
        for key in reversed(self._entries):
            entry = self._entries[key]
            if key[0] == adapter and (common := _common(entry.tokens, tokens[:most])) > best:
                best, found = common, key
        if found is None or best < PAGE:
            return np.empty(0, np.int32)
        self._entries.move_to_end(found)
        return self._entries[found].places[:best]

    def keep(self, adapter: int, tokens: Indices) -> Indices:
        """Return where `tokens` shall stand; empty where they do already, or are more than the store."""
        key = adapter, tokens.tobytes()
        pages = -(-len(tokens) // PAGE)
        if key in self._entries or not 0 < len(tokens) <= self.keys[0].shape[0]:
            return np.empty(0, np.int32)
        while len(self._free) < pages:
            self._forget(next(iter(self._entries)))
        taken = np.array([self._free.pop() for _ in range(pages)], np.int32)
        runs = taken[:, None] * PAGE + np.arange(PAGE, dtype=np.int32)
        places: Indices = runs.astype(np.int32).reshape(-1)[: len(tokens)]
        self._entries[key] = _Entry(tokens, places)
        return places

    def forget(self, adapter: int) -> None:
        """Drop what was read with `adapter`: another one takes its slot."""
        for key in [key for key in self._entries if key[0] == adapter]:
            self._forget(key)

    def clear(self) -> None:
        """Drop everything."""
        for key in list(self._entries):
            self._forget(key)

    def _forget(self, key: tuple[int, bytes]) -> None:
        places = self._entries.pop(key).places
        self._free.extend((places[::PAGE] // PAGE).tolist())


def _common(one: Indices, other: Indices) -> int:
    length = min(len(one), len(other))
    differs: Any = one[:length] != other[:length]
    return int(differs.argmax()) if differs.any() else length
