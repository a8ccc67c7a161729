"""The same wish is the same order, whichever way it came."""

from __future__ import annotations

import json
from typing import Any

from payloads import BOT, mr_payload, note_payload

from bot.decisions import Rules
from bot.deliveries import Delivery
from bot.errand_queue import ERRAND, orders_for
from bot.errands import read_errand
from bot.handlers.catalogue import COMMANDS
from bot.registry import Registry
from bot.work import Order

RULES = Rules(BOT, Registry(COMMANDS).grammar)


def orders(payload: dict[str, Any], event: str = "Note Hook") -> tuple[Order, ...]:
    return orders_for(Delivery(event, json.dumps(payload).encode(), 1_700_000_000_000), RULES)


def test_each_command_is_an_order() -> None:
    """Two commands of one note are two errands, each with an id of its own, and survive being stored."""
    found = orders(note_payload("/review src\n/help"))
    assert [read_errand(order.payload).command.name for order in found] == ["review", "help"]
    assert len({order.id for order in found}) == 2
    assert all(order.kind == ERRAND and order.group is None for order in found)


def test_an_edited_note_asks_anew_only_for_what_is_new() -> None:
    """Its old command has the id it had, so it is not done again."""
    before = orders(note_payload("/review"))
    after = orders(note_payload("/review\n/help", action="update"))
    assert before[0].id == after[0].id
    assert len(after) == 2


def test_what_is_no_wish_is_no_order() -> None:
    """Chatter, other events and the bot's own notes leave nothing behind."""
    assert orders(note_payload("looks good")) == ()
    assert orders(note_payload("/review"), event="Push Hook") == ()
    assert orders(mr_payload("merge"), event="Merge Request Hook") == ()
