"""`/adapters`: which adapters the project has, and how they measured."""

from __future__ import annotations

from bot.commands import Command
from bot.gitlab import Access
from bot.registry import CommandSpec, Context
from engine.lifecycle import RegisteredAdapter
from engine.sanitize import code_span, inline
from engine.wire import Language

_MOST = 20


async def show_adapters(command: Command, context: Context) -> str:
    """Return the newest adapters in a table."""
    texts = context.texts
    found = await context.ports.engine.adapters(context.project)
    if not found:
        return texts.no_adapters
    rows = [texts.adapters_columns, ("---",) * 4, *(_row(one, context) for one in found[:_MOST])]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(adapter: RegisteredAdapter, context: Context) -> tuple[str, str, str, str]:
    texts = context.texts
    scores = texts.separator.join(
        f"{inline(name)} {value:.3g}" for name, value in sorted(adapter.scores.items())
    )
    trained = adapter.created.strftime("%Y-%m-%d %H:%M %Z")
    return code_span(adapter.version), texts.adapter_state[adapter.state], trained, scores


COMMAND = CommandSpec(
    name="adapters",
    usage="/adapters",
    example="/adapters",
    about={
        Language.EN: "Lists this project's adapters with their state and their scores.",
        Language.JA: "このプロジェクトのアダプターを、状態とスコアとともに一覧表示します。",
    },
    access=Access.DEVELOPER,
    run=show_adapters,
)
