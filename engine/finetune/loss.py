"""The loss of both row kinds: weighted cross-entropy at the labelled positions only.

Gemma's vocabulary has 262,144 entries, so logits for every position do not fit anywhere; only the few labelled
positions are projected, in tiles that are recomputed in the backward pass. Plain torch: TRL 1.15's own chunked
loss is a Triton kernel that no machine without a GPU can run, and it knows no weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.finetune.rows import IGNORED

if TYPE_CHECKING:
    import torch

_TILE = 1024


def label_loss(
    hidden: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor,
    head: torch.Tensor,
    softcap: float | None = None,
) -> torch.Tensor:
    """Return the weighted mean negative log-likelihood in nats, a scalar.

    `hidden` [batch, length, width] are the last hidden states, `labels` [batch, length] targets with IGNORED
    where nothing is trained, `weights` [batch] a factor for each row, `head` [vocabulary, width].
    """
    import torch
    from torch.utils.checkpoint import checkpoint

    targets = labels[:, 1:]
    row, column = (targets != IGNORED).nonzero(as_tuple=True)
    states, wanted, factors = hidden[row, column], targets[row, column], weights[row]
    total = hidden.new_zeros((), dtype=torch.float32)
    for start in range(0, len(wanted), _TILE):
        part = slice(start, start + _TILE)
        nll: Any = checkpoint(_tile_nll, states[part], wanted[part], head, softcap, use_reentrant=False)
        total = total + (nll * factors[part]).sum()
    return total / factors.sum().clamp(min=1e-8)


def _tile_nll(
    states: torch.Tensor, wanted: torch.Tensor, head: torch.Tensor, softcap: float | None
) -> torch.Tensor:
    import torch
    import torch.nn.functional as F

    logits = F.linear(states.to(head.dtype), head).float()
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    return F.cross_entropy(logits, wanted, reduction="none")
