"""Loads the protocol's classes in half the time: most of what this server does before it answers.

lsprotocol makes more than five hundred classes with attrs, which writes and compiles methods for each. Nobody
here compares messages, and nobody may print them, as they quote source code: those methods are not made, nor
slots, for which attrs makes each class twice. What a class defines by itself, as positions their order,
it keeps.
"""

from __future__ import annotations

from functools import partial


def load_types() -> None:
    """Import `lsprotocol.types`; whoever imports it later gets these."""
    import attrs

    define = attrs.define
    attrs.define = partial(define, eq=False, repr=False, slots=False)
    try:
        import lsprotocol.types  # noqa: F401
    finally:
        attrs.define = define
