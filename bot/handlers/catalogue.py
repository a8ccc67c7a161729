"""All commands, in the order of the help."""

from __future__ import annotations

from bot.handlers import adapters, ask, dismiss, feedback, help, retrain, review, rollback

COMMANDS = (
    review.COMMAND,
    ask.ASK,
    ask.EXPLAIN,
    ask.DESCRIBE,
    dismiss.COMMAND,
    feedback.COMMAND,
    adapters.COMMAND,
    retrain.COMMAND,
    rollback.COMMAND,
    help.COMMAND,
)
