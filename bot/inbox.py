"""Keeps what deliveries ask for before they are answered, in one transaction where many come at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

import structlog

from bot.deliveries import Delivery
from bot.work import Order
from engine.errors import StoreError

_MOST_AT_ONCE = 64
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Waiting:
    orders: Sequence[Order]
    stored: asyncio.Future[bool]


class Inbox:
    """Stores what deliveries ask for; see `bot.deliveries.Deliveries`. Open while its context is.

    A transaction has to reach the disk, and only one can be written at a time. Those that come meanwhile wait
    for the next, and share it.
    """

    def __init__(
        self,
        store: Callable[[Sequence[Order]], list[bool]],
        orders_for: Callable[[Delivery], Sequence[Order]],
    ) -> None:
        self._store = store
        self._orders_for = orders_for
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
        """Store what a delivery asks for and return whether it is new; it is on disk when this returns."""
        return await self.submit(self._orders_for(delivery))

    async def submit(self, orders: Sequence[Order]) -> bool:
        """Store orders and return whether any is new; they are on disk when this returns."""
        if not self._open:
            raise StoreError("the bot is stopping")
        if not orders:
            return False
        waiting = _Waiting(orders, asyncio.get_running_loop().create_future())
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
        try:
            answers = await asyncio.to_thread(self._store, [order for one in batch for order in one.orders])
        except StoreError as error:
            _refuse(batch, error)
            return
        except Exception as error:  # noqa: BLE001 - the outermost loop: one that cannot be stored ends no other
            _log.exception("inbox.broke", count=len(batch))
            if len(batch) == 1:
                _refuse(batch, StoreError(f"cannot be stored: {type(error).__name__}"))
            else:
                for one in batch:
                    await self._write_batch([one])
            return
        rest = iter(answers)
        for one in batch:
            new = [next(rest) for _ in one.orders]
            if not one.stored.done():  # unless the caller has left
                one.stored.set_result(any(new))


def _refuse(batch: Sequence[_Waiting], error: StoreError) -> None:
    for one in batch:
        if not one.stored.done():
            one.stored.set_exception(error)
