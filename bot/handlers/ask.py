"""`/ask`, `/explain` and `/describe`: the model answers a question about code."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from bot.commands import Command
from bot.errors import CommandRefused, NotFound
from bot.gitlab import Access, Position
from bot.handlers.findings import finding_thread
from bot.handlers.reading import read_change, read_spot, spot_of
from bot.registry import CommandSpec, Context
from engine.sanitize import inline, prose
from engine.wire import Answer, Language, Question

_LONGEST_QUESTION = 2000
_LONGEST_FINDING = 4000


async def ask(command: Command, context: Context) -> str:
    """Answer about the lines of the thread, or else about the whole change."""
    if not command.text:
        raise CommandRefused(context.texts.no_question)
    if len(command.text) > _LONGEST_QUESTION:
        raise CommandRefused(context.texts.question_too_long.format(count=f"{_LONGEST_QUESTION:,}"))
    return await _answer(command.text, await _position(context), context)


async def explain(command: Command, context: Context) -> str:
    """Answer what a finding means."""
    thread = await finding_thread(command.name, context)
    position = thread.discussion.notes[0].position
    return await _answer(context.texts.explain_question, position, context, finding=thread.message)


async def describe(command: Command, context: Context) -> str:
    """Answer with a title and a summary; nothing is changed."""
    texts = context.texts
    answer = await _answer(texts.describe_question, None, context)
    return f"### {texts.describe_title}\n\n{answer}\n\n{texts.describe_note}"


async def _position(context: Context) -> Position | None:
    """Return where the thread stands that the command was written in."""
    if not context.place.discussion_id:
        return None
    try:
        discussion = await context.gitlab.discussion(context.mr.ref, context.place.discussion_id)
    except NotFound:
        return None
    return discussion.notes[0].position if discussion.notes else None


async def _answer(text: str, position: Position | None, context: Context, finding: str = "") -> str:
    spot = spot_of(position)
    excerpt = await read_spot(spot, context) if spot else None
    notes: tuple[str, ...] = ()
    shown: dict[str, Any] = {}
    if excerpt is not None:
        shown = asdict(excerpt)
    else:
        change = await read_change(context)
        shown = {"diff": change.diff}
        if change.seen < change.all:
            notes = (context.texts.seen_part.format(seen=change.seen, all=change.all),)
    question = Question(
        question=text,
        project=context.project,
        language=context.language,
        finding=finding[:_LONGEST_FINDING],
        **shown,
    )
    async with context.ports.device() as free:
        if not free:
            raise CommandRefused(context.texts.training_now)
        answer = await context.ports.engine.ask(question)
    return show_answer(answer, notes, context)


def show_answer(answer: Answer, notes: tuple[str, ...], context: Context) -> str:
    """Return an answer as Markdown: harmless, and with who gave it."""
    texts = context.texts
    if answer.left_out:
        notes = (*notes, texts.left_out)
    if answer.truncated:
        notes = (*notes, texts.answer_cut)
    model = inline(answer.base_model or "Gemma")
    if answer.adapter:
        model += f" ({texts.with_adapter.format(adapter=inline(answer.adapter))})"
    footer = " ".join((*notes, texts.answered_by.format(model=model)))
    return f"{prose(answer.text)}\n\n_{footer}_"


ASK = CommandSpec(
    name="ask",
    usage="/ask QUESTION",
    example="/ask Can this be null?",
    about={
        Language.EN: "Answers a question: about the lines of the thread it stands in, else about the change.",
        Language.JA: "質問に答えます。差分のスレッドではその行、それ以外では変更全体が対象です。",
    },
    access=Access.DEVELOPER,
    run=ask,
    multiline=True,
)
EXPLAIN = CommandSpec(
    name="explain",
    usage="/explain",
    example="/explain",
    about={
        Language.EN: "In the thread of a finding: says more about it.",
        Language.JA: "指摘のスレッドで使います。指摘を詳しく説明します。",
    },
    access=Access.DEVELOPER,
    run=explain,
)
DESCRIBE = CommandSpec(
    name="describe",
    usage="/describe",
    example="/describe",
    about={
        Language.EN: "Proposes a title and a summary for the merge request, as a note.",
        Language.JA: "マージリクエストのタイトルと要約の案をコメントで示します。",
    },
    access=Access.DEVELOPER,
    run=describe,
)
