"""Argument types that subcommands share."""

from __future__ import annotations

import argparse

_MOST = 1000


def count(text: str) -> int:
    """Return a positive whole number."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return value


def weight(text: str) -> float:
    """Return a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < _MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and below {_MOST}")
    return value
