"""`/help`: say what the bot does, from what the commands say about themselves."""

from __future__ import annotations

from bot.commands import Command
from bot.errors import CommandRefused
from bot.gitlab import Access
from bot.registry import CommandSpec, Context
from engine.sanitize import code_span
from engine.wire import Language


async def show_help(command: Command, context: Context) -> str:
    """Return all commands in a table, or one of them with its example."""
    words = command.arguments
    return _one(words[0].lower().lstrip("/"), context) if words else _all(context)


def _all(context: Context) -> str:
    texts, language = context.texts, context.language
    rows = [texts.help_columns, ("---",) * 3]
    for spec in context.registry:
        usage = code_span(spec.usage).replace("|", r"\|")
        rows.append((usage, spec.about[language], texts.role[context.registry.access(spec.name)]))
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    mention = texts.help_mention.format(mention=f"@{context.ports.me.username}")
    return f"### {texts.help_title}\n\n{table}\n\n{mention} {texts.help_reactions}"


def _one(name: str, context: Context) -> str:
    texts, spec = context.texts, context.registry.get(name)
    if spec is None:
        raise CommandRefused(texts.help_unknown.format(name=code_span(f"/{name[:50]}")))
    return "\n\n".join(
        (
            spec.about[context.language],
            texts.help_usage.format(usage=code_span(spec.usage)),
            texts.help_example.format(example=code_span(spec.example)),
            texts.help_role.format(role=texts.role[context.registry.access(name)]),
        )
    )


COMMAND = CommandSpec(
    name="help",
    usage="/help [COMMAND]",
    example="/help review",
    about={
        Language.EN: "Lists what I do, or says more about one command.",
        Language.JA: "コマンドの一覧、または 1 つのコマンドの説明を表示します。",
    },
    access=Access.REPORTER,
    run=show_help,
)
