"""Deliveries reach the disk before they are answered, in as few transactions as may be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from bot.deliveries import Delivery
from bot.inbox import Inbox
from bot.work import Order
from engine.errors import StoreError


def delivery(number: int, body: bytes = b"{}") -> Delivery:
    return Delivery("Note Hook", body, number)


def orders_for(delivery: Delivery) -> list[Order]:
    """Two errands for each delivery, none for one without a body."""
    return [Order("errand", f"key:{delivery.received}-{n}", {}) for n in "ab"] if delivery.body else []


class Shelf:
    """Stores orders in memory, when it is let."""

    def __init__(self, error: StoreError | None = None) -> None:
        self.batches: list[list[str]] = []
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self._error = error

    def store(self, orders: Sequence[Order]) -> list[bool]:
        self.entered.set()
        assert self.open.wait(120)
        if self._error is not None:
            raise self._error
        known = {name for batch in self.batches for name in batch}
        self.batches.append([order.id for order in orders])
        return [order.id not in known for order in orders]


def test_it_is_stored_before_it_is_answered() -> None:
    """Nothing is answered while the transaction is under way; a known key is told apart."""

    async def main() -> None:
        shelf = Shelf()
        shelf.open.clear()
        async with Inbox(shelf.store, orders_for) as inbox:
            first = asyncio.create_task(inbox.accept(delivery(1)))
            await asyncio.to_thread(shelf.entered.wait)
            await asyncio.sleep(0.05)
            assert not first.done()
            shelf.open.set()
            assert await first is True
            assert await inbox.accept(delivery(1)) is False
        assert shelf.batches == [["key:1-a", "key:1-b"]] * 2

    asyncio.run(main())


def test_those_that_come_together_share_a_transaction() -> None:
    """While one is written the others wait, and go to disk together."""

    async def main() -> None:
        shelf = Shelf()
        shelf.open.clear()
        async with Inbox(shelf.store, orders_for) as inbox:
            first = asyncio.create_task(inbox.accept(delivery(0)))
            await asyncio.to_thread(shelf.entered.wait)
            rest = [asyncio.create_task(inbox.accept(delivery(n))) for n in range(1, 101)]
            await asyncio.sleep(0)
            shelf.open.set()
            assert all(await asyncio.gather(first, *rest))
        assert [len(batch) for batch in shelf.batches] == [2, 128, 72]

    asyncio.run(main())


def test_what_cannot_be_stored_is_not_accepted() -> None:
    """Each caller learns it, and the next ones are tried again."""

    async def main() -> None:
        async with Inbox(Shelf(StoreError("disk full")).store, orders_for) as inbox:
            for number in range(2):
                with pytest.raises(StoreError, match="disk full"):
                    await inbox.accept(delivery(number))

    asyncio.run(main())


def test_one_that_cannot_be_stored_keeps_no_other_out() -> None:
    """An error that nobody foresaw is the fault of one delivery: the others are stored without it."""

    async def main() -> None:
        shelf = Shelf()

        def store(orders: Sequence[Order]) -> list[bool]:
            if any("key:2-" in order.id for order in orders):
                raise TypeError("no JSON")
            return shelf.store(orders)

        shelf.open.clear()
        async with Inbox(store, orders_for) as inbox:
            first = asyncio.create_task(inbox.accept(delivery(0)))
            await asyncio.to_thread(shelf.entered.wait)
            rest = [asyncio.create_task(inbox.accept(delivery(number))) for number in (1, 2, 3)]
            await asyncio.sleep(0)
            shelf.open.set()
            answers = await asyncio.gather(first, *rest, return_exceptions=True)
            assert await inbox.accept(delivery(4)) is True
        assert [answer is True for answer in answers] == [True, True, False, True]
        assert isinstance(answers[2], StoreError)
        assert "no JSON" not in str(answers[2])

    asyncio.run(main())


def test_a_caller_that_leaves_does_not_stop_the_others() -> None:
    """GitLab may close a connection at any time."""

    async def main() -> None:
        shelf = Shelf()
        shelf.open.clear()
        async with Inbox(shelf.store, orders_for) as inbox:
            gone, stays = (asyncio.create_task(inbox.accept(delivery(n))) for n in range(2))
            await asyncio.to_thread(shelf.entered.wait)
            gone.cancel()
            shelf.open.set()
            assert await stays
        assert shelf.batches == [["key:0-a", "key:0-b", "key:1-a", "key:1-b"]]

    asyncio.run(main())


def test_a_closing_inbox_finishes_and_takes_no_more() -> None:
    """What was waiting is stored; what comes later is refused, so that GitLab knows."""

    async def main() -> None:
        shelf = Shelf()
        async with Inbox(shelf.store, orders_for) as inbox:
            waiting = asyncio.create_task(inbox.accept(delivery(1)))
            await asyncio.sleep(0)
        assert await waiting
        with pytest.raises(StoreError):
            await inbox.accept(delivery(2))

    asyncio.run(main())


def test_what_asks_for_nothing_is_not_stored() -> None:
    """There is nothing to do twice, so nothing to remember either."""

    async def main() -> None:
        shelf = Shelf()
        async with Inbox(shelf.store, orders_for) as inbox:
            assert await inbox.accept(delivery(1, b"")) is False
        assert shelf.batches == []

    asyncio.run(main())
