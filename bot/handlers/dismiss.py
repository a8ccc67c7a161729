"""`/dismiss`: a finding is not wanted here, now and later."""

from __future__ import annotations

from bot.commands import Command
from bot.gitlab import Access
from bot.handlers.findings import finding_thread, record
from bot.registry import CommandSpec, Context
from engine.feedback import FeedbackVerdict
from engine.wire import Language


async def dismiss(command: Command, context: Context) -> str:
    """Record the dismissal, then resolve the thread."""
    thread = await finding_thread(command.name, context)
    await record(thread, FeedbackVerdict.DISMISSED, command.text, context)
    if thread.discussion.resolvable and not thread.discussion.resolved:
        await context.gitlab.resolve(context.mr.ref, thread.discussion.id)
    return context.texts.dismissed


COMMAND = CommandSpec(
    name="dismiss",
    usage="/dismiss [REASON]",
    example="/dismiss we do this on purpose",
    about={
        Language.EN: "In the thread of a finding: resolves it, and leaves it out of later reviews.",
        Language.JA: "指摘のスレッドで使います。スレッドを解決済みにし、今後のレビューでは省略します。",
    },
    access=Access.DEVELOPER,
    run=dismiss,
)
