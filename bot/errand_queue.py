"""Deliveries -> errands -> orders. Pure: the same wish is the same order, however it got here."""

from __future__ import annotations

from bot.decisions import Rules, decide, errands_of
from bot.deliveries import Delivery
from bot.errands import Errand
from bot.events import parse_event
from bot.work import Order

ERRAND = "errand"
"""The kind of work that does an errand."""


def order_for(errand: Errand) -> Order:
    """Return the order that has an errand done."""
    return Order(ERRAND, f"{ERRAND}:{errand.key}", errand.model_dump(mode="json"))


def orders_for(delivery: Delivery, rules: Rules) -> tuple[Order, ...]:
    """Return the orders that do what a delivery asks for; none where it asks for nothing."""
    event = parse_event(delivery.event, delivery.body)
    if event is None:
        return ()
    return tuple(map(order_for, errands_of(event, decide(event, rules), delivery.received)))
