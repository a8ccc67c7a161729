"""Secrets in text that is about to be posted: masked, so that a review never spreads one. Pure.

`engine.secrets` knows them: a masked word in a remark is a nuisance, and a masked line makes its suggestion
unusable.
"""

from __future__ import annotations

from engine.secrets import secret_pattern

MASK = "[secret]"


def mask(text: str) -> str:
    """Return `text` with every secret in it replaced."""
    return secret_pattern().sub(MASK, text)
