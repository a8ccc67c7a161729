"""What a webhook delivered: a value, its key, and the port that keeps it. Pure but for the port."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

_LONGEST_KEY = 200
_TIMES = ("updated_at", "created_at", "oldrev", "action", "note", "name")


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request of a webhook, as it came and was found genuine."""

    key: str  # the same for the same event, however often it is sent
    event: str  # its name, such as "Note Hook"
    body: bytes
    received: int  # milliseconds since 1970


class Deliveries(Protocol):
    """Keeps deliveries until what they ask for is done."""

    async def accept(self, delivery: Delivery) -> bool:
        """Store a delivery and return whether it is new; it has reached the disk when this returns.

        Raises StoreError where it cannot be stored.
        """


def delivery_key(
    event: str, payload: Mapping[str, Any], idempotency_key: str = "", message_id: str = ""
) -> str:
    """Return what makes a delivery the same as another.

    A signed message has an id that is signed as well; else it is the `Idempotency-Key` that GitLab sends
    since 17.4. Older servers send neither, so there it is made of what happened to what.
    """
    if message_id:
        return _short(f"message:{message_id}")
    if idempotency_key:
        return _short(f"key:{idempotency_key}")
    attributes = payload.get("object_attributes")
    values = attributes if isinstance(attributes, dict) else {}
    about = [event, payload.get("project_id"), payload.get("event_type"), values.get("id")]
    about += [values.get(name) for name in _TIMES]
    return f"event:{hashlib.sha256(repr(about).encode()).hexdigest()}"


def _short(key: str) -> str:
    if len(key) <= _LONGEST_KEY and key.isascii() and key.isprintable():
        return key
    return f"hash:{hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()}"
