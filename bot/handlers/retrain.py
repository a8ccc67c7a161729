"""`/retrain`: have a candidate trained on the project's history."""

from __future__ import annotations

from bot.commands import Command
from bot.errors import CommandRefused
from bot.gitlab import Access
from bot.learning import Learning, Wish
from bot.options import read_options
from bot.registry import CommandSpec, Context, Option
from engine.sanitize import code_span
from engine.wire import Language


async def retrain(command: Command, context: Context) -> str:
    """Begin, follow or end a training."""
    given = read_options(command, COMMAND, context.texts)
    learning, wish = learning_of(context), wish_of(context)
    match [word.lower() for word in given.words]:
        case []:
            return await learning.retrain(wish, dry_run="dry-run" in given.values)
        case ["status"] if not given.values:
            return await learning.status(wish)
        case ["cancel"] if not given.values:
            return await learning.cancel(wish)
    raise not_understood(COMMAND, context)


def learning_of(context: Context) -> Learning:
    """Return the port to retraining; raises CommandRefused where it is not set up."""
    if context.ports.learning is None:
        raise CommandRefused(context.texts.learning_not_set_up)
    return context.ports.learning


def wish_of(context: Context) -> Wish:
    """Return who wants it, for which project."""
    place, actor = context.place, context.actor
    return Wish(
        key=context.errand.key,
        project=context.project,
        ref=context.errand.ref,
        note_id=place.note_id,
        discussion_id=place.discussion_id,
        internal=place.internal,
        user_id=actor.id,
        username=actor.username,
        language=context.language,
    )


def not_understood(spec: CommandSpec, context: Context) -> CommandRefused:
    """Return the refusal of words that make no sense behind a command."""
    names = {"command": code_span(f"/{spec.name}"), "usage": code_span(spec.usage)}
    return CommandRefused(context.texts.too_many_words.format(**names))


COMMAND = CommandSpec(
    name="retrain",
    usage="/retrain [status|cancel] [--dry-run]",
    example="/retrain --dry-run",
    about={
        Language.EN: "Trains a new adapter on this project's reviews; `status` says how far it is, "
        "`cancel` ends it, `--dry-run` only says what would be done.",
        Language.JA: "このプロジェクトのレビュー履歴で新しいアダプターを学習します。"
        "`status` は進み具合の表示、`cancel` は中止、`--dry-run` は内容の確認だけを行います。",
    },
    access=Access.MAINTAINER,
    run=retrain,
    options=(Option("dry-run"),),
    floor=Access.MAINTAINER,
)
