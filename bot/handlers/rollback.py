"""`/rollback`: return to an earlier adapter."""

from __future__ import annotations

from bot.commands import Command
from bot.gitlab import Access
from bot.handlers.retrain import learning_of, not_understood, wish_of
from bot.options import read_options
from bot.registry import CommandSpec, Context
from engine.wire import Language


async def roll_back(command: Command, context: Context) -> str:
    """Change the champion."""
    words = read_options(command, COMMAND, context.texts).words
    if len(words) > 1:
        raise not_understood(COMMAND, context)
    return await learning_of(context).roll_back(wish_of(context), words[0] if words else "")


COMMAND = CommandSpec(
    name="rollback",
    usage="/rollback [VERSION]",
    example="/rollback team-0123456789ab",
    about={
        Language.EN: "Returns to the adapter that was in use before, or to the given one.",
        Language.JA: "以前使っていたアダプター、または指定したアダプターに戻します。",
    },
    access=Access.MAINTAINER,
    run=roll_back,
    floor=Access.MAINTAINER,
)
