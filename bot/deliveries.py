"""What a webhook delivered, and the port that keeps it.

GitLab marks what it sends once more with the same `Idempotency-Key`, but only since 17.4. It is not needed
here: the same body asks for the same errands, whose keys are those of the wish (`bot.errands`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request of a webhook, as it came and was found genuine."""

    event: str  # its name, such as "Note Hook"
    body: bytes
    received: int  # milliseconds since 1970


class Deliveries(Protocol):
    """Keeps what deliveries ask for until it is done."""

    async def accept(self, delivery: Delivery) -> bool:
        """Store what a delivery asks for and return whether it is new; it is on disk when this returns.

        Raises StoreError where it cannot be stored.
        """
