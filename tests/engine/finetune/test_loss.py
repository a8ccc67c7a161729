"""The loss is plain weighted cross-entropy, computed where it is needed only."""

from __future__ import annotations

from typing import Any

import pytest

from engine.finetune import loss
from engine.finetune.encoding import IGNORED
from engine.finetune.loss import label_loss, label_nll

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

BATCH, LENGTH, WIDTH, VOCABULARY = 3, 17, 8, 50


def inputs(labelled: float = 0.3, seed: int = 0) -> tuple[Any, Any, Any, Any]:
    generator = torch.Generator().manual_seed(seed)
    hidden = torch.randn(BATCH, LENGTH, WIDTH, generator=generator, requires_grad=True)
    head = torch.randn(VOCABULARY, WIDTH, generator=generator)
    labels = torch.randint(VOCABULARY, (BATCH, LENGTH), generator=generator)
    labels[torch.rand(BATCH, LENGTH, generator=generator) > labelled] = IGNORED
    weights = torch.tensor([1.0, 0.2, 3.0])
    return hidden, labels, weights, head


def plain_loss(hidden: Any, labels: Any, weights: Any, head: Any, softcap: float | None = None) -> Any:
    logits = hidden[:, :-1] @ head.T
    if softcap is not None:
        logits = softcap * torch.tanh(logits / softcap)
    targets = labels[:, 1:]
    nll = torch.nn.functional.cross_entropy(
        logits.transpose(1, 2), targets, ignore_index=IGNORED, reduction="none"
    )
    factors = weights[:, None] * (targets != IGNORED)
    return (nll * factors).sum() / factors.sum()


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("tile", [1, 4, 1024])
def test_equals_cross_entropy_on_full_logits(
    monkeypatch: pytest.MonkeyPatch, tile: int, softcap: float | None
) -> None:
    """Loss and gradient are those of the textbook, whatever the tile, with and without softcap."""
    monkeypatch.setattr(loss, "_TILE", tile)
    hidden, labels, weights, head = inputs()
    expected = plain_loss(hidden, labels, weights, head, softcap)
    (expected_gradient,) = torch.autograd.grad(expected, hidden)
    found = label_loss(hidden, labels, weights, head, softcap)
    (gradient,) = torch.autograd.grad(found, hidden)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(gradient, expected_gradient, atol=1e-6, rtol=0)


def test_weights_are_of_rows() -> None:
    """A row that weighs nothing against the other leaves the other's loss alone."""
    hidden, labels, _, head = inputs(labelled=1.0)
    one = label_loss(hidden[:1], labels[:1], torch.tensor([5.0]), head)
    both = label_loss(hidden[:2], labels[:2], torch.tensor([5.0, 1e-9]), head)
    assert both.item() == pytest.approx(one.item(), abs=1e-6)


def test_sums_add_up_to_the_mean() -> None:
    """Summed over parts, sum and weight give the mean over the whole."""
    hidden, labels, weights, head = inputs()
    parts = [label_nll(hidden[i : i + 1], labels[i : i + 1], weights[i : i + 1], head) for i in range(BATCH)]
    total, weight = (sum(column) for column in zip(*parts, strict=True))
    expected = label_loss(hidden, labels, weights, head)
    assert (total / weight).item() == pytest.approx(expected.item(), abs=1e-6)


def test_nothing_labelled_is_no_loss() -> None:
    """Zero, not NaN, and there is a gradient of zeros to step with; the first position has no target."""
    hidden, labels, weights, head = inputs(labelled=0.0)
    labels[:, 0] = 1
    found = label_loss(hidden, labels, weights, head)
    (gradient,) = torch.autograd.grad(found, hidden)
    assert found.item() == 0
    assert not gradient.any()
