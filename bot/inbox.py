"""Keeps deliveries before they are answered, many in one transaction where many come at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from bot.deliveries import Delivery
from bot.work import Order, Payload
from engine.errors import StoreError

DELIVERY = "delivery"
"""The kind of work that does what a delivery asks for."""

_MOST_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class _Waiting:
    order: Order
    stored: asyncio.Future[bool]


class Inbox:
    """Stores deliveries as orders; see `bot.deliveries.Deliveries`. Open while its context is.

    A transaction has to reach the disk, and only one can be written at a time. Those that come meanwhile wait
    for the next, and share it.
    """

    def __init__(self, store: Callable[[Sequence[Order]], list[bool]]) -> None:
        self._store = store
        self._waiting: list[_Waiting] = []
        self._woken = asyncio.Event()
        self._open = False
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Inbox:
        self._open = True
        self._writer = asyncio.create_task(self._write(), name="inbox")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open = False
        self._woken.set()
        if self._writer is not None:
            await self._writer

    async def accept(self, delivery: Delivery) -> bool:
        """Store a delivery and return whether it is new; it has reached the disk when this returns."""
        if not self._open:
            raise StoreError("the bot is stopping")
        waiting = _Waiting(order_for(delivery), asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._woken.set()
        return await waiting.stored

    async def _write(self) -> None:
        while self._open or self._waiting:
            await self._woken.wait()
            self._woken.clear()
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
                await self._write_batch(batch)

    async def _write_batch(self, batch: Sequence[_Waiting]) -> None:
        answers: Sequence[bool | StoreError]
        try:
            answers = await asyncio.to_thread(self._store, [one.order for one in batch])
        except StoreError as error:
            answers = [error] * len(batch)
        for one, answer in zip(batch, answers, strict=True):
            if one.stored.done():  # the caller has left
                continue
            if isinstance(answer, StoreError):
                one.stored.set_exception(answer)
            else:
                one.stored.set_result(answer)


def order_for(delivery: Delivery) -> Order:
    """Return the order that does what a delivery asks for."""
    body = delivery.body.decode(json.detect_encoding(delivery.body), errors="replace")
    payload = {"key": delivery.key, "event": delivery.event, "body": body, "received": delivery.received}
    return Order(DELIVERY, f"{DELIVERY}:{delivery.key}", payload)


def delivery_of(payload: Payload) -> Delivery:
    """Return the delivery that an order was made for."""
    return Delivery(
        str(payload["key"]), str(payload["event"]), str(payload["body"]).encode(), int(payload["received"])
    )
