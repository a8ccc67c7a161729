"""`/feedback`: what a finding was worth."""

from __future__ import annotations

from bot.commands import Command
from bot.errors import CommandRefused
from bot.gitlab import Access
from bot.handlers.findings import finding_thread, record
from bot.registry import CommandSpec, Context
from engine.feedback import FeedbackVerdict
from engine.sanitize import code_span
from engine.wire import Language

VERDICTS = {"good": FeedbackVerdict.ACCEPTED, "bad": FeedbackVerdict.WRONG}


async def give_feedback(command: Command, context: Context) -> str:
    """Record the opinion."""
    word, reason = (*command.text.split(maxsplit=1), "", "")[:2]
    verdict = VERDICTS.get(word.lower())
    if verdict is None:
        raise CommandRefused(context.texts.feedback_usage.format(usage=code_span(COMMAND.usage)))
    thread = await finding_thread(command.name, context)
    await record(thread, verdict, reason, context)
    good = verdict is FeedbackVerdict.ACCEPTED
    return context.texts.feedback_good if good else context.texts.feedback_bad


COMMAND = CommandSpec(
    name="feedback",
    usage="/feedback good|bad [WHY]",
    example="/feedback bad the list is never shared",
    about={
        Language.EN: "In the thread of a finding: says whether it was of use. "
        "Later reviews leave out what was bad.",
        Language.JA: "指摘のスレッドで使います。役に立ったかどうかを記録します。"
        "bad の指摘は今後のレビューで省略します。",
    },
    access=Access.DEVELOPER,
    run=give_feedback,
)
