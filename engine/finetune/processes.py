"""Several processes that train one adapter, as `accelerate launch` starts them: who is who, who has what."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those of its run; alone if nothing launched them."""

    rank: int = 0
    count: int = 1
    local_rank: int = 0  # on this machine: the number of its GPU

    @property
    def is_first(self) -> bool:
        """Whether it is the one that writes and talks."""
        return self.rank == 0

    def share(self, values: Sequence[T]) -> list[T]:
        """Return this process's part of `values`, dealt like cards.

        The first are dealt again to fill the last round: all processes have as many, as they must, for they
        wait for one another in every step.
        """
        rounds = -(-len(values) // self.count)
        dealt = list(islice(cycle(values), rounds * self.count)) if values else []
        return dealt[self.rank :: self.count]


ALONE = Processes()


def processes() -> Processes:
    """Return who this process is, by the variables that launchers set."""
    rank, count, local = (
        int(os.environ.get(name, "0") or 0) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    )
    return Processes(rank, max(1, count), local)


def any_says(flag: bool, device: torch.device) -> bool:
    """Return whether `flag` is true in any process; all have to ask at the same place."""
    import torch
    import torch.distributed as distributed

    if not distributed.is_initialized():
        return flag
    said = torch.tensor([int(flag)], device=device)
    distributed.all_reduce(said, op=distributed.ReduceOp.MAX)
    return bool(said.item())


def average_gradients(parameters: Iterable[torch.Tensor]) -> None:
    """Replace each gradient by its mean over all processes, in one exchange."""
    import torch
    import torch.distributed as distributed

    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.reshape(-1).float() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= distributed.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def leave_the_others() -> None:
    """End what joined this process to the others, as NCCL asks for before a process ends."""
    import torch.distributed as distributed

    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
