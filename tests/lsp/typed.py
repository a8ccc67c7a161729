"""What a typed client needs to read this server's answers."""

from __future__ import annotations

from typing import Union

from cattrs import Converter
from lsprotocol import types
from pygls.protocol import default_converter


def converter() -> Converter:
    """Return pygls's, which takes a code action with a command for a command."""
    made = default_converter()
    made.register_structure_hook(
        Union[types.Command, types.CodeAction],  # noqa: UP007 - the very type that lsprotocol names
        lambda found, _: made.structure(
            found, types.Command if isinstance(found.get("command"), str) else types.CodeAction
        ),
    )
    return made
