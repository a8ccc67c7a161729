"""Which tokens a forward pass over prompts reads, and where everything goes: index arithmetic on the host.

Rows are packed one after the other. A row may begin with tokens whose keys and values are kept from before;
they are copied in front of its own, so that attention sees one run of keys a row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int32]

_NOTHING: Indices = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class Row:
    """One prompt to read."""

    tokens: Indices
    wanted: tuple[int, ...]  # positions whose hidden states are returned; none of them kept from before
    adapter: int = -1  # slot of the LoRA stacks; -1 for none
    kept: Indices = field(default_factory=_NOTHING.copy)  # where the first tokens stand in the prompt store
    keep: Indices = field(default_factory=_NOTHING.copy)  # where the first tokens shall stand there
    ring: int = -1  # slot to fill for decoding; -1 for none

    @property
    def new(self) -> int:
        """Tokens that are computed."""
        return len(self.tokens) - len(self.kept)


@dataclass(frozen=True, slots=True)
class Copy:
    """Rows to copy from one buffer of keys (and of values) to another."""

    source: Indices
    target: Indices


@dataclass(frozen=True, slots=True)
class ReadPlan:
    """All indices of a pass. T new tokens; keys of all rows in one run."""

    tokens: Indices  # [T]
    positions: Indices  # [T]
    places: Indices  # [T], in the run of keys
    query_starts: Indices  # [rows + 1]
    key_starts: Indices  # [rows + 1]
    wanted: Indices  # of the T tokens
    runs: tuple[tuple[int, int, int], ...]  # (adapter, first token, end), all tokens in order
    from_store: Copy  # prompt store -> run of keys
    to_store: Copy  # run of keys -> prompt store
    to_full: Copy  # run of keys -> rings of layers that see everything, as [slot * ring + position]
    to_sliding: Copy

    @property
    def adapters(self) -> tuple[tuple[int, int, int], ...]:
        """The runs that have an adapter."""
        return tuple(run for run in self.runs if run[0] >= 0)

    @property
    def lengths(self) -> tuple[tuple[int, int], ...]:
        """(queries, keys) of each row."""
        return tuple(zip(np.diff(self.query_starts).tolist(), np.diff(self.key_starts).tolist(), strict=True))


def plan_read(rows: Sequence[Row], full_ring: int, sliding_ring: int) -> ReadPlan:
    """Return the plan for `rows`, best sorted by adapter: each run of one has products of its own."""
    new = [row.new for row in rows]
    query_starts, key_starts = _starts(new), _starts([len(row.tokens) for row in rows])
    firsts = key_starts[:-1].tolist()
    positions = [np.arange(len(row.kept), len(row.tokens), dtype=np.int32) for row in rows]
    return ReadPlan(
        tokens=_joined([row.tokens[len(row.kept) :] for row in rows]),
        positions=_joined(positions),
        places=_joined([first + own for first, own in zip(firsts, positions, strict=True)]),
        query_starts=query_starts,
        key_starts=key_starts,
        wanted=np.array(
            [
                start + position - len(row.kept)
                for start, row in zip(query_starts.tolist(), rows, strict=False)
                for position in row.wanted
            ],
            np.int32,
        ),
        runs=_runs(rows, query_starts),
        from_store=Copy(
            _joined([row.kept for row in rows]),
            _joined([first + _count(row.kept) for first, row in zip(firsts, rows, strict=True)]),
        ),
        to_store=Copy(
            _joined([first + _count(row.keep) for first, row in zip(firsts, rows, strict=True)]),
            _joined([row.keep for row in rows]),
        ),
        to_full=_to_ring(rows, firsts, full_ring),
        to_sliding=_to_ring(rows, firsts, sliding_ring),
    )


def batches(lengths: Sequence[int], budget: int, most: int) -> list[slice]:
    """Cut a sequence of rows, in order, where a batch would pass `budget` tokens or `most` rows.

    A row longer than the budget is alone.
    """
    cuts, total = [0], 0
    for index, length in enumerate(lengths):
        if index > cuts[-1] and (total + length > budget or index - cuts[-1] == most):
            cuts.append(index)
            total = 0
        total += length
    return [slice(a, b) for a, b in zip(cuts, [*cuts[1:], len(lengths)], strict=True) if a < b]


def _to_ring(rows: Sequence[Row], firsts: Sequence[int], ring: int) -> Copy:
    sources, targets = [], []
    for first, row in zip(firsts, rows, strict=True):
        if row.ring >= 0:
            seen = np.arange(max(0, len(row.tokens) - ring), len(row.tokens), dtype=np.int32)
            sources.append(first + seen)
            targets.append(row.ring * ring + seen % ring)
    return Copy(_joined(sources), _joined(targets))


def _runs(rows: Sequence[Row], starts: Indices) -> tuple[tuple[int, int, int], ...]:
    runs = []
    for adapter, group in groupby(range(len(rows)), key=lambda index: rows[index].adapter):
        indices = list(group)
        runs.append((adapter, int(starts[indices[0]]), int(starts[indices[-1] + 1])))
    return tuple(runs)


def _starts(lengths: Sequence[int]) -> Indices:
    return np.cumsum([0, *lengths], dtype=np.int32)


def _joined(parts: Sequence[Indices]) -> Indices:
    return np.concatenate(parts).astype(np.int32, copy=False) if parts else _NOTHING


def _count(places: Indices) -> Indices:
    return np.arange(len(places), dtype=np.int32)
