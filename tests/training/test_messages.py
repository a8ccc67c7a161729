"""Short messages: what is kept, what is left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.messages import LIMIT, short_message

WHY = "It hides what went wrong."
CASES = {
    "short stays": ("Never catch everything. " + WHY, "Never catch everything. " + WHY),
    "third sentence goes": (f"Never catch everything. {WHY} Be exact.", "Never catch everything. " + WHY),
    "cut reason goes": ("Never catch everything. It hides what went…", "Never catch everything."),
    "long reason goes": (
        "Never catch everything. It hides " + "very " * 50 + "much.",
        "Never catch everything.",
    ),
    "code ends no sentence": ("Use `a. B` here. Do. More.", "Use `a. B` here. Do."),
    "abbreviation ends no sentence": (
        "Close files, e.g. with `with`. Fine.",
        "Close files, e.g. with `with`. Fine.",
    ),
    "white space is folded": ("Never  catch\neverything.", "Never catch everything."),
    "long code is cut": (f"Use `{'x' * 80}` here.", f"Use `{'x' * 59}…` here."),
}


@pytest.mark.parametrize(("message", "short"), CASES.values(), ids=CASES.keys())
def test_short_message(message: str, short: str) -> None:
    """The remark itself is kept, and one whole sentence why if it is short."""
    assert short_message(message) == short


@given(st.text(alphabet="ab .`!?A…\n", min_size=1, max_size=600))
def test_a_short_message_is_within_the_limit_and_stable(message: str) -> None:
    """Whatever comes in, the result fits and shortening it again changes nothing about its length limit."""
    short = short_message(message)
    assert len(short) <= LIMIT
    assert len(short_message(short)) <= LIMIT
