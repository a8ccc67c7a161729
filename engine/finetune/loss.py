"""The loss of both row kinds: weighted cross-entropy at the labelled positions only.

Gemma's vocabulary has 262,144 entries, so logits for every position do not fit anywhere; only the few
labelled positions are projected, in tiles that are recomputed in the backward pass. Plain torch: TRL 1.15's
own chunked loss is a Triton kernel that no machine without a GPU can run, and it knows no weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from engine.finetune.encoding import IGNORED

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
    """Return the weighted mean of `label_nll`, a scalar; 0 where nothing is labelled."""
    total, weight = label_nll(hidden, labels, weights, head, softcap)
    return total / weight.clamp(min=1e-8)


def label_nll(
    hidden: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor,
    head: torch.Tensor,
    softcap: float | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weighted sum of the negative log-likelihoods in nats, and the sum of their weights.

    `hidden` [batch, length, width] are the last hidden states, `labels` [batch, length] targets with IGNORED
    where nothing is trained, `weights` [batch] a factor for each row, `head` [vocabulary, width].
    """
    import torch

    row, _, nlls = _labelled_nll(hidden, labels, head, softcap)
    factors = weights[row]
    tiles = [(nll * part).sum() for nll, part in zip(nlls, factors.split(_TILE), strict=True)]
    return torch.stack(tiles).sum(), factors.sum()


def label_log_probs(
    hidden: torch.Tensor, labels: torch.Tensor, head: torch.Tensor, softcap: float | None = None
) -> torch.Tensor:
    """Return the log-probability of each label, [batch, length - 1]; 0 where nothing is labelled."""
    import torch

    row, column, nlls = _labelled_nll(hidden, labels, head, softcap)
    found = torch.zeros(labels[:, 1:].shape, dtype=torch.float32, device=hidden.device)
    return found.index_put((row, column), -torch.cat(nlls))


def _labelled_nll(
    hidden: torch.Tensor, labels: torch.Tensor, head: torch.Tensor, softcap: float | None
) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """Return the rows and columns of what is labelled, and its negative log-likelihoods in tiles."""
    from torch.utils.checkpoint import checkpoint

    targets = labels[:, 1:]
    row, column = (targets != IGNORED).nonzero(as_tuple=True)
    states, wanted = hidden[row, column], targets[row, column]
    tiles: list[Any] = [
        checkpoint(_tile_nll, part, some, head, softcap, use_reentrant=False)
        for part, some in zip(states.split(_TILE), wanted.split(_TILE), strict=True)
    ]
    return row, column, tiles


def _tile_nll(
    states: torch.Tensor, wanted: torch.Tensor, head: torch.Tensor, softcap: float | None
) -> torch.Tensor:
    import torch
    import torch.nn.functional as F

    logits = F.linear(states.to(head.dtype), head).float()
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    return F.cross_entropy(logits, wanted, reduction="none")
